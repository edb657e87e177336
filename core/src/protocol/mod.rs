//! The vocabulary of the wire: identifiers, positions, messages, error codes and close codes.

mod client;
mod codes;
mod ids;
mod server;

pub use client::{ClientMessage, MessageLimits, Rejected, ResumeEntry, Resumed, Since};
pub use codes::{CloseCode, ErrorCode};
pub use ids::{ConnId, Epoch, Offset, PerLane, Position, RequestId};
pub use server::{
    Failure, GapReason, HeartbeatTimes, Outcome, PublishResult, Recent, ServerMessage, event_payload,
};
