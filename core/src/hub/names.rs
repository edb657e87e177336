//! Public names of connections: `c_…`, which tell a client nothing and the hub everything.

use crate::protocol::ConnId;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LETTERS: usize = 13;

/// Writes and reads names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names(u64);

impl Names {
    pub(super) const fn new(key: u64) -> Self {
        Self(key)
    }

    /// The name of a connection.
    pub(super) fn write(self, conn: ConnId) -> String {
        let id = (u64::from(conn.generation()) << 32) | conn.slot() as u64;
        let mut rest = id.wrapping_mul(ODD).rotate_left(29) ^ self.0;
        let mut name = String::with_capacity(2 + LETTERS);
        name.push_str("c_");
        for _ in 0..LETTERS {
            name.push(char::from(ALPHABET[usize::try_from(rest % 32).unwrap_or(0)]));
            rest /= 32;
        }
        name
    }

    /// The connection of a name, whether or not it is still there.
    pub(super) fn read(self, name: &str) -> Option<ConnId> {
        let letters = name.strip_prefix("c_").filter(|letters| letters.len() == LETTERS)?;
        let mut value: u64 = 0;
        for letter in letters.bytes().rev() {
            let digit = ALPHABET.iter().position(|known| *known == letter)?;
            value = value.checked_mul(32)?.checked_add(digit as u64)?;
        }
        let id = (value ^ self.0).rotate_right(29).wrapping_mul(ODD_INVERSE);
        let slot = u32::try_from(id & u64::from(u32::MAX)).ok()?;
        Some(ConnId::new(slot, u32::try_from(id >> 32).ok()?))
    }
}

/// Odd, so that multiplying by it can be undone: neighbouring slots get names that are not alike.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
const ODD_INVERSE: u64 = inverse(ODD);

/// The inverse modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut found = odd;
    let mut round = 0;
    while round < 6 {
        found = found.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(found)));
        round += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_connection(slot: u32, generation: u32, key: u64) {
            let (names, conn) = (Names::new(key), ConnId::new(slot, generation));
            let name = names.write(conn);
            prop_assert_eq!(name.len(), 15);
            prop_assert_eq!(names.read(&name), Some(conn));
        }

        #[test]
        fn no_text_panics(text in ".{0,20}", key: u64) {
            let _ = Names::new(key).read(&text);
            let _ = Names::new(key).read(&format!("c_{text}"));
        }
    }
}
