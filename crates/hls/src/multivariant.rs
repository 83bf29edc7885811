//! The multivariant playlist (§4.4.6).

use std::fmt::Write;

use nowcast_media::{FrameRate, VideoRange};

use crate::quotable;

/// A variant stream: EXT-X-STREAM-INF.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variant {
    /// Its media playlist, relative to the multivariant playlist.
    pub uri: String,
    /// STABLE-VARIANT-ID: the same after a restart.
    pub stable_id: String,
    /// Peak bits a second, the audio it refers to included (§4.1).
    pub bandwidth: u64,
    /// Average bits a second, the audio it refers to included.
    pub average_bandwidth: u64,
    /// RFC 6381 codec strings of all its media, its audio group's included.
    pub codecs: Vec<String>,
    /// Width and height in pixels; `None` without video.
    pub resolution: Option<(u32, u32)>,
    /// `None` without video.
    pub frame_rate: Option<FrameRate>,
    /// `None` leaves the attribute out, which is right when every variant is SDR.
    pub video_range: Option<VideoRange>,
    /// GROUP-ID of its audio.
    pub audio_group: Option<String>,
}

/// An audio rendition with a media playlist of its own: EXT-X-MEDIA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AudioRendition {
    /// Its media playlist, relative to the multivariant playlist.
    pub uri: String,
    /// The group that variants refer to.
    pub group: String,
    /// What a player's menu shows.
    pub name: String,
    /// STABLE-RENDITION-ID: the same after a restart.
    pub stable_id: String,
    /// RFC 5646 language tag; left out if unknown (`und`).
    pub language: Option<String>,
    /// Uniform Type Identifiers, comma-separated: whom it is for.
    pub characteristics: Option<String>,
    /// What plays when nobody chooses: one of a group, which is `autoselect` too.
    pub default: bool,
    /// A player may choose it by itself, for a viewer's language: one of those that do not differ in
    /// language and characteristics.
    pub autoselect: bool,
    /// Channels.
    pub channels: u32,
}

/// Writes the multivariant playlist, variants in the order given.
///
/// Give them highest first: the first one is what a player starts with that has measured nothing.
/// hls.js takes the first variant's BANDWIDTH as its first estimate, so a ladder whose top fits an
/// ordinary line starts sharp, and a line it does not fit is left after the first part.
#[must_use]
pub fn render(variants: &[Variant], audio: &[AudioRendition]) -> String {
    // Nothing here needs more than version 1; 6 is what EXT-X-MAP asks of a player below.
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for rendition in audio {
        write_rendition(&mut text, rendition).unwrap_or_default();
    }
    for variant in variants {
        write_variant(&mut text, variant).unwrap_or_default();
    }
    text
}

fn write_rendition(text: &mut String, rendition: &AudioRendition) -> std::fmt::Result {
    let (group, name) = (quotable(&rendition.group), quotable(&rendition.name));
    write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\"")?;
    let language = rendition.language.as_deref().map(quotable);
    if let Some(language) = language.filter(|tag| !tag.is_empty() && tag != "und") {
        write!(text, ",LANGUAGE=\"{language}\"")?;
    }
    for (attribute, holds) in
        [(",DEFAULT=YES", rendition.default), (",AUTOSELECT=YES", rendition.autoselect)]
    {
        if holds {
            text.push_str(attribute);
        }
    }
    if let Some(characteristics) = &rendition.characteristics {
        write!(text, ",CHARACTERISTICS=\"{}\"", quotable(characteristics))?;
    }
    writeln!(
        text,
        ",CHANNELS=\"{}\",STABLE-RENDITION-ID=\"{}\",URI=\"{}\"",
        rendition.channels,
        quotable(&rendition.stable_id),
        quotable(&rendition.uri)
    )
}

fn write_variant(text: &mut String, variant: &Variant) -> std::fmt::Result {
    let codecs = quotable(&variant.codecs.join(","));
    write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{codecs}\"",
        variant.bandwidth, variant.average_bandwidth
    )?;
    if let Some((width, height)) = variant.resolution {
        write!(text, ",RESOLUTION={width}x{height}")?;
    }
    if let Some(rate) = variant.frame_rate {
        write!(text, ",FRAME-RATE={:.3}", rate.as_f64())?;
    }
    if let Some(range) = variant.video_range {
        let range = match range {
            VideoRange::Sdr => "SDR",
            VideoRange::Hlg => "HLG",
            VideoRange::Pq => "PQ",
        };
        write!(text, ",VIDEO-RANGE={range}")?;
    }
    if let Some(group) = &variant.audio_group {
        write!(text, ",AUDIO=\"{}\"", quotable(group))?;
    }
    let (stable_id, uri) = (quotable(&variant.stable_id), quotable(&variant.uri));
    writeln!(text, ",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"{stable_id}\"")?;
    writeln!(text, "{uri}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, bandwidth: u64, resolution: (u32, u32)) -> Variant {
        Variant {
            uri: format!("3-1/{name}/index.m3u8"),
            stable_id: name.into(),
            bandwidth,
            average_bandwidth: bandwidth * 9 / 10,
            codecs: vec!["avc1.64001f".into(), "mp4a.40.2".into()],
            resolution: Some(resolution),
            frame_rate: FrameRate::new(30_000, 1001),
            video_range: None,
            audio_group: Some("audio".into()),
        }
    }

    #[test]
    fn a_ladder_with_audio_is_listed_highest_first() {
        let audio = AudioRendition {
            uri: "3-1/audio/index.m3u8".into(),
            group: "audio".into(),
            name: "Default".into(),
            stable_id: "audio".into(),
            language: Some("de".into()),
            characteristics: None,
            default: true,
            autoselect: true,
            channels: 2,
        };
        let described = AudioRendition {
            uri: "3-1/audio-2/index.m3u8".into(),
            name: "Described".into(),
            stable_id: "audio-2".into(),
            characteristics: Some("public.accessibility.describes-video".into()),
            default: false,
            ..audio.clone()
        };
        let variants =
            [variant("720p", 3_000_000, (1280, 720)), variant("360p", 800_000, (640, 360))];
        let expected = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Default\",LANGUAGE=\"de\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",STABLE-RENDITION-ID=\"audio\",URI=\"3-1/audio/index.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Described\",LANGUAGE=\"de\",AUTOSELECT=YES,CHARACTERISTICS=\"public.accessibility.describes-video\",CHANNELS=\"2\",STABLE-RENDITION-ID=\"audio-2\",URI=\"3-1/audio-2/index.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2700000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"720p\"
3-1/720p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,AVERAGE-BANDWIDTH=720000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"360p\"
3-1/360p/index.m3u8
";
        assert_eq!(render(&variants, &[audio, described]), expected);
    }

    #[test]
    fn video_alone_names_no_audio_group_and_audio_alone_no_picture() {
        let video = Variant {
            codecs: vec!["hvc1.2.4.L123.B0".into()],
            video_range: Some(VideoRange::Pq),
            audio_group: None,
            ..variant("source", 8_000_000, (1920, 1080))
        };
        let audio = Variant {
            codecs: vec!["mp4a.40.2".into()],
            resolution: None,
            frame_rate: None,
            audio_group: None,
            ..variant("audio", 140_000, (0, 0))
        };
        let text = render(&[video, audio], &[]);
        let lines: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(
            lines[0],
            "#EXT-X-STREAM-INF:BANDWIDTH=8000000,AVERAGE-BANDWIDTH=7200000,CODECS=\"hvc1.2.4.L123.B0\",RESOLUTION=1920x1080,FRAME-RATE=29.970,VIDEO-RANGE=PQ,CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"source\""
        );
        assert_eq!(
            lines[2],
            "#EXT-X-STREAM-INF:BANDWIDTH=140000,AVERAGE-BANDWIDTH=126000,CODECS=\"mp4a.40.2\",CLOSED-CAPTIONS=NONE,STABLE-VARIANT-ID=\"audio\""
        );
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn what_a_source_calls_its_language_cannot_break_the_playlist() {
        for (language, listed) in [
            (Some("en\"\r\n#EXT-X-ENDLIST"), true),
            (Some("und"), false),
            (Some("\n"), false),
            (None, false),
        ] {
            let rendition = AudioRendition {
                uri: "a/index.m3u8".into(),
                group: "audio".into(),
                name: "Default".into(),
                stable_id: "audio".into(),
                language: language.map(Into::into),
                characteristics: None,
                default: true,
                autoselect: true,
                channels: 1,
            };
            let text = render(&[], &[rendition]);
            assert_eq!(text.lines().count(), 4, "{text}");
            assert_eq!(text.contains(",LANGUAGE=\""), listed, "{text}");
        }
    }
}
