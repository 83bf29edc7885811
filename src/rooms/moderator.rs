//! A moderator elsewhere, asked about each message that the rules allow.
//!
//! Only the message that is asked about waits, and not for long: what is not answered in time, or cannot
//! be asked, is decided as configured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nowcast_interact::{Op, Verdict, Viewer};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::warn;

use super::webhook::{Network, Webhook};
use super::{now_ms, now_secs, random};
use crate::config;
use crate::flow::StreamName;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(800);
/// Messages that are asked about at a time.
const TOGETHER: usize = 64;
/// After so many failures in a row nothing is asked for a while.
const FAILURES: u32 = 5;
/// For so long.
const PAUSE: Duration = Duration::from_secs(10);

/// Who judges for one room.
pub(super) struct Moderator {
    stream: StreamName,
    webhook: Arc<Webhook>,
    on_failure: Verdict,
    free: Arc<Semaphore>,
    /// In a row.
    failures: u32,
    paused: Option<Instant>,
    judged: (mpsc::UnboundedSender<Judged>, mpsc::UnboundedReceiver<Judged>),
}

/// A message that was asked about.
pub(super) struct Judged {
    pub(super) who: Viewer,
    pub(super) op: Op,
    answer: Option<Result<Verdict>>,
}

/// What comes back.
#[derive(Deserialize)]
struct Answer {
    verdict: Word,
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Hold,
    Block,
}

impl Moderator {
    pub(super) fn new(
        stream: StreamName,
        config: &config::Moderator,
        networks: &[Network],
    ) -> Result<Self> {
        let why = "the moderator does not answer".into();
        Ok(Self {
            stream,
            webhook: Arc::new(Webhook::new(&config.url, &config.secret, networks)?),
            on_failure: if config.allow_on_failure { Verdict::Allow } else { Verdict::Hold(why) },
            free: Arc::new(Semaphore::new(TOGETHER)),
            failures: 0,
            paused: None,
            judged: mpsc::unbounded_channel(),
        })
    }

    /// Asks about `text`, unless there is no `time` for it; [`Moderator::judged`] has the answer, sooner or
    /// later.
    pub(super) fn ask(&self, who: Viewer, op: Op, text: &str, time: bool) {
        let to = self.judged.0.clone();
        let paused = !time || self.paused.is_some_and(|until| Instant::now() < until);
        let Some(place) =
            (!paused).then(|| Arc::clone(&self.free).try_acquire_owned().ok()).flatten()
        else {
            // The room reads what it is sent as long as it is there.
            to.send(Judged { who, op, answer: None }).ok();
            return;
        };
        let by = json!({"id": who.id, "name": who.name, "anonymous": who.anonymous});
        let body = json!({
            "type": op.ask.kind(),
            "timestamp": now_ms(),
            "data": {"stream": self.stream.as_str(), "text": text, "by": by},
        });
        let webhook = Arc::clone(&self.webhook);
        tokio::spawn(async move {
            let asked = async {
                let id = format!("msg_{}", random::<12>()?);
                read(&webhook.send(&id, now_secs(), body.to_string()).await?)
            };
            let answer = timeout(PATIENCE, asked).await.context("it took too long").flatten();
            drop(place);
            // A room that has gone needs no answer.
            to.send(Judged { who, op, answer: Some(answer) }).ok();
        });
    }

    /// The next message that was judged.
    pub(super) async fn judged(&mut self) -> (Judged, Verdict) {
        // It holds a sender itself: there is always another one to come.
        let Some(mut judged) = self.judged.1.recv().await else {
            return std::future::pending().await;
        };
        let verdict = match judged.answer.take() {
            None => self.on_failure.clone(),
            Some(Ok(verdict)) => {
                (self.failures, self.paused) = (0, None);
                verdict
            }
            Some(Err(fault)) => {
                self.failures += 1;
                if self.failures >= FAILURES {
                    self.paused = Some(Instant::now() + PAUSE);
                }
                let stream = self.stream.as_str();
                warn!(stream, "the moderator gave no verdict: {fault:#}");
                self.on_failure.clone()
            }
        };
        (judged, verdict)
    }
}

fn read(bytes: &[u8]) -> Result<Verdict> {
    let Answer { verdict, why } =
        serde_json::from_slice(bytes).context("its answer is no verdict")?;
    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
    let why = if why.is_empty() { "the moderator's word".to_owned() } else { why };
    Ok(match verdict {
        Word::Allow => Verdict::Allow,
        Word::Hold => Verdict::Hold(why.into()),
        Word::Block => Verdict::Block(why.into()),
    })
}
