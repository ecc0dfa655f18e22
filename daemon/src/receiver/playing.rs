//! What is played, as controllers are told it.

use serde::{Deserialize, Serialize};

/// How it goes, from what the app writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Playing {
    file: String,
    state: String,
    position_ms: u64,
    duration_ms: Option<u64>,
}

/// A line of `greenroom-play --json` that matters here.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Report {
    State {
        state: String,
    },
    Position {
        position_ms: u64,
        duration_ms: Option<u64>,
    },
    #[serde(other)]
    Other,
}

/// What a line of the app was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Another state, of which controllers are told.
    State,
    /// Nothing that they are told unasked.
    Nothing,
    /// No report, but words for the log.
    Words,
}

impl Playing {
    pub(super) fn new(file: String) -> Self {
        Self { file, state: "idle".to_owned(), position_ms: 0, duration_ms: None }
    }

    pub(super) fn hear(&mut self, line: &str) -> News {
        match serde_json::from_str(line) {
            Ok(Report::State { state }) if state != self.state => self.state = state,
            Ok(Report::Position { position_ms, duration_ms }) => {
                (self.position_ms, self.duration_ms) = (position_ms, duration_ms);
                return News::Nothing;
            }
            Ok(Report::State { .. } | Report::Other) => return News::Nothing,
            Err(_) => return News::Words,
        }
        News::State
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_state_is_news_and_a_position_is_kept_for_who_asks() {
        let mut playing = Playing::new("film.mp4".to_owned());
        let position = r#"{"event":"position","position_ms":1500,"duration_ms":8000}"#;
        let state = r#"{"event":"state","state":"paused"}"#;
        let other = r#"{"event":"underflow","source":0}"#;
        let heard: Vec<News> = [position, state, state, other, "out of memory"].map(|line| playing.hear(line)).into();
        assert_eq!(heard, [News::Nothing, News::State, News::Nothing, News::Nothing, News::Words]);
        let told = serde_json::to_string(&playing).unwrap();
        assert_eq!(told, r#"{"file":"film.mp4","state":"paused","position_ms":1500,"duration_ms":8000}"#);
    }
}
