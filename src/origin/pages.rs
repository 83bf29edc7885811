//! The pages, embedded into the binary when it is built, and what they ask about streams.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use nowcast_hls::{cache, names};
use rust_embed::RustEmbed;
use serde::Serialize;

use super::reply::{self, Refusal};
use super::{Answer, Rest};
use crate::answer::{self, accepts_gzip};
use crate::flow::{Compressed, Phase, StreamName, Streams};
use crate::listener::Body;

/// What `./x build` made of `web/`.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Dist;

/// Pages run what comes with them, and play what this origin serves: nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; font-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors *";

/// Answers `/`, `/watch/STREAM`, `/studio/STREAM`, `/assets/…`, `/sdk/…` and the public half of `/api/v1/`.
#[must_use]
pub fn handler(streams: Arc<Streams>) -> Rest {
    let pages = Pages::embedded();
    Box::new(move |request| -> Answer { Box::pin(ready(pages.answer(&request, &streams))) })
}

/// What was embedded, by its path in `web/dist`.
struct Pages(BTreeMap<Cow<'static, str>, Page>);

struct Page {
    text: Compressed,
    kind: &'static str,
    tag: String,
}

impl Pages {
    fn embedded() -> Self {
        Self(
            Dist::iter()
                .filter_map(|path| Some((path.clone(), Page::new(&path, Dist::get(&path)?.data))))
                .collect(),
        )
    }

    fn answer<B>(&self, request: &Request<B>, streams: &Streams) -> Response<Body> {
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Refusal::Method.into();
        }
        if let Some(what) = path.strip_prefix("/api/v1/") {
            return api(what, streams);
        }
        let headers = request.headers();
        let page = match path.split_at_checked(1) {
            Some(("/", "")) => self.page("index.html", headers),
            Some(("/", rest)) => match rest.split_once('/') {
                Some(("watch", name)) if StreamName::new(name).is_some() => {
                    self.page("watch.html", headers)
                }
                Some(("studio", name)) if StreamName::new(name).is_some() => {
                    self.page("studio.html", headers)
                }
                Some(("sdk", _)) => self.shared(rest, headers),
                Some(("assets", _)) => self.asset(rest, headers),
                _ => None,
            },
            _ => None,
        };
        page.unwrap_or_else(|| Refusal::not_found("page").into())
    }

    fn page(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let Some(page) = self.0.get(path) else {
            let sentence = "The web assets were not built: run ./x build.".to_owned();
            return Some(reply::plain(StatusCode::SERVICE_UNAVAILABLE, cache::NO_STORE, sentence));
        };
        let mut response = page.response(headers, "no-cache");
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        Some(response)
    }

    /// A file that pages of any origin may load.
    fn shared(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let mut response = self.0.get(path)?.response(headers, "public, max-age=300");
        answer::share(&mut response);
        Some(response)
    }

    /// A file whose name changes with its bytes.
    fn asset(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        Some(self.0.get(path)?.response(headers, "public, max-age=31536000, immutable"))
    }
}

impl Page {
    fn new(path: &str, bytes: Cow<'static, [u8]>) -> Self {
        let kind = match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("html") => "text/html; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("json" | "map") => "application/json",
            Some("png") => "image/png",
            Some("woff2") => "font/woff2",
            _ => "application/octet-stream",
        };
        // An FNV-1a hash, as init sections are named with.
        let tag = format!("\"{}\"", names::init(&bytes));
        let text = match String::from_utf8(bytes.into_owned()) {
            Ok(text) => Compressed::new(text),
            Err(error) => Compressed { plain: error.into_bytes().into(), gzip: Bytes::new() },
        };
        Self { text, kind, tag }
    }

    fn response(&self, headers: &HeaderMap, cached: &'static str) -> Response<Body> {
        let gzip = accepts_gzip(headers) && !self.text.gzip.is_empty();
        // One tag for both codings can only be a weak one.
        let tag = format!("W/{}", self.tag);
        let known = headers
            .get(IF_NONE_MATCH)
            .is_some_and(|list| list.to_str().is_ok_and(|list| list.contains(&self.tag)));
        let mut response = if known {
            Response::new(Body::empty())
        } else {
            Response::new(if gzip { &self.text.gzip } else { &self.text.plain }.clone().into())
        };
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        if gzip && !known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// A stream in the list: nothing that its publisher would not show.
#[derive(Serialize)]
struct Listed {
    name: String,
    phase: Phase,
    playlist: String,
    since_ms: Option<u64>,
}

/// Why a page shows no picture.
#[derive(Serialize)]
struct Shown {
    name: String,
    phase: Phase,
    problem: Option<String>,
}

fn api(what: &str, streams: &Streams) -> Response<Body> {
    match what {
        "streams" => {
            let statuses = streams.all().into_iter().map(|stream| stream.status.borrow().clone());
            let on_air = |phase| matches!(phase, Phase::Starting | Phase::Live | Phase::Waiting);
            let listed: Vec<_> = statuses
                .filter(|status| on_air(status.phase))
                .map(|status| Listed {
                    playlist: format!("/live/{}/index.m3u8", status.name),
                    name: status.name,
                    phase: status.phase,
                    since_ms: status.since_ms,
                })
                .collect();
            json(&listed, "public, max-age=1")
        }
        "time" => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            json(&serde_json::json!({ "now": since.as_millis() }), cache::NO_STORE)
        }
        _ => match what.strip_prefix("streams/").and_then(|name| streams.find(name)) {
            Some(stream) => {
                let status = stream.status.borrow().clone();
                let name = stream.name.to_string();
                let shown = Shown { name, phase: status.phase, problem: status.problem };
                json(&shown, "public, max-age=1")
            }
            None => Refusal::not_found("stream").into(),
        },
    }
}

fn json<T: Serialize>(value: &T, cached: &'static str) -> Response<Body> {
    // What is serialised here has string keys and no number that JSON lacks.
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut response = reply::open(StatusCode::OK, Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}
