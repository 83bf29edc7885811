//! Other people's programs, as sources of real bytes and as independent readers of ours.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;

/// Runs a program on `input` and gives what it wrote to its standard output.
///
/// Arguments are cut at white space: `run("ffprobe", "-v error -show_packets -", ts)`.
///
/// # Panics
/// The program is not installed, or fails; the message says which.
#[must_use]
#[expect(clippy::expect_used, clippy::panic, reason = "a test cannot go on without its tools")]
pub fn run(program: &str, arguments: &str, input: &[u8]) -> Bytes {
    let mut child = Command::new(program)
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start ({error}): run ./x setup"));
    let mut stdin = child.stdin.take().expect("it was asked for");
    let output = thread::scope(|scope| {
        // A program may end before it has read everything: its exit status tells whether that is well.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("a child can be waited for")
    });
    assert!(output.status.success(), "{program} {arguments} failed: {}", output.status);
    output.stdout.into()
}

/// Runs ffmpeg on generated input: arguments up to the output, which is the pipe.
#[must_use]
pub fn ffmpeg(arguments: &str) -> Bytes {
    run("ffmpeg", &format!("-v error -nostdin {arguments} -"), &[])
}

/// What ffprobe shows of `bytes` (`-show_streams`, `-show_packets` …), a `key=value` a line.
#[must_use]
pub fn ffprobe(arguments: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let arguments = format!("-v fatal -of default=nw=1 {arguments} -");
    String::from_utf8_lossy(&run("ffprobe", &arguments, bytes))
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
