//! The reader finds what it is there to find: one fault in a good playlist, one complaint.

use super::MediaPlaylist;

const GOOD: &str = "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3,HOLD-BACK=6,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=1
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-DATERANGE:ID=\"1\",CLASS=\"x.poll\",START-DATE=\"2028-02-28T23:59:58.000Z\",DURATION=0.5,X-A=\"b, c\"
#EXT-X-MAP:URI=\"a.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2028-02-28T23:59:58.500Z
#EXT-X-PART:DURATION=1,URI=\"p0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1,URI=\"p1.m4s\"
#EXTINF:2.00000,
s7.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"b.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2028-02-29T00:00:00.500Z
#EXT-X-PART:DURATION=1,URI=\"p2.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p3.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../a/index.m3u8\",LAST-MSN=8,LAST-PART=0
";

fn judge(text: &str) -> Result<MediaPlaylist, String> {
    let playlist = MediaPlaylist::read(text)?;
    playlist.check()?;
    Ok(playlist)
}

#[test]
fn a_good_playlist_is_read_as_what_it_says() {
    let playlist = judge(GOOD).unwrap();
    assert_eq!(playlist.last_part(), Some((8, 0)));
    assert_eq!(playlist.segments[0].program_date_time, Some(1_835_395_198_500));
    assert_eq!(playlist.segments[0].init.as_deref(), Some("a.mp4"));
    let range = &playlist.date_ranges[0];
    assert_eq!((range.start, range.duration), (1_835_395_198_000, Some(50_000)));
    assert_eq!(range.attributes, [("X-A".to_owned(), "b, c".to_owned())]);
    let open = playlist.open.as_ref().unwrap();
    assert_eq!((open.init.as_deref(), open.discontinuity), (Some("b.mp4"), true));
    assert!(playlist.reaches(7, None) && !playlist.reaches(8, None));
    assert!(playlist.reaches(7, Some(2)) && playlist.reaches(8, Some(0)));
    assert!(!playlist.reaches(8, Some(1)));
}

#[test]
fn one_fault_is_one_complaint() {
    for (good, bad, complaint) in [
        ("#EXTM3U\n", "", "first line"),
        ("\n#EXT-X-VERSION", "\r\n#EXT-X-VERSION", "control character"),
        ("#EXT-X-VERSION:9", "#EXT-X-VERSION:8", "version 8"),
        ("#EXT-X-VERSION:9", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9", "twice"),
        ("#EXT-X-VERSION:9", "#EXT-X-VERSIONS:9", "unknown tag"),
        ("PART-TARGET=1", "PART-TARGET=1.1", "PART-HOLD-BACK"),
        ("PART-TARGET=1", "PART-TARGET=1.000001", "decimals"),
        ("PART-TARGET=1", "PART-TARGET=1,PART-TARGET=1", "twice"),
        ("PART-HOLD-BACK=3", "PART-HOLD-BACK=2.9", "PART-HOLD-BACK"),
        (",HOLD-BACK=6", ",HOLD-BACK=5.9", "HOLD-BACK"),
        (",HOLD-BACK=6", "", "HOLD-BACK is missing"),
        ("SKIP-UNTIL=12", "SKIP-UNTIL=11", "CAN-SKIP-UNTIL"),
        ("#EXT-X-DISCONTINUITY-SEQUENCE:3\n", "", "is missing"),
        ("CLASS=\"x.poll\",", "", "CLASS is missing"),
        ("DURATION=0.5,", "DURATION=0.499,", "ended before"),
        ("DURATION=0.5,", "DURATION=\"0.5\",", "decimal integer"),
        ("X-A=\"b, c\"", "X-A=b", "quoted"),
        ("X-A=\"b, c\"", "A=\"b\"", "unexpected A"),
        (
            "#EXT-X-MAP:URI=\"a.mp4\"",
            "#EXT-X-DATERANGE:ID=\"1\",CLASS=\"x\",START-DATE=\"2028-02-28T23:59:58.000Z\"\n#EXT-X-MAP:URI=\"a.mp4\"",
            "second tag",
        ),
        (
            "s7.m4s\n",
            "s7.m4s\n#EXT-X-DATERANGE:ID=\"2\",CLASS=\"x\",START-DATE=\"2028-02-28T23:59:58.000Z\"\n",
            "after the first segment",
        ),
        ("#EXT-X-MAP:URI=\"a.mp4\"\n", "", "no EXT-X-MAP"),
        ("#EXT-X-MAP:URI=\"a.mp4\"", "#EXT-X-MAP:URI=a.mp4", "quoted"),
        ("28T23:59:58.500Z", "28T23:59:58.500+00:00", "UTC"),
        ("28T23:59:58.500Z", "30T23:59:58.500Z", "UTC"),
        ("DURATION=1,URI=\"p0.m4s\"", "DURATION=1.00001,URI=\"p0.m4s\"", "longer than PART-TARGET"),
        ("DURATION=1,URI=\"p1.m4s\"", "DURATION=0.99,URI=\"p1.m4s\"", "its parts are"),
        (",INDEPENDENT=YES\n#EXT-X-PART", ",INDEPENDENT=NO\n#EXT-X-PART", "INDEPENDENT=NO"),
        ("\"p1.m4s\"\n", "\"p1.m4s\"\n#EXT-X-GAP\n", "EXT-X-GAP"),
        ("\"p1.m4s\"\n", "\"p1.m4s\"\n#EXT-X-DISCONTINUITY\n", "after the segment's first part"),
        ("\"p1.m4s\"", "\"p0.m4s\"", "names two things"),
        ("#EXTINF:2.00000,\n", "#EXTINF:2.50000,\n", "rounds to 3"),
        ("#EXTINF:2.00000,\n", "#EXTINF:2.00000\n", "comma"),
        ("s7.m4s\n", "", "not followed by its URI"),
        ("s7.m4s\n", "/s7.m4s\n", "relative"),
        ("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p3.m4s\"\n", "", "no preload hint"),
        ("#EXT-X-PRELOAD-HINT", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD-HINT", "after EXT-X-ENDLIST"),
        ("LAST-PART=0\n", "LAST-PART=0\n#EXT-X-ENDLIST\n", "after the end"),
        (",LAST-PART=0", "", "LAST-PART is missing"),
        ("#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY\n\n", "neither"),
    ] {
        assert_eq!(GOOD.matches(good).count(), 1, "{good:?} is not in one place");
        let fault = judge(&GOOD.replace(good, bad)).expect_err(bad);
        assert!(fault.contains(complaint), "{bad:?}: {fault}");
    }
}

#[test]
fn a_date_that_jumps_needs_a_discontinuity() {
    let jump = GOOD.replace("29T00:00:00.500Z", "29T00:00:00.503Z");
    judge(&jump).unwrap();
    let fault = judge(&jump.replace("#EXT-X-DISCONTINUITY\n", "")).unwrap_err();
    assert!(fault.contains("date"), "{fault}");
}

#[test]
fn one_illegal_change_is_one_complaint() {
    let before = judge(GOOD).unwrap();
    let next = GOOD.replace(
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p3.m4s\"",
        "#EXT-X-PART:DURATION=1,URI=\"p3.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p4.m4s\"",
    );
    judge(&next).unwrap().follows(&before).unwrap();
    for (good, bad, complaint) in [
        ("PART-HOLD-BACK=3", "PART-HOLD-BACK=4", "head"),
        ("SEQUENCE:7", "SEQUENCE:6", "went back"),
        ("SEQUENCE:7", "SEQUENCE:8", "too little left"),
        ("SEQUENCE:3", "SEQUENCE:4", "DISCONTINUITY-SEQUENCE"),
        ("a.mp4", "c.mp4", "changed"),
        ("s7.m4s", "s8.m4s", "changed"),
        ("x.poll", "x.pole", "date range 1 changed"),
        ("DURATION=0.5,", "", "date range 1 changed"),
        ("DURATION=0.5,", "DURATION=0.6,", "date range 1 changed"),
        ("b, c", "b", "date range 1 changed"),
        ("RANGE:ID=\"1\"", "RANGE:ID=\"2\"", "date range 1 vanished"),
        ("\"p1.m4s\"", "\"p9.m4s\"", "parts changed"),
        ("\"p2.m4s\"", "\"p9.m4s\"", "parts changed"),
        ("\"p3.m4s\"", "\"p9.m4s\"", "was hinted"),
        ("LAST-MSN=8", "LAST-MSN=7", "went back"),
    ] {
        let after =
            judge(&next.replace(good, bad)).unwrap_or_else(|fault| panic!("{bad}: {fault}"));
        let fault = after.follows(&before).expect_err(bad);
        assert!(fault.contains(complaint), "{bad:?}: {fault}");
    }
    let hint = judge(&GOOD.replace("\"p3.m4s\"", "\"p9.m4s\"")).unwrap();
    assert!(hint.follows(&before).unwrap_err().contains("hint changed"));
}
