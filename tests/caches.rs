//! The public listener behind real caches, with the configurations of `deploy/`: nginx and Varnish of
//! Debian 12, as child processes on loopback.
//!
//! `NOWCAST_PLAYERS=1000 cargo test --test caches -- --nocapture crowd` measures a larger crowd.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at once; figures are told, not judged"
)]

#[path = "caches/cache.rs"]
mod cache;
#[path = "origin/client.rs"]
mod client;
#[path = "caches/crowd.rs"]
mod crowd;
#[path = "caches/errors.rs"]
mod errors;
#[path = "caches/passing_on.rs"]
mod passing_on;
#[path = "origin/publisher.rs"]
mod publisher;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use http::{Request, Response};
use hyper::body::Incoming;
use nowcast::flow::Compressed;
use nowcast::listener::{Body, Handler, Limits, Tally, serve};
use nowcast::origin::{Figures, Origin, pages};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::cache::Cache;
use self::client::{Connection, Reply};
use self::publisher::{PARTS, Publisher};

const FOLDER: &str = "/live/live/1/720p";
/// The position after ten segments and two parts: what [`House::open`] hints at.
const NEXT: u64 = 10 * PARTS + 2;

/// An origin that is driven by hand, and a cache in front of it.
struct House {
    publisher: Publisher,
    figures: Arc<Figures>,
    asked: Arc<Asked>,
    cache: Cache,
    origin: SocketAddr,
    stop: watch::Sender<bool>,
}

/// How often the origin was asked for each request target.
type Asked = Mutex<BTreeMap<String, u32>>;

impl House {
    /// With ten segments and two parts published.
    async fn open(cache: fn(SocketAddr) -> Cache) -> Self {
        let mut house = Self::empty(cache).await;
        house.publisher.video.parts(NEXT);
        house.publish_multivariant();
        house
    }

    async fn empty(cache: fn(SocketAddr) -> Cache) -> Self {
        let publisher = Publisher::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        let asked = Arc::<Asked>::default();
        let (figures, stop) = serve_on(listener, &publisher, &asked);
        let cache = tokio::task::spawn_blocking(move || cache(origin)).await.unwrap();
        Self { publisher, figures, asked, cache, origin, stop }
    }

    /// The origin comes back on its old address.
    async fn restart(&mut self) {
        let listener = TcpListener::bind(self.origin).await.unwrap();
        (self.figures, self.stop) = serve_on(listener, &self.publisher, &self.asked);
    }

    fn publish_multivariant(&self) {
        let text = Compressed::new("#EXTM3U\n#one\n".to_owned());
        self.publisher.multivariant.send_replace(Some(text));
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.cache.address).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.connect().await.get(target).await
    }

    /// Sends a request and comes back when the origin holds `held` of them.
    async fn waiting(&self, target: &str, held: u64) -> Connection {
        let mut connection = self.connect().await;
        connection.send("GET", target, &[]).await;
        until(|| self.figures.held() == held).await;
        connection
    }

    /// How often the origin was asked for it.
    fn times(&self, target: &str) -> u32 {
        self.asked.lock().unwrap().get(target).copied().unwrap_or(0)
    }
}

fn serve_on(
    listener: TcpListener,
    publisher: &Publisher,
    asked: &Arc<Asked>,
) -> (Arc<Figures>, watch::Sender<bool>) {
    let pages = pages::handler(Arc::clone(&publisher.streams));
    let origin = Origin::new(Arc::clone(&publisher.streams), pages, Limits::default());
    let figures = origin.figures();
    let counting = Counting { origin, asked: Arc::clone(asked) };
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, Arc::new(counting), stopped));
    (figures, stop)
}

/// The origin, which counts what it is asked for.
struct Counting {
    origin: Origin,
    asked: Arc<Asked>,
}

impl Handler for Counting {
    async fn handle(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        shutdown: watch::Receiver<bool>,
    ) -> Response<Body> {
        *self.asked.lock().unwrap().entry(request.uri().to_string()).or_default() += 1;
        self.origin.handle(request, peer, shutdown).await
    }

    fn limits(&self) -> &Limits {
        self.origin.limits()
    }

    fn tally(&self) -> &Arc<Tally> {
        self.origin.tally()
    }
}

/// The playlist with a part, by its running number.
fn playlist_with(part: u64) -> String {
    format!("{FOLDER}/index.m3u8?_HLS_msn={}&_HLS_part={}", part / PARTS, part % PARTS)
}

fn part(number: u64) -> String {
    format!("{FOLDER}/p{number}.m4s")
}

/// The text of a playlist, unpacked if need be.
fn text(reply: &Reply) -> String {
    if reply.header("content-encoding") == Some("gzip") {
        let mut text = String::new();
        GzDecoder::new(&*reply.body).read_to_string(&mut text).unwrap();
        text
    } else {
        reply.text().to_owned()
    }
}

/// Waits for a condition that others bring about.
async fn until(mut condition: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < patience, "never came true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Each scenario behind each cache.
macro_rules! behind_each_cache {
    ($($scenario:path as $name:ident),* $(,)?) => {
        mod nginx {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $scenario(super::Cache::nginx).await;
            })*
        }
        mod varnish {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $scenario(super::Cache::varnish).await;
            })*
        }
    };
}

behind_each_cache! {
    crate::crowd::one_request_per_object as a_crowd_costs_the_origin_one_request_per_object,
    crate::crowd::leaving as a_player_that_leaves_takes_nothing_from_the_others,
    crate::crowd::connections as the_origin_keeps_its_connections,
    crate::errors::too_early as what_came_too_early_is_good_when_its_time_has_come,
    crate::errors::held_in_vain as who_waited_in_vain_is_told_once_and_the_next_is_asked_for_anew,
    crate::errors::nothing_yet as a_stream_that_begins_is_there_at_once,
    crate::errors::origin_away as an_origin_that_is_back_is_asked_again,
    crate::passing_on::playlists as a_playlist_is_never_older_than_it_may_be,
    crate::passing_on::headers as what_the_origin_tells_reaches_the_player,
    crate::passing_on::queries as queries_that_mean_the_same_are_one_object,
}
