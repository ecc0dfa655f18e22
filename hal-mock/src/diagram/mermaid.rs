//! In the notation of Mermaid.

use super::layout::printable;
use super::{Diagram, Item, Kind, Lifeline, Step, Times};

impl Diagram {
    /// The diagram for Mermaid, for a block of Markdown in that language.
    pub fn to_mermaid(&self) -> String {
        let mut lines = vec!["sequenceDiagram".to_owned(), format!("    title {}", escape(&self.title))];
        lines.push("    autonumber".to_owned());
        let created = self.created();
        for (place, name) in self.names.iter().enumerate().filter(|(place, _)| !created[*place]) {
            lines.push(format!("    participant {} as {}", id(Lifeline(place)), escape(name)));
        }
        let mut writer = Writer {
            diagram: self,
            lines,
            known: created.iter().map(|created| !created).collect(),
            depth: 1,
            times: Times::new(),
        };
        self.items().for_each(|item| writer.item(item));
        writer.lines.join("\n") + "\n"
    }
}

struct Writer<'a> {
    diagram: &'a Diagram,
    lines: Vec<String>,
    /// Mermaid creates a participant once.
    known: Vec<bool>,
    depth: usize,
    times: Times,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        self.lines.push(format!("{}{line}", "    ".repeat(self.depth)));
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Step(step) => self.step(step),
            Item::Note { from, to, text } => self.note(*from, *to, text),
            Item::Reference { from, to, text } => self.note(*from, *to, &format!("ref: {text}")),
            Item::Open { frame, label } => {
                let keyword = match frame {
                    super::Frame::Group => "opt",
                    super::Frame::Alt | super::Frame::Opt | super::Frame::Loop => frame.keyword(),
                };
                self.line(&format!("{keyword} {}", escape(label)));
                self.depth += 1;
            }
            Item::Otherwise { label } => {
                self.depth -= 1;
                self.line(&format!("else {}", escape(label)));
                self.depth += 1;
            }
            Item::Close => {
                self.depth -= 1;
                self.line("end");
            }
        }
    }

    fn note(&mut self, from: Lifeline, to: Lifeline, text: &str) {
        let over = if from == to { id(from) } else { format!("{},{}", id(from), id(to)) };
        self.line(&format!("Note over {over}: {}", escape(text)));
    }

    fn step(&mut self, step: &Step) {
        let Step { from, to, what, kind, .. } = step;
        if *kind == Kind::Creation && !self.known[to.0] {
            self.known[to.0] = true;
            self.line(&format!("create participant {} as {}", id(*to), escape(self.diagram.name(*to))));
        }
        let arrow = match kind {
            Kind::Call | Kind::Creation => "->>",
            Kind::Answer => "-->>",
            Kind::Notification => "-)",
            Kind::End => "-x",
        };
        let time = self.times.news(step.at).map(|time| format!(" ({time})")).unwrap_or_default();
        self.line(&format!("{}{arrow}{}: {}{time}", id(*from), id(*to), escape(what)));
    }
}

fn id(lifeline: Lifeline) -> String {
    format!("P{}", lifeline.0 + 1)
}

/// Mermaid reads `;` as the end of a line, `#` as the start of a character's name, and knows some HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '#' | ';' | '<' | '>' | '&' | '"' | '%' | '\\' | '$' => escaped.push_str(&format!("#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
