use std::collections::BTreeMap;

use url::Url;

use crate::exchange::{Exchange, Purpose};
use crate::playlist::MediaPlaylist;
use crate::rendition::Rendition;
use crate::report::Unobserved;

/// What occurred, and so could be judged.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that was seen or not")]
pub(super) struct Seen {
    pub(super) ts: bool,
    pub(super) encrypted: bool,
    pub(super) joined: bool,
    pub(super) again: bool,
    tls: bool,
    hint: bool,
    probed: bool,
    delta: bool,
    removed: bool,
    discontinuity: bool,
    gap: bool,
    date_range: bool,
    ended: bool,
    parts: bool,
}

pub(super) const NO_MULTIVARIANT: Unobserved = Unobserved {
    what: "CODECS, BANDWIDTH, renditions compared",
    why: "the address is a media playlist's: give the multivariant playlist's",
};

impl Seen {
    pub(super) fn note(&mut self, exchange: &Exchange) {
        self.tls |= exchange.url.scheme() == "https";
        self.hint |= exchange.purpose == Purpose::Hint && exchange.is_success();
        self.probed |= matches!(exchange.purpose, Purpose::Probe(_));
    }

    pub(super) fn note_playlist(&mut self, playlist: &MediaPlaylist) {
        self.delta |= playlist.skipped.is_some();
        self.discontinuity |= playlist.segments.iter().any(|segment| segment.discontinuity);
        self.gap |= playlist
            .segments
            .iter()
            .any(|segment| segment.gap || segment.parts.iter().any(|part| part.gap));
        self.parts |= playlist.segments.iter().any(|segment| !segment.parts.is_empty());
        self.date_range |= !playlist.date_ranges.is_empty();
        self.ended |= playlist.ended.is_some();
    }

    /// What was not there to be seen, and why.
    pub(super) fn unobserved(&self, renditions: &BTreeMap<Url, Rendition>) -> Vec<Unobserved> {
        let removed = renditions
            .values()
            .any(|it| it.latest.playlist.first_msn() > it.first.playlist.first_msn());
        let removed = removed || self.removed;
        [
            (
                self.parts,
                "parts, hints, reports",
                "no playlist lists a part: this is not low-latency HLS",
            ),
            (self.hint, "held hints", "no hinted part was fetched"),
            (
                self.delta,
                "delta updates",
                "none came: CAN-SKIP-UNTIL is not announced, or the window is no longer than it",
            ),
            (
                removed,
                "removal of segments, MEDIA-SEQUENCE counting",
                "no segment was removed while the watch lasted",
            ),
            (
                self.discontinuity,
                "discontinuities, DISCONTINUITY-SEQUENCE counting",
                "no discontinuity occurred",
            ),
            (self.gap, "gaps", "no media was missing"),
            (self.date_range, "date ranges", "the playlists have none"),
            (self.ended, "the end of the stream", "it did not end while the watch lasted"),
            (renditions.len() > 1, "renditions compared", "there is one media playlist only"),
            (
                self.joined,
                "segments compared with their parts",
                "no segment was fetched with all its parts",
            ),
            (self.again, "whether bytes stay the same", "nothing was fetched twice"),
            (self.probed, "refusals of wrong requests", "none were made"),
            (!self.ts, "samples of MPEG-TS segments", "only fragmented MP4 is read"),
            (!self.encrypted, "samples of encrypted media", "they cannot be read"),
            (self.tls, "TLS, HTTP/2, priorities", "the address is http://"),
            (!self.tls, "HTTP/2, priorities", "the watch speaks HTTP/1.1"),
            (false, "AVERAGE-BANDWIDTH, drift over hours", "the watch is shorter than an hour"),
            (
                false,
                "collapsing of requests in caches",
                "it does not show from outside: count requests at the origin",
            ),
        ]
        .into_iter()
        .filter_map(|(seen, what, why)| (!seen).then_some(Unobserved { what, why }))
        .collect()
    }
}
