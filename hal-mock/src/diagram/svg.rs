//! Drawn for a report.

use super::layout::{Measure, depth, printable};
use super::{Diagram, Item, Kind, Lifeline, Step, Times};

/// Around everything.
const MARGIN: f64 = 24.0;
/// The column of the times.
const TIMES: f64 = 72.0;
/// Between the sides of two frames, one in the other.
const BORDER: f64 = 12.0;
/// From line to line of a text.
const LINE: f64 = 16.0;
/// The head of a participant.
const HEAD: f64 = 34.0;
/// The longest line of a text.
const TEXT: f64 = 310.0;
/// The same for what somebody does alone.
const OWN: f64 = 230.0;
/// How far what somebody does alone goes to the right.
const LOOP: f64 = 26.0;
/// Half the mark of an end.
const CROSS: f64 = 7.0;
/// Size of the text in the drawing, in pixels as all lengths here.
const FONT: f64 = 12.5;

const STYLE: &str = "\
text { font-family: 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif; fill: #1c2733 }
.title { font-size: 18px; font-weight: 700 }
.name { font-size: 13px; font-weight: 700; text-anchor: middle; fill: #17365f }
.what { font-size: 12.5px; paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round }
.middle { text-anchor: middle }
.time { font-size: 11.5px; text-anchor: end; fill: #55616e }
.number { font-size: 10px; font-weight: 700; text-anchor: middle; fill: #fff }
.badge { fill: #2f5d9b }
.head { fill: #e9f0fa; stroke: #2f5d9b; stroke-width: 1.3 }
.life { stroke: #8c99a8; stroke-width: 1.2; stroke-dasharray: 5 4 }
.shaft { stroke: #1c2733; stroke-width: 1.4; fill: none }
.answer { stroke-dasharray: 6 4 }
.point { fill: #1c2733 }
.cross { stroke: #b3261e; stroke-width: 2.4; stroke-linecap: round }
.frame { fill: none; stroke: #5b6b7d; stroke-width: 1.2 }
.else { stroke: #5b6b7d; stroke-width: 1.2; stroke-dasharray: 7 4 }
.tab { fill: #eceff3; stroke: #5b6b7d; stroke-width: 1.2 }
.keyword { font-size: 12px; font-weight: 700 }
.label { font-size: 12.5px; font-weight: 700; paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round }
.note { fill: #fff8dc; stroke: #b9a03c; stroke-width: 1.1 }
.reference { fill: #fff; stroke: #5b6b7d; stroke-width: 1.2 }
";

impl Diagram {
    /// The diagram as a picture, dark on white.
    pub fn to_svg(&self) -> String {
        let mut canvas = Canvas::new(self);
        canvas.start();
        self.items().for_each(|item| canvas.item(item));
        canvas.finish()
    }
}

/// An open frame, whose bottom is not known yet.
struct Opened {
    top: f64,
    keyword: &'static str,
    label: String,
    others: Vec<(f64, String)>,
}

struct Canvas<'a> {
    diagram: &'a Diagram,
    middles: Vec<f64>,
    width: f64,
    /// How far down it is drawn.
    y: f64,
    /// Since when lifelines are there.
    alive: Vec<Option<f64>>,
    opened: Vec<Opened>,
    steps: usize,
    times: Times,
    /// Lifelines lie behind all else.
    back: String,
    front: String,
}

impl<'a> Canvas<'a> {
    fn new(diagram: &'a Diagram) -> Self {
        let margin = BORDER * depth(diagram) as f64;
        let left = MARGIN + TIMES + margin + 8.0;
        let (middles, right) = measured(|measure| measure.columns(diagram));
        let mut canvas = Self {
            diagram,
            middles: middles.iter().map(|middle| left + middle).collect(),
            width: 0.0,
            y: MARGIN,
            alive: vec![None; diagram.count()],
            opened: Vec::new(),
            steps: 0,
            times: Times::new(),
            back: String::new(),
            front: String::new(),
        };
        let boxes = canvas.right_of_boxes();
        canvas.width = f64::max(left + right, boxes) + margin + 8.0 + MARGIN;
        canvas
    }

    fn right_of_boxes(&self) -> f64 {
        let right = |item: &Item| match item {
            Item::Note { from, to, text } | Item::Reference { from, to, text } => {
                self.box_over(*from, *to, &wrap(text)).1
            }
            Item::Open { label, .. } | Item::Otherwise { label } => {
                MARGIN + TIMES + 90.0 + width(&printable(label)) * 1.1
            }
            Item::Step(_) | Item::Close => 0.0,
        };
        let title = MARGIN + width(&printable(&self.diagram.title)) * 1.6;
        self.diagram.items.iter().map(right).fold(title, f64::max)
    }

    fn start(&mut self) {
        if !self.diagram.title.is_empty() {
            let title = escape(&self.diagram.title);
            self.front += &format!("<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{title}</text>\n", self.y + 16.0);
            self.y += 40.0;
        }
        for (place, created) in self.diagram.created().iter().enumerate() {
            if !created {
                self.head(self.y, Lifeline(place));
            }
        }
        self.y += HEAD + 6.0;
    }

    /// The head of a participant, and its lifeline from there on.
    fn head(&mut self, top: f64, lifeline: Lifeline) {
        self.end_lifeline(lifeline, top);
        self.draw_head(top, lifeline);
        self.alive[lifeline.0] = Some(top + HEAD);
    }

    fn draw_head(&mut self, top: f64, lifeline: Lifeline) {
        let (x, name) = (self.middles[lifeline.0], self.diagram.name(lifeline));
        let width = head_width(&printable(name));
        self.front += &format!(
            "<rect class=\"head\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEAD}\" rx=\"6\"/>\n\
             <text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
            x - width / 2.0,
            top + HEAD / 2.0 + 4.5,
            escape(name)
        );
    }

    fn end_lifeline(&mut self, lifeline: Lifeline, bottom: f64) {
        let Some(top) = self.alive[lifeline.0].take() else { return };
        let x = self.middles[lifeline.0];
        self.back +=
            &format!("<line class=\"life\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n");
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Step(step) => self.step(step),
            Item::Note { from, to, text } => self.note(*from, *to, text),
            Item::Reference { from, to, text } => self.reference(*from, *to, text),
            Item::Open { frame, label } => {
                self.y += 12.0;
                let opened = Opened { top: self.y, keyword: frame.keyword(), label: label.clone(), others: Vec::new() };
                self.opened.push(opened);
                self.y += 26.0;
            }
            Item::Otherwise { label } => {
                self.y += 12.0;
                let y = self.y;
                self.opened.last_mut().expect("a frame is open").others.push((y, label.clone()));
                self.y += 20.0;
            }
            Item::Close => self.close(),
        }
    }

    fn close(&mut self) {
        self.y += 14.0;
        let opened = self.opened.pop().expect("a frame is open");
        let level = self.opened.len() as f64;
        let (left, right) = (MARGIN + TIMES + BORDER * level, self.width - MARGIN - BORDER * level);
        let Opened { top, keyword, label, others } = opened;
        self.front += &format!(
            "<rect class=\"frame\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"3\"/>\n",
            right - left,
            self.y - top
        );
        self.tab((left, top), keyword, &format!("[{label}]"));
        for (y, label) in others {
            self.front += &format!(
                "<line class=\"else\" x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>\n\
                 <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">[{}]</text>\n",
                left + 10.0,
                y + 16.0,
                escape(&label)
            );
        }
        self.y += 6.0;
    }

    /// The name of a frame in its corner.
    fn tab(&mut self, (left, top): (f64, f64), keyword: &str, label: &str) {
        let width = width(keyword) + 24.0;
        self.front += &format!(
            "<path class=\"tab\" d=\"M{left:.1} {top:.1}h{width:.1}v12l-8 8h-{:.1}z\"/>\n\
             <text class=\"keyword\" x=\"{:.1}\" y=\"{:.1}\">{keyword}</text>\n\
             <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            width - 8.0,
            left + 8.0,
            top + 14.5,
            left + width + 8.0,
            top + 15.0,
            escape(label)
        );
    }

    fn box_over(&self, from: Lifeline, to: Lifeline, lines: &[String]) -> (f64, f64) {
        let text = lines.iter().map(|line| width(line)).fold(0.0, f64::max) + 28.0;
        let (first, last) = (self.middles[from.0], self.middles[to.0]);
        if from == to {
            return (first + 10.0, first + 10.0 + text);
        }
        let missing = f64::max(0.0, text - (last - first + 60.0));
        let left = f64::max(MARGIN + TIMES + 4.0, first - 30.0 - missing / 2.0);
        (left, f64::max(last + 30.0, left + text))
    }

    fn note(&mut self, from: Lifeline, to: Lifeline, text: &str) {
        let lines = wrap(text);
        let (left, right) = self.box_over(from, to, &lines);
        self.y += 10.0;
        let (top, height) = (self.y, LINE * lines.len() as f64 + 12.0);
        self.front += &format!(
            "<path class=\"note\" d=\"M{left:.1} {top:.1}H{:.1}l9 9V{:.1}H{left:.1}zm{:.1} 0v9h9\"/>\n",
            right - 9.0,
            top + height,
            right - 9.0 - left
        );
        self.lines(&lines, (left + right) / 2.0, top + 18.0, "what middle");
        self.y += height + 4.0;
    }

    fn reference(&mut self, from: Lifeline, to: Lifeline, text: &str) {
        let lines = wrap(text);
        let (left, right) = self.box_over(from, to, &lines);
        self.y += 12.0;
        let (top, height) = (self.y, LINE * lines.len() as f64 + 34.0);
        self.front += &format!(
            "<rect class=\"reference\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"3\"/>\n",
            right - left
        );
        self.tab((left, top), "ref", "");
        self.lines(&lines, (left + right) / 2.0, top + 36.0, "what middle");
        self.y += height + 6.0;
    }

    fn lines(&mut self, lines: &[String], x: f64, first: f64, class: &str) {
        for (index, line) in lines.iter().enumerate() {
            let y = first + LINE * index as f64;
            self.front += &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escape(line));
        }
    }

    fn step(&mut self, step: &Step) {
        self.steps += 1;
        let lines = measured(|measure| measure.step(step));
        let y = match (step.kind, step.from == step.to) {
            (Kind::Creation, false) => self.creation(step, &lines),
            (_, true) => self.own(step, &lines),
            (_, false) => self.across(step, &lines),
        };
        self.badge(step.from, y);
        if let Some(time) = self.times.news(step.at) {
            let x = MARGIN + TIMES - 12.0;
            self.front += &format!("<text class=\"time\" x=\"{x}\" y=\"{:.1}\">{time}</text>\n", y + 4.0);
        }
    }

    fn badge(&mut self, from: Lifeline, y: f64) {
        let (x, number) = (self.middles[from.0], self.steps);
        let width = if number < 100 { 18.0 } else { 26.0 };
        self.front += &format!(
            "<rect class=\"badge\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width}\" height=\"18\" rx=\"9\"/>\n\
             <text class=\"number\" x=\"{x:.1}\" y=\"{:.1}\">{number}</text>\n",
            x - width / 2.0,
            y - 9.0,
            y + 3.5
        );
    }

    fn across(&mut self, step: &Step, lines: &[String]) -> f64 {
        let (source, middle) = (self.middles[step.from.0], self.middles[step.to.0]);
        // An arrow that ends somebody ends before the mark of the end.
        let mark = if step.kind == Kind::End { CROSS + 2.0 } else { 0.0 };
        let target = if source < middle { middle - mark } else { middle + mark };
        self.y += 6.0;
        let y = self.arrow(step, lines, target);
        if step.kind == Kind::End {
            self.cross(step.to, y);
        }
        self.y += 8.0;
        y
    }

    fn arrow(&mut self, step: &Step, lines: &[String], target: f64) -> f64 {
        let source = self.middles[step.from.0];
        let first = self.y + LINE - 2.0;
        self.y += LINE * lines.len() as f64 + 6.0;
        self.lines(lines, (source + target) / 2.0, first, "what middle");
        let class = if step.kind == Kind::Answer { "shaft answer" } else { "shaft" };
        let y = self.y;
        let end = if source < target { target - 1.0 } else { target + 1.0 };
        self.front +=
            &format!("<line class=\"{class}\" x1=\"{source:.1}\" y1=\"{y:.1}\" x2=\"{end:.1}\" y2=\"{y:.1}\"/>\n");
        self.point(step.kind, (end, y), source < target);
        y
    }

    fn point(&mut self, kind: Kind, (x, y): (f64, f64), is_rightward: bool) {
        let back = if is_rightward { x - 10.0 } else { x + 10.0 };
        let (upper, lower) = (y - 4.6, y + 4.6);
        self.front += &if kind == Kind::Notification {
            format!("<path class=\"shaft\" d=\"M{back:.1} {upper:.1}L{x:.1} {y:.1}L{back:.1} {lower:.1}\"/>\n")
        } else {
            format!("<path class=\"point\" d=\"M{x:.1} {y:.1}L{back:.1} {upper:.1}V{lower:.1}z\"/>\n")
        };
    }

    fn creation(&mut self, step: &Step, lines: &[String]) -> f64 {
        let text = LINE * lines.len() as f64 + 6.0;
        self.y += 8.0 + f64::max(0.0, HEAD / 2.0 - text);
        let half = head_width(&printable(self.diagram.name(step.to))) / 2.0;
        let (source, middle) = (self.middles[step.from.0], self.middles[step.to.0]);
        let target = if source < middle { middle - half } else { middle + half };
        let y = self.arrow(step, lines, target);
        self.head(y - HEAD / 2.0, step.to);
        self.y = y + HEAD / 2.0 + 4.0;
        y
    }

    fn own(&mut self, step: &Step, lines: &[String]) -> f64 {
        let x = self.middles[step.to.0];
        let height = LINE * lines.len() as f64;
        self.y += 14.0 + f64::max(0.0, (height - LINE) / 2.0);
        let (top, bottom) = (self.y + 4.0, self.y + 20.0);
        self.front +=
            &format!("<path class=\"shaft\" d=\"M{x:.1} {top:.1}h{}a8 8 0 0 1 0 16H{:.1}\"/>\n", LOOP - 8.0, x + 8.0);
        self.point(step.kind, (x + 1.0, bottom), false);
        self.lines(lines, x + LOOP + 8.0, (top + bottom) / 2.0 + 4.5 - (height - LINE) / 2.0, "what");
        self.y = bottom + f64::max(0.0, (height - LINE) / 2.0);
        if step.kind == Kind::End {
            self.y += 18.0;
            self.cross(step.to, self.y);
        }
        self.y += 6.0;
        top
    }

    /// The end of a lifeline.
    fn cross(&mut self, lifeline: Lifeline, y: f64) {
        let x = self.middles[lifeline.0];
        self.end_lifeline(lifeline, y);
        self.front += &format!("<path class=\"cross\" d=\"M{:.1} {:.1}l14 14m0 -14l-14 14\"/>\n", x - CROSS, y - CROSS);
        self.y += 6.0;
    }

    fn finish(mut self) -> String {
        self.y += 18.0;
        let foot = self.y;
        for place in 0..self.middles.len() {
            if self.alive[place].is_some() {
                self.end_lifeline(Lifeline(place), foot);
                self.draw_head(foot, Lifeline(place));
            }
        }
        let (width, height) = (self.width.ceil(), (foot + HEAD + MARGIN).ceil());
        let Self { back, front, diagram, .. } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{back}{front}</svg>\n",
            escape(&diagram.title)
        )
    }
}

/// An estimate on the safe side: which font is there is not known. In ems it follows Helvetica and its kin.
fn width(text: &str) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '|' | '\'' | '.' | ',' | ':' | ';' | '!' | 'I' => 0.29,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '\\' | ' ' | '-' => 0.35,
        'm' | 'M' | 'W' | '%' | '@' => 0.9,
        'w' | 'A'..='Z' | '=' | '<' | '>' | '+' | '~' | '&' => 0.71,
        ' '..='~' => 0.57,
        '\u{1100}'.. => 1.0,
        _ => 0.65,
    };
    text.chars().map(em).sum::<f64>() * FONT * 1.06
}

fn head_width(name: &str) -> f64 {
    width(name) * 1.12 + 28.0
}

fn measured<R>(work: impl FnOnce(&Measure<'_>) -> R) -> R {
    work(&Measure { text: &width, head: &head_width, gap: 28.0, arrow: 52.0, line: TEXT, own: OWN })
}

fn wrap(text: &str) -> Vec<String> {
    measured(|measure| measure.wrap(text))
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
