//! What a client does upon each error code and each close code, and how long it waits (PROTOCOL §5 and §7).

use serde_json::{Value, json};
use tidings_core::protocol::{CloseCode, ErrorCode};

use super::messages::{content, error};
use super::script::Script;

/// Each error code, and whether a client sends again what was refused with it.
pub(crate) fn errors() -> Vec<Value> {
    let repeated = |code: ErrorCode| {
        let mut script = Script::open("");
        script.put(json!({"publish": content(1, "blog")}));
        script.message(&error(Some("#1"), code));
        let then = script.put(json!({"pass": 2000}));
        then.get("sends").is_some()
    };
    ErrorCode::ALL.iter().map(|code| json!({"code": code, "repeated": repeated(*code)})).collect()
}

/// Each close code, and where it leads a client that is open: its state, and what comes next of itself, a connection
/// or a question for a token.
pub(crate) fn closes() -> Vec<Value> {
    let closes = CloseCode::ALL.iter();
    let after = |code: &CloseCode| {
        let mut script = Script::open("");
        let state = script.put(json!({"closed": {"code": code.as_u16()}}))["state"].clone();
        let then = script.put(json!({"pass": 500}));
        let next = match (then.get("opensWith"), then.get("asksForToken")) {
            (None, None) => Value::Null,
            (Some(_), None) => "opensWith".into(),
            (None, Some(_)) => "asksForToken".into(),
            (Some(_), Some(_)) => panic!("one after the other"),
        };
        json!({"code": code.as_u16(), "reason": code.reason(), "state": state, "next": next})
    };
    closes.map(after).collect()
}

/// The longest that a client waits in ms after each of so many failures in a row; the shortest is none.
pub(crate) fn delays() -> Vec<u64> {
    let mut bounds = vec![500_u64];
    while *bounds.last().unwrap() < 30_000 {
        bounds.push((bounds.last().unwrap() * 2).min(30_000));
    }
    bounds.push(30_000);
    let mut longest = vec![0; bounds.len()];
    for seed in 0..64 {
        let mut script = Script::seeded("", [seed; 32]);
        script.put("start");
        script.put(json!({"token": "t1"}));
        for (longest, bound) in longest.iter_mut().zip(&bounds) {
            script.put(json!({"closed": {}}));
            *longest = waited(&mut script, *bound).max(*longest);
        }
    }
    for (longest, bound) in longest.iter().zip(&bounds) {
        assert!(*longest < *bound && bound * 8 / 10 < *longest, "{longest} of {bound}");
    }
    bounds
}

/// After how many ms the client opens the next connection, at least; a fiftieth of `bound` is as exact as it gets.
fn waited(script: &mut Script, bound: u64) -> u64 {
    let step = bound / 50;
    let mut waited = 0;
    while script.put(json!({"pass": step})).get("opensWith").is_none() {
        waited += step;
    }
    waited
}
