//! What is shown while a file plays: a bar on a terminal, lines elsewhere, JSON where asked for.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use greenroom_core::message::AppState;
use greenroom_core::message::playback::{MediaKind, PlaybackState, Statistics};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowAs {
    /// A progress bar on standard error.
    Bar,
    /// One line for each event, without positions.
    Lines,
    /// One JSON object for each event.
    Json,
}

/// Something to be shown. As JSON: `{"event":"state","state":"playing"}`; times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Report {
    /// The library is connected.
    Connected { socket: String, took_ms: u64 },
    /// The app is in this state, and so is its session server.
    Application { state: &'static str },
    /// A stream that is played.
    Source { source: u8, kind: &'static str, codec: String },
    /// Something that is good to know.
    Note { text: String },
    /// The session is in this state.
    State { state: &'static str },
    /// The first picture or sound of a source has come out.
    FirstFrame { source: u8, after_ms: u64 },
    /// Where playback is.
    Position { position_ms: u64, duration_ms: Option<u64> },
    /// A jump has been taken up by the session server.
    Sought { position_ms: u64, took_ms: u64 },
    /// It plays so many thousandths as fast as recorded.
    Rate { rate_permille: u16 },
    /// The pictures of a source have this size.
    PictureSize { source: u8, width: u32, height: u32 },
    /// A source had nothing to decode: playback waits for it.
    Underflow { source: u8 },
    /// Frames of a source came too late; counted from its start.
    Quality { source: u8, frames_rendered: u32, frames_dropped: u32 },
    /// A text is to be shown.
    Text { source: u8, start_ms: u64, duration_ms: Option<u64>, missed: u32, body: String },
    /// How it goes.
    Statistics { sources: Vec<SourceSummary> },
    /// The session server has gone.
    ConnectionLost { reason: String },
    /// There is a session server again.
    Reconnected,
    /// Playing is over, for good or until the app is Running again.
    End(Summary),
}

/// How it went.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// Why it is over: `end_of_stream`, `inactive` or `quit`.
    pub(super) reason: &'static str,
    pub(super) position_ms: u64,
    pub(super) first_frame_ms: Option<u64>,
    pub(super) sources: Vec<SourceSummary>,
}

/// How it went for one source.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SourceSummary {
    pub(super) source: u8,
    pub(super) kind: &'static str,
    pub(super) frames_sent: u32,
    pub(super) bytes_sent: u64,
    pub(super) frames_taken: u32,
    pub(super) frames_stale: u32,
    pub(super) frames_rendered: u32,
    pub(super) frames_dropped: u32,
    pub(super) frames_queued: u32,
}

impl SourceSummary {
    pub(super) fn new(source: u8, kind: MediaKind, sent: (u32, u64), statistics: Statistics) -> Self {
        let Statistics { frames_taken, frames_stale, frames_rendered, frames_dropped, frames_queued } = statistics;
        let (frames_sent, bytes_sent) = sent;
        let kind = kind_name(kind);
        Self {
            source,
            kind,
            frames_sent,
            bytes_sent,
            frames_taken,
            frames_stale,
            frames_rendered,
            frames_dropped,
            frames_queued,
        }
    }
}

pub(super) const fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
        MediaKind::Text => "text",
    }
}

pub(super) const fn state_name(state: PlaybackState) -> &'static str {
    match state {
        PlaybackState::Idle => "idle",
        PlaybackState::Buffering => "buffering",
        PlaybackState::Paused => "paused",
        PlaybackState::Playing => "playing",
        PlaybackState::EndOfStream => "end_of_stream",
        PlaybackState::Failed => "failed",
    }
}

pub(super) const fn app_state_name(state: AppState) -> &'static str {
    match state {
        AppState::Unknown => "unknown",
        AppState::Inactive => "inactive",
        AppState::Running => "running",
    }
}

/// Whole milliseconds; 584 million years are enough.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time as people read it.
struct Clock(u64);

impl fmt::Display for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if hours > 0 { write!(out, "{hours}:{minutes:02}:{seconds:02}") } else { write!(out, "{minutes}:{seconds:02}") }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { socket, took_ms } => write!(out, "connected to {socket} in {took_ms} ms"),
            Self::Application { state } => write!(out, "the app is {state}"),
            Self::Source { source, kind, codec } => write!(out, "source {source}: {kind}, {codec}"),
            Self::Note { text } => write!(out, "note: {text}"),
            Self::State { state } => write!(out, "{state}"),
            Self::FirstFrame { source, after_ms } => write!(out, "first frame of source {source} after {after_ms} ms"),
            Self::Position { position_ms, duration_ms: Some(duration_ms) } => {
                write!(out, "{} of {}", Clock(*position_ms), Clock(*duration_ms))
            }
            Self::Position { position_ms, duration_ms: None } => write!(out, "{}", Clock(*position_ms)),
            Self::Sought { position_ms, took_ms } => write!(out, "went to {} in {took_ms} ms", Clock(*position_ms)),
            Self::Rate { rate_permille } => {
                write!(out, "plays {}.{:03} times as fast", rate_permille / 1000, rate_permille % 1000)
            }
            Self::PictureSize { source, width, height } => write!(out, "source {source}: {width}x{height} pixels"),
            Self::Underflow { source } => write!(out, "source {source} has nothing to decode, waiting for more"),
            Self::Quality { source, frames_rendered, frames_dropped } => {
                write!(out, "source {source}: {frames_dropped} frames came too late, {frames_rendered} in time")
            }
            Self::Text { start_ms, body, missed, .. } => {
                let lost = if *missed > 0 { format!(" ({missed} before it were lost)") } else { String::new() };
                write!(out, "text at {}{lost}: {}", Clock(*start_ms), Printable(body))
            }
            Self::Statistics { sources } => fmt_sources(out, sources),
            Self::ConnectionLost { reason } => write!(out, "the session server has gone: {reason}"),
            Self::Reconnected => out.write_str("connected again"),
            Self::End(summary) => summary.fmt(out),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "over at {} ({})", Clock(self.position_ms), self.reason.replace('_', " "))?;
        out.write_str("; ")?;
        fmt_sources(out, &self.sources)
    }
}

fn fmt_sources(out: &mut fmt::Formatter<'_>, sources: &[SourceSummary]) -> fmt::Result {
    for (number, source) in sources.iter().enumerate() {
        let SourceSummary { source, kind, frames_sent, frames_taken, frames_rendered, frames_dropped, .. } = source;
        let between = if number > 0 { "; " } else { "" };
        write!(out, "{between}source {source} ({kind}): {frames_sent} frames sent, {frames_taken} taken, ")?;
        write!(out, "{frames_rendered} rendered, {frames_dropped} dropped")?;
    }
    Ok(())
}

/// A text of a media file on one line, and without what a terminal would obey.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |character: char| if character.is_control() { ' ' } else { character };
        self.0.chars().map(printable).try_for_each(|character| fmt::Write::write_char(out, character))
    }
}

/// Where reports go.
#[derive(Debug)]
pub(super) struct Show {
    as_what: ShowAs,
    bar: ProgressBar,
    /// A managed app's standard output is its manager's.
    to_stderr: bool,
}

impl Show {
    pub(super) fn new(as_what: ShowAs, to_stderr: bool) -> Self {
        let bar = if as_what == ShowAs::Bar { progress_bar() } else { ProgressBar::hidden() };
        Self { as_what, bar, to_stderr }
    }

    pub(super) fn report(&self, report: &Report) {
        match self.as_what {
            ShowAs::Bar => self.on_bar(report),
            ShowAs::Lines if matches!(report, Report::Position { .. }) => {}
            ShowAs::Lines => self.line(report),
            // A report has only numbers and texts, so it is always JSON.
            ShowAs::Json => self.line(&serde_json::to_string(report).unwrap_or_default()),
        }
    }

    fn on_bar(&self, report: &Report) {
        match report {
            Report::Position { position_ms, duration_ms } => {
                if let Some(duration_ms) = *duration_ms {
                    self.bar.set_length(duration_ms);
                    self.bar.set_prefix(Clock(duration_ms).to_string());
                }
                self.bar.set_message(Clock(*position_ms).to_string());
                self.bar.set_position(*position_ms);
            }
            Report::State { state } => {
                self.bar.set_style(style(state));
                // While it is paused no position comes that would draw it.
                self.bar.tick();
            }
            other => self.bar.println(other.to_string()),
        }
    }

    /// Nobody reads any more: then nobody misses it.
    fn line(&self, line: &impl fmt::Display) {
        let _ =
            if self.to_stderr { writeln!(std::io::stderr(), "{line}") } else { writeln!(std::io::stdout(), "{line}") };
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Nothing is drawn before it is known what.
fn progress_bar() -> ProgressBar {
    ProgressBar::new(1).with_style(style("buffering")).with_message("0:00")
}

fn style(state: &str) -> ProgressStyle {
    let template = format!("{state:>13}  {{msg}} [{{wide_bar}}] {{prefix}}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_one_json_object_each() {
        let report = Report::Position { position_ms: 1_500, duration_ms: None };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json, r#"{"event":"position","position_ms":1500,"duration_ms":null}"#);
        let summary = Summary { reason: "quit", position_ms: 0, first_frame_ms: Some(3), sources: Vec::new() };
        let json = serde_json::to_string(&Report::End(summary)).unwrap();
        assert_eq!(json, r#"{"event":"end","reason":"quit","position_ms":0,"first_frame_ms":3,"sources":[]}"#);
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(Clock(61_900).to_string(), "1:01");
        assert_eq!(Clock(3_600_000).to_string(), "1:00:00");
    }
}
