//! What this machine can encode, for `nowcast doctor`.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::graph;

/// One GStreamer element.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct ElementReport {
    /// Its name.
    pub name: String,
    /// Without it the ladders that come with nowcast, or the test picture, do not work.
    pub needed: bool,
    /// What nowcast uses it for.
    pub detail: String,
    /// What is wrong and what to do; nothing where it is there and, if it encodes, has encoded a picture.
    pub fault: Option<String>,
}

/// Element, purpose, needed, encodes.
const ELEMENTS: &[(&str, &str, bool, bool)] = &[
    ("appsrc", "access units in", true, false),
    ("appsink", "coded frames out", true, false),
    ("avdec_h264", "H.264 sources", true, false),
    ("avdec_h265", "HEVC sources", true, false),
    ("videoconvertscale", "scaling", true, false),
    ("x264enc", "H.264 rungs, software", true, true),
    ("pngdec", "the slate while nobody publishes", true, false),
    ("avenc_aac", "the test picture's tone", true, false),
    ("aacparse", "the test picture's tone", true, false),
    ("mpegtsmux", "the test picture", true, false),
    ("x265enc", "HEVC rungs, software", false, true),
    ("nvh264enc", "H.264 rungs, NVIDIA", false, true),
    ("vah264enc", "H.264 rungs, VA-API", false, true),
    ("qsvh264enc", "H.264 rungs, Intel", false, true),
    ("v4l2h264enc", "H.264 rungs, V4L2", false, true),
];

/// How long an encoder may take for one small picture, a driver's start included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks for every element and has every encoder encode a picture; takes a second or so.
#[must_use]
pub fn probe() -> Vec<ElementReport> {
    let started = gst::init().map_err(|error| format!("GStreamer does not start: {error}"));
    let report = |&(element, purpose, needed, encodes): &(&str, &str, bool, bool)| {
        let fault = match &started {
            Err(fault) => Some(fault.clone()),
            Ok(()) if gst::ElementFactory::find(element).is_none() => {
                Some(device(element).map_or_else(|| graph::lack(element), str::to_owned))
            }
            Ok(()) if encodes => encode(element).err(),
            Ok(()) => None,
        };
        ElementReport { name: element.into(), needed, detail: purpose.into(), fault }
    };
    ELEMENTS.iter().map(report).collect()
}

/// What hardware an element registers for; its plugin is there without, the element is not.
fn device(element: &str) -> Option<&'static str> {
    match element {
        "nvh264enc" => Some("no NVIDIA GPU with its driver was found; software encodes"),
        "vah264enc" => {
            Some("no VA-API device was found (/dev/dri, and a driver for it); software encodes")
        }
        "qsvh264enc" => Some("no Intel Quick Sync was found; software encodes"),
        "v4l2h264enc" => Some("no V4L2 encoder was found (/dev/video*); software encodes"),
        _ => None,
    }
}

fn encode(element: &str) -> Result<(), String> {
    let text = format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width=320,height=240,framerate=30/1 ! videoconvertscale ! {element} \
         ! appsink name=coded sync=false"
    );
    let pipeline = graph::launch(&text)?;
    let started = Instant::now();
    let coded = pipeline.by_name("coded").and_then(|sink| sink.downcast::<AppSink>().ok());
    let playing = pipeline.set_state(gst::State::Playing);
    let patience = gst::ClockTime::try_from(PATIENCE).ok();
    let sample = coded.and_then(|sink| sink.try_pull_sample(patience));
    let reason = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    // The verdict is reached; a device that does not let go changes nothing.
    pipeline.set_state(gst::State::Null).ok();
    if playing.is_ok() && sample.is_some() {
        return Ok(());
    }
    Err(match reason.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => {
            format!("{element} does not encode: {}", error.error())
        }
        _ if started.elapsed() >= PATIENCE => {
            format!("{element} made nothing of a picture in {} s", PATIENCE.as_secs())
        }
        _ => format!(
            "{element} does not encode, and does not say why: run gst-inspect-1.0 {element}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_comes_with_its_remedy_and_encoders_are_tried() {
        let reports = probe();
        let x264 = reports.iter().find(|report| report.name == "x264enc").unwrap();
        assert!(
            x264.fault.as_ref().is_none_or(|fault| fault.contains("gstreamer1.0-plugins-ugly"))
        );
        assert!(
            encode("identity").is_ok(),
            "the trial passes with an element that passes pictures on"
        );
        assert!(encode("fakesink").is_err(), "and fails with one that does not");
    }
}
