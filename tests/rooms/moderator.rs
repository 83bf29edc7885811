//! A moderator elsewhere, asked over HTTP.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::house::House;

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// What came in: head and body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A moderator that does what the text says.
async fn moderator() -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Asked::default());
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut text = String::new();
                let body = loop {
                    let mut bytes = [0; 4096];
                    let length = stream.read(&mut bytes).await.unwrap();
                    text += std::str::from_utf8(&bytes[..length]).unwrap();
                    if let Some((head, body)) = text.split_once("\r\n\r\n")
                        && serde_json::from_str::<Value>(body).is_ok()
                    {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                seen.lock().unwrap().push(body.clone());
                let asked: Value = serde_json::from_str(&body.1).unwrap();
                let (status, answer) = match asked["data"]["text"].as_str().unwrap() {
                    "never" => std::future::pending().await,
                    "elsewhere" => ("302 Found\r\nLocation: /allow", json!({"verdict": "allow"})),
                    "nonsense" => ("200 OK", json!({"verdict": "perhaps"})),
                    "endless" => ("200 OK", json!({"verdict": "allow", "why": "x".repeat(5000)})),
                    "bad" => ("200 OK", json!({"verdict": "block", "why": "not here"})),
                    "hm" => ("200 OK", json!({"verdict": "hold"})),
                    _ => ("200 OK", json!({"verdict": "allow"})),
                };
                let answer = answer.to_string();
                let length = answer.len();
                let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}");
                stream.write_all(text.as_bytes()).await.unwrap();
            });
        }
    });
    (port, asked)
}

fn config(port: u16, networks: &str, more: &str) -> String {
    let secret = STANDARD.encode(SECRET);
    format!(
        "moderator = \"http://127.0.0.1:{port}/judge\"\nmoderator_secret = \"whsec_{secret}\"\n{more}\
         [http]\nwebhook_networks = [{networks}]\n"
    )
}

/// What becomes of a text that somebody new writes.
async fn say(house: &House, text: &str) -> Value {
    let token = house.session().await;
    house.op(&token, "chat.send", json!({"text": text})).await.json()
}

#[tokio::test]
async fn what_the_rules_allow_is_judged_and_signed() {
    let (port, asked) = moderator().await;
    let house = House::open(&config(port, "\"127.0.0.1\"", "block_words = [\"spoiler\"]\n"));
    let shown = say(&house, "good").await;
    assert_eq!((&shown["state"], shown["id"].is_string()), (&json!("confirmed"), true), "{shown}");
    assert_eq!(say(&house, "hm").await["state"], "held");
    let refused = say(&house, "bad").await;
    assert_eq!((&refused["code"], &refused["keep_draft"]), (&json!("mode.filter"), &json!(true)));
    assert!(refused["message"].as_str().unwrap().contains("not here"));
    assert_eq!(say(&house, "a spoiler").await["code"], "mode.filter");
    house.command("chat.send", json!({"text": "bad"})).await;
    let asked = asked.lock().unwrap();
    let texts: Vec<Value> =
        asked.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    let texts: Vec<_> = texts.iter().map(|it| it["data"]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["good", "hm", "bad"], "rules come first, and moderators are not judged");
    let mut ids = Vec::new();
    for (head, body) in asked.iter() {
        assert!(head.starts_with("POST /judge HTTP/1.1"), "{head}");
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("no {name}: {head}"))
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        let (id, at) = (field("webhook-id"), field("webhook-timestamp"));
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(field("webhook-signature"), expected);
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "every message has its own name");
}

#[tokio::test]
async fn nobody_waits_for_the_message_of_another() {
    let (port, _) = moderator().await;
    let house = House::open(&config(port, "\"127.0.0.0/8\"", ""));
    let began = Instant::now();
    let slow = async { (say(&house, "never").await, began.elapsed()) };
    let others = async {
        for text in ["one", "two", "three"] {
            assert_eq!(say(&house, text).await["state"], "confirmed");
        }
        began.elapsed()
    };
    let ((held, slow), others) = tokio::join!(slow, others);
    assert_eq!(held["state"], "held", "{held}");
    assert!(others < slow && slow >= Duration::from_millis(800), "{others:?} {slow:?}");
}

#[tokio::test]
async fn what_is_no_verdict_is_decided_as_configured() {
    let (port, asked) = moderator().await;
    for (more, expected) in [("", "held"), ("moderator_on_failure = \"allow\"\n", "confirmed")] {
        let house = House::open(&config(port, "\"127.0.0.1\"", more));
        for text in ["elsewhere", "nonsense", "endless"] {
            assert_eq!(say(&house, text).await["state"], expected, "{text}");
        }
    }
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|(head, _)| head.starts_with("POST /judge")),
        "no redirect is followed"
    );
}

#[tokio::test]
async fn an_address_that_is_not_listed_is_never_reached() {
    let (port, asked) = moderator().await;
    for networks in ["", "\"10.0.0.0/8\"", "\"127.0.0.2\""] {
        let house = House::open(&config(port, networks, ""));
        assert_eq!(say(&house, "good").await["state"], "held");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_moderator_that_fails_again_and_again_is_left_alone_for_a_while() {
    let (port, asked) = moderator().await;
    let house = House::open(&config(port, "\"127.0.0.1\"", ""));
    for _ in 0..8 {
        assert_eq!(say(&house, "nonsense").await["state"], "held");
    }
    assert_eq!(asked.lock().unwrap().len(), 5);
    assert_eq!(say(&house, "good").await["state"], "held", "nor is it asked about others");
}
