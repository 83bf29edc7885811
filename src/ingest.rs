//! Publishers: SRT in, [`flow::Publisher`](crate::flow::Publisher)s out.
//!
//! A caller is judged before it is accepted (`gate`), by the configuration in force at that moment.
//! Each publisher then has a task of its own (`session`), fed by the one SRT thread through a
//! bounded queue: what one stream does never delays another.

mod gate;
mod session;
mod streamid;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nowcast_libsrt as libsrt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::info;

use crate::admission::Admission;
use crate::config::Config;
use crate::flow::Publisher;
use gate::Gate;
use session::Arrival;

/// Publishers at one time; those beyond are refused with 1402.
pub const MAX_PUBLISHERS: usize = 500;
/// A publisher that has sent nothing for so long may be replaced by another.
pub const REPLACEABLE_AFTER: Duration = Duration::from_millis(500);
/// When libsrt itself gives up a peer of whom nothing is heard. `srt.idle` is about payload, and
/// usually ends the session first.
const PEER_IDLE: Duration = Duration::from_secs(5);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Another program has the port.
    #[error(
        "another program listens on UDP {0}, where publishers should call: stop it \
         (`ss -lunp` shows which it is), or set another address by [srt] listen or --srt"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen for SRT on UDP {address}: {source}; \
         set an address of this machine by [srt] listen or --srt"
    )]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What libsrt says.
        source: libsrt::Error,
    },
}

/// The SRT listener: many publishers on one UDP port.
#[derive(Debug)]
pub struct Listener {
    srt: libsrt::Listener,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Listener {
    /// Binds the port of `config` and begins to judge callers; [`Self::run`] hands them on; who would not fit
    /// is refused by `admission`. Streams and keys are looked up anew for each caller, so that `config` may be replaced at any time.
    ///
    /// # Errors
    /// The address is in use, or not of this machine.
    pub fn bind(
        config: Arc<ArcSwap<Config>>,
        admission: Arc<Admission>,
    ) -> Result<Self, IngestError> {
        let srt = config.load().srt.clone();
        let address = srt.listen;
        let (arriving, arrivals) = mpsc::channel(MAX_PUBLISHERS);
        let options = libsrt::Options { latency: srt.latency, peer_idle: PEER_IDLE };
        let srt = libsrt::Listener::bind(
            address,
            options,
            Arc::new(Gate::new(config, admission, arriving)),
        )
        .map_err(|source| match source.is_address_in_use() {
            true => IngestError::InUse(address),
            false => IngestError::Bind { address, source },
        })?;
        info!(address = %srt.local_addr(), "publishers may call");
        Ok(Self { srt, arrivals })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.srt.local_addr()
    }

    /// Hands each publisher to `on_publisher`, until `stop` becomes true (or its sender is gone);
    /// then closes all of them. The publishers of one stream never overlap: the next is handed on
    /// when the events of the last have ended.
    pub async fn run(
        mut self,
        on_publisher: impl Fn(Publisher) + Send + Sync + 'static,
        mut stop: watch::Receiver<bool>,
    ) {
        let on_publisher = Arc::new(on_publisher);
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                Some(arrival) = self.arrivals.recv() => {
                    let on_publisher = Arc::clone(&on_publisher);
                    sessions.spawn(arrival.run(move |publisher| on_publisher(publisher)));
                }
                Some(_) = sessions.join_next() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        drop(self);
        while sessions.join_next().await.is_some() {}
    }
}
