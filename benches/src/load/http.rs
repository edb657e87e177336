//! What a server answers over HTTP, as far as a load generator cares: how many responses, and with which status.

/// Fields of a response at most.
const FIELDS: usize = 64;

/// Bytes of a response begun in an earlier read.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    held: Vec<u8>,
}

impl Responses {
    /// Gives the status of every whole response; one that is no response, or has no length, is status 0.
    pub(crate) fn read(&mut self, bytes: &[u8], mut response: impl FnMut(u16)) {
        self.held.extend_from_slice(bytes);
        let mut read = 0;
        while let Some((status, length)) = split(&self.held[read..]) {
            response(status);
            read += length;
        }
        self.held.drain(..read);
    }
}

/// The first response's status and length, if it is whole.
fn split(bytes: &[u8]) -> Option<(u16, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some((0, bytes.len())),
    };
    let status = response.code.unwrap_or(0);
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<usize>().ok());
    let Some(length) = length else { return Some((0, bytes.len())) };
    (head + length <= bytes.len()).then_some((status, head + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_the_same_however_the_bytes_are_cut() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
        for piece in 1..bytes.len() {
            let (mut responses, mut got) = (Responses::default(), Vec::new());
            bytes.chunks(piece).for_each(|piece| responses.read(piece, |status| got.push(status)));
            assert_eq!(got, [200, 503]);
        }
    }
}
