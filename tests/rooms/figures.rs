//! What rooms tell the operator of themselves.

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::house::{House, soon};

#[tokio::test]
async fn ops_answers_listeners_and_bytes_are_counted() {
    let house = House::open("block_words = [\"spoiler\"]\n");
    let token = house.session().await;
    let mut reader = house.ask("GET", "/api/v1/streams/live/sse", &[]).await;
    assert_eq!(reader.receive(false).await.unwrap().status, 200);
    house.op(&token, "chat.send", json!({"text": "hello"})).await;
    house.op(&token, "chat.send", json!({"text": "hello"})).await;
    house.op(&token, "chat.send", json!({"text": "a spoiler"})).await;
    house.op(&token, "react", json!({"emoji": "❤"})).await;
    let mut heard = String::new();
    while !heard.contains("\"t\":\"batch\"") {
        let mut bytes = reader.left();
        if bytes.is_empty() {
            soon(reader.stream.read_buf(&mut bytes)).await.unwrap();
        }
        heard += &String::from_utf8_lossy(&bytes);
    }
    let text = house.look("/metrics").await.text().to_owned();
    for line in [
        "nowcast_events_ops_total{kind=\"chat.send\",result=\"confirmed\"} 1",
        "nowcast_events_ops_total{kind=\"chat.send\",result=\"again\"} 1",
        "nowcast_events_ops_total{kind=\"chat.send\",result=\"refused\"} 1",
        "nowcast_events_ops_total{kind=\"react\",result=\"counted\"} 1",
        "nowcast_events_ack_seconds_count 1",
        "nowcast_events_connections{carrier=\"sse\"} 1",
        "nowcast_events_connections{carrier=\"websocket\"} 0",
        "nowcast_events_late_cues_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let value = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}\n{text}")).parse().unwrap()
    };
    assert!(value("nowcast_events_commits_total") >= value("nowcast_events_commit_seconds_count"));
    assert!(value("nowcast_events_bytes_total{carrier=\"batch\"}") > 100);
    assert!(!text.contains("kind=\"poll.open\""), "what never occurred takes no room");
}
