//! What is in parts, segments and init sections (ISO/IEC 14496-12, CMAF, §3).

use std::time::Duration;

use super::syntax::show;
use crate::exchange::Exchange;
use crate::finding::{Rule, Sink};
use crate::mp4::{Fragment, Kind, Sample, TrackFragment};
use crate::rendition::{Index, Place};

static MISSING: Rule = Rule::violation("media-missing", "RFC 8216bis §6.2.1; hls.js #6976");
static LATE: Rule = Rule::violation("media-held", "RFC 8216bis §6.2.1");
static HINT: Rule = Rule::violation("hint-not-held", "RFC 8216bis §6.2.6");
static TRICKLE: Rule = Rule::violation("hint-trickle", "RFC 8216bis §6.2.6");
static LENGTH: Rule = Rule::violation("range-length", "RFC 8216bis §4.4.4.9");
static GONE: Rule = Rule::violation("media-gone", "RFC 8216bis §6.2.2");
static BYTES_CHANGED: Rule = Rule::violation("bytes-changed", "RFC 8216bis §6.2.1");
static INIT: Rule = Rule::violation("init-section", "RFC 8216bis §3.1.2");
static EMPTY: Rule = Rule::violation("no-fragment", "RFC 8216bis §3.1.2");
static CUT_OFF: Rule = Rule::violation("cut-off", "ISO/IEC 14496-12 §8.8");
static TIME: Rule = Rule::violation("tfdt-missing", "RFC 8216bis §3.1.2");
static DURATION: Rule = Rule::violation("duration-differs", "Apple authoring 8.1");
static INDEPENDENT: Rule =
    Rule::violation("independent-false", "RFC 8216bis §4.4.4.9; home-assistant #49608");
static INDEPENDENT_UNSAID: Rule = Rule::advice("independent-unsaid", "RFC 8216bis §4.4.4.9");
static SYNC: Rule = Rule::violation("sync-sample", "ISO/IEC 14496-12 §8.8.3.1");
static SEGMENT_START: Rule = Rule::advice("segment-start", "Apple authoring 7.4");
static TFDT: Rule = Rule::violation("tfdt-continuity", "Apple authoring 7.3; CMAF §7.3.2.3");
static CONCATENATION: Rule = Rule::violation("segment-is-parts", "RFC 8216bis §3.2");
static MAPPING: Rule = Rule::violation("date-mapping", "RFC 8216bis §6.2.4");

/// For an answer that is not the media that was asked for.
pub(crate) fn unavailable(exchange: &Exchange, place: &Place, hint: bool, sink: &mut Sink<'_>) {
    if place.gap {
        return;
    }
    let rule = if hint { &HINT } else { &MISSING };
    let message = if hint {
        "the hinted part was refused, and listed afterwards: hold the request until the part is whole."
    } else {
        "what the playlist lists could not be had: store the bytes first, list them then."
    };
    sink.listed(rule, place, format!("{message} ({})", exchange.status));
}

/// For media that came, in order of the checks a player cannot do without.
pub(crate) fn check(exchange: &Exchange, place: &Place, fragment: &Fragment, sink: &mut Sink<'_>) {
    held(exchange, place, sink);
    range_length(exchange, sink);
    empty(fragment, sink);
    cut_off(fragment, sink);
    time(fragment, sink);
    jumps(fragment, sink);
    if !place.encrypted {
        duration(place, fragment, sink);
        independent(place, fragment, sink);
        sync_samples(fragment, sink);
        segment_start(place, fragment, sink);
    }
}

/// What is listed is there at once.
fn held(exchange: &Exchange, place: &Place, sink: &mut Sink<'_>) {
    if exchange.purpose == crate::Purpose::Listed
        && exchange.waited() > place.duration.max(Duration::from_secs(1))
    {
        sink.whole(
            &LATE,
            format!("{} s", show(exchange.waited())),
            "media that was listed already was not there at once.",
        );
    }
}

/// A part may not begin to flow before all of it is there, or players measure the stream's rate for
/// the network's.
pub(crate) fn trickle(exchange: &Exchange, place: &Place, best_rate: f64, sink: &mut Sink<'_>) {
    let spread = exchange.finished.saturating_sub(exchange.first_byte);
    let rate = exchange.body.len() as f64 / spread.as_secs_f64().max(1e-6);
    if spread > place.duration / 2 && rate * 4.0 < best_rate {
        sink.whole(
            &TRICKLE,
            format!("{} s from the first byte to the last", show(spread)),
            "the hinted part trickled in: send it when it is whole, at the line's speed.",
        );
    }
}

fn range_length(exchange: &Exchange, sink: &mut Sink<'_>) {
    let Some(wanted) = exchange.range.and_then(|range| range.length) else { return };
    if exchange.status == 206 && exchange.body.len() as u64 != wanted {
        sink.whole(
            &LENGTH,
            format!("{} bytes of {wanted}", exchange.body.len()),
            "the range is shorter than BYTERANGE says: list it when all of it is there.",
        );
    }
}

fn empty(fragment: &Fragment, sink: &mut Sink<'_>) {
    let samples: usize = fragment.tracks.iter().map(|track| track.samples.len()).sum();
    if samples == 0 && fragment.without_time == 0 {
        sink.whole(
            &EMPTY,
            "",
            "there is no movie fragment with samples of the init section's tracks in it.",
        );
    }
}

fn cut_off(fragment: &Fragment, sink: &mut Sink<'_>) {
    if fragment.cut_off > 0 {
        sink.whole(&CUT_OFF, "", "a movie fragment's samples lie beyond its bytes: offsets count from its moof (default-base-is-moof), and parts come whole.");
    }
}

fn time(fragment: &Fragment, sink: &mut Sink<'_>) {
    if fragment.without_time > 0 {
        sink.whole(&TIME, "", "a track fragment has no tfdt: players cannot place it.");
    }
}

fn jumps(fragment: &Fragment, sink: &mut Sink<'_>) {
    for track in &fragment.tracks {
        for (expected, start) in &track.jumps {
            if expected.abs_diff(*start) > slack(track) {
                sink.whole(
                    &TFDT,
                    format!("track {}: tfdt {start}, not {expected}", track.track),
                    "movie fragments within one piece do not follow one another without a hole.",
                );
            }
        }
    }
}

/// DURATION and EXTINF are true to a frame.
fn duration(place: &Place, fragment: &Fragment, sink: &mut Sink<'_>) {
    let Some(track) = fragment.leading().filter(|track| !track.samples.is_empty()) else { return };
    let real = seconds(track.duration(), track);
    let frame = real / u32::try_from(track.samples.len()).unwrap_or(1);
    let differs = real.abs_diff(place.duration);
    if differs > frame + Duration::from_millis(1) {
        sink.listed(
            &DURATION,
            place,
            format!(
                "the playlist says {} s, the samples last {} s: derive durations from their ticks.",
                show(place.duration),
                show(real)
            ),
        );
    }
}

fn independent(place: &Place, fragment: &Fragment, sink: &mut Sink<'_>) {
    let Index::Part(_) = place.index else { return };
    let Some(track) = fragment.leading().filter(|track| track.kind == Kind::Video) else { return };
    // A trun of version 0 may leave flags to defaults that call each sample a sync sample: what the
    // picture itself says counts more.
    let begins = |sample: &Sample| sample.begins_sequence.unwrap_or(sample.sync);
    let real = track.samples.iter().any(begins);
    if place.independent && !real {
        sink.listed(
            &INDEPENDENT,
            place,
            "the part says INDEPENDENT=YES and has no picture that decoding can begin at.",
        );
    } else if real && !place.independent {
        sink.listed(
            &INDEPENDENT_UNSAID,
            place,
            "the part has a picture that decoding can begin at and does not say INDEPENDENT=YES.",
        );
    }
}

/// Sample flags tell the truth about pictures. The first sample of a fragment may be a recovery point:
/// that is no lie.
fn sync_samples(fragment: &Fragment, sink: &mut Sink<'_>) {
    for track in fragment.tracks.iter().filter(|track| track.kind == Kind::Video) {
        let samples = &track.samples;
        let place = format!("track {}", track.track);
        if samples.iter().any(|it| it.begins_sequence == Some(true) && !it.sync) {
            sink.whole(
                &SYNC,
                place,
                "a picture that decoding can begin at is marked as no sync sample.",
            );
        } else if samples.iter().skip(1).any(|it| it.begins_sequence == Some(false) && it.sync) {
            sink.whole(
                &SYNC,
                place,
                "a sample is marked as a sync sample and is no picture that decoding can begin at.",
            );
        }
    }
}

fn segment_start(place: &Place, fragment: &Fragment, sink: &mut Sink<'_>) {
    if !matches!(place.index, Index::Whole | Index::Part(0)) {
        return;
    }
    let video = fragment.tracks.iter().find(|track| track.kind == Kind::Video);
    let Some(first) = video.and_then(|track| track.samples.first()) else { return };
    if !first.begins_sequence.unwrap_or(first.sync) {
        sink.listed(&SEGMENT_START, place, format!("segment {} does not begin with a picture that decoding can begin at: players cannot switch there.", place.msn));
    }
}

/// A piece begins where the one before it ended.
pub(crate) fn follows(before: &Fragment, after: &Fragment, place: &Place, sink: &mut Sink<'_>) {
    for track in &after.tracks {
        let Some(previous) = before.tracks.iter().find(|other| other.track == track.track) else {
            continue;
        };
        let end = previous.start + previous.duration();
        if end.abs_diff(track.start) > slack(track) {
            let off = track.start as f64 - end as f64;
            sink.listed(&TFDT, place,
                format!("track {} begins {:.1} ms {} the end of the piece before it: tfdt goes on without holes, or EXT-X-DISCONTINUITY says that it does not.", track.track, off.abs() / f64::from(track.timescale) * 1000.0, if off < 0.0 { "before" } else { "after" }),
            );
        }
    }
}

/// A tick of rounding per track.
fn slack(track: &TrackFragment) -> u64 {
    u64::from(track.timescale / 1000).max(1)
}

/// A segment has the same samples as its parts, in the same order.
pub(crate) fn is_concatenation(
    parts: &[&Fragment],
    whole: &Fragment,
    place: &Place,
    sink: &mut Sink<'_>,
) {
    for track in &whole.tracks {
        let of_parts =
            parts.iter().flat_map(|part| &part.tracks).filter(|other| other.track == track.track);
        let pieces: Vec<&TrackFragment> = of_parts.collect();
        let same_start = pieces.first().is_some_and(|first| first.start == track.start);
        let samples = pieces.iter().flat_map(|piece| &piece.samples);
        if !same_start || !samples.eq(&track.samples) {
            sink.listed(&CONCATENATION, place, format!("track {} of segment {} has other samples than its parts: make the segment by joining the parts' bytes.", track.track, place.msn));
        }
    }
}

/// The date of a segment and its media time tell the same in each rendition. Offsets in microseconds.
pub(crate) fn mapping(one: i64, other: i64, place: &Place, sink: &mut Sink<'_>) {
    const TOLERANCE: u64 = 10_000;
    if one.abs_diff(other) > TOLERANCE {
        sink.listed(&MAPPING, place, format!("by date and media time segment {} is {} ms off from what was seen elsewhere at the same discontinuity number: derive dates from media time by one anchor for all renditions.", place.msn, (other - one) / 1000));
    }
}

pub(crate) fn init(readable: bool, exchange: &Exchange, sink: &mut Sink<'_>) {
    if !exchange.is_success() {
        sink.whole(
            &INIT,
            exchange.status.to_string(),
            "the init section could not be had: nothing can be decoded.",
        );
    } else if !readable {
        sink.whole(&INIT, "", "the init section has no moov with a track that can be read.");
    }
}

pub(crate) fn gone(exchange: &Exchange, sink: &mut Sink<'_>) {
    sink.whole(&GONE, exchange.status.to_string(), "media that was listed a moment ago is gone: keep parts for three target durations and segments for the window after their removal.");
}

pub(crate) fn bytes_changed(sink: &mut Sink<'_>) {
    sink.whole(&BYTES_CHANGED, "", "the same URI gave other bytes than before: caches and players keep what they have; give new media a new URI.");
}

fn seconds(ticks: u64, track: &TrackFragment) -> Duration {
    Duration::from_secs_f64(ticks as f64 / f64::from(track.timescale))
}
