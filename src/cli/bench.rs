//! `nowcast bench viewers`: players that follow the protocol, and what they see.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use url::Url;

use super::{Failure, print, print_json};
use crate::app;
use crate::config::units;
use crate::play::{self, Load, Progress, Report, Spread};

#[derive(Args, Debug)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Play a low-latency stream as many viewers at once, and show nothing.
    #[command(
        after_help = "Example:\n  nowcast bench viewers http://127.0.0.1:8080/live/live/index.m3u8 -n 200\n\nEach viewer plays the first variant listed and its audio, each over a connection of its own. Exit status 1: requests failed or the server answered too early."
    )]
    Viewers(Viewers),
}

#[derive(Args, Debug)]
struct Viewers {
    /// The multivariant playlist (http only).
    url: Url,
    /// How many viewers.
    #[arg(short, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    n: u32,
    /// Over how long they come.
    #[arg(long, default_value = "3s", value_parser = units::duration, value_name = "DURATION")]
    ramp: Duration,
    /// For how long they are measured once all play.
    #[arg(long = "for", default_value = "20s", value_parser = units::duration, value_name = "DURATION")]
    length: Duration,
    /// HTTP/2 by prior knowledge, instead of HTTP/1.1.
    #[arg(long)]
    http2: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(bench: &Bench) -> Result<(), Failure> {
    let What::Viewers(asked) = &bench.what;
    let load = Load {
        playlist: asked.url.clone(),
        viewers: asked.n as usize,
        ramp: asked.ramp,
        length: asked.length,
        http2: asked.http2,
    };
    let shown = std::io::stderr().is_terminal();
    let report = app::runtime()?.block_on(play::run(&load, |progress| {
        if shown {
            show(&load, progress);
        }
    }))?;
    if shown {
        // Progress is a courtesy: a terminal that went away stops nothing.
        write!(std::io::stderr(), "\r\x1b[K").ok();
    }
    match asked.json {
        true => print_json(&report)?,
        false => print(text(&report).as_bytes())?,
    }
    let failed: u64 = report.errors.values().sum();
    if failed > 0 || report.early > 0 || report.playing < report.viewers as u64 {
        return Err(anyhow::anyhow!(
            "{failed} requests failed, {} answers came too early, {} of {} viewers played",
            report.early,
            report.playing,
            report.viewers
        )
        .into());
    }
    Ok(())
}

fn show(load: &Load, progress: Progress) {
    let Progress { playing, parts, errors, measuring } = progress;
    let stage = if measuring { "measuring" } else { "coming" };
    let text = format!(
        "\r\x1b[K{stage}: {playing} of {} viewers play, {parts} parts, {errors} errors",
        load.viewers
    );
    std::io::stderr().write_all(text.as_bytes()).ok();
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let rate = |count: u64| count as f64 / report.seconds.max(0.001);
    let mut line =
        |label: &str, value: String| writeln!(text, "{label:<28}{value}").unwrap_or_default();
    line(
        "viewers",
        format!(
            "{} of {} play, {} renditions each",
            report.playing, report.viewers, report.renditions
        ),
    );
    line("measured", format!("{:.1} s", report.seconds));
    line("playlists", format!("{} ({:.0}/s)", report.playlists, rate(report.playlists)));
    line("parts", format!("{} ({:.0}/s)", report.parts, rate(report.parts)));
    line("received", format!("{:.1} Mbit/s", rate(report.bytes) * 8e-6));
    line("behind the first viewer", spread(&report.behind_first_ms));
    line("part asked for → there", spread(&report.part_fetch_ms));
    line("part's end → there, by PDT", spread(&report.part_age_ms));
    line("later than one part", report.late.to_string());
    line("too early", report.early.to_string());
    line("errors", report.errors.values().sum::<u64>().to_string());
    for (what, count) in &report.errors {
        line("", format!("{count} × {what}"));
    }
    line(
        "these viewers",
        format!("{:.2} cores, run late by {}", report.client_cores, spread(&report.client_lag_ms)),
    );
    if report.client_is_the_limit {
        text.push_str(
            "warning: this process did not get the processor when it was due, so delays are its own as well: use fewer viewers, or another machine than the server's\n",
        );
    }
    text
}

fn spread(spread: &Spread) -> String {
    let Spread { p50, p90, p99, max } = spread;
    format!("p50 {p50:.1} ms, p90 {p90:.1}, p99 {p99:.1}, max {max:.1}")
}
