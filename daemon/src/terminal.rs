//! The terminal: keys without waiting for a line, the whole screen, and back to how it was on every way out.
//!
//! Signals are the program's own matter: it takes those that would end it, and so leaves by its normal way.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// How the terminal was, for whoever is the last to leave: the owner, or the panic hook.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static IS_FULL_SCREEN: AtomicBool = AtomicBool::new(false);

/// The other screen, without a cursor; and back, with one.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// The terminal gives single keys, without showing them, while this lives.
#[derive(Debug)]
pub(crate) struct KeyMode;

impl KeyMode {
    /// Takes the terminal on standard input, if there is one.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        *BEFORE.lock().ok()? = Some(before);
        restore_on_panic();
        tcsetattr(&stdin, OptionalActions::Now, &keys).ok()?;
        Some(Self)
    }
}

impl Drop for KeyMode {
    fn drop(&mut self) {
        restore();
    }
}

/// The whole terminal is ours to draw on while this lives.
#[derive(Debug)]
pub(crate) struct FullScreen {
    /// Without a terminal on standard input there are no keys, but there is a screen.
    keys: Option<KeyMode>,
}

impl FullScreen {
    /// Takes the terminal on standard output.
    pub(crate) fn enter() -> std::io::Result<Self> {
        let keys = KeyMode::enter();
        if keys.is_none() {
            restore_on_panic();
        }
        IS_FULL_SCREEN.store(true, Ordering::SeqCst);
        // From here on dropping it puts things back.
        let screen = Self { keys };
        write_at_once(ENTER)?;
        Ok(screen)
    }

    /// Whether keys can be read.
    pub(crate) const fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Shows these lines instead of what is there, as many as there is room for.
    pub(crate) fn draw(&mut self, lines: &[String]) -> std::io::Result<()> {
        let (columns, rows) = size();
        let shown = lines.iter().take(rows).map(|line| line.chars().take(columns).collect::<String>());
        let text = shown.map(|line| line + "\x1b[K").collect::<Vec<_>>().join("\r\n");
        write_at_once(format!("\x1b[H{text}\x1b[J").as_bytes())
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        restore();
    }
}

/// Columns and rows; what no terminal says is what terminals once were.
fn size() -> (usize, usize) {
    let said = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let said = said.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    said.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

fn write_at_once(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// A panic may end the process without unwinding.
fn restore_on_panic() {
    let next = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        next(panic);
    }));
}

fn restore() {
    if IS_FULL_SCREEN.swap(false, Ordering::SeqCst) {
        // A terminal that has gone needs nothing.
        let _ = write_at_once(LEAVE);
    }
    let before = BEFORE.lock().ok().and_then(|mut before| before.take());
    if let Some(before) = before {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}
