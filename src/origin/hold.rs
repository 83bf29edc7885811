use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::client::Client;
use super::figures::Figures;
use super::holds::Holds;
use super::reply::Refusal;
use crate::flow::RenditionView;
use crate::listener::Limits;

/// What a request of one rendition waits on.
pub(super) struct Holder<'a> {
    pub(super) views: watch::Receiver<Arc<RenditionView>>,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) figures: &'a Figures,
    pub(super) holds: &'a Holds,
    pub(super) limits: &'a Limits,
    pub(super) client: Option<Client>,
}

impl Holder<'_> {
    /// The present view.
    pub(super) fn now(&mut self) -> Arc<RenditionView> {
        Arc::clone(&self.views.borrow_and_update())
    }

    /// Holds the request until `ready` finds its answer in a view later than the one last seen, for
    /// three target durations at most (§6.2.5.2). Dropping the future ends it: a client that is
    /// gone waits for nothing. Answers for how long it was held as well.
    ///
    /// One timer each, dearer to avoid than to have: 10,000 of them are set and dropped in 1 ms.
    pub(super) async fn until<T>(
        mut self,
        mut ready: impl FnMut(&RenditionView) -> Option<T>,
    ) -> Result<(Arc<RenditionView>, T, Duration), Refusal> {
        let _held = self.holds.admit(self.client, self.limits, self.figures)?;
        let since = Instant::now();
        let limit = self.views.borrow().edge.hold_limit();
        let views = &mut self.views;
        let found = async {
            loop {
                views.changed().await.ok()?;
                let view = views.borrow_and_update();
                if let Some(answer) = ready(&view) {
                    return Some((Arc::clone(&view), answer));
                }
            }
        };
        let shutdown = &mut self.shutdown;
        let found = async {
            tokio::select! {
                biased;
                found = found => found.ok_or_else(|| Refusal::not_found("session")),
                stopped = shutdown.wait_for(|stop| *stop) => {
                    drop(stopped);
                    Err(Refusal::Stopping)
                }
            }
        };
        let (view, answer) = timeout(limit, found).await.map_err(|_| Refusal::TooLate)??;
        let held = since.elapsed();
        self.figures.woken(held, view.published.elapsed());
        Ok((view, answer, held))
    }
}
