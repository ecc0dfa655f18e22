//! The configuration's files, one over the other, and where each value comes from.
//!
//! The base file comes first, then the drop-ins beside it (`greenroom.d/*.toml`, in the order of their names), then the
//! command line: so that a box's maker, its chip's maker and whoever has it at home each keep a file of their own. What
//! comes later wins key by key: tables are joined, every other value, arrays too, is replaced as a whole.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{Config, ConfigError, DEFAULT_PATH, DOCUMENTED};

/// The directory of the drop-ins, beside the base file.
const DROP_INS: &str = "greenroom.d";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file says so.
    File {
        /// Which one.
        path: PathBuf,
        /// In which line, from 1.
        line: usize,
    },
    /// The command line says so, with this option.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::CommandLine(option) => out.write_str(option),
        }
    }
}

/// The names of the tables and of the key.
type Key = Vec<String>;

/// What all files and the command line say together.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    files: Vec<PathBuf>,
    merged: Table,
    origins: BTreeMap<Key, Origin>,
}

impl Layers {
    /// Reads the base file, without one the default file if it is there, and its drop-ins.
    pub fn load(base: Option<&Path>) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        let path = base.unwrap_or(Path::new(DEFAULT_PATH));
        match layers.add_file(path) {
            // A file that is there and cannot be read is not taken for none: it says what somebody wanted.
            Err(ConfigError::Unreadable { cause, .. }) if base.is_none() && cause.kind() == ErrorKind::NotFound => {}
            read => read?,
        }
        for drop_in in drop_ins(&path.with_file_name(DROP_INS))? {
            layers.add_file(&drop_in)?;
        }
        Ok(layers)
    }

    /// Each file has to be sound by itself, so that an error names it and its line.
    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
        let wrong = |cause| ConfigError::Wrong { path: path.to_owned(), cause: Box::new(cause) };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        text.parse::<Config>().map_err(wrong)?;
        merge(&mut self.merged, toml::from_str(&text).map_err(wrong)?);
        for (key, line) in lines(&text).map_err(wrong)? {
            self.origins.insert(key, Origin::File { path: path.to_owned(), line });
        }
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Sets a value as an option of the command line says.
    pub fn set(
        &mut self,
        section: &str,
        key: &str,
        value: impl Into<Value>,
        option: &'static str,
    ) -> Result<(), ConfigError> {
        let table = Table::from_iter([(key.to_owned(), value.into())]);
        let layer = Table::from_iter([(section.to_owned(), Value::Table(table))]);
        let wrong = |cause| ConfigError::CommandLine { option, cause: Box::new(cause) };
        layer.clone().try_into::<Config>().map_err(wrong)?;
        merge(&mut self.merged, layer);
        self.origins.insert(vec![section.to_owned(), key.to_owned()], Origin::CommandLine(option));
        Ok(())
    }

    /// The files that were read, in their order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &[&str]) -> Origin {
        self.origins.get(&key.iter().map(|&name| name.to_owned()).collect::<Key>()).cloned().unwrap_or(Origin::Default)
    }

    /// What all of it says, and whether that can work.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let merged = |cause| ConfigError::Merged { cause: Box::new(cause) };
        let config: Config = self.merged.clone().try_into().map_err(merged)?;
        match config.never_active() {
            None => Ok(config),
            Some((app, sessions)) => Err(ConfigError::NeverActive {
                origin: self.origin(&["app", &app, "max_playback_sessions"]),
                app,
                sessions,
                decoders: config.box_.decoders,
                decoders_origin: self.origin(&["box", "decoders"]),
            }),
        }
    }

    /// Every value that holds, as a configuration file, with where each comes from.
    pub fn show(&self) -> String {
        // The documented file is a part of this program, and a test reads it.
        let mut whole = toml::from_str::<Table>(DOCUMENTED).unwrap_or_default();
        merge(&mut whole, self.merged.clone());
        let mut text = String::new();
        self.show_table(&mut text, &mut Vec::new(), &whole);
        text
    }

    /// A table's own values stand before its tables, or they would belong to these.
    fn show_table(&self, text: &mut String, name: &mut Key, table: &Table) {
        let has_values = table.values().any(|value| !value.is_table());
        if !name.is_empty() && (has_values || table.is_empty()) {
            let quoted: Vec<String> = name.iter().map(|part| quoted(part)).collect();
            let gap = if text.is_empty() { "" } else { "\n" };
            // A text takes everything.
            let _ = writeln!(text, "{gap}[{}]", quoted.join("."));
        }
        for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
            name.push(key.clone());
            let origin = self.origins.get(name).unwrap_or(&Origin::Default);
            let _ = writeln!(text, "{:<40} # {origin}", format!("{} = {}", quoted(key), written(key, value)));
            name.pop();
        }
        for (key, inner) in table.iter().filter_map(|(key, value)| Some((key, value.as_table()?))) {
            name.push(key.clone());
            self.show_table(text, name, inner);
            name.pop();
        }
    }
}

/// A directory that is not there holds none.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |cause: io::Error| ConfigError::Unreadable { path: directory.to_owned(), cause };
    let entries = match fs::read_dir(directory) {
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// The line of every key whose value is no table.
fn lines(text: &str) -> Result<Vec<(Key, usize)>, toml::de::Error> {
    let mut found = Vec::new();
    collect_lines(text, &mut Vec::new(), DeTable::parse(text)?.get_ref(), &mut found);
    Ok(found)
}

fn collect_lines(text: &str, name: &mut Key, table: &DeTable<'_>, found: &mut Vec<(Key, usize)>) {
    for (key, value) in table {
        name.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => collect_lines(text, name, inner, found),
            _ => {
                let before = text.get(..key.span().start).unwrap_or_default();
                found.push((name.clone(), before.matches('\n').count() + 1));
            }
        }
        name.pop();
    }
}

fn quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { Value::from(key).to_string() }
}

/// A mode is read as an octal number by people.
fn written(key: &str, value: &Value) -> String {
    match value {
        Value::Integer(mode) if key == "mode" => format!("0o{mode:o}"),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with a base file and drop-ins.
    fn files(base: &str, drop_ins: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("greenroom.toml");
        fs::write(&path, base).unwrap();
        fs::create_dir(place.path().join(DROP_INS)).unwrap();
        for (name, text) in drop_ins {
            fs::write(place.path().join(DROP_INS).join(name), text).unwrap();
        }
        (place, path)
    }

    /// Field failure 17
    #[test]
    fn a_later_file_wins_key_by_key_and_the_command_line_over_all() {
        let (_place, path) = files(
            "[box]\ndecoders = 2\n[session]\nready_timeout_ms = 500\nrestart = false\n[app.tv]\nvideo_sink = 'fake'",
            &[
                ("20-local.toml", "[session]\nready_timeout_ms = 900"),
                ("10-soc.toml", "[session]\nready_timeout_ms = 700\nrestart = true\n[app.tv]\naudio_sink = 'fake'"),
                ("README", "no configuration"),
            ],
        );
        let mut layers = Layers::load(Some(&path)).unwrap();
        layers.set("box", "decoders", 4, "--decoders").unwrap();
        let config = layers.config().unwrap();
        assert_eq!((config.box_.decoders, config.session.ready_timeout_ms, config.session.restart), (4, 900, true));
        assert_eq!(config.sinks("tv"), ("fake", "fake"));
        let names: Vec<_> = layers.files().iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["greenroom.toml", "10-soc.toml", "20-local.toml"]);
    }

    /// Field failure 17
    #[test]
    fn tables_are_joined_and_arrays_are_replaced() {
        let base = "[session]\ninherit_environment = ['PATH', 'HOME']\n[session.environment]\nA = 'base'\nB = 'base'";
        let local = "[session]\ninherit_environment = ['LANG']\n[session.environment]\nB = 'local'\nC = 'local'";
        let (_place, path) = files(base, &[("local.toml", local)]);
        let config = Layers::load(Some(&path)).unwrap().config().unwrap();
        assert_eq!(config.session.inherit_environment, ["LANG"]);
        let environment: Vec<_> = config.session.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(environment, [("A", "base"), ("B", "local"), ("C", "local")]);
    }

    #[test]
    fn a_wrong_drop_in_is_named_with_its_line_and_key() {
        let (_place, path) = files("[box]\ndecoders = 2", &[("90-typo.toml", "\n[box]\ndecodres = 3")]);
        let error = Layers::load(Some(&path)).unwrap_err().to_string();
        for word in ["greenroom.d/90-typo.toml", "line 3", "decodres"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_wrong_option_is_named() {
        let error = Layers::default().set("control", "socket", "relative", "--control").unwrap_err().to_string();
        assert!(error.contains("--control") && error.contains("starts with /"), "{error}");
    }

    #[test]
    fn what_holds_is_shown_with_where_it_comes_from_and_can_be_read_again() {
        let (_place, path) = files(
            "[box]\ndecoders = 2\n[socket]\nmode = 0o600",
            &[("local.toml", "[app.\"tv.one\"]\nmax_playback_sessions = 2\n[session.environment]\nA = \"b\"")],
        );
        let mut layers = Layers::load(Some(&path)).unwrap();
        layers.set("control", "socket", "/run/other.sock", "--control").unwrap();
        let shown = layers.show();
        let base = path.display();
        let local = path.with_file_name(DROP_INS).join("local.toml");
        for (value, origin) in [
            ("decoders = 2", format!("{base}:2")),
            ("mode = 0o600", format!("{base}:4")),
            ("mode = 0o660", "default".to_owned()),
            ("max_playback_sessions = 2", format!("{}:2", local.display())),
            ("A = \"b\"", format!("{}:4", local.display())),
            ("socket = \"/run/other.sock\"", "--control".to_owned()),
        ] {
            let line = |line: &str| line.starts_with(value) && line.ends_with(&format!("# {origin}"));
            assert!(shown.lines().any(line), "{value} of {origin} is not in\n{shown}");
        }
        assert!(shown.contains("[app.\"tv.one\"]"), "{shown}");
        let again: Config = shown.parse().unwrap();
        let Value::Table(levels) = toml::from_str::<Value>("default = 'milestone'").unwrap() else { panic!("a table") };
        let mut meant = layers.clone();
        merge(&mut meant.merged, Table::from_iter([("log".to_owned(), Value::Table(levels))]));
        assert_eq!(format!("{again:?}"), format!("{:?}", meant.config().unwrap()));
    }

    #[test]
    fn an_app_that_could_never_be_active_is_named_with_where_both_numbers_come_from() {
        let greedy = "[app.one]\nmax_playback_sessions = 1\n[app.two]\nmax_playback_sessions = 2";
        let (_place, path) = files(greedy, &[]);
        let mut layers = Layers::load(Some(&path)).unwrap();
        let error = layers.config().unwrap_err().to_string();
        for word in [&format!("{}:4", path.display()), "[app.two] max_playback_sessions", "[box] decoders", "default"] {
            assert!(error.contains(word), "{error}");
        }
        layers.set("box", "decoders", 2, "--decoders").unwrap();
        layers.config().unwrap();
    }

    #[test]
    fn a_base_file_that_cannot_be_read_is_not_passed_over() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        let error = Layers::load(Some(&place.path().join("file/greenroom.toml"))).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
        let missing = Layers::load(Some(&place.path().join("none.toml"))).unwrap_err().to_string();
        assert!(missing.contains("none.toml") && missing.contains("--config"), "{missing}");
    }
}
