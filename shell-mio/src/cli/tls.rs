//! TLS of the commands and of the JWKS fetch: aws-lc, and Mozilla's roots or those of `SSL_CERT_FILE`.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Failure;

/// What signs and encrypts.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The certificates of `SSL_CERT_FILE`, where it is set.
fn own_roots() -> Result<Option<Vec<CertificateDer<'static>>>, Failure> {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let wrong = |error: rustls::pki_types::pem::Error| {
        Failure::Usage(format!("SSL_CERT_FILE {}: {error}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&path).map_err(wrong)?;
    certificates.collect::<Result<_, _>>().map(Some).map_err(wrong)
}

/// The settings of a connection of our own.
pub(super) fn client_config() -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    match own_roots()? {
        Some(own) => {
            roots.add_parsable_certificates(own);
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Failed(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The settings of connections of the HTTP client.
pub(crate) fn http_config() -> Result<TlsConfig, Failure> {
    let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider());
    let Some(own) = own_roots()? else { return Ok(config.build()) };
    let roots = own.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(config.root_certs(RootCerts::from(roots)).build())
}
