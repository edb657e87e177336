//! Who has a definition: a list that holds its usual single member in place, and is left in constant time.

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

/// One or more members. One costs no allocation; more cost a vector, which shrinks as they leave.
#[derive(Debug)]
pub(super) enum Members {
    One(Member),
    Many(Vec<Member>),
}

impl Members {
    /// The members in order.
    pub(super) fn as_slice(&self) -> &[Member] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Adds a member at the end and returns its position.
    pub(super) fn push(&mut self, member: Member) -> usize {
        match self {
            Self::One(one) => {
                *self = Self::Many(vec![*one, member]);
                1
            }
            Self::Many(many) => {
                many.push(member);
                many.len() - 1
            }
        }
    }

    /// Removes the member at `position` and puts the last one in its place.
    pub(super) fn swap_remove(&mut self, position: usize) -> Removed {
        let Self::Many(many) = self else { return Removed::Last };
        many.swap_remove(position);
        let moved = many.get(position).copied();
        if let [one] = many[..] {
            *self = Self::One(one);
        } else {
            give_back(many);
        }
        moved.map_or(Removed::End, Removed::Moved)
    }
}

/// Gives back what a list that was left does not need. It happens so seldom that leaving takes constant time, and
/// leaves room to grow.
pub(super) fn give_back<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// What became of a list that a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// It was the only member: the list is to be dropped.
    Last,
    /// It stood at the end, no other member moved.
    End,
    /// This member stands at its position since.
    Moved(Member),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(slot: u32) -> Member {
        Member { slot, tag: 0, from: Offset::ZERO }
    }

    #[test]
    fn a_list_keeps_who_did_not_leave_and_tells_who_moved() {
        let mut members = Members::One(member(0));
        (1..100).for_each(|slot| assert_eq!(members.push(member(slot)), slot as usize));
        assert_eq!(members.swap_remove(0), Removed::Moved(member(99)));
        assert_eq!(members.swap_remove(98), Removed::End);
        (0..97).for_each(|_| assert!(matches!(members.swap_remove(0), Removed::Moved(_))));
        assert!(matches!(members, Members::One(_)));
        assert_eq!(members.swap_remove(0), Removed::Last);
    }

    #[test]
    fn a_list_that_many_have_left_has_given_memory_back_in_few_steps() {
        let mut members = Members::One(member(0));
        (1..1000).for_each(|slot| assert_eq!(members.push(member(slot)), slot as usize));
        let (mut before, mut steps) = (1024, 0);
        while let Members::Many(many) = &members {
            assert!(many.capacity() <= 4 * many.len() + 4, "room for {} of {}", many.capacity(), many.len());
            if many.capacity() != before {
                assert!(2 * many.len() <= many.capacity(), "there is room to grow");
                steps += 1;
            }
            before = many.capacity();
            members.swap_remove(0);
        }
        assert!(steps <= 10, "{steps} steps");
    }

    #[test]
    fn a_list_of_one_member_takes_three_words() {
        assert_eq!(size_of::<Member>(), 16);
        assert_eq!(size_of::<Members>(), 24);
    }
}
