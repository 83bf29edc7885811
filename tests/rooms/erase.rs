//! Who is taken out of a room, and what has become old, is not on the disk any more.

use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::House;

const JOURNAL: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("journal");
const ANSWERS: TableDefinition<'_, (&str, &str, &str), (i64, &[u8])> =
    TableDefinition::new("answers");

/// All that the tables have of the room, as text.
fn disk(dir: &TempDir) -> String {
    let database = Database::open(dir.path().join("rooms.redb")).unwrap();
    let read = database.begin_read().unwrap();
    let (journal, answers) = (read.open_table(JOURNAL).unwrap(), read.open_table(ANSWERS).unwrap());
    let rows = journal.iter().unwrap().map(|row| {
        let (_, value) = row.unwrap();
        String::from_utf8(value.value().to_vec()).unwrap()
    });
    let answered = answers.iter().unwrap().map(|row| {
        let (key, value) = row.unwrap();
        format!("{:?} {}", key.value(), String::from_utf8_lossy(value.value().1))
    });
    rows.chain(answered).collect::<Vec<_>>().join("\n")
}

async fn state(house: &House) -> Value {
    house.look("/api/v1/streams/live/room").await.json()
}

#[tokio::test]
async fn who_is_taken_out_is_on_no_screen_and_not_on_the_disk_but_their_vote_counts() {
    let house = House::open("");
    let (leaving, staying) = (house.session().await, house.session().await);
    let poll = house.command("poll.open", json!({"question": "?", "options": ["a", "b"]})).await;
    for (who, option) in [(&leaving, "1"), (&staying, "2")] {
        let vote = json!({"poll": poll["id"], "options": [option]});
        assert_eq!(house.op(who, "poll.vote", vote).await.status, 200);
    }
    house.op(&leaving, "qa.ask", json!({"text": "a private question?"})).await;
    house.op(&staying, "chat.send", json!({"text": "what stays"})).await;
    let said = house.op(&leaving, "chat.send", json!({"text": "a private matter"})).await;
    assert_eq!(said.status, 200);
    let events = &state(&house).await["chat"];
    let who = events[1]["by"]["id"].as_str().unwrap().to_owned();

    let erased = house.command_line(&["moderate", "erase", "live", &who]).await;
    assert_eq!(erased, (Some(0), format!("{who} is gone, and 2 of what they wrote\n")));
    let after = state(&house).await;
    let texts: Vec<_> =
        after["chat"].as_array().unwrap().iter().map(|it| &it["body"]["text"]).collect();
    assert_eq!((texts, &after["questions"]), (vec![&json!("what stays")], &json!([])));
    assert_eq!(after["polls"][0]["voters"], 2);
    // The room goes on, also with them: as a stranger.
    assert_eq!(house.op(&leaving, "chat.send", json!({"text": "I am new here"})).await.status, 200);
    let mut player = house.ask("GET", "/live/live/events/state.json", &[]).await;
    let shown = player.receive(true).await.unwrap();
    assert!(!shown.text().contains("private"), "{}", shown.text());

    let dir = house.close().await;
    let left = disk(&dir);
    assert!(left.contains("what stays") && left.contains("gone-"));
    assert!(!left.contains("private"), "{left}");
    let again = House::open_in(dir, "");
    let restored = state(&again).await;
    assert_eq!(restored["polls"], after["polls"]);
    assert_eq!(restored["chat"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_older_than_the_room_keeps_is_forgotten_but_results_stay() {
    let house = House::open("");
    let viewer = house.session().await;
    let poll = house.command("poll.open", json!({"question": "?", "options": ["a", "b"]})).await;
    let vote = json!({"poll": poll["id"], "options": ["1"]});
    assert_eq!(house.op(&viewer, "poll.vote", vote).await.status, 200);
    house.command("poll.close", json!({"poll": poll["id"]})).await;
    house.op(&viewer, "chat.send", json!({"text": "long ago"})).await;
    house.command("announce", json!({"text": "what the host said"})).await;
    let closed = |state: &Value| state["polls"][0]["state"] == "closed";
    let mut before = state(&house).await;
    while !closed(&before) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        before = state(&house).await;
    }
    let who = before["chat"][0]["by"]["id"].as_str().unwrap().to_owned();
    let dir = house.close().await;
    assert!(disk(&dir).contains("long ago"));
    age(&dir, 2 * 86_400_000);

    let again = House::open_in(dir, "retention = \"1d\"");
    let after = state(&again).await;
    assert_eq!(
        (&after["polls"][0]["options"], &after["chat"]),
        (&before["polls"][0]["options"], &json!([]))
    );
    let left = disk(&again.close().await);
    assert!(!left.contains("long ago") && !left.contains(&who), "{left}");
    assert!(left.contains("what the host said"));
}

/// Makes the journal so much older, in milliseconds.
fn age(dir: &TempDir, millis: i64) {
    let database = Database::open(dir.path().join("rooms.redb")).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut journal = write.open_table(JOURNAL).unwrap();
        let rows: Vec<(u64, Vec<u8>)> = journal
            .iter()
            .unwrap()
            .map(|row| {
                let (key, value) = row.unwrap();
                (key.value().1, value.value().to_vec())
            })
            .collect();
        for (number, row) in rows {
            let mut records: Value = serde_json::from_slice(&row).unwrap();
            for record in records.as_array_mut().unwrap() {
                if let Some(at) = record["at"].as_i64() {
                    record["at"] = json!(at - millis);
                }
            }
            journal.insert(("live", number), records.to_string().as_bytes()).unwrap();
        }
        let mut answers = write.open_table(ANSWERS).unwrap();
        let keys: Vec<_> = answers
            .iter()
            .unwrap()
            .map(|row| {
                let (key, value) = row.unwrap();
                let (stream, person, op) = key.value();
                let (at, answer) = value.value();
                ([stream, person, op].map(str::to_owned), at, answer.to_vec())
            })
            .collect();
        for ([stream, person, op], at, answer) in keys {
            let key = (&*stream, &*person, &*op);
            answers.insert(key, (at - millis, answer.as_slice())).unwrap();
        }
    }
    write.commit().unwrap();
}
