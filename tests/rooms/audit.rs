//! What was done with authority, and that nobody can quietly change what is written of it.

use nowcast_interact::audit::{Head, Misfit, Row};
use redb::{Database, ReadableTable, TableDefinition};
use serde_json::json;

use crate::house::House;

const AUDIT: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("audit");

async fn read(house: &House) -> (Vec<Row>, Head) {
    let page = house.look("/api/v1/streams/live/audit").await.json();
    let rows = serde_json::from_value(page["rows"].clone()).unwrap();
    (rows, serde_json::from_value(page["end"].clone()).unwrap())
}

fn verify((rows, end): &(Vec<Row>, Head)) -> Result<(), Misfit> {
    rows.iter().try_fold(Head::of("live"), |head, row| head.follow(row))?.is_end(end)
}

#[tokio::test]
async fn what_had_an_effect_is_written_and_outlives_the_server() {
    let house = House::open("");
    let viewer = house.session().await;
    house.op(&viewer, "chat.send", json!({"text": "not with authority"})).await;
    house.command("announce", json!({"text": "one"})).await;
    house.command("mod.mode", json!({"mode": "locked", "value": true})).await;
    let refused = house.try_command("mod.remove", json!({"message": "no such"})).await;
    assert_eq!(refused.status, 404);
    let before = read(&house).await;
    let told =
        |row: &Row| format!("{} {} {} {}", row.n, row.deed.who, row.deed.kind, row.deed.body);
    let told: Vec<_> = before.0.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "1 operator announce {\"duration_ms\":null,\"text\":\"one\"}",
            "2 operator mod.mode {\"mode\":\"locked\",\"value\":true}"
        ]
    );
    assert_eq!(verify(&before), Ok(()));
    let house = House::open_in(house.close().await, "");
    house.command("mod.mode", json!({"mode": "locked", "value": false})).await;
    let after = read(&house).await;
    assert_eq!((after.0.len(), &after.0[..2], verify(&after)), (3, &before.0[..], Ok(())));
    let second = house.look("/api/v1/streams/live/audit?after=2").await.json();
    assert_eq!((second["rows"].as_array().unwrap().len(), &second["rows"][0]["n"]), (1, &json!(3)));
}

#[tokio::test]
async fn a_row_that_is_changed_on_the_disk_is_named() {
    let house = House::open("");
    for text in ["one", "two", "three"] {
        house.command("announce", json!({"text": text})).await;
    }
    let (status, said) = house.command_line(&["moderate", "audit", "live", "--verify"]).await;
    assert_eq!(
        (status, said.starts_with("3 rows, each as it was written")),
        (Some(0), true),
        "{said}"
    );
    assert!(
        house
            .command_line(&["moderate", "audit", "live"])
            .await
            .1
            .contains("operator (operator)  announce")
    );
    let dir = house.close().await;
    {
        let database = Database::open(dir.path().join("rooms.redb")).unwrap();
        let write = database.begin_write().unwrap();
        let mut rows = write.open_table(AUDIT).unwrap();
        let row = rows.get(("live", 2)).unwrap().unwrap().value().to_vec();
        let row = String::from_utf8(row).unwrap().replace("two", "too");
        rows.insert(("live", 2), row.as_bytes()).unwrap();
        drop(rows);
        write.commit().unwrap();
    }
    let house = House::open_in(dir, "");
    assert_eq!(verify(&read(&house).await), Err(Misfit::Content(2)));
    let (status, said) = house.command_line(&["moderate", "audit", "live", "--verify"]).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("row 2 is not as it was written"), "{said}");
}
