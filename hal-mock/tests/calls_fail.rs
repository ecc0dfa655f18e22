//! Every call of the platform that a story makes fails once: whatever it is, nothing is violated, and all is well again.

use greenroom_hal_mock::sim::{Household, Story};

/// SM-30 to SM-36
#[test]
fn whichever_call_fails_all_is_well_again_and_nothing_is_left() {
    let calls = Household::story(None).calls;
    assert!(calls > 300, "only {calls} calls: this tried too little");
    let failures: Vec<String> =
        (1..=calls).filter_map(|number| failure(number, &Household::story(Some(number)))).collect();
    assert!(failures.is_empty(), "of {calls} calls {} may not fail:\n{}", failures.len(), failures.join("\n"));
}

/// What went wrong when the call with this number failed.
fn failure(number: u64, story: &Story) -> Option<String> {
    let violation = story.violations.first()?;
    Some(format!("call {number}, {:?}: {}: {}", story.failed, violation.rule, violation.what))
}
