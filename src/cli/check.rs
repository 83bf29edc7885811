//! `nowcast check`: the effective configuration, secrets masked.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Failure, print, print_json};
use crate::config::units::{show_bytes, show_duration};
use crate::config::{Config, Mode, StreamConfig};

pub(super) fn run(config: &Config, json: bool) -> Result<(), Failure> {
    let streams: Vec<_> = config
        .streams
        .iter()
        .map(|stream| (stream.name.to_string(), stream))
        .chain(config.template.iter().map(|stream| ("*".to_owned(), stream)))
        .collect();
    if json {
        return print_json(&serde_json::json!({
            "srt": {
                "listen": config.srt.listen,
                "latency": show_duration(config.srt.latency),
                "idle": show_duration(config.srt.idle),
            },
            "http": {
                "listen": config.http.listen,
                "public_url": config.http.public_url,
                "trusted_proxies": networks(&config.http.trusted_proxies),
                "allowed_origins": config.http.allowed_origins,
                "webhook_networks": networks(&config.http.webhook_networks),
                "tls": config.http.tls.as_ref().map(|tls| serde_json::json!({
                    "cert": tls.cert, "key": tls.key, "expires": tls.expires_text(),
                })),
            },
            "ops": { "listen": config.ops.listen, "token": config.ops.token.as_ref().map(|_| MASK) },
            "state": { "dir": config.state_dir },
            "limits": {
                "cores": config.limits.cores,
                "memory": show_bytes(config.limits.memory),
                "descriptors": config.limits.descriptors,
                "disk": show_bytes(config.limits.disk),
            },
            "stream": streams.iter().map(|(name, stream)| json_stream(name, stream)).collect::<Vec<_>>(),
        }));
    }
    let mut text = format!(
        "[srt]\nlisten = \"{}\"\nlatency = \"{}\"\nidle = \"{}\"\n\n[http]\nlisten = \"{}\"\n",
        config.srt.listen,
        show_duration(config.srt.latency),
        show_duration(config.srt.idle),
        config.http.listen,
    );
    if let Some(url) = &config.http.public_url {
        line(&mut text, "public_url", url);
    }
    for (key, list) in [
        ("trusted_proxies", networks(&config.http.trusted_proxies)),
        ("allowed_origins", config.http.allowed_origins.clone()),
        ("webhook_networks", networks(&config.http.webhook_networks)),
    ] {
        if !list.is_empty() {
            writeln!(text, "{key} = {list:?}").ok();
        }
    }
    if let Some(tls) = &config.http.tls {
        let (cert, key) = (tls.cert.display(), tls.key.display());
        let expires = tls.expires_text();
        writeln!(text, "tls = {{ cert = \"{cert}\", key = \"{key}\" }}   # expires {expires}").ok();
    }
    write!(text, "\n[ops]\nlisten = \"{}\"\n", config.ops.listen).ok();
    if config.ops.token.is_some() {
        line(&mut text, "token", MASK);
    }
    write!(text, "\n[state]\ndir = \"{}\"\n", config.state_dir.display()).ok();
    let limits = &config.limits;
    write!(text, "\n[limits]\ncores = {}\n", limits.cores).ok();
    line(&mut text, "memory", &show_bytes(limits.memory));
    writeln!(text, "descriptors = {}", limits.descriptors).ok();
    line(&mut text, "disk", &show_bytes(limits.disk));
    for (name, stream) in &streams {
        text.push_str("\n[[stream]]\n");
        line(&mut text, "name", name);
        for (key, secret) in [("key", &stream.key), ("passphrase", &stream.passphrase)] {
            if secret.is_some() {
                line(&mut text, key, MASK);
            }
        }
        if stream.open {
            text.push_str("open = true\n");
        }
        line(&mut text, "mode", mode(stream));
        line(&mut text, "ladder", &stream.ladder);
        for (key, span) in durations(stream) {
            line(&mut text, key, &show_duration(span));
        }
        line(&mut text, "after_grace", stream.after_grace.as_str());
        if let Some(slate) = &stream.slate {
            line(&mut text, "slate", &slate.file.display().to_string());
        }
        for (key, value) in room(stream) {
            writeln!(text, "{key} = {value}").ok();
        }
    }
    if streams.is_empty() {
        text.push_str("\n# no [[stream]]: `serve` makes the stream \"live\" and a key for it\n");
    }
    print(text.as_bytes())
}

const MASK: &str = "********";

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{key} = \"{value}\"").ok();
}

fn mode(stream: &StreamConfig) -> &'static str {
    match stream.mode {
        Mode::Transcode => "transcode",
        Mode::Passthrough => "passthrough",
    }
}

/// What the audience may do, each value as TOML and JSON both write it.
fn room(stream: &StreamConfig) -> Vec<(&'static str, serde_json::Value)> {
    let room = &stream.room;
    let mut values = vec![
        ("anonymous", room.anonymous.into()),
        ("block_words", room.rules.block.clone().into()),
        ("hold_words", room.rules.hold.clone().into()),
        ("links", room.rules.links.as_str().into()),
        ("abuse", room.rules.abuse.as_str().into()),
        ("host_delay", show_duration(room.delay).into()),
    ];
    if let Some(moderator) = &room.moderator {
        let on_failure = if moderator.allow_on_failure { "allow" } else { "hold" };
        values.push(("moderator", moderator.url.clone().into()));
        values.push(("moderator_secret", MASK.into()));
        values.push(("moderator_on_failure", on_failure.into()));
    }
    values
}

fn durations(stream: &StreamConfig) -> [(&'static str, std::time::Duration); 4] {
    [
        ("part", stream.part),
        ("segment", stream.segment),
        ("window", stream.window),
        ("grace", stream.grace),
    ]
}

fn networks(list: &[(IpAddr, u8)]) -> Vec<String> {
    list.iter().map(|(ip, bits)| format!("{ip}/{bits}")).collect()
}

fn json_stream(name: &str, stream: &StreamConfig) -> serde_json::Value {
    let mut value = serde_json::json!({
        "name": name,
        "key": stream.key.as_ref().map(|_| MASK),
        "passphrase": stream.passphrase.as_ref().map(|_| MASK),
        "open": stream.open,
        "mode": mode(stream),
        "ladder": stream.ladder,
        "after_grace": stream.after_grace.as_str(),
        "slate": stream.slate.as_ref().map(|slate| &slate.file),
    });
    for (key, shown) in room(stream) {
        value[key] = shown;
    }
    for (key, span) in durations(stream) {
        value[key] = show_duration(span).into();
    }
    value
}
