//! The app that plays, and its session server.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::playing::{News, Playing};
use crate::app_protocol::ManagedState;
use crate::appmanager::{ApplicationManager, Settings, StageError};

/// Shorter than a page may load, so that it is said what does not come.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);
/// Who had the stage before is gone within this.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(4);

/// An app on stage.
pub(super) struct Stage {
    manager: ApplicationManager<'static>,
    app: String,
    words: Receiver<(String, String)>,
    playing: Playing,
}

impl Stage {
    /// Has the session server started, Active, and the app play the file in it.
    pub(super) fn enter(control: &Path, app: &str, file: &Path) -> Result<Self, StageError> {
        let (tell, words) = channel();
        let settings = Settings {
            arguments: ["--json", "--reconnect"].map(String::from).into(),
            step_timeout: STEP_TIMEOUT,
            words: Some(tell),
            ..Settings::new(control)
        };
        let mut manager = ApplicationManager::connect(settings, |step| tracing::debug!("{step}"))?;
        manager.clear(app, CLEAR_TIMEOUT)?;
        let started = manager.start(app, file, ManagedState::Running);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut stage = Self { manager, app: app.to_owned(), words, playing: Playing::new(name) };
        match started {
            Ok(()) => Ok(stage),
            Err(error) => {
                // The first error says more than what follows from it.
                let _ = stage.manager.stop_all();
                stage.hear();
                Err(error)
            }
        }
    }

    pub(super) fn playing(&self) -> &Playing {
        &self.playing
    }

    /// Takes what the app has said; true when controllers are to be told.
    pub(super) fn hear(&mut self) -> bool {
        let mut is_news = false;
        while let Ok((_, line)) = self.words.try_recv() {
            match self.playing.hear(&line) {
                News::State => is_news = true,
                News::Nothing => {}
                News::Words => tracing::warn!("{}: {line}", self.app),
            }
        }
        is_news
    }

    pub(super) fn has_app(&mut self) -> bool {
        self.manager.is_running(&self.app)
    }

    pub(super) fn set_paused(&mut self, is_paused: bool) -> Result<(), StageError> {
        self.manager.set_paused(&self.app, is_paused)
    }

    /// App ended, then its server. An app that has ended by itself needs no telling.
    pub(super) fn leave(mut self) -> Result<(), StageError> {
        match self.manager.stop_all() {
            Err(StageError::App { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
