//! Conformance of media: hints, ranges, what can be fetched when.

use std::time::Duration;

use nowcast::flow::Compressed;
use nowcast_testkit::m3u8::MediaPlaylist;
use tokio::time::timeout;

use crate::conformance::{HINT, PART, SEGMENT, assert_common};
use crate::publisher::{INIT, PARTS, Publisher, part};
use crate::wire::{Answer, Player, Wire};
use crate::{Server, at, published};

#[tokio::test]
async fn a_hint_is_answered_when_it_is_whole_and_not_a_byte_before_and_404_when_given_up() {
    for wire in Wire::ALL {
        let mut publisher = published();
        let server = Server::start(&publisher).await;
        let mut players = Player::crowd(&server, wire, 3).await;
        let mut ask = |at: usize, target: &str, headers: &[(&str, &str)]| {
            tokio::spawn(players[at].send("GET", target, headers))
        };
        let whole = ask(0, HINT, &[]);
        let ranged = ask(1, HINT, &[("range", "bytes=100-9007199254740991")]);
        server.until_held(2).await;
        assert!(!whole.is_finished() && !ranged.is_finished());
        publisher.video.parts(1);
        let whole = Answer::whole(whole.await.unwrap().unwrap()).await;
        assert_common(&whole, HINT);
        assert_eq!((whole.status, &whole.body), (200, &part(52, 1000)), "{wire:?}");
        assert_eq!(whole.header("content-length"), Some("1003"));
        let ranged = Answer::whole(ranged.await.unwrap().unwrap()).await;
        assert_eq!((ranged.status, &*ranged.body), (206, &part(52, 1000)[100..]));
        assert_eq!(ranged.header("content-range"), Some("bytes 100-1002/1003"));

        let given_up = ask(2, "/live/live/1/720p/p53.m4s", &[]);
        server.until_held(1).await;
        publisher.video.skip_hint();
        let given_up = Answer::whole(given_up.await.unwrap().unwrap()).await;
        assert_eq!(given_up.status, 404, "{wire:?}");
        // What is neither listed nor hinted is not waited for: a segment that grows is neither.
        for target in ["p99.m4s", "s10.m4s", "s11.m4s", "x.m4s"] {
            let target = format!("/live/live/1/720p/{target}");
            let mut player = Player::open(&server, wire).await;
            let answer = player.ask("GET", &target, &[("range", "bytes=0-")]).await;
            assert_eq!((answer.status, server.figures.held()), (404, 0), "{wire:?} {target}");
        }
    }
}

#[tokio::test]
async fn ranges_and_validators_are_honoured_on_media_of_any_kind() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let init = format!("/live/live/1/720p/{INIT}");
    for wire in Wire::ALL {
        let mut player = Player::open(&server, wire).await;
        for target in [PART, SEGMENT, &init] {
            let whole = player.get(target).await;
            let (tag, length) = (whole.header("etag").unwrap(), whole.body.len());
            assert!(tag.starts_with('"'), "{wire:?} {target}: {tag} is no strong validator");
            assert_eq!(whole.header("accept-ranges"), Some("bytes"));
            for (range, expected) in [
                ("bytes=0-0".to_owned(), 0..1),
                ("bytes=3-".to_owned(), 3..length),
                ("bytes=-4".to_owned(), length - 4..length),
                (format!("bytes=2-{}", length + 10), 2..length),
            ] {
                let answer = player.ask("GET", target, &[("range", &range)]).await;
                let content = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
                assert_eq!((answer.status, &*answer.body), (206, &whole.body[expected]));
                assert_eq!(answer.header("content-range"), Some(&*content), "{wire:?} {target}");
                assert_eq!(answer.header("priority"), whole.header("priority"));
                assert_common(&answer, target);
            }
            let past = format!("bytes={length}-");
            let past = player.ask("GET", target, &[("range", &past)]).await;
            assert_eq!(past.status, 416, "{wire:?} {target}");
            assert_eq!(past.header("content-range"), Some(&*format!("bytes */{length}")));
            assert_common(&past, target);

            let same = player.ask("GET", target, &[("if-none-match", tag)]).await;
            assert_eq!((same.status, same.body.len()), (304, 0), "{wire:?} {target}");
            for name in ["etag", "cache-control", "priority"] {
                assert_eq!(same.header(name), whole.header(name), "{wire:?} {target}: {name}");
            }
            assert_common(&same, target);
            let other = player.ask("GET", target, &[("if-none-match", "\"other\"")]).await;
            assert_eq!((other.status, &other.body), (200, &whole.body));
        }
    }
}

#[tokio::test]
async fn a_part_can_be_fetched_as_soon_as_it_is_listed_and_its_init_section_as_soon_as_it_is_named()
{
    for wire in [Wire::Http1, Wire::Http2] {
        let mut publisher = Publisher::new();
        publisher.multivariant.send_replace(Some(Compressed::new("#EXTM3U\n".to_owned())));
        let server = Server::start(&publisher).await;
        let mut players = Player::crowd(&server, wire, 2).await;
        let publishing = tokio::spawn(async move {
            for _ in 0..40 * PARTS {
                publisher.video.parts(1);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            publisher.video.end();
            publisher
        });
        let (mut msn, mut index, mut fetched) = (0, 0, 0);
        loop {
            let target = at(&format!("_HLS_msn={msn}&_HLS_part={index}"));
            let answer = players[0].get(&target).await;
            assert_eq!(answer.status, 200, "{target}");
            let playlist = MediaPlaylist::read(answer.text()).unwrap();
            if playlist.ended {
                break;
            }
            assert!(playlist.reaches(msn, Some(index)), "{target} was answered early");
            let last = playlist.all().next_back().unwrap();
            let (uri, init) = (&last.parts.last().unwrap().uri, last.init.as_ref().unwrap());
            for file in [uri, init] {
                let target = format!("/live/live/1/720p/{file}");
                let request = players[1].get(&target);
                let answer = timeout(Duration::from_secs(5), request).await.unwrap();
                assert_eq!(answer.status, 200, "{wire:?} {target} is listed");
            }
            fetched += 1;
            let (last_msn, last_index) = playlist.last_part().unwrap();
            (msn, index) = (last_msn, last_index as u64 + 1);
        }
        assert!(fetched > 20, "{wire:?}: only {fetched} looks at a moving edge");
        drop(publishing.await.unwrap());
    }
}
