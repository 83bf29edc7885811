use anyhow::anyhow;
use clap::Args;
use nowcast_interact::audit::{Head, Row};
use serde::Deserialize;

use super::super::{Asks, Room, print_lines};
use crate::cli::streams::ask;
use crate::cli::{Failure, print, print_json};
use crate::config::Config;

#[derive(Args, Debug)]
pub(in crate::cli) struct Audit {
    #[command(flatten)]
    room: Room,
    /// Check that no row was edited, taken out or moved, and name the first that does not fit.
    #[arg(long)]
    verify: bool,
}

/// A piece of the log, as the server gives it.
#[derive(Deserialize)]
struct Page {
    rows: Vec<Row>,
    end: Head,
}

impl Asks for Audit {
    async fn ask(&self, config: &Config) -> Result<(), Failure> {
        let stream = &self.room.stream;
        let (mut rows, mut after) = (Vec::<Row>::new(), 0);
        // The end belongs to the last page: the log may grow meanwhile.
        let end = loop {
            let path = format!("/api/v1/streams/{stream}/audit?after={after}");
            let page = serde_json::from_value(ask(config, "GET", &path).await?);
            let page: Page = page.map_err(anyhow::Error::from)?;
            let last = page.rows.last().map(|row| row.n);
            rows.extend(page.rows);
            match last {
                Some(last) if last < page.end.n => after = last,
                _ => break page.end,
            }
        };
        if self.verify {
            return verify(stream, &rows, &end);
        }
        if self.room.json {
            return print_json(&rows);
        }
        let line = |row: &Row| {
            let Row { n, deed, .. } = row;
            format!(
                "{n:>6}  {}  {} ({})  {} {}",
                deed.at, deed.who, deed.role, deed.kind, deed.body
            )
        };
        print_lines(rows.iter().map(line), "nothing was done")
    }
}

fn verify(stream: &str, rows: &[Row], end: &Head) -> Result<(), Failure> {
    let followed = rows.iter().try_fold(Head::of(stream), |head, row| head.follow(row));
    match followed.and_then(|head| head.is_end(end)) {
        Ok(()) => {
            let text = format!(
                "{} rows, each as it was written; the end is {}: note it elsewhere, and whoever writes another log is found out\n",
                end.n, end.hash
            );
            print(text.as_bytes())
        }
        Err(misfit) => {
            Err(Failure::Failed(anyhow!("the log of {stream} was tampered with: {misfit}")))
        }
    }
}
