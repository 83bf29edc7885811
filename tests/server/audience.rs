//! The audience of a real server: sockets, ops, crashes, and what the media carries.

use serde_json::{Value, json};

use super::harness::{Server, open_stream, until};
use super::player::Master;
use super::socket::{Viewer, operate, session, token};
use super::source::{Sender, usual};

#[test]
fn what_one_viewer_says_all_others_read_once() {
    let server = Server::start(&open_stream("a", ""));
    let (ada, bob) = (session(&server), session(&server));
    let mut ada = Viewer::join(&server, "a", Some(&ada));
    let mut bob = Viewer::join(&server, "a", Some(&bob));
    let mut guest = Viewer::join(&server, "a", None);
    assert_eq!((&ada.welcome["role"], &ada.welcome["resume"]), (&json!("viewer"), &json!("full")));
    let ack = ada.op("one", "chat.send", &json!({"text": "hello ｗｏｒｌｄ"}));
    assert_eq!(ack["state"], "confirmed");
    for other in [&mut bob, &mut guest] {
        let event = other.event("chat.message");
        assert_eq!((&event["seq"], &event["id"]), (&ack["seq"], &ack["id"]));
        assert_eq!(event["body"]["text"], "hello world");
        assert_eq!(event["by"]["id"], ada.welcome["viewer"]);
    }
    // The same op again, by the same and by the other way: one effect, one answer.
    assert_eq!(ada.op("one", "chat.send", &json!({"text": "hello ｗｏｒｌｄ"})), ack);
    let reply = bob.op("two", "chat.send", &json!({"text": "hi", "reply_to": ack["id"]}));
    assert_eq!(guest.event("chat.message")["body"]["reply_to"], ack["id"]);
    assert_eq!(reply["seq"].as_u64(), ack["seq"].as_u64().map(|seq| seq + 1));
    let refused = guest.op("three", "chat.send", &json!({"text": "me too"}));
    assert_eq!((&refused["t"], &refused["code"]), (&json!("nack"), &json!("auth.required")));
    let counted = bob.op("four", "react", &json!({"emoji": "🎉"}));
    assert_eq!(counted["state"], "counted");
    assert_eq!(ada.event("reactions")["body"]["counts"], json!({"🎉": 1}));
    ada.send(&json!({"t": "time", "c": 7}));
    let time = ada.frame("time");
    assert!(time["c"] == 7 && time["s"].as_i64() > Some(1_700_000_000_000), "{time}");
}

#[test]
fn who_comes_back_misses_nothing_and_gets_nothing_twice() {
    let server = Server::start(&open_stream("a", ""));
    let (ada, bob) = (session(&server), session(&server));
    let first = Viewer::join(&server, "a", Some(&ada));
    let pos = first.welcome["pos"].clone();
    drop(first);
    let mut bob = Viewer::join(&server, "a", Some(&bob));
    let seqs: Vec<_> = ["a", "b", "c"]
        .map(|text| bob.op(text, "chat.send", &json!({"text": text}))["seq"].clone())
        .into();
    let mut back = Viewer::rejoin(&server, "a", Some(&ada), &pos);
    assert_eq!(back.welcome["resume"], "replay");
    let missed: Vec<_> = (0..3).map(|_| back.event("chat.message")["seq"].clone()).collect();
    assert_eq!(missed, seqs);
    assert_eq!(back.welcome["pos"]["seq"], *seqs.last().unwrap());

    let mut server = server.start_again();
    let mut back = Viewer::rejoin(&server, "a", Some(&ada), &pos);
    assert_eq!(back.welcome["resume"], "replay", "a restart is no other log");
    let missed: Vec<_> = (0..3).map(|_| back.event("chat.message")["seq"].clone()).collect();
    assert_eq!(missed, seqs);
    let other = json!({"epoch": "another", "seq": 1});
    assert_eq!(Viewer::rejoin(&server, "a", None, &other).welcome["resume"], "snapshot");
    server.stop();
    assert_eq!(back.frame("bye")["code"], "server.stopping");
}

#[test]
fn a_player_that_follows_the_media_alone_sees_what_happens_on_its_frame() {
    let server = Server::start(&open_stream("a", "mode = \"passthrough\"\npart = \"200ms\""));
    let _sender = Sender::bytes(&server, "a", &usual());
    let master = Master::of(&server, "a", 20);
    let host = token(&server, "host", "a");
    let state: Value =
        serde_json::from_slice(&server.get("/live/a/events/state.json").body).unwrap();
    let pts = state["state"]["media"]["pts"].as_u64().unwrap() + 2 * 90_000 + 7 * 3000;
    let open = json!({"op_id": "open", "kind": "poll.open", "body": {"question": "Tea?", "options": ["yes", "no"]}, "at": {"pts": pts}});
    let (status, opened) = operate(&server, "a", &host, &open);
    assert_eq!(status, 200, "{opened}");
    assert_eq!(opened["bind"]["pts"], pts);
    let (_, said) = operate(
        &server,
        "a",
        &host,
        &json!({"op_id": "say", "kind": "announce", "body": {"text": "now", "duration_ms": 5000}}),
    );
    let (_, chat) = operate(
        &server,
        "a",
        &session(&server),
        &json!({"op_id": "c", "kind": "chat.send", "body": {"text": "hi"}}),
    );
    let followed = master.follow(&server, |followed| followed.segments.len() >= 6);
    let mut found = Vec::new();
    for segment in &followed[0].segments {
        for (time, tfdt, value) in emsgs(&segment.bytes) {
            for event in value["events"].as_array().unwrap() {
                found.push((event.clone(), time, tfdt.clone()));
            }
        }
    }
    for (id, kind) in [
        (&opened["id"], "poll.opened"),
        (&said["id"], "announcement"),
        (&chat["id"], "chat.message"),
    ] {
        let seen: Vec<_> = found.iter().filter(|(event, ..)| event["id"] == *id).collect();
        assert_eq!(seen.len(), 1, "{kind} is carried once");
        let (event, time, part) = seen[0];
        assert_eq!(
            (event["kind"].as_str(), event["bind"]["pts"].as_u64()),
            (Some(kind), Some(*time))
        );
        assert!(part.contains(time), "{kind} at {time} in the part {part:?}");
    }
    for rendition in &followed {
        let ranges = &rendition.playlist.date_ranges;
        let of = |answer: &Value| ranges.iter().find(|range| answer["id"] == range.id);
        let (poll, announced) = (of(&opened).expect("a range"), of(&said).expect("a range"));
        assert_eq!((poll.class.as_str(), poll.duration), ("live.nowcast.poll", None));
        assert_eq!(opened["bind"]["pdt"], poll.start);
        assert_eq!(announced.class, "live.nowcast.announcement");
        assert_eq!(announced.duration, Some(500_000));
    }
}

/// Timed metadata of a segment: presentation time, the span of its part, the JSON.
fn emsgs(bytes: &[u8]) -> Vec<(u64, std::ops::Range<u64>, Value)> {
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    };
    let (mut at, mut waiting, mut starts, mut found) = (0, Vec::new(), Vec::new(), Vec::new());
    while at < bytes.len() {
        let length = usize::try_from(number(at, 4)).unwrap();
        match &bytes[at + 4..at + 8] {
            b"emsg" => {
                let text = &bytes[at..at + length];
                let from = text.windows(8).rposition(|window| window == b"nowcast\0").unwrap() + 8;
                waiting.push((number(at + 16, 8), serde_json::from_slice(&text[from..]).unwrap()));
            }
            b"moof" => {
                let tfdt =
                    bytes[at..at + length].windows(4).position(|window| window == b"tfdt").unwrap();
                let start = number(at + tfdt + 8, 8);
                starts.push(start);
                found.extend(waiting.drain(..).map(|(time, value)| (time, start, value)));
            }
            _ => {}
        }
        at += length;
    }
    let end =
        |start: u64| starts.iter().copied().find(|&next| next > start).unwrap_or(start + 18_000);
    found.into_iter().map(|(time, start, value)| (time, start..end(start), value)).collect()
}

#[test]
fn the_command_line_runs_the_show() {
    let server = Server::start(&open_stream("a", ""));
    let ops = server.ops.to_string();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(super::harness::NOWCAST)
            .env("NOWCAST_OPS_LISTEN", &ops)
            .env("NOWCAST_LOG", "off")
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let json = |arguments: &[&str]| -> Value {
        let (code, out, err) = run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        serde_json::from_str(&out).unwrap()
    };
    let poll = json(&[
        "poll",
        "open",
        "a",
        "Tea?",
        "yes",
        "no",
        "--multi",
        "--results",
        "after_close",
        "--json",
    ]);
    let id = poll["id"].as_str().unwrap();
    let listed = json(&["poll", "ls", "a", "--json"]);
    assert_eq!((&listed[0]["id"], &listed[0]["results"]), (&poll["id"], &json!("after_close")));
    assert!(run(&["poll", "ls", "a"]).1.contains("Tea?"));
    assert_eq!(run(&["poll", "close", "a", id]).0, 0);
    let (code, _, err) = run(&["poll", "close", "a", "no-such"]);
    assert!(code == 1 && err.contains("unknown.poll"), "{err}");
    let said = json(&["chat", "say", "a", "hello", "--json"]);
    assert!(run(&["chat", "tail", "a", "--once"]).1.contains("hello"));
    assert_eq!(run(&["moderate", "remove", "a", said["id"].as_str().unwrap()]).0, 0);
    assert!(!run(&["chat", "tail", "a", "--once"]).1.contains("hello"));
    assert_eq!(run(&["moderate", "mode", "a", "slow", "5s"]).0, 0);
    assert_eq!(run(&["announce", "a", "soon", "--duration", "5s"]).0, 0);
    let asked = operate(
        &server,
        "a",
        &session(&server),
        &json!({"op_id": "q", "kind": "qa.ask", "body": {"text": "Why?"}}),
    )
    .1;
    assert!(run(&["qa", "ls", "a"]).1.contains("Why?"));
    assert_eq!(run(&["qa", "spotlight", "a", asked["id"].as_str().unwrap()]).0, 0);
    let minted = json(&[
        "token",
        "mint",
        "--role",
        "moderator",
        "--stream",
        "a",
        "--expires",
        "1h",
        "--json",
    ]);
    let moderator = minted["token"].as_str().unwrap();
    let lock = json!({"op_id": "m", "kind": "mod.mode", "body": {"mode": "locked", "value": true}});
    assert_eq!(operate(&server, "a", moderator, &lock).0, 200);
    let (_, studio, _) = run(&["token", "studio", "a"]);
    let code = studio.trim().rsplit_once('#').unwrap().1;
    let redeem = || {
        super::socket::post(
            server.http,
            "/api/v1/streams/a/studio",
            &[],
            &json!({"code": code}).to_string(),
        )
    };
    assert_eq!((redeem().status, redeem().status), (200, 401), "a code works once");
    let modes = until("the modes", 5, || {
        let state: Value =
            serde_json::from_slice(&server.get("/live/a/events/state.json").body).unwrap();
        Some(state["state"]["modes"].clone()).filter(|modes| modes["locked"] == true)
    });
    assert_eq!(modes["slow"], 5000);
}
