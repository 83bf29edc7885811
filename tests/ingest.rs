//! Publishers of many makes call the ingest: ffmpeg, srt-live-transmit, GStreamer, srt-tokio.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]

#[path = "support/srt.rs"]
mod srt;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nowcast::admission::Admission;
use nowcast::config::{Config, Limits, StreamConfig};
use nowcast::flow::Publisher;
use nowcast_mpegts::Event;
use srt::{Ingest, Sender, config, stream};
use srt_tokio::SrtSocket;
use srt_tokio::access::ServerRejectReason::{
    self, BadMode, BadRequest, Conflict, Forbidden, Notfound, Overload, Unauthorized,
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// `live` with a key, `open`, `secret` with a passphrase, `both`, and `closed` to everybody.
fn streams() -> Vec<StreamConfig> {
    let passphrase = Some("correcthorse".to_owned());
    vec![
        StreamConfig { key: Some("s3cret".to_owned()), ..stream("live") },
        StreamConfig { open: true, ..stream("open") },
        StreamConfig { passphrase: passphrase.clone(), ..stream("secret") },
        StreamConfig { key: Some("s3cret".to_owned()), passphrase, ..stream("both") },
        stream("closed"),
    ]
}

/// Reads pictures until `count` have come; panics if the source is not what the test file has.
async fn watch(publisher: &mut Publisher, count: usize) {
    let mut pictures = 0;
    while pictures < count {
        let event = timeout(PATIENCE, publisher.events.recv()).await.expect("events come");
        match event.expect("the publisher goes on") {
            Event::Tracks { video, audio } => {
                assert_eq!(video, Some(nowcast_media::VideoCodec::H264));
                assert_eq!(audio.len(), 1);
            }
            Event::Video(_) => pictures += 1,
            Event::Unsupported(why) => panic!("{why}"),
            _ => {}
        }
    }
}

/// Why srt-tokio was turned away.
async fn refusal(ingest: &Ingest, stream_id: &str) -> String {
    let call = SrtSocket::builder().call(ingest.url_host(), Some(stream_id));
    timeout(PATIENCE, call).await.expect("an answer").expect_err("a refusal").to_string()
}

fn assert_code(refusal: &str, code: ServerRejectReason) {
    assert!(refusal.contains(&code.to_string()), "{refusal}, instead of {code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sender_publishes_by_every_form_of_stream_id() {
    let mut ingest = Ingest::start(config(streams()));
    let host = ingest.url_host();
    let long = "#!::r=live,m=publish,s=s3cret";
    let senders = [
        ("live", Sender::ffmpeg(&format!("srt://{host}?streamid={long}"))),
        ("live", Sender::ffmpeg(&format!("srt://{host}?streamid=live:s3cret"))),
        ("open", Sender::srt_live_transmit(&format!("srt://{host}?streamid=open"))),
        ("live", Sender::gstreamer(&host, long, None)),
        ("both", Sender::gstreamer(&host, "both:s3cret", Some("correcthorse"))),
    ];
    for (name, sender) in senders {
        let sender = sender.start();
        let mut publisher = ingest.publisher().await;
        assert_eq!(publisher.stream.as_str(), name);
        watch(&mut publisher, 40).await;
        let health = publisher.health.wait_for(|health| health.bitrate > 0).await.unwrap().clone();
        assert_eq!(health.continuity_errors, 0, "{sender:?}");
        assert_eq!((health.dropped_events, health.packets_dropped), (0, 0), "{sender:?}");
        assert!((120..=125).contains(&health.latency_ms), "ours, or GStreamer's default");
        publisher.kick.send(()).unwrap();
        drop(sender);
        while publisher.events.recv().await.is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn srt_tokio_publishes() {
    let mut ingest = Ingest::start(config(streams()));
    let call = SrtSocket::builder().call(ingest.url_host(), Some("live:s3cret"));
    let _sender = timeout(PATIENCE, call).await.unwrap().expect("it is let in");
    assert_eq!(ingest.publisher().await.stream.as_str(), "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_the_code_that_says_why() {
    let ingest = Ingest::start(config(streams()));
    for (stream_id, code) in [
        ("#!{}", BadRequest),
        ("Not a name", BadRequest),
        ("live", Unauthorized),
        ("live:wrong", Unauthorized),
        ("#!::r=live,m=publish,s=wrong", Unauthorized),
        ("both", Unauthorized),
        ("closed", Forbidden),
        ("nosuch:s3cret", Notfound),
        ("#!::r=live,m=request,s=s3cret", BadMode),
    ] {
        assert_code(&refusal(&ingest, stream_id).await, code);
    }
    ingest.assert_nobody();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_too_many_is_refused_and_the_first_goes_on() {
    let mut ingest = Ingest::start(Config {
        limits: Limits { cores: 1.0, ..Limits::of_this_machine() },
        ..config(streams())
    });
    let url = format!("srt://{}?streamid=open", ingest.url_host());
    let _first = Sender::ffmpeg(&url).start();
    let mut publisher = ingest.publisher().await;
    watch(&mut publisher, 5).await;
    // Two ladders of 0.62 of a core are more than one core; a second caller of the first is no second ladder.
    assert_code(&refusal(&ingest, "live:s3cret").await, Overload);
    assert_code(&refusal(&ingest, "open").await, Conflict);
    watch(&mut publisher, 25).await;
    ingest.assert_nobody();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passphrase_guards_a_stream_whatever_the_length_of_the_key() {
    let mut ingest = Ingest::start(config(streams()));
    let host = ingest.url_host();
    for refused in [
        "streamid=secret",
        "streamid=secret&passphrase=wrongpassphrase",
        "streamid=both:s3cret",
        "streamid=both&passphrase=correcthorse",
        "streamid=open&passphrase=correcthorse",
    ] {
        assert!(
            !Sender::ffmpeg(&format!("srt://{host}?{refused}")).start().succeeded(),
            "{refused}"
        );
    }
    ingest.assert_nobody();
    for (length, bits) in
        [("", 128), ("&pbkeylen=16", 128), ("&pbkeylen=24", 192), ("&pbkeylen=32", 256)]
    {
        let url = format!("srt://{host}?streamid=secret&passphrase=correcthorse{length}");
        let sender = Sender::ffmpeg(&url).start();
        let mut publisher = ingest.publisher().await;
        watch(&mut publisher, 25).await;
        let health = publisher.health.wait_for(|health| health.packets > 0).await.unwrap().clone();
        assert_eq!(health.encryption_bits, bits, "{length}");
        drop(sender);
        drop(publisher.kick);
        while publisher.events.recv().await.is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publisher_is_refused_but_replaces_one_that_has_fallen_silent() {
    let mut ingest = Ingest::start(config(streams()));
    let url = format!("srt://{}?streamid=live:s3cret", ingest.url_host());
    let first = Sender::ffmpeg(&url).start();
    let mut held = ingest.publisher().await;
    watch(&mut held, 5).await;
    assert_code(&refusal(&ingest, "live:s3cret").await, Conflict);
    watch(&mut held, 5).await;

    first.stand_still();
    let stopped = Instant::now();
    // What arrived before is still delivered; then it is silent.
    let silent = loop {
        match timeout(Duration::from_millis(600), held.events.recv()).await {
            Ok(event) => drop(event.expect("still within `idle`")),
            Err(_) => break stopped.elapsed(),
        }
    };
    assert!(silent < Duration::from_secs(2), "{silent:?}");
    assert_code(&refusal(&ingest, "live:wrong").await, Unauthorized);
    let _second = Sender::ffmpeg(&url).start();
    let mut publisher = ingest.publisher().await;
    assert!(held.events.recv().await.is_none(), "the first session has ended before the second");
    watch(&mut publisher, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_falls_silent_is_closed_after_idle() {
    let mut ingest = Ingest::start(config(streams()));
    let sender = Sender::ffmpeg(&format!("srt://{}?streamid=open", ingest.url_host())).start();
    let mut publisher = ingest.publisher().await;
    watch(&mut publisher, 25).await;
    sender.stand_still();
    let stopped = Instant::now();
    while timeout(PATIENCE, publisher.events.recv()).await.expect("it is closed").is_some() {}
    let lasted = stopped.elapsed().as_millis();
    assert!((1900..3000).contains(&lasted), "idle is 2 s, and the latency: {lasted} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_never_begins_is_given_ten_seconds() {
    let mut ingest = Ingest::start(config(streams()));
    let call = SrtSocket::builder().call(ingest.url_host(), Some("open"));
    let _sender = timeout(PATIENCE, call).await.unwrap().expect("it is let in");
    let connected = Instant::now();
    let mut publisher = ingest.publisher().await;
    assert_eq!(timeout(PATIENCE, publisher.events.recv()).await.expect("it is closed"), None);
    let lasted = connected.elapsed().as_millis();
    assert!((9_900..12_000).contains(&lasted), "{lasted} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_transport_stream_is_closed_with_a_remedy() {
    let mut ingest = Ingest::start(config(streams()));
    let _sender = Sender::matroska(&format!("srt://{}?streamid=open", ingest.url_host())).start();
    let mut publisher = ingest.publisher().await;
    let event = timeout(PATIENCE, publisher.events.recv()).await.expect("it is told");
    assert!(matches!(event, Some(Event::Unsupported(why)) if why.contains("-f mpegts")));
    assert_eq!(publisher.events.recv().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_keys_may_change_while_somebody_publishes() {
    let mut ingest = Ingest::start(config(streams()));
    let _sender = Sender::ffmpeg(&format!("srt://{}?streamid=open", ingest.url_host())).start();
    let mut publisher = ingest.publisher().await;
    watch(&mut publisher, 5).await;
    ingest.config.store(config(vec![StreamConfig { open: true, ..stream("other") }]).into());
    assert_code(&refusal(&ingest, "live:s3cret").await, Notfound);
    watch(&mut publisher, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_drops_its_own_events_and_delays_nobody() {
    let mut ingest = Ingest::start(config(streams()));
    let host = ingest.url_host();
    let _slow = Sender::ffmpeg_at_full_speed(&format!("srt://{host}?streamid=open")).start();
    let mut unread = ingest.publisher().await;
    let _other = Sender::ffmpeg(&format!("srt://{host}?streamid=live:s3cret")).start();
    let mut publisher = ingest.publisher().await;
    let dropping = unread.health.wait_for(|health| health.dropped_events > 0);
    timeout(PATIENCE, dropping).await.expect("its queue is full").unwrap();
    watch(&mut publisher, 50).await;
    publisher.health.changed().await.unwrap();
    let health = publisher.health.borrow().clone();
    assert_eq!((health.dropped_events, health.continuity_errors), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let ingest = Ingest::start(config(streams()));
    let mut config = config(streams());
    config.srt.listen = ingest.address;
    let config = Arc::new(ArcSwap::from_pointee(config));
    let admission = Arc::new(Admission::new(Arc::clone(&config), Arc::default()));
    let error = nowcast::ingest::Listener::bind(config, admission).unwrap_err();
    assert!(error.to_string().contains("ss -lunp"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_closes_every_publisher() {
    let mut ingest = Ingest::start(config(streams()));
    let _sender = Sender::ffmpeg(&format!("srt://{}?streamid=open", ingest.url_host())).start();
    let mut publisher = ingest.publisher().await;
    watch(&mut publisher, 5).await;
    timeout(Duration::from_secs(2), ingest.stop()).await.expect("it stops soon");
    while publisher.events.recv().await.is_some() {}
}
