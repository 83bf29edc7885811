use nowcast_media::VideoCodec;
use proptest::prelude::*;

use super::*;

fn source(width: u32, height: u32, sample_aspect: (u32, u32)) -> VideoFormat {
    VideoFormat {
        codec: VideoCodec::H264,
        width,
        height,
        sample_aspect,
        frame_rate: None,
        bit_depth: 8,
        chroma_bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        range: nowcast_media::VideoRange::Sdr,
        reorder_depth: None,
        codec_string: "avc1.64001F".into(),
    }
}

fn made(width: u32, height: u32, aspect: (u32, u32)) -> Vec<(String, u32, u32, u64)> {
    let rungs = Ladder::load("h264-720p").unwrap().resolve(&source(width, height, aspect));
    rungs.into_iter().map(|rung| (rung.name, rung.width, rung.height, rung.bitrate)).collect()
}

#[test]
fn a_rungs_height_is_the_shorter_side_of_the_picture() {
    let landscape = [("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)];
    for (width, height) in [(1280, 720), (1920, 1080), (3840, 2160)] {
        for (rung, expected) in made(width, height, (1, 1)).iter().zip(landscape) {
            assert_eq!((&*rung.0, rung.1, rung.2), expected);
        }
        for (rung, expected) in made(height, width, (1, 1)).iter().zip(landscape) {
            assert_eq!((&*rung.0, rung.2, rung.1), expected);
        }
    }
}

#[test]
fn rungs_above_the_source_are_left_out_and_the_lowest_is_always_made() {
    assert_eq!(made(854, 480, (1, 1)).len(), 2);
    assert_eq!(made(640, 360, (1, 1)), [("360p".into(), 640, 360, 600_000)]);
    assert_eq!(made(426, 240, (1, 1)), [("240p".into(), 426, 240, 266_666)]);
    assert_eq!(made(1, 1, (1, 1))[0].1, 16);
}

#[test]
fn pixels_that_are_not_square_become_square() {
    assert_eq!(made(1440, 1080, (4, 3))[0].1, 1280);
    assert_eq!(made(720, 576, (64, 45))[0].1, 854);
    assert_eq!(made(1280, 720, (0, 0))[0].1, 1280);
}

#[test]
fn an_unknown_ladder_is_answered_with_those_there_are() {
    let error = Ladder::load("h265-4k").unwrap_err().to_string();
    assert_eq!(error, "there is no ladder \"h265-4k\"; known ladders: h264-720p");
}

#[test]
fn a_ladder_that_makes_no_sense_is_refused_with_its_fault() {
    let rung = "encoder = \"h264-x264\"\npreset = \"superfast\"\n";
    for (text, fault) in [
        ("rung = []".to_owned(), "no [[rung]]"),
        (format!("[[rung]]\nheight = 3\nbitrate = 500_000\n{rung}"), "height = 3"),
        (format!("[[rung]]\nheight = 360\nbitrate = 5\n{rung}"), "bitrate = 5"),
        (format!("[[rung]]\nheight = 360\nbitrate = 500_000\nwidht = 1\n{rung}"), "widht"),
        (format!("[[rung]]\nheight = 360\nbitrate = 500_000\n{rung}").repeat(2), "twice"),
    ] {
        let error = Ladder::parse(&text).unwrap_err();
        assert!(error.contains(fault), "{error}");
    }
}

proptest! {
    #[test]
    fn no_rung_is_larger_than_its_source_or_of_another_shape(
        width in 16_u32..5000, height in 16_u32..5000, aspect in prop_oneof![Just((1, 1)), Just((4, 3)), Just((12, 11))],
    ) {
        let rungs = Ladder::load("h264-720p").unwrap().resolve(&source(width, height, aspect));
        let shown = f64::from(width) * f64::from(aspect.0) / f64::from(aspect.1);
        prop_assert!(!rungs.is_empty());
        for rung in &rungs {
            prop_assert!(rung.width % 2 == 0 && rung.height % 2 == 0);
            prop_assert!(f64::from(rung.width) <= shown.max(16.0) + 0.5 && rung.height <= height.max(16));
            // Of the exact shape but for the evenness of both sides.
            if rung.width > 16 && rung.height > 16 {
                let wanted = f64::from(rung.height) * shown / f64::from(height);
                let slack = 2.0 + 2.0 * shown / f64::from(height);
                prop_assert!((f64::from(rung.width) - wanted).abs() <= slack, "{rung:?}");
            }
        }
        prop_assert!(rungs.windows(2).all(|pair| pair[0].bitrate > pair[1].bitrate && pair[0].height >= pair[1].height));
    }
}
