//! Streams of real muxers, read by us and by ffprobe.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use nowcast_media::{AacConfig, AudioFrame, Language, MediaTime, VideoCodec};
use nowcast_mpegts::{AudioKind, AudioTrack, Demuxer, Event};
use nowcast_testkit::tools::{ffmpeg, ffprobe, run};
use nowcast_testkit::ts::PACKET;

/// Bytes of an ADTS header, which ffprobe counts and we take off.
const ADTS: usize = 7;

/// A frame as both sides see it: pts, dts, bytes.
type Frame = (i64, i64, usize);

fn demux(stream: &[u8]) -> (Vec<Event>, Demuxer) {
    let mut demuxer = Demuxer::new();
    let mut events = Vec::new();
    for chunk in stream.chunks(1316) {
        demuxer.push(chunk, Duration::ZERO);
        events.extend(std::iter::from_fn(|| demuxer.poll_event()));
    }
    demuxer.finish();
    events.extend(std::iter::from_fn(|| demuxer.poll_event()));
    (events, demuxer)
}

/// Pictures and audio frames, on a clock that starts with the first picture.
fn ours(events: &[Event]) -> [Vec<Frame>; 2] {
    let mut frames = [Vec::new(), Vec::new()];
    for event in events {
        match event {
            Event::Video(unit) => {
                frames[0].push((unit.pts.ticks(), unit.dts.ticks(), unit.data.len()));
            }
            Event::Audio(_, frame) => {
                let pts = frame.pts.ticks();
                frames[1].push((pts, pts, frame.data.len() + ADTS));
            }
            _ => {}
        }
    }
    from_zero(frames)
}

/// One audio track that the map says nothing of.
fn undefined(pid: u16) -> Vec<AudioTrack> {
    vec![AudioTrack { pid, language: None, kind: AudioKind::Undefined }]
}

fn theirs(stream: &[u8]) -> [Vec<Frame>; 2] {
    let mut frames = [Vec::new(), Vec::new()];
    let (mut track, mut frame) = (0, (0, 0, 0));
    for (key, value) in ffprobe("-f mpegts -show_packets", stream) {
        match key.as_str() {
            "codec_type" => track = usize::from(value == "audio"),
            "pts" => frame.0 = value.parse().unwrap(),
            "dts" => frame.1 = value.parse().unwrap(),
            "size" => {
                frame.2 = value.parse().unwrap();
                frames[track].push(frame);
            }
            _ => {}
        }
    }
    from_zero(frames)
}

fn from_zero(mut frames: [Vec<Frame>; 2]) -> [Vec<Frame>; 2] {
    let zero = frames.iter().flatten().next().map_or(0, |frame| frame.1);
    for frame in frames.iter_mut().flatten() {
        frame.0 -= zero;
        frame.1 -= zero;
    }
    frames
}

/// Every frame of the stream is found where ffprobe finds it, and the stream is found faultless.
fn check(name: &str, stream: &[u8]) -> Vec<Event> {
    let (events, demuxer) = demux(stream);
    let (ours, theirs) = (ours(&events), theirs(stream));
    for (track, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours.len(), theirs.len(), "{name}: frames of track {track}");
        for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            // ffprobe derives the times inside a PES of audio from rounded durations.
            let tolerance = if track == 0 { 0 } else { 12 };
            let near = |ours: i64, theirs: i64| (ours - theirs).abs() <= tolerance;
            // ffprobe counts the zero before an HEVC start code to the picture before it.
            let as_long = ours.2.abs_diff(theirs.2) <= usize::from(name.contains("HEVC"));
            assert!(
                near(ours.0, theirs.0) && near(ours.1, theirs.1) && as_long,
                "{name}: frame {index} of track {track}: {ours:?}, {theirs:?}"
            );
        }
    }
    let health = demuxer.health();
    assert_eq!(
        (health.continuity_errors, health.damaged_packets, health.skipped_pictures),
        (0, 0, 0),
        "{name}"
    );
    assert!(!events.contains(&Event::Epoch), "{name}");
    let formats = events.iter().filter(|event| matches!(event, Event::VideoFormat(..))).count();
    assert!(formats <= 1, "{name}: {formats} formats");
    events
}

/// How many pictures were handed on only when the packet came that begins the next one.
fn late_pictures(stream: &[u8], video_pid: u16) -> usize {
    let mut demuxer = Demuxer::new();
    let mut late = 0;
    for packet in stream.chunks(PACKET) {
        demuxer.push(packet, Duration::ZERO);
        let head = u16::from_be_bytes([packet[1], packet[2]]);
        let begins = head & 0x4000 != 0 && head & 0x1fff == video_pid;
        // A picture that fits one packet begins and ends with it.
        late += std::iter::from_fn(|| demuxer.poll_event())
            .filter(
                |event| matches!(event, Event::Video(unit) if begins && unit.data.len() > PACKET),
            )
            .count();
    }
    late
}

fn source(rate: &str, sample_rate: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=size=320x240:rate={rate} -f lavfi -i sine=sample_rate={sample_rate} -t 3"
    )
}

const X264: &str = "-c:v libx264 -preset veryfast -bf 2 -g 30 -b:v 800k";
const X265: &str = "-c:v libx265 -preset ultrafast -bf 3 -g 30 -x265-params log-level=none";

#[test]
fn every_frame_of_ffmpegs_streams_is_found_with_its_times() {
    for (name, rate, sample_rate, options) in [
        ("H.264 at 30", "30", 48_000, X264),
        ("H.264 at 29.97, 44.1 kHz", "30000/1001", 44_100, X264),
        ("H.264 at 5", "5", 48_000, X264),
        ("HEVC at 59.94", "60000/1001", 48_000, X265),
        (
            "audio in single frames",
            "25",
            48_000,
            "-c:v libx264 -preset ultrafast -pes_payload_size 1",
        ),
        ("slow audio in large PES", "25", 22_050, "-c:v libx264 -preset ultrafast -b:a 24k"),
    ] {
        let stream = ffmpeg(&format!("{} {options} -c:a aac -f mpegts", source(rate, sample_rate)));
        let events = check(name, &stream);
        let codec = if options == X265 { VideoCodec::Hevc } else { VideoCodec::H264 };
        assert_eq!(events[0], Event::Tracks { video: Some(codec), audio: undefined(257) });
        // Those that prove the muxer's habit, and those that fill their last packet exactly.
        let late = late_pictures(&stream, 256);
        assert!(late < 4 + events.len() / 100, "{name}: {late} pictures came late");
    }
}

#[test]
fn every_frame_of_gstreamers_streams_is_found_with_its_times() {
    let audio =
        "audiotestsrc num-buffers=140 samplesperbuffer=1024 ! avenc_aac ! aacparse ! queue ! m.";
    for (name, encoder) in [
        ("H.264", "x264enc key-int-max=30 bframes=2 ! h264parse"),
        ("HEVC", "x265enc key-int-max=30 speed-preset=ultrafast log-level=none ! h265parse"),
    ] {
        let video =
            "videotestsrc num-buffers=90 ! video/x-raw,width=320,height=240,framerate=30000/1001";
        let pipeline =
            format!("-q {video} ! {encoder} ! queue ! mpegtsmux name=m ! fdsink {audio}");
        let stream = run("gst-launch-1.0", &pipeline, &[]);
        let events = check(name, &stream);
        let late = late_pictures(&stream, 65);
        assert!(late < 4 + events.len() / 100, "{name}: {late} pictures came late");
    }
}

#[test]
fn the_33_bit_wrap_is_no_jump() {
    let stream = ffmpeg(&format!(
        "{} {X264} -c:a aac -output_ts_offset 95441 -f mpegts",
        source("30", 48_000)
    ));
    check("wrap", &stream);
}

#[test]
fn either_track_alone_is_a_stream() {
    let video = ffmpeg(&format!("{} {X264} -an -f mpegts", source("30", 48_000)));
    assert_eq!(
        check("video", &video)[0],
        Event::Tracks { video: Some(VideoCodec::H264), audio: vec![] }
    );
    let audio = ffmpeg(&format!("{} -vn -c:a aac -f mpegts", source("30", 48_000)));
    assert_eq!(check("audio", &audio)[0], Event::Tracks { video: None, audio: undefined(256) });
}

#[test]
fn every_audio_track_is_carried_under_its_language() {
    let stream = ffmpeg(&format!(
        "{} -f lavfi -i sine=220:sample_rate=44100 -map 0 -map 1 -map 2 -shortest {X264} -c:a aac \
         -metadata:s:a:0 language=eng -metadata:s:a:1 language=ger \
         -disposition:a:1 visual_impaired -f mpegts",
        source("30", 48_000)
    ));
    let (events, _) = demux(&stream);
    let track = |pid, tag, kind| {
        let language = Language::from_iso_639_2(tag);
        AudioTrack { pid, language, kind }
    };
    let audio = vec![
        track(257, *b"eng", AudioKind::Undefined),
        track(258, *b"deu", AudioKind::VisualImpairedCommentary),
    ];
    assert_eq!(events[0], Event::Tracks { video: Some(VideoCodec::H264), audio });
    for (pid, sample_rate) in [(257, 48_000), (258, 44_100)] {
        let format = AacConfig { object_type: 2, sample_rate, channels: 1 };
        assert!(events.contains(&Event::AudioFormat(pid, format)), "PID {pid}");
        let frames: Vec<&AudioFrame> = events
            .iter()
            .filter_map(|event| match event {
                Event::Audio(of, frame) if *of == pid => Some(frame),
                _ => None,
            })
            .collect();
        let (first, last) = (frames[0].pts, frames[frames.len() - 1].pts);
        let counted = MediaTime::from_scale(
            (frames.len() as i64 - 1) * 1024,
            sample_rate.try_into().unwrap(),
        );
        assert!((last - first - counted).ticks().abs() <= 2, "PID {pid}: a frame is missing");
        assert!(frames.len() * 10_240 >= 29 * sample_rate as usize, "PID {pid}: {}", frames.len());
    }
}

#[test]
fn of_several_programs_the_first_with_video_is_taken() {
    let stream = ffmpeg(&format!(
        "{} -map 1:a -map 0:v -map 1:a -c:v libx264 -preset ultrafast -g 30 -c:a aac -b:a 96k \
         -program program_num=1:st=0 -program program_num=2:st=1:st=2 -f mpegts",
        source("30", 48_000)
    ));
    let (events, _) = demux(&stream);
    let [video, audio] = ours(&events);
    assert_eq!(events[0], Event::Tracks { video: Some(VideoCodec::H264), audio: undefined(258) });
    assert_eq!(video.len(), 90);
    assert!((140..145).contains(&audio.len()), "{}", audio.len());
}

#[test]
fn audio_that_cannot_be_carried_is_named_and_the_picture_goes_on() {
    for (options, expected) in [
        (
            "-c:a mp2",
            "MPEG audio (MP2 or MP3) on PID 257 cannot be carried; set the encoder's audio to AAC in ADTS",
        ),
        (
            "-c:a aac -mpegts_flags latm",
            "AAC in LATM on PID 257 cannot be carried; set the encoder's audio to AAC in ADTS",
        ),
        ("-c:a ac3", "AC-3 on PID 257 cannot be carried; set the encoder's audio to AAC in ADTS"),
        (
            "-c:a libopus",
            "Opus on PID 257 cannot be carried; set the encoder's audio to AAC in ADTS",
        ),
    ] {
        let stream = ffmpeg(&format!("{} {X264} {options} -f mpegts", source("30", 48_000)));
        let (events, _) = demux(&stream);
        let told: Vec<&Event> =
            events.iter().filter(|event| matches!(event, Event::Unsupported(_))).collect();
        assert_eq!(told, [&Event::Unsupported(expected.to_owned())]);
        assert_eq!(ours(&events)[0].len(), 90, "{options}");
    }
    let stream = ffmpeg(&format!("{} -c:v mpeg2video -c:a aac -f mpegts", source("30", 48_000)));
    let (events, _) = demux(&stream);
    assert_eq!(events[0], Event::Tracks { video: None, audio: undefined(257) });
    assert_eq!(
        events[1],
        Event::Unsupported(
            "MPEG-2 video on PID 256 cannot be carried; set the encoder's video to H.264 or HEVC"
                .to_owned()
        )
    );
}
