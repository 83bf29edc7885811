//! `nowcast streams`: what a running server does, asked over its ops listener.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::{Failure, print, print_json};
use crate::app;
use crate::config::Config;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Streams {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Only this stream.
    stream: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Close the publisher's connection; it may come back.
    Kick {
        /// The stream.
        stream: String,
    },
}

pub(super) fn run(config: &Config, args: &Streams) -> Result<(), Failure> {
    app::runtime()?.block_on(async {
        if let Some(Verb::Kick { stream }) = &args.verb {
            ask(config, "POST", &format!("/api/v1/streams/{stream}/kick")).await?;
            return Ok(());
        }
        let value = match &args.stream {
            Some(stream) => {
                Value::Array(vec![ask(config, "GET", &format!("/api/v1/streams/{stream}")).await?])
            }
            None => ask(config, "GET", "/api/v1/streams").await?,
        };
        if args.json {
            return match (&args.stream, value) {
                (Some(_), Value::Array(mut one)) => print_json(&one.remove(0)),
                (_, value) => print_json(&value),
            };
        }
        print(table(&value).as_bytes())
    })
}

/// Where the ops listener of this machine's server is called.
pub(super) fn ops_address(config: &Config) -> SocketAddr {
    let mut address = config.ops.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// One request to the ops listener of the running server.
pub(super) async fn ask(config: &Config, method: &str, path: &str) -> Result<Value, Failure> {
    ask_with(config, method, path, None).await
}

/// The same, with a body.
pub(super) async fn ask_with(
    config: &Config,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let address = ops_address(config);
    let mut request =
        http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    if let Some(token) = &config.ops.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = request.body(Full::<bytes::Bytes>::from(body)).context("the request")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| {
        anyhow!("no server answers at {address} ({error}); start one with `nowcast serve`, or name its [ops] listen with NOWCAST_OPS_LISTEN")
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 16 << 20).collect().await;
    let body = body.map_err(|error| anyhow!("{error}"))?.to_bytes();
    let value = serde_json::from_slice::<Value>(&body);
    if !status.is_success() {
        let refused = value.ok().and_then(|value| {
            let said = |key: &str| value[key].as_str().map(str::to_owned);
            Some(format!("{} {} ({})", said("message")?, said("hint")?, said("code")?))
        });
        let said = refused.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
        return Err(anyhow!(said).into());
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    Ok(value.context("the server's answer is no JSON")?)
}

fn table(streams: &Value) -> String {
    let mut text = String::new();
    for stream in streams.as_array().into_iter().flatten() {
        let field = |key: &str| stream[key].as_str().unwrap_or("-").to_owned();
        writeln!(text, "{:<16} {:<12} {}", field("name"), field("phase"), field("source")).ok();
        if let Some(problem) = stream["problem"].as_str() {
            writeln!(text, "  problem    {problem}").ok();
        }
        let ingest = &stream["ingest"];
        if ingest.is_object() {
            writeln!(
                text,
                "  publisher  {} · {} kbit/s · RTT {} ms · latency {} ms · lost {} · given up {}",
                field("publisher"),
                ingest["bitrate"].as_u64().unwrap_or(0) / 1000,
                ingest["rtt_ms"].as_f64().unwrap_or(0.0).round(),
                ingest["latency_ms"],
                ingest["packets_lost"],
                ingest["packets_dropped"],
            )
            .ok();
        }
        let encoder = &stream["encoder"];
        if encoder.is_object() {
            writeln!(
                text,
                "  encoder    pid {} · delay {:.0} ms · restarts {}",
                encoder["pid"],
                encoder["delay_ms"].as_f64().unwrap_or(0.0),
                encoder["restarts"],
            )
            .ok();
        }
        let audience = &stream["audience"];
        if audience["viewers"].as_u64() > Some(0) {
            let latency = |key: &str| match audience[key].as_u64() {
                Some(ms) => format!("{ms} ms"),
                None => "unknown".to_owned(),
            };
            writeln!(
                text,
                "  viewers    {}{} · latency {} (p95 {}) · stalls {} · {} kbit/s sent",
                if audience["at_least"] == true { "at least " } else { "" },
                audience["viewers"],
                latency("latency_ms"),
                latency("latency_p95_ms"),
                audience["stalls"],
                audience["egress"].as_u64().unwrap_or(0) / 1000,
            )
            .ok();
        }
        for rendition in stream["renditions"].as_array().into_iter().flatten() {
            writeln!(
                text,
                "  {:<10} {} · {}x{} · {} kbit/s · part delay {:.1} ms (p99 {:.1})",
                rendition["name"].as_str().unwrap_or("-"),
                rendition["codecs"].as_str().unwrap_or("-"),
                rendition["width"],
                rendition["height"],
                rendition["bitrate"].as_u64().unwrap_or(0) / 1000,
                rendition["part_delay_ms"].as_f64().unwrap_or(0.0),
                rendition["part_delay_p99_ms"].as_f64().unwrap_or(0.0),
            )
            .ok();
        }
    }
    if text.is_empty() { "no streams\n".to_owned() } else { text }
}
