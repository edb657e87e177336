//! The table of connections, by the slots that the shell gives.

use std::collections::VecDeque;

use super::connection::{Connection, Phase, Transport};
use crate::output::Output;
use crate::protocol::ConnId;

/// What the shell has yet to fetch.
pub(super) type Outputs = VecDeque<Output>;

/// What a connection is doing, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Requests and responses.
    Http,
    /// A user's connection over WebSocket.
    WebSocket,
    /// A user's stream of Server-Sent Events.
    Stream,
    /// Everything is said.
    Closing,
}

impl State {
    pub(super) const ALL: [Self; 4] = [Self::Http, Self::WebSocket, Self::Stream, Self::Closing];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::Stream => "sse",
            Self::Closing => "closing",
        }
    }

    pub(super) fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Http(_) => Self::Http,
            Phase::Live(session) => match session.transport {
                Transport::WebSocket(_) => Self::WebSocket,
                Transport::Stream(_) => Self::Stream,
            },
            Phase::Closing(_) => Self::Closing,
        }
    }
}

/// Connections by slot. A name whose generation has passed finds nothing. A phase changes only by
/// [`enter`](Self::enter), which keeps count of the states.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
    len: usize,
    census: [usize; State::ALL.len()],
}

impl Connections {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many slots have ever been in use.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn insert(&mut self, connection: Connection) {
        let slot = connection.id.slot();
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        assert!(self.slots[slot].is_none(), "a shell names a connection with a free slot");
        self.census[connection.state as usize] += 1;
        self.slots[slot] = Some(connection);
        self.len += 1;
    }

    /// How many connections are in that state.
    pub(super) const fn in_state(&self, state: State) -> usize {
        self.census[state as usize]
    }

    /// Puts a connection into another phase and gives the one that it leaves.
    pub(super) fn enter(&mut self, conn: ConnId, phase: Phase) -> Option<Phase> {
        let entered = State::of(&phase);
        let connection = self.get_mut(conn)?;
        let left = std::mem::replace(&mut connection.state, entered);
        let phase = std::mem::replace(&mut connection.phase, phase);
        self.census[entered as usize] += 1;
        self.census[left as usize] -= 1;
        Some(phase)
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.slots.get(conn.slot())?.as_ref().filter(|connection| connection.id == conn)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.slots.get_mut(conn.slot())?.as_mut().filter(|connection| connection.id == conn)
    }

    /// The names of all connections.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.slots.iter().flatten().map(|connection| connection.id)
    }

    /// The connection in a slot, whichever it is.
    pub(super) fn at(&self, slot: usize) -> Option<&Connection> {
        self.slots.get(slot)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Connection> {
        let state = self.get(conn)?.state;
        self.census[state as usize] -= 1;
        self.len -= 1;
        self.slots[conn.slot()].take()
    }
}
