//! A server of nothing but rooms: the public listener and the operator's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nowcast::config::{Config, Overrides};
use nowcast::flow::StreamName;
use nowcast::listener::{Limits, listen, serve};
use nowcast::metrics::Source;
use nowcast::ops::Ops;
use nowcast::origin::Origin;
use nowcast::rooms::Rooms;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Connection, Reply};
use crate::publisher::Publisher;

pub(crate) struct House {
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    dir: TempDir,
    tasks: [JoinHandle<()>; 2],
    _publisher: Publisher,
}

impl House {
    /// The streams `live` and `idle`; `extra` is further configuration of `live`, and what follows it.
    pub(crate) fn open(extra: &str) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), extra)
    }

    pub(crate) fn open_in(dir: TempDir, extra: &str) -> Self {
        let text = format!("[[stream]]\nname = \"live\"\nopen = true\n{extra}");
        let config = Config::load("nowcast.toml", &text, &Overrides::default()).unwrap();
        let config = Arc::new(ArcSwap::from_pointee(config));
        let publisher = Publisher::new();
        let streams = Arc::clone(&publisher.streams);
        let rooms = Rooms::new(Arc::clone(&streams), config, dir.path(), &[7; 32]).unwrap();
        let rooms = Arc::new(rooms);
        let (stop, stopped) = watch::channel(false);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (http, desk) = (listen(any).unwrap(), listen(any).unwrap());
        let (public, ops) = (http.local_addr().unwrap(), desk.local_addr().unwrap());
        let own = Arc::clone(&rooms);
        let pages: nowcast::origin::Rest = Box::new(move |request| {
            let rooms = Arc::clone(&own);
            Box::pin(async move { rooms.answer(request).await.expect("it is for rooms") })
        });
        let origin = Origin::new(Arc::clone(&streams), pages, Limits::default());
        let http = tokio::spawn(serve(http, Arc::new(origin), stopped.clone()));
        let own = Arc::clone(&rooms);
        let figures = rooms.figures();
        let sources: Vec<Source> = vec![Box::new(move |out| figures.expose(out))];
        let control = Ops::new(streams, watch::channel(true).1, None, sources);
        let control = control.with_rooms(Box::new(move |request| {
            let rooms = Arc::clone(&own);
            Box::pin(async move { rooms.control(request).await })
        }));
        let desk = tokio::spawn(serve(desk, Arc::new(control), stopped));
        Self { rooms, public, ops, stop, dir, tasks: [http, desk], _publisher: publisher }
    }

    /// Asks the public listener.
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Connection {
        let mut connection = Connection::open(self.public).await;
        connection.send(method, target, headers).await;
        connection
    }

    /// An anonymous viewer's token.
    pub(crate) async fn session(&self) -> String {
        let mut connection = self.ask("POST", "/api/v1/session", &["Content-Length: 0"]).await;
        connection.receive(true).await.unwrap().json()["token"].as_str().unwrap().to_owned()
    }

    /// An op of whoever the token names.
    pub(crate) async fn op(&self, token: &str, kind: &str, body: Value) -> Reply {
        let op = json!({"op_id": format!("{kind}-{body}"), "kind": kind, "body": body});
        let bearer = format!("Authorization: Bearer {token}");
        self.post(self.public, "/api/v1/streams/live/ops", &[&bearer], &op).await
    }

    /// An op of the operator.
    pub(crate) async fn command(&self, kind: &str, body: Value) -> Value {
        let reply = self.try_command(kind, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// The same, which may be refused.
    pub(crate) async fn try_command(&self, kind: &str, body: Value) -> Reply {
        let op = json!({"kind": kind, "body": body});
        self.post(self.ops, "/api/v1/streams/live/ops", &[], &op).await
    }

    /// Ends it, and leaves what is on the disk.
    pub(crate) async fn close(self) -> TempDir {
        self.stop.send_replace(true);
        for task in self.tasks {
            soon(task).await.unwrap();
        }
        for name in ["live", "idle"] {
            self.rooms.close(&StreamName::new(name).unwrap());
        }
        drop(self.rooms);
        let path = self.dir.path().join("rooms.redb");
        // The journal's thread lets go of the file once the last room has ended.
        let free = async {
            while redb::Database::open(&path).is_err() {
                tokio::task::yield_now().await;
            }
        };
        soon(free).await;
        self.dir
    }

    /// What the command says, and its status.
    pub(crate) async fn command_line(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_nowcast"))
            .args(words)
            .env("NOWCAST_OPS_LISTEN", self.ops.to_string())
            .output()
            .await
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// What the operator's listener has.
    pub(crate) async fn look(&self, target: &str) -> Reply {
        Connection::open(self.ops).await.get(target).await
    }

    async fn post(&self, to: SocketAddr, path: &str, headers: &[&str], body: &Value) -> Reply {
        let body = body.to_string();
        let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut connection = Connection::open(to).await;
        // The blank line that ends every head follows the body: the next request never comes.
        let headers: Vec<_> = headers.iter().copied().chain([&*length]).collect();
        connection.send("POST", path, &headers).await;
        connection.receive(true).await.unwrap()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// For what comes soon, or the test fails.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it comes in 20 s")
}
