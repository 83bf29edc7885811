use std::time::Duration;

use bytes::Bytes;
use url::Url;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was asked for, delivery directives included; after redirects, where they led.
    pub url: Url,
    /// Why it was asked for.
    pub purpose: Purpose,
    /// `bytes=first-last` that was asked for.
    pub range: Option<ByteRange>,
    /// Status of the answer.
    pub status: u16,
    /// Header lines of the answer, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body with its content coding undone.
    pub body: Bytes,
    /// When the request was sent, since the watch began.
    pub asked: Duration,
    /// When the head of the answer was there.
    pub answered: Duration,
    /// When the first byte of the body was there; `answered` where it has none.
    pub first_byte: Duration,
    /// When the last byte was there.
    pub finished: Duration,
    /// Redirects that were followed.
    pub redirects: u32,
}

/// Why something was asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Purpose {
    /// The multivariant playlist, or whatever stands at the address that was given.
    Start,
    /// A media playlist; its directives are in its URL.
    Playlist,
    /// Media that a playlist lists.
    Listed,
    /// A part that a playlist hints at.
    Hint,
    /// Media once more, at the end of the watch.
    Again,
    /// A request whose answer tells how the server deals with such requests.
    Probe(Probe),
}

/// Requests that a player makes rarely or by mistake.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Probe {
    /// `_HLS_part` without `_HLS_msn`.
    PartWithoutSegment,
    /// `_HLS_msn=x`.
    NoNumber,
    /// A segment far ahead of the live edge.
    FarAhead,
    /// A segment that was removed long ago, or is the oldest listed.
    Expired,
    /// A part past the end of the last complete segment.
    PastTheEnd,
    /// Media that nothing lists or hints at.
    Unknown,
    /// HEAD of a media playlist.
    Head,
    /// Media with `If-None-Match` and the entity tag it had.
    Conditional,
    /// A browser's preflight.
    Preflight,
    /// A media playlist without `Accept-Encoding`.
    Identity,
}

/// A range of bytes of a resource.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// How many; `None` for all that follow.
    pub length: Option<u64>,
}

impl Exchange {
    /// A header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the answer is what was asked for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.status, 200 | 206)
    }

    /// How long the head of the answer took.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.answered.saturating_sub(self.asked)
    }

    /// `max-age` (`s-maxage` where `shared`) of `Cache-Control` in seconds; 0 where it forbids keeping.
    #[must_use]
    pub fn max_age(&self, shared: bool) -> Option<u64> {
        let value = self.header("cache-control")?;
        let mut age = None;
        for directive in value.split(',').map(str::trim) {
            let (name, seconds) = directive.split_once('=').unwrap_or((directive, ""));
            match name.to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(0),
                "private" if shared => return Some(0),
                "max-age" if age.is_none() => age = seconds.trim_matches('"').parse().ok(),
                "s-maxage" if shared => return seconds.trim_matches('"').parse().ok(),
                _ => {}
            }
        }
        age
    }

    /// Seconds that a cache says it has kept the answer.
    #[must_use]
    pub fn age(&self) -> Option<u64> {
        self.header("age")?.trim().parse().ok()
    }
}

/// A delivery directive of a URL (§6.2.5).
#[must_use]
pub fn directive(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A URL without its delivery directives: what names a media playlist.
#[must_use]
pub fn without_directives(url: &Url) -> Url {
    let Some(query) = url.query() else { return url.clone() };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("_HLS_")).collect();
    let mut url = url.clone();
    url.set_query(Some(kept.join("&").as_str()).filter(|query| !query.is_empty()));
    url
}
