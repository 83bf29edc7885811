//! `nowcast doctor`: what this machine can do, and the remedy for what it cannot.

use std::fmt::Write;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::{Failure, print, print_json};
use crate::admission::Need;
use crate::certificate::Certificate;
use crate::config::units::show_bytes;
use crate::config::{Config, Limits, StreamConfig};
use crate::encode::doctor;
use crate::flow::StreamName;

/// One finding.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    /// Without it, part of the product does not work; otherwise it is only good to have.
    needed: bool,
    /// What was found, or the remedy.
    detail: String,
}

/// Descriptors below which a server cannot hold a thousand players comfortably.
const FEW_DESCRIPTORS: u64 = 4096;

/// A certificate that lives no longer should have been renewed.
const FEW_DAYS: Duration = Duration::from_hours(14 * 24);

pub(super) fn run(config: &Config, json: bool) -> Result<(), Failure> {
    let mut findings: Vec<Finding> = doctor::probe()
        .into_iter()
        .map(|report| Finding {
            what: report.name,
            ok: report.fault.is_none(),
            needed: report.needed,
            detail: report.fault.unwrap_or(report.detail),
        })
        .collect();
    findings.push(port(
        format!("UDP {} (SRT)", config.srt.listen),
        &UdpSocket::bind(config.srt.listen).map(drop),
    ));
    for (part, address) in [("players", config.http.listen), ("ops", config.ops.listen)] {
        findings
            .push(port(format!("TCP {address} ({part})"), &TcpListener::bind(address).map(drop)));
    }
    findings.push(descriptors());
    findings.push(state(config));
    findings.extend(config.http.tls.as_ref().map(certificate));
    findings.extend(capacity(config));
    if json {
        print_json(&findings)?;
    } else {
        print(text(&findings).as_bytes())?;
    }
    if findings.iter().any(|finding| finding.needed && !finding.ok) {
        return Err(
            anyhow::anyhow!("this machine lacks something that is needed; see above").into()
        );
    }
    Ok(())
}

fn port(what: String, bound: &std::io::Result<()>) -> Finding {
    let detail = match bound {
        Ok(()) => "free".to_owned(),
        Err(error) => {
            format!("{error}: stop what uses it (a running nowcast, perhaps), or configure another")
        }
    };
    Finding { what, ok: bound.is_ok(), needed: false, detail }
}

fn descriptors() -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let ok = limit >= FEW_DESCRIPTORS;
    let remedy = if ok { "" } else { ": set LimitNOFILE=65536 in the systemd unit, or ulimit -n" };
    Finding {
        what: "open files".to_owned(),
        ok,
        needed: false,
        detail: format!("at most {limit}, one for each player's connection{remedy}"),
    }
}

/// A certificate that cannot be used is a fault of the configuration; one that runs out is told here.
fn certificate(tls: &Certificate) -> Finding {
    let left = tls.expires().duration_since(SystemTime::now()).unwrap_or_default();
    let ok = left >= FEW_DAYS;
    let (days, at) = (left.as_secs() / 86_400, tls.expires_text());
    let remedy = if ok { "" } else { ": renew it; the running server takes the new one by itself" };
    Finding {
        what: "TLS certificate".to_owned(),
        ok,
        needed: false,
        detail: format!("{} expires in {days} days, at {at}{remedy}", tls.cert.display()),
    }
}

fn state(config: &Config) -> Finding {
    let dir = &config.state_dir;
    let probe = dir.join(".doctor");
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&probe, b"probe"))
        .and_then(|()| std::fs::remove_file(&probe));
    let detail = match &written {
        Ok(()) => dir.display().to_string(),
        Err(error) => {
            format!("{}: {error}; name another with [state] dir or --state", dir.display())
        }
    };
    Finding { what: "state directory".to_owned(), ok: written.is_ok(), needed: true, detail }
}

/// How many streams fit, for each stream that is configured: as many like it, and nothing else.
fn capacity(config: &Config) -> Vec<Finding> {
    let usual = StreamName::new("live").map(StreamConfig::standard);
    let configured = config.streams.iter().chain(&config.template);
    let mut streams: Vec<_> = configured.collect();
    if streams.is_empty() {
        streams.extend(usual.as_ref());
    }
    let finding = |stream: &&StreamConfig| {
        let need = Need::of(stream);
        // By default the limit leaves room for sources smaller than their ladder.
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let cores = config.limits.cores.min(cores);
        let (streams, limit) = need.fit(&Limits { cores, ..config.limits });
        let name = match config.template.as_ref() {
            Some(template) if std::ptr::eq(template, *stream) => "*",
            _ => stream.name.as_str(),
        };
        let each = format!("{:.2} cores, {} each", need.cores, show_bytes(need.memory));
        let remedy = match streams {
            0 => "; make it smaller (ladder, window, mode), or raise the limit",
            _ => "; estimated, a running server reckons with what its workers really take",
        };
        Finding {
            what: format!("streams like \"{name}\""),
            ok: streams > 0,
            needed: false,
            detail: format!("{streams} fit ({each}); [limits] {limit} ends it{remedy}"),
        }
    };
    streams.iter().map(finding).collect()
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match (finding.ok, finding.needed) {
            (true, _) => "ok     ",
            (false, true) => "LACKING",
            (false, false) => "absent ",
        };
        // Writing to a string cannot fail.
        writeln!(text, "{mark}  {:<28} {}", finding.what, finding.detail).ok();
    }
    text
}
