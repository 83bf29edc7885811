//! The rooms of all streams: their journals, their sockets, and who may come in.

mod api;
mod control;
mod figures;
mod log;
mod moderator;
mod socket;
mod sse;
mod store;
mod task;
mod ticks;
mod token;
mod webhook;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use arc_swap::ArcSwap;
use nowcast_interact::{Role, Settings};
use tokio::sync::watch;
use tracing::{error, warn};

use self::api::Room;
pub use self::api::is_asked;
pub use self::figures::Figures;
use self::figures::Line;
use self::moderator::Moderator;
pub use self::store::Store;
use self::task::Setup;
use self::token::{Claims, Tokens};
use crate::config::{Config, StreamConfig};
use crate::flow::{Stream, StreamName, Streams};

/// How long an anonymous viewer is the same one: 30 days, in seconds.
const ANONYMOUS_SECS: u64 = 30 * 86_400;
/// How long a host stays one after the studio's code: a day, in seconds.
const STUDIO_SECS: u64 = 86_400;
/// How long a studio's code works.
const CODE: Duration = Duration::from_secs(600);
/// Codes that wait to be used.
const CODES: usize = 256;
/// Sessions made for one address in a second: a school sits behind one.
const SESSIONS: u32 = 100;
/// Sessions made in a second for all whose address is not known: a whole audience sits behind a cache that
/// names nobody.
const SESSIONS_OF_UNKNOWN: u32 = 2000;
/// Sockets of one address that is known, and in all.
const SOCKETS_OF_ONE: usize = 4096;
const SOCKETS: usize = 16_384;

/// The rooms of all streams.
pub struct Rooms {
    streams: Arc<Streams>,
    config: Arc<ArcSwap<Config>>,
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    open: Mutex<HashMap<StreamName, Room>>,
    codes: Mutex<HashMap<String, (StreamName, Instant)>>,
    sessions: Mutex<Sessions>,
    sockets: Arc<Seats>,
    stop: watch::Sender<bool>,
    figures: Arc<Figures>,
}

impl Rooms {
    /// Opens the journals in the state directory `dir`; tokens are signed with `secret`.
    ///
    /// # Errors
    /// The journals cannot be read, or the key of an issuer is none.
    pub fn new(
        streams: Arc<Streams>,
        config: Arc<ArcSwap<Config>>,
        dir: &Path,
        secret: &[u8],
    ) -> Result<Self> {
        let figures = Arc::<Figures>::default();
        let store = Store::open(dir, Arc::clone(&figures))?;
        store.forget_answers(now_ms())?;
        let tokens = Tokens::new(secret, &config.load().issuers)?;
        Ok(Self {
            streams,
            config,
            store: Arc::new(store),
            tokens: Arc::new(tokens),
            open: Mutex::default(),
            codes: Mutex::default(),
            sessions: Mutex::default(),
            sockets: Arc::new(Seats { taken: Mutex::default(), figures: Arc::clone(&figures) }),
            stop: watch::Sender::new(false),
            figures,
        })
    }

    /// Opens the room of a stream, as its journal left it. Before the stream's first picture: what was
    /// bound before must not be bound again.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn open(&self, stream: &Arc<Stream>) -> Result<()> {
        let mut open = lock(&self.open);
        if open.contains_key(&stream.name) {
            return Ok(());
        }
        let config = self.config.load().stream(&stream.name);
        let room = config.as_ref().map(|config| config.room.clone()).unwrap_or_default();
        self.store.retire(&stream.name, task::before(room.retention))?;
        let restored = self.store.restore(&stream.name, &random::<4>()?)?;
        let window = config.as_ref().map_or(Duration::from_secs(60), |config| config.window);
        let moderator = room.moderator.as_ref();
        let networks = &self.config.load().http.webhook_networks;
        let moderator = moderator.map(|it| Moderator::new(stream.name.clone(), it, networks));
        let moderator = moderator.transpose()?;
        let setup =
            Setup { settings: settings(&room), window, retention: room.retention, moderator };
        let (store, figures) = (Arc::clone(&self.store), Arc::clone(&self.figures));
        let handle = task::spawn(Arc::clone(stream), store, setup, restored, figures);
        let room = Room {
            name: stream.name.clone(),
            mailbox: handle.mailbox,
            ticks: handle.ticks,
            tokens: Arc::clone(&self.tokens),
            figures: Arc::clone(&self.figures),
        };
        open.insert(stream.name.clone(), room);
        Ok(())
    }

    /// Takes what is new in a stream's configuration: who takes part, and what may be said. Its external
    /// moderator stays the one it opened with.
    pub fn configure(&self, stream: &StreamConfig) {
        let room = lock(&self.open).get(&stream.name).cloned();
        let set = task::Message::Set(Box::new(settings(&stream.room)), stream.room.retention);
        if room.is_some_and(|room| room.mailbox.try_send(set).is_err()) {
            warn!(stream = %stream.name, "the room is busy; send SIGHUP again");
        }
    }

    /// Closes the room of a stream that is no more.
    pub fn close(&self, stream: &StreamName) {
        if let Some(room) = lock(&self.open).remove(stream) {
            // A mailbox that is full is that of a room which will find its stream gone.
            room.mailbox.try_send(task::Message::Close).ok();
        }
    }

    /// What all rooms have done.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Sends every socket away; those who come later find the server stopping.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// A code for the studio of a stream, which works once.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn studio_code(&self, stream: &StreamName) -> Result<String> {
        let code = random::<10>()?;
        let mut codes = lock(&self.codes);
        codes.retain(|_, (_, made)| made.elapsed() < CODE);
        if codes.len() >= CODES {
            return Err(anyhow!(
                "{CODES} studio codes wait to be used; they expire in ten minutes"
            ));
        }
        codes.insert(code.clone(), (stream.clone(), Instant::now()));
        Ok(code)
    }

    /// A signed token; `stream` is the only one it holds for.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn mint(
        &self,
        role: Role,
        stream: Option<String>,
        name: Option<String>,
        lasts: Duration,
    ) -> Result<String> {
        let sub = format!("{role}-{}", random::<5>()?);
        let exp = now_secs() + lasts.as_secs();
        self.tokens.mint(&Claims { sub, name, role, stream, anon: false, exp })
    }

    fn room(&self, stream: &str) -> Option<Room> {
        let name = StreamName::new(stream)?;
        if let Some(room) = lock(&self.open).get(&name) {
            return Some(room.clone());
        }
        let stream = self.streams.find(stream)?;
        if let Err(fault) = self.open(&stream) {
            error!(stream = %name, %fault, "the room does not open");
            return None;
        }
        lock(&self.open).get(&name).cloned()
    }

    fn mint_anonymous(&self) -> Result<(Claims, String)> {
        let sub = format!("v-{}", random::<10>()?);
        let exp = now_secs() + ANONYMOUS_SECS;
        let claims = Claims { sub, name: None, role: Role::Viewer, stream: None, anon: true, exp };
        let token = self.tokens.mint(&claims)?;
        Ok((claims, token))
    }

    fn redeem(&self, code: &str, stream: &StreamName) -> Option<(Claims, String)> {
        let (of, made) = lock(&self.codes).remove(code)?;
        if of != *stream || made.elapsed() >= CODE {
            return None;
        }
        let claims = Claims {
            sub: format!("host-{}", random::<5>().ok()?),
            name: Some("Host".to_owned()),
            role: Role::Host,
            stream: Some(stream.to_string()),
            anon: false,
            exp: now_secs() + STUDIO_SECS,
        };
        let token = self.tokens.mint(&claims).ok()?;
        Some((claims, token))
    }

    fn admit_session(&self, client: Option<IpAddr>) -> bool {
        let mut sessions = lock(&self.sessions);
        if sessions.second.is_none_or(|began| began.elapsed() >= Duration::from_secs(1)) {
            *sessions = Sessions { second: Some(Instant::now()), each: HashMap::new() };
        }
        let count = sessions.each.entry(client).or_default();
        *count += 1;
        *count <= if client.is_some() { SESSIONS } else { SESSIONS_OF_UNKNOWN }
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("open", &lock(&self.open).len()).finish_non_exhaustive()
    }
}

fn settings(room: &crate::config::Room) -> Settings {
    Settings {
        rules: room.rules.clone(),
        anonymous: room.anonymous,
        moderated: room.moderator.is_some(),
        ingest_delay_ms: i64::try_from(room.delay.as_millis()).unwrap_or(0),
        ..Settings::default()
    }
}

/// Sessions made in the present second, by address.
#[derive(Debug, Default)]
struct Sessions {
    second: Option<Instant>,
    each: HashMap<Option<IpAddr>, u32>,
}

/// Who listens: sockets and streams of events, in all and by address.
#[derive(Debug)]
struct Seats {
    taken: Mutex<(usize, HashMap<Option<IpAddr>, usize>)>,
    figures: Arc<Figures>,
}

impl Seats {
    fn take(self: &Arc<Self>, client: Option<IpAddr>, line: Line) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let (all, each) = &mut *taken;
        let of_one = each.entry(client).or_default();
        // Who is not known is many: viewers behind a cache that names nobody.
        if *all >= SOCKETS || (client.is_some() && *of_one >= SOCKETS_OF_ONE) {
            return None;
        }
        *of_one += 1;
        *all += 1;
        self.figures.opened(line);
        Some(Seat { seats: Arc::clone(self), client, line })
    }
}

/// One listener's place.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    client: Option<IpAddr>,
    line: Line,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.figures.closed(self.line);
        let mut taken = lock(&self.seats.taken);
        let (all, each) = &mut *taken;
        *all -= 1;
        if let Some(count) = each.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                each.remove(&self.client);
            }
        }
    }
}

/// Nothing is done half under these locks that a panic could cut off.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn now_secs() -> u64 {
    u64::try_from(now_ms() / 1000).unwrap_or(0)
}

/// So many random bytes, in hexadecimal.
fn random<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
