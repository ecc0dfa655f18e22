//! A page as somebody sees it who looks at the screen.

use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_tests::barcode;
use greenroom_tests::chromium::Chromium;

use crate::Failure;

/// Far longer than a browser takes on a busy machine: only a hang gets here.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A screen, and whose it is.
pub(crate) struct Screen {
    /// What draws it.
    pub(crate) browser: Chromium,
    whose: &'static str,
    size: (u32, u32),
}

impl Screen {
    pub(crate) const fn new(browser: Chromium, whose: &'static str, size: (u32, u32)) -> Self {
        Self { browser, whose, size }
    }

    /// Waits until what a script asks is true of the page.
    pub(crate) fn shows(&self, what: &str, expression: &str) -> Result<(), Failure> {
        self.wait_for(what, || self.browser.is_true(expression).then_some(()))
    }

    /// The number of the picture that is on the screen, once there is one after that one.
    pub(crate) fn film_after(&self, number: Option<u16>) -> Result<u16, Failure> {
        self.wait_for("the film", || self.number().filter(|shown| Some(*shown) != number))
    }

    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if Instant::now() > end {
                let text = self.browser.run("return document.body.innerText", &[]);
                let (whose, seconds) = (self.whose, PATIENCE.as_secs());
                return Err(format!("{whose} does not show {what} within {seconds} s, but {text}").into());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    fn number(&self) -> Option<u16> {
        let picture = self.browser.screenshot(self.size);
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().ok()?;
        let mut pixels = vec![0; reader.output_buffer_size()?];
        let info = reader.next_frame(&mut pixels).ok()?;
        // Bars are black and white, so any of the colours says how bright they are.
        let luma: Vec<u8> = pixels.chunks_exact(info.color_type.samples()).map(|pixel| pixel[0]).collect();
        barcode::read(&luma, info.width as usize)
    }

    /// Writes what is on the screen.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        Ok(std::fs::write(path, self.browser.screenshot(self.size))?)
    }
}
