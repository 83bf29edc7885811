//! OBS Studio itself, on a virtual display, from a profile as its wizard leaves it: its key frames are
//! 8.3 s apart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails; these lints spare the functions marked #[test] alone"
)]

#[expect(dead_code, reason = "tests/server.rs needs the rest")]
#[path = "server/harness.rs"]
mod harness;
#[expect(dead_code, reason = "tests/server.rs needs the rest")]
#[path = "server/media.rs"]
mod media;
#[path = "obs/obs.rs"]
mod obs;
#[expect(dead_code, reason = "tests/server.rs needs the rest")]
#[path = "server/player.rs"]
mod player;

use harness::{Server, open_stream};
use obs::Obs;
use player::Master;

#[test]
fn obs_with_its_default_key_frame_interval_plays_for_ten_seconds_in_every_rung() {
    let server = Server::start(&open_stream("obs", ""));
    let obs = Obs::start(&format!("srt://{}?mode=caller&streamid=obs", server.srt));
    let Some(status) = harness::try_until(60, || {
        Some(server.status("obs")).filter(|status| status["phase"] == "live")
    }) else {
        panic!("{:#}\n{}", server.status("obs"), obs.log());
    };
    let source = status["source"].as_str().unwrap();
    assert!(source.contains("H.264 640x360 30.000 fps, AAC 48000 Hz"), "{source}");
    let master = Master::of(&server, "obs", 5);
    let followed = master.follow(&server, |it| it.segments.len() >= 5);
    media::assert_whole(&master, &followed);
    for rendition in &followed {
        assert!(rendition.segments.iter().all(|it| !it.discontinuity), "{}", rendition.name());
    }
    assert_eq!(server.status("obs")["phase"], "live", "{}", obs.log());
}
