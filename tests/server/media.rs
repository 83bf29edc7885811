//! What the bytes of followed renditions must be, by the word of mp4-atom and ffprobe.

use mp4_atom::{Any, Decode, Moof};
use nowcast_testkit::tools::ffprobe;

use super::player::{Followed, Master, Variant};

/// Decode times and samples of a part.
struct Part {
    start: u64,
    end: u64,
    samples: usize,
    /// It holds a sync sample.
    sync: bool,
    /// Its first sample is shown so much later than decoded.
    delay: i64,
    /// The NAL units of its first sample begin so, if it is video.
    units: Vec<u8>,
    /// Unix time of its first sample in milliseconds, by `prft`.
    produced: Option<i64>,
}

/// Every check that holds for a stream that is whole, whatever its mode.
pub(crate) fn assert_whole(master: &Master, followed: &[Followed<'_>]) {
    let (videos, audio) = followed.split_at(master.variants.len());
    for (variant, video) in master.variants.iter().zip(videos) {
        let packets = packets(video);
        assert_declared(variant, video, audio.first(), &packets);
        assert_bandwidth(variant, Some(video), audio);
    }
    assert_eq!(master.sound_only.is_some(), !audio.is_empty(), "one variant has no picture");
    if let Some(variant) = &master.sound_only {
        assert_eq!(variant.get("CODECS"), "mp4a.40.2");
        assert_eq!(variant.path, master.audio[0].path, "it is the sound that plays unasked");
        assert_bandwidth(variant, None, audio);
    }
    for audio in audio {
        packets_of_audio(audio);
        assert_aligned(videos, Some(audio));
    }
    assert_aligned(videos, None);
    assert_in_step(followed);
}

/// Where each part begins, in the track's timescale: segment by segment.
fn starts(rendition: &Followed<'_>) -> Vec<(u64, Vec<u64>)> {
    let parts = |it: &[super::player::Part]| it.iter().map(|it| read(&it.bytes).start).collect();
    rendition.segments.iter().map(|it| (it.msn, parts(&it.parts))).collect()
}

/// Where the media of a rendition begins and ends, in the track's timescale.
pub(crate) fn span(rendition: &Followed<'_>) -> (u64, u64) {
    let mut parts = rendition.segments.iter().flat_map(|segment| &segment.parts);
    let first = read(&parts.next().expect("a part").bytes);
    let last = parts.next_back().map_or(first.end, |part| read(&part.bytes).end);
    (first.start, last)
}

/// The longest time between the end of a part and the start of the next, in seconds of a video track.
pub(crate) fn longest_gap(video: &Followed<'_>) -> f64 {
    let parts = video.segments.iter().flat_map(|segment| &segment.parts);
    let spans: Vec<_> = parts.map(|part| read(&part.bytes)).collect();
    let gaps = spans.windows(2).map(|pair| pair[1].start.abs_diff(pair[0].end));
    gaps.max().unwrap_or(0) as f64 / 90_000.0
}

/// The boxes of a part, all of them.
fn read(bytes: &[u8]) -> Part {
    let mut rest = bytes;
    let mut moof: Option<Moof> = None;
    let (mut media, mut produced) = (Vec::new(), None);
    while !rest.is_empty() {
        match Any::decode(&mut rest).expect("a box") {
            Any::Moof(one) => assert!(moof.replace(one).is_none(), "two moofs in a part"),
            Any::Mdat(mdat) => media.extend(mdat.data),
            Any::Prft(prft) => {
                // From 1900, in units of 2^-32 s.
                let millis = (i128::from(prft.ntp_timestamp) * 1000 + (1 << 31)) >> 32;
                produced = i64::try_from(millis).ok().map(|millis| millis - 2_208_988_800_000);
            }
            Any::Styp(_) | Any::Emsg(_) => {}
            other => panic!("{other:?} in a part"),
        }
    }
    let moof = moof.expect("a moof");
    let [track] = moof.traf.as_slice() else { panic!("one track") };
    let samples: Vec<_> = track.trun.iter().flat_map(|trun| trun.samples.iter()).collect();
    let sizes: u32 = samples.iter().map(|it| it.size.expect("a size")).sum();
    assert_eq!(sizes as usize, media.len(), "samples fill the media data");
    let start = track.tfdt.as_ref().expect("a decode time").base_media_decode_time;
    let default = track.tfhd.default_sample_duration;
    let durations = samples.iter().map(|it| it.duration.or(default).expect("a duration"));
    let end = start + durations.map(u64::from).sum::<u64>();
    let flags = |it: &mp4_atom::TrunEntry| it.flags.or(track.tfhd.default_sample_flags);
    let first = samples.first().expect("a sample");
    Part {
        start,
        end,
        samples: samples.len(),
        sync: samples.iter().any(|it| flags(it).expect("flags") & 0x1_0000 == 0),
        delay: first.cts.unwrap_or(0),
        units: nal_headers(&media[..first.size.unwrap_or(0) as usize]),
        produced,
    }
}

/// The first byte of each NAL unit of a sample with four-byte lengths.
fn nal_headers(mut sample: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    while let Some((length, rest)) = sample.split_first_chunk::<4>() {
        let Some((unit, next)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            break;
        };
        headers.extend(unit.first());
        sample = next;
    }
    headers
}

/// What the playlist says of each part is what its bytes say, and one can be read by itself. Answers
/// by segment at which date, in milliseconds, the media time would be zero.
fn assert_parts(rendition: &Followed<'_>) -> Vec<(u64, f64)> {
    let name = rendition.name();
    let probe = ffprobe("-show_streams", &file(rendition));
    let codec = find(&probe, "codec_name");
    let scale =
        if codec == "aac" { find(&probe, "sample_rate").parse().unwrap() } else { 90_000.0 };
    let millis = |ticks: u64| ticks as f64 * 1000.0 / scale;
    let (mut end, mut zeros) = (None, Vec::new());
    for segment in rendition.segments.iter().filter(|segment| !segment.parts.is_empty()) {
        let parts: Vec<_> = segment.parts.iter().map(|part| read(&part.bytes)).collect();
        let zero = segment.date as f64 - millis(parts[0].start);
        zeros.push((segment.msn, zero));
        for (index, (listed, part)) in segment.parts.iter().zip(&parts).enumerate() {
            let place = format!("{name} {}/{index}", segment.msn);
            assert_eq!(listed.independent, part.sync, "{place}: INDEPENDENT is a sync sample");
            let follows = end.is_none_or(|end| end == part.start);
            assert!(follows || (segment.discontinuity && index == 0), "{place}: a hole before it");
            end = Some(part.end);
            let produced = part.produced.expect("prft") as f64;
            let listed_at = zero + millis(part.start);
            assert!((produced - listed_at).abs() <= 2.0, "{place}: {produced}, not {listed_at}");
        }
        // IDR (H.264 §7.4.1), IRAP (H.265 §7.4.2.2).
        let random_access = |unit: &u8| match codec {
            "h264" => unit & 31 == 5,
            _ => (16..=21).contains(&(unit >> 1 & 63)),
        };
        let whole = parts[0].sync && parts[0].delay == 0;
        let begins = codec == "aac" || parts[0].units.iter().any(random_access);
        assert!(whole && begins, "{name} {}: it begins with a picture to start at", segment.msn);
    }
    let last = rendition.segments.iter().rfind(|segment| !segment.parts.is_empty()).unwrap();
    let part = &last.parts.last().unwrap().bytes;
    let alone = [&rendition.inits[&last.init][..], part].concat();
    let packets = ffprobe("-count_packets -show_streams", &alone);
    assert_eq!(find(&packets, "nb_read_packets"), read(part).samples.to_string(), "{name}: alone");
    zeros
}

/// Every rendition makes the same promises, and its dates mean the same media time.
fn assert_in_step(followed: &[Followed<'_>]) {
    let zeros: Vec<_> = followed.iter().map(assert_parts).collect();
    for (other, dates) in followed.iter().zip(&zeros) {
        assert_eq!(other.playlist.head, followed[0].playlist.head, "{}", other.name());
        for (msn, zero) in dates {
            let same = zeros[0].iter().find(|(of, _)| of == msn);
            let apart = same.map_or(0.0, |(_, video)| (zero - video).abs());
            assert!(apart <= 1.01, "{} {msn}: its date is {apart} ms off", other.name());
        }
    }
}

/// A rendition as one file: its init section and all segments under it.
fn file(rendition: &Followed<'_>) -> Vec<u8> {
    let first = &rendition.segments.first().expect("a segment").init;
    let mut bytes = rendition.inits[first].clone();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        Any::decode(&mut rest).expect("a box of the init section");
    }
    for segment in rendition.segments.iter().take_while(|it| it.init == *first) {
        bytes.extend(&segment.bytes);
    }
    bytes
}

fn samples(rendition: &Followed<'_>) -> usize {
    let parts = rendition.segments.iter().flat_map(|segment| &segment.parts);
    parts.map(|part| read(&part.bytes).samples).sum()
}

/// ffprobe's view of the video; every frame can be decoded.
fn packets(video: &Followed<'_>) -> Vec<(String, String)> {
    let probe = ffprobe("-count_frames -show_streams", &file(video));
    let one_init = video.inits.len() == 1;
    if one_init && video.segments.iter().all(|it| !it.parts.is_empty()) {
        assert_eq!(find(&probe, "nb_read_frames"), samples(video).to_string(), "{}", video.name());
    }
    probe
}

fn packets_of_audio(audio: &Followed<'_>) {
    let probe = ffprobe("-count_packets -show_streams", &file(audio));
    assert_eq!(find(&probe, "nb_read_packets"), samples(audio).to_string());
    assert_eq!(find(&probe, "codec_name"), "aac");
}

fn find<'a>(probe: &'a [(String, String)], key: &str) -> &'a str {
    let pair = probe.iter().find(|(name, _)| name == key);
    pair.map_or_else(|| panic!("no {key} in {probe:?}"), |(_, value)| value)
}

/// CODECS, RESOLUTION and FRAME-RATE are what ffprobe finds.
fn assert_declared(
    variant: &Variant,
    video: &Followed<'_>,
    audio: Option<&Followed<'_>>,
    probe: &[(String, String)],
) {
    let size = format!("{}x{}", find(probe, "width"), find(probe, "height"));
    assert_eq!(variant.get("RESOLUTION"), size, "{}", video.name());
    let (num, den) = find(probe, "r_frame_rate").split_once('/').unwrap();
    let rate = num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap();
    let declared: f64 = variant.get("FRAME-RATE").parse().unwrap();
    assert!((rate - declared).abs() < 0.01, "{declared} is declared where ffprobe has {rate}");
    let mut codecs = variant.get("CODECS").split(',');
    let codec = codecs.next().unwrap();
    let level = find(probe, "level");
    match find(probe, "codec_name") {
        "h264" => {
            let profile = match find(probe, "profile") {
                "Constrained Baseline" | "Baseline" => "42",
                "Main" => "4D",
                "High" => "64",
                other => panic!("{other}"),
            };
            let level = format!("{:02X}", level.parse::<u8>().unwrap());
            let legal = codec.starts_with(&format!("avc1.{profile}")) && codec.ends_with(&level);
            assert!(legal, "{codec} is declared where ffprobe has {profile}, level {level}");
        }
        "hevc" => {
            assert_eq!(find(probe, "codec_tag_string"), "hvc1");
            assert!(codec.starts_with("hvc1.1.") && codec.contains(&format!(".L{level}.")));
        }
        other => panic!("{other}"),
    }
    assert_eq!(codecs.next(), audio.map(|_| "mp4a.40.2"));
}

/// The measured peak is at most 1.25 times, the average at most 1.10 times what is declared.
fn assert_bandwidth(variant: &Variant, video: Option<&Followed<'_>>, audio: &[Followed<'_>]) {
    let bits = |of: &Followed<'_>| {
        let rate = |it: &super::player::Segment| it.bytes.len() as f64 * 8.0 / it.duration;
        // A short last segment is no measure of the peak (RFC 8216bis §4.4.6.2).
        let target = of.playlist.head.target_duration as f64;
        let measured = of.segments.iter().filter(|it| it.duration >= target / 2.0);
        let peak = measured.map(rate).fold(0.0, f64::max);
        let length: f64 = of.segments.iter().map(|it| it.duration).sum();
        let total: usize = of.segments.iter().map(|it| it.bytes.len()).sum();
        (peak, total as f64 * 8.0 / length)
    };
    let video_bits = video.map_or((0.0, 0.0), bits);
    let larger = |a: (f64, f64), b: (f64, f64)| (a.0.max(b.0), a.1.max(b.1));
    let audio_bits = audio.iter().map(bits).fold((0.0, 0.0), larger);
    let (peak, average) = (video_bits.0 + audio_bits.0, video_bits.1 + audio_bits.1);
    let declared = |key| variant.get(key).parse::<f64>().unwrap();
    let name = video.map_or("sound", Followed::name);
    assert!(peak <= 1.25 * declared("BANDWIDTH"), "{name}: peak {peak} {variant:?}");
    assert!(average <= 1.10 * declared("AVERAGE-BANDWIDTH"), "{name}: {average} {variant:?}");
}

/// Rungs cut at the same ticks; the audio's segments begin within one AAC frame of the video's, with the same date.
fn assert_aligned(videos: &[Followed<'_>], audio: Option<&Followed<'_>>) {
    let cuts = starts(&videos[0]);
    for other in &videos[1..] {
        let others = starts(other);
        let common = cuts.iter().filter(|it| others.iter().any(|other| other.0 == it.0)).count();
        assert!(common >= 2, "too little to compare");
        for (msn, ticks) in others {
            let same = cuts.iter().find(|it| it.0 == msn).is_none_or(|it| it.1 == ticks);
            assert!(same, "{} cuts segment {msn} elsewhere", other.name());
        }
    }
    let Some(audio) = audio else { return };
    let rate: f64 = find(&ffprobe("-show_streams", &file(audio)), "sample_rate").parse().unwrap();
    let begin = |starts: &[u64], scale: f64| starts.first().map(|&ticks| ticks as f64 / scale);
    let mut compared = 0;
    for (msn, ticks) in starts(audio) {
        let Some((_, video)) = cuts.iter().find(|it| it.0 == msn) else { continue };
        let (Some(audio_at), Some(video_at)) = (begin(&ticks, rate), begin(video, 90_000.0)) else {
            continue;
        };
        let skew = audio_at - video_at;
        assert!(skew.abs() <= 1024.0 / rate + 1e-6, "segment {msn}: the audio is {skew} s off");
        compared += 1;
    }
    assert!(compared >= 2, "too little to compare");
    for segment in &audio.segments {
        if let Some(video) = videos[0].segments.iter().find(|it| it.msn == segment.msn) {
            let apart = (segment.date - video.date).abs();
            assert!(apart <= 25, "segment {}: dates are {apart} ms apart", segment.msn);
        }
    }
}
