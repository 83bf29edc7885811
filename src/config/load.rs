//! From a file's text and the overrides to a [`Config`] that is legal, or every fault at once.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read::{Fault, Overrides, Reader, Section};
use super::{
    AfterGrace, Config, Http, Issuer, Limits, Mode, Ops, Slate, Srt, StreamConfig, room, slate,
    units,
};

use crate::certificate::Certificate;
use crate::flow::StreamName;
use crate::ladder::Ladder;

impl Config {
    /// Reads `text`, which came from `file`.
    ///
    /// # Errors
    /// Every fault there is, in the order of reading.
    pub fn load(file: &str, text: &str, overrides: &Overrides) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(file, text, overrides);
        let mut root = reader.parse();
        let srt = srt(reader.section(&mut root, "srt"));
        let http = http(reader.section(&mut root, "http"));
        let ops = ops(reader.section(&mut root, "ops"));
        let state_dir = state(reader.section(&mut root, "state"));
        let limits = limits(reader.section(&mut root, "limits"));
        let (mut streams, mut template): (Vec<StreamConfig>, _) = (Vec::new(), None);
        for (table, span) in reader.tables(&mut root, "stream") {
            let section =
                Section { reader: &mut reader, name: "stream", table, span: Some(span.clone()) };
            let Some((name, stream)) = stream(section) else { continue };
            let double = if name == "*" {
                template.replace(stream).is_some()
            } else {
                let double = streams.iter().any(|other| other.name == stream.name);
                streams.push(stream);
                double
            };
            if double {
                reader.fault(Some(span), format!("the stream \"{name}\" is there twice; keep one"));
            }
        }
        let issuers = reader.tables(&mut root, "issuer").into_iter();
        let issuers = issuers
            .filter_map(|(table, span)| {
                let reader = &mut reader;
                issuer(Section { reader, name: "issuer", table, span: Some(span) })
            })
            .collect();
        let known = ["srt", "http", "ops", "state", "limits", "stream", "issuer"];
        reader.unknown(&root, "at the top", &known);
        if reader.faults.is_empty() {
            Ok(Self { srt, http, ops, state_dir, limits, streams, template, issuers })
        } else {
            Err(reader.faults)
        }
    }
}

fn srt(mut section: Section<'_, '_>) -> Srt {
    let srt = Srt {
        listen: section.address("listen").unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 9000))),
        latency: section.duration("latency", ["20ms", "8s"]).unwrap_or(Duration::from_millis(200)),
        idle: section.duration("idle", ["500ms", "1h"]).unwrap_or(Duration::from_secs(2)),
    };
    section.finish(&["listen", "latency", "idle"]);
    srt
}

fn http(mut section: Section<'_, '_>) -> Http {
    let dir = Path::new(section.reader.file).parent().map(Path::to_owned).unwrap_or_default();
    let http = Http {
        listen: section.address("listen").unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 8080))),
        public_url: section.text("public_url", url),
        trusted_proxies: section.list("trusted_proxies", network).unwrap_or_default(),
        allowed_origins: section.list("allowed_origins", url).unwrap_or_default(),
        webhook_networks: section.list("webhook_networks", network).unwrap_or_default(),
        tls: section.pair("tls", ["cert", "key"], |[cert, key]| {
            Certificate::load(&dir.join(cert), &dir.join(key))
        }),
    };
    section.finish(&[
        "listen",
        "public_url",
        "trusted_proxies",
        "allowed_origins",
        "webhook_networks",
        "tls",
    ]);
    http
}

fn ops(mut section: Section<'_, '_>) -> Ops {
    let listen =
        section.address("listen").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8081)));
    let token = section.text("token", |text| {
        if text.len() < 16 {
            Err("a token has at least 16 characters".to_owned())
        } else {
            Ok(text.to_owned())
        }
    });
    if !listen.ip().is_loopback() && token.is_none() {
        section.complain_here(format!(
            "[ops] listens on {listen}, which others can reach; set `token`, or listen on 127.0.0.1"
        ));
    }
    section.finish(&["listen", "token"]);
    Ops { listen, token }
}

fn state(mut section: Section<'_, '_>) -> PathBuf {
    let dir = section.text("dir", |text| {
        if text.is_empty() { Err("name a directory".to_owned()) } else { Ok(PathBuf::from(text)) }
    });
    section.finish(&["dir"]);
    dir.unwrap_or_else(default_state_dir)
}

fn limits(mut section: Section<'_, '_>) -> Limits {
    let machine = Limits::of_this_machine();
    let limits = Limits {
        cores: section.number("cores", 0.1..=1e4).unwrap_or(machine.cores),
        memory: section.text("memory", units::bytes).unwrap_or(machine.memory),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        descriptors: section
            .number("descriptors", 1.0..=1e9)
            .map_or(machine.descriptors, |number| number as u64),
        disk: section.text("disk", units::bytes).unwrap_or(machine.disk),
    };
    section.finish(&["cores", "memory", "descriptors", "disk"]);
    limits
}

/// systemd's choice, then `/var/lib` for root, then the user's own state directory.
fn default_state_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    var("STATE_DIRECTORY").unwrap_or_else(|| {
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/nowcast");
        }
        var("XDG_STATE_HOME")
            .or_else(|| var("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(std::env::temp_dir)
            .join("nowcast")
    })
}

const STREAM_KEYS: [&str; 21] = [
    "name",
    "key",
    "open",
    "passphrase",
    "mode",
    "ladder",
    "part",
    "segment",
    "window",
    "grace",
    "after_grace",
    "slate",
    "anonymous",
    "block_words",
    "hold_words",
    "links",
    "abuse",
    "host_delay",
    "moderator",
    "moderator_secret",
    "moderator_on_failure",
];

fn stream(mut section: Section<'_, '_>) -> Option<(String, StreamConfig)> {
    let dir = Path::new(section.reader.file).parent().map(Path::to_owned).unwrap_or_default();
    let before = section.reader.faults.len();
    let name = section.text("name", |text| {
        if text == "*" || StreamName::new(text).is_some() {
            return Ok(text.to_owned());
        }
        Err(format!("\"{text}\" is no stream name; use 1 to 64 of a-z, 0-9, _ and -, or \"*\""))
    });
    if name.is_none() && section.reader.faults.len() == before {
        section.complain_here("a [[stream]] needs a `name`");
    }
    let mut stream = StreamConfig {
        key: section.text("key", |text| match text {
            "" => Err("the key is empty; take it out or write one".to_owned()),
            text if text.len() > 256 => Err("the key is longer than 256 characters".to_owned()),
            text => Ok(text.to_owned()),
        }),
        open: section.flag("open").unwrap_or(false),
        passphrase: section.text("passphrase", |text| {
            if (10..=79).contains(&text.len()) {
                Ok(text.to_owned())
            } else {
                Err("SRT wants 10 to 79 characters".to_owned())
            }
        }),
        mode: section.text("mode", mode).unwrap_or(Mode::Transcode),
        ladder: section
            .text("ladder", |text| {
                Ladder::load(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
            })
            .unwrap_or_else(|| "h264-720p".to_owned()),
        part: section.duration("part", ["100ms", "2s"]).unwrap_or(Duration::from_millis(334)),
        segment: section.duration("segment", ["1s", "10s"]).unwrap_or(Duration::from_secs(2)),
        window: section.duration("window", ["10s", "24h"]).unwrap_or(Duration::from_secs(60)),
        grace: section.duration("grace", ["0s", "24h"]).unwrap_or(Duration::from_secs(30)),
        after_grace: section.text("after_grace", slate::after_grace).unwrap_or(AfterGrace::End),
        slate: section.text("slate", |file| Slate::load(&dir.join(file))),
        room: room::read(&mut section),
        ..StreamConfig::standard(StreamName::new("template")?)
    };
    if stream.segment < stream.part * 2 {
        section.complain_here(
            "`segment` is shorter than two parts; make it longer, or `part` shorter",
        );
    }
    if stream.window < stream.segment * 6 {
        section.complain_here(
            "`window` is shorter than six segments; players need that much (RFC 8216bis §6.2.2)",
        );
    }
    let slate = stream.slate.is_some() || stream.after_grace == AfterGrace::Slate;
    if slate && stream.mode == Mode::Passthrough {
        section.complain_here(
            "only a transcoded stream has a slate; take out `slate` and `after_grace`, or `mode`",
        );
    }
    if stream.open && stream.key.is_some() {
        section.complain_here("`open = true` and a `key` contradict each other; keep one");
    }
    if !stream.open && stream.key.is_none() && stream.passphrase.is_none() {
        section.complain_here(
            "nobody could publish here; set a `key`, a `passphrase`, or `open = true`",
        );
    }
    section.finish(&STREAM_KEYS);
    let name = name?;
    if let Some(name) = StreamName::new(&name) {
        stream.name = name;
    }
    Some((name, stream))
}

fn issuer(mut section: Section<'_, '_>) -> Option<Issuer> {
    let name = |text: &str| match text {
        "" | "nowcast" => {
            Err("name the issuer as its tokens do in `kid`; \"nowcast\" is this server".to_owned())
        }
        text => Ok(text.to_owned()),
    };
    let algorithm = |text: &str| match text {
        "HS256" | "EdDSA" => Ok(text.to_owned()),
        _ => Err(format!("\"{text}\" is not taken; write \"HS256\" or \"EdDSA\"")),
    };
    let kid = section.text("kid", name);
    let algorithm = section.text("algorithm", algorithm);
    let key = section.text("key", |text| match text.len() {
        0..32 => Err("a key has at least 32 characters".to_owned()),
        _ => Ok(text.to_owned()),
    });
    if kid.is_none() || algorithm.is_none() || key.is_none() {
        section.complain_here("an [[issuer]] needs `kid`, `algorithm` and `key`");
    }
    section.finish(&["kid", "algorithm", "key"]);
    let (kid, key) = (kid?, key?);
    Some(match algorithm?.as_str() {
        "HS256" => Issuer::Hs256 { kid, secret: key },
        _ => Issuer::EdDsa { kid, pem: key },
    })
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "transcode" => Ok(Mode::Transcode),
        "passthrough" => Ok(Mode::Passthrough),
        _ => Err(format!("\"{text}\" is no mode; write \"transcode\" or \"passthrough\"")),
    }
}

pub(super) fn url(text: &str) -> Result<String, String> {
    let legal = text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if legal {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(format!("\"{text}\" is no web address; write \"https://HOST\""))
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let (ip, bits) = text.split_once('/').unwrap_or((text, ""));
    let parsed = ip.parse::<IpAddr>().ok().and_then(|ip| {
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { longest } else { bits.parse().ok()? };
        (bits <= longest).then_some((ip, bits))
    });
    parsed.ok_or_else(|| format!("\"{text}\" is no network; write \"10.0.0.0/8\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Vec<String>> {
        Config::load("nowcast.toml", text, &Overrides::default())
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_contracts_example_is_legal_where_its_certificate_is() {
        let contract = include_str!("../../docs/contract.md");
        let example = contract.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        let example = example.replace("\"…\"", "\"0123456789abcdef\"");
        let faults = load(&example).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("`tls`: cert.pem cannot be read"));
        let config = load(&example.replace("tls ", "# tls ")).unwrap();
        assert_eq!(config.srt.latency, Duration::from_millis(200));
        assert_eq!(config.http.trusted_proxies, [("127.0.0.1".parse().unwrap(), 32)]);
        assert_eq!(config.streams[0].part, Duration::from_millis(334));
    }

    #[test]
    fn a_certificate_is_named_with_its_key_and_sought_beside_the_file() {
        for tls in [
            "\"cert.pem\"",
            "{ cert = \"a\" }",
            "{ cert = \"a\", ky = \"b\" }",
            "{ cert = 1, key = 2 }",
        ] {
            let faults = load(&format!("[http]\ntls = {tls}")).unwrap_err();
            let remedy = "nowcast.toml:2: `tls`: write { cert = \"FILE\", key = \"FILE\" }";
            assert_eq!(faults, [remedy], "{tls}");
        }
        let fault = |overrides: &Overrides| {
            let text = "[http]\ntls = { cert = \"a.pem\", key = \"b.pem\" }";
            Config::load("/etc/nowhere/nowcast.toml", text, overrides).unwrap_err()[0].to_string()
        };
        assert!(fault(&Overrides::default()).contains("/etc/nowhere/a.pem cannot be read"));
        let mut overrides = Overrides::default();
        overrides.flag("http.tls", "/x.pem, y.pem", "NOWCAST_HTTP_TLS");
        let fault = fault(&overrides);
        assert!(fault.starts_with("NOWCAST_HTTP_TLS: `tls`: /x.pem cannot be read"), "{fault}");
    }

    #[test]
    fn every_fault_is_listed_with_its_line_and_a_remedy() {
        let faults = load(
            "[srt]\nlisten = \"nine thousand\"\nlatensy = \"1s\"\n[[stream]]\nname = \"Live!\"\npart = 334\n\
             [[stream]]\nname = \"a\"\n[http]\npublic_url = \"live.example.org\"\n",
        )
        .unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
        assert_eq!(
            places,
            [
                "nowcast.toml:2:",
                "nowcast.toml:3:",
                "nowcast.toml:10:",
                "nowcast.toml:5:",
                "nowcast.toml:6:",
                "nowcast.toml:4:",
                "nowcast.toml:7:"
            ],
            "{faults:#?}"
        );
    }

    #[test]
    fn broken_toml_is_a_fault_not_a_panic() {
        for text in ["[srt", "= 3", "a = [", "[[stream]]\nname", "\u{0}", "stream = 3", "srt = []"]
        {
            assert!(load(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let text = "[srt]\nlisten = \"127.0.0.1:1\"\nlatency = \"1s\"\nidle = \"3s\"";
        let vars = [("NOWCAST_SRT_LISTEN", "127.0.0.1:2"), ("NOWCAST_SRT_LATENCY", "2s")];
        let mut overrides = Overrides::from_env(
            vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter(),
        );
        overrides.flag("srt.listen", "127.0.0.1:3", "--srt");
        let config = Config::load("f", text, &overrides).unwrap();
        assert_eq!(config.srt.listen.port(), 3);
        assert_eq!(config.srt.latency, Duration::from_secs(2));
        assert_eq!(config.srt.idle, Duration::from_secs(3));
        overrides.flag("srt.listen", "x", "--srt");
        assert_eq!(Config::load("f", text, &overrides).unwrap_err()[0].place, "--srt");
    }
}
