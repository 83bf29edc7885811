//! Events for those without a WebSocket.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::client::Connection;
use crate::house::{House, soon};

const SSE: &str = "/api/v1/streams/live/sse";

/// A reader of events.
struct Reader {
    connection: Connection,
    text: String,
}

#[derive(Debug)]
enum Heard {
    Message { id: Option<String>, data: Value },
    Comment,
    End,
}

impl Reader {
    async fn open(house: &House, headers: &[&str]) -> Self {
        let mut connection = house.ask("GET", SSE, headers).await;
        let head = connection.receive(false).await.unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert_eq!(head.header("content-length"), None);
        Self { connection, text: String::new() }
    }

    /// The next block, without what HTTP/1.1 puts around chunks: a line of hexadecimal digits.
    async fn next(&mut self) -> Heard {
        let block = loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                break block;
            }
            if self.text.ends_with("\r\n0\r\n\r\n") {
                return Heard::End;
            }
            let mut bytes = self.connection.left();
            if bytes.is_empty() && self.connection.stream.read_buf(&mut bytes).await.unwrap() == 0 {
                return Heard::End;
            }
            self.text += std::str::from_utf8(&bytes).unwrap();
        };
        let (mut id, mut data) = (None, None);
        for line in block.lines() {
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(value).unwrap());
            }
        }
        data.map_or(Heard::Comment, |data| Heard::Message { id, data })
    }

    async fn message(&mut self, kind: &str) -> (Option<String>, Value) {
        match soon(self.next()).await {
            Heard::Message { id, data } => {
                assert_eq!(data["t"], kind, "{data}");
                (id, data)
            }
            other => panic!("{other:?} instead of {kind}"),
        }
    }
}

#[tokio::test]
async fn who_comes_back_with_the_last_id_gets_what_was_missed() {
    let house = House::open("");
    let token = house.session().await;
    let mut reader = Reader::open(&house, &[]).await;
    let (id, welcome) = reader.message("welcome").await;
    assert_eq!(welcome["resume"], "full");
    let epoch = welcome["pos"]["epoch"].as_str().unwrap();
    assert_eq!(id.unwrap(), format!("{epoch}.{}", welcome["pos"]["seq"]));
    house.op(&token, "chat.send", json!({"text": "one"})).await;
    let (id, batch) = reader.message("batch").await;
    assert_eq!(batch["events"][0]["body"]["text"], "one");
    let last = format!("Last-Event-ID: {}", id.unwrap());
    drop(reader);

    house.op(&token, "chat.send", json!({"text": "two"})).await;
    let mut again = Reader::open(&house, &[&last]).await;
    let (id, welcome) = again.message("welcome").await;
    assert_eq!((welcome["resume"].as_str(), id), (Some("replay"), None), "the rest is to come");
    let (id, missed) = again.message("batch").await;
    let texts: Vec<_> = missed["events"].as_array().unwrap().iter().collect();
    assert_eq!((texts.len(), &texts[0]["body"]["text"]), (1, &json!("two")));
    assert_eq!(id.unwrap(), format!("{epoch}.{}", missed["to"]));

    let mut stranger = Reader::open(&house, &["Last-Event-ID: another.7"]).await;
    assert_eq!(stranger.message("welcome").await.1["resume"], "snapshot");
}

#[tokio::test]
async fn a_token_says_who_listens_and_a_ban_ends_it() {
    let house = House::open("");
    let token = house.session().await;
    let bearer = format!("Authorization: Bearer {token}");
    let mut reader = Reader::open(&house, &[&bearer]).await;
    let (_, welcome) = reader.message("welcome").await;
    assert!(welcome["state"]["mine"].is_object(), "{welcome}");
    house.command("mod.ban", json!({"viewer": welcome["viewer"]})).await;
    let heard = loop {
        match soon(reader.next()).await {
            Heard::Message { data, .. } if data["t"] == "bye" => break data,
            Heard::End => panic!("it ends without a word"),
            _ => {}
        }
    };
    assert_eq!(heard["code"], "auth.banned");
    assert!(matches!(soon(reader.next()).await, Heard::End));
    for (headers, status) in [(["Authorization: Bearer x"], 401), (["Origin: https://evil"], 403)] {
        let reply = house.ask("GET", SSE, &headers).await.receive(true).await.unwrap();
        assert_eq!(reply.status, status);
    }
}

/// Time is paused: the limits of the default hold, and nobody waits for them.
#[tokio::test(start_paused = true)]
async fn a_quiet_room_gives_signs_of_life_for_as_long_as_somebody_listens() {
    let house = House::open("");
    let mut reader = Reader::open(&house, &[]).await;
    reader.message("welcome").await;
    let since = Instant::now();
    for _ in 0..20 {
        assert!(matches!(reader.next().await, Heard::Comment));
    }
    assert_eq!(since.elapsed().as_secs(), 300, "one every 15 s, beyond every limit of an answer");
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_ends_the_answer() {
    let house = House::open("");
    let mut reader = Reader::open(&house, &[]).await;
    reader.message("welcome").await;
    house.rooms.stop();
    house.stop.send_replace(true);
    assert_eq!(reader.message("bye").await.1["code"], "server.stopping");
    let ended = tokio::time::timeout(Duration::from_secs(3), reader.next()).await;
    assert!(matches!(ended, Ok(Heard::End)), "before what is left is cut off");
}
