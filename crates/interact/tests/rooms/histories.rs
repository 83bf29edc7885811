//! Random histories: the journal is the room, and the parts carry a fair share of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nowcast_interact::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::house::*;

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

    /// Nothing that is left of the journal tells of who was taken out of it, or what they wrote; all else
    /// is as it was, every count included.
    #[test]
    fn who_is_taken_out_leaves_only_counts(acts in acts(), whose in proptest::option::of(0_u8..8)) {
        let mut house = House::with_picture(600);
        play(&mut house, &acts);
        // All that is counted is told, but for polls that nobody closes or reveals.
        house.later(60_000);
        house.later(60_000);
        let eraser = match whose {
            Some(who) => Eraser::Person { id: format!("v{who}").into(), alias: "gone-1".into() },
            None => {
                let entries: Vec<_> = house.disk.iter().cloned().map(|record| vec![record]).collect();
                let (eraser, old) = Eraser::audience(entries.iter().map(Vec::as_slice), house.now + 1);
                prop_assert_eq!(old, entries.len());
                eraser
            }
        };
        let theirs = |event: &&Arc<Event>| event.by.as_ref().is_some_and(|by| match whose {
            Some(who) => *by.id == *format!("v{who}"),
            None => by.role == Role::Viewer,
        });
        let said: Vec<_> = house.events().iter().filter(theirs).map(|event| event.id.clone()).collect();
        let before = house.restarted().state();
        let events = house.events();
        let ends = |event: &Event| matches!(event.body, Body::PollResult(_) | Body::PollCancelled { .. });
        let ended = events.iter().filter(|event| ends(event)).count();
        let open = before["polls"].as_array().unwrap().len() > ended;
        house.disk = house.disk.drain(..).filter_map(|record| eraser.rewrite(record)).collect();
        let text = json!(house.disk).to_string();
        let told = |who: u8| text.contains(&format!("\"v{who}\""));
        match whose {
            Some(who) => prop_assert!(!told(who), "{text}"),
            None => prop_assert!(open || !(0..8).any(told), "{text}"),
        }
        let after = house.restarted().state();
        // A poll that was withdrawn has no result to keep.
        let counted = |state: &Json| -> Vec<Json> {
            let polls = state["polls"].as_array().unwrap().iter();
            polls.filter(|poll| poll["state"] != "cancelled").cloned().collect()
        };
        prop_assert_eq!(counted(&after), counted(&before));
        prop_assert_eq!(&after["modes"], &before["modes"]);
        let kept: Vec<_> = before["chat"].as_array().unwrap().iter().filter(|event| {
            !said.iter().any(|id| event["id"] == **id)
        }).cloned().collect();
        // Fewer messages leave room for older ones.
        prop_assert!(after["chat"].as_array().unwrap().ends_with(&kept));
        for event in house.events().iter().filter(|event| said.contains(&event.id)) {
            prop_assert!(event.body.text().is_none_or(str::is_empty));
        }
        prop_assert!(house.events().iter().map(|event| event.seq).eq(1..=house.room.seq()));
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
