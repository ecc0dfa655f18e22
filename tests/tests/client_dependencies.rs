//! What an app links that links only the client library.

use std::process::Command;

/// Every crate that the client library brings into an app.
fn crates() -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments =
        ["tree", "--offline", "--package", "greenroom-hal-linux", "--no-default-features", "--features", "client"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--edges", "normal", "--prefix", "none"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// An app gets no GStreamer, no TLS and no mDNS with the client library, and of Linux only what `rustix` has.
#[test]
fn a_client_links_no_gstreamer_no_tls_and_no_mdns() {
    let crates = crates();
    assert!(crates.contains(&"greenroom-core".to_owned()), "{crates:?}");
    let unwanted = ["gstreamer", "glib", "rustls", "openssl", "rcgen", "ring", "mdns", "str0m", "tokio", "nix"];
    for name in &crates {
        assert!(!unwanted.iter().any(|unwanted| name.starts_with(unwanted)), "a client links {name}");
    }
}
