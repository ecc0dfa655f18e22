//! What an app told of itself, as JSON lines.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::journal::Journal;

/// A line of `greenroom-play --json`.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Report {
    Source {
        source: u8,
        kind: String,
        codec: String,
    },
    Application {
        state: String,
    },
    Note {
        text: String,
    },
    State {
        state: String,
    },
    FirstFrame {
        source: u8,
        after_ms: u64,
    },
    Position {
        position_ms: u64,
        duration_ms: Option<u64>,
    },
    End(End),
    #[serde(other)]
    Other,
}

/// How playing went.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct End {
    /// `end_of_stream`, `inactive`, `quit` or `error`.
    pub(crate) reason: String,
    /// Where it ended.
    pub(crate) position_ms: u64,
    sources: Vec<Source>,
}

/// How it went for one stream.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Source {
    kind: String,
    /// By the app.
    pub(crate) frames_sent: u32,
    /// By the decoder, from the ring.
    pub(crate) frames_taken: u32,
    /// By the sink.
    pub(crate) frames_rendered: u32,
    /// By the decoder or the sink.
    pub(crate) frames_dropped: u32,
}

impl End {
    /// The pictures' part.
    pub(crate) fn video(&self) -> Source {
        self.sources.iter().find(|source| source.kind == "video").cloned().unwrap_or_default()
    }
}

/// What is known of one app.
#[derive(Default)]
pub(crate) struct AppRecord {
    streams: BTreeMap<u8, String>,
    /// It has said all about its file.
    pub(crate) is_introduced: bool,
    /// Where it plays.
    pub(crate) position: Duration,
    /// How long its file is.
    pub(crate) duration: Option<Duration>,
    /// How playing went, when it is over.
    pub(crate) end: Option<End>,
    /// What it said before it gave up.
    pub(crate) complaint: Option<String>,
}

impl AppRecord {
    /// Whether its file has pictures.
    pub(crate) fn has_video(&self) -> bool {
        self.streams.values().any(|kind| kind == "video")
    }

    /// Takes a line that the app wrote to standard error.
    pub(crate) fn hear(&mut self, journal: &Journal, app: &str, line: &str) {
        match serde_json::from_str(line) {
            Ok(report) => self.take(journal, app, report),
            Err(_) => {
                if let Some(complaint) = line.strip_prefix("greenroom-play: ") {
                    self.complaint = Some(complaint.to_owned());
                }
                journal.muttered(app, line);
            }
        }
    }

    fn take(&mut self, journal: &Journal, app: &str, report: Report) {
        match report {
            Report::Source { source, kind, codec } => {
                journal.muttered(app, &format!("my file has {kind}, {codec}"));
                self.streams.insert(source, kind);
            }
            Report::Application { state } => self.is_introduced |= state == "inactive",
            Report::Note { text } if text.starts_with("a stream is left out") => journal.muttered(app, &text),
            Report::State { state } => journal.server_said(app, &state.replace('_', " ")),
            Report::FirstFrame { source, after_ms } => {
                let kind = self.streams.get(&source).map_or("frame", String::as_str);
                journal.server_said(app, &format!("first {kind} frame decoded, {after_ms} ms after load"));
            }
            Report::Position { position_ms, duration_ms } => {
                self.position = Duration::from_millis(position_ms);
                self.duration = duration_ms.map(Duration::from_millis);
            }
            Report::End(end) => self.end = Some(end),
            Report::Note { .. } | Report::Other => {}
        }
    }
}
