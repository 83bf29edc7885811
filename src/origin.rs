//! The public listener: playlists and media of every stream, blocking reload and held hints as
//! draft-pantos-hls-rfc8216bis-22 §6.2.5 and §6.2.6 have them; beside them the pages.
//!
//! Nothing is rendered, compressed or copied here: what a request gets was made once by the
//! stream's task, and all who wait share it. docs/adr/0009-hyper-origin.md says why.

mod client;
mod figures;
mod hold;
mod holds;
mod media;
pub mod pages;
mod playlist;
mod range;
mod reply;
mod target;

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use nowcast_hls::Profile;
use tokio::sync::watch;

use self::client::Proxies;
pub use self::figures::Figures;
use self::figures::Kind;
use self::hold::Holder;
use self::holds::Holds;
use self::reply::Refusal;
use self::target::Target;
use crate::flow::{Asked, InHand, Remote, StreamName, Streams};
pub use crate::listener::serve;
use crate::listener::{Body, Handler, Limits, Tally};

/// What answers the requests outside `/live/`.
pub type Rest = Box<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;
/// What is told of the requests for a stream: its name, the query and the header fields.
pub type Note = Box<dyn Fn(&StreamName, Option<&str>, &HeaderMap) + Send + Sync>;
/// An answer to come.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// The longest request target that is looked at. Ours have less than 200 bytes; players and caches
/// may add some more to the query.
const MAX_TARGET: usize = 4096;
/// The most header fields that are looked at; browsers and caches send twenty.
const MAX_FIELDS: usize = 64;

/// What the public listener serves.
pub struct Origin {
    streams: Arc<Streams>,
    rest: Rest,
    limits: Limits,
    proxies: Proxies,
    holds: Holds,
    note: Option<Note>,
    figures: Arc<Figures>,
}

impl Origin {
    /// Serves `streams` below `/live/`; other paths are answered by `rest`.
    #[must_use]
    pub fn new(streams: Arc<Streams>, rest: Rest, limits: Limits) -> Self {
        Self {
            streams,
            rest,
            limits,
            proxies: Proxies::default(),
            holds: Holds::default(),
            note: None,
            figures: Arc::default(),
        }
    }

    /// Believes what these networks, each an address and a prefix length, say of whom they ask for.
    #[must_use]
    pub fn trusting(self, proxies: Vec<(IpAddr, u8)>) -> Self {
        Self { proxies: Proxies(proxies), ..self }
    }

    /// Tells `note` of every request for a stream's playlists and media.
    #[must_use]
    pub fn noting(self, note: Note) -> Self {
        Self { note: Some(note), ..self }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Reads a request, as far as that goes without waiting: what is held then keeps only what it
    /// waits for.
    fn errand(
        &self,
        mut request: Request<Incoming>,
        peer: IpAddr,
        shutdown: watch::Receiver<bool>,
    ) -> (Kind, Errand<'_>) {
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > MAX_TARGET {
            return (Kind::Other, Refusal::TooLong.into());
        }
        if head_bytes(&request) > self.limits.head_bytes || request.headers().len() > MAX_FIELDS {
            return (Kind::Other, Refusal::LongHead.into());
        }
        if !is_media(request.uri().path()) {
            if let Some(client) = self.proxies.client(peer, request.headers()) {
                request.extensions_mut().insert(Remote(client.0));
            }
            return (Kind::Page, Errand::Page((self.rest)(request)));
        }
        let Some(target) = Target::parse(request.uri().path()) else {
            return (Kind::Other, Refusal::not_found("path").into());
        };
        let errand = match *request.method() {
            Method::OPTIONS => Errand::Done(reply::preflight()),
            Method::GET | Method::HEAD => {
                self.find(&request, &target, peer, shutdown).unwrap_or_else(Errand::from)
            }
            _ => Refusal::Method.into(),
        };
        (target.kind(), errand)
    }

    fn find(
        &self,
        request: &Request<Incoming>,
        target: &Target<'_>,
        peer: IpAddr,
        shutdown: watch::Receiver<bool>,
    ) -> Result<Errand<'_>, Refusal> {
        let name = target.stream();
        let stream = self.streams.find(name).ok_or_else(|| Refusal::not_found("stream"))?;
        if let Some(note) = &self.note {
            note(&stream.name, request.uri().query(), request.headers());
        }
        let sessions = stream.sessions.load();
        let (prefix, rendition, file) = match *target {
            Target::Multivariant { .. } => {
                return playlist::multivariant(request, &sessions).map(Errand::Done);
            }
            Target::Playlist { session, rendition, .. } => (session, rendition, None),
            Target::Media { session, rendition, file, .. } => (session, rendition, Some(file)),
        };
        let session = sessions
            .iter()
            .find(|session| session.prefix == prefix)
            .ok_or_else(|| Refusal::not_found("session"))?;
        let renditions = session.renditions.load();
        let views = renditions.get(rendition).ok_or_else(|| Refusal::not_found("rendition"))?;
        let Self { figures, holds, limits, .. } = self;
        let client = self.proxies.client(peer, request.headers());
        let holder = Holder { views: views.clone(), shutdown, figures, holds, limits, client };
        let profile = session.profile;
        let in_hand = stream.demand.take(match target.kind() {
            Kind::Part if !rendition.starts_with("audio") => Asked::Part,
            Kind::Segment if !rendition.starts_with("audio") => Asked::Segment,
            _ => Asked::Other,
        });
        Ok(match file {
            None => Errand::Playlist(playlist::Ask::new(request), holder, profile, in_hand),
            Some(file) => {
                Errand::Media(media::Ask::new(request, rendition, file), holder, profile, in_hand)
            }
        })
    }
}

impl Handler for Origin {
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        shutdown: watch::Receiver<bool>,
    ) -> impl Future<Output = Response<Body>> + Send {
        let head = request.method() == Method::HEAD;
        let (kind, errand) = self.errand(request, peer, shutdown);
        async move {
            let (answer, in_hand) = match errand {
                Errand::Done(response) => (Ok(response), None),
                Errand::Page(answer) => (Ok(answer.await), None),
                Errand::Playlist(ask, holder, profile, in_hand) => {
                    (ask.answer(holder, &profile).await, Some(in_hand))
                }
                Errand::Media(ask, holder, profile, in_hand) => {
                    (ask.answer(holder, &profile).await, Some(in_hand))
                }
            };
            let response = reply::finish(answer.unwrap_or_else(Response::from), head);
            if let Some(in_hand) = in_hand.filter(|_| response.status().is_success() && !head) {
                in_hand.answered(response.body().len());
            }
            self.figures.answered(kind, response.status(), response.body().len());
            response
        }
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn tally(&self) -> &Arc<Tally> {
        self.figures.connections()
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Playlists and media; `/live/STREAM/events/…` is the room's.
fn is_media(path: &str) -> bool {
    path.strip_prefix("/live/").is_some_and(|rest| rest.split('/').nth(1) != Some("events"))
}

/// What a head takes up in HTTP/1.1.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter();
    target + fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

/// What a request comes to.
enum Errand<'a> {
    Done(Response<Body>),
    Page(Answer),
    Playlist(playlist::Ask, Holder<'a>, Profile, InHand),
    Media(media::Ask, Holder<'a>, Profile, InHand),
}

impl From<Refusal> for Errand<'_> {
    fn from(refusal: Refusal) -> Self {
        Self::Done(refusal.into())
    }
}
