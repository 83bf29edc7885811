//! `nowcast lint`: any low-latency HLS stream, watched as a player would, judged by `nowcast_lint`.

mod client;
mod edge;
mod show;
mod watch;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use nowcast_lint::Report;
use url::Url;

use self::watch::Watch;
use super::{Failure, print, print_json};
use crate::app;
use crate::config::units::duration;

#[derive(Args, Debug)]
pub(super) struct Lint {
    /// The multivariant playlist, or a media playlist.
    url: String,
    /// The same playlist behind a cache: both are watched, and what the cache does wrong is named.
    #[arg(long, value_name = "EDGE_URL")]
    cdn: Option<String>,
    /// How long to watch.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s")]
    span: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Lint) -> Result<(), Failure> {
    let url = address(&args.url)?;
    let span = duration(&args.span).map_err(Failure::Usage)?;
    let edge = args.cdn.as_deref().map(address).transpose()?;
    app::runtime()?.block_on(async {
        let until = Instant::now() + span;
        let progress = tokio::spawn(progress(span));
        let reports = match &edge {
            None => alone(&url, until).await.map(|report| (report, None)),
            Some(edge) => {
                edge::watch(&url, edge, until).await.map(|(origin, edge)| (origin, Some(edge)))
            }
        };
        progress.abort();
        let (origin, at_edge) = reports.map_err(|failed| anyhow!("{failed}"))?;
        if args.json {
            print_json(&match &at_edge {
                None => show::json(&origin),
                Some(edge) => {
                    serde_json::json!({ "origin": show::json(&origin), "edge": show::json(edge) })
                }
            })?;
        } else {
            let mut text = show::text(&origin);
            if let (Some(url), Some(report)) = (&edge, &at_edge) {
                text = format!(
                    "origin {}\n\n{text}\nedge {url}: what its cache adds\n\n{}",
                    args.url,
                    show::text(report)
                );
            }
            print(text.as_bytes())?;
        }
        let violations: usize = [Some(&origin), at_edge.as_ref()]
            .into_iter()
            .flatten()
            .map(|report| show::count(report).0)
            .sum();
        if violations > 0 {
            let rules = if violations == 1 { "rule is" } else { "rules are" };
            return Err(anyhow!("{violations} {rules} broken at {url}").into());
        }
        Ok(())
    })
}

async fn alone(url: &Url, until: Instant) -> Result<Report, client::Failed> {
    let watch = Watch::begin(url, until).await?;
    watch.follow(url).await;
    Ok(watch.report())
}

fn address(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|error| {
        Failure::Usage(format!(
            "{text} is no URL ({error}): write http://HOST/PATH.m3u8 or https://HOST/PATH.m3u8"
        ))
    })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(Failure::Usage(format!(
            "{scheme}:// cannot be fetched: write http://HOST/PATH.m3u8 or https://HOST/PATH.m3u8"
        ))),
    }
}

/// How far the watch is, on a terminal.
async fn progress(span: Duration) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let started = Instant::now();
    loop {
        let gone = started.elapsed().min(span).as_secs();
        // A terminal that went away is told nothing.
        write!(std::io::stderr(), "\r{gone:>4} s of {} s ", span.as_secs()).ok();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
