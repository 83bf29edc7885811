//! The commands, at a terminal and with a broken configuration.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::{NOWCAST, Server, nowcast, open_stream, until};
use super::player::Master;
use super::source::{AAC, H264, clip};

fn written(dir: &Path, text: &str) -> String {
    let file = dir.join("nowcast.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_bad_configuration_ends_with_78_and_every_fault_before_any_port_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let state = dir.path().join("state");
    // Were a port bound before the faults are told, this one would be reported as taken.
    let text = format!(
        "[http]\nlisten = \"{}\"\n[srt]\nlatensy = \"1s\"\n[state]\ndir = {state:?}\n[[stream]]\nname = \"A\"\nkey = \"k\"\npart = \"1m\"\n",
        taken.local_addr().unwrap()
    );
    let file = written(dir.path(), &text);
    for command in ["serve", "check", "demo"] {
        let (status, out, err) = nowcast(&["--config", &file, command]);
        assert_eq!((status, out.as_str()), (78, ""), "{command}: {err}");
        let faults: Vec<_> = err.lines().collect();
        for (line, words) in [(4, "latency"), (8, "a-z, 0-9"), (10, "ms")] {
            let place = format!("{file}:{line}: ");
            let fault = faults.iter().find(|fault| fault.starts_with(&place));
            let fault = fault.unwrap_or_else(|| panic!("no fault at {place} in {err}"));
            assert!(fault.contains(words), "{fault} names no remedy");
        }
        assert!(err.contains("3 faults"), "{err}");
        assert!(!state.exists(), "{command} touched the state directory");
    }
    let (status, _, err) = nowcast(&["--config", "/nowhere/nowcast.toml", "check"]);
    assert_eq!(status, 78);
    assert!(err.contains("/nowhere/nowcast.toml: cannot be read"), "{err}");
}

#[test]
fn a_port_in_use_and_a_state_directory_in_the_way_are_told_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state").display().to_string();
    let any = "127.0.0.1:0";
    let (taken_tcp, taken_udp) = (TcpListener::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
    let tcp = taken_tcp.local_addr().unwrap().to_string();
    let udp = taken_udp.local_addr().unwrap().to_string();
    for ([srt, http, ops], part, taken) in
        [([any, &tcp, any], "[http]", &tcp), ([any, any, &tcp], "[ops]", &tcp)]
    {
        let (status, _, err) =
            nowcast(&["serve", "--srt", srt, "--http", http, "--ops", ops, "--state", &state]);
        assert_eq!(status, 1, "{err}");
        assert!(err.contains(&format!("{part} cannot listen on {taken}")), "{err}");
        assert!(err.contains("stop what uses the port, or choose another"), "{err}");
    }
    let (status, _, err) =
        nowcast(&["serve", "--srt", &udp, "--http", any, "--ops", any, "--state", &state]);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains(&udp) && err.contains("--srt"), "{err}");

    let serve_in = |state: &Path| {
        let state = state.display().to_string();
        nowcast(&["serve", "--srt", any, "--http", any, "--ops", any, "--state", &state])
    };
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (status, _, err) = serve_in(&file.join("state"));
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("name another with --state"), "{err}");
    let (status, _, err) = serve_in(Path::new("/proc/nowcast"));
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("name another with --state"), "{err}");

    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=4k,nr_inodes=16", "nowcast-test"];
    let mounted = Command::new("mount").args(mount).arg(&full).stderr(Stdio::null()).status();
    if mounted.is_ok_and(|status| status.success()) {
        std::fs::write(full.join("filler"), vec![0; 1 << 16]).ok();
        let (status, _, err) = serve_in(&full);
        assert!(Command::new("umount").arg(&full).status().unwrap().success());
        assert_eq!(status, 1, "{err}");
        assert!(err.contains("No space left") && err.contains("full"), "{err}");
    }
}

#[test]
fn a_state_directory_is_of_one_server_and_keeps_the_publish_key_to_itself() {
    let server = Server::start("");
    let state = server.state_dir();
    let (status, _, err) = nowcast(&[
        "serve",
        "--srt",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--ops",
        "127.0.0.1:0",
        "--state",
        &state.display().to_string(),
    ]);
    assert_eq!(status, 1);
    assert!(err.contains("in use by another nowcast"), "{err}");
    for secret in ["publish.key", "tokens.key", "rooms.redb"] {
        let mode = state.join(secret).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret} is the server's alone");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_every_command_has_an_example() {
    for words in [
        &["serv"][..],
        &["serve", "--htp", "x"],
        &["serve", "--http", "x"],
        &[],
        &["publish", "http://x"],
    ] {
        let (status, out, err) = nowcast(words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(!err.is_empty());
    }
    for command in [
        "serve",
        "demo",
        "check",
        "doctor",
        "url",
        "publish",
        "streams",
        "top",
        "completions",
        "man",
    ] {
        let (status, out, err) = nowcast(&[command, "--help"]);
        assert_eq!((status, err.as_str()), (0, ""), "{command}");
        assert!(out.contains("Example:\n  nowcast "), "{command}: {out}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (status, out, _) = nowcast(&["completions", shell]);
        assert!(status == 0 && out.contains("nowcast") && out.contains("doctor"), "{shell}");
    }
    let (status, out, _) = nowcast(&["man"]);
    assert!(status == 0 && out.contains(".TH nowcast") && out.contains("doctor"));
}

#[test]
fn check_shows_the_effective_configuration_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[ops]\ntoken = \"operators-secret\"\n[srt]\nlatency = \"300ms\"\n[[stream]]\nname = \"a\"\n\
        key = \"publishers-secret\"\npassphrase = \"links-secret\"\n";
    let file = written(dir.path(), text);
    let (status, json, _) = nowcast(&["--config", &file, "check", "--json"]);
    assert_eq!(status, 0);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["srt"]["latency"], "300ms");
    assert_eq!(value["stream"][0]["name"], "a");
    let (_, plain, _) = nowcast(&["--config", &file, "check"]);
    for shown in [&json, &plain] {
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(shown.matches("\"********\"").count(), 3, "{shown}");
    }
    let output = Command::new(NOWCAST)
        .args(["--config", &file, "check", "--json"])
        .env("NOWCAST_SRT_LATENCY", "400ms")
        .output()
        .unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["srt"]["latency"], "400ms");
}

#[test]
fn the_printed_ffmpeg_command_publishes_and_the_printed_playlist_plays() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stream = "[[stream]]\nname = \"a\"\nkey = \"top&'secret%20+\"\npassphrase = \"ten or more: +/?\"\nmode = \"passthrough\"\n";
    let server = Server::start_on(port, stream);
    let config = server.config_file();
    let words = ["--config", &config, "url", "a", "--host", "127.0.0.1"];
    let (status, text, err) = nowcast(&words);
    assert_eq!(status, 0, "{err}");
    let command: String = text
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("ffmpeg "))
        .take_while(|line| !line.trim_start().starts_with("GStreamer"))
        .collect::<Vec<_>>()
        .join("\n");
    let command = command.trim_start().trim_start_matches("ffmpeg ").trim_start();
    let options = format!("{H264} {AAC}");
    let clip = clip("pasted", "size=320x180:rate=30", "sample_rate=48000", 30, &options);
    let command = command.replace("FILE", &clip.display().to_string());
    let mut pasted = Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.await_phase("a", "live", 20);
    let health = until("statistics", 5, || {
        Some(server.status("a")["ingest"].clone()).filter(|it| it["bytes"].as_u64() > Some(0))
    });
    assert_ne!(health["encryption_bits"], 0);
    let (_, json, _) = nowcast(&[&words[..], &["--json"]].concat());
    let urls: Value = serde_json::from_str(&json).unwrap();
    assert!(urls["playlist"].as_str().unwrap().ends_with("/live/a/index.m3u8"));
    assert_eq!(server.get("/watch/a").status, 200);
    assert_eq!(Master::of(&server, "a", 10).variants.len(), 1);
    pasted.kill().unwrap();
    pasted.wait().unwrap();
    let (status, _, err) = nowcast(&["--config", &config, "url", "b"]);
    assert_eq!(status, 1);
    assert!(err.contains("[[stream]]"), "{err}");
}

#[test]
fn the_demo_prints_its_addresses_as_json_and_plays_a_file() {
    let options = format!("{H264} {AAC}");
    let clip = clip("pasted", "size=320x180:rate=30", "sample_rate=48000", 30, &options);
    let any = "127.0.0.1:0";
    let mut demo = Command::new(NOWCAST)
        .args(["demo", "--json", "--srt", any, "--http", any, "--ops", any, "--source"])
        .arg(&clip)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(demo.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let addresses: Value = serde_json::from_str(&line).unwrap();
    let playlist = addresses["playlist"].as_str().unwrap().strip_prefix("http://").unwrap();
    let (host, path) = playlist.split_at(playlist.find('/').unwrap());
    let host = host.parse().unwrap();
    let playable = super::harness::try_until(20, || {
        super::harness::try_get(host, path).filter(|answer| answer.status == 200)
    });
    super::harness::signal(demo.id(), "INT");
    let ended = demo.wait().unwrap();
    assert!(playable.is_some(), "the demo is not playable");
    assert!(ended.success(), "Ctrl-C ends it well: {ended}");
}

#[test]
fn streams_shows_and_kicks_on_the_running_server() {
    let server = Server::start(&open_stream("a", "mode = \"passthrough\""));
    let options = format!("{H264} {AAC}");
    let clip = clip("pasted", "size=320x180:rate=30", "sample_rate=48000", 30, &options);
    let _sender = super::source::Sender::ffmpeg(&server, "a", &clip);
    server.await_phase("a", "live", 20);
    let ops = server.ops.to_string();
    let streams = |words: &[&str]| {
        let output = Command::new(NOWCAST)
            .arg("streams")
            .args(words)
            .env("NOWCAST_OPS_LISTEN", &ops)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, table) = streams(&[]);
    assert!(status == 0 && table.contains("live") && table.contains("H.264 320x180"), "{table}");
    let (_, json) = streams(&["a", "--json"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["renditions"][0]["name"], "source");
    assert_eq!(streams(&["b"]).0, 1);
    assert_eq!(streams(&["kick", "a"]).0, 0);
    server.await_phase("a", "waiting", 5);
    assert_eq!(streams(&["kick", "a"]).0, 1, "nobody is left to be kicked");
    drop(server);
    assert_eq!(streams(&[]).0, 1, "no server answers");
}

/// In a terminal of its own (script(1)), which tells whether it was left as it was found.
#[test]
fn top_draws_on_a_terminal_and_leaves_it_as_it_was() {
    let (status, _, err) = nowcast(&["top"]);
    assert!(status == 2 && err.contains("nowcast streams --json"), "{err}");
    let server = Server::start(&open_stream("camera", ""));
    for keys in ["q", "\u{3}"] {
        let command =
            format!("stty cols 80 rows 24; exec {NOWCAST} --config {} top", server.config_file());
        let mut script = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .env("NOWCAST_OPS_LISTEN", server.ops.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is part of Debian");
        let (mut stdin, mut stdout) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let (mut drawn, mut chunk) = (String::new(), [0; 4096]);
        while !drawn.contains("camera") {
            let read = stdout.read(&mut chunk).unwrap();
            assert!(read > 0, "it ended before it drew: {drawn}");
            drawn += &String::from_utf8_lossy(&chunk[..read]);
        }
        stdin.write_all(keys.as_bytes()).unwrap();
        stdout.read_to_string(&mut drawn).unwrap();
        assert!(script.wait().unwrap().success(), "{drawn}");
        let (entered, left) = (drawn.find("\u{1b}[?1049h"), drawn.rfind("\u{1b}[?1049l"));
        assert!(entered.is_some() && left > entered, "{drawn:?}");
    }
}
