//! Rooms in simulated time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test they help"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nowcast_interact::{
    Body, Carriage, Commit, Event, Id, Media, Op, Record, Refusal, Reply, Role, Room, Settings,
    Span, Standing, Verdict, Viewer,
};
use nowcast_media::{FrameRate, Grid, MediaTime};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const NOW: i64 = 1_795_305_600_000;

/// A room with its disk: what was committed, in order.
struct House {
    room: Room,
    disk: Vec<Record>,
    ops: u64,
    now: i64,
}

impl House {
    fn new() -> Self {
        let room = Room::restore("e1", Settings::default(), []);
        Self { room, disk: Vec::new(), ops: 0, now: NOW }
    }

    /// With a picture: 30 frames a second, parts of 10, from frame `index` on.
    fn with_picture(index: i64) -> Self {
        let mut house = Self::new();
        house.flow(index);
        house
    }

    fn flow(&mut self, index: i64) {
        let grid = Grid::new(
            FrameRate::new(30, 1).unwrap(),
            MediaTime::from_millis(334),
            MediaTime::from_millis(2000),
        );
        let anchor = (self.now - index * 100 / 3) * 1000;
        let (msn, part) = (index / 60, index % 60 / 10);
        let (msn, part) = (u64::try_from(msn).unwrap(), u32::try_from(part).unwrap());
        self.room.set_media(Some(Media { index, anchor, msn, part, grid, since: self.now }));
    }

    fn commit(&mut self) -> Option<Commit> {
        let mut last = None;
        while let Some(commit) = self.room.poll_commit() {
            self.disk.extend(commit.records.iter().cloned());
            if commit.answer.is_some() {
                last = Some(commit);
            }
        }
        last
    }

    fn send(&mut self, who: &Viewer, op: &Json) -> Result<Json, Refusal> {
        let op = Op::parse(op).map_err(|(_, refusal)| refusal)?;
        match self.room.handle_op(who, &op, self.now) {
            Reply::Refused(refusal) => Err(refusal),
            Reply::Counted => Ok(json!("counted")),
            Reply::Again(answer) => Ok(json!(answer)),
            Reply::Ask(text) => Ok(json!({"asked": text})),
            Reply::Pending => {
                let commit = self.commit().expect("what is pending is to be committed");
                Ok(json!(commit.answer.expect("an op is answered").1))
            }
        }
    }

    fn ask(&mut self, who: &Viewer, kind: &str, body: impl Into<Json>) -> Result<Json, Refusal> {
        let body: Json = body.into();
        self.ops += 1;
        let op_id = format!("op-{}", self.ops);
        self.send(who, &json!({"op_id": op_id, "kind": kind, "body": body}))
    }

    fn later(&mut self, millis: i64) {
        self.now += millis;
        self.room.handle_timeout(self.now);
        self.commit();
    }

    fn events(&self) -> Vec<Arc<Event>> {
        let event = |record: &Record| match record {
            Record::Event(event) => Some(Arc::clone(event)),
            _ => None,
        };
        self.disk.iter().filter_map(event).collect()
    }

    fn last(&self) -> Json {
        json!(self.events().last().expect("an event"))
    }

    fn restarted(&self) -> Room {
        Room::restore("e1", Settings::default(), self.disk.clone())
    }
}

fn viewer(id: &str) -> Viewer {
    Viewer { id: id.into(), name: None, role: Role::Viewer, anonymous: true }
}

fn staff(role: Role) -> Viewer {
    Viewer { id: role.as_str().into(), name: Some("Sam".into()), role, anonymous: false }
}

fn host() -> Viewer {
    staff(Role::Host)
}

fn open(house: &mut House, more: impl Into<Json>) -> Id {
    let more: Json = more.into();
    let mut body = json!({"question": "Tea?", "options": ["yes", "no", "no"]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let answer = house.ask(&host(), "poll.open", body).unwrap();
    answer["id"].as_str().unwrap().into()
}

fn votes(tally: &Json) -> Vec<u64> {
    let options = tally["options"].as_array().unwrap();
    options.iter().filter_map(|option| option["votes"].as_u64()).collect()
}

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
fn a_poll_counts_each_voter_once_and_ends_with_one_result() {
    let mut house = House::with_picture(600);
    let poll = open(&mut house, json!({}));
    let vote = |house: &mut House, who: &str, options: Json| {
        house.ask(&viewer(who), "poll.vote", json!({"poll": poll, "options": options}))
    };
    vote(&mut house, "v1", json!(["1"])).unwrap();
    vote(&mut house, "v2", json!(["3"])).unwrap();
    assert_eq!(vote(&mut house, "v1", json!(["2"])).unwrap_err().code, "poll.voted");
    for wrong in [json!([]), json!(["1", "2"]), json!(["4"]), json!(["1", "1"])] {
        assert_eq!(vote(&mut house, "v3", wrong).unwrap_err().code, "poll.option");
    }
    house.later(600);
    let tally = house.last();
    assert_eq!(tally["kind"], "poll.tally");
    assert_eq!((votes(&tally["body"]), &tally["body"]["voters"]), (vec![1, 0, 1], &json!(2)));
    assert_eq!(tally["id"], *poll);

    house.ask(&host(), "poll.close", json!({"poll": poll})).unwrap();
    assert_eq!(house.last()["body"]["closing"], true);
    let closes = house.last()["bind"]["pts"].as_u64().unwrap();
    // Whose picture is not there yet may still vote; whose has passed may not.
    let late = json!({"op_id": "l", "kind": "poll.vote", "body": {"poll": poll, "options": ["1"]}, "seen": closes + 1});
    assert_eq!(house.send(&viewer("v4"), &late).unwrap_err().code, "poll.closed");
    let behind = json!({"op_id": "b", "kind": "poll.vote", "body": {"poll": poll, "options": ["1"]}, "seen": closes});
    house.later(1000);
    house.send(&viewer("v5"), &behind).unwrap();
    house.later(5000);
    let result = house.last();
    assert_eq!(
        (result["kind"].as_str(), votes(&result["body"])),
        (Some("poll.result"), vec![2, 0, 1])
    );
    assert_eq!(vote(&mut house, "v6", json!(["1"])).unwrap_err().code, "poll.closed");
    house.later(60_000);
    let results = house.events().iter().filter(|event| event.body.kind() == "poll.result").count();
    assert_eq!(results, 1);
}

#[test]
fn a_poll_closes_by_itself_also_without_a_picture() {
    for mut house in [House::new(), House::with_picture(600)] {
        open(&mut house, json!({"duration_ms": 5000}));
        let opened = house.last();
        let begins = opened["bind"]["pdt"].as_i64().unwrap_or(NOW);
        assert_eq!(opened["body"]["closes_at"], begins + 5000);
        house.later(4000);
        assert_eq!(house.last()["kind"], "poll.opened");
        house.later(2000);
        assert_eq!(house.last()["body"]["closing"], true);
        house.later(3000);
        assert_eq!(house.last()["kind"], "poll.result");
    }
}

#[test]
fn counts_are_hidden_until_they_may_be_seen() {
    for (results, shown) in
        [("always", [true, true]), ("after_close", [false, true]), ("on_reveal", [false, false])]
    {
        let mut house = House::with_picture(600);
        let poll = open(&mut house, json!({"results": results}));
        house.ask(&viewer("v1"), "poll.vote", json!({"poll": poll, "options": ["2"]})).unwrap();
        house.later(1000);
        let told = !votes(&house.last()["body"]).is_empty();
        house.ask(&host(), "poll.close", json!({"poll": poll})).unwrap();
        house.later(5000);
        let ended = house.last()["kind"] == "poll.result";
        assert_eq!([told, ended], shown, "{results}");
        if !ended {
            assert_eq!(votes(&house.room.state()["polls"][0]), [0_u64; 0]);
            house.ask(&host(), "poll.reveal", json!({"poll": poll})).unwrap();
            assert_eq!(votes(&house.last()["body"]), [0, 1, 0]);
            assert_eq!(house.last()["kind"], "poll.result");
        }
    }
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

#[derive(Clone, Debug)]
enum Act {
    Chat(u8, String),
    Vote(u8, u8, u8),
    Upvote(u8),
    Host(u8),
    React(u8),
    Wait(u16),
    Flow(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (any::<u8>(), "[a-c]{1,3}").prop_map(|(who, text)| Act::Chat(who % 8, text)),
        (any::<u8>(), 0_u8..4, 0_u8..4)
            .prop_map(|(who, poll, option)| Act::Vote(who, poll, option)),
        any::<u8>().prop_map(Act::Upvote),
        (0_u8..12).prop_map(Act::Host),
        any::<u8>().prop_map(Act::React),
        (0_u16..4000).prop_map(Act::Wait),
        any::<bool>().prop_map(Act::Flow),
    ];
    proptest::collection::vec(act, 1..120)
}

fn play(house: &mut House, acts: &[Act]) {
    let (mut polls, mut things, mut index) = (Vec::<Json>::new(), Vec::<Json>::new(), 600);
    for act in acts {
        let poll =
            |at: u8| polls.get(usize::from(at) % polls.len().max(1)).cloned().unwrap_or_default();
        let thing = things.last().cloned().unwrap_or_default();
        let done = match act {
            Act::Chat(who, text) => {
                house.ask(&viewer(&format!("v{who}")), "chat.send", json!({"text": text}))
            }
            Act::Vote(who, at, option) => {
                let body = json!({"poll": poll(*at), "options": [option.to_string()]});
                house.ask(&viewer(&format!("v{who}")), "poll.vote", body)
            }
            Act::Upvote(who) => {
                house.ask(&viewer(&format!("v{who}")), "qa.upvote", json!({"question": thing}))
            }
            Act::React(who) => {
                house.ask(&viewer(&format!("v{who}")), "react", json!({"emoji": "❤"}))
            }
            Act::Wait(millis) => {
                index += 10;
                house.later(i64::from(*millis));
                house.room.handle_part(house.now);
                house.room.cut_tick();
                house.commit();
                continue;
            }
            Act::Flow(true) => {
                house.flow(index);
                continue;
            }
            Act::Flow(false) => {
                house.room.set_media(None);
                continue;
            }
            Act::Host(what) => {
                let (kind, body) = match what {
                    0 | 1 => (
                        "poll.open",
                        json!({"question": "q", "options": ["a", "b", "c"], "change_vote": *what == 0, "duration_ms": 2000}),
                    ),
                    2 | 3 => (
                        "poll.open",
                        json!({"question": "q", "options": ["a", "b", "c"], "results": "on_reveal"}),
                    ),
                    4 => ("poll.close", json!({"poll": poll(3)})),
                    5 => ("poll.reveal", json!({"poll": poll(2)})),
                    6 => ("poll.cancel", json!({"poll": poll(1)})),
                    7 => ("announce", json!({"text": "now"})),
                    8 => ("qa.spotlight", json!({"question": thing})),
                    9 => ("pin", json!({"message": thing})),
                    10 => ("mod.remove", json!({"message": thing})),
                    _ => ("mod.mode", json!({"mode": "hold", "value": index % 20 == 0})),
                };
                house.ask(&host(), kind, body)
            }
        };
        if let Ok(answer) = done {
            match act {
                Act::Host(0..=3) => polls.push(answer["id"].clone()),
                Act::Chat(..) => things.push(answer["id"].clone()),
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Reading the journal again, as it is written and read on the disk, gives the same room; numbers
    /// have no gap; each result is the count of the votes that were confirmed, and comes once.
    #[test]
    fn the_journal_is_the_room(acts in acts()) {
        let mut house = House::with_picture(600);
        play(&mut house, &acts);
        let written: Vec<String> = house.disk.iter().map(|record| json!(record).to_string()).collect();
        let read: Vec<Record> = written.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(&read, &house.disk);
        let mut again = house.restarted();
        house.room.set_media(None);
        again.set_media(None);
        prop_assert_eq!(again.state(), house.room.state());
        prop_assert_eq!((again.seq(), again.tick(), again.furthest()), (house.room.seq(), house.room.tick(), house.room.furthest()));

        let events = house.events();
        for (at, event) in events.iter().enumerate() {
            prop_assert_eq!(event.seq, at as u64 + 1);
        }
        let mut choices: HashMap<(Id, Id), Vec<Id>> = HashMap::new();
        let mut results = BTreeMap::new();
        let mut revs: HashMap<Id, u64> = HashMap::new();
        for record in &house.disk {
            match record {
                Record::Vote { poll, voter, options } => {
                    prop_assert!(!results.contains_key(poll), "a vote after the result");
                    choices.insert((poll.clone(), voter.clone()), options.clone());
                }
                Record::Event(event) => {
                    if let Body::PollTally(tally) | Body::PollResult(tally) = &event.body {
                        let before = revs.insert(tally.poll.clone(), tally.rev);
                        prop_assert!(before < Some(tally.rev), "rev rises");
                    }
                    if let Body::PollResult(tally) = &event.body {
                        prop_assert!(results.insert(tally.poll.clone(), tally.clone()).is_none(), "one result");
                        let of = |id: &Id| choices.iter().filter(|((poll, _), choice)| *poll == tally.poll && choice.contains(id)).count() as u64;
                        for option in &tally.options {
                            prop_assert_eq!(option.votes, Some(of(&option.id)));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A part's bytes stay within its budget whatever the crowd does, nobody is heard twice in it, and
    /// over many parts authors are heard equally often.
    #[test]
    fn the_sample_is_bounded_and_fair(crowd in 20_u64..300, budget in 1024_usize..4096) {
        let mut carriage = Carriage::new("e1".into(), 60_000);
        let mut heard: HashMap<String, u64> = HashMap::new();
        let (mut seq, parts) = (0, 60);
        for part in 0..parts {
            for author in 0..crowd {
                seq += 1;
                carriage.push(&Arc::new(Event {
                    seq,
                    id: format!("m{seq}").into(),
                    body: Body::ChatMessage { text: "hello there".into(), reply_to: None },
                    at: NOW,
                    bind: None,
                    seen: None,
                    by: Some((&viewer(&format!("v{author}"))).into()),
                }));
            }
            let span = Span { pts: part * 30_000, duration: 30_000, starts_segment: part % 6 == 0, budget };
            let cues = carriage.compose(&span);
            let bytes: usize = cues.iter().map(|cue| cue.text.len()).sum();
            prop_assert!(bytes <= budget + 128, "{bytes} bytes");
            let value: Json = serde_json::from_str(&cues[0].text).unwrap();
            let shown = value["events"].as_array().unwrap();
            prop_assert_eq!(shown.len() as u64 + value["more"].as_u64().unwrap_or(0), crowd);
            for event in shown {
                *heard.entry(event["by"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        let total: u64 = heard.values().sum();
        let mean = total as f64 / crowd as f64;
        // Drawn `parts` times with the same chance: nobody is further than six deviations from the mean.
        let most = mean + 6.0 * mean.max(1.0).sqrt();
        prop_assert!(heard.values().all(|&count| count as f64 <= most), "{heard:?}");
    }
}

#[test]
fn what_must_arrive_is_carried_on_its_frame_and_once() {
    let mut house = House::with_picture(600);
    let mut carriage = Carriage::new("e1".into(), 60_000);
    let op = json!({"op_id": "p", "kind": "poll.open", "body": {"question": "q", "options": ["a", "b"]}, "at": {"pts": 617 * 3000}});
    house.send(&host(), &op).unwrap();
    house.ask(&viewer("v1"), "chat.send", json!({"text": "first"})).unwrap();
    let removed =
        house.ask(&viewer("v2"), "chat.send", json!({"text": "bad"})).unwrap()["id"].clone();
    house.ask(&host(), "mod.remove", json!({"message": removed})).unwrap();
    house.events().iter().for_each(|event| carriage.push(event));
    let mut compose = |frame: u64| {
        let span = Span {
            pts: frame * 3000,
            duration: 30_000,
            starts_segment: frame.is_multiple_of(60),
            budget: 1024,
        };
        let cues = carriage.compose(&span);
        cues.into_iter()
            .map(|cue| (cue.pts / 3000, serde_json::from_str::<Json>(&cue.text).unwrap()))
            .collect::<Vec<_>>()
    };
    let first = compose(600);
    assert_eq!(first.len(), 1);
    let kinds = |value: &Json| {
        value["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(&first[0].1),
        ["chat.removed", "chat.message"],
        "what was removed in time is never carried"
    );
    let second = compose(610);
    assert_eq!((second.len(), second[0].0), (1, 617));
    assert_eq!(kinds(&second[0].1), ["poll.opened"]);
    assert_eq!(second[0].1["pts"], 617 * 3000);
    assert_eq!(compose(620), []);
    assert_eq!(compose(660).len(), 1, "a segment begins with the state");
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
