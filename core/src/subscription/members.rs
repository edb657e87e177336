//! A list that holds its usual single entry in place, and is left in constant time.

use crate::protocol::Offset;

/// One subscription of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The connection's slot in the hub.
    pub slot: u32,
    /// Which of the connection's subscriptions.
    pub tag: u32,
    /// Where the subscription began: it gets only events above this offset.
    pub from: Offset,
}

/// One or more entries. One costs no allocation; more cost a vector, which shrinks as entries leave.
#[derive(Debug)]
pub(super) enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy> Few<T> {
    /// The entries in order.
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Adds an entry at the end and returns its position.
    pub(super) fn push(&mut self, entry: T) -> usize {
        match self {
            Self::One(one) => {
                *self = Self::Many(vec![*one, entry]);
                1
            }
            Self::Many(many) => {
                many.push(entry);
                many.len() - 1
            }
        }
    }

    /// Removes the entry at `position` and puts the last one in its place.
    pub(super) fn swap_remove(&mut self, position: usize) -> Removed<T> {
        let Self::Many(many) = self else { return Removed::Last };
        many.swap_remove(position);
        let moved = many.get(position).copied();
        if let [one] = many[..] {
            *self = Self::One(one);
        } else if many.len() < many.capacity() / 4 {
            many.shrink_to(many.len() * 2);
        }
        moved.map_or(Removed::End, Removed::Moved)
    }
}

/// What became of a list that an entry left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed<T> {
    /// It was the only entry: the list is to be dropped.
    Last,
    /// It stood at the end, no other entry moved.
    End,
    /// This entry stands at its position since.
    Moved(T),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_what_did_not_leave_and_tells_what_moved() {
        let mut few = Few::One(0);
        assert_eq!((1..100).map(|entry| few.push(entry)).collect::<Vec<_>>(), (1..100).collect::<Vec<_>>());
        assert_eq!(few.swap_remove(0), Removed::Moved(99));
        assert_eq!(few.swap_remove(98), Removed::End);
        for _ in 0..97 {
            assert!(matches!(few.swap_remove(0), Removed::Moved(_)));
        }
        assert!(matches!(few, Few::One(_)));
        assert_eq!(few.swap_remove(0), Removed::Last);
    }

    #[test]
    fn a_list_of_one_member_takes_three_words() {
        assert_eq!(size_of::<Member>(), 16);
        assert_eq!(size_of::<Few<Member>>(), 24);
    }
}
