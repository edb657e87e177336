//! Why a request is refused before the application sees it. Each refusal has one status, and each ends
//! the connection: after a fault in the framing nobody can say where the next request begins.

use thiserror::Error;

use super::Response;

/// A request that this server does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// The head is longer than the limit, which is given in bytes.
    #[error("the request head is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// The head has more fields than the limit, which is given.
    #[error("the request head has more than {0} fields")]
    TooManyFields(usize),
    /// The body is longer than the limit, which is given in bytes.
    #[error("the request body is longer than {0} bytes")]
    BodyTooLarge(usize),
    /// A line ends in a line feed alone, or a carriage return stands alone (RFC 9112 §2.2).
    #[error("a line must end in CR LF")]
    LineEnding,
    /// A control character stands where text belongs.
    #[error("the request head contains a control character")]
    ControlCharacter,
    /// The request line is not `method SP target SP version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// A field line is malformed: no colon, space before it, a folded line, a name that is not a token.
    #[error("a header field is malformed")]
    Field,
    /// The target is of none of the allowed forms, or holds what must be percent-encoded.
    #[error("the request target is malformed")]
    Target,
    /// `Host` is missing, repeated, malformed, or differs from the target's authority.
    #[error("the request needs exactly one valid Host field that agrees with its target")]
    Host,
    /// `Content-Length` is repeated or not a plain number.
    #[error("Content-Length must be one plain decimal number")]
    ContentLength,
    /// `Transfer-Encoding` stands beside `Content-Length`, in HTTP/1.0, or is not exactly `chunked`.
    #[error("Transfer-Encoding must be exactly `chunked`, in HTTP/1.1, without Content-Length")]
    TransferEncoding,
    /// A chunk's size line, its end or a trailer is malformed or over its bound.
    #[error("the chunked body is malformed")]
    Chunk,
    /// `Expect` asks for something else than `100-continue`.
    #[error("the only supported expectation is 100-continue")]
    Expectation,
    /// The method or a transfer coding is one that this server does not have.
    #[error("the method or the transfer coding is not implemented")]
    NotImplemented,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
}

impl HttpError {
    /// The status that answers it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge(_) | Self::TooManyFields(_) => 431,
            Self::BodyTooLarge(_) => 413,
            Self::Expectation => 417,
            Self::NotImplemented => 501,
            Self::Version => 505,
            Self::LineEnding
            | Self::ControlCharacter
            | Self::RequestLine
            | Self::Field
            | Self::Target
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunk => 400,
        }
    }

    /// A stable name for metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::HeadTooLarge(_) => "head_too_large",
            Self::TooManyFields(_) => "head_fields",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::LineEnding => "head_line_ending",
            Self::ControlCharacter => "head_control_character",
            Self::RequestLine => "head_request_line",
            Self::Field => "head_field",
            Self::Target => "head_target",
            Self::Host => "head_host",
            Self::ContentLength => "head_content_length",
            Self::TransferEncoding => "head_transfer_encoding",
            Self::Chunk => "body_chunk",
            Self::Expectation => "head_expectation",
            Self::NotImplemented => "head_not_implemented",
            Self::Version => "head_version",
        }
    }

    /// The problem document that answers it, to be encoded for [`ReplyTo::CLOSE`](super::ReplyTo::CLOSE).
    #[must_use]
    pub fn response(self) -> Response {
        Response::problem(self.status(), "invalid_message", &self.to_string(), &[])
    }
}
