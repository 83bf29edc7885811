//! The picture that is shown while no source is there: its last one, dimmed, under a text or the
//! operator's image.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use crate::encode::graph;

/// "The stream will be back shortly", white on nothing, 1280x720.
pub(super) const TEXT: &[u8] = include_bytes!("../../../pipelines/slate.png");

/// How long a picture may take to be brought to another form.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// What stays of the last picture's brightness and colours, in percent.
const LEFT: i32 = 40;
/// Where black is, and where colour is none.
const BLACK: i32 = 16;
const GREY: i32 = 128;

/// Decodes a PNG, as large as fits into a picture of this size.
pub(super) fn image(png: &Bytes, size: (u32, u32)) -> Result<gst::Sample, String> {
    let sample = gst::Sample::builder()
        .buffer(&gst::Buffer::from_slice(png.clone()))
        .caps(&gst::Caps::builder("image/png").build())
        .build();
    let own = dimensions(png).ok_or("it is no PNG")?;
    let size = fit(own, size, gst::Fraction::new(1, 1));
    through("! pngdec ! videoconvertscale add-borders=false", &sample, &transparent(size))
}

/// The slate: as large as the last picture, or, where none was ever there, of this size and black.
/// The image covers as much of it as its shape allows; where it is transparent, what is below shines through.
pub(super) fn make(
    last: Option<&gst::Sample>,
    size: (u32, u32),
    image: &gst::Sample,
) -> Result<gst::Sample, String> {
    let below = dark(last, size)?;
    let (outer, own) = (info(&below)?, info(image)?);
    let size = fit((own.width(), own.height()), (outer.width(), outer.height()), outer.par());
    let image = through("! videoconvertscale add-borders=false", image, &transparent(size))?;
    lay(&below, &image)
}

/// The last picture, dimmed; a black one of this size where there is none.
pub(super) fn dark(last: Option<&gst::Sample>, size: (u32, u32)) -> Result<gst::Sample, String> {
    let (sample, left) = match last {
        Some(last) => {
            let info = info(last)?;
            let caps = gst_video::VideoInfo::builder(
                gst_video::VideoFormat::I420,
                info.width(),
                info.height(),
            );
            let caps = caps.par(info.par()).fps(info.fps()).colorimetry(&bt709());
            let caps = caps.build().and_then(|info| info.to_caps()).map_err(|it| it.to_string())?;
            (through("! videoconvertscale", last, &caps)?, LEFT)
        }
        None => {
            let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.0, size.1);
            let info = info.colorimetry(&bt709()).build().map_err(|error| error.to_string())?;
            let caps = info.to_caps().map_err(|error| error.to_string())?;
            let blank = gst::Buffer::with_size(info.size()).map_err(|error| error.to_string())?;
            (gst::Sample::builder().buffer(&blank).caps(&caps).build(), 0)
        }
    };
    change(&sample, |plane, bytes, _| {
        let origin = if plane == 0 { BLACK } else { GREY };
        for value in bytes {
            *value = byte(origin + (i32::from(*value) - origin) * left / 100);
        }
    })
}

/// Lays an image (A420) over the middle of a picture (I420).
fn lay(below: &gst::Sample, image: &gst::Sample) -> Result<gst::Sample, String> {
    let (outer, inner) = (info(below)?, info(image)?);
    let frame = gst_video::VideoFrame::from_buffer_readable(
        image.buffer_owned().ok_or("the image has no pixels")?,
        &inner,
    )
    .map_err(|_| "the image cannot be read")?;
    let stride = |plane: u32| usize::try_from(frame.plane_stride()[plane as usize]).unwrap_or(0);
    let alpha = frame.plane_data(3).map_err(|error| error.to_string())?;
    let (width, height) = (inner.width() as usize, inner.height() as usize);
    // Of even numbers, so that colours fall on colours.
    let left = (outer.width() as usize - width) / 4 * 2;
    let top = (outer.height() as usize - height) / 4 * 2;
    change(below, |plane, bytes, row_length| {
        let Ok(image) = frame.plane_data(plane) else { return };
        let scale = if plane == 0 { 1 } else { 2 };
        for y in 0..height / scale {
            for x in 0..width / scale {
                let opaque = i32::from(alpha[y * scale * stride(3) + x * scale]);
                let over = i32::from(image[y * stride(plane) + x]);
                let under = &mut bytes[(top / scale + y) * row_length + left / scale + x];
                *under = byte((over * opaque + i32::from(*under) * (255 - opaque) + 127) / 255);
            }
        }
    })
}

/// A copy of a picture whose planes were changed, each given with the length of its rows.
fn change(
    picture: &gst::Sample,
    change: impl Fn(u32, &mut [u8], usize),
) -> Result<gst::Sample, String> {
    let info = info(picture)?;
    let buffer = picture.buffer().ok_or("a picture has no pixels")?;
    let copy = buffer.copy_deep().map_err(|error| error.to_string())?;
    let mut frame = gst_video::VideoFrame::from_buffer_writable(copy, &info)
        .map_err(|_| "a picture cannot be changed")?;
    for plane in 0..3 {
        let row_length = usize::try_from(frame.plane_stride()[plane as usize]).unwrap_or(0);
        change(plane, frame.plane_data_mut(plane).map_err(|error| error.to_string())?, row_length);
    }
    let caps = picture.caps_owned().ok_or("a picture has no format")?;
    Ok(gst::Sample::builder().buffer(&frame.into_buffer()).caps(&caps).build())
}

/// One picture through a graph of its own.
fn through(
    elements: &str,
    picture: &gst::Sample,
    wanted: &gst::Caps,
) -> Result<gst::Sample, String> {
    let text = format!("appsrc name=in format=time {elements} ! appsink name=out sync=false");
    let graph = graph::launch(&text)?;
    let element = |name| graph.by_name(name).ok_or("a graph without its ends");
    let input = element("in")?.downcast::<AppSrc>().map_err(|_| "no appsrc")?;
    let output = element("out")?.downcast::<AppSink>().map_err(|_| "no appsink")?;
    output.set_caps(Some(wanted));
    graph.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
    // Where it is refused nothing comes out, and the bus says why.
    input.push_sample(picture).ok();
    input.end_of_stream().ok();
    let made = output.try_pull_sample(PATIENCE);
    let said = graph.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    // The picture is there or never will be; a graph that does not let go changes nothing.
    graph.set_state(gst::State::Null).ok();
    made.ok_or_else(|| match said.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => error.error().to_string(),
        _ => "it gives no picture".to_owned(),
    })
}

fn info(picture: &gst::Sample) -> Result<gst_video::VideoInfo, String> {
    let caps = picture.caps().ok_or("a picture has no format")?;
    gst_video::VideoInfo::from_caps(caps).map_err(|error| error.to_string())
}

fn bt709() -> gst_video::VideoColorimetry {
    gst_video::VideoColorimetry::new(
        gst_video::VideoColorRange::Range16_235,
        gst_video::VideoColorMatrix::Bt709,
        gst_video::VideoTransferFunction::Bt709,
        gst_video::VideoColorPrimaries::Bt709,
    )
}

/// The format of an image that lies above another.
fn transparent((width, height): (i32, i32)) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "A420")
        .field("width", width)
        .field("height", height)
        .field("colorimetry", "bt709")
        .build()
}

/// The largest even size of an image's shape within a picture, in the picture's own pixels.
fn fit((width, height): (u32, u32), outer: (u32, u32), pixel: gst::Fraction) -> (i32, i32) {
    let wide = f64::from(width) * f64::from(pixel.denom()) / f64::from(pixel.numer().max(1));
    let scale = (f64::from(outer.0) / wide).min(f64::from(outer.1) / f64::from(height));
    #[expect(clippy::cast_possible_truncation, reason = "no larger than the picture")]
    let even = |length: f64| ((length * scale + 0.01) as i32 / 2 * 2).max(2);
    (even(wide), even(f64::from(height)))
}

/// Width and height as a PNG's head has them (ISO 15948 §11.2.2).
fn dimensions(image: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(*image.get(at..)?.first_chunk()?));
    Some((number(16)?, number(20)?)).filter(|&(width, height)| width > 0 && height > 0)
}

fn byte(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}
