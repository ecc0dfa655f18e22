//! `docs/field-failures.md` keeps step with the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use greenroom_hal_mock::sim::Fault;

const PAGE: &str = include_str!("../../docs/field-failures.md");

/// A row of the table.
struct Row {
    failure: &'static str,
    /// What proves that it does no harm.
    proof: &'static str,
    /// Which faults of the simulator are like it.
    simulated: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    lines.filter(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [failure, scenario, proof, simulated] = cells[..] else { panic!("a row has four cells: {line}") };
        assert!(!scenario.is_empty() && !proof.is_empty(), "a row says something: {line}");
        Row { failure, proof, simulated }
    })
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The tests that a cell names: file and function.
fn tests(proof: &str) -> impl Iterator<Item = (&str, &str)> {
    quoted(proof).map(|test| test.split_once("::").unwrap_or_else(|| panic!("a test is file::name, not {test}")))
}

/// The failures that are named in what is written above a function.
fn failures_above<'a>(source: &'a str, function: &str) -> Option<Vec<&'a str>> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.contains(&format!("fn {function}(")))?;
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let lists = above.filter_map(|line| line.split_once("Field failure").map(|(_, list)| list));
    let up_to_its_end = lists.map(|list| list.split(['.', ':']).next().unwrap_or(list));
    Some(up_to_its_end.flat_map(|list| list.split(|c: char| !c.is_alphanumeric())).collect())
}

#[test]
fn every_failure_is_listed_once() {
    let mut expected: Vec<String> = ('A'..='Q').map(String::from).collect();
    expected.extend((1..=72).map(|number| number.to_string()));
    let listed: Vec<&str> = rows().map(|row| row.failure).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_test_that_is_named_is_there_and_names_the_failure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = BTreeMap::new();
    for Row { failure, proof, .. } in rows() {
        for (file, function) in tests(proof) {
            let read = || fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let source: &String = sources.entry(file).or_insert_with(read);
            let named = failures_above(source, function).unwrap_or_else(|| panic!("{file} has no {function}"));
            assert!(named.contains(&failure), "{file}::{function} does not say 'Field failure {failure}'");
        }
    }
}

#[test]
fn a_failure_without_a_test_says_why() {
    for Row { failure, proof, .. } in rows().filter(|row| tests(row.proof).next().is_none()) {
        assert!(proof.starts_with("Cannot happen: "), "{failure}: {proof}");
    }
}

#[test]
fn what_the_simulator_does_is_named_by_a_class_of_its_faults_or_goes_on_in_every_run() {
    for Row { failure, simulated, .. } in rows() {
        let mut faults = quoted(simulated).peekable();
        if faults.peek().is_none() {
            let is_said = simulated == "–" || simulated.starts_with("every run: ");
            assert!(is_said, "{failure}: {simulated}");
        }
        for name in faults {
            let is_known = Fault::ALL.iter().any(|fault| fault.name() == name);
            assert!(is_known, "{failure}: the simulator has no fault '{name}'");
        }
    }
}
