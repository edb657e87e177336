//! The table of connections, by the slots that the shell gives.

use std::collections::VecDeque;

use super::connection::Connection;
use crate::output::Output;
use crate::protocol::ConnId;

/// What the shell has yet to fetch.
pub(super) type Outputs = VecDeque<Output>;

/// Connections by slot. A name whose generation has passed finds nothing.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
    len: usize,
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
        self.slots[slot] = Some(connection);
        self.len += 1;
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
        self.get(conn)?;
        self.len -= 1;
        self.slots[conn.slot()].take()
    }
}
