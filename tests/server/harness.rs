//! A server of its own per test: the real binary, a fresh state directory, ports of the system's choice.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const NOWCAST: &str = env!("CARGO_BIN_EXE_nowcast");

/// A running server; it goes with the value.
pub(crate) struct Server {
    child: Child,
    dir: TempDir,
    log: Arc<Mutex<Vec<Value>>>,
    pub(crate) srt: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) ops: SocketAddr,
}

impl Server {
    /// Starts a server with these `[[stream]]` tables, and keys of `[http]` before them, and waits
    /// until it is ready.
    pub(crate) fn start(streams: &str) -> Self {
        Self::start_on(0, streams)
    }

    /// Starts it with a certain port for publishers.
    pub(crate) fn start_on(port: u16, streams: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("nowcast.toml"), config(&dir, port, streams)).unwrap();
        Self::launch(dir)
    }

    /// Starts it again, as it was, after it was killed or stopped.
    pub(crate) fn start_again(mut self) -> Self {
        self.kill();
        let empty = tempfile::tempdir().unwrap();
        Self::launch(std::mem::replace(&mut self.dir, empty))
    }

    /// Starts it again at the very addresses it had, for those who call there again by themselves.
    pub(crate) fn start_again_in_place(self) -> Self {
        let file = self.dir.path().join("nowcast.toml");
        let mut text = std::fs::read_to_string(&file).unwrap();
        let parts = [("[srt]", self.srt), ("[ops]", self.ops), ("[http]", self.http)];
        for (part, address) in parts {
            let at = text.find(part).unwrap();
            let value = text[at..].find("127.0.0.1:").unwrap() + at;
            let end = text[value..].find('"').unwrap() + value;
            text.replace_range(value..end, &address.to_string());
        }
        std::fs::write(file, text).unwrap();
        self.start_again()
    }

    fn launch(dir: TempDir) -> Self {
        let mut child = Command::new(NOWCAST)
            .args(["--log-format", "json", "--config"])
            .arg(dir.path().join("nowcast.toml"))
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let sink = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // What is no JSON (a panic, say) is kept as it is.
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(value);
            }
        });
        let listening = until("the server says where it listens", 30, || {
            let log = log.lock().unwrap();
            log.iter().map(|line| line["fields"].clone()).find(|it| it["message"] == "listening")
        });
        let address = |key: &str| listening[key].as_str().unwrap().parse().unwrap();
        let (srt, http, ops) = (address("srt"), address("http"), address("ops"));
        until("the server is ready", 10, || {
            try_get(ops, "/readyz").filter(|answer| answer.status == 200)
        });
        Self { child, dir, log, srt, http, ops }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes another configuration and asks the server to read it.
    pub(crate) fn reconfigure(&self, streams: &str) {
        let file = self.dir.path().join("nowcast.toml");
        std::fs::write(file, config(&self.dir, self.srt.port(), streams)).unwrap();
        signal(self.pid(), "HUP");
    }

    pub(crate) fn config_file(&self) -> String {
        self.dir.path().join("nowcast.toml").display().to_string()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        signal(self.pid(), "TERM");
        self.child.wait().unwrap()
    }

    /// The address to publish under a streamid.
    pub(crate) fn publish_url(&self, streamid: &str) -> String {
        format!("srt://{}?mode=caller&streamid={streamid}&pkt_size=1316", self.srt)
    }

    /// GET from the public listener.
    pub(crate) fn get(&self, path: &str) -> Answer {
        try_get(self.http, path).unwrap_or_else(|| panic!("no answer to GET {path}"))
    }

    /// A stream's state on the ops listener.
    pub(crate) fn status(&self, stream: &str) -> Value {
        let answer = try_get(self.ops, &format!("/api/v1/streams/{stream}"));
        serde_json::from_slice(&answer.expect("ops answers").body).unwrap()
    }

    /// Waits until a stream's state is as wanted.
    pub(crate) fn await_status(
        &self,
        stream: &str,
        seconds: u64,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let what = format!("the wanted state of {stream}");
        let found = try_until(seconds, || Some(self.status(stream)).filter(&wanted));
        found.unwrap_or_else(|| {
            let mut log = String::new();
            for line in self.log.lock().unwrap().iter() {
                writeln!(log, "{line}").unwrap();
            }
            panic!("not within {seconds} s: {what}; it is {:#}\n{log}", self.status(stream))
        })
    }

    pub(crate) fn await_phase(&self, stream: &str, phase: &str, seconds: u64) -> Value {
        self.await_status(stream, seconds, |status| status["phase"] == phase)
    }

    /// Waits until the log has a line with both texts.
    pub(crate) fn await_log(&self, about: &str, text: &str) {
        until(&format!("\"{text}\" in the log, about {about}"), 15, || {
            let log = self.log.lock().unwrap();
            let mut lines = log.iter().map(ToString::to_string);
            lines.any(|it| it.contains(about) && it.contains(text)).then_some(())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let panicked = log.iter().any(|line| line.to_string().contains("panicked at"));
        assert!(!panicked || thread::panicking(), "the server panicked: {log:#?}");
    }
}

fn config(dir: &TempDir, port: u16, streams: &str) -> String {
    format!(
        "[srt]\nlisten = \"127.0.0.1:{port}\"\nlatency = \"120ms\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [state]\ndir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n{streams}",
        dir.path().join("state")
    )
}

/// A `[[stream]]` that anybody may publish, with further keys.
pub(crate) fn open_stream(name: &str, more: &str) -> String {
    format!("[[stream]]\nname = \"{name}\"\nopen = true\n{more}\n")
}

/// What a command of the binary ends with: exit status, standard output, standard error.
pub(crate) fn nowcast(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(NOWCAST).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One GET over a connection of its own; `None` if there is no whole answer.
pub(crate) fn try_get(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let body = bytes.split_off(end);
    let whole = body.len() == length.parse::<usize>().ok()?;
    whole.then_some(Answer { status: head.get(9..12)?.parse().ok()?, body })
}

/// Asks again and again until there is an answer, or the time is over.
pub(crate) fn try_until<T>(seconds: u64, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > deadline {
            return answer;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn until<T>(what: &str, seconds: u64, ask: impl FnMut() -> Option<T>) -> T {
    try_until(seconds, ask).unwrap_or_else(|| panic!("not within {seconds} s: {what}"))
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "process {pid} is gone");
}

/// Whether a process is there and not merely unburied.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Where clips are kept between runs.
pub(crate) fn clips() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}
