//! One connection as its client's side sees it: bytes out, bytes in, and how many the socket takes.

use std::cell::RefCell;
use std::rc::Rc;

use crate::client::State;
use crate::net::{Link, Net};

/// A connection of a [`World`](crate::World). Everything done to it happens at once.
#[derive(Clone, Debug)]
pub struct Socket {
    net: Rc<RefCell<Net>>,
    link: usize,
}

impl Socket {
    pub(crate) const fn new(net: Rc<RefCell<Net>>, link: usize) -> Self {
        Self { net, link }
    }

    /// Sends bytes.
    pub fn send(&self, bytes: &[u8]) {
        self.change(|link| link.to_server.extend_from_slice(bytes));
    }

    /// Sends bytes that arrive one at a time.
    pub fn trickle(&self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.send(&[*byte]));
    }

    /// From here on what arrives is read by a WebSocket client.
    pub(crate) fn attach(&self, client: &Rc<RefCell<State>>) {
        self.net.borrow_mut().links[self.link].client = Some(Rc::clone(client));
    }

    /// What has arrived since the last call, where no WebSocket client reads it.
    #[must_use]
    pub fn receive(&self) -> Vec<u8> {
        std::mem::take(&mut self.net.borrow_mut().links[self.link].to_client)
    }

    /// From here on the socket takes nothing.
    pub fn stall(&self) {
        self.change(|link| link.room = Some(0));
    }

    /// The socket takes so many bytes more, and then nothing.
    pub fn take(&self, bytes: usize) {
        self.change(|link| link.room = Some(link.room.unwrap_or(0) + bytes));
    }

    /// From here on the socket takes everything.
    pub fn flow(&self) {
        self.change(|link| link.room = None);
    }

    /// From here on one write takes at most so many bytes.
    pub fn limit_writes(&self, bytes: usize) {
        self.change(|link| link.write_max = bytes.max(1));
    }

    /// Sends nothing more, but still reads.
    pub fn end(&self) {
        self.change(|link| link.ended = true);
    }

    /// Breaks the connection without a word.
    pub fn reset(&self) {
        let mut net = self.net.borrow_mut();
        net.reset(self.link);
        net.run();
    }

    /// Whether the server has closed the socket, or it was reset.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.net.borrow().links[self.link].closed
    }

    /// Whether the server has said that it sends nothing more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.net.borrow().links[self.link].finished
    }

    /// Bytes that the hub would write now: the rest of a frame begun, replies, events.
    #[must_use]
    pub fn waiting(&self) -> [usize; 3] {
        let mut net = self.net.borrow_mut();
        let (conn, budget) = (net.links[self.link].conn, net.budget);
        net.hub.poll_transmit(conn, budget).map_or([0; 3], |transmit| transmit.slices().map(<[u8]>::len))
    }

    /// The most bytes of replies that were ever waiting when the shell came to write.
    #[must_use]
    pub fn outbox_max(&self) -> usize {
        self.net.borrow().links[self.link].outbox_max
    }

    /// Everything that was ever received.
    #[must_use]
    pub fn transcript(&self) -> Vec<u8> {
        self.net.borrow().links[self.link].transcript.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Link)) {
        let mut net = self.net.borrow_mut();
        change(&mut net.links[self.link]);
        net.run();
    }
}
