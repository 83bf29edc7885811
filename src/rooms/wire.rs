//! What goes over the wire, in the words of docs/contract.md and docs/events.md.

use std::borrow::Cow;
use std::sync::Arc;

use nowcast_interact::{Answer, Body, Carriage, Event, Range, Refusal, Settings, Span};
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::figures::{Carrier, Figures};
use crate::flow::{Composed, Cue, DateRange, PartSpan};

pub(super) fn ack(op_id: &str, answer: &Answer) -> Json {
    let mut ack = json!(answer);
    ack["t"] = json!("ack");
    ack["op_id"] = json!(op_id);
    ack
}

pub(super) fn nack(op_id: Option<&str>, refusal: &Refusal) -> Json {
    let mut nack = json!(refusal);
    nack["t"] = json!("nack");
    if let Some(op_id) = op_id {
        nack["op_id"] = json!(op_id);
    }
    nack
}

pub(super) fn bye(code: &str, reason: &str, retry_in_ms: Option<u64>) -> Utf8Bytes {
    json!({"t": "bye", "code": code, "reason": reason, "retry_in_ms": retry_in_ms})
        .to_string()
        .into()
}

pub(super) fn batch(events: &[Arc<Event>], more: usize) -> Utf8Bytes {
    batch_to(events, events.last().map_or(0, |event| event.seq), more)
}

pub(super) fn batch_to(events: &[Arc<Event>], to: u64, more: usize) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Batch<'a> {
        t: &'a str,
        to: u64,
        #[serde(skip_serializing_if = "is_zero")]
        more: usize,
        events: &'a [Arc<Event>],
    }
    // Events have string keys and no number that JSON lacks.
    serde_json::to_string(&Batch { t: "batch", to, more, events }).unwrap_or_default().into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// All events but what was taken out of the journal and the messages beyond the first `most`, and how many
/// those are.
pub(super) fn thinned(events: &[Arc<Event>], most: usize) -> (Cow<'_, [Arc<Event>]>, usize) {
    if events.len() <= most && !events.iter().any(|event| event.body.is_erased()) {
        return (Cow::Borrowed(events), 0);
    }
    let mut messages = 0;
    let kept: Vec<_> = events
        .iter()
        .filter(|event| !event.body.is_erased())
        .filter(|event| {
            let message = matches!(event.body, Body::ChatMessage { .. });
            messages += usize::from(message);
            !message || messages <= most
        })
        .cloned()
        .collect();
    let more = events.len() - kept.len();
    (Cow::Owned(kept), more)
}

pub(super) fn limits(settings: &Settings) -> Json {
    json!({
        "text_graphemes": settings.text.graphemes,
        "text_bytes": settings.text.bytes,
        "chat_interval_ms": 1500,
        "chat_burst": 3,
        "options": 10,
        "frame_bytes": super::socket::FRAME_BYTES,
    })
}

/// What a part carries of the log, as the media takes it.
pub(super) fn composed(carriage: &mut Carriage, span: &PartSpan, figures: &Figures) -> Composed {
    let before = carriage.counts();
    let cues = carriage.compose(&Span {
        pts: span.pts,
        duration: span.duration,
        starts_segment: span.part == 0,
        budget: span.budget,
    });
    let after = carriage.counts();
    let bytes = cues.iter().map(|cue| cue.text.len()).sum();
    figures.carried(Carrier::Emsg, bytes, after.left_out - before.left_out);
    figures.late(after.late - before.late);
    let cue = |cue: nowcast_interact::CueText| Cue {
        pts: cue.pts,
        duration: cue.duration,
        #[expect(clippy::cast_possible_truncation, reason = "the lower half names it well enough")]
        id: cue.seq as u32,
        text: cue.text,
    };
    let ranges = carriage.ranges(span.pts + u64::from(span.duration));
    Composed {
        cues: cues.into_iter().map(cue).collect(),
        date_ranges: ranges.into_iter().map(date_range).collect(),
    }
}

fn date_range(range: Range) -> DateRange {
    let mut attributes = vec![("X-NOWCAST-EVENT".into(), range.event)];
    attributes.extend(range.result.map(|result| ("X-NOWCAST-RESULT".into(), result)));
    DateRange {
        id: range.id.to_string(),
        class: range.class.into(),
        start_unix_ms: range.start_ms,
        duration_ms: range.duration_ms,
        planned_duration_ms: range.planned_ms,
        attributes,
    }
}
