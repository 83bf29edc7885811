//! `nowcast top`: the streams of a running server, live, in a terminal.

mod board;
#[cfg(test)]
mod tests;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::board::{Board, Key, Stream};
use super::Failure;
use super::streams::{ask, ops_address};
use crate::app;
use crate::config::Config;

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let message = "top draws on a terminal; `nowcast streams --json` prints the same figures";
        return Err(Failure::Usage(message.to_owned()));
    }
    let runtime = app::runtime()?;
    // Restored when this is dropped, and by a hook when the program panics.
    let mut screen = Screen(ratatui::try_init().context("the terminal cannot be drawn on")?);
    let ended = runtime.block_on(watch(config.clone(), &mut screen.0));
    drop(screen);
    // The thread that reads keys waits for one more; nobody waits for the thread.
    runtime.shutdown_background();
    Ok(ended?)
}

/// The terminal, as it was once this is dropped.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Draws until somebody quits.
async fn watch(config: Config, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut board = Board::new(ops_address(&config).to_string());
    let (tell, mut news) = mpsc::channel(1);
    tokio::spawn(async move {
        while tell.send(fetch(&config).await).await.is_ok() {
            tokio::time::sleep(EVERY).await;
        }
    });
    let (pressed, mut keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if pressed.blocking_send(event).is_err() {
                break;
            }
        }
    });
    loop {
        terminal.draw(|frame| view::draw(frame, &board))?;
        tokio::select! {
            Some(told) = news.recv() => board.take(told),
            event = keys.recv() => match event {
                Some(Event::Key(key)) => match meaning(key) {
                    Some(Press::Quit) => return Ok(()),
                    Some(Press::Key(key)) => board.press(key),
                    None => {}
                },
                // Another size: drawn anew.
                Some(_) => {}
                None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
        }
    }
}

/// What the server tells of its streams, or a sentence.
async fn fetch(config: &Config) -> Result<Vec<Stream>, String> {
    let asked = tokio::time::timeout(PATIENCE, ask(config, "GET", "/api/v1/streams")).await;
    match asked {
        Err(_) => Err(format!("{} takes longer than 3 s to answer", ops_address(config))),
        Ok(Err(Failure::Failed(error))) => Err(format!("{error:#}")),
        Ok(Err(_)) => Err("the server cannot be asked".to_owned()),
        Ok(Ok(value)) => serde_json::from_value(value)
            .map_err(|error| format!("the server's answer cannot be read: {error}")),
    }
}

enum Press {
    Quit,
    Key(Key),
}

fn meaning(key: KeyEvent) -> Option<Press> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Press::Quit,
        KeyCode::Char('q') => Press::Quit,
        KeyCode::Char('s') => Press::Key(Key::Sort),
        KeyCode::Char('k') | KeyCode::Up => Press::Key(Key::Up),
        KeyCode::Char('j') | KeyCode::Down => Press::Key(Key::Down),
        KeyCode::Enter => Press::Key(Key::Open),
        KeyCode::Esc => Press::Key(Key::Back),
        _ => return None,
    })
}
