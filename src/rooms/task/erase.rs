//! Taking people out of a room: off the screens first, then out of the journal.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use nowcast_interact::{Id, Room};
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::super::store::{Restored, Store};
use super::super::{now_ms, random};
use super::Task;
use super::media::media;

/// How often what has become old is taken out.
const DAY: Duration = Duration::from_secs(86_400);

impl Task {
    /// Takes one person out. Nobody is answered meanwhile: it is done seldom, and soon.
    pub(super) async fn erase(&mut self, who: Id, to: oneshot::Sender<Json>) {
        let answer = match self.take_out(&who).await {
            Ok(messages) => json!({"erased": who, "messages": messages}),
            Err(fault) => {
                warn!(stream = %self.stream.name, "nobody was taken out: {fault:#}");
                json!({"erased": null, "fault": format!("{fault:#}")})
            }
        };
        // Who has gone meanwhile asks again: it is the same twice.
        to.send(answer).ok();
    }

    async fn take_out(&mut self, who: &Id) -> Result<usize> {
        let alias: Id = format!("gone-{}", random::<10>()?).into();
        let messages = self.room.take_out(who, &alias, now_ms());
        self.change_journal({
            let (room, who) = (self.stream.name.clone(), Arc::clone(who));
            move |store| store.erase(&room, &who, &alias)
        })
        .await?;
        info!(stream = %self.stream.name, messages, "somebody was taken out of the room");
        Ok(messages)
    }

    /// Once a day: what the audience did longer ago than the room keeps is forgotten.
    pub(super) async fn retire(&mut self) {
        if self.retired_at.elapsed() < DAY {
            return;
        }
        self.retired_at = std::time::Instant::now();
        let (room, before) = (self.stream.name.clone(), before(self.retention));
        let forget = move |store: &Store| {
            store.forget_answers(now_ms())?;
            store.retire(&room, before)
        };
        if let Err(fault) = self.change_journal(forget).await {
            warn!(stream = %self.stream.name, "what is old stays in the journal: {fault:#}");
        }
    }

    /// Changes what is on the disk, once all that was decided is there, and goes on with what it then is.
    async fn change_journal(
        &mut self,
        change: impl FnOnce(&Store) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.room.handle_part(now_ms());
        self.room.cut_tick();
        self.commit().await;
        while self.unsettled > 0
            && let Some(done) = self.done.1.recv().await
        {
            self.handle_done(done);
        }
        let (store, room) = (Arc::clone(&self.store), self.stream.name.clone());
        let epoch = self.room.epoch().to_string();
        let restored = spawn_blocking(move || {
            change(&store)?;
            store.restore(&room, &epoch)
        });
        let Restored { epoch, records, next } = restored.await??;
        self.next = next;
        self.ticks.restore(&records);
        let place = *self.stream.cues.position().borrow();
        self.room = Room::restore(epoch, self.settings.clone(), records);
        self.room.set_media(place.map(media));
        self.ticks.set_state(&self.room, true);
        Ok(())
    }
}

/// Unix milliseconds before which nothing of the audience is kept.
pub(in crate::rooms) fn before(retention: Duration) -> i64 {
    now_ms() - i64::try_from(retention.as_millis()).unwrap_or(i64::MAX / 2)
}
