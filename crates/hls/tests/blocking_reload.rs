//! Blocking playlist reload, row by row of §6.2.5.2.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use nowcast_hls::DirectiveError::TooFarAhead;
use nowcast_hls::Resolution::{BadRequest, Ready, Wait};
use nowcast_hls::{Directives, Edge, MediaPlaylist, PartInfo, Profile};
use nowcast_media::{FrameRate, Grid, MediaTime};

/// Target duration 2 s, part target 0.5 s: six parts ahead at most. The last segment closed is 8,
/// with three parts; of segment 9 so many parts are listed.
fn playlist(open_parts: u64) -> MediaPlaylist {
    let rate = FrameRate::new(30, 1).unwrap();
    let grid = Grid::new(rate, MediaTime::from_millis(500), MediaTime::from_millis(2000));
    let profile = Profile::new(&grid, MediaTime::from_millis(20_000));
    let mut playlist = MediaPlaylist::new(profile, MediaTime::TIMESCALE, 5);
    let mut number = 0;
    for parts in [4, 4, 4, 3, open_parts] {
        playlist.end_segment();
        playlist.begin_segment(0, "init.mp4", false);
        for _ in 0..parts {
            playlist.add_part(PartInfo { number, duration: 45_000, independent: true, gap: false });
            number += 1;
        }
    }
    playlist
}

fn ask(edge: &Edge, query: &str) -> nowcast_hls::Resolution {
    edge.resolve(&Directives::parse(Some(query)).unwrap())
}

#[test]
fn a_request_is_answered_held_or_refused_as_the_table_says() {
    let edge = playlist(2).edge();
    let refused = BadRequest(TooFarAhead { msn: 9, part: 2 });
    for (query, expected) in [
        // No directive, or none that blocks.
        ("", Ready),
        ("_HLS_skip=YES", Ready),
        // A whole segment.
        ("_HLS_msn=0", Ready), // removed long ago
        ("_HLS_msn=8", Ready),
        ("_HLS_msn=9", Wait), // open: some of its parts are not enough
        ("_HLS_msn=10", Wait),
        ("_HLS_msn=11", refused), // last + 2 is 10
        ("_HLS_msn=18446744073709551615", refused),
        // A part.
        ("_HLS_msn=0&_HLS_part=4294967295", Ready),
        ("_HLS_msn=8&_HLS_part=2", Ready),
        ("_HLS_msn=9&_HLS_part=0", Ready),
        ("_HLS_msn=9&_HLS_part=1", Ready),
        ("_HLS_msn=9&_HLS_part=2", Wait),
        ("_HLS_msn=9&_HLS_part=7", Wait), // six ahead
        ("_HLS_msn=9&_HLS_part=8", refused),
        ("_HLS_msn=10&_HLS_part=0", Wait),
        ("_HLS_msn=10&_HLS_part=5", Wait),
        ("_HLS_msn=10&_HLS_part=6", refused),
        ("_HLS_msn=11&_HLS_part=0", refused),
        ("_HLS_msn=18446744073709551615&_HLS_part=4294967295", refused),
        // Past the end of a closed segment: part 0 of the next.
        ("_HLS_msn=8&_HLS_part=3", Ready),
        ("_HLS_msn=8&_HLS_part=4294967295", Ready),
    ] {
        assert_eq!(ask(&edge, query), expected, "{query}");
    }
    assert_eq!(edge.hold_limit(), Duration::from_secs(6));
}

#[test]
fn a_part_past_a_closed_segment_waits_for_the_next_segments_first() {
    let mut playlist = playlist(0);
    for query in ["_HLS_msn=8&_HLS_part=3", "_HLS_msn=8&_HLS_part=99", "_HLS_msn=9&_HLS_part=0"] {
        assert_eq!(ask(&playlist.edge(), query), Wait, "{query}");
    }
    assert_eq!(playlist.edge().report_position(), Some((8, 2)));
    playlist.add_part(PartInfo { number: 15, duration: 45_000, independent: true, gap: false });
    for query in ["_HLS_msn=8&_HLS_part=3", "_HLS_msn=8&_HLS_part=99", "_HLS_msn=9&_HLS_part=0"] {
        assert_eq!(ask(&playlist.edge(), query), Ready, "{query}");
    }
    assert_eq!(playlist.edge().report_position(), Some((9, 0)));
}

#[test]
fn the_part_after_the_last_waits_when_that_turns_out_to_be_the_last_of_its_segment() {
    let mut playlist = playlist(2);
    assert_eq!(ask(&playlist.edge(), "_HLS_msn=9&_HLS_part=2"), Wait);
    playlist.end_segment(); // 9 closes with two parts
    assert_eq!(ask(&playlist.edge(), "_HLS_msn=9"), Ready);
    assert_eq!(ask(&playlist.edge(), "_HLS_msn=9&_HLS_part=2"), Wait);
    playlist.begin_segment(0, "init.mp4", false);
    assert_eq!(ask(&playlist.edge(), "_HLS_msn=9&_HLS_part=2"), Wait);
    playlist.add_part(PartInfo { number: 17, duration: 45_000, independent: true, gap: false });
    assert_eq!(ask(&playlist.edge(), "_HLS_msn=9&_HLS_part=2"), Ready);
}

#[test]
fn the_end_answers_everyone() {
    let mut playlist = playlist(2);
    playlist.end();
    let edge = playlist.edge();
    assert!(edge.ended());
    for query in ["_HLS_msn=10", "_HLS_msn=99&_HLS_part=99", "_HLS_msn=18446744073709551615"] {
        assert_eq!(ask(&edge, query), Ready, "{query}");
    }
}

#[test]
fn before_the_first_part_a_request_waits() {
    let rate = FrameRate::new(30, 1).unwrap();
    let grid = Grid::new(rate, MediaTime::from_millis(500), MediaTime::from_millis(2000));
    let profile = Profile::new(&grid, MediaTime::from_millis(20_000));
    let edge = MediaPlaylist::new(profile, MediaTime::TIMESCALE, 0).edge();
    assert_eq!(ask(&edge, "_HLS_msn=0&_HLS_part=0"), Wait);
    assert_eq!(ask(&edge, "_HLS_msn=0"), Wait);
    assert!(matches!(ask(&edge, "_HLS_msn=2"), BadRequest(_)));
    assert_eq!((edge.report_position(), edge.last_complete_msn()), (None, None));
}
