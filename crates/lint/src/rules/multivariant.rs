//! What the multivariant playlist says of itself, and of the media behind it.

use std::collections::BTreeSet;

use crate::finding::{Rule, Sink};
use crate::mp4::Track;
use crate::playlist::{Multivariant, Rendition, Variant};

static ATTRIBUTE: Rule = Rule::advice("stream-inf", "Apple authoring 9");
static GROUP: Rule = Rule::violation("group", "RFC 8216bis §4.4.6.2");
static CAPTIONS: Rule = Rule::violation("closed-captions", "RFC 8216bis §4.4.6.2");
static NAME: Rule = Rule::violation("rendition-name", "RFC 8216bis §4.4.6.1");
static DEFAULT: Rule = Rule::violation("rendition-default", "RFC 8216bis §4.4.6.1");
static HDR: Rule = Rule::violation("hdr-frame-rate", "AVPlayer; AetherEngine #130");
static CODECS: Rule = Rule::violation("codecs", "RFC 8216bis §4.4.6.2");
static RESOLUTION: Rule = Rule::advice("resolution", "RFC 8216bis §4.4.6.2");
static BANDWIDTH: Rule = Rule::violation("bandwidth", "Apple authoring 1.28");

pub(crate) fn check(playlist: &Multivariant, sink: &mut Sink<'_>) {
    for fault in &playlist.faults {
        sink.line(fault.rule, fault.line, fault.message.clone());
    }
    attributes(playlist, sink);
    groups(playlist, sink);
    captions(playlist, sink);
    names(playlist, sink);
    defaults(playlist, sink);
    hdr(playlist, sink);
}

fn attributes(playlist: &Multivariant, sink: &mut Sink<'_>) {
    for variant in &playlist.variants {
        let mut wanted = vec!["AVERAGE-BANDWIDTH", "CODECS"];
        if variant.attributes.text("RESOLUTION").is_some() {
            wanted.push("FRAME-RATE");
        }
        for name in wanted.iter().filter(|name| variant.attributes.text(name).is_none()) {
            sink.line(
                &ATTRIBUTE,
                variant.line,
                format!("the variant has no {name}: players choose by it."),
            );
        }
    }
}

fn groups(playlist: &Multivariant, sink: &mut Sink<'_>) {
    for variant in &playlist.variants {
        for kind in ["AUDIO", "VIDEO", "SUBTITLES"] {
            let Some(group) = variant.attributes.text(kind) else { continue };
            if !members(playlist, kind, group).any(|_| true) {
                sink.line(
                    &GROUP,
                    variant.line,
                    format!("no EXT-X-MEDIA of TYPE {kind} has the GROUP-ID {group}."),
                );
            }
        }
    }
}

fn captions(playlist: &Multivariant, sink: &mut Sink<'_>) {
    let none = |variant: &&Variant| variant.attributes.text("CLOSED-CAPTIONS") == Some("NONE");
    let with = playlist.variants.iter().filter(none).count();
    if with > 0 && with < playlist.variants.len() {
        sink.whole(
            &CAPTIONS,
            "CLOSED-CAPTIONS=NONE",
            "some variants say CLOSED-CAPTIONS=NONE and others do not: all do, or none.",
        );
    }
}

fn names(playlist: &Multivariant, sink: &mut Sink<'_>) {
    let mut seen = BTreeSet::new();
    for rendition in &playlist.renditions {
        let key = ["TYPE", "GROUP-ID", "NAME"].map(|name| rendition.attributes.text(name));
        if !seen.insert(key) {
            sink.line(
                &NAME,
                rendition.line,
                "another rendition of the group has the same NAME: players cannot tell them apart.",
            );
        }
    }
}

fn defaults(playlist: &Multivariant, sink: &mut Sink<'_>) {
    let mut seen = BTreeSet::new();
    for rendition in playlist.renditions.iter().filter(|it| it.attributes.yes("DEFAULT")) {
        let key = ["TYPE", "GROUP-ID"].map(|name| rendition.attributes.text(name));
        if !seen.insert(key) {
            sink.line(
                &DEFAULT,
                rendition.line,
                "another rendition of the group is DEFAULT=YES as well.",
            );
        }
        if rendition.attributes.text("AUTOSELECT") == Some("NO") {
            sink.line(&DEFAULT, rendition.line, "DEFAULT=YES contradicts AUTOSELECT=NO.");
        }
    }
}

fn hdr(playlist: &Multivariant, sink: &mut Sink<'_>) {
    for variant in &playlist.variants {
        let range = variant.attributes.text("VIDEO-RANGE");
        if matches!(range, Some("PQ" | "HLG")) && variant.attributes.text("FRAME-RATE").is_none() {
            sink.line(
                &HDR,
                variant.line,
                "a PQ or HLG variant has no FRAME-RATE: AVPlayer drops it.",
            );
        }
    }
}

/// Renditions of a group.
pub(crate) fn members<'a>(
    playlist: &'a Multivariant,
    kind: &'a str,
    group: &'a str,
) -> impl Iterator<Item = &'a Rendition> {
    playlist.renditions.iter().filter(move |rendition| {
        rendition.attributes.text("TYPE") == Some(kind)
            && rendition.attributes.text("GROUP-ID") == Some(group)
    })
}

/// CODECS names each track of the init section.
pub(crate) fn codecs(variant: &Variant, tracks: &[Track], sink: &mut Sink<'_>) {
    let named = variant.codecs();
    if named.is_empty() {
        return;
    }
    for track in tracks {
        // The level and what follows may be rounded up; the profile may not be another.
        let matches = |name: &&str| same_codec(name, &track.codec);
        if !named.iter().any(matches) {
            sink.line(&CODECS, variant.line, format!("the init section holds {}, which CODECS does not name: derive it from the media.", track.codec));
        }
    }
}

fn same_codec(named: &str, found: &str) -> bool {
    if named.eq_ignore_ascii_case(found) || !found.contains('.') {
        return named.split('.').next() == found.split('.').next();
    }
    let parts = |text: &str| {
        text.to_ascii_lowercase().split('.').take(4).map(str::to_owned).collect::<Vec<_>>()
    };
    found.starts_with('h') && parts(named) == parts(found)
}

pub(crate) fn resolution(variant: &Variant, tracks: &[Track], sink: &mut Sink<'_>) {
    let Some(said) = variant.attributes.text("RESOLUTION") else { return };
    let found = tracks.iter().find_map(|track| track.size);
    if let Some((width, height)) = found.filter(|(w, h)| *said != format!("{w}x{h}")) {
        sink.line(
            &RESOLUTION,
            variant.line,
            format!("RESOLUTION says {said}, the init section {width}x{height}."),
        );
    }
}

/// Measured peaks stay below 125 % of BANDWIDTH. Bits per second.
pub(crate) fn bandwidth(variant: &Variant, measured: u64, sink: &mut Sink<'_>) {
    let Some(said) = variant.number("BANDWIDTH") else { return };
    if measured * 100 > said * 125 {
        sink.line(&BANDWIDTH, variant.line, format!("BANDWIDTH says {} kbit/s, the peak was {} kbit/s: announce the peak, not the average.", said / 1000, measured / 1000));
    }
}
