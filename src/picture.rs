//! A live test picture for `nowcast publish` and `nowcast demo`: moving colours, a clock that machines can read, a beep.
//!
//! The top twelfth of every picture is a row of 40 blocks, white for 1 and black for 0: 1010, then the low 32 bits of the
//! Unix time in milliseconds, most significant first, then the exclusive or of its eight nibbles. It survives scaling to 360p at 600 kbit/s. In each second's
//! first tenth a white square is shown and a tone of 1 kHz is heard.

mod draw;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use nowcast_media::FrameRate;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::encode;
use draw::Canvas;

/// Chunks that wait for the network: about 2 s at 4 Mbit/s. Where they are too many, chunks are lost.
const QUEUE: usize = 768;
/// Samples of a second of sound.
const SAMPLE_RATE: u32 = 48_000;
/// Samples made at a time: an AAC frame.
const BLOCK: u32 = 1024;

/// Sound is handed over so much before its picture: the multiplexer lets no picture go before the sound of its time has come
/// out of the AAC encoder, which holds two blocks.
const SOUND_AHEAD: Duration = Duration::from_millis(70);

/// What the picture is like.
#[derive(Clone, Copy, Debug)]
pub struct PictureOptions {
    /// Width in pixels: even, at least 320.
    pub width: u32,
    /// Height in pixels: even, at least 180.
    pub height: u32,
    /// Frames a second.
    pub fps: FrameRate,
    /// Bits a second of the video.
    pub bitrate: u64,
    /// Seconds between key frames.
    pub key_interval_s: f64,
    /// B-frames between the others: each holds the picture back by a frame.
    pub bframes: u32,
    /// With a tone.
    pub audio: bool,
}

impl Default for PictureOptions {
    /// 720p, 30 frames a second, 4 Mbit/s, with sound.
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "30/1 is a frame rate")]
        let fps = FrameRate::new(30, 1).expect("a frame rate");
        Self {
            width: 1280,
            height: 720,
            fps,
            bitrate: 4_000_000,
            key_interval_s: 2.0,
            bframes: 0,
            audio: true,
        }
    }
}

/// Why there is no picture.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The options cannot be met.
    #[error("{0}")]
    Options(&'static str),
    /// GStreamer lacks something, or refuses.
    #[error("{0}")]
    GStreamer(String),
}

/// Starts the picture: MPEG-TS in real time, in chunks of at most 1316 bytes (seven packets), until the receiver is dropped.
///
/// # Errors
/// [`PictureError`]: the options make no sense, or an element is missing (the message names its package).
pub fn start(options: PictureOptions) -> Result<mpsc::Receiver<Bytes>, PictureError> {
    let PictureOptions { width, height, .. } = options;
    if !(320..=7680).contains(&width)
        || !(180..=4320).contains(&height)
        || width % 2 + height % 2 > 0
    {
        return Err(PictureError::Options(
            "the picture must be of even sides, 320x180 to 7680x4320",
        ));
    }
    gst::init()
        .map_err(|error| PictureError::GStreamer(format!("GStreamer does not start: {error}")))?;
    let pipeline = encode::launch(&graph(&options)).map_err(PictureError::GStreamer)?;
    let failed = |_| PictureError::GStreamer("the test picture's graph does not start".into());

    let (chunks, receiver) = mpsc::channel(QUEUE);
    let sink = element::<AppSink>(&pipeline, "ts")?;
    sink.set_callbacks(
        AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let packets = packets(&sample).ok_or(gst::FlowError::Error)?;
                for start in (0..packets.len()).step_by(1316) {
                    let chunk = packets.slice(start..packets.len().min(start + 1316));
                    match chunks.try_send(chunk) {
                        Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
                        Err(mpsc::error::TrySendError::Closed(_)) => {
                            return Err(gst::FlowError::Eos);
                        }
                    }
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    let video = element::<AppSrc>(&pipeline, "video")?;
    let audio = if options.audio { Some(element::<AppSrc>(&pipeline, "audio")?) } else { None };
    pipeline.set_state(gst::State::Playing).map_err(failed)?;
    let thread = std::thread::Builder::new().name("test-picture".into());
    let spawned = thread.spawn(move || {
        run(&options, &video, audio.as_ref());
        // The receiver is gone: the only way on from here is to stop.
        pipeline.set_state(gst::State::Null).ok();
    });
    spawned
        .map(|_| receiver)
        .map_err(|error| PictureError::GStreamer(format!("no thread: {error}")))
}

/// The packets of a sample. The muxer gives those of a picture as a list, of which each is a buffer.
fn packets(sample: &gst::Sample) -> Option<Bytes> {
    let mut packets = BytesMut::new();
    match sample.buffer_list() {
        Some(list) => {
            for buffer in list.iter() {
                packets.extend_from_slice(&buffer.map_readable().ok()?);
            }
        }
        None => packets.extend_from_slice(&sample.buffer()?.map_readable().ok()?),
    }
    Some(packets.freeze())
}

fn graph(options: &PictureOptions) -> String {
    let PictureOptions { width, height, fps, bitrate, bframes, .. } = options;
    let kbits = (bitrate / 1000).max(100);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let key_frames = (options.key_interval_s * fps.as_f64()).round().max(1.0) as u32;
    let (num, den) = (fps.num(), fps.den());
    let mut graph = format!(
        "mpegtsmux name=mux alignment=0 latency=0 ! appsink name=ts buffer-list=true sync=false async=false \
         appsrc name=video format=time is-live=true block=true max-buffers=2 max-bytes=0 \
         caps=video/x-raw,format=I420,width={width},height={height},framerate={num}/{den},colorimetry=bt709 \
         ! x264enc speed-preset=ultrafast tune=zerolatency sliced-threads=true threads=2 bitrate={kbits} vbv-buf-capacity=300 \
         bframes={bframes} key-int-max={key_frames} option-string=scenecut=0 \
         ! video/x-h264,profile={profile},stream-format=byte-stream,alignment=au ! queue ! mux.",
        profile = if *bframes > 0 { "main" } else { "constrained-baseline" },
    );
    if options.audio {
        graph += &format!(
            " appsrc name=audio format=time is-live=true block=true max-buffers=8 max-bytes=0 \
             caps=audio/x-raw,format=F32LE,layout=interleaved,rate={SAMPLE_RATE},channels=2 \
             ! audioconvert ! avenc_aac bitrate=128000 ! audio/mpeg,mpegversion=4,stream-format=raw ! aacparse \
             ! audio/mpeg,mpegversion=4,stream-format=adts ! queue ! mux."
        );
    }
    graph
}

fn element<T: IsA<gst::Element>>(pipeline: &gst::Pipeline, name: &str) -> Result<T, PictureError> {
    pipeline
        .by_name(name)
        .and_then(|element| element.downcast().ok())
        .ok_or_else(|| PictureError::GStreamer(format!("the test picture's graph lacks {name}")))
}

/// Draws in real time until nobody wants it.
fn run(options: &PictureOptions, video: &AppSrc, audio: Option<&AppSrc>) {
    let (start, clock) = (Instant::now(), draw::unix_time());
    let canvas = Canvas::new(options.width, options.height);
    let mut samples = 0_u64;
    for frame in 0_u64.. {
        let at = span(frame * u64::from(options.fps.den()), options.fps.num());
        std::thread::sleep((start + at).saturating_duration_since(Instant::now()));
        while let Some(audio) = audio
            && span(samples, SAMPLE_RATE) <= at + SOUND_AHEAD
        {
            if audio.push_buffer(tone(samples, clock)).is_err() {
                return;
            }
            samples += u64::from(BLOCK);
        }
        let mut buffer = gst::Buffer::from_mut_slice(canvas.draw(frame, draw::unix_time()));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::try_from(at).ok());
            buffer.set_duration(
                gst::ClockTime::try_from(span(u64::from(options.fps.den()), options.fps.num()))
                    .ok(),
            );
        }
        if video.push_buffer(buffer).is_err() {
            return;
        }
    }
}

/// A block of sound: 1 kHz in the first tenth of every second of the clock.
fn tone(first: u64, clock: Duration) -> gst::Buffer {
    let mut bytes = Vec::with_capacity(BLOCK as usize * 8);
    for sample in first..first + u64::from(BLOCK) {
        let at = clock + span(sample, SAMPLE_RATE);
        #[expect(clippy::cast_possible_truncation, reason = "a sample needs no more precision")]
        let value = if draw::flashes(at) {
            (f64::from(at.subsec_micros()) * std::f64::consts::TAU / 1000.0).sin() as f32 * 0.3
        } else {
            0.0
        };
        bytes.extend_from_slice(&value.to_le_bytes());
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::try_from(span(first, SAMPLE_RATE)).ok());
        buffer.set_duration(gst::ClockTime::try_from(span(u64::from(BLOCK), SAMPLE_RATE)).ok());
    }
    buffer
}

/// `count` of so many a second.
fn span(count: u64, rate: u32) -> Duration {
    let ns = u128::from(count) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}
