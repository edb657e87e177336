//! HTTP/1.1 as a server speaks it: requests in, responses and event streams out.

mod body;
mod error;
mod head;
mod headers;
mod reader;
mod response;
mod scan;
pub mod sse;
mod target;

pub use error::HttpError;
pub use head::{Framing, Method, RequestHead, Version};
pub(super) use headers::is_token;
pub use headers::{Headers, Repeated};
pub use reader::{Phase, Progress, RequestReader};
pub use response::{ReplyTo, Response, StreamFraming, imf_fixdate, reason};
pub(super) use scan::HeadScanner;

/// What a request may cost before the application has a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a head: request line, fields and the empty line. More is 431.
    pub head_bytes_max: usize,
    /// Fields of a head. More is 431.
    pub fields_max: usize,
    /// Bytes of a body's content. More is 413.
    pub body_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, fields_max: 64, body_bytes_max: 8 * 1024 * 1024 }
    }
}
