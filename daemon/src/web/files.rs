//! What browsers are given: everything is in this program, and nothing is fetched from elsewhere.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A person's pages load what is theirs and speak with their own bridge.
const OWN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The sample receiver plays a video from anywhere.
const RECEIVER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                               media-src * blob: mediastream:; connect-src 'self' ws://127.0.0.1:*; \
                               base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! one_script {
    ($($part:literal)*) => {
        concat!("(() => {\n\"use strict\";\n", $("\n", include_str!(concat!("../../web/presentation/", $part, ".js")),)* "})();\n")
    };
}

/// The script that gives a page the Presentation API. Its parts see each other, and the page sees what the last one gives it.
pub const PRESENTATION_SCRIPT: &str =
    one_script!("page" "bridge" "channel" "events" "connection" "request" "receiver" "platform");

/// One of them.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    kind: &'static str,
    policy: &'static str,
    text: &'static str,
}

macro_rules! served {
    ($path:literal, $kind:expr, $policy:expr, $name:literal) => {
        File { path: $path, kind: $kind, policy: $policy, text: include_str!(concat!("../../web/", $name)) }
    };
}

const FILES: [File; 14] = [
    served!("/", HTML, OWN_POLICY, "controller.html"),
    served!("/controller.js", SCRIPT, OWN_POLICY, "controller.js"),
    served!("/choose", HTML, OWN_POLICY, "choose.html"),
    served!("/person.js", SCRIPT, OWN_POLICY, "person.js"),
    served!("/choices.js", SCRIPT, OWN_POLICY, "choices.js"),
    served!("/choose.js", SCRIPT, OWN_POLICY, "choose.js"),
    served!("/status", HTML, OWN_POLICY, "status.html"),
    served!("/status.js", SCRIPT, OWN_POLICY, "status.js"),
    served!("/receiver", HTML, RECEIVER_POLICY, "receiver.html"),
    served!("/receiver.js", SCRIPT, RECEIVER_POLICY, "receiver.js"),
    served!("/style.css", CSS, OWN_POLICY, "style.css"),
    served!("/icon.svg", SVG, OWN_POLICY, "icon.svg"),
    File { path: "/presentation.js", kind: SCRIPT, policy: OWN_POLICY, text: PRESENTATION_SCRIPT },
    served!("/presentation.d.ts", TEXT, OWN_POLICY, "presentation.d.ts"),
];

/// A path for each.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .into_iter()
        .fold(Router::new(), |router, file| router.route(file.path, get(move || async move { give(file) })))
}

/// Other origins may take what is here, as pages take the script; they see nothing by it that they could not make themselves.
fn give(file: File) -> impl IntoResponse {
    let headers = [
        ("content-type", file.kind),
        ("content-security-policy", file.policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
        ("cross-origin-resource-policy", "cross-origin"),
    ];
    (headers, file.text)
}
