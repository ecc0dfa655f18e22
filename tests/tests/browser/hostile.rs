//! Who is not let in, and what nobody may do for somebody else.

use std::io::{Read, Write};
use std::net::TcpStream;

use greenroom_tests::web::Web;
use serde_json::{Value, json};

use super::stage::{Stage, TOKEN};
use super::{chromium, turn};

/// The status line of an answer to a request for this host.
fn ask(web: &Web, host: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(web.address()).expect("it listens");
    let path = if more.is_empty() { "/" } else { "/bridge" };
    let more = if more.is_empty() { "Connection: close\r\n" } else { more };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").expect("it is sent");
    let mut answer = [0; 64];
    let bytes = stream.read(&mut answer).expect("it is answered");
    String::from_utf8_lossy(&answer[..bytes]).lines().next().unwrap_or_default().to_owned()
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// PS-34, PS-36
#[test]
fn nobody_from_elsewhere_is_let_in_and_nobody_acts_for_somebody_else() {
    if !chromium::is_there() {
        return;
    }
    let _turn = turn();
    let stage = Stage::start();
    let port = stage.phone_web.port();
    a_name_that_leads_here_is_not_served(&stage.phone_web);

    // A page that is let in, and what it may not.
    stage.start_presentation();
    let own = stage.browser.run("return connection.state", &[]);
    assert_eq!(own, "connected");
    let hello = json!({"id": 1, "do": "hello"});
    let probe = |words: Value| {
        let mut arguments = vec![json!(port)];
        arguments.extend(words.as_array().cloned().unwrap_or_default());
        stage.browser.wait("await probe(...args)", &arguments)
    };
    // One page, many orders: what each of them was refused for.
    let refused = |orders: Vec<Value>, name: &str| {
        let words: Vec<Value> = std::iter::once(hello.clone()).chain(orders.iter().cloned()).collect();
        let told = probe(json!(words));
        // The bridge refuses some by itself, before the service has answered the greeting.
        let answers = told["heard"].as_array().expect("a list").iter().filter(|told| told["id"] != 1);
        for (order, told) in orders.iter().zip(answers) {
            assert_eq!(told["error"]["name"], name, "{order}: {told}");
        }
    };
    for index in 0..4 {
        let connections = (0..3).map(|generation| format!("{index}.{generation}"));
        let orders = connections.flat_map(|connection| {
            [
                json!({"id": 2, "do": "terminate", "connection": connection}),
                json!({"id": 2, "do": "close", "connection": connection}),
                json!({"id": 2, "do": "send", "connection": connection, "text": "from another page"}),
                json!({"id": 2, "do": "candidate", "connection": connection, "text": "{}"}),
            ]
        });
        refused(orders.collect(), "NotFoundError");
    }
    let of_persons_and_receivers = vec![
        json!({"id": 2, "do": "devices"}),
        json!({"id": 2, "do": "presentations"}),
        json!({"id": 2, "do": "watchChoices"}),
        json!({"id": 2, "do": "watchBox"}),
        json!({"id": 2, "do": "end", "presentation": "x"}),
        json!({"id": 2, "do": "choose", "choice": "0.1", "device": stage.tv.name()}),
        json!({"id": 2, "do": "start", "urls": [stage.site.receiver()], "device": stage.tv.name()}),
        json!({"id": 2, "do": "listen"}),
    ];
    refused(of_persons_and_receivers, "NotAllowedError");
    assert_eq!(stage.say("still here"), "still here");

    // Words that are none, and launches that never were.
    for (words, code) in [
        (json!(["garbage"]), 1007),
        (json!([{"id": 1, "do": "devices"}]), 1007),
        (json!([hello, "garbage"]), 1007),
        (json!([hello, {"id": 2, "do": "hello"}]), 1007),
        (json!([{"id": 1, "do": "hello", "launch": "a7".repeat(16)}]), 1008),
        (json!([{"id": 1, "do": "hello", "launch": "short"}]), 1008),
    ] {
        assert_eq!(probe(words.clone())["code"], code, "{words}");
    }
    assert!(stage.browser.run("return navigator.presentation.receiver", &[]).is_null(), "PS-12");

    // The same page from another origin, with and without what persons know.
    stage.browser.open(&format!("http://localhost:{}/controller?bridge={port}", stage.site.port));
    for token in ["", TOKEN] {
        let told = probe(json!([{"id": 1, "do": "hello", "token": token}]));
        assert_eq!((&told["code"], &told["heard"]), (&json!(1008), &json!([])), "{told}");
    }
    // A page with an address that claims a launch.
    let claimed = format!("{}#greenroom-launch={}:{}", stage.site.receiver(), "a7".repeat(16), stage.tv_web.port());
    stage.browser.open(&claimed);
    let told = stage
        .browser
        .wait("await navigator.presentation.receiver.connectionList.then(() => 'a receiver', ({ name }) => name)", &[]);
    assert_ne!(told, "a receiver");
}

fn a_name_that_leads_here_is_not_served(web: &Web) {
    for host in ["evil.example", "evil.example:8010", "", "127.0.0.1.evil.example"] {
        let status = ask(web, host, "");
        assert!(status.contains(" 421 ") || status.contains(" 400 "), "{host}: {status}");
        let status = ask(web, host, UPGRADE);
        assert!(status.contains(" 421 ") || status.contains(" 400 "), "{host}: {status}");
    }
    let own = web.address().to_string();
    assert!(ask(web, &own, "").contains(" 200 "));
    let no_page = ask(web, &own, UPGRADE);
    assert!(no_page.contains(" 403 "), "what has no origin is no page: {no_page}");
}
