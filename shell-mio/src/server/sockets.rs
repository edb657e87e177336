//! The shell's table of sockets. A slot's generation tells its tenant from the one before.

use mio::net::TcpStream;
use tidings_core::ConnId;

/// One connection's socket and what is known of it. Readiness is edge-triggered: a flag is set by an event
/// and cleared by the call that would block.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer's FIN, or an error, is in the kernel: reading goes on until it is seen.
    pub(super) read_closed: bool,
    /// The hub wants nothing more of it at the moment.
    pub(super) paused: bool,
    /// The hub has bytes for it.
    pub(super) pending: bool,
    /// It stands in the list of reads to do.
    pub(super) in_reads: bool,
    /// It stands in the list of writes to do.
    pub(super) in_writes: bool,
    /// The peer sends nothing more.
    pub(super) ended: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

/// All sockets, by slot.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Sockets {
    /// The name that the next socket gets.
    pub(super) fn next_id(&mut self) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("the system has fewer than 2^32 sockets")
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        ConnId::new(slot, entry.generation)
    }

    pub(super) fn insert(&mut self, id: ConnId, stream: TcpStream) {
        self.slots[id.slot()].socket = Some(Socket {
            stream,
            readable: true,
            writable: true,
            read_closed: false,
            paused: false,
            pending: false,
            in_reads: false,
            in_writes: false,
            ended: false,
        });
    }

    /// Gives back a name that got no socket.
    pub(super) fn give_back(&mut self, id: ConnId) {
        self.free.extend(u32::try_from(id.slot()));
    }

    /// The name of whatever is in a slot.
    pub(super) fn id_at(&self, slot: usize) -> Option<ConnId> {
        let entry = self.slots.get(slot)?;
        entry.socket.as_ref()?;
        Some(ConnId::new(u32::try_from(slot).ok()?, entry.generation))
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Socket> {
        let entry = self.slots.get_mut(id.slot())?;
        entry.socket.as_mut().filter(|_| entry.generation == id.generation())
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Socket> {
        self.get_mut(id)?;
        let socket = self.slots[id.slot()].socket.take();
        self.give_back(id);
        socket
    }

    pub(super) fn ids(&self) -> Vec<ConnId> {
        (0..self.slots.len()).filter_map(|slot| self.id_at(slot)).collect()
    }
}
