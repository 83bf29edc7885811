//! As much of playlists as a player needs that only fetches. Faults are `nowcast lint`'s to find.

use std::time::Duration;

use super::uri::Location;

/// What a viewer plays: the media playlists of one variant.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) playlists: Vec<Location>,
}

impl Variant {
    /// The first variant of a multivariant playlist, with the first rendition of its audio group.
    pub(super) fn first(text: &str, base: &Location) -> Option<Self> {
        let mut lines = text.lines();
        let attributes = lines.find_map(|line| line.strip_prefix("#EXT-X-STREAM-INF:"))?;
        let uri = lines.find(|line| !line.starts_with('#') && !line.is_empty())?;
        let audio = attribute(attributes, "AUDIO").and_then(|group| {
            text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MEDIA:")).find_map(|media| {
                let ours = attribute(media, "TYPE") == Some("AUDIO")
                    && attribute(media, "GROUP-ID") == Some(group);
                attribute(media, "URI").filter(|_| ours)
            })
        });
        let playlists = std::iter::once(uri).chain(audio).map(|uri| base.join(uri).ok());
        Some(Self { playlists: playlists.collect::<Option<_>>()? })
    }
}

/// A part's place: media sequence number and index within that segment.
pub(super) type Position = (u64, u64);

/// What one generation of a media playlist tells a player.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Generation {
    pub(super) part_target: Duration,
    /// The parts listed, the oldest first.
    pub(super) parts: Vec<Part>,
    /// What to ask for next.
    pub(super) next: Position,
    pub(super) ended: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) position: Position,
    pub(super) uri: String,
    /// When its media ends, since 1970, if the playlist says.
    pub(super) ends_at: Option<Duration>,
}

impl Generation {
    /// `None`: this is no playlist with parts.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut playlist = Self::default();
        let (mut msn, mut index) = (0, 0);
        let mut clock: Option<f64> = None;
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-PART-INF" => {
                    let target = attribute(value, "PART-TARGET")?.parse().ok()?;
                    playlist.part_target = Duration::try_from_secs_f64(target).ok()?;
                }
                "#EXT-X-MEDIA-SEQUENCE" => msn = value.parse().ok()?,
                "#EXT-X-SKIP" => {
                    msn = attribute(value, "SKIPPED-SEGMENTS")?
                        .parse::<u64>()
                        .ok()?
                        .checked_add(msn)?;
                }
                "#EXT-X-PROGRAM-DATE-TIME" => clock = unix_seconds(value),
                "#EXT-X-PART" => {
                    let duration: f64 = attribute(value, "DURATION")?.parse().ok()?;
                    clock = clock.map(|clock| clock + duration);
                    playlist.parts.push(Part {
                        position: (msn, index),
                        uri: attribute(value, "URI")?.to_owned(),
                        ends_at: clock.and_then(|clock| Duration::try_from_secs_f64(clock).ok()),
                    });
                    index += 1;
                }
                "#EXT-X-ENDLIST" => playlist.ended = true,
                _ if !line.starts_with('#') && !line.is_empty() => {
                    (msn, index, clock) = (msn.checked_add(1)?, 0, None);
                }
                _ => {}
            }
        }
        playlist.next = (msn, index);
        (!playlist.part_target.is_zero()).then_some(playlist)
    }
}

/// An attribute's value, without its quotes.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key == name {
            return Some(value);
        }
        rest = after;
    }
}

/// `2026-11-30T00:00:03.040Z` as seconds since 1970; other zones are not read.
fn unix_seconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.splitn(3, ':').map(str::parse::<f64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    // Days since 1970 by the civil calendar whose year begins in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 719_469;
    Some(days as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_has_its_audio_beside_it() {
        let base: Location = "http://host/live/a/index.m3u8".parse().unwrap();
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"a, b\",URI=\"x/audio.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1,mp4a\",AUDIO=\"audio\"\nx/720p.m3u8\n";
        let targets = |text| {
            let variant = Variant::first(text, &base)?;
            Some(variant.playlists.into_iter().map(|at| at.target).collect::<Vec<_>>())
        };
        assert_eq!(targets(text).unwrap(), ["/live/a/x/720p.m3u8", "/live/a/x/audio.m3u8"]);
        let alone = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
        assert_eq!(targets(alone).unwrap(), ["/live/a/v.m3u8"]);
        assert_eq!(targets("#EXTM3U\n"), None);
    }

    #[test]
    fn a_generation_says_what_to_ask_for_next() {
        let text = "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:2,\ns9.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:03.040Z\n\
            #EXT-X-PART:DURATION=0.5,URI=\"p1.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"p2.m4s\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p3.m4s\"\n";
        let playlist = Generation::parse(text).unwrap();
        let parts: Vec<_> =
            playlist.parts.iter().map(|part| (part.position, &part.uri[..])).collect();
        assert_eq!(parts, [((10, 0), "p1.m4s"), ((10, 1), "p2.m4s")]);
        let ends_at = playlist.parts[1].ends_at.unwrap();
        assert_eq!((ends_at.as_secs_f64() * 1000.0).round(), 1_795_996_804_040.0);
        assert_eq!((playlist.next, playlist.ended), ((10, 2), false));
        let closed = format!("{text}#EXTINF:1,\ns10.m4s\n#EXT-X-ENDLIST\n");
        let playlist = Generation::parse(&closed).unwrap();
        assert_eq!((playlist.next, playlist.ended), ((11, 0), true));
        assert_eq!(Generation::parse("#EXTM3U\n"), None);
    }
}
