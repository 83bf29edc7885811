use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use url::Url;

use super::client::{Answer, Connection};
use super::figures::Figures;

/// Longer than any server holds a request at target durations of up to 6 s.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before a viewer whose playing broke begins again.
const PAUSE: Duration = Duration::from_secs(1);

/// One of many equal viewers.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) renditions: Vec<Url>,
    pub(super) http2: bool,
    pub(super) figures: Arc<Figures>,
}

impl Viewer {
    /// Plays until the stream ends: each rendition over a connection of its own.
    pub(super) async fn play(self: Arc<Self>) {
        join_all((0..self.renditions.len()).map(|rendition| self.keep_playing(rendition))).await;
    }

    async fn keep_playing(&self, rendition: usize) {
        let mut begun = false;
        while let Err(error) = self.rendition(rendition, &mut begun).await {
            self.figures.error(format!("{error:#}"));
            sleep(PAUSE).await;
        }
    }

    /// As RFC 8216bis §6.3.7 and §6.2.5 have it: the playlist, then for each part a blocking request
    /// for the playlist that lists it, by delta updates, and the part itself.
    async fn rendition(&self, rendition: usize, begun: &mut bool) -> Result<()> {
        let playlist = &self.renditions[rendition];
        let mut connection = Connection::open(playlist, self.http2).await?;
        let answer = get(&mut connection, playlist, "playlist").await?;
        let mut latest =
            self.figures.read(rendition, playlist, &answer).context("no low-latency playlist")?;
        // A viewer at the live edge begins with the newest part.
        let mut wanted = latest.parts.last().map_or(latest.end, |part| part.at);
        loop {
            for part in latest.parts.iter().filter(|part| part.at >= wanted) {
                if !connection.serves(&part.url) {
                    bail!("parts on another host than their playlist are not played");
                }
                let since = Instant::now();
                let answer = get(&mut connection, &part.url, "part").await?;
                self.figures.part(since, part.ends_at, answer.body.len());
                if rendition == 0 && !std::mem::replace(begun, true) {
                    self.figures.plays();
                }
            }
            if latest.ended {
                return Ok(());
            }
            wanted = latest.end;
            let mut from = playlist.clone();
            from.query_pairs_mut()
                .append_pair("_HLS_msn", &wanted.open_msn.to_string())
                .append_pair("_HLS_part", &wanted.open_parts.to_string())
                .append_pair("_HLS_skip", "YES");
            let answer = get(&mut connection, &from, "playlist").await?;
            latest = self
                .figures
                .read(rendition, playlist, &answer)
                .context("no low-latency playlist")?;
            self.figures.playlist(rendition, wanted, &latest, answer.body.len());
        }
    }
}

async fn get(connection: &mut Connection, from: &Url, what: &str) -> Result<Answer> {
    let answer = timeout(PATIENCE, connection.get(from))
        .await
        .map_err(|_| anyhow!("{what}: no answer for {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("{what}: connection broken"))?;
    match answer.status {
        200 => Ok(answer),
        status => bail!("{what}: status {status}"),
    }
}
