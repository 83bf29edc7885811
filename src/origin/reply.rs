//! Headers: those of every answer, and the answers that are not what was asked for.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use nowcast_hls::{DirectiveError, cache};

use crate::listener::Body;

/// What pages of other origins may see: players reckon with `Age` and `Date`.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Age, Content-Length, Content-Range, Date, ETag, Retry-After, CMSD-Dynamic, CMSD-Static",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(super) const CMSD_STATIC: HeaderName = HeaderName::from_static("cmsd-static");
pub(super) const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// The value of `Priority` (RFC 9218 §5) that names this urgency: 1 for playlists, 2 to 6 for media
/// (draft-pantos-hls-rfc8216bis-22, App. B.1). 3, the default, where it is none of these.
pub(super) fn urgency(urgency: u8) -> HeaderValue {
    HeaderValue::from_static(match urgency {
        1 => "u=1",
        2 => "u=2",
        4 => "u=4",
        5 => "u=5",
        6 => "u=6",
        _ => "u=3",
    })
}

/// A request that does not get what it asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// Nothing has this name; what has not.
    NotFound(&'static str),
    /// Nothing has this name yet, or it was not promised.
    NotYet,
    /// The stream is known, and there is nothing to play.
    NothingYet,
    /// Directives that cannot be obeyed.
    Directive(DirectiveError),
    /// Held for as long as may be.
    TooLate,
    /// The server stops.
    Stopping,
    /// As many requests are held as may be.
    ManyHeld,
    /// As many requests are held for this client as may be.
    ManyHeldForClient,
    /// Neither GET nor HEAD.
    Method,
    /// The request target is too long.
    TooLong,
    /// The request's head is too long.
    LongHead,
    /// The range starts past the end of so many bytes.
    Range(u64),
}

impl Refusal {
    pub(super) fn not_found(what: &'static str) -> Self {
        Self::NotFound(what)
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::NotYet => StatusCode::NOT_FOUND,
            Self::NothingYet | Self::TooLate | Self::Stopping | Self::ManyHeld => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::ManyHeldForClient => StatusCode::TOO_MANY_REQUESTS,
            Self::LongHead => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Directive(_) => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::URI_TOO_LONG,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::NotFound(what) => {
                format!("There is no such {what} here, or no more: begin at /live/STREAM/index.m3u8.")
            }
            Self::NotYet => {
                "This was not made yet and is not the next to come: ask for what the playlist lists or hints at.".to_owned()
            }
            Self::NothingYet => {
                "The stream is known, but nobody publishes it yet: ask again in a second.".to_owned()
            }
            Self::Directive(error) => format!("The player asked wrongly: {error}."),
            Self::TooLate => {
                "The stream brought nothing new for three target durations: ask again.".to_owned()
            }
            Self::Stopping => "The server stops: ask again in a second.".to_owned(),
            Self::ManyHeld => {
                "As many requests wait here as the server may hold: ask again in a second.".to_owned()
            }
            Self::ManyHeldForClient => {
                "As many requests of this address wait here as may: ask again in a second.".to_owned()
            }
            Self::LongHead => {
                "The request's headers are too many or too long: leave out cookies and the like.".to_owned()
            }
            Self::Method => "Playlists and media are only read: use GET or HEAD.".to_owned(),
            Self::TooLong => "The address is too long: nothing here needs so many bytes.".to_owned(),
            Self::Range(length) => {
                format!("The range begins past the end: there are {length} bytes.")
            }
        }
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let cached = match refusal {
            Refusal::NotFound(_) => cache::NOT_FOUND,
            _ => cache::NO_STORE,
        };
        let mut response = plain(refusal.status(), cached, refusal.sentence());
        let headers = response.headers_mut();
        match refusal {
            Refusal::NothingYet
            | Refusal::TooLate
            | Refusal::ManyHeld
            | Refusal::ManyHeldForClient => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Refusal::Stopping => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Refusal::Method => {
                headers.insert(ALLOW, METHODS);
            }
            Refusal::Range(length) => {
                if let Ok(range) = HeaderValue::try_from(format!("bytes */{length}")) {
                    headers.insert(CONTENT_RANGE, range);
                }
            }
            Refusal::NotFound(_)
            | Refusal::NotYet
            | Refusal::Directive(_)
            | Refusal::TooLong
            | Refusal::LongHead => {}
        }
        response
    }
}

/// A sentence, for people.
pub(super) fn plain(status: StatusCode, cached: &'static str, sentence: String) -> Response<Body> {
    let mut response = open(status, Body::from(sentence + "\n"));
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

/// An answer that pages of any origin may read.
pub(super) fn open(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // Room for all that is ever added, in one allocation.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    *response.headers_mut() = headers;
    response
}

/// The answer to what a browser asks before a request with headers of its own.
pub(super) fn preflight() -> Response<Body> {
    let mut response = open(StatusCode::NO_CONTENT, Body::empty());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let allowed =
        "Range, If-None-Match, If-Range, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(ALLOW, METHODS);
    response
}

/// States the body's length, where it is known, and leaves the body out of the answer to HEAD.
pub(super) fn finish(mut response: Response<Body>, head: bool) -> Response<Body> {
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && !response.body().is_stream() {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    if head { response.map(|_| Body::empty()) } else { response }
}
