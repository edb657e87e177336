//! Error codes of messages, and close codes of connections (RFC 6455 §7.4 and our own 4xxx).

use serde::Serialize;

/// Why a request was refused. An error never costs the connection by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The frame is not JSON.
    InvalidJson,
    /// The message lacks a field, or one has the wrong form.
    InvalidMessage,
    /// The message's `type` is not one of the protocol.
    UnknownType,
    /// A pattern names no event type that the server knows.
    InvalidEventType,
    /// The filter is not one.
    InvalidFilter,
    /// The event does not fit its schema; `details` lists every fault.
    InvalidEvent,
    /// The token is bad, expired or of another user.
    InvalidToken,
    /// The grant does not allow it.
    Forbidden,
    /// The id was published before with other content.
    Conflict,
    /// No subscription of that id.
    NotSubscribed,
    /// The connection has as many subscriptions as it may.
    TooManySubscriptions,
    /// Too many messages in too short a time.
    RateLimited,
    /// The log does not take events at the moment.
    Unavailable,
    /// A fault of the server.
    Internal,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::InvalidJson,
        Self::InvalidMessage,
        Self::UnknownType,
        Self::InvalidEventType,
        Self::InvalidFilter,
        Self::InvalidEvent,
        Self::InvalidToken,
        Self::Forbidden,
        Self::Conflict,
        Self::NotSubscribed,
        Self::TooManySubscriptions,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidMessage => "invalid_message",
            Self::UnknownType => "unknown_type",
            Self::InvalidEventType => "invalid_event_type",
            Self::InvalidFilter => "invalid_filter",
            Self::InvalidEvent => "invalid_event",
            Self::InvalidToken => "invalid_token",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::NotSubscribed => "not_subscribed",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether it counts towards the ten faults a minute that close a connection with 4400.
    #[must_use]
    pub const fn is_fault_of_client(self) -> bool {
        matches!(self, Self::InvalidJson | Self::InvalidMessage | Self::UnknownType)
    }
}

/// Why the server closes a connection: the code of its Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCode {
    /// 1000: the peer closed, and this is the answer.
    Normal,
    /// 1001: the server stops.
    GoingAway,
    /// 1002: a violation of RFC 6455.
    Protocol,
    /// 1003: a binary frame.
    Unsupported,
    /// 1007: text that is not UTF-8.
    InvalidUtf8,
    /// 1009: a message over a limit.
    TooBig,
    /// 1011: a fault of the server.
    Internal,
    /// 1012: the instance drains.
    Restart,
    /// 1013: overloaded.
    TryAgain,
    /// 4400: too many faulty messages.
    BadMessages,
    /// 4401: token missing or bad.
    Unauthorized,
    /// 4403: disconnected by an operator.
    Disconnected,
    /// 4408: nothing heard from the client for the heartbeat timeout.
    HeartbeatTimeout,
    /// 4419: the token expired.
    TokenExpired,
    /// 4429: too many messages, or too many connections of one user.
    TooMany,
}

impl CloseCode {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::InvalidUtf8,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryAgain,
        Self::BadMessages,
        Self::Unauthorized,
        Self::Disconnected,
        Self::HeartbeatTimeout,
        Self::TokenExpired,
        Self::TooMany,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::InvalidUtf8 => 1007,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TryAgain => 1013,
            Self::BadMessages => 4400,
            Self::Unauthorized => 4401,
            Self::Disconnected => 4403,
            Self::HeartbeatTimeout => 4408,
            Self::TokenExpired => 4419,
            Self::TooMany => 4429,
        }
    }

    /// The reason phrase that accompanies the number.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "server stopping",
            Self::Protocol => "protocol violation",
            Self::Unsupported => "binary frames are not part of the protocol",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::TooBig => "message over a limit",
            Self::Internal => "internal error",
            Self::Restart => "draining",
            Self::TryAgain => "overloaded",
            Self::BadMessages => "too many faulty messages",
            Self::Unauthorized => "token missing or invalid",
            Self::Disconnected => "disconnected by an operator",
            Self::HeartbeatTimeout => "heartbeat timeout",
            Self::TokenExpired => "token expired",
            Self::TooMany => "rate or connection limit",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_error_code_has_one_name() {
        let names: BTreeSet<&str> = ErrorCode::ALL.map(ErrorCode::as_str).into();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn every_close_may_be_sent_and_fits_its_frame() {
        let numbers: BTreeSet<u16> = CloseCode::ALL.map(CloseCode::as_u16).into();
        assert_eq!(numbers.len(), CloseCode::ALL.len());
        for code in CloseCode::ALL {
            assert!(matches!(code.as_u16(), 1000..=1003 | 1007..=1014 | 4000..=4999), "{code:?}");
            assert!(code.reason().len() <= 123, "{code:?}");
        }
    }
}
