//! The queue of one lane: sequence numbers of history, in ascending order, as runs of neighbours.
//!
//! A consumer that matches everything queues one run however many events wait. The nodes of longer
//! queues come from one pool of the hub, so that a delivery allocates nothing.

pub(super) const RUNS_PER_NODE: usize = 5;
/// Bytes of memory of a node.
pub(super) const NODE_BYTES: usize = size_of::<Node>();
const NONE: u32 = u32::MAX;

/// `len` neighbouring sequence numbers from `start` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) len: u32,
}

impl Run {
    /// The number after the last.
    pub(super) fn end(self) -> u64 {
        self.start + u64::from(self.len)
    }
}

#[derive(Clone, Debug)]
struct Node {
    runs: [Run; RUNS_PER_NODE],
    used: u8,
    next: u32,
}

/// The nodes of all queues; what is freed is used again.
#[derive(Debug)]
pub(super) struct NodePool {
    nodes: Vec<Node>,
    free: u32,
}

impl NodePool {
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), free: NONE }
    }

    fn take(&mut self) -> u32 {
        let fresh = Node { runs: [Run::default(); RUNS_PER_NODE], used: 0, next: NONE };
        if self.free == NONE {
            self.nodes.push(fresh);
            return u32::try_from(self.nodes.len() - 1).expect("queues are bounded far below 2^32 nodes");
        }
        let id = self.free;
        self.free = self.nodes[id as usize].next;
        self.nodes[id as usize] = fresh;
        id
    }

    /// Nodes that no queue has.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        std::iter::successors(Some(self.free), |id| Some(self.nodes.get(*id as usize)?.next))
            .take_while(|id| *id != NONE)
            .count()
    }

    /// Nodes in all.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn give_back(&mut self, id: u32) {
        self.nodes[id as usize].next = self.free;
        self.free = id;
    }
}

/// First in, first out; the front run stands in the queue itself, the others in nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    front: Run,
    head: u32,
    tail: u32,
    read: u8,
    len: u32,
}

impl Queue {
    pub(super) const EMPTY: Self =
        Self { front: Run { start: 0, len: 0 }, head: NONE, tail: NONE, read: 0, len: 0 };

    /// How many sequence numbers wait.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The oldest sequence number.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.front.start)
    }

    /// The newest sequence number.
    pub(super) fn last(&self, pool: &NodePool) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let run = if self.tail == NONE {
            self.front
        } else {
            let node = &pool.nodes[self.tail as usize];
            node.runs[usize::from(node.used) - 1]
        };
        Some(run.end() - 1)
    }

    /// Appends `seq`, which is above all that wait.
    pub(super) fn push(&mut self, pool: &mut NodePool, seq: u64) {
        debug_assert!(self.last(pool).is_none_or(|last| last < seq), "a lane's queue is ascending");
        self.len += 1;
        if self.len == 1 {
            self.front = Run { start: seq, len: 1 };
            return;
        }
        if self.tail == NONE {
            if self.front.end() == seq {
                self.front.len += 1;
                return;
            }
            self.tail = pool.take();
            self.head = self.tail;
            self.read = 0;
        }
        let tail = &mut pool.nodes[self.tail as usize];
        if let Some(last) = tail.runs[..usize::from(tail.used)].last_mut()
            && last.end() == seq
        {
            last.len += 1;
            return;
        }
        if usize::from(tail.used) == RUNS_PER_NODE {
            let fresh = pool.take();
            pool.nodes[self.tail as usize].next = fresh;
            self.tail = fresh;
        }
        let tail = &mut pool.nodes[self.tail as usize];
        tail.runs[usize::from(tail.used)] = Run { start: seq, len: 1 };
        tail.used += 1;
    }

    /// Removes the oldest `count`, of which there must be so many.
    pub(super) fn pop(&mut self, pool: &mut NodePool, mut count: u32) {
        assert!(count <= self.len, "only what waits is popped");
        while 0 < count {
            let step = count.min(self.front.len);
            self.front.start += u64::from(step);
            self.front.len -= step;
            self.len -= step;
            count -= step;
            if self.front.len == 0 {
                self.refill_front(pool);
            }
        }
    }

    fn refill_front(&mut self, pool: &mut NodePool) {
        if self.head == NONE {
            return;
        }
        let node = &pool.nodes[self.head as usize];
        self.front = node.runs[usize::from(self.read)];
        self.read += 1;
        if self.read == node.used {
            let next = node.next;
            pool.give_back(self.head);
            self.head = next;
            self.read = 0;
            if next == NONE {
                self.tail = NONE;
            }
        }
    }

    /// Whether it takes one node at most.
    pub(super) const fn is_short(&self) -> bool {
        self.head == self.tail
    }

    /// The same once more, of a queue that is short.
    pub(super) fn copy(&self, pool: &mut NodePool) -> Self {
        debug_assert!(self.is_short(), "long queues are not copied");
        if self.head == NONE {
            return *self;
        }
        let node = pool.take();
        pool.nodes[node as usize] = pool.nodes[self.head as usize].clone();
        Self { head: node, tail: node, ..*self }
    }

    /// Empties the queue and gives its nodes back.
    pub(super) fn clear(&mut self, pool: &mut NodePool) {
        self.pop(pool, self.len);
        *self = Self::EMPTY;
    }

    /// How many nodes it takes.
    pub(super) fn nodes(&self, pool: &NodePool) -> usize {
        let mut id = self.head;
        std::iter::from_fn(|| {
            let node = pool.nodes.get(id as usize)?;
            id = node.next;
            Some(())
        })
        .count()
    }

    /// The runs in order.
    pub(super) fn runs<'a>(&self, pool: &'a NodePool) -> Runs<'a> {
        Runs { pool, front: (!self.is_empty()).then_some(self.front), node: self.head, read: self.read }
    }
}

/// Iterates the runs of a queue.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    pool: &'a NodePool,
    front: Option<Run>,
    node: u32,
    read: u8,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if let Some(front) = self.front.take() {
            return Some(front);
        }
        if self.node == NONE {
            return None;
        }
        let node = &self.pool.nodes[self.node as usize];
        let run = node.runs[usize::from(self.read)];
        self.read += 1;
        if self.read == node.used {
            self.node = node.next;
            self.read = 0;
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn contents(queue: &Queue, pool: &NodePool) -> Vec<u64> {
        queue.runs(pool).flat_map(|run| run.start..run.end()).collect()
    }

    #[test]
    fn neighbours_take_no_node() {
        let (mut pool, mut queue) = (NodePool::new(), Queue::EMPTY);
        (10..1000).for_each(|seq| queue.push(&mut pool, seq));
        assert!(pool.nodes.is_empty());
        assert_eq!(queue.len(), 990);
    }

    proptest! {
        #[test]
        fn a_queue_is_a_deque_whose_nodes_return_to_the_pool(
            steps in prop::collection::vec((prop::bool::weighted(0.6), 1u64..4, 0u32..6), 0..300)
        ) {
            let (mut pool, mut queue, mut model) = (NodePool::new(), Queue::EMPTY, VecDeque::new());
            let mut seq = 0;
            for (push, skip, pops) in steps {
                if push {
                    seq += skip;
                    queue.push(&mut pool, seq);
                    model.push_back(seq);
                } else {
                    let pops = pops.min(queue.len());
                    queue.pop(&mut pool, pops);
                    model.drain(..pops as usize);
                }
                prop_assert_eq!(contents(&queue, &pool), Vec::from(model.clone()));
                prop_assert_eq!(queue.first(), model.front().copied());
                prop_assert_eq!(queue.last(&pool), model.back().copied());
            }
            queue.clear(&mut pool);
            prop_assert_eq!(pool.free(), pool.len());
        }
    }
}
