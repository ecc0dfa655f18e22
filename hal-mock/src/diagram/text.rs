//! Drawn with characters.

use super::layout::{Measure, depth, printable};
use super::{Diagram, Item, Kind, Lifeline, Step, Times};

/// Columns of the number and the time of a step.
const GUTTER: usize = 16;
/// Columns of a frame's border and the blank beside it.
const BORDER: usize = 2;
/// The longest line of a text.
const LINE: usize = 44;
/// The same for what somebody does alone.
const OWN: usize = 36;
/// What a box around text needs beside it.
const BOX: usize = 4;

impl Diagram {
    /// The diagram in characters, as wide as it must be; each line ends with a newline.
    pub fn to_text(&self) -> String {
        let mut page = Page::new(self);
        page.heads();
        self.items().for_each(|item| page.item(item));
        page.blank();
        page.print(&self.title)
    }
}

struct Page<'a> {
    diagram: &'a Diagram,
    rows: Vec<Vec<char>>,
    middles: Vec<usize>,
    width: usize,
    alive: Vec<bool>,
    open: usize,
    steps: usize,
    times: Times,
}

impl<'a> Page<'a> {
    fn new(diagram: &'a Diagram) -> Self {
        let margin = BORDER * depth(diagram);
        let (middles, width) = measured(|measure| measure.columns(diagram));
        let middles: Vec<usize> = middles.iter().map(|middle| GUTTER + margin + *middle as usize).collect();
        let mut page = Self {
            diagram,
            rows: Vec::new(),
            middles,
            width: GUTTER + margin + width as usize + 1,
            alive: diagram.created().iter().map(|created| !created).collect(),
            open: 0,
            steps: 0,
            times: Times::new(),
        };
        page.width = page.right_of_boxes().max(page.width) + margin;
        page
    }

    fn right_of_boxes(&self) -> usize {
        let right = |item: &Item| match item {
            Item::Note { from, to, text } | Item::Reference { from, to, text } => {
                self.box_over(*from, *to, &wrap(text)).1 + 1
            }
            Item::Open { label, .. } | Item::Otherwise { label } => GUTTER + printable(label).chars().count() + 16,
            Item::Step(_) | Item::Close => 0,
        };
        self.diagram.items.iter().map(right).max().unwrap_or_default()
    }

    /// A row in which nothing happens: the lifelines of those that are there, and the sides of open frames.
    fn blank(&mut self) -> usize {
        let mut row = vec![' '; self.width];
        for (middle, alive) in self.middles.iter().zip(&self.alive) {
            row[*middle] = if *alive { '│' } else { ' ' };
        }
        for level in 0..self.open {
            let (left, right) = self.sides(level);
            row[left] = '┊';
            row[right] = '┊';
        }
        self.rows.push(row);
        self.rows.len() - 1
    }

    const fn sides(&self, level: usize) -> (usize, usize) {
        (GUTTER + BORDER * level, self.width - 1 - BORDER * level)
    }

    fn put(&mut self, row: usize, column: usize, text: &str) {
        for (place, c) in self.rows[row].iter_mut().skip(column).zip(text.chars()) {
            *place = c;
        }
    }

    fn heads(&mut self) {
        let there: Vec<usize> = (0..self.alive.len()).filter(|place| self.alive[*place]).collect();
        self.alive.fill(false);
        let top = self.blank();
        self.blank();
        self.blank();
        for place in there {
            self.head(top, Lifeline(place));
            self.alive[place] = true;
        }
    }

    /// The head of a participant, in three rows; gives its first and last column.
    fn head(&mut self, top: usize, lifeline: Lifeline) -> (usize, usize) {
        let name = printable(self.diagram.name(lifeline));
        let middle = self.middles[lifeline.0];
        let width = name.chars().count();
        let left = middle - (width + 2) / 2;
        self.frame(top, (left, left + width + 1), &[name], ["┌─┐", "│ │", "└─┘"]);
        self.put(top + 2, middle, "┬");
        (left, left + width + 1)
    }

    /// A box with text in it.
    fn frame(&mut self, top: usize, (left, right): (usize, usize), lines: &[String], corners: [&str; 3]) {
        let border = |pattern: &str| {
            let mut pattern = pattern.chars();
            let mut next = || pattern.next().unwrap_or(' ');
            let (first, middle, last) = (next(), next(), next());
            let inner = right.saturating_sub(left + 1);
            [first.to_string(), String::from_iter(std::iter::repeat_n(middle, inner)), last.to_string()].concat()
        };
        self.put(top, left, &border(corners[0]));
        for (index, line) in lines.iter().enumerate() {
            self.put(top + 1 + index, left, &border(corners[1]));
            let blanks = right.saturating_sub(left + 1 + line.chars().count());
            self.put(top + 1 + index, left + 1 + blanks / 2, line);
        }
        self.put(top + 1 + lines.len(), left, &border(corners[2]));
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Step(step) => self.step(step),
            Item::Note { from, to, text } => {
                self.boxed(*from, *to, &wrap(text), ["╭┄╮", "┊ ┊", "╰┄╯"]);
            }
            Item::Reference { from, to, text } => {
                let (top, left) = self.boxed(*from, *to, &wrap(text), ["╔═╗", "║ ║", "╚═╝"]);
                self.put(top, left + 2, " ref ");
            }
            Item::Open { frame, label } => {
                self.open += 1;
                self.rule(["┌", "─", "┐"], &format!("{}: {}", frame.keyword(), printable(label)));
            }
            Item::Otherwise { label } => self.rule(["├", "╌", "┤"], &format!("else: {}", printable(label))),
            Item::Close => {
                self.rule(["└", "─", "┘"], "");
                self.open = self.open.saturating_sub(1);
            }
        }
    }

    /// The border of the innermost frame.
    fn rule(&mut self, [first, middle, last]: [&str; 3], label: &str) {
        let row = self.blank();
        let (left, right) = self.sides(self.open.saturating_sub(1));
        self.put(row, left, &format!("{first}{}{last}", middle.repeat(right - left - 1)));
        if !label.is_empty() {
            self.put(row, left + 2, &format!(" {label} "));
        }
    }

    fn box_over(&self, from: Lifeline, to: Lifeline, lines: &[String]) -> (usize, usize) {
        let text = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default() + BOX;
        let (first, last) = (self.middles[from.0], self.middles[to.0]);
        if from == to {
            return (first - 2, first - 3 + text);
        }
        let missing = text.saturating_sub(last - first + 5);
        let left = first.saturating_sub(2 + missing / 2).max(GUTTER + 1);
        (left, (last + 2).max(left + text - 1))
    }

    /// Text in a box over lifelines; gives the place of its corner.
    fn boxed(&mut self, from: Lifeline, to: Lifeline, lines: &[String], corners: [&str; 3]) -> (usize, usize) {
        let sides = self.box_over(from, to, lines);
        let top = self.blank();
        for _ in 0..=lines.len() {
            self.blank();
        }
        self.frame(top, sides, lines, corners);
        (top, sides.0)
    }

    fn step(&mut self, step: &Step) {
        self.steps += 1;
        let lines = measured(|measure| measure.step(step));
        let first = self.rows.len();
        match (step.kind, step.from == step.to) {
            (Kind::Creation, false) => self.creation(step, &lines),
            (_, true) => self.own(step, &lines),
            (_, false) => self.across(step, &lines),
        }
        self.number(first, step);
    }

    fn number(&mut self, row: usize, step: &Step) {
        let time = self.times.news(step.at).unwrap_or_default();
        let gutter = format!("{:>3} {time:>10}", self.steps);
        self.put(row, 0, &gutter);
    }

    fn across(&mut self, step: &Step, lines: &[String]) {
        let row = self.arrow(step, lines, self.middles[step.to.0]);
        if step.kind == Kind::End {
            self.put(row, self.middles[step.to.0], "╳");
            self.alive[step.to.0] = false;
        }
    }

    /// An arrow from the middle of a lifeline to a column, its text above and on it; gives its row.
    fn arrow(&mut self, step: &Step, lines: &[String], target: usize) -> usize {
        let source = self.middles[step.from.0];
        let left = source.min(target);
        let (last, above) = lines.split_last().expect("a text has a line");
        for line in above {
            let row = self.blank();
            self.put(row, left + 3, line);
        }
        let row = self.blank();
        self.shaft(row, step, source, target);
        let column = if source < target { left + 2 } else { left + 3 };
        if !last.is_empty() {
            self.put(row, column, &format!(" {last} "));
        }
        row
    }

    fn shaft(&mut self, row: usize, step: &Step, source: usize, target: usize) {
        let line = if step.kind == Kind::Answer { '╌' } else { '─' };
        let is_open = step.kind == Kind::Notification;
        for column in source.min(target) + 1..source.max(target) {
            let is_crossed = self.rows[row][column] == '│';
            self.rows[row][column] = if is_crossed { '┼' } else { line };
        }
        let (start, end, head) = match (source < target, is_open) {
            (true, false) => ("├", target - 1, "▶"),
            (true, true) => ("├", target - 1, "▷"),
            (false, false) => ("┤", target + 1, "◀"),
            (false, true) => ("┤", target + 1, "◁"),
        };
        self.put(row, source, start);
        self.put(row, end, head);
    }

    fn creation(&mut self, step: &Step, lines: &[String]) {
        self.alive[step.to.0] = false;
        for line in lines.iter().rev().skip(1).rev() {
            let row = self.blank();
            self.put(row, self.middles[step.from.0] + 3, line);
        }
        let top = self.blank();
        self.blank();
        self.blank();
        let (left, right) = self.head(top, step.to);
        let source = self.middles[step.from.0];
        let target = if source < left { left } else { right };
        self.shaft(top + 1, step, source, target);
        let last = lines.last().map_or("", String::as_str);
        if !last.is_empty() {
            self.put(top + 1, source.min(target) + 2, &format!(" {last} "));
        }
        self.alive[step.to.0] = true;
    }

    /// What somebody does alone, in two rows at least.
    fn own(&mut self, step: &Step, lines: &[String]) {
        let column = self.middles[step.to.0];
        let rows = lines.len().max(2);
        for index in 0..rows {
            let row = self.blank();
            let hook = match index {
                0 => "├─╮ ",
                index if index + 1 == rows => "│◀╯ ",
                _ => "│ │ ",
            };
            let line = lines.get(index).map_or("", String::as_str);
            self.put(row, column, &format!("{hook}{line}"));
        }
        if step.kind == Kind::End {
            let row = self.rows.len() - 1;
            self.put(row, column, "╳");
            self.alive[step.to.0] = false;
        }
    }

    fn print(self, title: &str) -> String {
        let title = printable(title);
        let mut printed = format!("{title}\n{}\n\n", "═".repeat(title.chars().count()));
        for row in self.rows {
            printed.push_str(String::from_iter(row).trim_end());
            printed.push('\n');
        }
        printed
    }
}

fn measured<R>(work: impl FnOnce(&Measure<'_>) -> R) -> R {
    let text = |line: &str| line.chars().count() as f64;
    let head = |name: &str| (name.chars().count() + 2) as f64;
    work(&Measure { text: &text, head: &head, gap: 3.0, arrow: 6.0, line: LINE as f64, own: OWN as f64 })
}

fn wrap(text: &str) -> Vec<String> {
    measured(|measure| measure.wrap(text))
}
