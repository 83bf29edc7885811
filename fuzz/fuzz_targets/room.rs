//! Ops from outside, one a line, the line's first character saying whose: what is refused changes nothing,
//! the log has no gap, and the journal gives the same room again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nowcast_interact::{Op, Record, Reply, Role, Room, Settings, Verdict, Viewer};

fuzz_target!(|text: &str| {
    let settings = Settings { moderated: text.starts_with('m'), ..Settings::default() };
    let mut room = Room::restore("e", settings.clone(), []);
    let (mut journal, mut now) = (Vec::new(), 1_000_000);
    for line in text.lines() {
        now += 700;
        let who = line.as_bytes().first().copied().unwrap_or_default();
        let role = match who {
            b'h' => Role::Host,
            b'm' => Role::Moderator,
            b'o' => Role::Operator,
            _ => Role::Viewer,
        };
        let viewer =
            Viewer { id: format!("v{who}").into(), name: None, role, anonymous: who % 2 == 0 };
        let json = line.find('{').map_or("", |at| &line[at..]);
        let Ok(value) = serde_json::from_str(json) else { continue };
        let seq = room.seq();
        match Op::parse(&value).map(|op| (room.handle_op(&viewer, &op, now), op)) {
            Ok((Reply::Ask(text), op)) => {
                assert_eq!(room.seq(), seq, "nothing is decided before the verdict");
                let verdict = match text.len() % 3 {
                    0 => Verdict::Allow,
                    1 => Verdict::Hold("why".into()),
                    _ => Verdict::Block("why".into()),
                };
                let _ = room.handle_verdict(&viewer, &op, &verdict, now);
            }
            Ok((Reply::Pending, _)) => {}
            Ok(_) | Err(_) => assert_eq!(room.seq(), seq, "{line}"),
        }
        room.handle_part(now);
        room.handle_timeout(now);
        room.cut_tick();
        journal.extend(std::iter::from_fn(|| room.poll_commit()).flat_map(|commit| commit.records));
    }
    let numbers = journal.iter().filter_map(|record| match record {
        Record::Event(event) => Some(event.seq),
        _ => None,
    });
    assert!(numbers.eq(1..=room.seq()), "the log has no gap");
    let again = Room::restore("e", settings, journal);
    assert_eq!(again.state(), room.state());
});
