//! Sequence diagrams: who said what to whom, and when.
//!
//! A [`Diagram`] is a list of steps between participants. It knows nothing of what is drawn; four renderers show it:
//!
//! | renderer | for |
//! |---|---|
//! | [`Diagram::to_text`] | a terminal, a code review, a snapshot in a test |
//! | [`Diagram::to_svg`] | a report |
//! | [`Diagram::to_mermaid`] | Markdown on most hosts of repositories |
//! | [`Diagram::to_plantuml`] | the notation in which the system was specified |
//!
//! ```
//! use std::time::Duration;
//! use greenroom_hal_mock::diagram::{Diagram, Frame};
//!
//! let mut diagram = Diagram::new("Not Running to Inactive");
//! let manager = diagram.participant("ServerManager");
//! let server = diagram.participant("SessionServer(app1)");
//! diagram.create(Duration::ZERO, manager, server, "spawn");
//! diagram.open(Frame::Alt, "READY timer expired");
//! diagram.end(Duration::from_secs(1), manager, server, "SIGKILL");
//! diagram.close();
//! assert_eq!(diagram.steps(), 2);
//! assert!(diagram.to_text().contains("alt: READY timer expired"));
//! ```

mod layout;
mod mermaid;
mod plantuml;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use std::time::Duration;

/// One participant of a diagram; of no use in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifeline(usize);

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something is asked of another, or done by oneself where both ends are the same. Solid, with a full head.
    Call,
    /// What was asked is answered. Dashed.
    Answer,
    /// Something is told and nothing comes back. Solid, with an open head.
    Notification,
    /// The other one comes into being by this.
    Creation,
    /// The other one ends by this, or oneself where both ends are the same.
    End,
}

/// One arrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, on the clock of all participants.
    pub at: Duration,
    /// Who does it.
    pub from: Lifeline,
    /// To whom.
    pub to: Lifeline,
    /// What is said.
    pub what: String,
    /// What it is.
    pub kind: Kind,
}

/// Why steps belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// One of several ways in which it can go on.
    Alt,
    /// What does not always happen.
    Opt,
    /// What happens several times.
    Loop,
    /// Any other reason, which the label says.
    Group,
}

impl Frame {
    /// As all notations write it.
    const fn keyword(self) -> &'static str {
        match self {
            Self::Alt => "alt",
            Self::Opt => "opt",
            Self::Loop => "loop",
            Self::Group => "group",
        }
    }
}

/// What is drawn, from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Step(Step),
    Note { from: Lifeline, to: Lifeline, text: String },
    Reference { from: Lifeline, to: Lifeline, text: String },
    Open { frame: Frame, label: String },
    Otherwise { label: String },
    Close,
}

impl Item {
    fn ends(&self) -> Option<(Lifeline, Lifeline)> {
        match self {
            Self::Step(Step { from, to, .. }) | Self::Note { from, to, .. } | Self::Reference { from, to, .. } => {
                Some((*from, *to))
            }
            Self::Open { .. } | Self::Otherwise { .. } | Self::Close => None,
        }
    }

    fn ends_mut(&mut self) -> Option<(&mut Lifeline, &mut Lifeline)> {
        match self {
            Self::Step(Step { from, to, .. }) | Self::Note { from, to, .. } | Self::Reference { from, to, .. } => {
                Some((from, to))
            }
            Self::Open { .. } | Self::Otherwise { .. } | Self::Close => None,
        }
    }
}

/// A place in a diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// A sequence diagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    title: String,
    names: Vec<String>,
    items: Vec<Item>,
    depth: usize,
}

impl Diagram {
    /// A diagram without participants and steps.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    /// Another participant, to the right of all others. It is there from the start, unless a step creates it.
    pub fn participant(&mut self, name: &str) -> Lifeline {
        self.names.push(name.to_owned());
        Lifeline(self.names.len() - 1)
    }

    /// The participant of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<Lifeline> {
        self.names.iter().position(|known| known == name).map(Lifeline)
    }

    /// Gives a participant another name, where what it is shows only later.
    pub fn rename(&mut self, lifeline: Lifeline, name: &str) {
        name.clone_into(&mut self.names[lifeline.0]);
    }

    /// How a participant is called.
    pub fn name(&self, lifeline: Lifeline) -> &str {
        &self.names[lifeline.0]
    }

    /// Adds a step.
    pub fn step(&mut self, step: Step) {
        self.items.push(Item::Step(step));
    }

    fn arrow(&mut self, kind: Kind, at: Duration, ends: (Lifeline, Lifeline), what: &str) {
        let (from, to) = ends;
        self.step(Step { at, from, to, what: what.to_owned(), kind });
    }

    /// Something is asked.
    pub fn call(&mut self, at: Duration, from: Lifeline, to: Lifeline, what: &str) {
        self.arrow(Kind::Call, at, (from, to), what);
    }

    /// What was asked is answered.
    pub fn answer(&mut self, at: Duration, from: Lifeline, to: Lifeline, what: &str) {
        self.arrow(Kind::Answer, at, (from, to), what);
    }

    /// Something is told.
    pub fn notify(&mut self, at: Duration, from: Lifeline, to: Lifeline, what: &str) {
        self.arrow(Kind::Notification, at, (from, to), what);
    }

    /// Somebody does something by oneself.
    pub fn work(&mut self, at: Duration, who: Lifeline, what: &str) {
        self.arrow(Kind::Call, at, (who, who), what);
    }

    /// Somebody creates another.
    pub fn create(&mut self, at: Duration, from: Lifeline, to: Lifeline, what: &str) {
        self.arrow(Kind::Creation, at, (from, to), what);
    }

    /// Somebody ends another, or oneself.
    pub fn end(&mut self, at: Duration, from: Lifeline, to: Lifeline, what: &str) {
        self.arrow(Kind::End, at, (from, to), what);
    }

    /// A remark beside these participants and all between them.
    pub fn note(&mut self, from: Lifeline, to: Lifeline, text: &str) {
        let (from, to) = (from.min(to), from.max(to));
        self.items.push(Item::Note { from, to, text: text.to_owned() });
    }

    /// What another diagram shows happens here.
    pub fn reference(&mut self, from: Lifeline, to: Lifeline, text: &str) {
        let (from, to) = (from.min(to), from.max(to));
        self.items.push(Item::Reference { from, to, text: text.to_owned() });
    }

    /// What follows belongs together.
    pub fn open(&mut self, frame: Frame, label: &str) {
        self.depth += 1;
        self.items.push(Item::Open { frame, label: label.to_owned() });
    }

    /// The other way in which it can go on.
    ///
    /// # Panics
    ///
    /// When nothing is open.
    pub fn otherwise(&mut self, label: &str) {
        assert!(self.depth > 0, "there is no frame of which this is the other part");
        self.items.push(Item::Otherwise { label: label.to_owned() });
    }

    /// What was opened last ends here.
    ///
    /// # Panics
    ///
    /// When nothing is open.
    pub fn close(&mut self) {
        assert!(self.depth > 0, "there is no frame to close");
        self.depth -= 1;
        self.items.push(Item::Close);
    }

    /// Where the diagram is now, for [`Diagram::fold`].
    pub fn mark(&self) -> Mark {
        Mark(self.items.len())
    }

    /// Puts a reference in the place of all that was drawn since the mark: another diagram shows it.
    ///
    /// # Panics
    ///
    /// When a frame was opened or closed since then.
    pub fn fold(&mut self, mark: Mark, from: Lifeline, to: Lifeline, text: &str) {
        self.truncate(mark);
        self.reference(from, to, text);
    }

    /// The last end of a participant was none: it went on.
    pub fn revive(&mut self, lifeline: Lifeline) {
        let ends = |step: &Step| step.kind == Kind::End && step.to == lifeline;
        let last = self.items.iter_mut().rev().find_map(|item| match item {
            Item::Step(step) if ends(step) => Some(step),
            _ => None,
        });
        if let Some(step) = last {
            step.kind = Kind::Call;
        }
    }

    /// Takes back all that was drawn since the mark.
    ///
    /// # Panics
    ///
    /// When a frame was opened or closed since then.
    pub fn truncate(&mut self, mark: Mark) {
        let is_frame = |item: &Item| matches!(item, Item::Open { .. } | Item::Otherwise { .. } | Item::Close);
        assert!(!self.items.drain(mark.0..).any(|item| is_frame(&item)), "a frame is not taken back");
    }

    /// Removes those participants with whom nothing happens. What named a participant before names it no more.
    pub fn leave_out_idle(&mut self) {
        let mut is_busy = vec![false; self.count()];
        for item in &self.items {
            if let Some((from, to)) = item.ends() {
                is_busy[from.0] = true;
                is_busy[to.0] = true;
            }
        }
        let before = |place: usize| is_busy[..place].iter().filter(|is_busy| **is_busy).count();
        let places: Vec<usize> = (0..is_busy.len()).map(before).collect();
        let mut keep = is_busy.iter();
        self.names.retain(|_| keep.next() == Some(&true));
        for (from, to) in self.items.iter_mut().filter_map(Item::ends_mut) {
            *from = Lifeline(places[from.0]);
            *to = Lifeline(places[to.0]);
        }
    }

    /// All from the first step of this kind on belongs together. Without such a step nothing changes.
    ///
    /// # Panics
    ///
    /// When a frame is open.
    pub fn enclose(&mut self, frame: Frame, label: &str, is_first: impl Fn(&Step) -> bool) {
        assert!(self.depth == 0, "a frame is open");
        let is_it = |item: &Item| matches!(item, Item::Step(step) if is_first(step));
        if let Some(place) = self.items.iter().position(is_it) {
            self.items.insert(place, Item::Open { frame, label: label.to_owned() });
            self.items.push(Item::Close);
        }
    }

    /// How many steps it has: the number that the last one bears.
    pub fn steps(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Step(_))).count()
    }

    /// All steps, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.items.iter().filter_map(|item| if let Item::Step(step) = item { Some(step) } else { None })
    }

    fn count(&self) -> usize {
        self.names.len()
    }

    /// What is drawn: frames that were left open end with the diagram.
    fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().chain(std::iter::repeat_n(&Item::Close, self.depth))
    }

    /// Who is created by a step and has no head at the top.
    fn created(&self) -> Vec<bool> {
        let mut created = vec![false; self.count()];
        let mut seen = vec![false; self.count()];
        for step in self.iter() {
            created[step.to.0] |= step.kind == Kind::Creation && !seen[step.to.0];
            seen[step.from.0] = true;
            seen[step.to.0] = true;
        }
        created
    }
}

/// Shows each time once: what happens at the same moment is no news.
struct Times {
    shown: Option<String>,
}

impl Times {
    const fn new() -> Self {
        Self { shown: None }
    }

    /// The time of a step, if it is another one than that of the step before it.
    fn news(&mut self, at: Duration) -> Option<String> {
        let time = format!("{:.3} s", at.as_secs_f64());
        let is_news = self.shown.as_ref() != Some(&time);
        is_news.then(|| self.shown.insert(time).clone())
    }
}
