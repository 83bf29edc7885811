//! `nowcast publish`: a file or a generated picture over SRT, on a good network or a bad one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nowcast_media::FrameRate;

use super::Failure;
use crate::app;
use crate::config::units;
use crate::picture::PictureOptions;
use crate::push::{self, Impairment, Source, Target};

#[derive(Args, Debug)]
pub(super) struct Publish {
    /// Where to: srt://HOST:PORT?streamid=STREAM:KEY, with passphrase=, pbkeylen=, latency= (microseconds) as need be.
    url: String,
    /// An MPEG-TS file; without one, a picture with a clock and a tone is made.
    file: Option<PathBuf>,
    /// Begin the file again at its end.
    #[arg(long = "loop", requires = "file")]
    repeat: bool,
    /// Frames a second of the picture, as in 25 or 30000/1001.
    #[arg(long, default_value = "30", value_parser = frame_rate, conflicts_with = "file")]
    fps: FrameRate,
    /// Width and height of the picture.
    #[arg(long, default_value = "1280x720", value_parser = size, conflicts_with = "file")]
    size: (u32, u32),
    /// Lose so many percent of the datagrams, both ways.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    loss: f64,
    /// Delay every datagram, both ways.
    #[arg(long, default_value = "0ms", value_parser = units::duration, value_name = "DURATION")]
    delay: Duration,
    /// Delay datagrams at random by up to so much more; they overtake each other.
    #[arg(long, default_value = "0ms", value_parser = units::duration, value_name = "DURATION")]
    jitter: Duration,
    /// Hang up that often, and call again a second later.
    #[arg(long, value_parser = units::duration, value_name = "DURATION")]
    flap: Option<Duration>,
    /// Let the file's clock run so many parts per million too fast.
    #[arg(
        long,
        default_value_t = 0.0,
        requires = "file",
        allow_hyphen_values = true,
        value_name = "PPM"
    )]
    drift: f64,
}

pub(super) fn run(args: &Publish) -> Result<(), Failure> {
    let target = Target::parse(&args.url).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    let source = match &args.file {
        Some(path) => {
            Source::File { path: path.clone(), repeat: args.repeat, drift_ppm: args.drift }
        }
        None => Source::Picture(PictureOptions {
            width: args.size.0,
            height: args.size.1,
            fps: args.fps,
            ..PictureOptions::default()
        }),
    };
    let impairment = Impairment { loss: args.loss, delay: args.delay, jitter: args.jitter };
    let runtime = app::runtime()?;
    let published = runtime.block_on(async {
        tokio::select! {
            result = push::publish(&target, source, impairment, args.flap) => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    });
    // The picture's threads are not waited for.
    runtime.shutdown_background();
    published.map_err(Failure::Failed)
}

/// Feeds the demo: calls again whenever the call ends.
pub(super) async fn feed(url: String, file: Option<PathBuf>) {
    loop {
        let source = match &file {
            Some(path) => Source::File { path: path.clone(), repeat: true, drift_ppm: 0.0 },
            None => Source::Picture(PictureOptions::default()),
        };
        let result = match Target::parse(&url) {
            Ok(target) => push::publish(&target, source, Impairment::default(), None).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!("the demo's source: {error:#}; it calls again in a second");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn frame_rate(text: &str) -> Result<FrameRate, String> {
    let (num, den) = text.split_once('/').unwrap_or((text, "1"));
    let rate =
        num.parse().ok().zip(den.parse().ok()).and_then(|(num, den)| FrameRate::new(num, den));
    rate.ok_or_else(|| "write frames a second as 25 or 30000/1001".to_owned())
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let (width, height) = text.split_once('x').unwrap_or((text, ""));
    match (width.parse(), height.parse()) {
        (Ok(width @ 64..=3840), Ok(height @ 64..=2160)) if width % 2 == 0 && height % 2 == 0 => {
            Ok((width, height))
        }
        _ => {
            Err("write an even width and height from 64x64 to 3840x2160, as in 1280x720".to_owned())
        }
    }
}
