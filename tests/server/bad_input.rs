//! What can arrive wrong: each ends in a sentence that helps or in a stream that plays, and the stream
//! beside it keeps its cadence.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::harness::{Server, clips, open_stream};
use super::media::assert_whole;
use super::player::Master;
use super::source::{AAC, H264, Sender, clip, made, usual};

const PASSTHROUGH: &str = "mode = \"passthrough\"";

/// Runs a scenario beside a stream that must not notice.
fn beside_another(streams: &[(&str, &str)], scenario: impl FnOnce(&Server)) {
    let others: String = streams.iter().map(|(name, keys)| open_stream(name, keys)).collect();
    let server = Server::start(&(open_stream("other", PASSTHROUGH) + &others));
    let _sender = Sender::bytes(&server, "other", &usual());
    let master = Master::of(&server, "other", 20);
    let over = AtomicBool::new(false);
    let followed = thread::scope(|scope| {
        let player = scope.spawn(|| {
            master.follow(&server, |it| over.load(Ordering::Relaxed) && it.segments.len() >= 3)
        });
        // Also when the scenario fails: else its player would go on for ever.
        let end = Ending(&over);
        scenario(&server);
        drop(end);
        player.join().expect("the other stream is whole")
    });
    for rendition in &followed {
        let wait = rendition.longest_wait;
        assert!(wait < Duration::from_millis(2000), "{} waited {wait:?}", rendition.name());
        assert!(rendition.segments.iter().all(|it| !it.discontinuity), "{}", rendition.name());
    }
    assert_whole(&master, &followed);
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn problem(server: &Server, stream: &str) -> String {
    let status = server.await_status(stream, 20, |status| status["problem"].is_string());
    status["problem"].as_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_carried_is_named_with_a_remedy() {
    let streams = ["audio-only", "mpeg2", "latm", "garbage", "no-key"];
    let streams = streams.map(|name| (name, PASSTHROUGH));
    let quarter = "size=320x180:rate=30";
    let audio_only = clip("audio-only", "", "sample_rate=48000", 40, AAC);
    let mpeg2 = clip("mpeg2", quarter, "", 40, "-c:v mpeg2video -g 30 -b:v 1M");
    let latm =
        clip("latm", quarter, "sample_rate=48000", 40, &format!("{H264} {AAC} -mpegts_flags latm"));
    let long =
        clip("gop-999", quarter, "", 40, "-c:v libx264 -preset ultrafast -g 999 -pix_fmt yuv420p");
    let cut = format!("-i {} -c copy -bsf:v noise=drop=key:amount=0", long.display());
    let no_key = made("no-key", &cut);
    beside_another(&streams, |server| {
        let _senders = [
            ("audio-only", audio_only),
            ("mpeg2", mpeg2),
            ("latm", latm.clone()),
            ("no-key", no_key),
        ]
        .map(|(name, clip)| Sender::bytes(server, name, &clip));
        let _garbage = Garbage::start(server, "garbage");
        for (name, words) in [
            ("audio-only", ["no video", "H.264"]),
            ("mpeg2", ["MPEG-2", "H.264"]),
            ("no-key", ["no key frame", "2 s"]),
        ] {
            let problem = problem(server, name);
            assert!(words.iter().all(|word| problem.contains(word)), "{name}: {problem}");
            let status = server.await_phase(name, "unsupported", 15);
            assert!(status["problem"].is_string(), "{status:#}");
            assert_eq!(server.get(&format!("/live/{name}/index.m3u8")).status, 503, "{name}");
        }
        // What is no MPEG-TS at all is hung up on; its sender may call again.
        server.await_log("garbage", "what it sends is no MPEG-TS; set the publisher's format");
        assert_eq!(server.get("/live/garbage/index.m3u8").status, 503);
        // The picture of a source whose sound is refused goes on alone, and the refusal stays to be read.
        assert!(Master::of(server, "latm", 10).audio.is_empty());
        let problem = problem(server, "latm");
        assert!(problem.contains("LATM") && problem.contains("ADTS"), "{problem}");
    });
}

/// Bytes over SRT that are nothing at all.
struct Garbage(std::process::Child);

impl Garbage {
    fn start(server: &Server, stream: &str) -> Self {
        let mut child = Command::new("srt-live-transmit")
            .args(["-q", "file://con"])
            .arg(server.publish_url(stream).replace("&pkt_size=1316", ""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("srt-live-transmit is installed: ./x setup");
        let mut stdin = child.stdin.take().unwrap();
        thread::spawn(move || {
            let mut random = Random(7);
            loop {
                let chunk: Vec<u8> = (0..1316).map(|_| random.byte()).collect();
                if stdin.write_all(&chunk).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self(child)
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }
}

#[test]
fn odd_pictures_are_transcoded() {
    let cases = [
        ("portrait", "size=360x640:rate=30", "", ["360x640", "30.000"]),
        ("small", "size=426x240:rate=25", "", ["426x240", "25.000"]),
        ("slow", "size=320x180:rate=5", "-g 5", ["320x180", "5.000"]),
        (
            "variable",
            "size=320x180:rate=30",
            "-vf select=not(mod(n\\,5))+gt(mod(n\\,60)\\,30) -fps_mode vfr",
            ["320x180", ""],
        ),
    ];
    beside_another(&cases.each_ref().map(|case| (case.0, "")), |server| {
        let _senders = cases.each_ref().map(|(name, video, options, _)| {
            let clip = clip(name, video, "", 40, &format!("{H264} {options}"));
            Sender::ffmpeg(server, name, &clip)
        });
        for (name, _, _, [size, rate]) in &cases {
            let master = Master::of(server, name, 25);
            assert!(master.audio.is_empty(), "{name} has no sound");
            let [variant] = master.variants.as_slice() else { panic!("{name}: one rung") };
            assert_eq!(variant.get("RESOLUTION"), *size, "{name}");
            assert!(variant.get("FRAME-RATE").starts_with(rate), "{name}: {variant:?}");
            let followed = master.follow(server, |it| it.segments.len() >= 2);
            assert_whole(&master, &followed);
            assert_eq!(server.status(name)["phase"], "live", "{name}");
        }
    });
}

#[test]
fn damage_and_odd_clocks_do_not_stop_a_stream() {
    let modes =
        [("damaged", PASSTHROUGH), ("damaged-too", ""), ("wrap", PASSTHROUGH), ("mono", "")];
    let wrap = clip(
        "wrap",
        "size=320x180:rate=30",
        "sample_rate=48000",
        40,
        &format!("{H264} {AAC} -output_ts_offset 95436"),
    );
    let mono = clip(
        "mono",
        "size=320x180:rate=30",
        "sample_rate=44100",
        40,
        &format!("{H264} {AAC} -ac 1 -ar 44100"),
    );
    beside_another(&modes, |server| {
        let clips = [damaged(), damaged(), wrap, mono];
        let _senders: Vec<_> = std::iter::zip(modes, clips)
            .map(|((name, _), clip)| Sender::bytes(server, name, &clip))
            .collect();
        for name in ["wrap", "mono"] {
            let master = Master::of(server, name, 20);
            let followed = master.follow(server, |it| it.segments.len() >= 4);
            assert_whole(&master, &followed);
            let smooth = followed.iter().flat_map(|it| &it.segments).all(|it| !it.discontinuity);
            assert!(smooth, "{name}: a discontinuity");
        }
        for name in ["damaged", "damaged-too"] {
            let master = Master::of(server, name, 20);
            master.follow(server, |it| it.segments.len() >= 4);
            let health = &server.status(name)["ingest"];
            let seen = health["continuity_errors"].as_u64() > Some(0)
                || health["damaged_packets"].as_u64() > Some(0);
            assert!(seen, "{name}: {health}");
        }
    });
}

/// The usual clip with one byte in 20,000 changed, and cut off in the middle of a packet.
fn damaged() -> PathBuf {
    let file = clips().join("server-damaged.ts");
    let mut bytes = std::fs::read(usual()).unwrap();
    let mut random = Random(1);
    for byte in &mut bytes {
        if random.next().is_multiple_of(20_000) {
            *byte = random.byte();
        }
    }
    bytes.truncate(bytes.len() - 100);
    std::fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn where_the_sound_stops_silence_takes_its_place() {
    let modes = [("a", ""), ("p", PASSTHROUGH)];
    let inputs =
        "-f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -t 5 -i sine=sample_rate=48000";
    let clip = made("mute", &format!("{inputs} -t 40 {H264} {AAC}"));
    beside_another(&modes, |server| {
        let _senders = modes.map(|(name, _)| Sender::bytes(server, name, &clip));
        for (name, _) in modes {
            let master = Master::of(server, name, 20);
            let followed = master.follow(server, |it| it.segments.len() >= 5);
            assert_whole(&master, &followed);
            assert_eq!(server.status(name)["phase"], "live");
        }
    });
}

#[test]
fn ultra_hd_plays_or_is_complained_of() {
    let uhd = clip("uhd", "size=3840x2160:rate=30", "", 4, H264);
    beside_another(&[("uhd", ""), ("uhd-source", PASSTHROUGH)], |server| {
        let _sender = Sender::bytes(server, "uhd-source", &uhd);
        let master = Master::of(server, "uhd-source", 20);
        assert_eq!(master.variants[0].get("RESOLUTION"), "3840x2160");
        let _sender = Sender::bytes(server, "uhd", &uhd);
        let status = server.await_status("uhd", 30, |status| {
            status["phase"] == "live" || status["problem"].is_string()
        });
        if let Some(problem) = status["problem"].as_str() {
            assert!(problem.contains("smaller ladder"), "{problem}");
        }
    });
}

#[test]
fn a_stream_too_many_is_refused_with_a_sentence_and_the_first_plays_on() {
    // Of a ladder and a worker, one fits.
    let limits = "[limits]\nmemory = \"250MB\"\n";
    let server =
        Server::start(&(limits.to_owned() + &open_stream("a", "") + &open_stream("b", "")));
    let _first = Sender::bytes(&server, "a", &usual());
    server.await_phase("a", "live", 20);
    Sender::bytes(&server, "b", &usual()).assert_refused();
    let why = problem(&server, "b");
    assert!(why.contains("[limits] memory allows"), "{why}");
    server.await_log("1402", "[limits] memory");
    assert_eq!(server.status("b")["phase"], "idle");
    let parts = |status: &serde_json::Value| status["renditions"][0]["parts"].as_u64().unwrap();
    let before = parts(&server.status("a"));
    server.await_status("a", 10, |status| status["phase"] == "live" && parts(status) > before + 5);
}
