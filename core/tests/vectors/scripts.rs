//! The scripts: every message of the protocol, and what a client makes of it (PROTOCOL §2–5).

use serde_json::json;
use tidings_core::event::Priority;
use tidings_core::protocol::{ErrorCode, ServerMessage};

use super::messages::{
    content, error, event, gap, heartbeat, published, resumed, subscribed, subscribed_with, welcome,
};
use super::script::Script;

pub(crate) fn all() -> Vec<Script> {
    vec![
        first_subscription(),
        subscriptions(),
        position(),
        resume(),
        resume_in_part(),
        another_epoch(),
        publishing(),
        publishing_again(),
        refresh(),
        tokens(),
        draining(),
        silence(),
        network(),
        ignored(),
        stop(),
    ]
}

fn first_subscription() -> Script {
    let mut script = Script::new("from idle to the first event");
    script.put(json!({"subscribe": {"events": ["content.*"], "filter": {"type": "blog"}, "recent": 2}}));
    script.put("start");
    script.put(json!({"token": "t1"}));
    script.greet();
    script.message(&subscribed_with("#1", 10, &[7, 9], true));
    // What is no higher than the beginning belongs to nobody.
    script.message(&event(10, Priority::Normal, "blog"));
    script.message(&event(12, Priority::Normal, "blog"));
    script.message(&event(11, Priority::Critical, "blog"));
    // Not what the subscription asked for; it moves the position all the same.
    script.message(&event(13, Priority::Normal, "page"));
    script
}

fn subscriptions() -> Script {
    let mut script =
        Script::subscribed("equal subscriptions are one to the server, which ends with the last");
    script.put(json!({"subscribe": {"events": ["content.*"]}}));
    script.message(&event(11, Priority::Normal, "blog"));
    script.put(json!({"subscribe": {"events": ["content.deleted"], "filter": {"type": ["page", "blog"]}}}));
    script.message(&subscribed("#2", 11));
    script.message(&event(12, Priority::Normal, "blog"));
    script.put(json!({"unsubscribe": 0}));
    script.put(json!({"unsubscribe": 1}));
    script.message(&ServerMessage::Unsubscribed { id: "#1" }.to_json());
    script.message(&event(13, Priority::Normal, "blog"));
    script.put(json!({"subscribe": {"events": ["user.*"]}}));
    script.message(&error(Some("#3"), ErrorCode::Forbidden));
    script
}

fn position() -> Script {
    let mut script =
        Script::subscribed("the position is the highest of everything that was told, lane by lane");
    script.message(&event(15, Priority::Low, "blog"));
    script.message(&event(15, Priority::Low, "blog"));
    script.message(&event(14, Priority::Low, "blog"));
    script.message(&heartbeat([20, 10, 20, 12]));
    script.message(&gap(Priority::High, Some(10), 18));
    script.message(&gap(Priority::High, Some(10), 18));
    script.message(&event(18, Priority::High, "blog"));
    script.message(&event(19, Priority::High, "blog"));
    script
}

fn resume() -> Script {
    let mut script = Script::subscribed("a connection that breaks is taken up where it was");
    script.message(&event(12, Priority::Normal, "blog"));
    script.put(json!({"closed": {"code": 1012}}));
    script.put(json!({"pass": 500}));
    script.put("connected");
    script.message(&welcome("e1", None));
    // Before `resumed` a heartbeat says nothing about what was missed.
    script.message(&heartbeat([20, 20, 20, 20]));
    script.message(&resumed(true, "e1", [10, 10, 12, 10], &[("#1", Ok(10))]));
    script.message(&event(13, Priority::Normal, "blog"));
    script
}

fn resume_in_part() -> Script {
    let mut script = Script::subscribed("what history no longer holds is a gap, what is refused has ended");
    script.put(json!({"closed": {}}));
    script.put(json!({"pass": 500}));
    script.put("connected");
    script.put(json!({"subscribe": {"events": ["user.*"]}}));
    script.message(&welcome("e1", None));
    script.message(&resumed(false, "e1", [10, 10, 30, 10], &[("#1", Err(ErrorCode::Forbidden))]));
    // The server's own gap has been told already.
    script.message(&gap(Priority::Normal, Some(10), 30));
    script.message(&subscribed("#3", 31));
    script
}

fn another_epoch() -> Script {
    let mut script = Script::subscribed("a log that begins anew is a gap in every lane");
    script.put(json!({"closed": {"code": 1006}}));
    script.put(json!({"pass": 500}));
    script.put("connected");
    script.message(&welcome("e2", None));
    script.message(&resumed(false, "e2", [3, 3, 3, 3], &[("#1", Ok(3))]));
    script.message(&gap(Priority::Critical, None, 3));
    script.message(&event(4, Priority::Normal, "blog"));
    script
}

fn publishing() -> Script {
    let mut script = Script::open("an event that is published is answered, or refused");
    for number in 1..=4 {
        script.put(json!({"publish": content(number, "blog")}));
    }
    script.message(&published("#1", "e1", 11, false));
    script.message(&published("#2", "e2", 5, true));
    script.message(&error(Some("#3"), ErrorCode::InvalidEvent));
    script.message(&error(Some("#4"), ErrorCode::Unavailable));
    // Between one and two seconds later it is sent again.
    script.put(json!({"pass": 999}));
    script.put(json!({"pass": 1001}));
    script.message(&published("#4", "e4", 12, false));
    script
}

fn publishing_again() -> Script {
    let mut script = Script::open("an event without an answer is sent again on the next connection");
    script.put(json!({"publish": content(1, "blog")}));
    script.put(json!({"closed": {}}));
    script.put(json!({"publish": content(2, "blog")}));
    script.put(json!({"pass": 500}));
    script.greet();
    script.message(&published("#1", "e1", 11, true));
    script.message(&published("#2", "e2", 12, false));
    script
}

fn refresh() -> Script {
    let mut script = Script::new("a token is replaced before it expires, a fifth of its life or a minute");
    script.put("start");
    script.put(json!({"token": "t1"}));
    script.put("connected");
    script.message(&welcome("e1", Some(1_790_000_000 + 100)));
    script.put(json!({"pass": 50_000}));
    script.message(&heartbeat([10, 10, 10, 10]));
    script.put(json!({"pass": 29_999}));
    script.put(json!({"pass": 1}));
    script.put(json!({"token": "t2"}));
    let expires_at = Some(1_790_000_000 + 7200);
    script.message(&ServerMessage::Authenticated { id: Some("#1"), expires_at }.to_json());
    script.put(json!({"closed": {"code": 1001}}));
    script.put(json!({"pass": 500}));
    script
}

fn tokens() -> Script {
    let mut script = Script::new("a token that is missing, refused, and had again");
    script.put("start");
    script.put("tokenFailed");
    script.put(json!({"pass": 500}));
    script.put(json!({"token": null}));
    script.put(json!({"token": "t1"}));
    script.put("connected");
    script.put(json!({"closed": {"code": 4401}}));
    script.put(json!({"token": "t1"}));
    script.put(json!({"token": "t2"}));
    script.put("connected");
    script.message(&welcome("e1", Some(1_790_000_000 + 100)));
    script.put(json!({"pass": 50_000}));
    script.message(&heartbeat([10, 10, 10, 10]));
    script.put(json!({"pass": 30_000}));
    script.put(json!({"token": "t3"}));
    script.message(&error(Some("#1"), ErrorCode::InvalidToken));
    script
}

fn draining() -> Script {
    let mut script = Script::subscribed("a server that drains says when to connect again");
    script.put(json!({"pass": 10_000}));
    script.message(&ServerMessage::Reconnect { after: 1500 }.to_json());
    script.message(&event(12, Priority::Normal, "blog"));
    script.put(json!({"pass": 1499}));
    script.put(json!({"pass": 1}));
    script.put("connected");
    script.message(&welcome("e1", None));
    script
}

fn silence() -> Script {
    let mut script = Script::subscribed("a server that says nothing for its own timeout is left");
    script.put(json!({"pass": 59_999}));
    script.message(&heartbeat([10, 10, 10, 10]));
    script.put(json!({"pass": 59_999}));
    script.put(json!({"pass": 1}));
    script
}

fn network() -> Script {
    let mut script =
        Script::subscribed("a client without a network waits for it; one that wakes asks for a sign of life");
    script.put("offline");
    script.put(json!({"pass": 100_000}));
    script.put("online");
    script.put("connected");
    script.message(&welcome("e1", None));
    script.message(&resumed(true, "e1", [10, 10, 10, 10], &[("#1", Ok(10))]));
    script.put("visible");
    script.message(&ServerMessage::Pong { id: None }.to_json());
    script.put(json!({"pass": 5000}));
    script.put("visible");
    script.put(json!({"pass": 4999}));
    script.put(json!({"pass": 1}));
    script
}

fn ignored() -> Script {
    let mut script = Script::subscribed("what a later version adds is ignored");
    script.put(json!({"message": {"type": "later", "what": [1, 2]}}));
    script.put(json!({"message": {"type": "heartbeat", "lanes": {"critical": 11, "high": 11, "normal": 11, "low": 11, "bulk": 7}, "later": true}}));
    script
        .put(json!({"message": {"type": "gap", "lane": "low", "after": 11, "until": 12, "reason": "later"}}));
    script.put(json!({"message": {"type": "error", "id": "unknown", "code": "internal"}}));
    script
}

fn stop() -> Script {
    let mut script = Script::subscribed("what is stopped can start again, and resumes");
    script.put("stop");
    script.put(json!({"pass": 100_000}));
    script.put("start");
    script.put("connected");
    script.message(&welcome("e1", None));
    script.message(&resumed(true, "e1", [10, 10, 10, 10], &[("#1", Ok(10))]));
    script
}
