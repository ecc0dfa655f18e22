//! `docs/presentation-defects.md` keeps step with the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/presentation-defects.md");
/// How many defects are known.
const DEFECTS: u8 = 34;

/// A row of the table.
struct Row {
    defect: u8,
    /// The tests that show what happens here: file and function.
    tests: Vec<(&'static str, &'static str)>,
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    lines.filter(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &'static str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [defect, theirs, ours, tests] = cells[..] else { panic!("a row has four cells: {line}") };
    assert!(!theirs.is_empty() && !ours.is_empty(), "a row says something: {line}");
    let tests = tests.split('`').skip(1).step_by(2);
    let tests = tests.map(|test| test.split_once("::").unwrap_or_else(|| panic!("a test is file::name, not {test}")));
    Row { defect: defect.parse().expect("a row has a number"), tests: tests.collect() }
}

/// The defects that are named in what is written above a test; `None` when there is no such test.
fn defects_above(source: &str, function: &str) -> Option<Vec<u8>> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("fn {function}(")))?;
    let above = || lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    above().find(|line| line.starts_with("#[test]"))?;
    let lists = above().filter_map(|line| line.split_once("Presentation defect").map(|(_, list)| list));
    Some(lists.flat_map(numbers).collect())
}

/// The numbers at the start of `s 7, 27: and so on`.
fn numbers(list: &str) -> impl Iterator<Item = u8> {
    let words = list.trim_start_matches('s').split([',', ' ']).filter(|word| !word.is_empty());
    words.map_while(|word| word.trim_end_matches([':', '.']).parse().ok())
}

#[test]
fn every_defect_is_listed_once_with_a_test() {
    let listed: Vec<u8> = rows().iter().map(|row| row.defect).collect();
    assert_eq!(listed, (1..=DEFECTS).collect::<Vec<_>>());
    rows()
        .iter()
        .for_each(|row| assert!(!row.tests.is_empty(), "nothing shows what happens instead of {}", row.defect));
}

#[test]
fn every_test_that_is_named_is_there_and_names_the_defect() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = BTreeMap::new();
    for Row { defect, tests } in rows() {
        for (file, function) in tests {
            let read = || fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let source: &String = sources.entry(file).or_insert_with(read);
            let named = defects_above(source, function).unwrap_or_else(|| panic!("{file} has no test {function}"));
            assert!(named.contains(&defect), "{file}::{function} does not say 'Presentation defect {defect}'");
        }
    }
}

#[test]
fn defects_are_read_up_to_what_is_no_number() {
    let source = "/// Presentation defects 7, 27: why.\n///\n/// PS-19\n#[test]\nfn one() {}\n\n/// Presentation defect 24, PS-10\n\
                  #[test]\nfn other() {}\n/// Presentation defect 1\nfn helper() {}";
    assert_eq!(defects_above(source, "one"), Some(vec![7, 27]));
    assert_eq!(defects_above(source, "other"), Some(vec![24]));
    assert_eq!(defects_above(source, "helper"), None);
}
