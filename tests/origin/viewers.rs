//! `nowcast bench viewers` against an origin that is right, and against servers that are not.

use std::collections::BTreeMap;
use std::time::Duration;

use nowcast::flow::Compressed;
use nowcast::play::{self, Load, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval_at};

use super::{PARTS, Publisher, Server};

const PART: Duration = Duration::from_millis(200);
const VARIANTS: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n1/720p/index.m3u8\n";

async fn play(address: std::net::SocketAddr, http2: bool) -> Report {
    let load = Load {
        playlist: format!("http://{address}/live/live/index.m3u8").parse().unwrap(),
        viewers: 20,
        ramp: PART,
        length: 10 * PART,
        http2,
    };
    play::run(&load, |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_play_every_part_of_a_live_stream() {
    for http2 in [false, true] {
        let mut publisher = Publisher::new();
        publisher.video.parts(10 * PARTS + 2);
        publisher.multivariant.send_replace(Some(Compressed::new(VARIANTS.to_owned())));
        let server = Server::start(&publisher).await;
        let publishing = tokio::spawn(async move {
            let mut due = interval_at(Instant::now() + PART, PART);
            loop {
                due.tick().await;
                publisher.video.parts(1);
            }
        });
        let report = play(server.address, http2).await;
        publishing.abort();
        assert_eq!(report.errors, BTreeMap::new());
        assert_eq!((report.playing, report.early), (20, 0));
        // Ten parts or more are published meanwhile; one may be on its way at either end.
        assert!(report.parts >= 20 * 9, "{report:?}");
        assert!(report.playlists >= 20 * 9, "{report:?}");
        let requests = server.figures.connections().accepted();
        assert_eq!(requests, 21, "a connection for each viewer, and one for the first look");
    }
}

/// A server that answers every request with `body` at once.
async fn careless(body: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    stream.write_all((head + body).as_bytes()).await.ok();
                    // It need not be faster than a network.
                    tokio::time::sleep(PART / 10).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_tell_of_answers_without_the_part_that_was_asked_for() {
    // Multivariant and media playlist in one, so that every request finds what it looks for.
    let address = careless(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n#EXT-X-PART-INF:PART-TARGET=0.2\n\
         #EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-PART:DURATION=0.2,URI=\"p1.m4s\"\n",
    )
    .await;
    let report = play(address, false).await;
    assert_eq!(report.playing, 20);
    assert!(report.early > 0 && report.early == report.playlists, "{report:?}");
}
