//! What ops come to: once, on their frame, for those who may.

use nowcast_interact::*;
use serde_json::{Value as Json, json};

use super::house::*;

#[test]
fn the_same_op_twice_has_one_effect_and_one_answer() {
    let mut house = House::with_picture(600);
    let op = json!({"op_id": "a", "kind": "chat.send", "body": {"text": "hi"}, "seen": 7});
    let first = house.send(&viewer("v1"), &op).unwrap();
    assert_eq!(house.send(&viewer("v1"), &op), Ok(first.clone()));
    assert_eq!(house.events().len(), 1);
    assert_eq!((first["state"].as_str(), first["seq"].as_u64()), (Some("confirmed"), Some(1)));
    let event = house.last();
    assert_eq!((&event["seen"], &event["body"]["text"]), (&json!(7), &json!("hi")));
    assert_eq!(event["bind"]["pts"], json!(600 * 3000));
    // Somebody else's op of the same name is another one.
    house.send(&viewer("v2"), &op).unwrap();
    assert_eq!(house.events().len(), 2);
}

#[test]
fn a_host_lands_on_the_frame_that_was_meant() {
    let mut house = House::with_picture(600);
    let at = |at: Json| json!({"op_id": at.to_string(), "kind": "announce", "body": {"text": "x"}, "at": at});
    let frame = 700 * 3000;
    let answer = house.send(&host(), &at(json!({"pts": frame + 5}))).unwrap();
    assert_eq!(
        answer["bind"],
        json!({"pts": frame, "pdt": house.now + 3333, "msn": 11, "part": 4})
    );
    // 30 frames are a second; the frame of this moment is the one that comes in now.
    let answer = house.send(&host(), &at(json!({"wall": house.now + 1001}))).unwrap();
    assert_eq!(answer["bind"]["pts"], 630 * 3000);
    let answer = house.send(&host(), &at(json!({"wall": house.now - 1000}))).unwrap();
    assert_eq!((&answer["late_ms"], &answer["bind"]["pts"]), (&json!(1000), &json!(600 * 3000)));
}

#[test]
fn without_a_picture_things_belong_to_the_last_one_and_not_to_what_was_planned() {
    let mut house = House::with_picture(600);
    let said = house.ask(&viewer("v1"), "chat.send", json!({"text": "hi"})).unwrap();
    let op =
        json!({"op_id": "p", "kind": "announce", "body": {"text": "x"}, "at": {"pts": 9_000_000}});
    assert_eq!(house.send(&host(), &op).unwrap()["bind"]["pts"], 9_000_000);
    house.room.set_media(None);
    for room in [&mut house.restarted(), &mut house.room] {
        let op = json!({"op_id": "later", "kind": "chat.send", "body": {"text": "gone?"}});
        let op = Op::parse(&op).unwrap();
        assert_eq!(room.handle_op(&viewer("v2"), &op, NOW), Reply::Pending);
        let (_, answer) = room.poll_commit().unwrap().answer.unwrap();
        assert_eq!(json!(answer.bind), said["bind"]);
    }
}

#[test]
fn roles_keep_what_is_theirs() {
    let mut house = House::new();
    let message =
        house.ask(&viewer("v1"), "chat.send", json!({"text": "hello"})).unwrap()["id"].clone();
    for kind in ["poll.open", "announce", "mod.remove", "mod.mode", "qa.spotlight", "pin"] {
        let body = json!({"message": message, "text": "x", "question": "q", "options": ["a", "b"], "mode": "slow", "value": 1});
        assert_eq!(house.ask(&viewer("v1"), kind, body).unwrap_err().code, "auth.role", "{kind}");
    }
    let moderator = staff(Role::Moderator);
    let announce = house.ask(&moderator, "announce", json!({"text": "x"}));
    assert_eq!(announce.unwrap_err().code, "auth.role");
    house.ask(&moderator, "mod.remove", json!({"message": message})).unwrap();
    assert_eq!(house.last()["kind"], "chat.removed");
    assert_eq!(house.room.state()["chat"], json!([]));
    house.ask(&moderator, "mod.mute", json!({"viewer": "v1", "duration_ms": 9000})).unwrap();
    let muted = house.ask(&viewer("v1"), "chat.send", json!({"text": "again"})).unwrap_err();
    assert_eq!((muted.code.as_str(), muted.retry_after_ms), ("auth.muted", Some(9000)));
    house.ask(&moderator, "mod.lift", json!({"viewer": "v1"})).unwrap();
    house.ask(&viewer("v1"), "chat.send", json!({"text": "again"})).unwrap();
    house.ask(&moderator, "mod.ban", json!({"viewer": "v1"})).unwrap();
    assert_eq!(
        house.ask(&viewer("v1"), "react", json!({"emoji": "❤"})).unwrap_err().code,
        "auth.banned"
    );
}

#[test]
fn modes_hold_for_viewers() {
    let mut house = House::new();
    let moderator = staff(Role::Moderator);
    let code = |house: &mut House, mode: &str, value: Json, text: &str| {
        house.ask(&moderator, "mod.mode", json!({"mode": mode, "value": value})).unwrap();
        house.now += 60_000;
        let sent = house.ask(&viewer("v1"), "chat.send", json!({"text": text}));
        let off = if mode == "slow" { json!(0) } else { json!(false) };
        house.ask(&moderator, "mod.mode", json!({"mode": mode, "value": off})).unwrap();
        sent.map_or_else(
            |refusal| refusal.code,
            |answer| answer["state"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(code(&mut house, "locked", json!(true), "a"), "mode.locked");
    assert_eq!(code(&mut house, "emoji", json!(true), "a"), "mode.emoji");
    assert_eq!(code(&mut house, "emoji", json!(true), "🎉"), "confirmed");
    assert_eq!(code(&mut house, "followers", json!(true), "a"), "mode.followers");
    assert_eq!(code(&mut house, "slow", json!(90_000), "a"), "confirmed");
    assert_eq!(code(&mut house, "slow", json!(90_000), "b"), "mode.slow");
    assert_eq!(code(&mut house, "hold", json!(true), "c"), "held");
    let held = house.room.held().next().unwrap().id.clone();
    house.ask(&moderator, "mod.approve", json!({"message": held})).unwrap();
    let event = house.last();
    assert_eq!((&event["body"]["text"], &event["by"]["id"]), (&json!("c"), &json!("v1")));
}

#[test]
fn questions_rise_come_into_the_light_and_are_answered() {
    let mut house = House::with_picture(600);
    let question =
        house.ask(&viewer("v1"), "qa.ask", json!({"text": "Why?"})).unwrap()["id"].clone();
    for who in ["v2", "v3", "v3"] {
        house.ask(&viewer(who), "qa.upvote", json!({"question": question})).unwrap();
    }
    house.later(600);
    assert_eq!(house.last()["body"], json!({"questions": [{"id": question, "votes": 2}]}));
    house.ask(&host(), "qa.spotlight", json!({"question": question})).unwrap();
    assert_eq!(house.last()["body"]["text"], "Why?");
    house.ask(&host(), "qa.answer", json!({"question": question})).unwrap();
    let again = house.ask(&host(), "qa.answer", json!({"question": question}));
    assert_eq!(again.unwrap_err().code, "state.invalid");
}

#[test]
fn who_signs_in_keeps_what_they_did() {
    let mut house = House::new();
    let poll = open(&mut house, json!({}));
    house.ask(&viewer("anon"), "poll.vote", json!({"poll": poll, "options": ["1"]})).unwrap();
    house.room.know(&"anon".into(), &"ada".into());
    let ada = Viewer { anonymous: false, ..viewer("ada") };
    let again = house.ask(&ada, "poll.vote", json!({"poll": poll, "options": ["2"]}));
    assert_eq!(again.unwrap_err().code, "poll.voted");
    assert_eq!(house.room.mine(&ada)["votes"][&*poll], json!(["1"]));
}

#[test]
fn what_nobody_can_read_is_answered_with_a_sentence() {
    let mut house = House::new();
    for (op, code) in [
        (json!({}), "state.invalid"),
        (json!({"op_id": "x", "kind": "poll.destroy"}), "unknown.op"),
        (json!({"op_id": "x", "kind": "chat.send"}), "state.invalid"),
        (json!({"op_id": "x", "kind": "chat.send", "body": {"text": 7}}), "state.invalid"),
        (
            json!({"op_id": "x", "kind": "chat.send", "body": {"text": "hi"}, "seen": -1}),
            "state.invalid",
        ),
        (json!({"op_id": "x", "kind": "chat.send", "body": {"text": " "}}), "size.text"),
        (
            json!({"op_id": "x", "kind": "chat.send", "body": {"text": "hi", "reply_to": "no"}}),
            "unknown.message",
        ),
        (
            json!({"op_id": "x", "kind": "poll.vote", "body": {"poll": "no", "options": ["1"]}}),
            "unknown.poll",
        ),
        (json!({"op_id": "x", "kind": "react", "body": {"emoji": "hi"}}), "state.invalid"),
    ] {
        let refusal = house.send(&viewer("v1"), &op).unwrap_err();
        assert_eq!(refusal.code, code, "{op}");
        assert!(refusal.message.ends_with('.') && refusal.hint.ends_with('.'), "{refusal:?}");
    }
}

#[test]
fn nobody_is_answered_before_the_disk_has_it() {
    let mut house = House::new();
    let op = json!({"op_id": "a", "kind": "qa.ask", "body": {"text": "hi"}});
    let op = Op::parse(&op).unwrap();
    assert_eq!(house.room.handle_op(&viewer("v1"), &op, NOW), Reply::Pending);
    let commit = house.room.poll_commit().unwrap();
    let (key, answer) = commit.answer.unwrap();
    assert_eq!((&*key.0, key.1.as_str()), ("v1", "a"));
    assert_eq!((answer.state, answer.seq, commit.records.len()), (Standing::Confirmed, 1, 1));
    assert_eq!(house.room.poll_commit(), None);
}

#[test]
fn a_verdict_from_elsewhere_decides_once_and_respects_what_happened_meanwhile() {
    let mut house = House::new();
    house.room.set_settings(Settings { moderated: true, ..Settings::default() });
    let op = |id: &str, kind: &str, text: &str| {
        Op::parse(&json!({"op_id": id, "kind": kind, "body": {"text": text}})).unwrap()
    };
    let ada = viewer("ada");
    let hi = op("1", "chat.send", "  hi ");
    assert_eq!(house.room.handle_op(&ada, &hi, NOW), Reply::Ask("hi".into()), "as it is kept");
    assert_eq!((house.room.seq(), house.commit()), (0, None), "nothing is decided yet");
    for _ in 0..2 {
        house.room.handle_verdict(&ada, &hi, &Verdict::Allow, NOW + 500).unwrap();
    }
    let commit = house.commit().unwrap();
    assert_eq!((commit.answer.unwrap().1.seq, house.room.seq()), (1, 1), "once");
    assert!(matches!(house.room.handle_op(&ada, &hi, NOW + 600), Reply::Again(_)));

    let later = op("2", "chat.send", "later");
    assert!(matches!(house.room.handle_op(&ada, &later, NOW + 700), Reply::Ask(_)));
    house.ask(&host(), "mod.mute", json!({"viewer": "ada"})).unwrap();
    let muted = house.room.handle_verdict(&ada, &later, &Verdict::Allow, NOW + 800).unwrap_err();
    assert_eq!((muted.code.as_str(), house.room.seq()), ("auth.muted", 2));

    let bob = viewer("bob");
    for (id, kind, verdict, expected) in [
        ("3", "chat.send", Verdict::Hold("so".into()), Ok(Standing::Held)),
        ("4", "chat.send", Verdict::Block("so".into()), Err("mode.filter")),
        ("5", "qa.ask", Verdict::Allow, Ok(Standing::Confirmed)),
        ("6", "qa.ask", Verdict::Hold("so".into()), Err("mode.filter")),
    ] {
        let op = op(id, kind, id);
        assert_eq!(house.room.handle_op(&bob, &op, NOW + 900), Reply::Ask(id.into()));
        let done = house.room.handle_verdict(&bob, &op, &verdict, NOW + 900);
        let done = done.map(|()| house.commit().unwrap().answer.unwrap().1.state);
        assert_eq!(done.map_err(|refusal| refusal.code), expected.map_err(str::to_owned), "{id}");
    }
    assert_eq!(
        house.ask(&host(), "chat.send", json!({"text": "mine"})).unwrap()["state"],
        "confirmed"
    );
}

#[test]
fn an_overload_gives_things_up_in_a_fixed_order_and_tells_each_step() {
    let mut house = House::with_picture(0);
    let (known, anonymous) = (Viewer { anonymous: false, ..viewer("known") }, viewer("anonymous"));
    let mut number = 0;
    let mut say = |house: &mut House, who: &Viewer, text: &str| {
        number += 1;
        house.later(1100);
        let op = json!({"op_id": number.to_string(), "kind": "chat.send", "body": {"text": format!("{number}: {text}")}});
        match house.send(who, &op) {
            Ok(answer) => answer["state"].as_str().unwrap().to_owned(),
            Err(refusal) => refusal.code,
        }
    };
    let (link, hello) = ("see example.org/tea", "hello");
    assert_eq!(say(&mut house, &anonymous, link), "confirmed");
    let mut met = Vec::new();
    for step in 1..=4 {
        house.load(true, if step == 1 { 1000 } else { 0 });
        assert_eq!(house.last()["body"], json!({"mode": "overload", "value": step}));
        met.push([&anonymous, &known].map(|who| say(&mut house, who, link)));
    }
    let [free, held, slow, names] =
        ["confirmed", "held", "mode.slow", "mode.followers"].map(str::to_owned);
    assert_eq!(met[0], [free.clone(), free.clone()]);
    assert_eq!(met[1], [held.clone(), held.clone()]);
    // The first message under slow mode still goes.
    assert_eq!(met[2], [held.clone(), held]);
    assert_eq!(met[3], [names, slow]);
    let mode =
        json!({"op_id": "mode", "kind": "mod.mode", "body": {"mode": "overload", "value": 0}});
    assert_eq!(house.send(&host(), &mode).unwrap_err().code, "state.invalid");
    assert_eq!(house.restarted().overload(), 4);
    // A restart has nothing to do yet, and takes it all back.
    house.room = house.restarted();
    house.load(false, 0);
    assert_eq!(house.last()["body"], json!({"mode": "overload", "value": 0}));
    assert_eq!(say(&mut house, &anonymous, hello), free);
}

#[test]
fn who_writes_on_although_nothing_is_taken_is_silent_for_a_minute() {
    let mut house = House::with_picture(0);
    let flood = viewer("flood");
    let refusals: Vec<_> = (0..40)
        .filter_map(|number| {
            house.later(50);
            let said = house.ask(&flood, "chat.send", json!({"text": format!("n{number}")}));
            said.err().map(|refusal| (refusal.code, refusal.retry_after_ms.is_some()))
        })
        .collect();
    let [rate, muted] = ["rate.user", "auth.muted"].map(|code| (code.to_owned(), true));
    assert_eq!(refusals, [vec![rate; 20], vec![muted; 40 - 3 - 20]].concat());
    assert_eq!(house.last()["body"]["viewer"], "flood");
    assert!(house.ask(&viewer("other"), "chat.send", json!({"text": "hi"})).is_ok());
    assert!(house.ask(&flood, "react", json!({"emoji": "❤"})).is_ok(), "it is the chat alone");
    house.later(60_000);
    assert!(house.ask(&flood, "chat.send", json!({"text": "sorry"})).is_ok());
}
