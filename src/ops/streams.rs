//! What each stage of each stream knows, as metrics.

use crate::flow::{Audience, EncoderStatus, IngestHealth, RenditionStatus, Shown};
use crate::metrics::Exposition;
use crate::metrics::Kind::{self, Counter, Gauge};

/// A metric: its name, what it is, its help, and where its number stands.
type Row<T> = (&'static str, Kind, &'static str, fn(&T) -> f64);

const INGEST: &[Row<IngestHealth>] = &[
    ("ingest_bytes_total", Counter, "Bytes received from the publisher.", |i| count(i.bytes)),
    ("ingest_bits_per_second", Gauge, "Received over the last second.", |i| count(i.bitrate)),
    ("ingest_rtt_seconds", Gauge, "Round-trip time of the SRT link.", |i| i.rtt_ms / 1e3),
    ("ingest_latency_seconds", Gauge, "SRT latency both ends agreed on.", |i| {
        f64::from(i.latency_ms) / 1e3
    }),
    ("ingest_packets_total", Counter, "SRT packets received.", |i| count(i.packets)),
    ("ingest_packets_lost_total", Counter, "SRT packets missing at first.", |i| {
        count(i.packets_lost)
    }),
    ("ingest_packets_retransmitted_total", Counter, "SRT packets sent again.", |i| {
        count(i.packets_retransmitted)
    }),
    ("ingest_packets_dropped_total", Counter, "SRT packets given up.", |i| {
        count(i.packets_dropped)
    }),
    ("ingest_encryption_bits", Gauge, "Length of the link's key; 0 if it is plain.", |i| {
        f64::from(i.encryption_bits)
    }),
    (
        "ingest_dropped_events_total",
        Counter,
        "Frames dropped since the stream did not keep up.",
        |i| count(i.dropped_events),
    ),
    ("ingest_continuity_errors_total", Counter, "TS continuity errors.", |i| {
        count(i.continuity_errors)
    }),
    ("ingest_damaged_packets_total", Counter, "TS packets flagged or found damaged.", |i| {
        count(i.damaged_packets)
    }),
    ("ingest_drift_ppm", Gauge, "How far the source's clock runs from ours.", |i| {
        i.drift_ppm.unwrap_or(f64::NAN)
    }),
];

const ENCODER: &[Row<EncoderStatus>] = &[
    ("encoder_running", Gauge, "1 while a worker runs.", |e| f64::from(u8::from(e.pid.is_some()))),
    ("encoder_restarts_total", Counter, "Workers started again.", |e| count(e.restarts)),
    ("encoder_frames_total", Counter, "Frames decoded from the source.", |e| count(e.frames_in)),
    ("encoder_frames_repeated_total", Counter, "Frames repeated to keep the frame rate.", |e| {
        count(e.frames_repeated)
    }),
    ("encoder_frames_skipped_total", Counter, "Frames left out to keep the frame rate.", |e| {
        count(e.frames_skipped)
    }),
    ("encoder_cores", Gauge, "Processor cores the worker takes, ten seconds' mean.", |e| {
        e.cores.unwrap_or(f64::NAN)
    }),
    (
        "encoder_delay_seconds",
        Gauge,
        "From access unit to coded frame, slowest rung, median of the last second.",
        |e| e.delay_ms / 1e3,
    ),
];

const RENDITION: &[Row<RenditionStatus>] = &[
    ("rendition_bits_per_second", Gauge, "Over the playlist's window.", |r| count(r.bitrate)),
    ("rendition_parts_total", Counter, "Parts published.", |r| count(r.parts)),
    ("rendition_media_sequence_number", Gauge, "The last segment's.", |r| count(r.msn)),
    (
        "rendition_part_delay_seconds",
        Gauge,
        "From a part's last picture coming in to its being listed, p99 of the last 300 parts.",
        |r| r.part_delay_p99_ms / 1e3,
    ),
    ("rendition_late_parts_total", Counter, "Parts that took longer than a part lasts.", |r| {
        count(r.late_parts)
    }),
];

const AUDIENCE: &[Row<Audience>] = &[
    ("viewers", Gauge, "Viewers: the least there can be.", |a| count(a.viewers)),
    ("viewers_reported", Gauge, "Sessions that told of themselves in 30 s (CMCD).", |a| {
        count(a.reported)
    }),
    ("viewers_direct", Gauge, "Players, or caches, that ask this server for media.", |a| {
        count(a.direct)
    }),
    ("viewers_at_least", Gauge, "1 while there are more sessions than are kept.", |a| {
        f64::from(u8::from(a.at_least))
    }),
    ("viewer_buffer_seconds", Gauge, "What the median session has buffered.", |a| {
        seconds(a.buffer_ms)
    }),
    ("viewer_bits_per_second", Gauge, "What sessions play, on average.", |a| {
        a.bitrate.map_or(f64::NAN, count)
    }),
    ("viewer_stalls_total", Counter, "Times that viewers' buffers ran dry.", |a| count(a.stalls)),
    ("stream_waiting_requests", Gauge, "Requests in hand, nearly all of them held.", |a| {
        count(a.waiting)
    }),
    ("stream_egress_bits_per_second", Gauge, "Sent over ten seconds.", |a| count(a.egress)),
];

pub(super) fn expose(out: &mut Exposition, shown: &[Shown]) {
    let audiences: Vec<_> =
        shown.iter().map(|one| ([("stream", one.status.name.as_str())], &one.audience)).collect();
    table(out, AUDIENCE, &audiences);
    latencies(out, shown);
    let streams: Vec<_> = shown.iter().map(|one| &one.status).collect();
    let phases: Vec<_> = streams
        .iter()
        .map(|stream| (stream.name.as_str(), format!("{:?}", stream.phase).to_lowercase()))
        .collect();
    let labels: Vec<_> =
        phases.iter().map(|(stream, phase)| [("stream", *stream), ("phase", phase)]).collect();
    let samples = labels.iter().map(|labels| (&labels[..], 1));
    out.family("stream_phase", Gauge, "Where the stream stands: 1 for its phase.", samples);
    let ingests =
        streams.iter().filter_map(|s| Some(([("stream", s.name.as_str())], s.ingest.as_ref()?)));
    table(out, INGEST, &ingests.collect::<Vec<_>>());
    let encoders =
        streams.iter().filter_map(|s| Some(([("stream", s.name.as_str())], s.encoder.as_ref()?)));
    table(out, ENCODER, &encoders.collect::<Vec<_>>());
    let renditions = streams.iter().flat_map(|stream| {
        let name = stream.name.as_str();
        stream
            .renditions
            .iter()
            .map(move |one| ([("stream", name), ("rendition", one.name.as_str())], one))
    });
    table(out, RENDITION, &renditions.collect::<Vec<_>>());
}

/// How far behind live the sessions are that say so.
fn latencies(out: &mut Exposition, shown: &[Shown]) {
    let mut samples = Vec::new();
    for Shown { status, audience } in shown {
        for (quantile, ms) in [("0.5", audience.latency_ms), ("0.95", audience.latency_p95_ms)] {
            if ms.is_some() {
                samples.push((
                    [("stream", status.name.as_str()), ("quantile", quantile)],
                    seconds(ms),
                ));
            }
        }
    }
    let help = "From a picture's being listed to its being seen, as players tell.";
    let samples = samples.iter().map(|(labels, value)| (&labels[..], *value));
    out.family("viewer_latency_seconds", Gauge, help, samples);
}

fn seconds(ms: Option<u32>) -> f64 {
    ms.map_or(f64::NAN, |ms| f64::from(ms) / 1e3)
}

fn table<const N: usize, T>(
    out: &mut Exposition,
    rows: &[Row<T>],
    subjects: &[([(&str, &str); N], &T)],
) {
    for (name, kind, help, value) in rows {
        let samples = subjects.iter().map(|(labels, subject)| (&labels[..], value(subject)));
        out.family(name, *kind, help, samples);
    }
}

/// Prometheus has only floats; they are exact up to 2^53.
fn count(number: u64) -> f64 {
    number as f64
}
