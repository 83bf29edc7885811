//! The composition root: the only file that names all parts of the server and joins them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::admission::Admission;
use crate::config::{Config, StreamConfig};
use crate::flow::{Control, Publisher, Stream, StreamName, Streams};
use crate::listener::{self, Limits, Port, Tls};
use crate::rooms::Rooms;
use crate::state::State;
use crate::{encode, ingest, ops, origin, publish, rooms, viewers};

/// The name of the stream that is made when none is configured.
const DEFAULT_STREAM: &str = "live";

/// The runtime that every command with a network runs on.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads to run on")
}

/// The configuration with the stream `live` added when it names none. It has no key yet: the
/// server takes it from its state directory.
///
/// # Errors
/// None today; the name is a legal one.
pub fn with_default_stream(mut config: Config) -> Result<Config> {
    if config.streams.is_empty() && config.template.is_none() {
        config.streams.push(default_stream()?);
    }
    Ok(config)
}

fn default_stream() -> Result<StreamConfig> {
    let name =
        StreamName::new(DEFAULT_STREAM).ok_or_else(|| anyhow!("{DEFAULT_STREAM} is a name"))?;
    Ok(StreamConfig::standard(name))
}

/// How long the disk may take for what is left at a stop.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// A server whose ports are bound.
pub struct Server {
    config: Arc<ArcSwap<Config>>,
    made_key: bool,
    streams: Arc<Streams>,
    setting: publish::Setting,
    rooms: Arc<Rooms>,
    ready: watch::Sender<bool>,
    srt: ingest::Listener,
    http: TcpListener,
    tls: Option<Arc<Tls>>,
    ops: TcpListener,
    _state: State,
}

impl Server {
    /// Takes the state directory and binds every port.
    ///
    /// # Errors
    /// A sentence about what is in the way and what to do.
    pub async fn start(mut config: Config) -> Result<Self> {
        let state = State::open(&config.state_dir)?;
        let made_key = lock_default_stream(&mut config, &state)?;
        let start_counter = state.count_start()?;
        let tls = config.http.tls.clone().map(Tls::new).transpose().context("TLS")?.map(Arc::new);
        let http = bind("http", config.http.listen)?;
        let ops = bind("ops", config.ops.listen)?;
        config.http.listen = http.local_addr()?;
        config.ops.listen = ops.local_addr()?;
        let config = Arc::new(ArcSwap::from_pointee(config));
        let streams = Arc::new(Streams::default());
        let admission = Admission::new(Arc::clone(&config), Arc::clone(&streams));
        let srt = ingest::Listener::bind(Arc::clone(&config), Arc::new(admission))?;
        let mut bound = Config::clone(&config.load());
        bound.srt.listen = srt.local_addr();
        config.store(Arc::new(bound));
        let start_encoder: publish::StartEncoder =
            Arc::new(|job| encode::spawn(job, encode::Options::default()));
        let store = Arc::new(publish::Store::open(state.dir())?);
        let setting = publish::Setting { start_encoder, start_counter, store };
        let secret = state.token_secret()?;
        let rooms =
            Rooms::new(Arc::clone(&streams), Arc::clone(&config), state.dir(), secret.as_bytes())?;
        for stream in &setting.store.streams(&config.load()) {
            let stream = publish::spawn(stream.clone(), setting.clone());
            rooms.open(&stream)?;
            streams.insert(&stream);
        }
        let (rooms, ready) = (Arc::new(rooms), watch::Sender::new(false));
        Ok(Self {
            config,
            made_key,
            streams,
            setting,
            rooms,
            ready,
            srt,
            http,
            tls,
            ops,
            _state: state,
        })
    }

    /// The configuration in force, with the addresses that were bound.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Whether the publish key was made by this server, as none was configured.
    #[must_use]
    pub fn made_key(&self) -> bool {
        self.made_key
    }

    /// A code that opens the studio of a stream, once.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn studio_code(&self, stream: &StreamName) -> Result<String> {
        self.rooms.studio_code(stream)
    }

    /// Serves until SIGINT or SIGTERM; SIGHUP reads the streams, keys and certificate again by
    /// `reload`.
    pub async fn run(self, reload: impl Fn() -> Result<Config, String>) {
        let (stop, stopped) = watch::channel(false);
        let viewers = Arc::new(viewers::Viewers::new(Arc::clone(&self.streams)));
        let pages = origin::pages::handler(Arc::clone(&self.streams));
        let (collector, rooms) = (Arc::clone(&viewers), Arc::clone(&self.rooms));
        let pages = Arc::new(pages);
        let pages: origin::Rest = Box::new(move |request| match request.uri().path() {
            "/cmcd" => {
                let collector = Arc::clone(&collector);
                Box::pin(async move { collector.collect(request).await })
            }
            path if rooms::is_asked(path) => {
                let (rooms, pages) = (Arc::clone(&rooms), Arc::clone(&pages));
                Box::pin(async move {
                    match rooms.answer(request).await {
                        Ok(response) => response,
                        Err(request) => pages(request).await,
                    }
                })
            }
            _ => pages(request),
        });
        let noted = Arc::clone(&viewers);
        let note: origin::Note =
            Box::new(move |stream, query, head| noted.note(stream, query, head));
        let origin =
            origin::Origin::new(Arc::clone(&self.streams), pages, Limits::of_this_process())
                .trusting(self.config.load().http.trusted_proxies.clone())
                .noting(note);
        let (figures, of_rooms) = (origin.figures(), self.rooms.figures());
        let store = Arc::clone(&self.setting.store);
        let desk = ops::Ops::new(
            Arc::clone(&self.streams),
            self.ready.subscribe(),
            self.config.load().ops.token.clone(),
            vec![
                Box::new(move |out| figures.expose(out)),
                Box::new(move |out| of_rooms.expose(out)),
                Box::new(move |out| store.expose(out)),
            ],
        );
        let rooms = Arc::clone(&self.rooms);
        let desk = desk.with_rooms(Box::new(move |request| {
            let rooms = Arc::clone(&rooms);
            Box::pin(async move { rooms.control(request).await })
        }));
        let on_publisher = {
            let (streams, config) = (Arc::clone(&self.streams), Arc::clone(&self.config));
            let (setting, rooms) = (self.setting.clone(), Arc::clone(&self.rooms));
            move |publisher| admit(&streams, &config, &setting, &rooms, publisher)
        };
        let srt = tokio::spawn(self.srt.run(on_publisher, stopped.clone()));
        let viewers = tokio::spawn(viewers.run(stopped.clone()));
        let http = Port::new(self.http, self.tls.as_deref());
        let http = tokio::spawn(listener::serve(http, Arc::new(origin), stopped.clone()));
        let ops = tokio::spawn(listener::serve(self.ops, Arc::new(desk), stopped));
        let renewal = self.tls.clone().map(|tls| tokio::spawn(renew(tls)));
        let (ready, store) = (self.ready.clone(), Arc::clone(&self.setting.store));
        let restored = tokio::spawn(async move {
            store.restored().await;
            ready.send_replace(true);
        });
        wait_for_stop(|| match reload() {
            Ok(config) => {
                if let (Some(tls), Some(certificate)) = (&self.tls, &config.http.tls) {
                    tls.show(certificate.clone());
                }
                apply(&self.config, &self.streams, &self.setting, &self.rooms, &config);
            }
            Err(faults) => error!("the new configuration is not taken: {faults}"),
        })
        .await;
        info!("stopping: held requests are answered, publishers and workers let go");
        restored.abort();
        self.ready.send_replace(false);
        stop.send_replace(true);
        self.rooms.stop();
        for (part, task) in [("srt", srt), ("http", http), ("ops", ops), ("viewers", viewers)] {
            if let Err(error) = task.await {
                error!(part, %error, "a listener ended badly");
            }
        }
        if let Some(renewal) = renewal {
            renewal.abort();
        }
        // What goes on after this is not to end the sessions that the next server goes on with.
        let store = Arc::clone(&self.setting.store);
        let finished = tokio::task::spawn_blocking(move || store.finish());
        if timeout(LAST_WRITE, finished).await.is_err() {
            error!("the disk does not take what is left of the sessions");
        }
    }
}

/// Gives the stream that was made by itself its key; answers whether there is such a stream.
fn lock_default_stream(config: &mut Config, state: &State) -> Result<bool> {
    if config.streams.is_empty() && config.template.is_none() {
        config.streams.push(default_stream()?);
    }
    let closed = |stream: &&mut StreamConfig| {
        !stream.open && stream.passphrase.is_none() && stream.key.is_none()
    };
    let Some(stream) = config.streams.iter_mut().find(closed) else { return Ok(false) };
    stream.key = Some(state.publish_key()?);
    Ok(true)
}

fn bind(part: &str, address: std::net::SocketAddr) -> Result<TcpListener> {
    listener::listen(address).map_err(|error| {
        anyhow!(
            "[{part}] cannot listen on {address}: {error}; stop what uses the port, or choose another with --{part}"
        )
    })
}

/// Hands a publisher to its stream's task; a stream known only by the template gets its task now.
fn admit(
    streams: &Streams,
    config: &ArcSwap<Config>,
    setting: &publish::Setting,
    rooms: &Rooms,
    publisher: Publisher,
) {
    let stream = streams.find(publisher.stream.as_str()).or_else(|| {
        let config = config.load().stream(&publisher.stream)?;
        Some(add(streams, rooms, config, setting))
    });
    let name = publisher.stream.clone();
    let sent = stream.map(|stream| stream.control.try_send(Control::Publish(publisher)));
    if !matches!(sent, Some(Ok(()))) {
        warn!(stream = %name, "the stream's task takes nobody in; the publisher is let go and may call again");
    }
}

/// Begins a stream, with its room.
fn add(
    streams: &Streams,
    rooms: &Rooms,
    config: StreamConfig,
    setting: &publish::Setting,
) -> Arc<Stream> {
    let stream = publish::spawn(config, setting.clone());
    if let Err(fault) = rooms.open(&stream) {
        error!(stream = %stream.name, %fault, "the stream has no room: its journal cannot be read");
    }
    streams.insert(&stream);
    stream
}

/// Takes streams and keys from a new configuration; whoever publishes stays connected.
fn apply(
    shared: &ArcSwap<Config>,
    streams: &Streams,
    setting: &publish::Setting,
    rooms: &Rooms,
    new: &Config,
) {
    let old = shared.load_full();
    let fixed = Config { streams: Vec::new(), template: None, ..Config::clone(&old) };
    let mut next = Config {
        limits: new.limits.clone(),
        streams: new.streams.clone(),
        template: new.template.clone(),
        ..fixed
    };
    if next.streams.is_empty() && next.template.is_none() {
        next.streams.clone_from(&old.streams);
    }
    for (part, same) in [
        ("[srt]", new.srt.latency == old.srt.latency && new.srt.idle == old.srt.idle),
        (
            "[http]",
            new.http.public_url == old.http.public_url
                && new.http.trusted_proxies == old.http.trusted_proxies
                && new.http.tls.is_some() == old.http.tls.is_some(),
        ),
        ("[state]", new.state_dir == old.state_dir),
    ] {
        if !same {
            warn!("{part} changed: that takes a restart; streams and keys are taken now");
        }
    }
    for stream in &next.streams {
        match streams.find(stream.name.as_str()) {
            Some(known) => {
                rooms.configure(stream);
                if known.control.try_send(Control::Configure(Box::new(stream.clone()))).is_err() {
                    warn!(stream = %stream.name, "the stream's task is busy; send SIGHUP again");
                }
            }
            None => drop(add(streams, rooms, stream.clone(), setting)),
        }
    }
    for stream in streams.all() {
        if next.stream(&stream.name).is_none() {
            streams.remove(&stream.name);
            rooms.close(&stream.name);
        }
    }
    info!(streams = next.streams.len(), "configuration read again");
    shared.store(Arc::new(next));
}

/// How often the certificate's files are looked at.
const RENEWAL: Duration = Duration::from_secs(10);

/// Shows a renewed certificate once its files are there; until then the one before.
async fn renew(tls: Arc<Tls>) {
    let mut seen = None;
    loop {
        sleep(RENEWAL).await;
        match tls.certificate().renewed(&mut seen) {
            Some(Ok(certificate)) => {
                info!(expires = certificate.expires_text(), "the renewed certificate is shown");
                tls.show(certificate);
            }
            Some(Err(fault)) => {
                error!("the certificate is not renewed, the old one stays: {fault}");
            }
            None => {}
        }
    }
}

async fn wait_for_stop(reload: impl Fn()) {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        error!("signals cannot be caught; the server runs until it is killed");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => return,
            _ = terminate.recv() => return,
            _ = hangup.recv() => reload(),
        }
    }
}

/// A directory of its own that goes with the value.
///
/// # Errors
/// The temporary directory cannot be written.
pub fn temporary_dir(parent: &Path) -> Result<std::path::PathBuf> {
    let dir = parent.join(format!("nowcast-{}", std::process::id()));
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("{} cannot be created", dir.display()))?;
    Ok(dir)
}
