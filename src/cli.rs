//! The command line: definitions here, one file per command below.

mod bench;
mod check;
mod demo;
mod doctor;
mod lint;
mod publish;
mod room;
mod serve;
mod streams;
mod top;
mod url;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Fault, Overrides};

/// Live video: SRT in, low-latency HLS out, with the audience inside the picture.
#[derive(Debug, Parser)]
#[command(name = "nowcast", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file; without one, nowcast runs a stream called `live`.
    #[arg(long, global = true, env = "NOWCAST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines are written.
    #[arg(
        long,
        global = true,
        env = "NOWCAST_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    #[command(
        after_help = "Example:\n  nowcast --config /etc/nowcast.toml serve --srt 0.0.0.0:9000"
    )]
    Serve(Listen),
    /// Run the server on loopback with a live test picture pushed into it.
    #[command(after_help = "Example:\n  nowcast demo\n  nowcast demo --source film.ts")]
    Demo(demo::Demo),
    /// Validate the configuration and print the effective one, secrets masked.
    #[command(after_help = "Example:\n  nowcast --config nowcast.toml check")]
    Check(Output),
    /// Say what this machine can do, and the remedy for what it cannot.
    #[command(after_help = "Example:\n  nowcast doctor")]
    Doctor(Output),
    /// Print paste-ready publish and play addresses of a stream.
    #[command(after_help = "Example:\n  nowcast url live")]
    Url(url::Url),
    /// Push a file or a generated picture with clock and tone over SRT.
    #[command(
        after_help = "Example:\n  nowcast publish 'srt://127.0.0.1:9000?streamid=live:KEY'\n  nowcast publish 'srt://…' film.ts"
    )]
    Publish(publish::Publish),
    /// Watch any low-latency HLS stream and report what breaks the rules.
    #[command(
        after_help = "Example:\n  nowcast lint https://example.org/live/index.m3u8 --for 60s\n  nowcast lint http://origin:8080/live/live/index.m3u8 --cdn https://cdn.example.org/live/live/index.m3u8"
    )]
    Lint(lint::Lint),
    /// Show the streams of a running server, or control one.
    #[command(
        after_help = "Example:\n  nowcast streams\n  nowcast streams live --json\n  nowcast streams kick live"
    )]
    Streams(streams::Streams),
    /// Open, close and list the polls of a stream.
    #[command(
        after_help = "Example:\n  nowcast poll open live 'Tea or coffee?' Tea Coffee --duration 60s\n  nowcast poll ls live"
    )]
    #[command(subcommand)]
    Poll(room::Poll),
    /// Show and answer the questions of a stream's audience.
    #[command(after_help = "Example:\n  nowcast qa ls live\n  nowcast qa spotlight live QUESTION")]
    #[command(subcommand)]
    Qa(room::Qa),
    /// Read a stream's chat, or write into it.
    #[command(
        after_help = "Example:\n  nowcast chat tail live\n  nowcast chat say live 'Back in five minutes'"
    )]
    #[command(subcommand)]
    Chat(room::Chat),
    /// Announce something to everybody who watches a stream.
    #[command(
        after_help = "Example:\n  nowcast announce live 'The second half begins' --duration 15s"
    )]
    Announce(room::Announce),
    /// Keep order in a stream's chat.
    #[command(
        after_help = "Example:\n  nowcast moderate mode live slow 5s\n  nowcast moderate mute live v-1f3a --duration 10min"
    )]
    #[command(subcommand)]
    Moderate(room::Moderate),
    /// Make signed tokens, and addresses of the studio.
    #[command(
        after_help = "Example:\n  nowcast token mint --role host --stream live --expires 12h\n  nowcast token studio live"
    )]
    #[command(subcommand)]
    Token(room::Token),
    /// Measure a running server from outside.
    Bench(bench::Bench),
    /// Watch the streams of a running server: SRT, rungs, delays, viewers.
    #[command(after_help = "Example:\n  nowcast top")]
    Top,
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  nowcast completions bash > /etc/bash_completion.d/nowcast")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  nowcast man > nowcast.1")]
    Man,
    /// Encode one stream; the server starts it.
    #[command(hide = true)]
    EncodeWorker,
}

/// Addresses that override the file's.
#[derive(Args, Clone, Debug, Default)]
struct Listen {
    /// Where publishers call (UDP).
    #[arg(long, value_name = "ADDR")]
    srt: Option<SocketAddr>,
    /// Where players come (TCP).
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where the operator comes (TCP).
    #[arg(long, value_name = "ADDR")]
    ops: Option<SocketAddr>,
    /// Where state is kept.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

#[derive(Args, Clone, Copy, Debug)]
struct Output {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a command failed with: exit status and a sentence for the person at the terminal.
enum Failure {
    /// Status 1.
    Failed(anyhow::Error),
    /// Status 2.
    Usage(String),
    /// Status 78.
    Config(Vec<Fault>),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::EncodeWorker) {
        return crate::encode::worker::main();
    }
    let result = run(&cli);
    let mut out = std::io::stderr().lock();
    // Nobody is left to tell when standard error is closed.
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            writeln!(out, "nowcast: {error:#}").ok();
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            writeln!(out, "nowcast: {message}").ok();
            ExitCode::from(2)
        }
        Err(Failure::Config(faults)) => {
            for fault in &faults {
                writeln!(out, "{fault}").ok();
            }
            let plural = if faults.len() == 1 { "fault" } else { "faults" };
            writeln!(
                out,
                "nowcast: {} {plural} in the configuration; nothing was started",
                faults.len()
            )
            .ok();
            ExitCode::from(78)
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "nowcast", &mut std::io::stdout());
            return Ok(());
        }
        Command::Man => return man(),
        _ => start_log(cli.log_format),
    }
    match &cli.command {
        Command::Serve(listen) => serve::run(cli, listen),
        Command::Demo(demo) => demo::run(cli, demo),
        Command::Check(output) => check::run(&load(cli, &Listen::default())?, output.json),
        Command::Doctor(output) => doctor::run(&load(cli, &Listen::default())?, output.json),
        Command::Url(url) => url::run(&load(cli, &Listen::default())?, url),
        Command::Publish(publish) => publish::run(publish),
        Command::Lint(lint) => lint::run(lint),
        Command::Top => top::run(&load(cli, &Listen::default())?),
        Command::Streams(streams) => streams::run(&load(cli, &Listen::default())?, streams),
        Command::Poll(poll) => room::run(&load(cli, &Listen::default())?, poll),
        Command::Qa(qa) => room::run(&load(cli, &Listen::default())?, qa),
        Command::Chat(chat) => room::run(&load(cli, &Listen::default())?, chat),
        Command::Announce(announce) => room::run(&load(cli, &Listen::default())?, announce),
        Command::Moderate(moderate) => room::run(&load(cli, &Listen::default())?, moderate),
        Command::Token(token) => room::run(&load(cli, &Listen::default())?, token),
        Command::Bench(bench) => bench::run(bench),
        Command::Completions { .. } | Command::Man | Command::EncodeWorker => Ok(()),
    }
}

/// The configuration: flags, then `NOWCAST_…`, then the file, then defaults.
fn load(cli: &Cli, listen: &Listen) -> Result<Config, Failure> {
    let mut overrides = Overrides::from_env(std::env::vars());
    for (key, flag, value) in [
        ("srt.listen", "--srt", listen.srt),
        ("http.listen", "--http", listen.http),
        ("ops.listen", "--ops", listen.ops),
    ] {
        if let Some(value) = value {
            overrides.flag(key, value.to_string(), flag);
        }
    }
    if let Some(dir) = &listen.state {
        overrides.flag("state.dir", dir.to_string_lossy(), "--state");
    }
    let (name, text) = match &cli.config {
        None => ("nowcast.toml".to_owned(), String::new()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let message =
                    format!("cannot be read ({error}); check the path and its permissions");
                Failure::Config(vec![Fault { place: path.display().to_string(), message }])
            })?;
            (path.display().to_string(), text)
        }
    };
    Config::load(&name, &text, &overrides).map_err(Failure::Config)
}

fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("NOWCAST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(colour).with_target(false).init();
        }
        LogFormat::Json => log.json().init(),
    }
}

fn man() -> Result<(), Failure> {
    let mut page = Vec::new();
    let mut render = |command: clap::Command| clap_mangen::Man::new(command).render(&mut page);
    let command = Cli::command();
    render(command.clone()).map_err(anyhow::Error::from)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("nowcast-{}", sub.get_name());
        render(sub.clone().name(name)).map_err(anyhow::Error::from)?;
    }
    print(&page)
}

/// Writes to standard output; a reader that went away (a closed pipe) is no fault of ours.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("standard output").into())
        }
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    text.push('\n');
    print(text.as_bytes())
}
