//! What a conforming origin answers, over every wire. Each test is named after the rule it holds;
//! docs/spec-map.md ("HTTP") has the list.

use tokio::task::yield_now;

use crate::publisher::{INIT, PARTS};
use crate::wire::{Answer, Player, Wire};
use crate::{PLAYLIST, Server, at, published};

pub(crate) const PART: &str = "/live/live/1/720p/p3.m4s";
pub(crate) const HINT: &str = "/live/live/1/720p/p52.m4s";
pub(crate) const SEGMENT: &str = "/live/live/1/720p/s3.m4s";
const MASTER: &str = "/live/live/index.m3u8";

/// What every answer has, whatever it says.
pub(crate) fn assert_common(answer: &Answer, about: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{about}");
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    for name in ["Age", "Date", "Content-Length", "Content-Range", "CMSD-Static", "CMSD-Dynamic"] {
        assert!(exposed.contains(name), "{about}: {name} is hidden from pages");
    }
    assert!(answer.header("date").is_some(), "{about}: no Date");
    assert!(answer.header("cache-control").is_some() || answer.status == 204, "{about}");
    for name in ["age", "set-cookie", "location", "last-modified"] {
        assert_eq!(answer.header(name), None, "{about}: {name}");
    }
    let redirect = (300..400).contains(&answer.status) && answer.status != 304;
    assert!(!redirect, "{about}: {}", answer.status);
}

#[tokio::test]
async fn every_class_of_answer_has_its_type_lifetime_urgency_and_length_and_none_redirects() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    let init = format!("/live/live/1/720p/{INIT}");
    let (m3u8, text) = ("application/vnd.apple.mpegurl", "text/plain; charset=utf-8");
    let held = at("_HLS_msn=10&_HLS_part=0");
    let early = at("_HLS_msn=13");
    for wire in Wire::ALL {
        let mut player = Player::open(&server, wire).await;
        for (target, status, kind, cached, urgency, vary) in [
            (MASTER, 200, m3u8, "public, max-age=0", Some("u=1"), Some("Accept-Encoding")),
            (PLAYLIST, 200, m3u8, "public, max-age=0", Some("u=1"), Some("Accept-Encoding")),
            (&*held, 200, m3u8, "public, max-age=6", Some("u=1"), Some("Accept-Encoding")),
            (PART, 200, "video/iso.segment", "public, max-age=6, immutable", Some("u=3"), None),
            (SEGMENT, 200, "video/iso.segment", "public, max-age=30, immutable", Some("u=3"), None),
            (&*init, 200, "video/mp4", "public, max-age=31536000, immutable", Some("u=2"), None),
            (&*early, 400, text, "no-store", None, None),
            ("/live/nobody/index.m3u8", 404, text, "public, max-age=1", None, None),
            ("/live/live/1/720p", 404, text, "public, max-age=1", None, None),
            ("/live/live/1/720p/p60.m4s", 404, text, "no-store", None, None),
            ("/live/idle/index.m3u8", 503, text, "no-store", None, None),
        ] {
            let about = format!("{wire:?} {target}");
            let answer = player.get(target).await;
            assert_common(&answer, &about);
            assert_eq!(answer.status, status, "{about}");
            assert_eq!(answer.header("content-type"), Some(kind), "{about}");
            assert_eq!(answer.header("cache-control"), Some(cached), "{about}");
            assert_eq!(answer.header("priority"), urgency, "{about}");
            assert_eq!(answer.header("vary"), vary, "{about}");
            assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
            assert_eq!(answer.header("etag").is_some(), cached.contains("immutable"), "{about}");
            assert_eq!(answer.header("content-encoding"), None, "{about}: nobody asked for it");
        }
    }
}

/// A query, and what it is answered while segment 10 has two parts.
enum Now {
    AtOnce,
    Bad,
    /// Held until so many more parts are there.
    After(u64),
}

#[tokio::test]
async fn directives_are_obeyed_refused_or_waited_for_alike_on_every_wire() {
    use Now::{After, AtOnce, Bad};
    for wire in Wire::ALL {
        for (query, now) in [
            ("", AtOnce),
            ("_HLS_msn=9", AtOnce),
            ("_HLS_msn=0", AtOnce),
            ("_HLS_msn=10&_HLS_part=1", AtOnce),
            ("_HLS_msn=0010&_HLS_part=01", AtOnce),
            ("z=1&_HLS_part=1&CMCD=x%3D1&_HLS_msn=10&a", AtOnce),
            ("_HLS_skip=foo", AtOnce),
            // Past the end of a closed segment is the first of the next.
            ("_HLS_msn=9&_HLS_part=5", AtOnce),
            ("_HLS_msn=10&_HLS_part=2", After(1)),
            ("_HLS_part=4&_HLS_msn=10", After(3)),
            ("_HLS_msn=10", After(3)),
            ("_HLS_msn=10&_HLS_part=5", After(4)),
            ("_HLS_msn=11&_HLS_part=0", After(4)),
            ("_HLS_msn=11", After(8)),
            ("_HLS_msn=12", Bad),
            ("_HLS_msn=10&_HLS_part=17", Bad),
            ("_HLS_part=1", Bad),
            ("_HLS_msn=", Bad),
            ("_HLS_msn=-1", Bad),
            ("_HLS_msn=1.5", Bad),
            ("_HLS_msn=18446744073709551616", Bad),
            ("_HLS_msn=10&_HLS_msn=10", Bad),
            ("_HLS_msn=10&_HLS_part=", Bad),
        ] {
            let about = format!("{wire:?} {query}");
            let mut publisher = published();
            let server = Server::start(&publisher).await;
            let mut player = Player::open(&server, wire).await;
            let answer = tokio::spawn(player.send("GET", &at(query), &[]));
            if let After(parts) = now {
                server.until_held(1).await;
                for missing in (0..parts).rev() {
                    assert!(!answer.is_finished(), "{about}: {missing} parts early");
                    publisher.video.parts(1);
                    // Whoever is woken goes on before the next look.
                    for _ in 0..100 {
                        yield_now().await;
                    }
                    assert_eq!(server.figures.held(), u64::from(missing > 0), "{about}");
                }
            }
            let answer = Answer::whole(answer.await.unwrap().unwrap()).await;
            assert_common(&answer, &about);
            match now {
                Bad => {
                    assert_eq!(answer.status, 400, "{about}");
                    assert_eq!(answer.header("cache-control"), Some("no-store"), "{about}");
                }
                AtOnce | After(_) => {
                    assert_eq!((answer.status, answer.text()), (200, &*publisher.video.text()));
                }
            }
        }
    }
}

/// Time is paused: it runs on only while all wait.
#[tokio::test(start_paused = true)]
async fn what_is_held_for_three_target_durations_is_unavailable_and_not_to_be_kept() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    for wire in Wire::ALL {
        let mut player = Player::open(&server, wire).await;
        for target in [&*at("_HLS_msn=11"), HINT] {
            let answer = player.get(target).await;
            assert_common(&answer, target);
            assert_eq!(answer.status, 503, "{wire:?} {target}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(server.figures.held(), 0);
    }
}

#[tokio::test]
async fn endlist_wakes_everybody_at_once_and_directives_are_then_passed_over() {
    for wire in Wire::ALL {
        let mut publisher = published();
        let server = Server::start(&publisher).await;
        let mut players = Player::crowd(&server, wire, 20).await;
        let waiting: Vec<_> = players
            .iter_mut()
            .map(|player| tokio::spawn(player.send("GET", &at("_HLS_msn=11"), &[])))
            .collect();
        server.until_held(20).await;
        publisher.video.end();
        for answer in waiting {
            let answer = Answer::whole(answer.await.unwrap().unwrap()).await;
            assert!(answer.text().ends_with("#EXT-X-ENDLIST\n"), "{wire:?}");
        }
        for query in ["_HLS_msn=11", "_HLS_msn=99", "_HLS_part=x", "_HLS_skip=YES"] {
            let answer = players[0].get(&at(query)).await;
            assert_eq!((answer.status, answer.text()), (200, &*publisher.video.text()));
        }
    }
}

#[tokio::test]
async fn head_never_waits_options_is_answered_and_other_methods_are_refused() {
    let publisher = published();
    let server = Server::start(&publisher).await;
    for wire in Wire::ALL {
        let mut player = Player::open(&server, wire).await;
        for target in [MASTER, PLAYLIST, PART, SEGMENT, "/live/nobody/index.m3u8"] {
            let get = player.get(target).await;
            let head = player.ask("HEAD", target, &[]).await;
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{wire:?} {target}");
            let told = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                headers.remove("date");
                headers
            };
            assert_eq!(told(&head), told(&get), "{wire:?} {target}");
        }
        let early = at("_HLS_msn=11");
        for (target, status) in [(&*early, 200), (HINT, 404)] {
            let head = player.ask("HEAD", target, &[]).await;
            assert_eq!((head.status, head.body.len()), (status, 0), "{wire:?} {target}");
            // What is not as asked is not to be kept under the address that was asked.
            assert_ne!(head.header("cache-control"), Some("public, max-age=6"));
        }
        for target in [MASTER, PLAYLIST, PART, HINT] {
            let answer = player.ask("OPTIONS", target, &[("origin", "https://a.example")]).await;
            assert_common(&answer, target);
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{wire:?} {target}");
            assert_eq!(answer.header("access-control-max-age"), Some("86400"));
            assert!(answer.header("access-control-allow-headers").unwrap().contains("Range"));
            let answer = player.ask("POST", target, &[]).await;
            assert_common(&answer, target);
            assert_eq!((answer.status, answer.header("cache-control")), (405, Some("no-store")));
        }
    }
}

#[tokio::test]
async fn playlists_are_packed_once_for_those_who_take_it_and_media_never() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    for wire in Wire::ALL {
        let mut player = Player::open(&server, wire).await;
        for target in [MASTER, PLAYLIST, &*at("_HLS_skip=YES")] {
            let plain = player.ask("GET", target, &[("accept-encoding", "identity")]).await;
            let packed = player.ask("GET", target, &[("accept-encoding", "br, gzip")]).await;
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{wire:?} {target}");
            assert_eq!(packed.header("vary"), plain.header("vary"));
            let mut text = String::new();
            let mut decoder = flate2::read::GzDecoder::new(&*packed.body);
            std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
            assert_eq!(text, plain.text());
        }
        for target in [PART, SEGMENT] {
            let media = player.ask("GET", target, &[("accept-encoding", "gzip")]).await;
            assert_eq!(media.header("content-encoding"), None, "{wire:?} {target}");
        }
        // All who wait for one address get the same bytes.
        for coding in ["gzip", "identity"] {
            let mut players = Player::crowd(&server, wire, 100).await;
            let (msn, index) =
                (publisher.video.next_part / PARTS, publisher.video.next_part % PARTS);
            let target = at(&format!("_HLS_msn={msn}&_HLS_part={index}"));
            let headers = [("accept-encoding", coding)];
            let waiting: Vec<_> = players
                .iter_mut()
                .map(|player| tokio::spawn(player.send("GET", &target, &headers)))
                .collect();
            server.until_held(100).await;
            publisher.video.parts(1);
            let mut first = None;
            for answer in waiting {
                let answer = Answer::whole(answer.await.unwrap().unwrap()).await;
                assert_eq!(answer.status, 200);
                assert_eq!(
                    first.get_or_insert_with(|| answer.body.clone()),
                    &answer.body,
                    "{wire:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn addresses_are_relative_and_carry_nothing_of_the_player() {
    let mut publisher = published();
    let server = Server::start(&publisher).await;
    publisher.video.parts(1);
    for wire in Wire::ALL {
        let mut player = Player::open(&server, wire).await;
        let asked = at("player=7&token=secret&_HLS_msn=10&_HLS_part=0");
        for target in [PLAYLIST, &asked, &*at("_HLS_skip=YES")] {
            let text = player.get(target).await;
            assert_eq!(text.status, 200);
            let quoted = text
                .text()
                .lines()
                .filter_map(|line| line.split("URI=\"").nth(1)?.split('"').next());
            let bare = text.text().lines().filter(|line| !line.starts_with('#'));
            for uri in quoted.chain(bare) {
                let absolute = uri.starts_with('/') || uri.contains("://");
                assert!(!absolute && !uri.contains(['?', '#']), "{wire:?} {target}: {uri}");
            }
        }
    }
}
