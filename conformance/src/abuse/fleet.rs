//! The good clients: 100 of them follow what one publisher sends, and check every event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::client::{Client, Dial, value_of};
use crate::events::{LANES, marked, unique};
use crate::http::{Connection, Request};
use crate::lab::Server;
use crate::outcome::{Outcome, Within as _, ensure, fail, same};
use crate::tokens::Token;

/// Good clients.
pub(crate) const SIZE: usize = 100;

/// Users that the clients belong to, so that no user has too many connections.
const USERS: usize = 5;

/// Time between two rounds of events, one a lane.
const ROUND: Duration = Duration::from_millis(10);

/// The clients and their publisher at work.
pub(crate) struct Fleet {
    clients: JoinSet<Outcome<usize>>,
    publisher: JoinHandle<Outcome<usize>>,
    stop: Arc<AtomicBool>,
}

impl Fleet {
    /// Connects all, and begins to publish.
    pub(crate) async fn start(server: &Server) -> Outcome<Self> {
        let mark = unique("good");
        let users: [String; USERS] = std::array::from_fn(|_| unique("good-user"));
        let mut clients = JoinSet::new();
        for number in 0..SIZE {
            let token = Token::new(&server.secret, &users[number % USERS]).full().sign()?;
            let mut client = Dial::query(&token).open(server).await?;
            client.follow(&mark).await?;
            clients.spawn(async move { follow(client).await.at(format!("client {number}")) });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = tokio::spawn(publish(server.clone(), mark, Arc::clone(&stop)));
        Ok(Self { clients, publisher, stop })
    }

    /// Stops publishing, waits until every client has everything, and gives the number of events.
    pub(crate) async fn finish(mut self) -> Outcome<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let published = self.publisher.await?.at("the publisher")?;
        while let Some(client) = self.clients.join_next().await {
            let received = client??;
            same!(received, published, "events that a client received");
        }
        Ok(published)
    }
}

/// Receives one lane's numbers in order and without a hole, up to the end of each lane.
async fn follow(mut client: Client) -> Outcome<usize> {
    let mut next = [0_u64; 4];
    let mut open = LANES.len();
    let mut received = 0;
    while open > 0 {
        let message = client.event().await?;
        let Some(lane) = LANES.iter().position(|lane| message["lane"] == *lane) else {
            fail!("lane of {message}")
        };
        received += 1;
        match value_of(&message) {
            Value::Number(number) => {
                let expected = next[lane];
                ensure!(
                    number.as_u64() == Some(expected),
                    "{number} of lane {} where {expected} is due",
                    LANES[lane]
                );
                next[lane] += 1;
            }
            _ => open -= 1,
        }
    }
    Ok(received)
}

/// Publishes a round of events again and again on one connection, and at last the end of each lane.
async fn publish(server: Server, mark: String, stop: Arc<AtomicBool>) -> Outcome<usize> {
    let mut connection = Connection::open(&server).await?;
    let mut published = 0;
    let mut round = 0;
    loop {
        let last = stop.load(Ordering::Relaxed);
        let value = if last { json!("end") } else { json!(round) };
        let events: Vec<_> = LANES.iter().map(|lane| marked(&mark, lane, value.clone())).collect();
        let request = Request::publish(&json!(events)).bearer(&server.api_key);
        connection.ask(&request, &server).await?.success()?;
        published += events.len();
        round += 1;
        if last {
            return Ok(published);
        }
        tokio::time::sleep(ROUND).await;
    }
}
