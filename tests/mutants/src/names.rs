//! Which tests name which requirement in their documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

/// What each test's documentation names: `SM-12`, `PS-34`, `Field failure 34`, `CANARY`, `FUZZ`.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    /// Reads every source below these directories.
    pub(crate) fn read(directories: &[&str]) -> io::Result<Self> {
        let mut names = Self::default();
        directories.iter().try_for_each(|directory| names.read_below(Path::new(directory)))?;
        Ok(names)
    }

    fn read_below(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.read_below(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.take(&fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }

    /// Documentation and attributes stand right above the function that they belong to.
    fn take(&mut self, source: &str) {
        let (mut above, mut is_test) = (BTreeSet::new(), false);
        for line in source.lines().map(str::trim) {
            if let Some(documentation) = line.strip_prefix("///") {
                above.extend(named_in(documentation));
            } else if line.starts_with("#[") {
                is_test |= line == "#[test]";
            } else {
                let named = std::mem::take(&mut above);
                if let Some(name) = function(line).filter(|_| std::mem::take(&mut is_test)) {
                    self.0.entry(name.to_owned()).or_default().extend(named);
                }
            }
        }
    }

    /// What a test names, by its path as the test program tells it.
    pub(crate) fn of(&self, test: &str) -> Option<&BTreeSet<String>> {
        self.0.get(test.rsplit("::").next()?)
    }
}

fn function(line: &str) -> Option<&str> {
    line.strip_prefix("fn ")?.split('(').next()
}

/// Requirements are named one by one: a range names its ends only.
fn named_in(documentation: &str) -> Vec<String> {
    let words = documentation.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
    let mut words = words.filter(|word| !word.is_empty()).peekable();
    let (mut named, mut is_failure) = (Vec::new(), false);
    while let Some(word) = words.next() {
        match word {
            "Field" if words.peek().is_some_and(|next| next.starts_with("failure")) => is_failure = true,
            "failure" | "failures" => {}
            "CANARY" | "FUZZ" => named.push(word.to_owned()),
            _ if is_requirement(word) => named.push(word.to_owned()),
            _ if is_failure && is_row(word) => named.push(format!("Field failure {word}")),
            _ => is_failure = false,
        }
    }
    named
}

fn is_requirement(word: &str) -> bool {
    let number = word.strip_prefix("SM-").or_else(|| word.strip_prefix("PS-"));
    number.is_some_and(|number| number.len() == 2)
}

fn is_row(word: &str) -> bool {
    word.parse::<u8>().is_ok() || (word.len() == 1 && word.chars().all(|letter| letter.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_and_field_failures_are_found_above_their_test_and_nowhere_else() {
        let mut names = Names::default();
        names.take(
            "/// SM-01\nstruct Other;\n\n/// PS-34, SM-21, SM-30: why.\n///\n/// Field failures 67, C\n#[test]\nfn it_holds() {\n\
             /// SM-02\nfn helper() {}\n#[test]\nfn bare() {}",
        );
        let found = |test| names.of(test).map(|named| named.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found("a::it_holds"), Some(vec!["Field failure 67", "Field failure C", "PS-34", "SM-21", "SM-30"]));
        assert_eq!(found("bare"), Some(vec![]));
        assert_eq!(found("helper"), None);
    }
}
