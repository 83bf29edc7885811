//! The configuration: `nowcast.toml`, `NOWCAST_…` variables and flags, made into values that are legal.

mod load;
mod read;
mod room;
mod slate;
pub mod units;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use nowcast_interact::{Policy, Rules};
use rustix::process::{Resource, getrlimit};

use crate::certificate::Certificate;
use crate::flow::StreamName;
use crate::procfs;

pub use read::{Fault, Overrides};
pub use slate::{AfterGrace, Slate};

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where publishers call.
    pub srt: Srt,
    /// Where players come.
    pub http: Http,
    /// Where the operator comes.
    pub ops: Ops,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// What all streams together may take of this machine.
    pub limits: Limits,
    /// The streams that are known by name, in the file's order.
    pub streams: Vec<StreamConfig>,
    /// The stream of name `*`: a template for any other name.
    pub template: Option<StreamConfig>,
    /// Who else signs tokens.
    pub issuers: Vec<Issuer>,
}

/// `[srt]`
#[derive(Clone, Debug)]
pub struct Srt {
    /// UDP address.
    pub listen: SocketAddr,
    /// The receiver's latency; the larger of both ends counts.
    pub latency: Duration,
    /// A publisher silent for so long is gone.
    pub idle: Duration,
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct Http {
    /// TCP address of the public listener.
    pub listen: SocketAddr,
    /// What printed and announced URLs start with, without a slash at the end.
    pub public_url: Option<String>,
    /// Whose Forwarded and X-Forwarded-For are believed: address and prefix length.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
    /// Origins that may open sockets and call the API.
    pub allowed_origins: Vec<String>,
    /// Networks that webhooks may reach although they are not public.
    pub webhook_networks: Vec<(IpAddr, u8)>,
    /// Speak TLS, with this certificate.
    pub tls: Option<Certificate>,
}

/// `[ops]`
#[derive(Clone, Debug)]
pub struct Ops {
    /// TCP address of the operator's listener.
    pub listen: SocketAddr,
    /// Needed when not on loopback.
    pub token: Option<String>,
}

/// `[limits]`: a stream that would exceed one of them is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Processor cores.
    pub cores: f64,
    /// Bytes of memory.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Bytes that must be free where state is kept.
    pub disk: u64,
}

/// `[[stream]]`
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// Its name; for the template the name it was asked under.
    pub name: StreamName,
    /// Needed to publish, unless `open` or guarded by a passphrase alone.
    pub key: Option<String>,
    /// Anybody may publish.
    pub open: bool,
    /// SRT encryption: 10 to 79 characters.
    pub passphrase: Option<String>,
    /// Encode a ladder, or pass the source through.
    pub mode: Mode,
    /// The ladder's name.
    pub ladder: String,
    /// The length of a part.
    pub part: Duration,
    /// The length of a segment.
    pub segment: Duration,
    /// How far back a player can seek.
    pub window: Duration,
    /// How long a stream outlives its lost publisher.
    pub grace: Duration,
    /// What follows then.
    pub after_grace: AfterGrace,
    /// What viewers see while nobody publishes; `None`: a text.
    pub slate: Option<Slate>,
    /// What its audience may do.
    pub room: Room,
}

/// What the audience of a stream may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Anonymous sessions take part.
    pub anonymous: bool,
    /// What may be said.
    pub rules: Rules,
    /// From a picture being taken to its leaving the encoder, beside what SRT takes: what the host's
    /// clock is ahead of the frame that arrives.
    pub delay: Duration,
    /// Who else judges what the rules allow.
    pub moderator: Option<Moderator>,
    /// How long it is kept what the audience wrote, and who they were.
    pub retention: Duration,
}

/// A server that judges messages.
#[derive(Clone, PartialEq)]
pub struct Moderator {
    /// Where it is asked.
    pub url: String,
    /// What it knows our messages by.
    pub secret: Vec<u8>,
    /// Whether messages are shown, or wait for a moderator, while it gives no verdict.
    pub allow_on_failure: bool,
}

/// Without its secret.
impl fmt::Debug for Moderator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Moderator").field(&self.url).finish()
    }
}

impl Default for Room {
    fn default() -> Self {
        let rules = Rules { abuse: Policy::Block, ..Rules::default() };
        let retention = Duration::from_secs(30 * 86_400);
        Self { anonymous: true, rules, delay: Duration::ZERO, moderator: None, retention }
    }
}

/// `[[issuer]]`: a key that tokens of others are checked with, for one algorithm alone.
#[derive(Clone)]
pub enum Issuer {
    /// HMAC with SHA-256.
    Hs256 {
        /// Its name in the tokens.
        kid: String,
        /// Shared with whoever signs.
        secret: String,
    },
    /// Ed25519.
    EdDsa {
        /// Its name in the tokens.
        kid: String,
        /// The public key, in PEM.
        pem: String,
    },
}

impl Issuer {
    /// Its name in the tokens.
    #[must_use]
    pub fn kid(&self) -> &str {
        match self {
            Self::Hs256 { kid, .. } | Self::EdDsa { kid, .. } => kid,
        }
    }
}

/// Without its secret.
impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuer").field(&self.kid()).finish()
    }
}

/// What is done with the source.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decoded once and encoded into a ladder.
    Transcode,
    /// Cut at its own key frames, untouched.
    Passthrough,
}

impl Config {
    /// The settings of a stream: its own, or the template's under this name.
    #[must_use]
    pub fn stream(&self, name: &StreamName) -> Option<StreamConfig> {
        self.streams.iter().find(|stream| stream.name == *name).cloned().or_else(|| {
            self.template.clone().map(|template| StreamConfig { name: name.clone(), ..template })
        })
    }
}

impl Limits {
    /// Twice the cores and four fifths of the memory that this process may use, the descriptors that
    /// the public listener leaves free, and some disk.
    ///
    /// Twice, because a publisher is let in before its picture is seen: a source smaller than its
    /// ladder costs less than is reckoned, and must not be turned away.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let descriptors = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        Self {
            cores: 2.0 * cores as f64,
            memory: procfs::memory_bytes().map_or(u64::MAX, |bytes| bytes / 5 * 4),
            descriptors: (descriptors / 2).min(1024),
            disk: 64_000_000,
        }
    }
}

impl StreamConfig {
    /// A stream with every default, which nobody may publish to yet.
    #[must_use]
    pub fn standard(name: StreamName) -> Self {
        Self {
            name,
            key: None,
            open: false,
            passphrase: None,
            mode: Mode::Transcode,
            ladder: "h264-720p".to_owned(),
            part: Duration::from_millis(334),
            segment: Duration::from_secs(2),
            window: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            after_grace: AfterGrace::End,
            slate: None,
            room: Room::default(),
        }
    }
}
