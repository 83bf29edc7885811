//! The player's side: viewers that follow the low-latency protocol and show nothing, for
//! `nowcast bench viewers`.

mod client;
mod figures;
mod player;
mod playlist;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use url::Url;

use self::client::Connection;
use self::figures::Figures;
pub use self::figures::{Progress, Report, Spread};
use self::player::Viewer;

/// What is to be played, and by how many.
#[derive(Clone, Debug)]
pub struct Load {
    /// A multivariant playlist.
    pub playlist: Url,
    /// Viewers.
    pub viewers: usize,
    /// Over how long they come.
    pub ramp: Duration,
    /// For how long they are measured once all are there.
    pub length: Duration,
    /// HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
}

/// How long a viewer may take to have its first part.
const START: Duration = Duration::from_secs(30);

/// Plays; tells `progress` once a second.
///
/// # Errors
/// The multivariant playlist cannot be had, or has nothing to play.
pub async fn run(load: &Load, mut progress: impl FnMut(Progress)) -> Result<Report> {
    let renditions = choose(load).await?;
    let figures = Arc::new(Figures::new(renditions.len()));
    let viewer = Arc::new(Viewer { renditions, http2: load.http2, figures: Arc::clone(&figures) });
    let mut viewers = JoinSet::new();
    let apart = load.ramp.checked_div(u32::try_from(load.viewers)?).unwrap_or_default();
    let watch = tokio::spawn(figures::watch_scheduling(Arc::clone(&figures)));
    let began = Instant::now();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut measured_since = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                progress(figures.progress());
                match measured_since {
                    None if viewers.len() == load.viewers => {
                        let all_play = figures.playing() >= load.viewers as u64;
                        if all_play || began.elapsed() > load.ramp + START {
                            figures.begin();
                            measured_since = Some(Instant::now());
                        }
                    }
                    Some(since) if since.elapsed() >= load.length => break,
                    _ => {}
                }
            }
            () = sleep(apart), if viewers.len() < load.viewers => {
                // One a millisecond at the most by the timer: what is due is started together.
                let due = match apart.is_zero() {
                    true => load.viewers,
                    false => (began.elapsed().as_nanos() / apart.as_nanos()) as usize + 1,
                };
                while viewers.len() < due.min(load.viewers) {
                    viewers.spawn(Arc::clone(&viewer).play());
                }
            }
        }
    }
    watch.abort();
    Ok(figures.report(load.viewers, measured_since.map_or(Duration::ZERO, |since| since.elapsed())))
}

/// The first variant listed, and its audio if that is a playlist of its own: two renditions for each viewer.
async fn choose(load: &Load) -> Result<Vec<Url>> {
    if load.playlist.scheme() != "http" {
        bail!("{}: only http is played", load.playlist);
    }
    let fetched = async {
        let mut connection = Connection::open(&load.playlist, load.http2).await?;
        connection.get(&load.playlist).await
    };
    let answer = timeout(Duration::from_secs(10), fetched)
        .await
        .context("no answer for 10 s")
        .flatten()
        .with_context(|| format!("{}: is the server there?", load.playlist))?;
    if answer.status != 200 {
        bail!("{}: status {}: {}", load.playlist, answer.status, answer.text()?.trim());
    }
    let renditions = playlist::first_variant(&answer.text()?, &load.playlist);
    if renditions.is_empty() {
        bail!("{} lists nothing to play: name a multivariant playlist", load.playlist);
    }
    Ok(renditions)
}
