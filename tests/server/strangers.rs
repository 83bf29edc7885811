//! What people do who mean no good, or do not know the protocol: the security list of the audience's API.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::harness::{Server, open_stream, try_get};
use super::socket::{Viewer, open, operate, post, session, token};

/// The code that a socket is closed with after these frames.
fn closed_after(server: &Server, frames: &[Message]) -> u16 {
    let mut socket = open(server, "a", None).unwrap();
    for frame in frames {
        socket.send(frame.clone()).unwrap();
    }
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => return frame.code.into(),
            Ok(Message::Close(None)) | Err(_) => return 1006,
            Ok(_) => {}
        }
    }
}

#[test]
fn pages_of_other_origins_get_no_socket_and_no_session() {
    let server = Server::start(&format!(
        "allowed_origins = [\"https://friend.example\"]\n{}",
        open_stream("a", "")
    ));
    let own = format!("http://{}", server.http);
    for (origin, let_in) in [
        (None, true),
        (Some(own.as_str()), true),
        (Some("https://friend.example"), true),
        (Some("https://evil.example"), false),
        (Some("https://friend.example.evil.example"), false),
        (Some("null"), false),
    ] {
        let opened = open(&server, "a", origin);
        assert_eq!(opened.as_ref().err(), (!let_in).then_some(&403), "{origin:?}");
        let field = origin.map(|origin| format!("Origin: {origin}"));
        let fields: Vec<_> = field.iter().map(String::as_str).collect();
        let answer = post(server.http, "/api/v1/session", &fields, "");
        assert_eq!(answer.status, if let_in { 200 } else { 403 }, "{origin:?}");
    }
}

#[test]
fn frames_that_break_the_rules_end_the_connection_with_the_code_that_says_why() {
    let server = Server::start(&open_stream("a", ""));
    let hello = || Message::text(json!({"t": "hello"}).to_string());
    assert_eq!(closed_after(&server, &[Message::text("x".repeat(4097))]), 1009);
    assert_eq!(closed_after(&server, &[hello(), Message::text("x".repeat(4097))]), 1009);
    assert_eq!(closed_after(&server, &[hello(), Message::binary(vec![1])]), 1003);
    assert_eq!(closed_after(&server, &[Message::text("{}")]), 4400);
    assert_eq!(closed_after(&server, &[Message::text("no JSON")]), 4400);
    let bad = json!({"t": "hello", "token": "eyJhbGciOiJub25lIn0.e30."}).to_string();
    assert_eq!(closed_after(&server, &[Message::text(bad)]), 4401);
    assert_eq!(closed_after(&server, &[]), 4401, "who says nothing is not kept");
    let flood: Vec<_> = std::iter::once(hello())
        .chain((0..200).map(|_| Message::text("{\"t\":\"time\"}")))
        .collect();
    assert_eq!(closed_after(&server, &flood), 1008);
    // Raw bytes that no client library sends: an unmasked frame, and one that is no UTF-8.
    for (frame, code) in [(&b"\x81\x02hi"[..], 1002_u16), (&b"\x81\x82\0\0\0\0\xff\xfe"[..], 1007)]
    {
        let mut socket = open(&server, "a", None).unwrap();
        socket.send(hello()).unwrap();
        socket.read().expect("welcome");
        let stream = socket.get_mut();
        stream.write_all(frame).unwrap();
        let mut answer = Vec::new();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_to_end(&mut answer).ok();
        let close = answer.windows(2).position(|two| two[0] == 0x88).expect("a close frame");
        assert_eq!(u16::from_be_bytes([answer[close + 2], answer[close + 3]]), code);
    }
}

#[test]
fn a_role_can_do_what_is_its_own_and_nothing_else() {
    let server = Server::start(&format!("{}{}", open_stream("a", ""), open_stream("b", "")));
    let ops = [
        ("chat.send", json!({"text": "hi"}), 0),
        ("react", json!({"emoji": "❤"}), 0),
        ("qa.ask", json!({"text": "why?"}), 0),
        ("mod.mode", json!({"mode": "slow", "value": 0}), 1),
        ("mod.mute", json!({"viewer": "v-x", "duration_ms": 1000}), 1),
        ("mod.ban", json!({"viewer": "v-y"}), 1),
        ("mod.lift", json!({"viewer": "v-y"}), 1),
        ("poll.open", json!({"question": "q", "options": ["a", "b"]}), 2),
        ("announce", json!({"text": "x"}), 2),
        ("custom", json!({"name": "goal", "data": {"home": 1}}), 2),
        ("pin", json!({"message": null}), 2),
    ];
    let roles = ["viewer", "moderator", "host", "operator"];
    for (rank, role) in roles.iter().enumerate() {
        let token = token(&server, role, "a");
        for (kind, body, least) in &ops {
            let op = json!({"op_id": format!("{role}-{kind}"), "kind": kind, "body": body});
            let (status, answer) = operate(&server, "a", &token, &op);
            if rank >= *least {
                assert_eq!(status, 200, "{role} {kind}: {answer}");
            } else {
                assert_eq!((status, &answer["code"]), (403, &json!("auth.role")), "{role} {kind}");
            }
        }
        let op = json!({"op_id": "x", "kind": "chat.send", "body": {"text": "hi"}});
        let (status, answer) = operate(&server, "b", &token, &op);
        assert_eq!((status, &answer["code"]), (403, &json!("auth.stream")), "of another stream");
    }
    for token in ["x", "a.b.c"] {
        let (status, answer) = operate(&server, "a", token, &json!({}));
        assert_eq!((status, &answer["code"]), (401, &json!("auth.invalid")), "{token:?}");
    }
    // The operator's listener has its own rules: no page of any origin.
    let answer = post(server.ops, "/api/v1/tokens", &["Origin: http://127.0.0.1"], "{}");
    assert_eq!(answer.status, 403);
    assert_eq!(try_get(server.http, "/api/v1/tokens").unwrap().status, 404);
}

#[test]
fn a_ban_holds_at_once_and_everywhere() {
    let server = Server::start(&open_stream("a", ""));
    let troll = session(&server);
    let mut socket = Viewer::join(&server, "a", Some(&troll));
    let viewer = socket.welcome["viewer"].clone();
    let moderator = token(&server, "moderator", "a");
    let ban = json!({"op_id": "b", "kind": "mod.ban", "body": {"viewer": viewer}});
    assert_eq!(operate(&server, "a", &moderator, &ban).0, 200);
    assert_eq!(socket.frame("bye")["code"], "auth.banned");
    let op = json!({"op_id": "t", "kind": "chat.send", "body": {"text": "again"}});
    let (status, answer) = operate(&server, "a", &troll, &op);
    assert_eq!((status, &answer["code"]), (403, &json!("auth.banned")));
    let mut again = Viewer::join(&server, "a", Some(&troll));
    assert_eq!(again.op("u", "react", &json!({"emoji": "❤"}))["code"], "auth.banned");
}

#[test]
fn what_is_said_too_often_too_long_or_in_disguise_is_answered_with_what_to_do() {
    let server = Server::start(&open_stream("a", "block_words = [\"spoiler\"]\nlinks = \"hold\""));
    let mut viewer = Viewer::join(&server, "a", Some(&session(&server)));
    let mut moderator = Viewer::join(&server, "a", Some(&token(&server, "moderator", "a")));
    let mut say = |op_id: &str, text: &str| viewer.op(op_id, "chat.send", &json!({"text": text}));
    assert_eq!(say("1", "sрoilеr")["code"], "mode.filter");
    assert_eq!(say("2", &"x".repeat(301))["code"], "size.text");
    let held = say("3", "look at www.bad.example");
    assert_eq!(held["state"], "held");
    let waiting = moderator.frame("held")["message"].clone();
    assert_eq!(
        (&waiting["id"], &waiting["text"]),
        (&held["id"], &json!("look at www.bad.example"))
    );
    let shown = moderator.op("ok", "mod.approve", &json!({"message": held["id"]}));
    assert_eq!(shown["state"], "confirmed");
    assert_eq!(say("4", "<script>alert(1)</script>\u{202e}")["state"], "confirmed");
    let texts: Vec<Value> =
        (0..2).map(|_| moderator.event("chat.message")["body"]["text"].clone()).collect();
    assert_eq!(texts, ["look at www.bad.example", "<script>alert(1)</script>"]);
    let mut flood = (5..25).map(|at| say(&at.to_string(), &format!("once more {at}")));
    let refused = flood.find(|answer| answer["t"] == "nack").expect("a limit");
    assert_eq!(refused["code"], "rate.user");
    assert!(
        refused["retry_after_ms"].as_u64() > Some(0) && refused["keep_draft"] == true,
        "{refused}"
    );
    assert!(refused["message"].is_string() && refused["hint"].is_string());
}

#[test]
fn rules_are_those_of_the_configuration_that_was_read_last() {
    let server = Server::start(&open_stream("a", ""));
    let say = |op_id: &str| {
        let op = json!({"op_id": op_id, "kind": "chat.send", "body": {"text": "a spoiler"}});
        operate(&server, "a", &session(&server), &op).0
    };
    assert_eq!(say("before"), 200);
    server.reconfigure(&open_stream("a", "block_words = [\"spoiler\"]"));
    server.await_log("streams", "configuration read again");
    assert_eq!(say("after"), 409);
}
