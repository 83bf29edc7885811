//! What can only be judged with all renditions seen.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::multivariant::{bandwidth, members};
use crate::finding::{Rule, Sink};
use crate::playlist::{Multivariant, Variant};
use crate::rendition::Rendition;

static OUT_OF_STEP: Rule = Rule::violation("renditions-out-of-step", "RFC 8216bis Appendix B.1");

/// All renditions advance within a part of each other; told only where players would notice.
pub(crate) fn out_of_step(renditions: &BTreeMap<Url, Rendition>, sink: &mut Sink<'_>) {
    let ends = renditions.values().filter_map(|rendition| {
        let playlist = &rendition.latest.playlist;
        let last = playlist.segments.last()?;
        let parts: Duration = last.parts.iter().map(|part| part.duration).sum();
        let end = last.date? + i64::try_from(last.duration.max(parts).as_micros()).ok()?;
        // An ended or long unseen playlist says nothing.
        (playlist.ended.is_none()).then_some((end, rendition))
    });
    let ends: Vec<_> = ends.collect();
    let (Some(first), Some(last)) =
        (ends.iter().min_by_key(|it| it.0), ends.iter().max_by_key(|it| it.0))
    else {
        return;
    };
    let apart = first.1.latest.answered.abs_diff(last.1.latest.answered);
    let target = last.1.latest.playlist.target();
    let allowed = target + apart;
    if u128::from(first.0.abs_diff(last.0)) > allowed.as_micros() {
        sink.whole(
            &OUT_OF_STEP,
            first.1.url.as_str(),
            format!("this rendition ends {} ms before another: all advance within a part of each other.", (last.0 - first.0) / 1000),
        );
    }
}

/// BANDWIDTH against the largest rate of any run of segments (§4.1), summed over what plays together.
pub(crate) fn bandwidths(
    playlist: &Multivariant,
    renditions: &BTreeMap<Url, Rendition>,
    sink: &mut Sink<'_>,
) {
    for variant in &playlist.variants {
        if let Some(measured) = peak_of(variant, playlist, renditions) {
            bandwidth(variant, measured, sink);
        }
    }
}

fn peak_of(
    variant: &Variant,
    playlist: &Multivariant,
    renditions: &BTreeMap<Url, Rendition>,
) -> Option<u64> {
    let mut sum = peak(renditions.get(&variant.url)?)?;
    if let Some(group) = variant.attributes.text("AUDIO") {
        let urls = members(playlist, "AUDIO", group).filter_map(|member| member.url.as_ref());
        // An audio rendition may be the variant's own.
        let others =
            urls.filter(|url| **url != variant.url).filter_map(|url| peak(renditions.get(url)?));
        sum += others.max().unwrap_or(0);
    }
    Some(sum)
}

/// Runs of 0.5 to 1.5 target durations and 0.5 s.
fn peak(rendition: &Rendition) -> Option<u64> {
    let target = rendition.first.playlist.target();
    let (shortest, longest) = (target / 2, target * 3 / 2 + Duration::from_millis(500));
    let mut peak = None;
    for first in rendition.sizes.keys() {
        let (mut time, mut bytes) = (Duration::ZERO, 0);
        for (next, (msn, (duration, size))) in (*first..).zip(rendition.sizes.range(first..)) {
            time += *duration;
            bytes += size;
            if next != *msn || time > longest {
                break;
            }
            if time >= shortest {
                let rate = u128::from(bytes) * 8_000_000 / time.as_micros().max(1);
                peak = peak.max(u64::try_from(rate).ok());
            }
        }
    }
    peak
}
