//! Steps of apps' own processes, which are between them and the application manager.

use greenroom_core::time::Instant;

use super::{Kind, Sequence};

/// What happens between the application manager and an app (SM-28).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppStep {
    /// The application manager starts the app with this.
    Started(String),
    /// The application manager tells the app to be in this state.
    Told(String),
    /// The app says that it is in this state.
    Said(String),
    /// The app's process has ended, in this way.
    Ended(String),
}

impl Sequence {
    /// Something happened between the application manager and this app.
    pub fn app(&mut self, app: &str, at: Instant, step: &AppStep) {
        let (manager, application) = (self.application_manager(), self.application(app));
        match step {
            AppStep::Started(with) => {
                self.draw(at, Kind::Creation, (manager, application), &format!("spawn({with})"));
            }
            AppStep::Told(state) => {
                self.draw(at, Kind::Call, (manager, application), &format!("notify_new_state({state})"));
            }
            AppStep::Said(state) => {
                self.draw(at, Kind::Notification, (application, manager), &format!("state_changed({state})"));
            }
            AppStep::Ended(how) => {
                self.draw(at, Kind::End, (application, application), &format!("exit the process{how}"));
            }
        }
    }
}
