//! Where lifelines stand, and how long lines of text are.

use super::{Diagram, Item, Kind, Step};

/// How wide things are, in whatever unit the renderer has.
pub(super) struct Measure<'a> {
    /// Width of one line of text.
    pub(super) text: &'a dyn Fn(&str) -> f64,
    /// Width of the head of a participant.
    pub(super) head: &'a dyn Fn(&str) -> f64,
    /// Between two heads, at least.
    pub(super) gap: f64,
    /// What an arrow needs beside its text.
    pub(super) arrow: f64,
    /// A text that is not wider stays on one line; one that is gets lines of three quarters of it.
    pub(super) line: f64,
    /// The same for what somebody does alone, where a second line costs no room.
    pub(super) own: f64,
}

impl Measure<'_> {
    /// Breaks a text into lines that are not too wide, at blanks; a word that is too long gets a line of its own.
    pub(super) fn wrap(&self, text: &str) -> Vec<String> {
        self.wrap_to(text, self.line)
    }

    /// The text of a step.
    pub(super) fn step(&self, step: &Step) -> Vec<String> {
        self.wrap_to(&step.what, if step.from == step.to { self.own } else { self.line })
    }

    fn wrap_to(&self, text: &str, line: f64) -> Vec<String> {
        let width = if (self.text)(&printable(text)) <= line { line } else { line * 0.75 };
        let mut lines: Vec<String> = vec![String::new()];
        for word in printable(text).split_whitespace() {
            let last = lines.last_mut().expect("it starts with one");
            let longer = if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
            if last.is_empty() || (self.text)(&longer) <= width {
                *last = longer;
            } else {
                lines.push(word.to_owned());
            }
        }
        lines
    }

    pub(super) fn widest(&self, lines: &[String]) -> f64 {
        lines.iter().map(|line| (self.text)(line)).fold(0.0, f64::max)
    }

    /// The middle of each lifeline, and how far the drawing goes to the right.
    pub(super) fn columns(&self, diagram: &Diagram) -> (Vec<f64>, f64) {
        let heads: Vec<f64> = diagram.names.iter().map(|name| (self.head)(&printable(name))).collect();
        let needs = self.needs(diagram, &heads);
        let mut middles: Vec<f64> = Vec::new();
        for (right, head) in heads.iter().enumerate() {
            let least = head / 2.0;
            let pushed = middles.iter().enumerate().map(|(left, middle)| middle + needs[left][right]);
            middles.push(pushed.fold(least, f64::max));
        }
        let last = middles.last().copied().unwrap_or_default();
        let head = heads.last().copied().unwrap_or_default();
        (middles, last + f64::max(head / 2.0, self.beside_the_last(diagram)))
    }

    /// For each pair how far they must be from each other at least.
    fn needs(&self, diagram: &Diagram, heads: &[f64]) -> Vec<Vec<f64>> {
        let count = heads.len();
        let mut needs = vec![vec![0.0; count]; count];
        for right in 1..count {
            needs[right - 1][right] = (heads[right - 1] + heads[right]) / 2.0 + self.gap;
        }
        for step in diagram.iter() {
            let text = self.widest(&self.step(step));
            let (left, right) = (step.from.0.min(step.to.0), step.from.0.max(step.to.0));
            let is_own = left == right;
            let Some(need) = needs.get_mut(left).and_then(|row| row.get_mut(if is_own { right + 1 } else { right }))
            else {
                continue;
            };
            let head = if step.kind == Kind::Creation { heads[step.to.0] / 2.0 } else { 0.0 };
            *need = f64::max(*need, text + self.arrow + head);
        }
        needs
    }

    /// What the last participant does by itself stands to its right.
    fn beside_the_last(&self, diagram: &Diagram) -> f64 {
        let is_last = |step: &&Step| step.from == step.to && step.to.0 + 1 == diagram.count();
        let texts = diagram.iter().filter(is_last).map(|step| self.widest(&self.step(step)) + self.arrow);
        texts.fold(0.0, f64::max)
    }
}

/// What cannot be printed is shown by its number; nothing of it reaches a terminal or a file's syntax.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' {
            printable.push(' ');
        } else if c.is_control() || is_invisible(c) {
            printable.extend(c.escape_unicode());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// What changes the direction of the text around it, or has no width: XML has no place for some, and none is to be drawn.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// How deep frames lie in each other, at most.
pub(super) fn depth(diagram: &Diagram) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for item in diagram.items() {
        match item {
            Item::Open { .. } => depth += 1,
            Item::Close => depth = depth.saturating_sub(1),
            Item::Step(_) | Item::Note { .. } | Item::Reference { .. } | Item::Otherwise { .. } => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
