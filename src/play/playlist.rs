//! What a player takes from playlists: where to go on. Faults are `nowcast lint`'s to find.

use std::time::Duration;

use nowcast_lint::playlist::{MediaPlaylist, Multivariant, Position};
use url::Url;

/// The media playlists of the first variant listed: its own, and the first of its audio group.
pub(super) fn first_variant(text: &str, base: &Url) -> Vec<Url> {
    let playlist = Multivariant::read(text, base);
    let Some(variant) = playlist.variants.first() else { return Vec::new() };
    let group = variant.attributes.text("AUDIO");
    let audio = playlist.renditions.iter().find(|rendition| {
        rendition.attributes.text("TYPE") == Some("AUDIO")
            && rendition.attributes.text("GROUP-ID") == group
    });
    let audio = audio.and_then(|audio| audio.url.clone()).filter(|_| group.is_some());
    std::iter::once(variant.url.clone()).chain(audio).collect()
}

/// One generation of a media playlist.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) part_target: Duration,
    /// The parts listed, the oldest first.
    pub(super) parts: Vec<Part>,
    /// Where the next part will be.
    pub(super) end: Position,
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) at: Position,
    pub(super) url: Url,
    /// When its media ends, since 1970, if the playlist says.
    pub(super) ends_at: Option<Duration>,
}

impl Generation {
    /// `None`: this is no playlist with parts.
    pub(super) fn read(text: &str, base: &Url) -> Option<Self> {
        let playlist = MediaPlaylist::read(text, base);
        let mut parts = Vec::new();
        for segment in &playlist.segments {
            let date = segment.date.and_then(|micros| u64::try_from(micros).ok());
            let mut ends_at = date.map(Duration::from_micros);
            for (number, part) in (0..).zip(&segment.parts) {
                ends_at = ends_at.map(|start| start + part.duration);
                let at = Position { open_msn: segment.msn, open_parts: number };
                parts.push(Part { at, url: part.url.clone(), ends_at });
            }
        }
        let part_target = playlist.part_target()?;
        let ended = playlist.ended.is_some();
        Some(Self { part_target, parts, end: playlist.position(), ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        "http://host/live/a/index.m3u8".parse().unwrap()
    }

    #[test]
    fn a_variant_has_its_audio_beside_it() {
        let paths = |text: &str| {
            let playlists = first_variant(text, &base());
            playlists.iter().map(|url| url.path().to_owned()).collect::<Vec<_>>()
        };
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"a, b\",URI=\"x/audio.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1,mp4a\",AUDIO=\"audio\"\nx/720p.m3u8\n";
        assert_eq!(paths(text), ["/live/a/x/720p.m3u8", "/live/a/x/audio.m3u8"]);
        let alone = text.replace(",AUDIO=\"audio\"", "");
        assert_eq!(paths(&alone), ["/live/a/x/720p.m3u8"]);
        assert_eq!(paths("#EXTM3U\n"), [""; 0]);
    }

    #[test]
    fn a_generation_says_where_the_next_part_will_be() {
        let text = "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:2,\ns9.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:03.040Z\n\
            #EXT-X-PART:DURATION=0.5,URI=\"p1.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"p2.m4s\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p3.m4s\"\n";
        let playlist = Generation::read(text, &base()).unwrap();
        let parts = playlist.parts.iter().map(|part| (part.at.open_msn, part.at.open_parts));
        assert_eq!(parts.collect::<Vec<_>>(), [(10, 0), (10, 1)]);
        assert_eq!(playlist.parts[1].ends_at, Some(Duration::from_millis(1_795_996_804_040)));
        assert_eq!(playlist.end, Position { open_msn: 10, open_parts: 2 });
        assert!(!playlist.ended);
        let closed = format!("{text}#EXTINF:1,\ns10.m4s\n#EXT-X-ENDLIST\n");
        let playlist = Generation::read(&closed, &base()).unwrap();
        assert_eq!(playlist.end, Position { open_msn: 11, open_parts: 0 });
        assert!(playlist.ended);
        assert!(Generation::read("#EXTM3U\n", &base()).is_none());
    }
}
