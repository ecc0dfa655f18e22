//! In the notation of PlantUML.

use super::layout::printable;
use super::{Diagram, Item, Kind, Lifeline, Step, Times};

impl Diagram {
    /// The diagram for PlantUML.
    pub fn to_plantuml(&self) -> String {
        let mut lines = vec!["@startuml".to_owned(), format!("title {}", escape(&self.title)), "autonumber".to_owned()];
        lines.push("hide footbox".to_owned());
        for (place, name) in self.names.iter().enumerate() {
            lines.push(format!("participant \"{}\" as {}", escape(name), id(Lifeline(place))));
        }
        let mut times = Times::new();
        let mut ended = vec![false; self.count()];
        for item in self.items() {
            if let Item::Step(step) = item
                && let Some(time) = times.news(step.at)
            {
                // A divider bears no number, so that the steps keep theirs.
                lines.push(format!("...{time}..."));
            }
            lines.push(line(item, &mut ended));
        }
        lines.push("@enduml\n".to_owned());
        lines.join("\n")
    }
}

fn line(item: &Item, ended: &mut [bool]) -> String {
    match item {
        Item::Step(step) => arrow(step, ended),
        Item::Note { from, to, text } => format!("note over {} : {}", over(*from, *to), escape(text)),
        Item::Reference { from, to, text } => format!("ref over {} : {}", over(*from, *to), escape(text)),
        Item::Open { frame, label } => format!("{} {}", frame.keyword(), escape(label)),
        Item::Otherwise { label } => format!("else {}", escape(label)),
        Item::Close => "end".to_owned(),
    }
}

fn arrow(step: &Step, ended: &mut [bool]) -> String {
    let Step { from, to, what, kind, .. } = step;
    let arrow = match kind {
        Kind::Call | Kind::Creation | Kind::End => "->",
        Kind::Answer => "-->",
        Kind::Notification => "-//",
    };
    // Something that was ended twice is no mistake of who draws it.
    let mark = match kind {
        Kind::Creation => " **",
        Kind::End if !std::mem::replace(&mut ended[to.0], true) => " !!",
        Kind::End | Kind::Call | Kind::Answer | Kind::Notification => "",
    };
    format!("{} {arrow} {}{mark} : {}", id(*from), id(*to), escape(what))
}

fn over(from: Lifeline, to: Lifeline) -> String {
    if from == to { id(from) } else { format!("{}, {}", id(from), id(to)) }
}

fn id(lifeline: Lifeline) -> String {
    format!("P{}", lifeline.0 + 1)
}

/// What PlantUML could take for its own syntax is written as a number: markup, quotes, variables, and what breaks lines.
fn escape(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::new();
    let mut last = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_doubled = matches!(c, '*' | '/' | '_' | '-' | '~' | '[' | ']' | '=' | '.' | '\'' | '|')
            && (c == last || characters.peek() == Some(&c));
        if is_doubled || matches!(c, '<' | '>' | '"' | '\\' | '%' | '$' | '&' | '#' | '~' | '@' | '!') {
            escaped.push_str(&format!("<U+{:04X}>", u32::from(c)));
        } else {
            escaped.push(c);
        }
        last = c;
    }
    escaped
}
