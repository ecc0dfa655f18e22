//! What the programs write to stderr, at levels that change while they run (SM-39).

mod format;
mod limit;

pub use format::{FORMAT_VARIABLE, Format};
use greenroom_core::message::{Component, LogLevel, LogLevels};
use limit::Limited;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Which code belongs to which component: the longest prefix of a module's path decides.
const COMPONENTS: &[(&str, Component)] = &[
    ("greenroom_core", Component::Common),
    ("greenroom_core::client", Component::Client),
    ("greenroom_core::codec", Component::Ipc),
    ("greenroom_core::driver", Component::Ipc),
    ("greenroom_core::driver::client", Component::Client),
    ("greenroom_core::driver::manager", Component::Manager),
    ("greenroom_core::driver::presentation", Component::Common),
    ("greenroom_core::driver::session", Component::SessionServer),
    ("greenroom_core::manager", Component::Manager),
    ("greenroom_core::session", Component::SessionServer),
    ("greenroom_daemon", Component::Common),
    ("greenroom_daemon::control", Component::Ipc),
    ("greenroom_daemon::manager", Component::Manager),
    ("greenroom_hal_linux", Component::Common),
    ("greenroom_hal_linux::client", Component::Client),
    ("greenroom_hal_linux::decoder", Component::SessionServer),
    ("greenroom_hal_linux::socket", Component::Ipc),
    ("greenroom_session", Component::SessionServer),
    ("greenroomd", Component::Manager),
];

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Caller: this process logs already.
    #[error("this process has a log already; start it once only")]
    Started,
    /// Caller: the log's thread-safe state was left broken by a panic.
    #[error("the log was broken by a panic; restart the program")]
    Broken,
}

/// The process's log. It stays when this is dropped; this changes its levels.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
}

impl Logging {
    /// Starts to log to stderr. Once a process.
    pub fn start(levels: &LogLevels, format: Format) -> Result<Self, LogError> {
        let (filter, handle) = reload::Layer::new(targets(levels));
        let lines = lines(format, std::io::stderr);
        tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| LogError::Started)?;
        // What the core says passes this gate first; it must not be narrower than the filter may become.
        ::log::set_max_level(::log::LevelFilter::Trace);
        Ok(Self { filter: handle })
    }

    /// Logs from now on as `levels` says.
    pub fn apply(&self, levels: &LogLevels) -> Result<(), LogError> {
        self.filter.reload(targets(levels)).map_err(|_| LogError::Broken)
    }
}

/// Writes lines in this format, not too many and none too long.
fn lines<S, W>(format: Format, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        Format::Text => lines.map_event_format(|inner| Limited::new(inner, format)).boxed(),
        Format::Json => lines.json().flatten_event(true).map_event_format(|inner| Limited::new(inner, format)).boxed(),
    }
}

fn targets(levels: &LogLevels) -> Targets {
    let own = COMPONENTS.iter().map(|&(prefix, component)| (prefix, filter_of(levels.of(component))));
    Targets::new().with_default(filter_of(levels.default)).with_targets(own)
}

/// A fatal end is told by the program itself as its last words, so at `Fatal` the log is silent.
fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Fatal => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Milestone => LevelFilter::INFO,
        LogLevel::Info => LevelFilter::DEBUG,
        LogLevel::Debug => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    /// SM-39
    #[test]
    fn a_component_logs_at_its_own_level_and_the_others_at_the_default() {
        let mut levels = LogLevels { default: LogLevel::Error, ..LogLevels::default() };
        levels.set(Component::Manager, LogLevel::Debug);
        let filter = targets(&levels);
        assert!(filter.would_enable("greenroom_core::manager::app", &Level::TRACE));
        assert!(filter.would_enable("greenroom_core::driver::manager", &Level::TRACE));
        assert!(!filter.would_enable("greenroom_core::driver::connection", &Level::WARN));
        assert!(filter.would_enable("some_library", &Level::ERROR));
        assert!(!filter.would_enable("some_library", &Level::WARN));
    }

    /// SM-39
    #[test]
    fn levels_change_while_the_process_runs() {
        let logging = Logging::start(&LogLevels::default(), Format::Text).unwrap();
        assert!(!tracing::enabled!(target: "greenroomd", Level::TRACE));
        logging.apply(&LogLevels { default: LogLevel::Debug, ..LogLevels::default() }).unwrap();
        assert!(tracing::enabled!(target: "greenroomd", Level::TRACE));
        assert!(::log::log_enabled!(target: "greenroom_core::manager", ::log::Level::Trace));
        assert!(matches!(Logging::start(&LogLevels::default(), Format::Text), Err(LogError::Started)));
    }
}
