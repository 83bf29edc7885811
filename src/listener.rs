//! HTTP connections: accepted, limited, watched over, ended. What they are answered is the
//! [`Handler`]'s: the public listener's (`origin`) and the operator's (`ops`) share this.

mod activity;
mod body;
mod read;
mod tls;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use self::activity::{Activity, Watched};
pub use self::activity::{Shed, Tally};
pub use self::body::Body;
pub use self::read::{Unread, read_body};
pub use self::tls::Tls;

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request that came from `peer`. `shutdown` turns true, or its sender goes, when
    /// whatever waits is to be answered at once.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        shutdown: watch::Receiver<bool>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// What a connection may cost.
    fn limits(&self) -> &Limits;

    /// Where connections are counted.
    fn tally(&self) -> &Arc<Tally>;
}

/// What a connection may cost before it is closed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at one time. The newest beyond are answered 503 and closed: who plays goes on.
    pub connections: usize,
    /// Bytes of a request's head, at least 4096; beyond it is answered 431. Connections carry twice
    /// as many, so that the answer is a handler's, with the headers of all its answers.
    pub head_bytes: usize,
    /// From the first byte of a request's head to its last, and from connecting to the first.
    pub head: Duration,
    /// Between two requests. Longer than a request is held, and than the 60 s for which a proxy
    /// keeps its own end, so that no request meets a connection on its way out.
    pub idle: Duration,
    /// For how long nothing of an answer can be sent.
    pub stall: Duration,
    /// For sending one answer, at least, and twice that at the most: who takes longer cannot play
    /// what is sent.
    pub answer: Duration,
    /// Requests held at one time. Further ones are answered 503.
    pub held: usize,
    /// Of these, for one client: an IPv4 address, or the first 64 bits of an IPv6 address. Further
    /// ones are answered 429.
    pub held_per_client: usize,
    /// After the order to stop, until what is still being sent is cut off.
    pub drain: Duration,
    /// How often all this is looked at: one timer for all connections.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head_bytes: 16 << 10,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            // Two playlists and two hinted parts for each of 16,384 players; a thousand of them may
            // sit behind one address.
            held: 65_536,
            held_per_client: 4096,
            drain: Duration::from_secs(5),
            tick: Duration::from_secs(1),
        }
    }
}

/// Descriptors kept free for media sockets, workers, files and the operator's listener.
const SPARE_DESCRIPTORS: u64 = 1024;

impl Limits {
    /// The default, with as many connections as this process may have descriptors for; its soft
    /// limit is raised to the hard one.
    #[must_use]
    pub fn of_this_process() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let allowed = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        let room =
            allowed.map_or(u64::MAX, |all| all.saturating_sub(SPARE_DESCRIPTORS.min(all / 2)));
        let default = Self::default();
        let connections = usize::try_from(room).unwrap_or(usize::MAX).min(default.connections);
        Self { connections, ..default }
    }
}

/// Binds a listener that survives everybody reconnecting at once.
///
/// # Errors
/// The address is taken, not ours, or not allowed.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// Where connections come in: plain, or over TLS.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Port {
    /// Speaks TLS alone, if there is one.
    #[must_use]
    pub fn new(listener: TcpListener, tls: Option<&Tls>) -> Self {
        Self { listener, tls: tls.map(Tls::config) }
    }
}

impl From<TcpListener> for Port {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// Serves until `shutdown` turns true or its sender goes: then nobody is let in any more, whatever
/// is held is answered, and bodies on their way have [`Limits::drain`] to arrive.
///
/// Owns every connection's task. HTTP/1.1, and HTTP/2 for those who start with its preface: by prior
/// knowledge, or agreed on by ALPN.
pub async fn serve<H: Handler>(
    port: impl Into<Port>,
    handler: Arc<H>,
    mut shutdown: watch::Receiver<bool>,
) {
    let Port { listener, tls } = port.into();
    let mut room = Room::new(handler, tls.map(TlsAcceptor::from), shutdown.clone());
    let mut tick = interval(room.handler.limits().tick);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopped(&mut shutdown) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => room.admit(stream, peer.ip()),
                Err(error) => {
                    // Out of descriptors, or the peer is gone already. A pause keeps the first from
                    // becoming a busy loop.
                    tracing::warn!(%error, "connection not accepted");
                    sleep(Duration::from_millis(20)).await;
                }
            },
            Some(ended) = room.tasks.join_next_with_id() => {
                room.forget(match ended { Ok((id, ())) => id, Err(error) => error.id() });
            }
            _ = tick.tick() => room.sweep(),
        }
    }
    drop(listener);
    room.drain().await;
}

/// Resolves when `shutdown` says so, or nobody is left to say it.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    drop(shutdown.wait_for(|stop| *stop).await);
}

/// The connections of one listener.
struct Room<H> {
    handler: Arc<H>,
    tls: Option<TlsAcceptor>,
    shutdown: watch::Receiver<bool>,
    builders: Arc<Builders>,
    tasks: JoinSet<()>,
    connections: HashMap<Id, (AbortHandle, Arc<Activity>)>,
    /// Ticks so far: the clock of all limits, read without a system call.
    ticks: Arc<AtomicU32>,
}

impl<H: Handler> Room<H> {
    fn new(handler: Arc<H>, tls: Option<TlsAcceptor>, shutdown: watch::Receiver<bool>) -> Self {
        let limits = handler.limits();
        // Room for the handler to refuse what is too long.
        let head_bytes = limits.head_bytes.saturating_mul(2);
        let mut http1 = auto::Builder::new(TokioExecutor::new()).http1_only();
        http1.http1().header_read_timeout(None).max_buf_size(head_bytes);
        let mut http2 = auto::Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(128);
        Self {
            builders: Arc::new(Builders { http1, http2 }),
            tasks: JoinSet::new(),
            connections: HashMap::new(),
            // The first tick is 1: in an activity 0 stands for "not".
            ticks: Arc::new(AtomicU32::new(1)),
            handler,
            tls,
            shutdown,
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: IpAddr) {
        let (limits, tally) = (self.handler.limits(), self.handler.tally());
        if self.connections.len() >= limits.connections {
            tally.shed(Shed::Full);
            if self.tls.is_none() {
                refuse(stream);
            }
            return;
        }
        // Small answers go out at once; a socket that refuses is closed already.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let activity = Activity::new(Arc::clone(&self.ticks), limits, Arc::clone(tally));
        let activity = Arc::new(activity);
        let io = Watched::new(stream, Arc::clone(&activity));
        let talk = Talk {
            peer,
            activity: Arc::clone(&activity),
            handler: Arc::clone(&self.handler),
            builders: Arc::clone(&self.builders),
            shutdown: self.shutdown.clone(),
        };
        let handle = match self.tls.clone() {
            None => self.tasks.spawn(talk.in_the_clear(io)),
            Some(tls) => self.tasks.spawn(talk.over_tls(io, tls)),
        };
        self.connections.insert(handle.id(), (handle, activity));
    }

    fn forget(&mut self, id: Id) {
        self.connections.remove(&id);
    }

    /// Closes the connections that cost more than they may.
    fn sweep(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        for (handle, activity) in self.connections.values() {
            if let Some(reason) = activity.verdict(self.handler.limits()) {
                self.handler.tally().shed(reason);
                handle.abort();
            }
        }
    }

    async fn drain(mut self) {
        let limit = self.handler.limits().drain;
        let ended = timeout(limit, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::info!(connections = self.tasks.len(), "connections cut off at the end");
            self.tasks.shutdown().await;
        }
    }
}

/// What speaks each protocol.
struct Builders {
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
}

/// One connection, to its end.
struct Talk<H> {
    peer: IpAddr,
    activity: Arc<Activity>,
    handler: Arc<H>,
    builders: Arc<Builders>,
    shutdown: watch::Receiver<bool>,
}

impl<H: Handler> Talk<H> {
    /// The protocol is read off the first bytes while they are still in the socket: what has been
    /// taken from it and is put back costs each connection a buffer of twice the size.
    async fn in_the_clear(mut self, io: Watched) {
        let http2 = tokio::select! {
            http2 = io.begins_with(b"PRI") => http2,
            () = stopped(&mut self.shutdown) => return,
        };
        match http2 {
            Ok(http2) => self.over(io, http2).await,
            Err(error) => tracing::debug!(%error, "connection broken"),
        }
    }

    async fn over_tls(mut self, io: Watched, tls: TlsAcceptor) {
        let secured = tokio::select! {
            secured = tls.accept(io) => secured,
            () = stopped(&mut self.shutdown) => return,
        };
        match secured {
            Ok(io) => {
                let http2 = io.get_ref().1.alpn_protocol() == Some(b"h2");
                self.over(io, http2).await;
            }
            Err(error) => tracing::debug!(%error, "no TLS"),
        }
    }

    async fn over(self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) {
        let Self { peer, activity, handler, builders, mut shutdown } = self;
        let of_requests = shutdown.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let in_flight = Activity::begin(&activity, request.version());
            let (handler, shutdown) = (Arc::clone(&handler), of_requests.clone());
            async move {
                let response = handler.handle(request, peer, shutdown).await;
                Ok::<_, Infallible>(response.map(|body| body.carry(in_flight)))
            }
        });
        let builder = if http2 { &builders.http2 } else { &builders.http1 };
        let mut connection =
            pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection broken");
        }
    }
}

/// Says that there is no room, as far as the socket takes it without waiting.
fn refuse(stream: TcpStream) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
        Cache-Control: no-store\r\nRetry-After: 1\r\nAccess-Control-Allow-Origin: *\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Length: 58\r\n\r\n\
        The server has all the connections it may have. Try later.";
    let sent = stream.into_std().and_then(|mut stream| stream.write(FULL));
    if let Err(error) = sent {
        tracing::debug!(%error, "refusal not sent");
    }
}
