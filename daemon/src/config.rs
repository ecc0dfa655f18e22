//! The manager's configuration file. `greenroom.toml` beside this crate's manifest explains every key.

mod layers;
mod presentation;
mod values;
mod web;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use greenroom_core::health::HealthCheck;
use greenroom_core::limits::{HEALTH_FAILURES_MAX, READY_TIMEOUT, RESTART_INTENSITY, RESTART_PAUSE, RESTART_WINDOW};
use greenroom_core::manager::Settings;
use greenroom_core::message::{LogLevel, LogLevels, Resources};
pub use layers::{Layers, Origin};
pub use presentation::{PageSection, Pattern, PresentationSection};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
pub use values::{AppName, Mode, NameText, OwnerText, Sink, SocketText};
use values::{
    arguments, full_path, key_sessions, playback_sessions, spares, trace_bytes, variables, web_audio_players, within,
};
pub use web::{HostName, TokenText, WebOrigin, WebSection};

use crate::keys::Provider;
use crate::log::Format;
use crate::names::Level;
use crate::runtime;

/// The default configuration, with every key explained.
pub const DOCUMENTED: &str = include_str!("../greenroom.toml");

/// Where the configuration lies when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/greenroom/greenroom.toml";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Caller: the file cannot be read.
    #[error("cannot read the configuration {path}: {cause}; give another file with --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the platform said.
        cause: std::io::Error,
    },
    /// Caller: what is in the file is no configuration. The cause names the line and the key.
    #[error(
        "the configuration {path} is wrong: {cause}\ncorrect or remove that key; 'greenroomd --print-config' explains all"
    )]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: Box<toml::de::Error>,
    },
    /// Caller: an option of the command line has a value that cannot be.
    #[error("{option} is wrong: {cause}")]
    CommandLine {
        /// The option.
        option: &'static str,
        /// Why.
        cause: Box<toml::de::Error>,
    },
    /// Caller: files that are sound each by itself contradict each other.
    #[error("the configuration's files do not go together: {cause}; 'greenroomd --show-config' shows what they say")]
    Merged {
        /// Why.
        cause: Box<toml::de::Error>,
    },
    /// Caller: the configuration asks for more decoders than the box has.
    #[error(
        "the configuration cannot work: [app.{app}] max_playback_sessions is {sessions} ({origin}), but [box] decoders \
         is {decoders} ({decoders_origin}), so the app could never be active; lower the one or raise the other"
    )]
    NeverActive {
        /// Where the app's number comes from.
        origin: Origin,
        /// The app.
        app: String,
        /// What it is to have.
        sessions: u8,
        /// What there is.
        decoders: u8,
        /// Where that number comes from.
        decoders_origin: Origin,
    },
}

/// All of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[box]`
    #[serde(rename = "box")]
    pub box_: BoxSection,
    /// `[control]`
    pub control: ControlSection,
    /// `[socket]`
    pub socket: SocketSection,
    /// `[session]`
    pub session: SessionSection,
    /// `[sinks]`
    pub sinks: SinksSection,
    /// `[keys]`
    pub keys: KeysSection,
    /// `[presentation]`
    pub presentation: PresentationSection,
    /// `[trace]`
    pub trace: TraceSection,
    /// `[log]`
    pub log: LogSection,
    /// `[app.NAME]`
    pub app: BTreeMap<AppName, AppSection>,
}

/// The box.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoxSection {
    /// Decoders that it has.
    #[serde(deserialize_with = "within::<0, 255, _, _>")]
    pub decoders: u8,
}

impl Default for BoxSection {
    fn default() -> Self {
        Self { decoders: 1 }
    }
}

/// The control socket.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSection {
    /// Its path; empty for the default.
    pub socket: SocketText,
    /// Its mode.
    pub mode: Mode,
    /// Its user; empty for the manager's own.
    pub owner: OwnerText,
    /// Its group; empty for the manager's own.
    pub group: OwnerText,
    /// Users that may drive everything.
    pub allow_users: Vec<OwnerText>,
    /// Groups whose members may drive everything.
    pub allow_groups: Vec<OwnerText>,
}

/// The apps' sockets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketSection {
    /// Where they lie; empty for the default.
    pub directory: SocketText,
    /// Their mode.
    pub mode: Mode,
    /// Their user; empty for the session server's own.
    pub owner: OwnerText,
    /// Their group; empty for the session server's own.
    pub group: OwnerText,
}

/// The session servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSection {
    /// Their program; empty for the one that was built or installed with greenroomd.
    #[serde(deserialize_with = "full_path")]
    pub program: PathBuf,
    /// Its arguments.
    #[serde(deserialize_with = "arguments")]
    pub arguments: Vec<String>,
    /// How long one may take to be up; 0 for ever.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub ready_timeout_ms: u32,
    /// Whether one that ends unasked is followed by another one.
    pub restart: bool,
    /// Restarts in one window, after which the app is given up.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub restart_intensity: u32,
    /// The pause before the second restart in a window.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub restart_pause_ms: u32,
    /// How long a window is.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub restart_window_ms: u32,
    /// How often one, or a client of one, is asked whether it gets on; 0 for never.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub health_interval_ms: u32,
    /// Looks without an answer, after which it is given up.
    #[serde(deserialize_with = "within::<1, 255, _, _>")]
    pub health_failures_max: u8,
    /// How many are kept ready.
    #[serde(deserialize_with = "spares")]
    pub spares: u16,
    /// Variables that they get.
    #[serde(deserialize_with = "variables")]
    pub environment: BTreeMap<String, String>,
    /// Variables that they get from the manager's environment.
    pub inherit_environment: Vec<String>,
}

impl Default for SessionSection {
    fn default() -> Self {
        const INHERITED: &[&str] = &[
            "PATH",
            "HOME",
            "LANG",
            "TZ",
            "XDG_RUNTIME_DIR",
            "XDG_CACHE_HOME",
            "WAYLAND_DISPLAY",
            "DISPLAY",
            "PULSE_SERVER",
            "PIPEWIRE_REMOTE",
            "DBUS_SESSION_BUS_ADDRESS",
            "GST_DEBUG",
            "GST_DEBUG_NO_COLOR",
            "GST_PLUGIN_PATH",
            "GST_PLUGIN_SYSTEM_PATH_1_0",
            "GST_PLUGIN_SCANNER",
            "GST_REGISTRY",
            "LD_LIBRARY_PATH",
            "RUST_BACKTRACE",
        ];
        Self {
            program: PathBuf::new(),
            arguments: Vec::new(),
            ready_timeout_ms: READY_TIMEOUT.as_millis() as u32,
            restart: true,
            restart_intensity: RESTART_INTENSITY,
            restart_pause_ms: RESTART_PAUSE.as_millis() as u32,
            restart_window_ms: RESTART_WINDOW.as_millis() as u32,
            health_interval_ms: HealthCheck::default().interval_ms,
            health_failures_max: HEALTH_FAILURES_MAX,
            spares: 0,
            environment: BTreeMap::new(),
            inherit_environment: INHERITED.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

/// Where pictures and sound go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinksSection {
    /// Pictures.
    pub video: Sink,
    /// Sound.
    pub audio: Sink,
}

/// The key systems of protected media.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysSection {
    /// Where they come from.
    pub provider: Provider,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSection {
    /// Memory for each process; 0 for none.
    #[serde(deserialize_with = "trace_bytes")]
    pub bytes: u32,
}

impl Default for TraceSection {
    fn default() -> Self {
        Self { bytes: 65_536 }
    }
}

/// The least memory of a trace: each of its segments holds the longest message.
pub const TRACE_BYTES_MIN: u32 = 65_536;
/// The most: hours of a busy box.
pub const TRACE_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// How much is logged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// How a line looks, the manager's and the session servers'.
    pub format: Format,
    default: Option<Level>,
    client: Option<Level>,
    session_server: Option<Level>,
    ipc: Option<Level>,
    manager: Option<Level>,
    common: Option<Level>,
}

/// One app.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppSection {
    #[serde(deserialize_with = "playback_sessions")]
    max_playback_sessions: Option<u8>,
    #[serde(deserialize_with = "web_audio_players")]
    max_web_audio_players: Option<u8>,
    #[serde(deserialize_with = "key_sessions")]
    max_key_sessions: Option<u8>,
    video_sink: Option<Sink>,
    audio_sink: Option<Sink>,
    controllers: Vec<Principal>,
    clients: Vec<Principal>,
}

/// A user or the members of a group, as a list of who may do something names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, by name or number.
    User(String),
    /// A group, by name or number; written with `@` before it.
    Group(String),
}

impl fmt::Display for Principal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => out.write_str(name),
            Self::Group(name) => write!(out, "@{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (name, make): (_, fn(String) -> Self) = match text.strip_prefix('@') {
            Some(group) => (group, Self::Group),
            None => (text.as_str(), Self::User),
        };
        if name.is_empty() {
            return Err(D::Error::custom("an empty name is nobody; write a user, or @ and a group"));
        }
        name.parse::<OwnerText>().map(|name| make(name.0)).map_err(D::Error::custom)
    }
}

impl FromStr for Config {
    type Err = toml::de::Error;

    /// Reads what stands in a file.
    fn from_str(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl Config {
    /// Reads a file, without one the default file if it is there, and its drop-ins.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        Layers::load(path)?.config()
    }

    /// An app that is to have more decoders than there are, and how many.
    fn never_active(&self) -> Option<(String, u8)> {
        let wanted = self.app.iter().filter_map(|(app, own)| Some((app.0.clone(), own.max_playback_sessions?)));
        wanted.into_iter().find(|(_, sessions)| *sessions > self.box_.decoders)
    }

    /// The presentation service's program.
    pub fn presentation_program(&self) -> PathBuf {
        match self.presentation.program.as_os_str().is_empty() {
            true => runtime::presentation_program(),
            false => self.presentation.program.clone(),
        }
    }

    /// The program that serves browsers.
    pub fn web_program(&self) -> PathBuf {
        match self.presentation.web.program.as_os_str().is_empty() {
            true => runtime::web_program(),
            false => self.presentation.web.program.clone(),
        }
    }

    /// Where the presentation service's local clients connect.
    pub fn presentation_socket(&self) -> PathBuf {
        match self.presentation.socket.as_str() {
            "" => runtime::presentation_socket(),
            path => PathBuf::from(path),
        }
    }

    /// Where the presentation service keeps its certificate and the devices that it knows.
    pub fn presentation_state(&self) -> PathBuf {
        match self.presentation.state_directory.as_os_str().is_empty() {
            true => runtime::state_directory(),
            false => self.presentation.state_directory.clone(),
        }
    }

    /// The environment of what shows pages: what session servers inherit, too, and where the presentation service and the
    /// manager are asked.
    pub fn receiver_environment(&self) -> Vec<(String, String)> {
        let inherited = self.session.inherit_environment.iter();
        let inherited = inherited.filter_map(|name| Some((name.clone(), env::var(name).ok()?)));
        let sockets = [
            (runtime::PRESENTATION_VARIABLE, self.presentation_socket()),
            (runtime::CONTROL_VARIABLE, self.control_socket()),
        ];
        let sockets = sockets.map(|(name, path)| (name.to_owned(), path.to_string_lossy().into_owned()));
        inherited.chain(sockets).collect()
    }

    /// Where the manager is asked.
    pub fn control_socket(&self) -> PathBuf {
        match self.control.socket.as_str() {
            "" => runtime::control_socket(),
            path => PathBuf::from(path),
        }
    }

    /// Where the apps' sockets lie.
    pub fn socket_directory(&self) -> PathBuf {
        match self.socket.directory.as_str() {
            "" => runtime::directory(),
            path => PathBuf::from(path),
        }
    }

    /// The session server's program.
    pub fn session_program(&self) -> PathBuf {
        match self.session.program.as_os_str().is_empty() {
            true => runtime::session_program(),
            false => self.session.program.clone(),
        }
    }

    /// The environment of session servers. What is configured wins over what is inherited.
    pub fn session_environment(&self) -> Vec<(String, String)> {
        let inherited =
            self.session.inherit_environment.iter().filter(|name| !self.session.environment.contains_key(*name));
        let inherited = inherited.filter_map(|name| Some((name.clone(), env::var(name).ok()?)));
        let ours = self.log.format.environment().into_iter().chain(self.keys.provider.environment());
        inherited.chain(ours).chain(self.session.environment.clone()).collect()
    }

    /// How much is logged at first.
    pub fn log_levels(&self) -> LogLevels {
        let level = |level: Option<Level>| level.map(LogLevel::from);
        LogLevels {
            default: level(self.log.default).unwrap_or_default(),
            client: level(self.log.client),
            session_server: level(self.log.session_server),
            ipc: level(self.log.ipc),
            manager: level(self.log.manager),
            common: level(self.log.common),
        }
    }

    /// What the machine is told.
    pub fn settings(&self) -> Settings {
        let ready = Duration::from_millis(self.session.ready_timeout_ms.into());
        Settings {
            decoders: self.box_.decoders,
            ready_timeout: Some(ready).filter(|ready| !ready.is_zero()),
            restart: self.session.restart,
            restart_intensity: self.session.restart_intensity,
            restart_pause: Duration::from_millis(self.session.restart_pause_ms.into()),
            restart_window: Duration::from_millis(self.session.restart_window_ms.into()),
            log_levels: self.log_levels(),
            spares: self.session.spares,
            health: HealthCheck {
                interval_ms: self.session.health_interval_ms,
                failures_max: self.session.health_failures_max,
            },
            ..Settings::default()
        }
    }

    /// What an app may hold.
    pub fn resources(&self, app: &str) -> Resources {
        let (all, own) = (Resources::default(), self.section(app));
        Resources {
            max_playback_sessions: own.and_then(|own| own.max_playback_sessions).unwrap_or(all.max_playback_sessions),
            max_web_audio_players: own.and_then(|own| own.max_web_audio_players).unwrap_or(all.max_web_audio_players),
            max_key_sessions: own.and_then(|own| own.max_key_sessions).unwrap_or(all.max_key_sessions),
        }
    }

    /// Where an app's pictures and sound go.
    pub fn sinks(&self, app: &str) -> (&str, &str) {
        let own = self.section(app);
        let video = own.and_then(|own| own.video_sink.as_ref()).unwrap_or(&self.sinks.video);
        let audio = own.and_then(|own| own.audio_sink.as_ref()).unwrap_or(&self.sinks.audio);
        (video.as_str(), audio.as_str())
    }

    /// Who may drive everything, beside root and the manager's own user.
    pub fn full_controllers(&self) -> Vec<Principal> {
        let users = self.control.allow_users.iter().map(|user| Principal::User(user.0.clone()));
        users.chain(self.control.allow_groups.iter().map(|group| Principal::Group(group.0.clone()))).collect()
    }

    /// Each app that has a section, who may drive it, and who may connect to it.
    pub fn access(&self) -> impl Iterator<Item = (&str, &[Principal], &[Principal])> {
        self.app.iter().map(|(app, own)| (app.0.as_str(), &own.controllers[..], &own.clients[..]))
    }

    fn section(&self, app: &str) -> Option<&AppSection> {
        self.app.get(&AppName(app.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::Visitor;

    use super::*;

    fn parse(text: &str) -> Result<Config, toml::de::Error> {
        text.parse()
    }

    #[test]
    fn the_documented_file_holds_the_defaults() {
        let documented = parse(DOCUMENTED).unwrap();
        assert_eq!(
            format!("{documented:#?}").replace("Some(\n            Milestone,\n        )", "None"),
            format!("{:#?}", Config::default())
        );
        assert_eq!(documented.log_levels(), Config::default().log_levels());
    }

    /// Field failure 17
    #[test]
    fn an_app_gets_its_own_values_and_the_others_the_defaults() {
        let config =
            parse("[sinks]\nvideo = 'fake'\n[app.\"tv.one\"]\nmax_playback_sessions = 2\naudio_sink = 'x'").unwrap();
        assert_eq!(config.resources("tv.one").max_playback_sessions, 2);
        assert_eq!(config.resources("tv.two").max_playback_sessions, 1);
        assert_eq!(config.sinks("tv.one"), ("fake", "x"));
        assert_eq!(config.sinks("tv.two"), ("fake", "auto"));
    }

    #[test]
    fn a_wrong_key_or_value_is_named_with_its_line() {
        for (text, line, word) in [
            ("[box]\ndecodres = 2", "line 2", "decodres"),
            ("[box]\n\ndecoders = 300", "line 3", "from 0 to 255, not 300"),
            ("[box]\ndecoders = -1", "line 2", "from 0 to 255, not -1"),
            ("[session]\nready_timeout_ms = 4294967296", "line 2", "from 0 to 4294967295"),
            ("[app.tv]\nmax_web_audio_players = 256", "line 2", "from 0 to 255"),
            ("[app.tv]\nclients = ['@']", "line 2", "an empty name is nobody"),
            ("[app.tv]\ncontrollers = ['']", "line 2", "an empty name is nobody"),
            ("[control]\nmode = 0o1777", "line 2", "octal"),
            ("[app.\"a b\"]\n", "line 1", "a b"),
            ("[log]\ndefault = 'loud'", "line 2", "loud"),
            ("[app.tv]\nmax_playback_sessions = 200", "line 2", "max_playback_sessions is at most 4 here, not 200"),
            ("[session]\nhealth_failures_max = 0", "line 2", "it is from 1 to 255, not 0"),
            ("[trace]\nbytes = 4096", "line 2", "at least 65536 bytes, not 4096"),
            ("[session]\nspares = 5", "line 2", "spares is at most 4 here, not 5"),
            ("[app.tv]\nmax_web_audio_players = 5", "line 2", "max_web_audio_players is at most 4 here, not 5"),
            ("[keys]\nprovider = 'magic'", "line 2", "magic"),
            ("[app.tv]\nmax_key_sessions = 9", "line 2", "max_key_sessions is at most 4 here, not 9"),
            ("[control]\nsocket = 'run/control.sock'", "line 2", "starts with /"),
            ("[socket]\ndirectory = 'run'", "line 2", "starts with /"),
            ("[presentation]\nport = 70000", "line 2", "from 0 to 65535"),
            ("[presentation]\nestablish_timeout_ms = 0", "line 2", "from 1 to 120000, not 0"),
            ("[presentation]\npage_load_timeout_ms = 120001", "line 2", "from 1 to 120000"),
            ("[[presentation.page]]\nurls = ['https://tv.example*']", "line 2", "https://tv.example/*"),
            ("[[presentation.page]]\ndevices = ['TV']", "line 2", "fingerprint"),
            ("[[presentation.page]]\ncommand = ['browser']", "line 2", "full path"),
            ("[socket]\nowner = \"a\\u0000b\"", "line 2", "zero byte"),
            ("[session]\nprogram = 'greenroom-session'", "line 2", "starts with /"),
            ("[session]\narguments = [\"a\\u0000b\"]", "line 2", "zero byte"),
            ("[session.environment]\n'A=B' = 'c'", "line 1", "'A=B' names no variable"),
            ("[session.environment]\nA = \"b\\u0000c\"", "line 1", "A: a text holds a zero byte"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(word), "{error}");
        }
    }

    /// SM-36
    #[test]
    fn restarts_are_as_configured_and_as_the_core_has_them_by_default() {
        let defaults = Config::default().settings();
        assert_eq!(defaults, Settings { log_levels: defaults.log_levels, ..Settings::default() });
        let text = "[session]\nrestart = false\nrestart_intensity = 2\nrestart_window_ms = 500";
        let settings = parse(text).unwrap().settings();
        let window = Duration::from_millis(500);
        assert_eq!((settings.restart, settings.restart_intensity, settings.restart_window), (false, 2, window));
    }

    /// Field failure 17
    #[test]
    fn a_configured_variable_wins_over_an_inherited_one() {
        let config = parse("[session]\ninherit_environment = ['PATH']\n[session.environment]\nPATH = '/own'").unwrap();
        assert_eq!(config.session_environment(), [("PATH".to_owned(), "/own".to_owned())]);
    }

    /// The keys that a section's type knows.
    fn keys_of<'de, T: Deserialize<'de>>() -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        let _ = T::deserialize(Keys(&mut keys));
        keys
    }

    /// Asked for a struct it notes the struct's keys, and has nothing to give.
    struct Keys<'k>(&'k mut BTreeSet<String>);

    impl<'de> Deserializer<'de> for Keys<'_> {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Self::Error::custom("nothing"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields.iter().map(|&field| field.to_owned()));
            Err(Self::Error::custom("nothing"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    /// The documented file with the keys in it that are only shown.
    fn uncommented() -> toml::Table {
        let is_key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let lines = DOCUMENTED.lines().map(|line| match line.strip_prefix("# ") {
            Some(shown) if shown.starts_with('[') || is_key(shown) => shown,
            _ => line,
        });
        toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap()
    }

    #[test]
    fn every_key_is_documented_and_every_documented_key_is_known() {
        let documented = uncommented();
        let keys = |table: &toml::Table| table.keys().cloned().collect::<BTreeSet<String>>();
        assert_eq!(keys(&documented), keys_of::<Config>());
        let section = |name: &str| keys(documented[name].as_table().unwrap());
        assert_eq!(section("box"), keys_of::<BoxSection>());
        assert_eq!(section("control"), keys_of::<ControlSection>());
        assert_eq!(section("socket"), keys_of::<SocketSection>());
        assert_eq!(section("session"), keys_of::<SessionSection>());
        assert_eq!(section("sinks"), keys_of::<SinksSection>());
        assert_eq!(section("presentation"), keys_of::<PresentationSection>());
        let page = documented["presentation"]["page"][0].as_table().unwrap();
        assert_eq!(keys(page), keys_of::<PageSection>());
        assert_eq!(section("trace"), keys_of::<TraceSection>());
        assert_eq!(section("log"), keys_of::<LogSection>());
        let app = documented["app"]["com.example.tv"].as_table().unwrap();
        assert_eq!(keys(app), keys_of::<AppSection>());
    }

    /// Field failure 14
    #[test]
    fn a_ready_time_of_zero_is_for_ever() {
        assert_eq!(parse("[session]\nready_timeout_ms = 0").unwrap().settings().ready_timeout, None);
        assert_eq!(Config::default().settings().ready_timeout, Some(READY_TIMEOUT));
    }
}
