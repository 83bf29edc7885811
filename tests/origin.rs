//! The public listener over real sockets, fed by a publisher that is driven by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at once")]

#[path = "origin/blocking.rs"]
mod blocking;
#[path = "origin/bytes.rs"]
mod bytes;
#[path = "origin/client.rs"]
mod client;
#[path = "origin/conformance.rs"]
mod conformance;
#[path = "origin/crowds.rs"]
mod crowds;
#[path = "origin/http.rs"]
mod http;
#[path = "origin/limits.rs"]
mod limits;
#[path = "origin/media.rs"]
mod media;
#[path = "origin/protocols.rs"]
mod protocols;
#[path = "origin/publisher.rs"]
mod publisher;
#[path = "origin/viewers.rs"]
mod viewers;
#[path = "origin/wire.rs"]
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nowcast::flow::Compressed;
use nowcast::listener::{Limits, Port, Tls, serve};
use nowcast::origin::{Figures, Origin, pages};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::client::{Connection, Reply};
use self::publisher::{PARTS, Publisher};

const PLAYLIST: &str = "/live/live/1/720p/index.m3u8";

struct Server {
    address: SocketAddr,
    /// The same over TLS.
    secured: SocketAddr,
    tls: Arc<Tls>,
    figures: Arc<Figures>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(publisher: &Publisher) -> Self {
        Self::limited(publisher, Limits::default()).await
    }

    async fn limited(publisher: &Publisher, limits: Limits) -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let (plain, secured) =
            (TcpListener::bind(any).await.unwrap(), TcpListener::bind(any).await.unwrap());
        let tls = wire::tls();
        let pages = pages::handler(Arc::clone(&publisher.streams));
        let origin = Origin::new(Arc::clone(&publisher.streams), pages, limits)
            .trusting(vec![(Ipv4Addr::LOCALHOST.into(), 32)]);
        let (stop, stopped) = watch::channel(false);
        let figures = origin.figures();
        let (address, secure_address) =
            (plain.local_addr().unwrap(), secured.local_addr().unwrap());
        let (origin, port) = (Arc::new(origin), Port::new(secured, Some(&tls)));
        let served = serve(plain, Arc::clone(&origin), stopped.clone());
        let task = tokio::spawn(async {
            tokio::join!(served, serve(port, origin, stopped));
        });
        Self { address, secured: secure_address, tls, figures, stop, task }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.connect().await.get(target).await
    }

    /// Sends a request that is held, and comes back once it is.
    async fn held(&self, target: &str) -> Connection {
        let before = self.figures.held();
        let mut connection = self.connect().await;
        connection.send("GET", target, &[]).await;
        self.until_held(before + 1).await;
        connection
    }

    async fn until_held(&self, count: u64) {
        until(|| self.figures.held() == count).await;
    }
}

/// Waits for a condition that other tasks bring about.
async fn until(mut condition: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < patience, "never came true");
        tokio::task::yield_now().await;
    }
}

fn at(query: &str) -> String {
    format!("{PLAYLIST}?{query}")
}

/// A stream with ten segments complete and two parts of the eleventh (number 10).
fn published() -> Publisher {
    let mut publisher = Publisher::new();
    publisher.video.parts(10 * PARTS + 2);
    publisher.multivariant.send_replace(Some(Compressed::new("#EXTM3U\n#one\n".to_owned())));
    publisher
}

fn assert_refused(reply: &Reply, status: u16, cached: &str) {
    assert_eq!(reply.status, status, "{}", reply.head);
    assert_eq!(reply.header("cache-control"), Some(cached), "{}", reply.head);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(reply.text().ends_with(".\n"), "{}", reply.text());
}
