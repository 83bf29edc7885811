//! `nowcast demo`: the server on loopback, with a live picture pushed into it over SRT.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::url::{Urls, web_base};
use super::{Cli, Failure, Listen, load, print, publish};
use crate::app;

#[derive(Args, Debug)]
pub(super) struct Demo {
    #[command(flatten)]
    listen: Listen,
    /// An MPEG-TS file to push, over and over, in place of the test picture.
    #[arg(long, value_name = "FILE.ts")]
    source: Option<PathBuf>,
    /// Length of a part, as in the configuration.
    #[arg(long, value_name = "DURATION", default_value = "200ms")]
    part: String,
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(cli: &Cli, args: &Demo) -> Result<(), Failure> {
    let dir = Scratch(app::temporary_dir(&std::env::temp_dir())?);
    let mut listen = args.listen.clone();
    listen.state.get_or_insert_with(|| dir.0.clone());
    listen.srt.get_or_insert_with(|| loopback(9000, |at| UdpSocket::bind(at).is_ok()));
    listen.http.get_or_insert_with(|| loopback(8080, |at| TcpListener::bind(at).is_ok()));
    listen.ops.get_or_insert_with(|| loopback(8081, |at| TcpListener::bind(at).is_ok()));
    let mut config = app::with_default_stream(load(cli, &listen)?)?;
    config.srt.latency = config.srt.latency.min(std::time::Duration::from_millis(120));
    let part = crate::config::units::duration(&args.part).map_err(Failure::Usage)?;
    for stream in &mut config.streams {
        stream.part = part;
    }
    app::runtime()?.block_on(async {
        let server = app::Server::start(config).await?;
        let config = server.config();
        let Some(stream) = config.streams.first() else {
            return Err(Failure::Usage("the demo needs a [[stream]] with a name of its own".to_owned()));
        };
        let host = config.srt.listen.ip().to_string();
        let urls = Urls::new(&config, stream, &host);
        let code = server.studio_code(&stream.name)?;
        let studio = format!("{}/studio/{}#{code}", web_base(&config, &host), stream.name);
        let text = if args.json {
            let ops = format!("http://{}", config.ops.listen);
            let line = json!({ "watch": urls.watch, "studio": studio, "playlist": urls.playlist, "srt": urls.srt, "ops": ops });
            format!("{line}\n")
        } else {
            format!(
                "\n  watch    {}\n  studio   {studio}\n  publish  {}\n  operate  nowcast streams   (ops at http://{})\n\n  Ctrl-C stops it all.\n\n",
                urls.watch, urls.srt, config.ops.listen
            )
        };
        print(text.as_bytes())?;
        let source = tokio::spawn(publish::feed(urls.srt.clone(), args.source.clone()));
        server.run(|| Err("the demo has no file to read again".to_owned())).await;
        source.abort();
        Ok(())
    })
}

/// The usual port where it is free, so that addresses can be remembered; any other where it is not.
fn loopback(port: u16, free: impl Fn(SocketAddr) -> bool) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if free(usual) { usual } else { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }
}

/// A directory that goes when the demo ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the temporary directory is cleared by the system.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
