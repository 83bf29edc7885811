use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use nowcast_hls::Profile;
use nowcast_hls::cache::{self, Class};
use nowcast_hls::names::{self, MediaName, Start};

use super::hold::Holder;
use super::range::{ByteRange, cut};
use super::reply::{self, CMSD_STATIC, PRIORITY, Refusal};
use crate::flow::{Cmsd, RenditionView};
use crate::listener::Body;

/// A request for a part, a segment or an init section.
pub(super) struct Ask {
    file: Box<str>,
    audio: bool,
    head: bool,
    none_match: Option<Box<str>>,
    range: Option<ByteRange>,
    if_range: Option<Box<str>>,
}

impl Ask {
    pub(super) fn new<B>(request: &Request<B>, rendition: &str, file: &str) -> Self {
        let headers = request.headers();
        let head = request.method() == Method::HEAD;
        Self {
            file: file.into(),
            audio: rendition.starts_with("audio"),
            head,
            none_match: text(headers, &IF_NONE_MATCH).map(Into::into),
            // A range has no meaning with HEAD (RFC 9110 §14.2).
            range: text(headers, &RANGE).filter(|_| !head).and_then(ByteRange::parse),
            if_range: text(headers, &IF_RANGE).map(Into::into),
        }
    }

    /// The bytes, all of them there: a part that is hinted is held until it is whole (§6.2.6).
    pub(super) async fn answer(
        self,
        mut holder: Holder<'_>,
        profile: &Profile,
    ) -> Result<Response<Body>, Refusal> {
        let view = holder.now();
        match names::parse(&self.file) {
            Some(MediaName::Part(start, number)) => {
                let urgency = view.urgency;
                let mut held = None;
                let part = match find_part(&view, start, number) {
                    Err(Missing::Hinted) if !self.head => {
                        drop(view);
                        let settled = |view: &RenditionView| match find_part(view, start, number) {
                            Err(Missing::Hinted) => None,
                            found => Some(found),
                        };
                        let (_, part, waited) = holder.until(settled).await?;
                        held = Some(waited);
                        part
                    }
                    found => found,
                };
                let (part, cmsd) = part?;
                let mut response = self.reply(&[part], Class::Part, urgency, profile)?;
                response.headers_mut().insert(CMSD_STATIC, cmsd.value(held));
                Ok(response)
            }
            Some(MediaName::Segment(start, msn)) => {
                let index = view.segments.binary_search_by_key(&msn, |segment| segment.msn);
                match index.ok().map(|index| &view.segments[index]) {
                    Some(segment) if segment.start != start => Err(Refusal::not_found("segment")),
                    Some(segment) if segment.complete => {
                        self.reply(&segment.parts, Class::Segment, view.urgency, profile)
                    }
                    Some(_) => Err(Refusal::NotYet),
                    None if view.segments.last().is_some_and(|last| last.msn > msn) => {
                        Err(Refusal::not_found("segment"))
                    }
                    None => Err(Refusal::NotYet),
                }
            }
            None => {
                let init = view.inits.iter().find(|(name, _)| **name == *self.file);
                let (_, bytes) = init.ok_or_else(|| Refusal::not_found("file"))?;
                self.reply(std::slice::from_ref(bytes), Class::Init, 2, profile)
            }
        }
    }

    fn reply(
        &self,
        chunks: &[Bytes],
        class: Class,
        urgency: u8,
        profile: &Profile,
    ) -> Result<Response<Body>, Refusal> {
        let length: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if length == 0 {
            // A gap: listed as one, with nothing behind it.
            return Err(Refusal::not_found("media"));
        }
        // A name means the same bytes for ever, so it is their strong validator.
        let tag = format!("\"{}-{length:x}\"", self.file);
        let cached = HeaderValue::try_from(cache::cache_control(class, profile).as_ref());
        let mut response = if self.none_match.as_deref().is_some_and(|list| matches(list, &tag)) {
            reply::open(StatusCode::NOT_MODIFIED, Body::empty())
        } else {
            self.bytes(chunks, length, &tag)?
        };
        let headers = response.headers_mut();
        if let (Ok(tag), Ok(cached)) = (HeaderValue::try_from(tag), cached) {
            headers.insert(ETAG, tag);
            headers.insert(CACHE_CONTROL, cached);
        }
        headers.insert(PRIORITY, reply::urgency(urgency));
        if response.status() != StatusCode::NOT_MODIFIED {
            let kind = match (self.audio, class) {
                (true, _) => "audio/mp4",
                (false, Class::Init) => "video/mp4",
                (false, _) => "video/iso.segment",
            };
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        Ok(response)
    }

    /// All of it, or the range that was asked for.
    fn bytes(&self, chunks: &[Bytes], length: u64, tag: &str) -> Result<Response<Body>, Refusal> {
        let same = self.if_range.as_deref().is_none_or(|condition| condition == tag);
        let Some(range) = self.range.filter(|_| same) else {
            return Ok(reply::open(StatusCode::OK, Body::chunks(chunks.to_vec())));
        };
        let range = range.within(length).ok_or(Refusal::Range(length))?;
        let content = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        let body = Body::chunks(cut(chunks, &range));
        let mut response = reply::open(StatusCode::PARTIAL_CONTENT, body);
        if let Ok(content) = HeaderValue::try_from(content) {
            response.headers_mut().insert(CONTENT_RANGE, content);
        }
        Ok(response)
    }
}

/// Why there is no part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Missing {
    /// It is the next to come.
    Hinted,
    /// It will come later, or never.
    NotYet,
    /// It was here, or was promised and given up.
    Gone,
}

impl From<Missing> for Refusal {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Hinted | Missing::NotYet => Self::NotYet,
            Missing::Gone => Self::not_found("part"),
        }
    }
}

fn find_part(view: &RenditionView, start: Start, number: u64) -> Result<(Bytes, Cmsd), Missing> {
    let after = view.segments.partition_point(|segment| segment.first_part <= number);
    let part = after.checked_sub(1).and_then(|index| {
        let segment = &view.segments[index];
        if segment.part_start != start {
            return None;
        }
        let index = usize::try_from(number - segment.first_part).ok()?;
        Some((segment.parts.get(index)?.clone(), segment.cmsd.get(index)?.clone()))
    });
    part.ok_or(match view.next_part {
        Some(next) if number == next && start == view.start => Missing::Hinted,
        Some(next) if number > next && start == view.start => Missing::NotYet,
        _ => Missing::Gone,
    })
}

/// Whether an If-None-Match names `tag` (RFC 9110 §13.1.2, weakly compared).
fn matches(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
