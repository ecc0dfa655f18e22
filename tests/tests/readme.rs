//! The README keeps step with the code.

use greenroom_core::limits::CAPACITIES;

const README: &str = include_str!("../../README.md");
const MAKEFILE: &str = include_str!("../../Makefile");

#[test]
fn the_table_of_capacities_names_each_with_its_default() {
    for (name, value) in CAPACITIES {
        let row = format!("| `{name}` | {value} |");
        assert!(README.contains(&row), "README.md has no row '{row}'; a build with the defaults: `make capacities`");
    }
}

#[test]
fn every_step_that_proves_a_claim_is_a_step_of_make_test() {
    let steps = MAKEFILE.lines().find_map(|line| line.strip_prefix("STEPS := ")).unwrap();
    let steps: Vec<&str> = steps.split(' ').collect();
    let claims = README.split("## What is proved, and how").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = claims.lines().skip_while(|line| !line.starts_with("|-")).filter(|line| line.ends_with("` |"));
    let named: Vec<&str> = rows.flat_map(|row| row.rsplit(" | ").next().unwrap().split('`')).collect();
    let named: Vec<&str> = named.into_iter().filter(|name| name.chars().any(char::is_alphanumeric)).collect();
    assert!(named.len() >= 6, "{named:?}");
    for name in named {
        assert!(steps.contains(&name), "README.md names the step {name}, which `make test` has not");
    }
}
