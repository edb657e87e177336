//! Server-Sent Events (WHATWG HTML §9.2): blocks of an event stream. No value can break out of its
//! line, so no data can forge a field.

/// Appends one block: `id` and `event` where given, `data` line by line, and the empty line that ends
/// the block. A block without `data` moves the client's last event id and dispatches nothing.
///
/// Line ends and NUL are dropped from `id` and `event`, which are one line by definition.
pub fn block(out: &mut Vec<u8>, id: Option<&str>, event: Option<&str>, data: Option<&str>) {
    for (name, value) in [("id: ", id), ("event: ", event)] {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            out.extend(value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
            out.push(b'\n');
        }
    }
    let mut rest = data;
    while let Some(text) = rest {
        let (line, next) = split_line(text);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        rest = next;
    }
    out.push(b'\n');
}

/// The first line of `text` and what follows it: CR LF, CR and LF each end a line.
fn split_line(text: &str) -> (&str, Option<&str>) {
    match text.split_once(['\r', '\n']) {
        None => (text, None),
        Some((line, rest)) => {
            let carriage_return = text.as_bytes().get(line.len()) == Some(&b'\r');
            let rest = if carriage_return { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
            (line, Some(rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: Option<&str>, event: Option<&str>, data: Option<&str>) -> String {
        let mut out = Vec::new();
        block(&mut out, id, event, data);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_block_has_its_fields_in_lines() {
        assert_eq!(
            text(Some("e.1.2.3.4"), Some("gap"), Some("{}")),
            "id: e.1.2.3.4\nevent: gap\ndata: {}\n\n"
        );
        assert_eq!(text(Some("7"), None, None), "id: 7\n\n");
        assert_eq!(text(None, None, Some("")), "data: \n\n");
    }

    #[test]
    fn every_line_end_in_data_begins_a_data_line() {
        assert_eq!(
            text(None, None, Some("a\nb\r\nc\rd\n\ne")),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n"
        );
        assert_eq!(text(None, None, Some("a\r\n")), "data: a\ndata: \n\n");
    }

    #[test]
    fn id_and_event_cannot_end_their_line() {
        assert_eq!(text(Some("1\ndata: x"), Some("a\r\nid: 9\0"), None), "id: 1data: x\nevent: aid: 9\n\n");
    }
}
