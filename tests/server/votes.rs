//! A poll while the server is killed over and over: what was confirmed is there, once.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use serde_json::{Value, json};

use super::harness::{Server, open_stream};
use super::socket::{Viewer, operate, token, try_post};

/// Requests under way at a time, and so often the server is killed amid them.
const TOGETHER: usize = 32;
const KILLS: usize = 6;

/// One op of a voter; a third of them change their mind after the first.
#[derive(Clone, Copy)]
struct Vote {
    voter: usize,
    change: bool,
    /// Sent once more although it was confirmed.
    again: bool,
}

impl Vote {
    fn option(self) -> usize {
        (self.voter / 7 + usize::from(self.change)) % 3
    }

    fn op(self, poll: &Value) -> String {
        let Self { voter, change, .. } = self;
        let body = json!({"poll": poll, "options": [(self.option() + 1).to_string()]});
        json!({"op_id": format!("{voter}-{change}"), "kind": "poll.vote", "body": body}).to_string()
    }

    /// What is to be sent once this is confirmed. A first vote comes again after the change has been
    /// confirmed, as it does over a network that delivers late.
    fn next(self) -> Vec<Self> {
        match self {
            Self { again: true, .. } => vec![],
            Self { voter, change: false, .. } if voter % 3 == 0 => {
                vec![Self { change: true, ..self }]
            }
            Self { voter, change: true, .. } if voter % 2 == 0 => {
                vec![Self { again: true, ..self }, Self { change: false, again: true, ..self }]
            }
            Self { voter, change: false, .. } if voter % 5 == 0 => {
                vec![Self { again: true, ..self }]
            }
            _ => vec![],
        }
    }
}

/// With `NOWCAST_VOTERS` as many as that.
#[test]
fn every_confirmed_vote_is_there_once_whatever_kills_the_server() {
    let voters = std::env::var("NOWCAST_VOTERS").map_or(1000, |count| count.parse().unwrap());
    let mut server = Server::start(&open_stream("a", ""));
    let tokens: Vec<_> = (0..voters).map(|_| token(&server, "viewer", "a")).collect();
    let host = token(&server, "host", "a");
    let open = json!({"op_id": "open", "kind": "poll.open", "body": {"question": "q", "options": ["a", "b", "c"], "change_vote": true}});
    let (status, opened) = operate(&server, "a", &host, &open);
    assert_eq!(status, 200, "{opened}");
    let poll = opened["id"].clone();

    let first = |voter| Vote { voter, change: false, again: false };
    let waiting = Mutex::new((0..voters).map(first).collect::<VecDeque<_>>());
    let (confirmed, repeated) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..=KILLS {
        let (http, down) = (server.http, AtomicBool::new(false));
        let enough = voters * (round + 1) / (KILLS + 1);
        thread::scope(|scope| {
            let vote = || {
                while !down.load(Relaxed) {
                    let Some(vote) = waiting.lock().unwrap().pop_front() else { return };
                    let bearer = format!("Authorization: Bearer {}", tokens[vote.voter]);
                    let path = "/api/v1/streams/a/ops";
                    let answer = try_post(http, path, &[&bearer], &vote.op(&poll));
                    let state = answer
                        .and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok())
                        .map_or(Value::Null, |value| value["state"].clone());
                    let mut waiting = waiting.lock().unwrap();
                    if state == "confirmed" {
                        confirmed.fetch_add(usize::from(!vote.again && !vote.change), Relaxed);
                        repeated.fetch_add(usize::from(vote.again), Relaxed);
                        waiting.extend(vote.next());
                    } else {
                        // Nobody knows whether it counts: it is sent again.
                        waiting.push_back(vote);
                    }
                }
            };
            for _ in 0..TOGETHER {
                scope.spawn(vote);
            }
            if round < KILLS {
                while confirmed.load(Relaxed) < enough {
                    thread::yield_now();
                }
                server.kill();
                down.store(true, Relaxed);
            }
        });
        if round < KILLS {
            server = server.start_again();
        }
        let welcome = Viewer::join(&server, "a", None).welcome;
        let counted = welcome["state"]["polls"][0]["voters"].as_u64().unwrap();
        let confirmed = confirmed.load(Relaxed) as u64;
        assert!(counted >= confirmed, "{counted} counted, {confirmed} confirmed");
    }
    assert_eq!(confirmed.load(Relaxed), voters);
    assert!(repeated.load(Relaxed) > voters / 5, "only {repeated:?} came again");

    let close = json!({"op_id": "close", "kind": "poll.close", "body": {"poll": poll}});
    assert_eq!(operate(&server, "a", &host, &close).0, 200);
    let mut viewer = Viewer::join(&server, "a", None);
    let result = match &viewer.welcome["state"]["polls"][0] {
        poll if poll["state"] == "closed" => poll.clone(),
        _ => viewer.event("poll.result")["body"].clone(),
    };
    let counted = |option: &Value| option["votes"].as_u64().unwrap();
    let votes: Vec<_> = result["options"].as_array().unwrap().iter().map(counted).collect();
    let mut expected = [0; 3];
    for voter in 0..voters {
        expected[Vote { change: voter % 3 == 0, ..first(voter) }.option()] += 1;
    }
    assert_eq!((votes, &result["voters"]), (expected.to_vec(), &json!(voters)));
}
