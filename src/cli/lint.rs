//! `nowcast lint`: any low-latency HLS stream, watched as a player would, judged by `nowcast_lint`.

mod client;
mod show;
mod watch;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use url::Url;

use self::watch::Watch;
use super::{Failure, print, print_json};
use crate::app;
use crate::config::units::duration;

#[derive(Args, Debug)]
pub(super) struct Lint {
    /// The multivariant playlist, or a media playlist.
    url: String,
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
    app::runtime()?.block_on(async {
        let until = Instant::now() + span;
        let watch = Watch::begin(&url, until).await.map_err(|failed| anyhow!("{failed}"))?;
        let progress = tokio::spawn(progress(Arc::clone(&watch), span));
        watch.follow(&url).await;
        progress.abort();
        let report = watch.report();
        if args.json {
            print_json(&show::json(&report))?;
        } else {
            print(show::text(&report).as_bytes())?;
        }
        let (violations, _) = show::count(&report);
        if violations > 0 {
            let rules = if violations == 1 { "rule is" } else { "rules are" };
            return Err(anyhow!("{violations} {rules} broken at {url}").into());
        }
        Ok(())
    })
}

fn address(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|error| {
        Failure::Usage(format!("{text} is no URL ({error}): write http://HOST/PATH.m3u8"))
    })?;
    match url.scheme() {
        "http" => Ok(url),
        scheme => Err(Failure::Usage(format!(
            "{scheme}:// cannot be fetched: write http://HOST/PATH.m3u8"
        ))),
    }
}

/// How far the watch is, on a terminal.
async fn progress(watch: Arc<Watch>, span: Duration) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let started = Instant::now();
    loop {
        let found = watch.linter(|linter| linter.found());
        // A terminal that went away is told nothing.
        write!(
            std::io::stderr(),
            "\r{:>4} s of {} s · {found} findings ",
            started.elapsed().as_secs(),
            span.as_secs()
        )
        .ok();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
