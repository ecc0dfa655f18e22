//! The interface as the W3C has it: behaviours that the web-platform-tests of `presentation-api` describe, which need no device.

use serde_json::json;

use super::stage::Stage;
use super::{chromium, turn};

/// Each gives nothing, or what is wrong.
const BEHAVIOURS: &str = include_str!("behaviours.js");

/// PS-01, PS-22, PS-31
#[test]
fn the_interface_behaves_as_the_w3c_has_it() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    stage.open_controller();
    stage.browser.run(&format!("window.behaviours = {BEHAVIOURS}"), &[]);
    let failures = stage.browser.wait("await behaviours()", &[]);
    assert_eq!(failures, json!([]));

    // Without a person's click nothing starts; with one, only one at a time.
    assert_eq!(
        stage.browser.wait(
            "await new PresentationRequest(args[0]).start().catch(({ name }) => name)",
            &[json!("https://x.example/")]
        ),
        "InvalidAccessError"
    );
    stage.browser.run("job = () => { jobs.start(arguments[0]); new PresentationRequest(arguments[0]).start().catch(({ name }) => note('second', name)); }", &[json!(stage.site.receiver())]);
    stage.browser.click("#go");
    assert_eq!(stage.expect("second"), "OperationError");
    stage.expect("connect");
}
