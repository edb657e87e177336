//! The header values of the CloudEvents HTTP binding's binary mode (§3.1.3.2): quoted strings unescaped, then
//! one round of percent-decoding.

use std::borrow::Cow;

/// The attribute's value that the header value `sent` stands for, or what is wrong with it.
pub(super) fn decode(sent: &str) -> Result<Cow<'_, str>, &'static str> {
    // A head reads bytes that are not UTF-8 as this character, and so two ids could become one.
    if sent.contains(char::REPLACEMENT_CHARACTER) {
        return Err("has bytes that are not UTF-8; percent-encode what is not ASCII");
    }
    let unquoted = unquote(sent)?;
    if !unquoted.contains('%') {
        return Ok(unquoted);
    }
    let mut decoded = Vec::with_capacity(unquoted.len());
    let mut rest = unquoted.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err(NOT_PERCENT_ENCODED) };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Err(NOT_PERCENT_ENCODED) };
        decoded.push(high << 4 | low);
        rest = tail;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| "is not UTF-8 once percent-decoded")
}

const NOT_PERCENT_ENCODED: &str = "has a % that two hexadecimal digits do not follow";

fn digit(char: u8) -> Option<u8> {
    char::from(char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The content of a quoted string (RFC 9110 §5.6.4); other values as they are.
fn unquote(sent: &str) -> Result<Cow<'_, str>, &'static str> {
    let Some(quoted) = sent.strip_prefix('"') else { return Ok(Cow::Borrowed(sent)) };
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    loop {
        match chars.next() {
            Some('"') if chars.as_str().is_empty() => return Ok(Cow::Owned(text)),
            Some('\\') => text.push(chars.next().ok_or(NOT_CLOSED)?),
            None | Some('"') => return Err(NOT_CLOSED),
            Some(char) => text.push(char),
        }
    }
}

const NOT_CLOSED: &str = "is not one quoted string";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted_then_percent_decoded_once() {
        for (sent, value) in [
            ("plain", "plain"),
            ("", ""),
            ("Euro%20%E2%82%AC", "Euro €"),
            ("100%2525", "100%25"),
            (r#""a \"b\" %20""#, "a \"b\"  "),
            ("\"\"", ""),
            ("%EF%BF%BD", "\u{fffd}"),
        ] {
            assert_eq!(decode(sent).unwrap(), value);
        }
        for sent in ["%", "%2", "%zz", "%+1", "%ff", "%C0%80", "\"", "\"a\"b", "\"\\", "caf\u{fffd}"] {
            assert!(decode(sent).is_err(), "{sent}");
        }
    }
}
