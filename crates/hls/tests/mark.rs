//! A playlist that goes on at a mark of another, without what came before it, reads as that one does.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use nowcast_hls::{Mark, MediaPlaylist, PartInfo, Profile};
use nowcast_media::{FrameRate, Grid, MediaTime};
use proptest::prelude::*;

fn profile() -> Profile {
    let rate = FrameRate::new(30_000, 1001).unwrap();
    let grid = Grid::new(rate, MediaTime::from_millis(334), MediaTime::from_millis(2000));
    Profile::new(&grid, MediaTime::from_millis(16_000))
}

/// Lists a whole segment.
fn segment(playlist: &mut MediaPlaylist, mark: Mark, parts: &[u64], discontinuity: bool) {
    let date = 1_795_996_799_040 + i64::try_from(mark.position / 48).unwrap();
    playlist.begin_segment(date, "init-0.mp4", discontinuity);
    for (number, &duration) in (mark.part..).zip(parts) {
        playlist.add_part(PartInfo { number, duration, independent: true, gap: false });
    }
    playlist.end_segment();
    playlist.evict();
}

proptest! {
    #[test]
    fn a_playlist_goes_on_at_a_mark_as_if_it_had_never_been_away(
        segments in prop::collection::vec(
            (prop::collection::vec(1..16_000_u64, 1..7), prop::bool::weighted(0.2)), 12..60),
        from in 0..12_usize,
        start in 0..3_u64,
    ) {
        let (mut whole, mut later) = (MediaPlaylist::new(profile(), 48_000, 7), None);
        whole.set_start(start);
        for (at, (parts, discontinuity)) in segments.iter().enumerate() {
            let mark = whole.mark();
            if at == from {
                let mut began = MediaPlaylist::at(profile(), 48_000, mark);
                began.set_start(start);
                later = Some(began);
            }
            for playlist in later.iter_mut().chain([&mut whole]) {
                segment(playlist, mark, parts, *discontinuity);
            }
            let Some(later) = &later else { continue };
            prop_assert_eq!(later.next_part(), whole.next_part());
            prop_assert_eq!(Mark { longest: 0, ..later.mark() }, Mark { longest: 0, ..whole.mark() });
            let (text, expected) = (later.render(&[]).full, whole.render(&[]).full);
            if later.edge().first_msn() == whole.edge().first_msn() {
                prop_assert_eq!(text, expected);
            } else {
                // Its first segments are not there yet: what is listed is listed alike.
                let (_, tail) = text.split_once("#EXT-X-PROGRAM-DATE-TIME").unwrap();
                prop_assert!(expected.ends_with(tail), "{}\n{}", text, expected);
            }
        }
    }
}
