//! Launch texts: made from the templates of `pipelines/`, and started.

use gstreamer as gst;
use gstreamer::prelude::*;
use nowcast_media::VideoCodec;

use crate::flow::EncodeJob;
use crate::pipelines::Pipelines;

/// From so many pixels on an encoder gets two threads.
const LARGE: u64 = 1280 * 720;
/// A thread of its own behind it; two pictures, so that no rung runs ahead of another unseen.
const QUEUE: &str = "queue max-size-buffers=2 max-size-bytes=0 max-size-time=0";

/// The launch text that decodes `codec`: appsrc `units`, appsink `pictures`.
pub(super) fn decode(pipelines: &Pipelines, codec: VideoCodec) -> Result<String, String> {
    let name = match codec {
        VideoCodec::H264 => "decode-h264",
        VideoCodec::Hevc => "decode-hevc",
    };
    pipelines.graph(name, &[])
}

/// The launch text that makes all rungs of a job: appsrc `raw`, appsinks `rung0`, `rung1`, ….
///
/// Each rung is scaled from the next larger one: less to read, and every scaler filters well enough.
pub(super) fn encode(pipelines: &Pipelines, job: &EncodeJob) -> Result<String, String> {
    let mut graph =
        "appsrc name=raw format=time is-live=true block=true max-buffers=2 max-bytes=0".to_owned();
    for (number, rung) in job.rungs.iter().enumerate() {
        let (width, height) = (rung.width.to_string(), rung.height.to_string());
        // All rungs have one shape but for the evenness of their sides, which is not worth a border.
        let borders = if number == 0 { "true" } else { "false" };
        let scale = pipelines
            .graph("scale", &[("width", &width), ("height", &height), ("borders", borders)])?;
        let threads =
            if u64::from(rung.width) * u64::from(rung.height) >= LARGE { "2" } else { "1" };
        let kbits = (rung.bitrate / 1000).max(1).to_string();
        let values = [("kbits", &*kbits), ("preset", &*rung.preset), ("threads", threads)];
        let encoder = pipelines.graph(&rung.encoder, &values)?;
        let from = match number.checked_sub(1) {
            None => String::new(),
            Some(larger) => format!(" t{larger}. ! {QUEUE}"),
        };
        graph += &format!(
            "{from} ! {scale} ! tee name=t{number} \
             t{number}. ! {QUEUE} ! {encoder} ! appsink name=rung{number} sync=false async=false"
        );
    }
    Ok(graph)
}

/// Makes a pipeline of a launch text.
///
/// # Errors
/// In a sentence: which element is missing and the package that has it, or what is wrong with the text.
pub(crate) fn launch(text: &str) -> Result<gst::Pipeline, String> {
    let mut context = gst::ParseContext::new();
    let made = gst::parse::launch_full(text, Some(&mut context), gst::ParseFlags::FATAL_ERRORS);
    let missing = context.missing_elements();
    if !missing.is_empty() {
        return Err(missing.iter().map(|name| lack(name)).collect::<Vec<_>>().join("; "));
    }
    made.map_err(|error| format!("the graph `{text}` cannot be made: {error}"))?
        .downcast()
        .map_err(|_| format!("the graph `{text}` has fewer than two elements"))
}

/// What is to be done about a missing element.
pub(super) fn lack(element: &str) -> String {
    match package(element) {
        Some(package) => format!("{element} is missing: apt-get install {package}"),
        None => format!("{element} is missing, and no package of Debian 12 is known to have it"),
    }
}

/// The Debian 12 package of an element.
pub(super) fn package(element: &str) -> Option<&'static str> {
    Some(match element {
        "appsrc" | "appsink" | "videoconvertscale" | "audioconvert" | "audiotestsrc" => {
            "gstreamer1.0-plugins-base"
        }
        "queue" | "tee" | "identity" | "capsfilter" => "libgstreamer1.0-0",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "avdec_h264" | "avdec_h265" | "avenc_aac" => "gstreamer1.0-libav",
        "mpegtsmux" | "x265enc" | "openh264enc" | "h264parse" | "nvh264enc" | "vah264enc" => {
            "gstreamer1.0-plugins-bad"
        }
        "aacparse" | "deinterlace" | "pngdec" => "gstreamer1.0-plugins-good",
        "vaapih264enc" => "gstreamer1.0-vaapi",
        _ => return None,
    })
}
