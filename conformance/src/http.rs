//! HTTP/1.1 by hand: what is sent is known to the byte, what comes back is read strictly.
//!
//! A library would repair or refuse most of the requests that the checks are about.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::lab::Server;
use crate::outcome::{Outcome, ensure, fail, same, within};

/// A request in the making, with `Host` and, where there is a body, `Content-Length`.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A `POST` of events to be published.
    pub(crate) fn publish(body: &Value) -> Self {
        Self::new("POST", "/v1/events").body("application/json", body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// `Authorization: Bearer`.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        if content_type.is_empty() { self } else { self.header("Content-Type", content_type) }
    }

    /// The bytes of the request.
    pub(crate) fn encode(&self, server: &Server) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", server.address));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Sends it on a connection of its own and reads the answer.
    pub(crate) async fn send(&self, server: &Server) -> Outcome<Response> {
        let mut connection = Connection::open(server).await?;
        connection.send(&self.encode(server)).await?;
        if self.method == "HEAD" { connection.head().await } else { connection.response().await }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Outcome<Value> {
        match serde_json::from_slice(&self.body) {
            Ok(value) => Ok(value),
            Err(error) => fail!("status {}, body is not JSON ({error}): {}", self.status, self.text()),
        }
    }

    /// The body of a success.
    pub(crate) fn success(&self) -> Outcome<Value> {
        same!(self.status, 200, "status of {}", self.text());
        self.json()
    }

    /// The RFC 9457 body of a refusal with this status.
    pub(crate) fn problem(&self, status: u16) -> Outcome<Value> {
        same!(self.status, status, "status of {}", self.text());
        let kind = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
        ensure!(kind.starts_with("application/problem+json"), "{status} came as {kind:?}");
        let body = self.json()?;
        ensure!(body.is_object(), "a problem is an object, not {body}");
        ensure!(body["status"].is_null() || body["status"] == status, "status {status} says {body}");
        ensure!(body["title"].is_string() || body["type"].is_string(), "neither title nor type in {body}");
        Ok(body)
    }
}

/// Every fault that a refusal lists: the event's index and the JSON path.
pub(crate) fn faults(body: &Value) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    collect_faults(body, &mut found);
    found
}

fn collect_faults(value: &Value, found: &mut Vec<(u64, String)>) {
    match value {
        Value::Object(object) => {
            if let Some(path) = object.get("path").and_then(Value::as_str) {
                let index = object.get("index").and_then(Value::as_u64).unwrap_or_default();
                found.push((index, path.to_owned()));
            }
            object.values().for_each(|value| collect_faults(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_faults(value, found)),
        _ => {}
    }
}

/// A TCP connection on which requests and answers follow one another.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Outcome<Self> {
        let stream =
            within("a TCP connection", async { Ok(TcpStream::connect(server.address).await?) }).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Outcome {
        within("the server to take bytes", async { Ok(self.stream.get_mut().write_all(bytes).await?) }).await
    }

    /// Sends what the server may refuse half-way: that it stopped reading is no failure.
    pub(crate) async fn send_what_goes(&mut self, bytes: &[u8]) {
        let _refused_in_the_middle = self.send(bytes).await;
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &Request, server: &Server) -> Outcome<Response> {
        self.send(&request.encode(server)).await?;
        self.response().await
    }

    /// The next answer, body included.
    pub(crate) async fn response(&mut self) -> Outcome<Response> {
        let mut response = self.head().await?;
        let chunked =
            response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            while let Some(mut chunk) = self.chunk().await? {
                response.body.append(&mut chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.trim().parse()?;
            ensure!(length <= 64 << 20, "an answer of {length} bytes");
            response.body = self.exactly(length).await?;
        } else if !(response.status < 200 || response.status == 204 || response.status == 304) {
            response.body = self.rest().await?;
        }
        Ok(response)
    }

    /// The next answer's status and header fields.
    pub(crate) async fn head(&mut self) -> Outcome<Response> {
        let first = self.line().await?;
        let mut words = first.splitn(3, ' ');
        ensure!(words.next() == Some("HTTP/1.1"), "an answer that begins with {first:?}");
        let status = words.next().unwrap_or_default().parse()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(Response { status, headers, body: Vec::new() });
            }
            let Some((name, value)) = line.split_once(':') else { fail!("a header line {line:?}") };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The next chunk of a chunked body; none at its end.
    pub(crate) async fn chunk(&mut self) -> Outcome<Option<Vec<u8>>> {
        let line = self.line().await?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
        ensure!(size <= 64 << 20, "a chunk of {size} bytes");
        let chunk = self.exactly(size).await?;
        let end = self.line().await?;
        same!(end, "", "end of a chunk");
        Ok((size != 0).then_some(chunk))
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Outcome<Vec<u8>> {
        within("the rest of an answer", async {
            let mut bytes = vec![0; length];
            self.stream.read_exact(&mut bytes).await?;
            Ok(bytes)
        })
        .await
    }

    /// Everything until the server closes; a reset counts as a close.
    pub(crate) async fn rest(&mut self) -> Outcome<Vec<u8>> {
        within("the server to close", async {
            let mut bytes = Vec::new();
            let _reset = self.stream.read_to_end(&mut bytes).await;
            Ok(bytes)
        })
        .await
    }

    /// Waits until the server has closed, and fails if it says something before.
    pub(crate) async fn closed(&mut self) -> Outcome {
        let rest = self.rest().await?;
        ensure!(rest.is_empty(), "{:?} instead of the end", String::from_utf8_lossy(&rest));
        Ok(())
    }

    /// Tells the server that nothing more will be sent, and goes on reading.
    pub(crate) async fn finish(&mut self) -> Outcome {
        Ok(self.stream.get_mut().shutdown().await?)
    }

    async fn line(&mut self) -> Outcome<String> {
        within("a line of an answer", async {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).await?;
            ensure!(!line.is_empty(), "the server closed instead of answering");
            let Some(line) = line.strip_suffix(b"\r\n") else {
                fail!("a line without CRLF: {:?}", String::from_utf8_lossy(&line))
            };
            Ok(String::from_utf8_lossy(line).into_owned())
        })
        .await
    }
}

/// One block of a stream of Server-Sent Events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<String>,
}

impl Block {
    pub(crate) fn json(&self) -> Outcome<Value> {
        Ok(serde_json::from_str(self.data.as_deref().unwrap_or_default())?)
    }
}

/// `GET /v1/stream`, open.
#[derive(Debug)]
pub(crate) struct EventStream {
    connection: Connection,
    chunked: bool,
    buffer: String,
}

impl EventStream {
    /// Sends the request and reads the head; fails unless it is a stream.
    pub(crate) async fn open(request: &Request, server: &Server) -> Outcome<Self> {
        let mut connection = Connection::open(server).await?;
        connection.send(&request.encode(server)).await?;
        let head = connection.head().await?;
        same!(head.status, 200, "status of the stream");
        let kind = head.header("content-type").unwrap_or_default();
        ensure!(kind.starts_with("text/event-stream"), "a stream came as {kind:?}");
        let chunked =
            head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        Ok(Self { connection, chunked, buffer: String::new() })
    }

    /// The next block; none once the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Block>> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let text: String = self.buffer.drain(..end + 2).collect();
                let block = parse_block(&text);
                if block.id.is_some() || block.event.is_some() || block.data.is_some() {
                    return Ok(Some(block));
                }
                continue;
            }
            let bytes = if self.chunked { self.connection.chunk().await? } else { self.some().await? };
            let Some(bytes) = bytes else { return Ok(None) };
            self.buffer.push_str(&String::from_utf8(bytes)?);
        }
    }

    /// The next block with an `event` message, as that message and the block's id.
    pub(crate) async fn event(&mut self) -> Outcome<(Value, String)> {
        loop {
            let Some(block) = self.next().await? else { fail!("the stream ended before an event") };
            if block.data.is_some() && block.event.is_none() {
                let Some(id) = block.id.clone() else { fail!("a block without id: {block:?}") };
                return Ok((block.json()?, id));
            }
        }
    }

    async fn some(&mut self) -> Outcome<Option<Vec<u8>>> {
        within("more of the stream", async {
            let bytes = self.connection.stream.fill_buf().await?.to_vec();
            self.connection.stream.consume(bytes.len());
            Ok((!bytes.is_empty()).then_some(bytes))
        })
        .await
    }
}

/// Reads one block, without the empty line at its end.
pub(crate) fn parse_block(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "id" => block.id = Some(value),
            "event" => block.event = Some(value),
            "data" => match &mut block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(&value);
                }
                None => block.data = Some(value),
            },
            _ => {}
        }
    }
    block
}

/// Text as it may stand in a query.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::net::TcpListener;

    /// A server that answers everything with these bytes, and then closes.
    async fn fake(answer: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        Server::external(address, "secret", "key")
    }

    #[tokio::test]
    async fn an_answer_with_a_length_is_read_to_its_length() {
        let server = fake("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}rest").await;
        assert_eq!(Request::get("/").send(&server).await.unwrap().success().unwrap(), json!({"a": 1}));
    }

    #[tokio::test]
    async fn a_chunked_answer_is_put_together() {
        let server =
            fake("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n")
                .await;
        assert_eq!(Request::get("/").send(&server).await.unwrap().text(), "abc");
    }

    #[tokio::test]
    async fn a_stream_is_cut_into_blocks_and_ends() {
        let server = fake(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\nid: e.1.1.1.1\n\nid: e.1.1.2.1\ndata: {\"offset\":2}\n\nevent: gap\nid: x\ndata: {}\n\n",
        )
        .await;
        let mut stream = EventStream::open(&Request::get("/v1/stream"), &server).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().id.as_deref(), Some("e.1.1.1.1"));
        let (event, id) = stream.event().await.unwrap();
        assert_eq!((event["offset"].as_u64(), &*id), (Some(2), "e.1.1.2.1"));
        assert_eq!(stream.next().await.unwrap().unwrap().event.as_deref(), Some("gap"));
        assert!(stream.next().await.unwrap().is_none());
    }

    #[test]
    fn faults_are_found_wherever_they_stand() {
        let body = json!({"errors": [{"index": 1, "path": "$.data.title"}, {"index": 3, "path": "$.type"}]});
        assert_eq!(faults(&body), [(1, "$.data.title".to_owned()), (3, "$.type".to_owned())]);
    }
}
