//! A client of the protocol on tokio-tungstenite that distrusts the server.
//!
//! It keeps the position of PROTOCOL §5 and fails a check by itself when an event repeats, or stands
//! out of order in its lane.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::events::LANES;
use crate::http::Response;
use crate::lab::Server;
use crate::outcome::{Outcome, ensure, fail, same, within};

/// How a connection is opened.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    target: String,
    headers: Vec<(String, String)>,
    receive_buffer: Option<u32>,
}

/// What became of an upgrade.
#[derive(Debug)]
pub(crate) enum Upgrade {
    Open(Box<Client>),
    Refused(Response),
}

impl Dial {
    pub(crate) fn new(target: &str) -> Self {
        Self { target: target.into(), headers: Vec::new(), receive_buffer: None }
    }

    /// `/?token=`
    pub(crate) fn query(token: &str) -> Self {
        Self::new(&format!("/?token={token}"))
    }

    /// `Authorization: Bearer`
    pub(crate) fn bearer(token: &str) -> Self {
        Self::new("/").header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// `Sec-WebSocket-Protocol`
    pub(crate) fn protocols(self, value: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", value)
    }

    pub(crate) fn origin(self, value: &str) -> Self {
        self.header("Origin", value)
    }

    /// Bounds what the kernel takes for a client that does not read.
    pub(crate) fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Upgrades, and waits for nothing more.
    pub(crate) async fn upgrade(&self, server: &Server) -> Outcome<Upgrade> {
        let mut request = format!("ws://{}{}", server.address, self.target).into_client_request()?;
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse()?;
            request.headers_mut().append(name, HeaderValue::from_str(value)?);
        }
        let stream = within("a TCP connection", connect(server.address, self.receive_buffer)).await?;
        within("the upgrade", async {
            match tokio_tungstenite::client_async(request, stream).await {
                Ok((socket, response)) => {
                    let header = response.headers().get("Sec-WebSocket-Protocol");
                    let protocol = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
                    Ok(Upgrade::Open(Box::new(Client::new(socket, protocol))))
                }
                Err(Error::Http(response)) => {
                    let status = response.status().as_u16();
                    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
                    let headers = response.headers().iter();
                    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
                    Ok(Upgrade::Refused(Response { status, headers, body: Vec::new() }))
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Upgrades, and reads `welcome`.
    pub(crate) async fn open(&self, server: &Server) -> Outcome<Client> {
        let mut client = self.upgraded(server).await?;
        let first = client.next().await?;
        same!(first["type"], "welcome", "first message {first}");
        client.position.epoch = first["epoch"].as_str().unwrap_or_default().to_owned();
        client.welcome = first;
        Ok(client)
    }

    /// Upgrades, and must not be refused by HTTP.
    pub(crate) async fn upgraded(&self, server: &Server) -> Outcome<Client> {
        match self.upgrade(server).await? {
            Upgrade::Open(client) => Ok(*client),
            Upgrade::Refused(response) => fail!("upgrade answered with {}", response.status),
        }
    }

    /// The answer of an upgrade that must be refused by HTTP.
    pub(crate) async fn refused(&self, server: &Server) -> Outcome<Response> {
        match self.upgrade(server).await? {
            Upgrade::Open(_) => fail!("upgrade was not refused"),
            Upgrade::Refused(response) => Ok(response),
        }
    }

    /// Upgrades; the only frame must be a Close with this code.
    pub(crate) async fn closed_with(&self, server: &Server, code: u16) -> Outcome {
        let mut client = self.upgraded(server).await?;
        match client.receive().await? {
            Incoming::Closed(found) => same!(found, Some(code), "close code"),
            Incoming::Message(message, _) => fail!("{message} came before Close {code}"),
            Incoming::Ping => fail!("a Ping came before Close {code}"),
        }
        Ok(())
    }
}

async fn connect(address: SocketAddr, receive_buffer: Option<u32>) -> Outcome<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a client that resumes gives back: PROTOCOL §5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) lanes: [u64; 4],
}

impl Position {
    pub(crate) fn everywhere(epoch: &str, offset: u64) -> Self {
        Self { epoch: epoch.to_owned(), lanes: [offset; 4] }
    }

    pub(crate) fn json(&self) -> Value {
        let [critical, high, normal, low] = self.lanes;
        json!({"epoch": self.epoch,
            "lanes": {"critical": critical, "high": high, "normal": normal, "low": low}})
    }
}

/// The four numbers of a `lanes` object.
pub(crate) fn lanes_of(value: &Value) -> Outcome<[u64; 4]> {
    let mut lanes = [0; 4];
    for (held, name) in lanes.iter_mut().zip(LANES) {
        let Some(offset) = value[name].as_u64() else { fail!("no number for {name} in {value}") };
        *held = offset;
    }
    Ok(lanes)
}

fn lane_index(name: &Value) -> Outcome<usize> {
    match LANES.iter().position(|lane| name == lane) {
        Some(index) => Ok(index),
        None => fail!("{name} is no lane"),
    }
}

/// One thing that came from the server.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text message, and how it was written.
    Message(Value, String),
    Ping,
    /// The Close frame's code; none where the connection ended without one.
    Closed(Option<u16>),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Messages that arrived while a reply was awaited.
    held: VecDeque<(Value, String)>,
    pub(crate) welcome: Value,
    /// The subprotocol that the server selected.
    pub(crate) protocol: Option<String>,
    pub(crate) position: Position,
    begun: bool,
    requests: u64,
}

impl Client {
    fn new(socket: WebSocketStream<TcpStream>, protocol: Option<String>) -> Self {
        let position = Position::default();
        Self {
            socket,
            held: VecDeque::new(),
            welcome: Value::Null,
            protocol,
            position,
            begun: false,
            requests: 0,
        }
    }

    /// Connects with everything allowed but administration.
    pub(crate) async fn full(server: &Server) -> Outcome<Self> {
        Dial::query(&server.full_token()?).open(server).await
    }

    pub(crate) fn connection_id(&self) -> &str {
        self.welcome["connection"].as_str().unwrap_or_default()
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.position.epoch
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: &Value) -> Outcome {
        self.send_frame(Message::text(message.to_string())).await
    }

    /// Sends one frame.
    pub(crate) async fn send_frame(&mut self, frame: Message) -> Outcome {
        within("the server to take a frame", async { Ok(self.socket.send(frame).await?) }).await
    }

    /// Whatever comes next from the socket.
    pub(crate) async fn receive(&mut self) -> Outcome<Incoming> {
        within("a frame", async {
            loop {
                return Ok(match self.socket.next().await {
                    None | Some(Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_))) => {
                        Incoming::Closed(None)
                    }
                    Some(Err(error)) => return Err(error.into()),
                    Some(Ok(Message::Close(frame))) => {
                        // The answering Close is sent and the end of the stream taken in.
                        while let Some(Ok(_)) = self.socket.next().await {}
                        Incoming::Closed(frame.map(|frame| frame.code.into()))
                    }
                    Some(Ok(Message::Ping(_))) => Incoming::Ping,
                    Some(Ok(Message::Text(text))) => {
                        let value = serde_json::from_str(&text)?;
                        self.learn(&value)?;
                        Incoming::Message(value, text.to_string())
                    }
                    Some(Ok(Message::Binary(bytes))) => fail!("a binary frame of {} bytes", bytes.len()),
                    Some(Ok(_)) => continue,
                });
            }
        })
        .await
    }

    /// Moves the position, and holds the server to the order that PROTOCOL §5 promises.
    fn learn(&mut self, message: &Value) -> Outcome {
        match message["type"].as_str() {
            Some("event") => {
                let lane = lane_index(&message["lane"])?;
                let Some(offset) = message["offset"].as_u64() else { fail!("no offset in {message}") };
                let before = self.position.lanes[lane];
                ensure!(before < offset, "{offset} of lane {} after {before}", LANES[lane]);
                ensure!(offset < 1 << 53, "offset {offset} is beyond 2^53-1");
                self.position.lanes[lane] = offset;
            }
            Some("heartbeat") => self.raise(lanes_of(&message["lanes"])?),
            Some("gap") => {
                let lane = lane_index(&message["lane"])?;
                let Some(until) = message["until"].as_u64() else { fail!("no until in {message}") };
                self.position.lanes[lane] = self.position.lanes[lane].max(until);
            }
            Some("subscribed") if !self.begun => {
                let Some(offset) = message["offset"].as_u64() else { fail!("no offset in {message}") };
                self.begun = true;
                self.raise([offset; 4]);
            }
            Some("resumed") => {
                self.begun = true;
                self.position.epoch = message["position"]["epoch"].as_str().unwrap_or_default().to_owned();
                self.position.lanes = lanes_of(&message["position"]["lanes"])?;
            }
            Some(_) => {}
            None => fail!("a message without type: {message}"),
        }
        Ok(())
    }

    fn raise(&mut self, lanes: [u64; 4]) {
        for (held, new) in self.position.lanes.iter_mut().zip(lanes) {
            *held = (*held).max(new);
        }
    }

    /// The next message, heartbeats left out, as it was written.
    pub(crate) async fn next_text(&mut self) -> Outcome<(Value, String)> {
        if let Some(message) = self.held.pop_front() {
            return Ok(message);
        }
        loop {
            match self.receive().await? {
                Incoming::Message(message, text) if message["type"] != "heartbeat" => {
                    return Ok((message, text));
                }
                Incoming::Message(..) | Incoming::Ping => {}
                Incoming::Closed(code) => fail!("closed with {code:?} instead of a message"),
            }
        }
    }

    /// The next message, heartbeats left out.
    pub(crate) async fn next(&mut self) -> Outcome<Value> {
        Ok(self.next_text().await?.0)
    }

    /// The next message, which must be of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Outcome<Value> {
        let message = self.next().await?;
        same!(message["type"], kind, "type of {message}");
        Ok(message)
    }

    /// The next message, which must be an event.
    pub(crate) async fn event(&mut self) -> Outcome<Value> {
        self.expect("event").await
    }

    /// The next messages, all events: their `newValue`s.
    pub(crate) async fn values(&mut self, count: usize) -> Outcome<Vec<Value>> {
        Ok(self.events(count).await?.iter().map(value_of).collect())
    }

    /// The next messages, all events.
    pub(crate) async fn events(&mut self, count: usize) -> Outcome<Vec<Value>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.event().await?);
        }
        Ok(events)
    }

    /// Messages up to and with the first that satisfies.
    pub(crate) async fn until(&mut self, mut satisfies: impl FnMut(&Value) -> bool) -> Outcome<Vec<Value>> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await?;
            let last = satisfies(&message);
            messages.push(message);
            if last {
                return Ok(messages);
            }
        }
    }

    /// Sends a message, with an `id` where it has none, and gives the reply of that `id`; what comes
    /// in between is kept for later.
    pub(crate) async fn request(&mut self, mut message: Value) -> Outcome<Value> {
        if message["id"].is_null() {
            self.requests += 1;
            message["id"] = json!(format!("r{}", self.requests));
        }
        self.send(&message).await?;
        loop {
            match self.receive().await? {
                Incoming::Message(reply, text) => {
                    if reply["id"] == message["id"] && reply["type"] != "event" {
                        return Ok(reply);
                    }
                    if reply["type"] != "heartbeat" {
                        self.held.push_back((reply, text));
                    }
                }
                Incoming::Ping => {}
                Incoming::Closed(code) => fail!("closed with {code:?} instead of a reply to {message}"),
            }
        }
    }

    /// Sends a message and gives its reply, which must be an `error` with this code.
    pub(crate) async fn error(&mut self, message: Value, code: &str) -> Outcome<Value> {
        let sent = message.to_string();
        let shown: String = sent.chars().take(200).collect();
        let reply = self.request(message).await?;
        same!(reply["type"], "error", "reply to {shown}: {reply}");
        same!(reply["code"], code, "code of the reply to {shown}: {reply}");
        ensure!(reply["message"].is_string(), "an error without message: {reply}");
        Ok(reply)
    }

    /// Subscribes, and gives the offset at which that begins.
    pub(crate) async fn subscribe(&mut self, id: &str, events: &[&str], filter: Value) -> Outcome<u64> {
        let reply =
            self.request(json!({"type": "subscribe", "id": id, "events": events, "filter": filter})).await?;
        same!(reply["type"], "subscribed", "reply {reply}");
        let Some(offset) = reply["offset"].as_u64() else { fail!("no offset in {reply}") };
        Ok(offset)
    }

    /// Subscribes to every event whose `settingKey` is the mark.
    pub(crate) async fn follow(&mut self, mark: &str) -> Outcome<u64> {
        self.subscribe(mark, &["settings.updated"], json!({"settingKey": mark})).await
    }

    /// Resumes one subscription to the mark.
    pub(crate) async fn resume(&mut self, since: &Position, mark: &str, from: u64) -> Outcome<Value> {
        let subscription =
            json!({"id": mark, "from": from, "events": ["settings.updated"], "filter": {"settingKey": mark}});
        let message = json!({"type": "resume", "since": since.json(), "subscriptions": [subscription]});
        let reply = self.request(message).await?;
        same!(reply["type"], "resumed", "reply {reply}");
        Ok(reply)
    }

    /// Waits until the server closes; messages before are passed over.
    pub(crate) async fn closed(&mut self) -> Outcome<Option<u16>> {
        loop {
            if let Incoming::Closed(code) = self.receive().await? {
                return Ok(code);
            }
        }
    }

    /// Waits until the server closes with this code.
    pub(crate) async fn closed_with(&mut self, code: u16) -> Outcome {
        let found = self.closed().await?;
        same!(found, Some(code), "close code");
        Ok(())
    }

    /// Still served: a `ping` is answered.
    pub(crate) async fn alive(&mut self) -> Outcome {
        let reply = self.request(json!({"type": "ping"})).await?;
        same!(reply["type"], "pong", "reply to a ping {reply}");
        Ok(())
    }

    /// Drops the connection without a word, and gives the position.
    pub(crate) fn break_off(self) -> Position {
        self.position
    }
}

/// An event message's `newValue`.
pub(crate) fn value_of(message: &Value) -> Value {
    message["event"]["data"]["newValue"].clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Fault;
    use tokio::net::TcpListener;

    /// A server that sends these messages to its one client, and then answers the first with a Close.
    async fn fake(messages: Vec<Value>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            for message in messages {
                socket.send(Message::text(message.to_string())).await.unwrap();
            }
            let _ = socket.close(None).await;
        });
        Server::external(address, "secret", "key")
    }

    fn event(offset: u64, lane: &str) -> Value {
        json!({"type": "event", "offset": offset, "lane": lane, "event": {"data": {"newValue": offset}}})
    }

    fn welcome() -> Value {
        json!({"type": "welcome", "epoch": "e1", "connection": "c_1"})
    }

    #[tokio::test]
    async fn the_position_is_the_highest_that_each_lane_has_heard_of() {
        let messages = vec![
            welcome(),
            json!({"type": "subscribed", "id": "a", "offset": 5}),
            event(7, "low"),
            event(6, "high"),
            json!({"type": "heartbeat", "lanes": {"critical": 9, "high": 1, "normal": 8, "low": 1}}),
            json!({"type": "gap", "lane": "low", "after": 7, "until": 12, "reason": "expired"}),
            json!({"type": "reconnect", "after": 1}),
        ];
        let mut client = Dial::new("/").open(&fake(messages).await).await.unwrap();
        client.until(|message| message["type"] == "reconnect").await.unwrap();
        assert_eq!(client.break_off(), Position { epoch: "e1".into(), lanes: [9, 6, 8, 12] });
    }

    #[tokio::test]
    async fn a_repeated_event_fails_the_check() {
        let server = fake(vec![welcome(), event(7, "low"), event(7, "high"), event(7, "low")]).await;
        let mut client = Dial::new("/").open(&server).await.unwrap();
        client.values(2).await.unwrap();
        let Err(Fault::Failed(text)) = client.event().await else { panic!("7 came twice") };
        assert_eq!(text, "7 of lane low after 7");
    }

    #[tokio::test]
    async fn a_close_is_told_apart_from_a_message() {
        let server = fake(vec![welcome()]).await;
        let mut client = Dial::new("/").open(&server).await.unwrap();
        assert_eq!(client.closed().await.unwrap(), None);
        assert!(Dial::new("/").closed_with(&fake(vec![welcome()]).await, 4401).await.is_err());
    }
}
