//! How often one person may do something.

use std::collections::HashMap;

use crate::{Id, Role};

/// What is counted together.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Class {
    Chat,
    Slow,
    Vote,
    Ask,
    Upvote,
    React,
    Report,
    Control,
}

impl Class {
    /// Milliseconds between two, and how many may come at once.
    const fn limit(self) -> (i64, i64) {
        match self {
            Self::Chat => (1500, 3),
            Self::Slow => (0, 1),
            Self::Vote | Self::Upvote => (500, 10),
            Self::Ask => (30_000, 3),
            Self::React => (200, 15),
            Self::Report => (10_000, 6),
            Self::Control => (100, 50),
        }
    }
}

/// Limits of everybody (generic cell rate): one number a person and class, forgotten once it is met.
#[derive(Debug, Default)]
pub(crate) struct Rates(HashMap<(Id, Class), i64>);

impl Rates {
    /// Takes one of `class` for `who` at `now`, or says after how many milliseconds there is one.
    pub(crate) fn take(&mut self, who: &Id, role: Role, class: Class, now: i64) -> Result<(), u64> {
        let (interval, burst) = class.limit();
        let (interval, burst) =
            if role > Role::Viewer { (interval / 5, burst * 5) } else { (interval, burst) };
        self.take_by(who, class, interval, burst, now)
    }

    /// The same with an interval of its own.
    pub(crate) fn take_by(
        &mut self,
        who: &Id,
        class: Class,
        interval: i64,
        burst: i64,
        now: i64,
    ) -> Result<(), u64> {
        let due = self.0.entry((who.clone(), class)).or_insert(now);
        let from = (*due).max(now);
        let wait = from - now - interval * (burst - 1);
        if wait > 0 {
            return Err(wait.unsigned_abs());
        }
        *due = from + interval;
        Ok(())
    }

    /// Forgets whom nothing holds back any more.
    pub(crate) fn forget(&mut self, now: i64) {
        self.0.retain(|_, due| *due > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_then_the_interval_holds() {
        let (mut rates, me) = (Rates::default(), Id::from("me"));
        let mut take = |now| rates.take(&me, Role::Viewer, Class::Chat, now);
        assert_eq!([take(0), take(0), take(0)], [Ok(()); 3]);
        assert_eq!(take(100), Err(1400));
        assert_eq!((take(1500), take(1500)), (Ok(()), Err(1500)));
    }
}
