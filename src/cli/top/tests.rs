use std::net::SocketAddr;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::board::Sort;
use super::*;
use crate::config::{Overrides, StreamConfig};
use crate::flow::{StreamName, Streams};
use crate::{encode, listener, ops, publish};

fn screen(board: &Board, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, board)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

/// The screen as it shall be.
fn golden(name: &str) -> String {
    let file = format!("{}/src/cli/top/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

/// A stream as a server tells it after so many seconds.
fn told(name: &str, second: u64, viewers: u64) -> Value {
    json!({
        "name": name, "phase": "live", "problem": null, "publisher": "192.0.2.7:39117",
        "source": "H.264 1280x720 30.000 fps, AAC 48000 Hz 2 ch", "later": "is passed over",
        "ingest": {
            "bitrate": 3_500_000 + 10_000 * second, "rtt_ms": 12.4, "latency_ms": 200,
            "packets": 400 * second, "packets_lost": 4 * second, "packets_dropped": 1, "drift_ppm": null,
        },
        "encoder": { "pid": 3391, "restarts": 0, "delay_ms": 14.8, "cores": 0.51 },
        "renditions": [
            { "name": "720p", "codecs": "avc1.64001F", "width": 1280, "height": 720, "bitrate": 2_234_698,
              "parts": 47, "part_delay_ms": 15.1, "part_delay_p99_ms": 402.2, "late_parts": 1 },
            { "name": "audio", "codecs": "mp4a.40.2", "width": 0, "height": 0, "bitrate": 97_000,
              "parts": 46, "part_delay_ms": 0.0, "part_delay_p99_ms": 0.0, "late_parts": 0 },
        ],
        "audience": {
            "viewers": viewers, "reported": viewers, "direct": 2, "at_least": false, "waiting": 6,
            "egress": 8_100_000, "latency_ms": 680, "latency_p95_ms": 910, "stalls": 3,
        },
    })
}

/// Twenty seconds of three streams.
fn board() -> Board {
    let mut board = Board::new("127.0.0.1:8081".to_owned());
    for second in 0..20 {
        let waiting = json!({ "name": "b", "phase": "idle" });
        let refused = json!({
            "name": "refused", "phase": "unsupported",
            "problem": "there is no key frame in 2 s: set the encoder's key frame interval to 2 s",
        });
        let streams = json!([told("a", second, second), waiting, refused]);
        board.take(Ok(serde_json::from_value(streams).unwrap()));
    }
    board
}

#[test]
fn all_streams_fit_into_80_columns() {
    let mut board = board();
    assert_eq!(screen(&board, 80, 10), golden("list"));
    board.press(Key::Down);
    board.press(Key::Down);
    let refused = screen(&board, 80, 10);
    assert!(refused.contains("\nthere is no key frame in 2 s"), "{refused}");
    for (width, height) in [(1, 1), (20, 3), (200, 60)] {
        assert!(!screen(&board, width, height).is_empty());
        board.press(Key::Open);
        assert!(!screen(&board, width, height).is_empty());
        board.press(Key::Back);
    }
}

#[test]
fn one_stream_is_shown_with_all_there_is_to_say() {
    let mut board = board();
    board.press(Key::Open);
    assert_eq!(screen(&board, 80, 24), golden("alone"));
    board.press(Key::Back);
    assert_eq!(screen(&board, 80, 10), golden("list"));
}

#[test]
fn rows_are_sorted_and_the_chosen_one_stays_chosen() {
    let mut board = board();
    let streams = json!([told("a", 20, 1), told("b", 20, 5), told("c", 20, 3)]);
    board.take(Ok(serde_json::from_value(streams).unwrap()));
    let names = |board: &Board| -> String { board.streams().iter().map(|it| &*it.name).collect() };
    board.press(Key::Down);
    assert_eq!((names(&board), board.position()), ("abc".to_owned(), 1));
    board.press(Key::Sort);
    assert_eq!((board.sort, names(&board), board.position()), (Sort::Viewers, "bca".to_owned(), 0));
    board.press(Key::Up);
    assert_eq!(board.chosen().unwrap().name, "b");
    for _ in 0..9 {
        board.press(Key::Down);
    }
    assert_eq!(board.chosen().unwrap().name, "a");
}

#[tokio::test]
async fn a_server_that_is_away_is_said_to_be_and_taken_up_again_when_it_is_back() {
    let streams = Arc::new(Streams::default());
    let start_encoder: publish::StartEncoder =
        Arc::new(|job| encode::spawn(job, encode::Options::default()));
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(publish::Store::open(dir.path()).unwrap());
    let setting = publish::Setting { start_encoder, start_counter: 1, store };
    let stream = StreamConfig::standard(StreamName::new("live").unwrap());
    streams.insert(&publish::spawn(stream, setting));
    let serve = |address: SocketAddr| {
        let listener = listener::listen(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let desk = ops::Ops::new(Arc::clone(&streams), stopped.clone(), None, Vec::new());
        (address, stop, tokio::spawn(ops::serve(listener, Arc::new(desk), stopped)))
    };
    let (address, stop, served) = serve(SocketAddr::from(([127, 0, 0, 1], 0)));
    let file = format!("[ops]\nlisten = \"{address}\"");
    let config = Config::load("f", &file, &Overrides::default()).unwrap();
    let mut board = Board::new(address.to_string());
    assert!(screen(&board, 80, 24).contains("waiting for the server"));
    board.take(fetch(&config).await);
    let up = screen(&board, 80, 24);
    assert!(up.contains("1 streams") && up.contains("\nlive        idle"), "{up}");

    stop.send_replace(true);
    served.await.unwrap();
    board.take(fetch(&config).await);
    let away = screen(&board, 80, 24);
    assert!(away.contains("\nlive        idle"), "{away}");
    // Lines break where they must.
    let away = away.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        away.contains("no server answers at") && away.contains("what is shown is old"),
        "{away}"
    );

    let _again = serve(address);
    board.take(fetch(&config).await);
    let again = screen(&board, 80, 24);
    assert!(again.contains("\nlive        idle") && !again.contains("no server"), "{again}");
}
