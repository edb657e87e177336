//! The vocabulary of the wire: identifiers, positions, messages, error codes and close codes.

mod ids;

pub use ids::{ConnId, Epoch, Offset, PerLane, Position, RequestId};
