use std::sync::Arc;
use std::time::{Duration, Instant};

use nowcast_lint::cdn::{Comparison, too_early};
use nowcast_lint::playlist::MediaPlaylist;
use nowcast_lint::{Exchange, Purpose, Report};
use url::Url;

use super::client::{Ask, Failed};
use super::watch::{Watch, directed};

/// The origin and its edge, watched side by side: the report of each, the edge's with the cache's faults.
pub(super) async fn watch(
    origin: &Url,
    edge: &Url,
    until: Instant,
) -> Result<(Report, Report), Failed> {
    let started = Instant::now();
    let (origin_watch, edge_watch) = tokio::try_join!(
        Watch::begin_at(started, origin, until),
        Watch::begin_at(started, edge, until)
    )?;
    let comparing = async {
        let pairs = origin_watch.playlists(origin).into_iter().zip(edge_watch.playlists(edge));
        let mut compared = Comparison::new();
        // One rendition shows what a cache does with all.
        if let Some((at_origin, at_edge)) = pairs.into_iter().next() {
            let pair = Pair { origin: &origin_watch, edge: &edge_watch, at_origin, at_edge };
            let until = tokio::time::Instant::from_std(until);
            tokio::time::timeout_at(until, pair.compare(&mut compared)).await.ok();
        }
        compared
    };
    let (compared, (), ()) =
        tokio::join!(comparing, origin_watch.follow(origin), edge_watch.follow(edge));
    let at_origin = origin_watch.report();
    let at_edge = compared.finish(&at_origin, edge_watch.report());
    Ok((at_origin, at_edge))
}

struct Pair<'a> {
    origin: &'a Arc<Watch>,
    edge: &'a Arc<Watch>,
    at_origin: Url,
    at_edge: Url,
}

impl Pair<'_> {
    /// Round after round, until the watch ends.
    async fn compare(&self, compared: &mut Comparison) {
        let mut early: Option<(Url, u64, Exchange)> = None;
        loop {
            let latest = self.origin.linter(|linter| linter.latest(&self.at_origin).cloned());
            let Some(latest) = latest.filter(|latest| latest.ended.is_none()) else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            self.plain(compared).await;
            self.blocking(&latest, compared).await;
            self.media(&latest, compared).await;
            match early.take() {
                None => {
                    let (url, msn) = too_early(&self.at_edge, &latest);
                    let first = self.edge.ask(Ask::new(url.clone(), Purpose::Playlist)).await;
                    early =
                        first.filter(|first| first.status == 400).map(|first| (url, msn, first));
                }
                // By then it lists the segment itself.
                Some((url, msn, first)) if latest.position().open_msn > msn => {
                    self.again(&url, &first, compared).await;
                }
                waiting => early = waiting,
            }
        }
    }

    async fn plain(&self, compared: &mut Comparison) {
        if let Some(edge) = self.edge.ask(Ask::new(self.at_edge.clone(), Purpose::Playlist)).await {
            self.origin.linter(|linter| {
                compared.plain(&edge, |at| linter.position_at(&self.at_origin, at));
            });
        }
    }

    async fn blocking(&self, latest: &MediaPlaylist, compared: &mut Comparison) {
        let end = latest.position();
        let mut next = format!("_HLS_msn={}", end.open_msn);
        if latest.part_target.is_some() {
            next += &format!("&_HLS_part={}", end.open_parts);
        }
        if !latest.control().can_block_reload {
            tokio::time::sleep(latest.target() / 2).await;
            return;
        }
        let ask = |url| Ask::new(directed(url, &next), Purpose::Playlist);
        let both =
            tokio::join!(self.origin.ask(ask(&self.at_origin)), self.edge.ask(ask(&self.at_edge)));
        if let (Some(origin), Some(edge)) = both {
            compared.blocking(&origin, &edge);
        }
    }

    /// The last part listed, and the last segment.
    async fn media(&self, latest: &MediaPlaylist, compared: &mut Comparison) {
        let part = latest.segments.iter().rev().flat_map(|segment| segment.parts.last()).next();
        let part = part.filter(|part| !part.gap).map(|part| (&part.url, part.range));
        let segment = latest.complete().next_back().filter(|segment| !segment.gap);
        let segment = segment.and_then(|segment| Some((segment.url.as_ref()?, segment.range)));
        for (url, range) in part.into_iter().chain(segment) {
            let same =
                self.at_origin.make_relative(url).and_then(|path| self.at_edge.join(&path).ok());
            let Some(same) = same else { continue };
            let ask = |url| Ask { range, ..Ask::new(url, Purpose::Listed) };
            let both = tokio::join!(self.origin.ask(ask(url.clone())), self.edge.ask(ask(same)));
            if let (Some(origin), Some(edge)) = both {
                compared.media(&origin, &edge);
            }
        }
    }

    async fn again(&self, url: &Url, first: &Exchange, compared: &mut Comparison) {
        let query = url.query().unwrap_or_default();
        let directives = query.find("_HLS_msn").map_or(query, |at| &query[at..]);
        let origin = Ask::new(directed(&self.at_origin, directives), Purpose::Playlist);
        let edge = Ask::new(url.clone(), Purpose::Playlist);
        if let (Some(origin), Some(edge)) =
            tokio::join!(self.origin.ask(origin), self.edge.ask(edge))
        {
            compared.error(first, &origin, &edge);
        }
    }
}
