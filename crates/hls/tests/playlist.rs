//! Whole playlists as text, and what becomes of calls out of order.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use nowcast_hls::{DateRange, MediaPlaylist, PartInfo, Profile, RenditionReport};
use nowcast_media::{FrameRate, Grid, MediaTime};

const START_MS: i64 = 1_795_996_799_040; // 2026-11-29T23:59:59.040Z

fn playlist(part_ms: i64, segment_ms: i64) -> MediaPlaylist {
    let rate = FrameRate::new(30, 1).unwrap();
    let grid = Grid::new(rate, MediaTime::from_millis(part_ms), MediaTime::from_millis(segment_ms));
    let profile = Profile::new(&grid, MediaTime::from_millis(20_000));
    MediaPlaylist::new(profile, MediaTime::TIMESCALE, 7)
}

fn part(number: u64, millis: u64, independent: bool) -> PartInfo {
    PartInfo { number, duration: millis * 90, independent, gap: false }
}

/// Half-second parts, four to a segment; the last one's last part is still to come.
fn ten_segments() -> MediaPlaylist {
    let mut playlist = playlist(500, 2000);
    for msn in 0..10_u64 {
        let date = START_MS + i64::try_from(msn).unwrap() * 2000;
        playlist.begin_segment(date, "init-a.mp4", msn == 4);
        for index in 0..4 - u64::from(msn == 9) {
            playlist.add_part(part(msn * 4 + index, 500, index == 0));
        }
        if msn < 9 {
            playlist.end_segment();
        }
    }
    playlist
}

const HEAD: &str = "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=6,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
";
const OLDEST: &str = "\
#EXT-X-MAP:URI=\"init-a.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T23:59:59.040Z
#EXTINF:2.00000,
s7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:01.040Z
#EXTINF:2.00000,
s8.m4s
";
const REST: &str = "\
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:03.040Z
#EXTINF:2.00000,
s9.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:05.040Z
#EXTINF:2.00000,
s10.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:07.040Z
#EXTINF:2.00000,
s11.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:09.040Z
#EXTINF:2.00000,
s12.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:11.040Z
#EXT-X-PART:DURATION=0.5,URI=\"p24.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI=\"p25.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p26.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p27.m4s\"
#EXTINF:2.00000,
s13.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:13.040Z
#EXT-X-PART:DURATION=0.5,URI=\"p28.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI=\"p29.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p30.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p31.m4s\"
#EXTINF:2.00000,
s14.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:15.040Z
#EXT-X-PART:DURATION=0.5,URI=\"p32.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI=\"p33.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p34.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p35.m4s\"
#EXTINF:2.00000,
s15.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:17.040Z
#EXT-X-PART:DURATION=0.5,URI=\"p36.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI=\"p37.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p38.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p39.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../360p/index.m3u8\",LAST-MSN=16,LAST-PART=2
#EXT-X-RENDITION-REPORT:URI=\"../audio/index.m3u8\",LAST-MSN=16,LAST-PART=0
";

#[test]
fn a_live_playlist_and_its_delta_update() {
    let reports = [("../360p/index.m3u8", 2), ("../audio/index.m3u8", 0)]
        .map(|(uri, last_part)| RenditionReport { uri, last_msn: 16, last_part });
    let rendered = ten_segments().render(&reports);
    assert_eq!(rendered.full, format!("{HEAD}{OLDEST}{REST}"));
    let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXT-X-MAP:URI=\"init-a.mp4\"\n";
    assert_eq!(rendered.delta.unwrap(), format!("{HEAD}{skip}{REST}"));
}

/// A poll that is open.
fn range(id: &str, start_unix_ms: i64) -> DateRange {
    DateRange {
        id: id.to_owned(),
        class: "live.nowcast.poll".into(),
        start_unix_ms,
        duration_ms: None,
        planned_duration_ms: None,
        attributes: Vec::new(),
    }
}

#[test]
fn date_ranges_precede_the_segments_of_the_playlist_and_of_its_delta_update() {
    let open = DateRange {
        planned_duration_ms: Some(30_000),
        attributes: vec![("X-NOWCAST-EVENT".into(), "\"eyJ9\u{85}\u{2028}❤".into())],
        ..range("7f\"\n#EXT-X-ENDLIST\n", START_MS)
    };
    let with_result = |duration_ms| DateRange {
        duration_ms: Some(duration_ms),
        attributes: vec![("X-NOWCAST-RESULT".into(), "e30".into())],
        ..range("8", START_MS - 5_000)
    };
    let mut playlist = ten_segments();
    // The second ends a millisecond before the playlist begins, the third where it does.
    let third = DateRange { id: "9".into(), ..with_result(5_000) };
    playlist.set_date_ranges(&[open.clone(), with_result(4_999), third]);
    let lines = "\
#EXT-X-DATERANGE:ID=\"7f#EXT-X-ENDLIST\",CLASS=\"live.nowcast.poll\",START-DATE=\"2026-11-29T23:59:59.040Z\",PLANNED-DURATION=30,X-NOWCAST-EVENT=\"eyJ9\u{2028}❤\"
#EXT-X-DATERANGE:ID=\"9\",CLASS=\"live.nowcast.poll\",START-DATE=\"2026-11-29T23:59:54.040Z\",DURATION=5,X-NOWCAST-RESULT=\"e30\"
";
    let rendered = playlist.render(&[]);
    let rest = REST.split_inclusive('\n').filter(|line| !line.contains("REPORT"));
    let rest = rest.collect::<String>();
    assert_eq!(rendered.full, format!("{HEAD}{lines}{OLDEST}{rest}"));
    let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n";
    let map = "#EXT-X-MAP:URI=\"init-a.mp4\"\n";
    assert_eq!(rendered.delta.unwrap(), format!("{HEAD}{skip}{lines}{map}{rest}"));
    // The end adds DURATION, and PLANNED-DURATION stays.
    playlist.set_date_ranges(&[DateRange { duration_ms: Some(12_345), ..open }]);
    let full = playlist.render(&[]).full;
    assert!(full.contains("Z\",DURATION=12.345,PLANNED-DURATION=30,X-NOWCAST-EVENT="), "{full}");
}

#[test]
fn without_a_segment_there_is_no_date_for_a_range_to_map_to() {
    let mut playlist = playlist(500, 2000);
    playlist.set_date_ranges(&[range("1", START_MS)]);
    assert!(!playlist.render(&[]).full.contains("DATERANGE"));
    playlist.begin_segment(START_MS, "init-a.mp4", false);
    playlist.add_part(part(0, 500, true));
    assert!(playlist.render(&[]).full.contains("DATERANGE"));
}

#[test]
fn the_end_is_the_last_line_and_changes_no_more() {
    let mut playlist = ten_segments();
    playlist.set_date_ranges(&[range("1", START_MS)]);
    playlist.end();
    let report = RenditionReport { uri: "../360p/index.m3u8", last_msn: 16, last_part: 2 };
    let rendered = playlist.render(&[report]);
    assert!(
        rendered.full.ends_with("URI=\"p38.m4s\"\n#EXTINF:1.50000,\ns16.m4s\n#EXT-X-ENDLIST\n"),
        "{}",
        rendered.full
    );
    assert_eq!(rendered.delta, None);
    assert_eq!(playlist.next_part(), None);

    playlist.begin_segment(START_MS, "init-b.mp4", false);
    playlist.add_part(part(39, 500, true));
    playlist.end_segment();
    playlist.set_date_ranges(&[]);
    assert_eq!(playlist.evict(), []);
    assert_eq!(playlist.render(&[]), rendered);
}

#[test]
fn the_oldest_segments_leave_once_the_window_is_full() {
    let mut playlist = ten_segments();
    assert_eq!(playlist.evict(), [], "18 s of 20");
    playlist.end_segment();
    assert_eq!(playlist.evict(), [], "19.5 s of 20");
    for msn in 10..15_u64 {
        playlist.begin_segment(START_MS, "init-a.mp4", false);
        for index in 0..4 {
            playlist.add_part(part(39 + (msn - 10) * 4 + index, 500, index == 0));
        }
        playlist.end_segment();
    }
    let removed = playlist.evict();
    assert_eq!(removed.iter().map(|removed| removed.msn).collect::<Vec<_>>(), [7, 8, 9, 10]);
    // 2 s and the 29.5 s that were listed at the longest.
    assert!(removed.iter().all(|removed| removed.retention == MediaTime::from_millis(31_500)));
    let text = playlist.render(&[]).full;
    assert!(
        text.contains(
            "#EXT-X-MEDIA-SEQUENCE:11\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
             #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-a.mp4\"\n"
        ),
        "{text}"
    );
}

#[test]
fn a_new_init_section_is_hinted_with_its_first_part() {
    let mut playlist = playlist(500, 2000);
    playlist.begin_segment(START_MS, "init-a.mp4", false);
    playlist.add_part(part(0, 500, true));
    playlist.end_segment();
    playlist.begin_segment(START_MS + 500, "init-b.mp4", true);
    let hints = "s7.m4s\n#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"init-b.mp4\"\n\
                 #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p1.m4s\"\n";
    let text = playlist.render(&[]).full;
    assert!(text.ends_with(hints), "{text}");
    playlist.add_part(part(1, 500, true));
    let text = playlist.render(&[]).full;
    let listed = "s7.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-b.mp4\"\n\
                  #EXT-X-PROGRAM-DATE-TIME:2026-11-29T23:59:59.540Z\n\
                  #EXT-X-PART:DURATION=0.5,URI=\"p1.m4s\",INDEPENDENT=YES\n\
                  #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p2.m4s\"\n";
    assert!(text.ends_with(listed), "{text}");
}

#[test]
fn missing_media_is_a_gap_and_a_segment_of_gaps_is_one() {
    let mut playlist = playlist(500, 2000);
    for (begin, gaps) in [(0, [false, true]), (2, [true, true])] {
        playlist.begin_segment(START_MS, "init-a.mp4", false);
        for (number, gap) in (begin..).zip(gaps) {
            playlist.add_part(PartInfo { gap, ..part(number, 500, false) });
        }
        playlist.end_segment();
    }
    let text = playlist.render(&[]).full;
    let lines = "\
#EXT-X-PART:DURATION=0.5,URI=\"p0.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"p1.m4s\",GAP=YES
#EXTINF:1.00000,
s7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T23:59:59.040Z
#EXT-X-PART:DURATION=0.5,URI=\"p2.m4s\",GAP=YES
#EXT-X-PART:DURATION=0.5,URI=\"p3.m4s\",GAP=YES
#EXT-X-GAP
#EXTINF:1.00000,
s8.m4s
";
    assert!(text.contains(lines), "{text}");
}

#[test]
fn a_part_that_ticks_made_too_long_is_written_as_the_target() {
    let rate = FrameRate::new(7, 1).unwrap();
    let frame = MediaTime::from_millis(143);
    let profile = Profile::new(&Grid::new(rate, frame, MediaTime::from_millis(1000)), frame);
    let mut playlist = MediaPlaylist::new(profile, MediaTime::TIMESCALE, 0);
    playlist.begin_segment(START_MS, "init-a.mp4", false);
    playlist.add_part(PartInfo { number: 0, duration: 12_858, independent: true, gap: false });
    let text = playlist.render(&[]).full;
    assert!(text.contains("PART-TARGET=0.14286\n") && text.contains("DURATION=0.14286,"), "{text}");
}

#[test]
fn a_segment_without_parts_never_was() {
    let mut playlist = playlist(500, 2000);
    playlist.add_part(part(0, 500, true));
    let empty = playlist.render(&[]).full;
    playlist.end_segment();
    playlist.begin_segment(START_MS, "init-a.mp4", false);
    playlist.begin_segment(START_MS, "init-a.mp4", false);
    playlist.end_segment();
    assert_eq!(playlist.render(&[]).full, empty);
    assert!(empty.ends_with("SEQUENCE:0\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p0.m4s\"\n"));
    assert_eq!(playlist.edge().report_position(), None);
}

#[test]
fn a_delta_update_is_as_long_whatever_the_window() {
    let deltas = [20_000, 3_600_000].map(|window| {
        let rate = FrameRate::new(30, 1).unwrap();
        let grid = Grid::new(rate, MediaTime::from_millis(500), MediaTime::from_millis(2000));
        let profile = Profile::new(&grid, MediaTime::from_millis(window));
        let mut playlist = MediaPlaylist::new(profile, MediaTime::TIMESCALE, 0);
        for msn in 0..3000_u64 {
            let date = START_MS + i64::try_from(msn).unwrap() * 2000;
            playlist.begin_segment(date, "init-a.mp4", false);
            for index in 0..4 {
                playlist.add_part(part(msn * 4 + index, 500, index == 0));
            }
            playlist.end_segment();
            playlist.evict();
        }
        let rendered = playlist.render(&[]);
        (rendered.full.len(), rendered.delta.unwrap().len())
    });
    let [(short, near), (long, far)] = deltas;
    assert!(long > 50 * short && far.abs_diff(near) <= 4, "{deltas:?}");
}
