//! One generation of a 60 s playlist of 200 ms parts: what every part costs each rendition once.

#![expect(clippy::expect_used, reason = "a bench may panic")]

use nowcast_hls::{MediaPlaylist, PartInfo, Profile, Rendered, RenditionReport};
use nowcast_media::{FrameRate, Grid, MediaTime};

fn main() {
    divan::main();
}

fn hour_old_playlist() -> MediaPlaylist {
    let rate = FrameRate::new(30, 1).expect("a rate");
    let grid = Grid::new(rate, MediaTime::from_millis(200), MediaTime::from_millis(2000));
    let profile = Profile::new(&grid, MediaTime::from_millis(60_000));
    let mut playlist = MediaPlaylist::new(profile, MediaTime::TIMESCALE, 0);
    let mut number = 0;
    for msn in 0..1800 {
        playlist.begin_segment(1_795_996_799_040 + msn * 2000, "init-0123456789abcdef.mp4", false);
        for part in 0..10 {
            let independent = part == 0;
            playlist.add_part(PartInfo { number, duration: 18_000, independent, gap: false });
            number += 1;
        }
        if msn < 1799 {
            playlist.end_segment();
            playlist.evict();
        }
    }
    playlist
}

#[divan::bench]
fn render(bencher: divan::Bencher<'_, '_>) {
    let playlist = hour_old_playlist();
    let reports = ["../480p/index.m3u8", "../360p/index.m3u8", "../audio/index.m3u8"]
        .map(|uri| RenditionReport { uri, last_msn: 1799, last_part: 9 });
    bencher.bench(|| -> Rendered { playlist.render(divan::black_box(&reports)) });
}
