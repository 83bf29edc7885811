//! Real coded media: made by ffmpeg, packaged, and read back by ffprobe and ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use nowcast_cmaf::{
    AudioPackager, Cut, Event, Output, PackageError, VideoPackager, audio_init, events, video_init,
};
use nowcast_media::{
    AacConfig, AccessUnit, AudioFrame, FrameRate, Grid, MediaTime, ParameterSets, VideoCodec, nal,
};

/// A folder of its own for one test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("nowcast-cmaf-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind harms nobody.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs a tool of ffmpeg's; it must have nothing to complain about.
fn run(tool: &str, arguments: &[&str]) -> Vec<u8> {
    let keyboard: &[&str] = if tool == "ffmpeg" { &["-nostdin"] } else { &[] };
    let output = Command::new(tool)
        .args(keyboard)
        .args(["-hide_banner", "-v", "warning"])
        .args(arguments)
        .output()
        .expect("ffmpeg and ffprobe are installed (./x setup)");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{tool} {arguments:?}: {complaints}");
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One hash per decoded frame, in the order they are shown.
fn frame_hashes(path: &Path) -> Vec<String> {
    let out = run("ffmpeg", &["-i", text(path), "-f", "framemd5", "-fps_mode", "passthrough", "-"]);
    let lines = String::from_utf8(out).unwrap();
    let hash = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
    lines.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

/// Packet times: (pts, dts, duration), in the file's time base.
fn packet_times(path: &Path) -> Vec<(i64, i64, i64)> {
    let out =
        run("ffprobe", &["-show_entries", "packet=pts,dts,duration", "-of", "csv=p=0", text(path)]);
    // ffmpeg does not know how long an audio track's first packet is.
    let number = |field: &str| if field == "N/A" { 0 } else { field.parse().unwrap() };
    let line = |line: &str| {
        let fields: Vec<i64> = line.trim_end_matches(',').split(',').map(number).collect();
        (fields[0], fields[1], fields[2])
    };
    let lines = String::from_utf8_lossy(&out);
    lines.lines().filter(|line| !line.is_empty()).map(line).collect()
}

/// Ten seconds of a moving picture, as access units whose first one is shown when it is decoded.
fn source(scratch: &Scratch, codec: VideoCodec, rate: &str, options: &[&str]) -> Vec<AccessUnit> {
    let (encoder, format, filter) = match codec {
        VideoCodec::H264 => ("libx264", "h264", "h264_metadata=aud=insert"),
        VideoCodec::Hevc => ("libx265", "hevc", "hevc_metadata=aud=insert"),
    };
    let (stream, elementary) = (scratch.path("source.ts"), scratch.path("source.bits"));
    let picture = format!("testsrc2=size=320x180:rate={rate}:duration=10");
    let mut arguments = vec!["-y", "-f", "lavfi", "-i", &picture, "-pix_fmt", "yuv420p"];
    arguments.extend(["-c:v", encoder, "-preset", "ultrafast"]);
    arguments.extend(options);
    arguments.push(text(&stream));
    run("ffmpeg", &arguments);
    run(
        "ffmpeg",
        &[
            "-y",
            "-i",
            text(&stream),
            "-c",
            "copy",
            "-bsf:v",
            filter,
            "-f",
            format,
            text(&elementary),
        ],
    );
    let times = packet_times(&stream);
    let units = split_at_delimiters(codec, &std::fs::read(elementary).unwrap().into());
    assert_eq!(times.len(), units.len());
    let (first_pts, first_dts, _) = times[0];
    let unit = |(data, (pts, dts, _)): (Bytes, (i64, i64, i64))| AccessUnit {
        pts: MediaTime::from_ticks(pts - first_pts),
        dts: MediaTime::from_ticks(dts - first_dts),
        random_access: nal::has_random_access(codec, &data),
        damaged: false,
        data,
    };
    units.into_iter().zip(times).map(unit).collect()
}

fn split_at_delimiters(codec: VideoCodec, stream: &Bytes) -> Vec<Bytes> {
    let delimiter: &[u8] = match codec {
        VideoCodec::H264 => &[0, 0, 0, 1, 9],
        VideoCodec::Hevc => &[0, 0, 0, 1, 35 << 1],
    };
    let mut starts: Vec<usize> = stream
        .windows(5)
        .enumerate()
        .filter(|(_, window)| *window == delimiter)
        .map(|(at, _)| at)
        .collect();
    starts.push(stream.len());
    starts.windows(2).map(|pair| stream.slice(pair[0]..pair[1])).collect()
}

/// Packages a source into a file of init section and parts, each with an event; answers how many
/// segments it became.
fn package(units: &[AccessUnit], codec: VideoCodec, grid: Grid, cut: Cut, to: &Path) -> usize {
    let sets = ParameterSets::find(codec, &units[0].data).unwrap();
    let mut file = video_init(&sets, &sets.format().unwrap()).unwrap().to_vec();
    let mut packager = VideoPackager::new(codec, grid, cut);
    packager.set_anchor(1_795_305_600_000_000);
    let mut segments = 0;
    let mut write = |packager: &mut VideoPackager| {
        while let Some(output) = packager.poll_output() {
            match output {
                Output::Part(part) => {
                    let presentation_time = part.base_decode_time;
                    let duration = part.duration.try_into().unwrap();
                    let event = Event { presentation_time, duration, id: 1, text: "{\"v\":1}" };
                    file.extend_from_slice(&part.with_events(&events([event])).bytes);
                }
                Output::SegmentEnd => segments += 1,
            }
        }
    };
    for unit in units {
        packager.handle_unit(unit).unwrap();
        write(&mut packager);
    }
    packager.restart();
    write(&mut packager);
    std::fs::write(to, file).unwrap();
    segments
}

fn grid(num: u32, den: u32) -> Grid {
    let rate = FrameRate::new(num, den).unwrap();
    Grid::new(rate, MediaTime::from_millis(334), MediaTime::from_millis(2000))
}

/// Packages ten seconds, and compares what ffmpeg decodes with what it decodes from the source.
fn round_trip(codec: VideoCodec, rate: (u32, u32), cut: Cut, options: &[&str]) -> usize {
    let scratch = Scratch::new(&format!("{codec}-{}-{cut:?}-{}", rate.0, options.concat().len()));
    let units = source(&scratch, codec, &format!("{}/{}", rate.0, rate.1), options);
    let grid = grid(rate.0, rate.1);
    let packaged = scratch.path("packaged.mp4");
    let segments = package(&units, codec, grid, cut, &packaged);

    let times = packet_times(&packaged);
    assert_eq!(times.len(), units.len());
    // ffmpeg moves all presentation times so that none comes before its decode time.
    let moved = units.iter().map(|unit| unit.dts - unit.pts).max().unwrap();
    for (index, (unit, (pts, dts, duration))) in (0..).zip(units.iter().zip(times)) {
        let (start, end) = (grid.rate.frame_start(index), grid.rate.frame_start(index + 1));
        assert_eq!((dts, duration), (start.ticks(), (end - start).ticks()), "frame {index}");
        assert_eq!(pts, (unit.pts + moved).ticks(), "frame {index}");
    }
    let decoded = frame_hashes(&packaged);
    assert_eq!(decoded.len(), units.len());
    assert_eq!(decoded, frame_hashes(&scratch.path("source.ts")));
    segments
}

#[test]
fn h264_of_a_ladder_decodes_to_the_very_pictures() {
    let options = ["-tune", "zerolatency", "-g", "60", "-sc_threshold", "0"];
    assert_eq!(round_trip(VideoCodec::H264, (30, 1), Cut::Counted, &options), 5);
}

#[test]
fn h264_with_b_frames_at_29_97_decodes_to_the_very_pictures() {
    let options = ["-bf", "3", "-b_strategy", "0", "-g", "30"];
    let segments = round_trip(VideoCodec::H264, (30_000, 1001), Cut::AtRandomAccess, &options);
    assert_eq!(segments, 5);
}

#[test]
fn hevc_with_b_frames_decodes_to_the_very_pictures() {
    let parameters = "keyint=50:min-keyint=50:bframes=3:open-gop=0:log-level=none";
    let options = ["-x265-params", parameters];
    assert_eq!(round_trip(VideoCodec::Hevc, (25, 1), Cut::AtRandomAccess, &options), 5);
}

#[test]
fn a_single_part_can_be_read_with_the_init_section_alone() {
    let scratch = Scratch::new("single");
    let codec = VideoCodec::H264;
    let units = source(&scratch, codec, "30", &["-g", "30", "-bf", "0"]);
    let sets = ParameterSets::find(codec, &units[0].data).unwrap();
    let mut packager = VideoPackager::new(codec, grid(30, 1), Cut::AtRandomAccess);
    for unit in &units {
        packager.handle_unit(unit).unwrap();
    }
    let outputs = std::iter::from_fn(|| packager.poll_output());
    let parts = outputs.filter_map(|output| match output {
        Output::Part(part) if part.independent => Some(part),
        Output::Part(_) | Output::SegmentEnd => None,
    });
    let part = parts.last().unwrap();
    assert!(part.base_decode_time > 0);
    let file = scratch.path("part.mp4");
    let init = video_init(&sets, &sets.format().unwrap()).unwrap();
    std::fs::write(&file, [init, part.bytes].concat()).unwrap();
    assert_eq!(packet_times(&file)[0].1, i64::try_from(part.base_decode_time).unwrap());
    assert_eq!(frame_hashes(&file).len(), part.samples as usize);
}

/// A tone as raw AAC frames.
fn tone(scratch: &Scratch, sample_rate: u32, channels: u8) -> Vec<Bytes> {
    let adts = scratch.path("tone.aac");
    let tone = format!("sine=frequency=440:sample_rate={sample_rate}:duration=4");
    let (rate, channels) = (sample_rate.to_string(), channels.to_string());
    let input = ["-y", "-f", "lavfi", "-i", &tone, "-c:a", "aac"];
    run("ffmpeg", &[&input[..], &["-ar", &rate, "-ac", &channels, text(&adts)]].concat());
    let bytes = Bytes::from(std::fs::read(adts).unwrap());
    let mut frames = Vec::new();
    let mut at = 0;
    while at + 7 <= bytes.len() {
        // aac_frame_length: 13 bits from bit 30 on.
        let field = u32::from_be_bytes([0, bytes[at + 3] & 3, bytes[at + 4], bytes[at + 5]]);
        let length = usize::try_from(field >> 5).unwrap();
        frames.push(bytes.slice(at + 7..at + length));
        at += length;
    }
    frames
}

#[test]
fn aac_with_a_hole_decodes_without_a_complaint_and_is_silent_in_the_hole() {
    for (sample_rate, channels) in [(48_000, 1), (44_100, 2), (48_000, 6), (48_000, 7)] {
        let scratch = Scratch::new(&format!("tone-{channels}"));
        let encoded = if channels == 7 { 8 } else { channels };
        let config = AacConfig { object_type: 2, sample_rate, channels };
        let mut packager = AudioPackager::new(config, grid(30, 1));
        let mut file = audio_init(&config).unwrap().to_vec();
        let frames = tone(&scratch, sample_rate, encoded);
        for (index, data) in (0..).zip(&frames) {
            if (60..120).contains(&index) {
                continue;
            }
            let pts = MediaTime::from_scale(index * 1024, sample_rate.try_into().unwrap());
            packager.handle_frame(&AudioFrame { pts, data: data.clone() }).unwrap();
        }
        packager.restart();
        while let Some(output) = packager.poll_output() {
            if let Output::Part(part) = output {
                file.extend_from_slice(&part.bytes);
            }
        }
        assert_eq!(packager.silent_frames(), 60);
        let path = scratch.path("packaged.mp4");
        std::fs::write(&path, file).unwrap();
        let times = packet_times(&path);
        assert_eq!(times.len(), frames.len());
        assert!((0..).zip(&times).all(|(index, time)| time.1 == index * 1024));

        let raw = run("ffmpeg", &["-i", text(&path), "-f", "s16le", "-"]);
        let samples: Vec<i16> =
            raw.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        let frame = 1024 * usize::from(encoded);
        let loudest = |from: usize, to: usize| {
            samples[from * frame..to * frame].iter().map(|sample| sample.unsigned_abs()).max()
        };
        assert!(loudest(20, 50) > Some(1000));
        assert_eq!(loudest(62, 118), Some(0));
        assert!(loudest(130, 150) > Some(1000));
    }
}

#[test]
fn obs_with_its_default_key_frame_interval_is_told_apart() {
    let scratch = Scratch::new("obs");
    let units = source(&scratch, VideoCodec::H264, "30", &["-g", "250", "-sc_threshold", "0"]);
    let mut packager = VideoPackager::new(VideoCodec::H264, grid(30, 1), Cut::AtRandomAccess);
    let error = units.iter().find_map(|unit| packager.handle_unit(unit).err()).unwrap();
    assert!(matches!(error, PackageError::GopTooLong { .. }), "{error}");
}
