//! What the dashboard looks like: a function of its state alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState, Wrap};

use super::board::{Board, Sample, Stream};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The widths of a row's columns; what is left over is the sparkline's.
const COLUMNS: [u16; 10] = [11, 8, 6, 5, 5, 5, 4, 5, 6, 6];
const TITLES: [&str; 11] =
    ["STREAM", "PHASE", "IN", "RTT", "LOST", "DELAY", "WAIT", "VIEW", "BEHIND", "OUT", "VIEWERS"];
/// What the page of one stream draws: a title, the figure, and how it is written.
type Figure = (&'static str, fn(&Sample) -> Option<f64>, fn(f64) -> String);
const FIGURES: [Figure; 7] = [
    ("in", |it| it.bitrate, rate),
    ("rtt", |it| it.rtt_ms, milliseconds),
    ("lost", |it| it.loss, share),
    ("part delay", |it| it.part_delay_ms, milliseconds),
    ("viewers", |it| it.viewers, |viewers| format!("{viewers:.0}")),
    ("behind", |it| it.latency_ms, behind),
    ("out", |it| it.egress, rate),
];

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let [head, body, trouble, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(board.trouble.as_ref().map_or(0, |_| 3)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Line::from(title(board)).bold().reversed(), head);
    match board.chosen().filter(|_| board.open) {
        Some(stream) => alone(frame, body, board, stream),
        None => list(frame, body, board),
    }
    if let Some(text) = &board.trouble {
        let stale = if board.answered { "what is shown is old; " } else { "" };
        let text = format!(" {text}; {stale}asking again every second");
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).red(), trouble);
    }
    let help = if board.open {
        " esc back   ↑↓ another stream   q quit"
    } else {
        " ↑↓ choose   enter open   s sort   q quit"
    };
    frame.render_widget(Line::from(help).dim(), keys);
}

fn title(board: &Board) -> String {
    let viewers: u64 = board.streams().iter().map(|one| one.audience.viewers).sum();
    let egress: u64 = board.streams().iter().map(|one| one.audience.egress).sum();
    let (server, count) = (&board.server, board.streams().len());
    let sort = board.sort.name();
    let out = rate(egress as f64);
    format!(" nowcast {server} · {count} streams · {viewers} viewers · {out}bit/s out · by {sort} ")
}

fn list(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    if board.streams().is_empty() {
        let text = if board.answered { " no streams" } else { " waiting for the server" };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let taken: u16 = COLUMNS.iter().map(|width| width + 1).sum();
    let left = usize::from(area.width.saturating_sub(taken));
    let rows = board.streams().iter().map(|stream| {
        let spark = sparkline(&board.history(&stream.name, |it| it.viewers), left);
        let cells = cells(board, stream).into_iter().chain([spark]);
        let style = match stream.phase.as_str() {
            _ if stream.problem.is_some() => Style::new().red(),
            "live" => Style::new(),
            _ => Style::new().dim(),
        };
        Row::new(cells.map(Line::from)).style(style)
    });
    let widths = COLUMNS.map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let table = Table::new(rows, widths)
        .header(Row::new(titles()).bold())
        .row_highlight_style(Style::new().reversed());
    let [table_area, problem] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(2)]).areas(area);
    let mut state = TableState::new().with_selected(board.position());
    frame.render_stateful_widget(table, table_area, &mut state);
    if let Some(text) = board.chosen().and_then(|stream| stream.problem.as_ref()) {
        let text = Paragraph::new(format!(" {text}")).wrap(Wrap { trim: true });
        frame.render_widget(text.red(), problem);
    }
}

/// Titles stand over their columns: words to the left, figures to the right.
fn titles() -> Vec<String> {
    let widths = COLUMNS.map(usize::from).into_iter().chain([0]);
    TITLES
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(at, (title, width))| match at {
            0 | 1 => (*title).to_owned(),
            _ => format!("{title:>width$}"),
        })
        .collect()
}

fn cells(board: &Board, stream: &Stream) -> [String; 10] {
    let Stream { name, phase, audience, .. } = stream;
    let now = |of: fn(&Sample) -> Option<f64>| board.now(name, of);
    let phase = if phase == "unsupported" { "unsupp." } else { phase };
    let viewers = format!("{}{}", if audience.at_least { ">" } else { "" }, audience.viewers);
    let figures = [
        shown(now(|it| it.bitrate), rate),
        shown(now(|it| it.rtt_ms), milliseconds),
        shown(now(|it| it.loss), share),
        shown(now(|it| it.part_delay_ms), milliseconds),
        audience.waiting.to_string(),
        viewers,
        shown(audience.latency_ms, behind),
        shown(Some(audience.egress as f64), rate),
    ];
    let mut cells = [const { String::new() }; 10];
    (cells[0], cells[1]) = (name.clone(), phase.to_owned());
    for ((cell, figure), width) in cells[2..].iter_mut().zip(figures).zip(&COLUMNS[2..]) {
        *cell = format!("{figure:>width$}", width = usize::from(*width));
    }
    cells
}

/// One stream, with all there is to say.
fn alone(frame: &mut Frame<'_>, area: Rect, board: &Board, stream: &Stream) {
    let Stream { name, phase, audience, .. } = stream;
    let source = stream.source.as_deref().unwrap_or("no source yet");
    let mut lines = vec![Line::from(format!(" {name} · {phase} · {source}")).bold()];
    if let Some(problem) = &stream.problem {
        lines.push(Line::from(format!(" {problem}")).red());
    }
    if let Some(ingest) = &stream.ingest {
        let drift = ingest.drift_ppm.map_or_else(|| "-".into(), |ppm| format!("{ppm:.0} ppm"));
        lines.push(Line::from(format!(
            " publisher  {} · latency {} ms · lost {} · given up {} · drift {drift}",
            stream.publisher.as_deref().unwrap_or("-"),
            ingest.latency_ms,
            ingest.packets_lost,
            ingest.packets_dropped,
        )));
    }
    if let Some(encoder) = &stream.encoder {
        let pid = encoder.pid.map_or_else(|| "-".into(), |pid| pid.to_string());
        let cores = encoder.cores.map_or_else(|| "-".into(), |cores| format!("{cores:.2}"));
        lines.push(Line::from(format!(
            " encoder    pid {pid} · {cores} cores · delay {:.0} ms · restarts {}",
            encoder.delay_ms, encoder.restarts,
        )));
    }
    lines.push(Line::from(format!(
        " viewers    {} told, {} ask here · {} waiting · behind {}, p95 {} · stalls {}",
        audience.reported,
        audience.direct,
        audience.waiting,
        shown(audience.latency_ms, behind),
        shown(audience.latency_p95_ms, behind),
        audience.stalls,
    )));
    lines.push(Line::default());
    for (title, of, write) in FIGURES {
        let history = board.history(name, of);
        let now = shown(board.now(name, of), write);
        let spark = sparkline(&history, usize::from(area.width.saturating_sub(20)));
        lines.push(Line::from(format!(" {title:<11}{now:>6} {spark}")));
    }
    lines.push(Line::default());
    let title = " RENDITION   CODECS        SIZE         RATE   PARTS  DELAY    P99   LATE";
    lines.push(Line::from(title).bold());
    for one in &stream.renditions {
        let size = match one.width {
            0 => "-".to_owned(),
            width => format!("{width}x{}", one.height),
        };
        lines.push(Line::from(format!(
            " {:<12}{:<14}{size:<10}{:>7}{:>8}{:>7}{:>7}{:>7}",
            one.name,
            one.codecs,
            rate(one.bitrate as f64),
            one.parts,
            milliseconds(one.part_delay_ms),
            milliseconds(one.part_delay_p99_ms),
            one.late_parts,
        )));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The last of `values` as bars from nothing to the highest; a blank where nothing is known.
fn sparkline(values: &[Option<f64>], width: usize) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let highest = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| {
        let Some(value) = value else { return ' ' };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
        let level = if highest > 0.0 { (value / highest * 7.0).round() as usize } else { 0 };
        BARS[level.min(7)]
    };
    values.iter().map(bar).collect()
}

fn shown(figure: Option<f64>, write: fn(f64) -> String) -> String {
    figure.map_or_else(|| "-".to_owned(), write)
}

fn rate(bits: f64) -> String {
    match bits {
        bits if bits >= 1e9 => format!("{:.1}G", bits / 1e9),
        bits if bits >= 1e6 => format!("{:.1}M", bits / 1e6),
        bits => format!("{:.0}k", bits / 1e3),
    }
}

fn milliseconds(ms: f64) -> String {
    format!("{ms:.0}ms")
}

fn share(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn behind(ms: f64) -> String {
    format!("{:.1}s", ms / 1e3)
}
