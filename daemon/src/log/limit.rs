//! Keeps the log readable and its size bounded whoever makes a process say the same thing again and again, or something
//! very long: a client that sends garbage must not fill a box's disk (SM-35).
//!
//! Lines are of one kind when they come from one place in the code. Of each kind a window of time takes so many; the
//! others are left out and counted, and the count is told with the first line after the window. Debugging lines are all
//! there: somebody asked for them.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Format;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(5);
/// Lines of one kind in a window: more than all apps of a box say when they start together.
const LINES_MAX: u32 = 100;
/// Bytes of one line, or of one text in a line of JSON. What is longer is cut.
const TEXT_BYTES_MAX: usize = 4096;

/// A place in the code that logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind<T> {
    target: T,
    line: u32,
}

/// What was left out of one kind.
type LeftOut = (Kind<String>, u64);

#[derive(Debug)]
struct Window {
    started_at: Instant,
    lines: u32,
    left_out: u64,
}

impl Window {
    const fn new(now: Instant) -> Self {
        Self { started_at: now, lines: 0, left_out: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.started_at) >= WINDOW
    }
}

/// How many lines there were of each kind. There are as many kinds as places in the code.
#[derive(Debug, Default)]
struct Kinds {
    /// By target, then by line: a kind that is known is found without a copy of its name, so that a line that is one of
    /// many takes nothing from the heap.
    windows: BTreeMap<String, BTreeMap<u32, Window>>,
    /// Whether any line was left out that was not told of.
    is_any_left_out: bool,
}

impl Kinds {
    /// Whether a line of this kind is written.
    fn admit(&mut self, now: Instant, kind: Kind<&str>) -> bool {
        let window = self.window(now, kind);
        if window.is_over(now) && window.left_out == 0 {
            *window = Window::new(now);
        }
        let is_admitted = window.lines < LINES_MAX;
        if is_admitted {
            window.lines += 1;
        } else {
            window.left_out = window.left_out.saturating_add(1);
            self.is_any_left_out = true;
        }
        is_admitted
    }

    fn window(&mut self, now: Instant, Kind { target, line }: Kind<&str>) -> &mut Window {
        if !self.windows.contains_key(target) {
            self.windows.insert(target.to_owned(), BTreeMap::new());
        }
        let lines = self.windows.get_mut(target).expect("it was there or has been put there");
        lines.entry(line).or_insert_with(|| Window::new(now))
    }

    /// What was left out in windows that are over.
    fn take_left_out(&mut self, now: Instant) -> Vec<LeftOut> {
        let mut left_out = Vec::new();
        if !self.is_any_left_out {
            return left_out;
        }
        self.is_any_left_out = false;
        for (target, lines) in &mut self.windows {
            for (&line, window) in lines.iter_mut().filter(|(_, window)| window.left_out > 0) {
                if window.is_over(now) {
                    let ended = std::mem::replace(window, Window::new(now));
                    left_out.push((Kind { target: target.clone(), line }, ended.left_out));
                } else {
                    self.is_any_left_out = true;
                }
            }
        }
        left_out
    }
}

/// Formats lines as another format does, but not too many and none too long.
#[derive(Debug)]
pub(super) struct Limited<F> {
    inner: F,
    format: Format,
    kinds: Mutex<Kinds>,
}

impl<F> Limited<F> {
    pub(super) fn new(inner: F, format: Format) -> Self {
        Self { inner, format, kinds: Mutex::default() }
    }

    /// Whether a line is written, and what is told of others before it.
    fn admit(&self, now: Instant, metadata: &Metadata<'_>) -> (bool, Vec<LeftOut>) {
        let kind = Kind { target: metadata.target(), line: metadata.line().unwrap_or_default() };
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = kinds.take_left_out(now);
        let is_wanted = *metadata.level() > Level::INFO;
        (is_wanted || kinds.admit(now, kind), left_out)
    }

    fn tell_left_out(&self, writer: &mut Writer<'_>, (kind, lines): &LeftOut) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let Kind { target, line } = kind;
        let message = format!("{lines} more line(s) such as the last of {target}, line {line}, were left out");
        match self.format {
            Format::Text => writeln!(writer, "{time}  WARN {}: {message}", module_path!()),
            Format::Json => {
                let target = module_path!();
                writeln!(
                    writer,
                    "{}",
                    json!({"timestamp": time, "level": "WARN", "message": message, "target": target})
                )
            }
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // What the core logs comes over a bridge, which keeps its place aside.
        let bridged = event.normalized_metadata();
        let metadata = bridged.as_ref().unwrap_or_else(|| event.metadata());
        let (is_written, left_out) = self.admit(Instant::now(), metadata);
        left_out.iter().try_for_each(|left_out| self.tell_left_out(&mut writer, left_out))?;
        if !is_written {
            return Ok(());
        }
        let mut line = LINE.take();
        line.clear();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let text = line.trim_end_matches('\n');
        let written = match self.format {
            Format::Text => writeln!(writer, "{}", one_line(text)),
            Format::Json => writeln!(writer, "{}", bounded_json(text)),
        };
        LINE.set(line);
        written
    }
}

thread_local! {
    /// Where a thread's next line is put together. Taken meanwhile, so that what logs while it is formatted has its own.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// A text that holds the end of a line could pass for several lines.
fn one_line(text: &str) -> Cow<'_, str> {
    let cut = cut(text);
    if cut.contains(['\n', '\r']) { Cow::Owned(cut.replace('\n', "\\n").replace('\r', "\\r")) } else { cut }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    Cow::Owned(format!("{kept}... ({} more bytes)", text.len() - kept.len()))
}

/// What stays JSON: its texts are cut, not itself.
fn bounded_json(line: &str) -> Cow<'_, str> {
    if line.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(line);
    }
    match serde_json::from_str::<Value>(line) {
        Ok(mut value) => {
            cut_texts(&mut value);
            Cow::Owned(value.to_string())
        }
        Err(_) => cut(line),
    }
}

fn cut_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = cut(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(cut_texts),
        Value::Object(fields) => fields.values_mut().for_each(cut_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const TARGET: &str = "greenroom_core::driver";

    fn kind(line: u32) -> Kind<&'static str> {
        Kind { target: TARGET, line }
    }

    /// SM-35
    #[test]
    fn of_one_kind_so_many_lines_are_written_and_the_others_counted() {
        let (mut kinds, start) = (Kinds::default(), Instant::now());
        let written = (0..10 * LINES_MAX).filter(|_| kinds.admit(start, kind(1))).count();
        assert_eq!(written, LINES_MAX as usize);
        assert!(kinds.admit(start, kind(2)), "another kind has a window of its own");
        assert_eq!(kinds.take_left_out(start), []);
        let later = start + WINDOW;
        assert_eq!(
            kinds.take_left_out(later),
            [(Kind { target: TARGET.to_owned(), line: 1 }, u64::from(9 * LINES_MAX))]
        );
        assert_eq!(kinds.take_left_out(later), [], "it is told once");
        assert!(kinds.admit(later, kind(1)));
    }

    #[test]
    fn what_is_said_now_and_then_is_always_written() {
        let (mut kinds, start) = (Kinds::default(), Instant::now());
        for turn in 0..10 * LINES_MAX {
            assert!(kinds.admit(start + turn * WINDOW / (LINES_MAX / 2), kind(1)));
        }
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged in this format while `act` runs.
    fn logged(format: Format, act: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = super::super::lines(format, move || writer.clone());
        tracing::subscriber::with_default(Registry::default().with(lines), act);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Field failure 63
    #[test]
    fn a_very_long_line_is_cut_and_says_so() {
        let long = "ä".repeat(100_000);
        let text = logged(Format::Text, || tracing::warn!("{long}"));
        assert!(text.len() < TEXT_BYTES_MAX + 100 && text.ends_with("more bytes)\n"), "{} bytes", text.len());
        let text = logged(Format::Json, || tracing::warn!(long, "{long}"));
        assert!(text.len() < 3 * TEXT_BYTES_MAX, "{} bytes", text.len());
        let line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["message"].as_str().unwrap().ends_with("more bytes)"));
    }

    #[test]
    fn a_text_with_several_lines_stays_one_line() {
        let text = logged(Format::Text, || tracing::warn!("one\nINFO greenroomd: two"));
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    /// SM-35
    #[test]
    fn a_storm_of_lines_is_bounded_and_debugging_is_not() {
        let text = logged(Format::Text, || (0..1_000).for_each(|_| tracing::warn!("garbage")));
        assert_eq!(text.lines().count(), LINES_MAX as usize);
        let text = logged(Format::Text, || (0..1_000).for_each(|_| tracing::debug!("detail")));
        assert_eq!(text.lines().count(), 1_000);
    }
}
