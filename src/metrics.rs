//! Numbers for the operator: counted without locks where they arise, written as Prometheus text
//! where they are asked for. Who counts does not know who reads.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Durations sorted into buckets.
#[derive(Debug)]
pub struct Histogram {
    /// Upper ends in seconds, rising.
    bounds: &'static [f64],
    /// One more than bounds: the last is beyond all.
    counts: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Buckets that end at `bounds`, in seconds, rising.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_micros: AtomicU64::new(0) }
    }

    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }
}

/// What writes a part of the metrics.
pub type Source = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// What a metric is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Prometheus text, format 0.0.4. Every name gets the prefix `nowcast_`.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// A metric and its samples: label pairs, and a value.
    pub fn family<'a, V: Display>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], V)>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, labels, value);
        }
    }

    /// A metric of one value.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help, [([].as_slice(), value)]);
    }

    /// A histogram, its name in seconds.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for (index, counted) in histogram.counts.iter().enumerate() {
            count += counted.load(Relaxed);
            let bound =
                histogram.bounds.get(index).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            self.sample(&bucket, &[("le", &bound)], count);
        }
        let micros = histogram.sum_micros.load(Relaxed);
        let sum = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], count);
    }

    /// The text so far.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP nowcast_{name} {help}\n# TYPE nowcast_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.write(format_args!("nowcast_{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.write(format_args!("{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' }));
        }
        self.write(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        self.text.write_fmt(text).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut out = Exposition::default();
        let labels = [("stream", "a\"b\\c\nd"), ("phase", "live")];
        out.family("stream_phase", Kind::Gauge, "Where it stands.", [(&labels[..], 1)]);
        let held = Histogram::new(&[0.1, 0.5]);
        for millis in [100, 101, 2000] {
            held.observe(Duration::from_millis(millis));
        }
        out.histogram("held_seconds", "Time held.", &held);
        assert_eq!(
            out.into_text(),
            "# HELP nowcast_stream_phase Where it stands.\n\
             # TYPE nowcast_stream_phase gauge\n\
             nowcast_stream_phase{stream=\"a\\\"b\\\\c\\nd\",phase=\"live\"} 1\n\
             # HELP nowcast_held_seconds Time held.\n\
             # TYPE nowcast_held_seconds histogram\n\
             nowcast_held_seconds_bucket{le=\"0.1\"} 1\n\
             nowcast_held_seconds_bucket{le=\"0.5\"} 2\n\
             nowcast_held_seconds_bucket{le=\"+Inf\"} 3\n\
             nowcast_held_seconds_sum 2.201000\n\
             nowcast_held_seconds_count 3\n"
        );
        assert_eq!(held.count(), 3);
    }
}
