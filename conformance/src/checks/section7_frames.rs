//! §7 Close codes: frames that RFC 6455 forbids, text that is not UTF-8, and messages over a limit.

use serde_json::json;

use crate::lab::{Context, Server};
use crate::outcome::{Outcome, Within as _, ensure, same};
use crate::raw::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Socket, TEXT};
use crate::runner::table;

table! { 7:
    close_is_answered_with_its_code
    close_without_a_code_is_answered
    protocol_violation_closes_with_1002
    bad_utf_8_closes_with_1007
    utf_8_split_between_fragments_passes
    binary_frame_closes_with_1003
    message_of_128_kib_passes_and_over_it_closes_with_1009
    fragments_over_the_limit_together_close_with_1009
    declared_length_over_the_limit_closes_before_the_payload
    message_has_at_most_128_fragments
    fragments_have_a_deadline
    control_frames_between_fragments_pass
    ping_is_answered_with_its_payload
    frame_one_byte_at_a_time_is_read
    many_frames_in_one_segment_are_read
    nothing_is_read_after_a_close
}

/// These frames must be answered with a Close of this code and the end of the connection.
async fn closes(server: &Server, what: &str, code: u16, frames: &[Frame]) -> Outcome {
    let mut socket = Socket::full(server).await?;
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    socket.connection.send_what_goes(&bytes).await;
    socket.closed_with(code).await.at(what)
}

fn close(code: u16, reason: &[u8]) -> Frame {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason);
    Frame::new(CLOSE, payload)
}

fn ping_message(id: &str) -> String {
    json!({"type": "ping", "id": id}).to_string()
}

async fn close_is_answered_with_its_code(t: Context) -> Outcome {
    for code in [1000, 1001, 1011, 3000, 4999] {
        closes(&t.server, "a close", code, &[close(code, b"bye")]).await.at(code)?;
    }
    Ok(())
}

async fn close_without_a_code_is_answered(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    socket.send(&Frame::new(CLOSE, "")).await?;
    let code = socket.close_code().await?;
    ensure!([None, Some(1000)].contains(&code), "close code {code:?}");
    Ok(())
}

async fn protocol_violation_closes_with_1002(t: Context) -> Outcome {
    let text = || Frame::new(TEXT, ping_message("a"));
    let long = vec![b'x'; 126];
    let cases: Vec<(&str, Vec<Frame>)> = vec![
        ("an unmasked frame", vec![text().unmasked()]),
        ("RSV1", vec![text().reserved(0x40)]),
        ("RSV2", vec![text().reserved(0x20)]),
        ("RSV3", vec![text().reserved(0x10)]),
        ("opcode 3", vec![Frame::new(3, "")]),
        ("opcode 7", vec![Frame::new(7, "x")]),
        ("opcode 11", vec![Frame::new(11, "")]),
        ("opcode 15", vec![Frame::new(15, "x")]),
        ("a fragmented Ping", vec![Frame::new(PING, "x").unfinished()]),
        ("a fragmented Close", vec![close(1000, b"").unfinished()]),
        ("a Ping of 126 bytes", vec![Frame::new(PING, long.clone())]),
        ("a Pong of 126 bytes", vec![Frame::new(PONG, long.clone())]),
        ("a Close of 126 bytes", vec![Frame::new(CLOSE, long)]),
        ("a continuation of nothing", vec![Frame::new(CONTINUATION, "x")]),
        ("text within a message", vec![text().unfinished(), text()]),
        ("a Close of one byte", vec![Frame::new(CLOSE, "x")]),
        ("a length with its highest bit set", vec![Frame::new(TEXT, "").declaring(1 << 63)]),
    ];
    for (what, frames) in cases {
        let code = if what.contains("highest bit") { None } else { Some(1002) };
        match code {
            Some(code) => closes(&t.server, what, code, &frames).await?,
            None => closes_with_one_of(&t.server, what, &[1002, 1009], &frames).await?,
        }
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        closes(&t.server, "a Close with a forbidden code", 1002, &[close(code, b"")]).await.at(code)?;
    }
    Ok(())
}

async fn closes_with_one_of(server: &Server, what: &str, codes: &[u16], frames: &[Frame]) -> Outcome {
    let mut socket = Socket::full(server).await?;
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    socket.connection.send_what_goes(&bytes).await;
    let code = socket.close_code().await.at(what)?;
    ensure!(code.is_some_and(|code| codes.contains(&code)), "{what} closed with {code:?}");
    Ok(())
}

async fn bad_utf_8_closes_with_1007(t: Context) -> Outcome {
    for bytes in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"{\"type\":\"\xe2\x82\"}"]
    {
        closes(&t.server, "bad UTF-8", 1007, &[Frame::new(TEXT, bytes)]).await.at(format!("{bytes:?}"))?;
    }
    let halves = [Frame::new(TEXT, &b"\xe2\x82"[..]).unfinished(), Frame::new(CONTINUATION, "x")];
    closes(&t.server, "a character that does not end", 1007, &halves).await?;
    closes(&t.server, "a reason", 1007, &[close(1000, b"\xff")]).await
}

async fn utf_8_split_between_fragments_passes(t: Context) -> Outcome {
    let text = ping_message("é€😀");
    let mut socket = Socket::full(&t.server).await?;
    let bytes = text.as_bytes();
    for (number, byte) in bytes.iter().enumerate() {
        let frame = Frame::new(if number == 0 { TEXT } else { CONTINUATION }, [*byte]);
        let last = number + 1 == bytes.len();
        socket.send(&if last { frame } else { frame.unfinished() }).await?;
    }
    same!(socket.message().await?["id"], "é€😀", "id");
    Ok(())
}

async fn binary_frame_closes_with_1003(t: Context) -> Outcome {
    closes(&t.server, "a binary frame", 1003, &[Frame::new(BINARY, ping_message("a"))]).await?;
    closes(&t.server, "an empty binary frame", 1003, &[Frame::new(BINARY, "")]).await
}

/// A `ping` of exactly so many bytes.
fn padded(bytes: usize) -> String {
    let text = |pad: usize| json!({"type": "ping", "id": "a", "pad": "x".repeat(pad)}).to_string();
    text(bytes - text(0).len())
}

const LIMIT: usize = 128 << 10;

async fn message_of_128_kib_passes_and_over_it_closes_with_1009(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    socket.send(&Frame::new(TEXT, padded(LIMIT))).await?;
    same!(socket.message().await?["type"], "pong", "reply to 128 KiB");
    closes(&t.server, "128 KiB and a byte", 1009, &[Frame::new(TEXT, padded(LIMIT + 1))]).await
}

async fn fragments_over_the_limit_together_close_with_1009(t: Context) -> Outcome {
    let part = vec![b' '; LIMIT / 2];
    let frames = [
        Frame::new(TEXT, part.clone()).unfinished(),
        Frame::new(CONTINUATION, part.clone()).unfinished(),
        Frame::new(CONTINUATION, part),
    ];
    closes(&t.server, "three halves", 1009, &frames).await
}

async fn declared_length_over_the_limit_closes_before_the_payload(t: Context) -> Outcome {
    for length in [LIMIT as u64 + 1, 1 << 31, 1 << 40, (1 << 63) - 1] {
        // Nothing of the payload is ever sent.
        closes(&t.server, "a declared length", 1009, &[Frame::new(TEXT, "").declaring(length)])
            .await
            .at(length)?;
    }
    let begun = [Frame::new(TEXT, "x").unfinished(), Frame::new(CONTINUATION, "").declaring(LIMIT as u64)];
    closes(&t.server, "a continuation over the limit", 1009, &begun).await
}

/// A message in so many fragments.
fn fragmented(text: &str, count: usize) -> Vec<Frame> {
    let mut frames = vec![Frame::new(TEXT, text).unfinished()];
    frames.extend((2..count).map(|_| Frame::new(CONTINUATION, "").unfinished()));
    frames.push(Frame::new(CONTINUATION, ""));
    frames
}

async fn message_has_at_most_128_fragments(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    for frame in fragmented(&ping_message("a"), 128) {
        socket.send(&frame).await?;
    }
    same!(socket.message().await?["type"], "pong", "reply to 128 fragments");
    closes(&t.server, "129 fragments", 1009, &fragmented(&ping_message("a"), 129)).await
}

async fn fragments_have_a_deadline(t: Context) -> Outcome {
    let server = t.with("[limits]\nfragment_ms = 300\n").await?;
    let begun = [Frame::new(TEXT, "{").unfinished()];
    closes_with_one_of(&server, "a message that does not end", &[1002, 1008, 1009], &begun).await
}

async fn control_frames_between_fragments_pass(t: Context) -> Outcome {
    let text = ping_message("a");
    let (one, two) = text.split_at(5);
    let mut socket = Socket::full(&t.server).await?;
    socket.send(&Frame::new(TEXT, one).unfinished()).await?;
    socket.send(&Frame::new(PING, "between")).await?;
    let pong = socket.receive().await?;
    same!((pong.opcode, &*pong.payload), (PONG, &b"between"[..]), "answer to the Ping");
    socket.send(&Frame::new(PONG, "unasked")).await?;
    socket.send(&Frame::new(CONTINUATION, two)).await?;
    same!(socket.message().await?, json!({"type": "pong", "id": "a"}), "reply");
    Ok(())
}

async fn ping_is_answered_with_its_payload(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    for payload in [vec![], b"hello".to_vec(), (0..125).collect::<Vec<u8>>()] {
        socket.send(&Frame::new(PING, payload.clone())).await?;
        let pong = socket.receive().await?;
        ensure!(pong.finished && pong.opcode == PONG, "opcode {} in answer to a Ping", pong.opcode);
        same!(pong.payload, payload, "payload");
    }
    Ok(())
}

async fn frame_one_byte_at_a_time_is_read(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    for byte in Frame::new(TEXT, padded(200)).encode() {
        socket.connection.send(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    same!(socket.message().await?["type"], "pong", "reply");
    Ok(())
}

async fn many_frames_in_one_segment_are_read(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    let bytes: Vec<u8> =
        (0..100).flat_map(|number| Frame::new(TEXT, ping_message(&format!("{number}"))).encode()).collect();
    socket.connection.send(&bytes).await?;
    for number in 0..100 {
        same!(socket.message().await?["id"], format!("{number}"), "id");
    }
    Ok(())
}

async fn nothing_is_read_after_a_close(t: Context) -> Outcome {
    let mut socket = Socket::full(&t.server).await?;
    let frames = [close(1000, b""), Frame::new(TEXT, ping_message("late"))];
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    socket.connection.send(&bytes).await?;
    let frame = socket.receive().await?;
    same!((frame.opcode, frame.code()), (CLOSE, Some(1000)), "first frame");
    socket.connection.closed().await
}
