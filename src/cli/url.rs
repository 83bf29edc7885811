//! `nowcast url`: addresses to paste.

use clap::Args;

use super::{Failure, print, print_json};
use crate::app;
use crate::config::{Config, StreamConfig};
use crate::flow::StreamName;
use crate::state::known_publish_key;

#[derive(Args, Debug)]
pub(super) struct Url {
    /// The stream.
    stream: String,
    /// The host that publishers and players reach this server under.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, args: &Url) -> Result<(), Failure> {
    let unknown = || {
        Failure::Failed(anyhow::anyhow!(
            "there is no stream \"{}\"; add a [[stream]] of that name, or one with name = \"*\"",
            args.stream
        ))
    };
    let name = StreamName::new(&args.stream).ok_or_else(unknown)?;
    let config = app::with_default_stream(config.clone())?;
    let mut stream = config.stream(&name).ok_or_else(unknown)?;
    if stream.key.is_none() && stream.passphrase.is_none() && !stream.open {
        stream.key = known_publish_key(&config.state_dir);
        if stream.key.is_none() {
            let hint =
                "no publish key has been made yet: run `nowcast serve` once, as the same user";
            return Err(Failure::Failed(anyhow::anyhow!("{hint}")));
        }
    }
    let host = args.host.clone().unwrap_or_else(|| host(&config));
    let urls = Urls::new(&config, &stream, &host);
    if args.json {
        return print_json(&urls);
    }
    let text = format!(
        "Publish\n  OBS        Settings → Stream → Service: Custom, Server:\n             {srt}\n  \
         ffmpeg     ffmpeg -re -i FILE -c:v libx264 -tune zerolatency -g 60 -c:a aac -f mpegts \\\n             {ffmpeg}\n  \
         GStreamer  … ! mpegtsmux alignment=7 ! srtsink uri='{srt}'\n  \
         hardware   host {host}, port {port}, mode caller, streamid {streamid}, latency {latency} ms{passphrase}\n\n\
         Play\n  page       {watch}\n  playlist   {playlist}\n",
        srt = urls.srt,
        ffmpeg = ffmpeg_output(&config, &stream, &host, &urls.streamid),
        port = config.srt.listen.port(),
        streamid = urls.streamid,
        latency = config.srt.latency.as_millis(),
        passphrase = if stream.passphrase.is_some() { ", with the passphrase" } else { "" },
        watch = urls.watch,
        playlist = urls.playlist,
    );
    print(text.as_bytes())
}

/// The end of an ffmpeg command. ffmpeg takes what stands in a URL as it is, `%26` for three characters:
/// what may hold any character goes into options.
fn ffmpeg_output(config: &Config, stream: &StreamConfig, host: &str, streamid: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut output = format!("-srt_streamid {} ", quoted(streamid));
    if let Some(passphrase) = &stream.passphrase {
        output.push_str(&format!("-passphrase {} ", quoted(passphrase)));
    }
    let (host, port) = (bracketed(host), config.srt.listen.port());
    output.push_str(&format!("'srt://{host}:{port}?mode=caller&pkt_size=1316'"));
    output
}

/// Where a stream is published to and played from.
#[derive(Debug, serde::Serialize)]
pub(super) struct Urls {
    pub(super) srt: String,
    pub(super) streamid: String,
    pub(super) watch: String,
    pub(super) playlist: String,
}

impl Urls {
    pub(super) fn new(config: &Config, stream: &StreamConfig, host: &str) -> Self {
        let streamid = match &stream.key {
            Some(key) => format!("{}:{key}", stream.name),
            None => stream.name.to_string(),
        };
        let mut srt = format!(
            "srt://{}:{}?mode=caller&streamid={}",
            bracketed(host),
            config.srt.listen.port(),
            percent_encode(&streamid),
        );
        if let Some(passphrase) = &stream.passphrase {
            srt.push_str("&passphrase=");
            srt.push_str(&percent_encode(passphrase));
        }
        let base = web_base(config, host);
        Self {
            srt,
            streamid,
            watch: format!("{base}/watch/{}", stream.name),
            playlist: format!("{base}/live/{}/index.m3u8", stream.name),
        }
    }
}

/// What the addresses of pages and playlists begin with.
pub(super) fn web_base(config: &Config, host: &str) -> String {
    config.http.public_url.clone().unwrap_or_else(|| {
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}:{}", bracketed(host), config.http.listen.port())
    })
}

/// The host of `public_url`, else the address listened on, else this machine's name.
pub(super) fn host(config: &Config) -> String {
    let public = config.http.public_url.as_ref().and_then(|url| url.parse::<http::Uri>().ok());
    if let Some(host) = public.as_ref().and_then(http::Uri::host) {
        return host.to_owned();
    }
    let ip = config.srt.listen.ip();
    if ip.is_unspecified() {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    } else {
        ip.to_string()
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// Everything but letters, digits and `-._~:` as `%XX`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
