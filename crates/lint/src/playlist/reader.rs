mod tags;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Fault;
use super::attributes::{Attributes, integer};
use super::faults::{
    CHARACTERS, DUPLICATE_TAG, FIRST_LINE, HEAD_ORDER, MISSING_ATTRIBUTE, NO_EXTINF, SKIP_ORDER,
    TAG_AFTER_PART, TAG_VALUE, URI,
};
use super::media::{Map, MediaPlaylist, Segment, Tagged};
use crate::exchange::ByteRange;

/// Faults of a playlist's text, whatever it lists.
pub(super) fn text_faults(text: &str, faults: &mut Vec<Fault>) {
    if text.starts_with('\u{feff}') {
        faults.push(Fault::new(
            &CHARACTERS,
            1,
            "the playlist begins with a byte order mark: leave it out.",
        ));
    }
    if text.trim_start_matches('\u{feff}').lines().next() != Some("#EXTM3U") {
        faults.push(Fault::new(&FIRST_LINE, 1, "the first line is not #EXTM3U: what was fetched is no playlist, or begins with something else."));
    }
    for (index, line) in text.lines().enumerate() {
        // RECENTLY-REMOVED-DATERANGES divides its values by tabs (§4.4.5.2).
        let legal = |c: char| !c.is_control() || (c == '\t' && line.starts_with("#EXT-X-SKIP:"));
        if !line.chars().all(legal) {
            faults.push(Fault::new(&CHARACTERS, index + 1, "the line holds a control character: only CR LF or LF may end lines, and nothing else of the kind may stand in them."));
        }
    }
}

impl MediaPlaylist {
    /// Reads a media playlist that was fetched from `base`.
    #[must_use]
    pub fn read(text: &str, base: &Url) -> Self {
        let mut reader = Reader { base, ..Reader::new(base) };
        text_faults(text, &mut reader.out.faults);
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            reader.line(line.trim_end_matches('\r'), index + 1);
        }
        reader.finish()
    }
}

struct Reader<'a> {
    base: &'a Url,
    out: MediaPlaylist,
    segment: Segment,
    /// The line of EXTINF, once it was read for the segment.
    extinf: Option<usize>,
    map: Option<Arc<Map>>,
    key: Option<Arc<str>>,
    /// Where the range after the last one begins, by resource.
    next_byte: HashMap<Url, u64>,
    variables: HashMap<String, String>,
}

impl<'a> Reader<'a> {
    fn new(base: &'a Url) -> Self {
        Self {
            base,
            out: MediaPlaylist::default(),
            segment: Segment::default(),
            extinf: None,
            map: None,
            key: None,
            next_byte: HashMap::new(),
            variables: HashMap::new(),
        }
    }

    fn line(&mut self, text: &str, line: usize) {
        if let Some(tag) = text.strip_prefix("#EXT") {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            let value = self.substituted(value);
            self.tag(name, &value, line);
        } else if !text.is_empty() && !text.starts_with('#') {
            let text = self.substituted(text);
            self.uri(&text, line);
        }
    }

    fn tag(&mut self, name: &str, value: &str, line: usize) {
        match name {
            "-X-VERSION" => {
                self.out.version = self.once(self.out.version.clone(), integer(value), line);
            }
            "-X-TARGETDURATION" => {
                self.out.target_duration =
                    self.once(self.out.target_duration.clone(), integer(value), line);
            }
            "-X-MEDIA-SEQUENCE" => {
                self.before_segments(line);
                self.out.media_sequence =
                    self.once(self.out.media_sequence.clone(), integer(value), line);
            }
            "-X-DISCONTINUITY-SEQUENCE" => {
                self.before_segments(line);
                self.out.discontinuity_sequence =
                    self.once(self.out.discontinuity_sequence.clone(), integer(value), line);
            }
            "-X-PLAYLIST-TYPE" => {
                let known = Some(value).filter(|value| matches!(*value, "EVENT" | "VOD"));
                self.out.playlist_type =
                    self.once(self.out.playlist_type.clone(), known.map(str::to_owned), line);
            }
            "-X-I-FRAMES-ONLY" => self.out.i_frames_only = true,
            "-X-PART-INF" => self.part_inf(value, line),
            "-X-SERVER-CONTROL" => self.server_control(value, line),
            "-X-SKIP" => self.skip(value, line),
            "INF" => self.extinf(value, line),
            "-X-BYTERANGE" => self.byte_range(value, line),
            "-X-DISCONTINUITY" => {
                self.before_parts("EXT-X-DISCONTINUITY", line);
                self.segment.discontinuity = true;
            }
            "-X-GAP" => self.segment.gap = true,
            "-X-PROGRAM-DATE-TIME" => self.date(value, line),
            "-X-MAP" => self.map(value, line),
            "-X-KEY" => {
                self.before_parts("EXT-X-KEY", line);
                self.key = Some(value.into()).filter(|_| !value.contains("METHOD=NONE"));
            }
            "-X-PART" => self.part(value, line),
            "-X-PRELOAD-HINT" => self.hint(value, line),
            "-X-RENDITION-REPORT" => self.report(value, line),
            "-X-DATERANGE" => self.date_range(value, line),
            "-X-DEFINE" => self.define(value, line),
            "-X-ENDLIST" => self.out.ended = Some(line),
            // A tag of a later version, or of somebody's own, is to be passed over (§4.1).
            _ => {}
        }
    }

    fn fault(&mut self, rule: &'static crate::Rule, line: usize, message: impl Into<String>) {
        self.out.faults.push(Fault::new(rule, line, message));
    }

    fn attributes(&mut self, value: &str, line: usize) -> Attributes {
        Attributes::read(value, line, &mut self.out.faults)
    }

    fn needs(&mut self, version: u64, what: &'static str, line: usize) {
        if !self.out.needs.iter().any(|need| need.value.1 == what) {
            self.out.needs.push(Tagged { value: (version, what), line });
        }
    }

    /// The value of a tag that stands once in a playlist.
    fn once<T>(
        &mut self,
        known: Option<Tagged<T>>,
        value: Option<T>,
        line: usize,
    ) -> Option<Tagged<T>> {
        if let Some(known) = known {
            self.fault(
                &DUPLICATE_TAG,
                line,
                format!("the tag stands on line {} already: write it once.", known.line),
            );
            return Some(known);
        }
        if value.is_none() {
            self.fault(
                &TAG_VALUE,
                line,
                "the value of the tag cannot be read: see its section for what it may be.",
            );
        }
        value.map(|value| Tagged { value, line })
    }

    fn before_segments(&mut self, line: usize) {
        if self.out.skipped.is_some() {
            self.fault(
                &SKIP_ORDER,
                line,
                "the tag follows EXT-X-SKIP: write both sequence numbers before it.",
            );
        } else if !self.out.segments.is_empty() || !self.segment.parts.is_empty() {
            self.fault(
                &HEAD_ORDER,
                line,
                "the tag follows a segment: write it before the first one.",
            );
        }
    }

    fn before_parts(&mut self, tag: &str, line: usize) {
        if !self.segment.parts.is_empty() {
            self.fault(&TAG_AFTER_PART, line, format!("{tag} follows a part of its segment: publish it with the first part, before it."));
        }
        if self.segment.line == 0 {
            self.segment.line = line;
        }
    }

    fn missing(&mut self, name: &str, line: usize) {
        self.fault(
            &MISSING_ATTRIBUTE,
            line,
            format!("{name} is missing or cannot be read: it is required."),
        );
    }

    fn url_of(&mut self, attributes: &Attributes, line: usize) -> Option<Url> {
        let Some(uri) = attributes.quoted("URI", &mut self.out.faults).map(str::to_owned) else {
            self.missing("URI", line);
            return None;
        };
        self.resolve(&uri, line)
    }

    fn resolve(&mut self, uri: &str, line: usize) -> Option<Url> {
        let url = self.base.join(uri).ok();
        if url.is_none() || uri.contains(char::is_whitespace) {
            self.fault(
                &URI,
                line,
                format!("\"{uri}\" is no URI: percent-encode what may not stand in one."),
            );
        }
        url
    }

    /// `n@o`, or `n` for what follows the last range of the same resource.
    fn range(&mut self, text: &str, url: &Url, line: usize) -> Option<ByteRange> {
        let (length, start) = text.split_once('@').unwrap_or((text, ""));
        let Some(length) = integer(length) else {
            self.fault(&TAG_VALUE, line, "BYTERANGE is not n or n@o.");
            return None;
        };
        let start = integer(start).or_else(|| self.next_byte.get(url).copied()).unwrap_or(0);
        self.next_byte.insert(url.clone(), start.saturating_add(length));
        Some(ByteRange { start, length: Some(length) })
    }

    fn uri(&mut self, text: &str, line: usize) {
        if self.extinf.take().is_none() {
            self.fault(
                &NO_EXTINF,
                line,
                "the segment has no EXTINF: write its duration before its URI.",
            );
        }
        let Some(url) = self.resolve(text, line) else { return };
        if let Some(ByteRange { start: u64::MAX, length: Some(length) }) = self.segment.range {
            self.segment.range = self.range(&length.to_string(), &url, line);
        }
        self.segment.url = Some(url);
        self.push_segment(line);
    }

    fn push_segment(&mut self, line: usize) {
        let skipped = self.out.skipped.as_ref().map_or(0, |tag| tag.value);
        let mut segment = std::mem::take(&mut self.segment);
        segment.msn = self.out.first_msn().saturating_add(skipped + self.out.segments.len() as u64);
        segment.line = line;
        segment.map.clone_from(&self.map);
        segment.key.clone_from(&self.key);
        self.out.segments.push(segment);
    }

    fn finish(mut self) -> MediaPlaylist {
        if let Some(line) = self.extinf {
            self.fault(&URI, line, "EXTINF is not followed by a URI.");
        }
        if !self.segment.parts.is_empty() {
            self.segment.duration = Duration::ZERO;
            let line = self.segment.line;
            self.push_segment(line);
        }
        self.out
    }
}
