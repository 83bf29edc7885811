//! Both modes from end to end: every generation of every rendition while it is live.

use std::time::{Duration, Instant};

use super::harness::{Server, open_stream};
use super::media::assert_whole;
use super::player::{Followed, Master};
use super::source::{AAC, H264, Sender, clip, made, usual};
use nowcast_testkit::tools::run;

const PASSTHROUGH: &str = "mode = \"passthrough\"";

fn segments(count: usize) -> impl Fn(&Followed<'_>) -> bool {
    move |followed| followed.segments.len() >= count
}

#[test]
fn a_transcoded_stream_is_playable_within_4_s_and_whole_in_every_rung() {
    let server = Server::start(&open_stream("a", ""));
    let clip =
        clip("720p", "size=1280x720:rate=30", "sample_rate=48000", 30, &format!("{H264} {AAC}"));
    let _sender = Sender::ffmpeg(&server, "a", &clip);
    server.await_status("a", 20, |status| !status["source"].is_null());
    let known = Instant::now();
    let master = Master::of(&server, "a", 20);
    let waited = known.elapsed();
    assert!(waited <= Duration::from_secs(4), "playable only after {waited:?}");
    let names: Vec<_> = master.variants.iter().map(|it| it.get("STABLE-VARIANT-ID")).collect();
    assert_eq!(names, ["720p", "480p", "360p"]);
    let followed = master.follow(&server, segments(5));
    assert_eq!(server.status("a")["phase"], "live");
    assert_eq!(followed[0].playlist.head.part_target, 33_334);
    assert_whole(&master, &followed);
}

#[test]
fn passed_through_streams_are_whole_and_cut_at_their_own_key_frames() {
    let streams = ["h264", "hevc", "long"].map(|name| open_stream(name, PASSTHROUGH)).concat();
    let server = Server::start(&streams);
    let h264 = clip(
        "bframes",
        "size=640x360:rate=30000/1001",
        "sample_rate=48000",
        40,
        &format!("-c:v libx264 -preset superfast -pix_fmt yuv420p -g 30 -bf 2 {AAC} -ac 2"),
    );
    let hevc = clip(
        "hevc",
        "size=320x180:rate=25",
        "sample_rate=48000",
        40,
        &format!(
            "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25:bframes=2 {AAC}"
        ),
    );
    let long = clip(
        "gop-8s3",
        "size=320x180:rate=30",
        "sample_rate=48000",
        20,
        &format!(
            "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 250 -keyint_min 250 -sc_threshold 0 {AAC}"
        ),
    );
    let _senders = [("h264", h264), ("hevc", hevc), ("long", long)]
        .map(|(name, clip)| Sender::ffmpeg(&server, name, &clip));
    let refused = server.await_phase("long", "unsupported", 20);
    let problem = refused["problem"].as_str().unwrap();
    assert!(problem.contains("key-frame interval"), "{problem}");
    assert_eq!(server.get("/live/long/index.m3u8").status, 503);
    for name in ["h264", "hevc"] {
        let master = Master::of(&server, name, 20);
        let followed = master.follow(&server, segments(4));
        assert_eq!(server.status(name)["phase"], "live", "{name}");
        assert_whole(&master, &followed);
        assert_eq!(master.variants.len(), 1, "{name}");
    }
}

#[test]
fn part_targets_follow_the_contracts_table() {
    let rates = [
        ("24000/1001", 33_367, 20_855),
        ("24", 33_334, 20_834),
        ("25", 32_000, 20_000),
        ("30000/1001", 33_367, 20_020),
        ("50", 34_000, 20_000),
        ("60000/1001", 33_367, 20_020),
    ];
    let name = |rate: &str, part: &str| format!("r{}-{part}", rate.replace('/', "_"));
    let mut streams = String::new();
    for (rate, ..) in rates {
        for part in ["334", "200"] {
            let keys = format!("{PASSTHROUGH}\npart = \"{part}ms\"");
            streams += &open_stream(&name(rate, part), &keys);
        }
    }
    let server = Server::start(&streams);
    let mut senders = Vec::new();
    for (rate, ..) in rates {
        let file = format!("rate-{}", rate.replace('/', "_"));
        let video = format!("size=160x120:rate={rate}");
        let clip = clip(
            &file,
            &video,
            "",
            30,
            "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 24 -bf 0",
        );
        for part in ["334", "200"] {
            senders.push(Sender::ffmpeg(&server, &name(rate, part), &clip));
        }
    }
    for (rate, longer, shorter) in rates {
        for (part, target) in [("334", longer), ("200", shorter)] {
            let master = Master::of(&server, &name(rate, part), 20);
            let followed = master.follow(&server, segments(1));
            assert_eq!(followed[0].playlist.head.part_target, target, "{rate} {part} ms");
        }
    }
}

#[test]
fn the_usual_stream_keeps_its_cadence_for_a_while() {
    let server = Server::start(&open_stream("a", PASSTHROUGH));
    let _sender = Sender::ffmpeg(&server, "a", &usual());
    let master = Master::of(&server, "a", 20);
    let followed = master.follow(&server, segments(3));
    assert_whole(&master, &followed);
}

#[test]
fn every_audio_track_is_a_rendition_of_its_own_beside_the_picture() {
    let server = Server::start(&(open_stream("t", "") + &open_stream("p", PASSTHROUGH)));
    let tones = "-f lavfi -i sine=440:sample_rate=48000 -f lavfi -i sine=880:sample_rate=44100";
    let clip = made(
        "bilingual",
        &format!(
            "-f lavfi -i testsrc2=size=320x180:rate=30 {tones} -t 40 -map 0 -map 1 -map 2 {H264} {AAC} \
             -ac:a:0 2 -metadata:s:a:0 language=eng -metadata:s:a:1 language=ger"
        ),
    );
    for name in ["t", "p"] {
        let sender = Sender::ffmpeg(&server, name, &clip);
        let master = Master::of(&server, name, 20);
        let [english, german] = master.audio.as_slice() else { panic!("{:?}", master.audio) };
        for (track, (language, label, stable, channels)) in
            [(english, ("en", "English", "audio", "2")), (german, ("de", "German", "audio-2", "1"))]
        {
            assert_eq!((track.get("LANGUAGE"), track.get("NAME")), (language, label));
            assert_eq!((track.get("GROUP-ID"), track.get("AUTOSELECT")), ("audio", "YES"));
            assert_eq!(
                (track.get("STABLE-RENDITION-ID"), track.get("CHANNELS")),
                (stable, channels)
            );
        }
        let followed = master.follow(&server, segments(4));
        assert_whole(&master, &followed);
        // A player that is not ours finds the picture and both tracks, each what the source sent.
        let url = format!("http://{}/live/{name}/index.m3u8", server.http);
        let probe = run("ffprobe", &format!("-v error -show_streams -of flat {url}"), &[]);
        let probe = String::from_utf8_lossy(&probe);
        for found in ["\"h264\"", "\"44100\"", "\"48000\""] {
            assert!(probe.contains(found), "{found} is not in {probe}");
        }
        drop(sender);
    }
}
