use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use nowcast_hls::cache::{self, Class};
use nowcast_hls::{DirectiveError, Directives, Profile, Resolution};

use super::hold::Holder;
use super::reply::{self, CMSD_STATIC, PRIORITY, Refusal};
use crate::answer::accepts_gzip;
use crate::flow::{Compressed, RenditionView, Session};
use crate::listener::Body;

/// A request for a media playlist.
pub(super) struct Ask {
    directives: Result<Directives, DirectiveError>,
    gzip: bool,
    head: bool,
}

impl Ask {
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        Self {
            directives: Directives::parse(request.uri().query()),
            gzip: accepts_gzip(request.headers()),
            head: request.method() == Method::HEAD,
        }
    }

    /// The playlist, as soon as it has what was asked for (§6.2.5.2).
    pub(super) async fn answer(
        self,
        mut holder: Holder<'_>,
        profile: &Profile,
    ) -> Result<Response<Body>, Refusal> {
        let view = holder.now();
        if view.edge.ended() {
            return self.reply(&view, Directives::default(), None, profile);
        }
        let directives = self.directives.map_err(Refusal::Directive)?;
        match view.edge.resolve(&directives) {
            Resolution::Ready => self.reply(&view, directives, None, profile),
            Resolution::BadRequest(error) => Err(Refusal::Directive(error)),
            // HEAD is never held, so it speaks of the playlist as it is.
            Resolution::Wait if self.head => {
                self.reply(&view, Directives { msn: None, ..directives }, None, profile)
            }
            Resolution::Wait => {
                drop(view);
                let resolved = |view: &RenditionView| match view.edge.resolve(&directives) {
                    Resolution::Wait => None,
                    Resolution::Ready => Some(Ok(())),
                    Resolution::BadRequest(error) => Some(Err(Refusal::Directive(error))),
                };
                let (view, resolution, held) = holder.until(resolved).await?;
                resolution.and_then(|()| self.reply(&view, directives, Some(held), profile))
            }
        }
    }

    fn reply(
        &self,
        view: &RenditionView,
        directives: Directives,
        held: Option<Duration>,
        profile: &Profile,
    ) -> Result<Response<Body>, Refusal> {
        let text = view.delta.as_ref().filter(|_| directives.skip && !view.edge.ended());
        let class = match directives.msn {
            Some(_) => Class::BlockingPlaylist,
            None => Class::Playlist,
        };
        let mut response = reply(text.unwrap_or(&view.full), self.gzip, class, profile)?;
        response.headers_mut().insert(CMSD_STATIC, view.cmsd.value(held));
        Ok(response)
    }
}

/// The multivariant playlist of the newest session that can be played.
pub(super) fn multivariant<B>(
    request: &Request<B>,
    sessions: &[Arc<Session>],
) -> Result<Response<Body>, Refusal> {
    let playable = sessions.iter().rev().find_map(|session| {
        let text = session.multivariant.borrow().clone()?;
        Some((text, &session.profile))
    });
    let (text, profile) = playable.ok_or(Refusal::NothingYet)?;
    reply(&text, accepts_gzip(request.headers()), Class::Multivariant, profile)
}

fn reply(
    text: &Compressed,
    gzip: bool,
    class: Class,
    profile: &Profile,
) -> Result<Response<Body>, Refusal> {
    if text.plain.is_empty() {
        return Err(Refusal::NothingYet);
    }
    let gzip = gzip && !text.gzip.is_empty();
    let body = if gzip { &text.gzip } else { &text.plain };
    let mut response = reply::open(StatusCode::OK, body.clone().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(PRIORITY, reply::urgency(1));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(cached) = HeaderValue::try_from(cache::cache_control(class, profile).as_ref()) {
        headers.insert(CACHE_CONTROL, cached);
    }
    Ok(response)
}
