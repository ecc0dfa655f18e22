//! What goes over the wire, and whatever else may come.

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::limits::{CONTROL_LINE_BYTES_MAX, TRANSPORT_ADDRESSES_MAX};
use crate::message::papi::{Description, Framed, Message, Reason};

fn line_of(message: &Message<&str>) -> String {
    let mut buffer = vec![0; CONTROL_LINE_BYTES_MAX];
    String::from_utf8(encode(message, &mut buffer).unwrap().to_vec()).unwrap()
}

fn read(line: &str) -> Result<Message<String>, Garbage> {
    decode(&mut line.to_string().into_bytes()).map(|message| message.map(str::to_string))
}

fn tcp<'a>(addresses: &[&'a str], port: u16, framed: Option<Framed<&'a str>>) -> Description<&'a str> {
    Description::Tcp { addresses: addresses.iter().copied().collect(), port, framed }
}

/// Every message with the line that Mozilla's programs write, or that we write to our own.
fn golden() -> Vec<(Message<&'static str>, &'static str)> {
    let framed = Framed { version: 1, port: 40124, fingerprint: "AA:BB", token: "t" };
    vec![
        (Message::Connect { device_id: "phone.local", extension: 0 }, r#"{"type":"connect","deviceId":"phone.local"}"#),
        (Message::Connect { device_id: "box", extension: 1 }, r#"{"type":"connect","deviceId":"box","greenroom":1}"#),
        (Message::ConnectAck { extension: 0 }, r#"{"type":"connect-ack"}"#),
        (Message::ConnectAck { extension: 1 }, r#"{"type":"connect-ack","greenroom":1}"#),
        (Message::Disconnect { reason: Reason::NORMAL }, r#"{"type":"disconnect","reason":0}"#),
        (Message::Disconnect { reason: Reason::FAILURE }, r#"{"type":"disconnect","reason":2147500037}"#),
        (Message::Disconnect { reason: Reason::OPERATION }, r#"{"type":"disconnect","reason":2152923168}"#),
        (Message::Disconnect { reason: Reason::TIMEOUT }, r#"{"type":"disconnect","reason":2152923159}"#),
        (
            Message::Launch { presentation_id: "{id}", url: "http://tv.example/" },
            r#"{"type":"launch","presentationId":"{id}","url":"http://tv.example/"}"#,
        ),
        (Message::LaunchAck { presentation_id: "{id}" }, r#"{"type":"launch-ack","presentationId":"{id}"}"#),
        (Message::Terminate { presentation_id: "{id}" }, r#"{"type":"terminate","presentationId":"{id}"}"#),
        (Message::TerminateAck { presentation_id: "{id}" }, r#"{"type":"terminate-ack","presentationId":"{id}"}"#),
        (
            Message::Reconnect { presentation_id: "{id}", url: "http://tv.example/" },
            r#"{"type":"reconnect","presentationId":"{id}","url":"http://tv.example/"}"#,
        ),
        (Message::ReconnectAck { presentation_id: "{id}" }, r#"{"type":"reconnect-ack","presentationId":"{id}"}"#),
        (
            Message::Offer(tcp(&["192.168.1.5"], 40123, None)),
            r#"{"type":"offer","offer":{"type":1,"tcpAddress":["192.168.1.5"],"tcpPort":40123}}"#,
        ),
        (
            Message::Offer(tcp(&["192.168.1.5", "fe80::1"], 40123, Some(framed.clone()))),
            concat!(
                r#"{"type":"offer","offer":{"type":1,"tcpAddress":["192.168.1.5","fe80::1"],"tcpPort":40123,"#,
                r#""greenroomFramed":{"version":1,"port":40124,"certFingerprint":"AA:BB","token":"t"}}}"#
            ),
        ),
        (Message::Answer(tcp(&[], 0, None)), r#"{"type":"answer","answer":{"type":1,"tcpAddress":[],"tcpPort":0}}"#),
        (
            Message::Offer(Description::DataChannel { sdp: r#"{"type":"offer","sdp":"v=0\r\n"}"# }),
            r#"{"type":"offer","offer":{"type":2,"dataChannelSDP":"{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}"}}"#,
        ),
        (
            Message::IceCandidate { candidate: r#"{"candidate":"a"}"# },
            r#"{"type":"ice-candidate","candidate":"{\"candidate\":\"a\"}"}"#,
        ),
        (Message::Ping, r#"{"type":"greenroom-ping"}"#),
        (Message::Pong, r#"{"type":"greenroom-pong"}"#),
    ]
}

/// PS-32: what stands here is what installed peers write and read.
#[test]
fn every_message_is_the_line_that_the_protocol_has_for_it_and_back() {
    for (message, line) in golden() {
        assert_eq!(line_of(&message), format!("{line}\n"));
        assert_eq!(read(line).unwrap(), message.map(str::to_string), "{line}");
    }
}

/// PS-32
///
/// Presentation defect 12
#[test]
fn fields_in_another_order_space_and_unknown_fields_do_no_harm() {
    let line = r#" { "url" : "http:\/\/a" , "x" : {"y":[1,2,{"z":null}]}, "presentationId":"p", "type" : "launch" } "#;
    assert_eq!(read(line).unwrap(), Message::Launch { presentation_id: "p".into(), url: "http://a".into() });
    let answer = r#"{"type":"answer","answer":{"type":1,"tcpAddress":[null,""]}}"#;
    assert_eq!(read(answer).unwrap(), Message::Answer(tcp(&[""], 0, None).map(str::to_string)));
}

/// PS-32
///
/// Presentation defect 2
#[test]
fn what_is_of_an_unknown_type_or_empty_is_unknown() {
    for line in ["", "  \t", "{}", r#"{"type":"feature-of-2030","reason":"x"}"#, r#"{"type":null}"#] {
        assert_eq!(read(line), Ok(Message::Unknown), "{line}");
    }
}

/// PS-32
///
/// Presentation defect 2
#[test]
fn what_is_no_object_is_no_message() {
    for line in ["null", "42", "\"connect\"", "[]", "true", "GET / HTTP/1.1", "{", "}{", r#"{"type":1}"#, "{\"type\":"]
    {
        assert_eq!(read(line), Err(Garbage::NotJson), "{line}");
    }
    assert_eq!(read(r#"{"type":"launch","presentationId":"p","url":"\x"}"#), Err(Garbage::NotJson));
}

/// PS-32
///
/// Presentation defect 11
#[test]
fn a_known_message_without_what_belongs_to_it_is_incomplete() {
    for line in [
        r#"{"type":"connect"}"#,
        r#"{"type":"launch","presentationId":"p"}"#,
        r#"{"type":"launch","presentationId":"p","url":null}"#,
        r#"{"type":"terminate"}"#,
        r#"{"type":"offer"}"#,
        r#"{"type":"offer","offer":{"type":1,"tcpPort":70000}}"#,
        r#"{"type":"offer","offer":{"type":2}}"#,
        r#"{"type":"offer","offer":{"type":9}}"#,
    ] {
        assert_eq!(read(line), Err(Garbage::Incomplete), "{line}");
    }
}

/// PS-32: whoever leaves has left.
#[test]
fn a_disconnect_with_a_reason_that_is_no_number_is_a_failure() {
    assert_eq!(read(r#"{"type":"disconnect"}"#), Ok(Message::Disconnect { reason: Reason::NORMAL }));
    for reason in ["-1", "99999999999", "\"x\"", "1.5", "{}"] {
        let line = format!(r#"{{"type":"disconnect","reason":{reason}}}"#);
        assert_eq!(read(&line), Ok(Message::Disconnect { reason: Reason::FAILURE }), "{line}");
    }
}

/// PS-32: the parser would recurse as deep as the peer likes.
#[test]
fn a_line_nested_a_hundred_thousand_deep_is_no_message() {
    let deep = format!(r#"{{"type":"connect","x":{}"#, "[".repeat(100_000));
    assert_eq!(read(&deep), Err(Garbage::NotJson));
    let in_a_text = format!(r#"{{"type":"connect","deviceId":"{}"}}"#, "[\\\"{".repeat(1000));
    assert!(read(&in_a_text).is_ok());
}

/// PS-32
///
/// Presentation defect 6
#[test]
fn text_of_any_script_arrives_as_it_was_and_travels_as_ascii() {
    let name = "Wohnzimmer-Gerät 日本€ 😀 \" \\ / \u{0} \u{7f}\n";
    let line = line_of(&Message::Connect { device_id: name, extension: 0 });
    assert!(line.is_ascii(), "{line}");
    assert_eq!(read(&line).unwrap(), Message::Connect { device_id: name.into(), extension: 0 });
    let as_utf8 = r#"{"type":"connect","deviceId":"日本€"}"#;
    assert_eq!(read(as_utf8).unwrap(), Message::Connect { device_id: "日本€".into(), extension: 0 });
    let half_a_pair = r#"{"type":"connect","deviceId":"a\ud83db"}"#;
    assert_eq!(read(half_a_pair).unwrap(), Message::Connect { device_id: "a\u{fffd}b".into(), extension: 0 });
}

/// PS-32: Mozilla's programs cut each character to its low byte.
///
/// Presentation defect 6
#[test]
fn a_line_in_latin_1_is_read_as_latin_1() {
    let mut lines = Lines::new([0; 64]);
    let mut input: &[u8] = b"{\"type\":\"connect\",\"deviceId\":\"Ger\xE4t \xFF\"}\r\n";
    let line = lines.next(&mut input).unwrap().unwrap();
    assert_eq!(decode(line), Ok(Message::Connect { device_id: "Gerät ÿ", extension: 0 }));
}

/// PS-04: more addresses than are kept do not make the offer worthless.
///
/// Presentation defect 27
#[test]
fn of_too_many_addresses_the_first_are_used() {
    let many: Vec<String> = (0..20).map(|it| format!("\"10.0.0.{it}\"")).collect();
    let line = format!(r#"{{"type":"offer","offer":{{"type":1,"tcpAddress":[{}],"tcpPort":9}}}}"#, many.join(","));
    let Ok(Message::Offer(Description::Tcp { addresses, .. })) = read(&line) else { panic!("{line}") };
    assert_eq!((addresses.len(), addresses[7].as_str()), (TRANSPORT_ADDRESSES_MAX, "10.0.0.7"));
}

/// PS-06: an SDP of 70 kB is borrowed from its line.
///
/// Presentation defect 1
#[test]
fn a_long_description_goes_through_and_stays_where_it_is() {
    let sdp = "a=candidate:\"1\" 1 udp\r\n".repeat(3000);
    let line = line_of(&Message::Offer(Description::DataChannel { sdp: &sdp }));
    let mut lines = Lines::new(vec![0; CONTROL_LINE_BYTES_MAX]);
    let mut input = line.as_bytes();
    let line = lines.next(&mut input).unwrap().unwrap();
    let place = line.as_ptr_range();
    let Ok(Message::Offer(Description::DataChannel { sdp: found })) = decode(line) else { panic!() };
    assert_eq!(found, sdp);
    assert!(place.contains(&found.as_ptr()));
}

#[test]
fn a_message_that_does_not_fit_its_buffer_is_refused() {
    for (message, line) in golden() {
        let mut buffer = vec![0; line.len()];
        assert!(encode(&message, &mut buffer).is_err());
        assert!(encode(&message, &mut vec![0; line.len() + 1]).is_ok());
    }
}

/// What comes out of these bytes when they arrive in these pieces.
fn arriving(pieces: &[&[u8]], bytes_max: usize) -> Vec<Result<String, Garbage>> {
    let mut lines = Lines::new(vec![0; bytes_max]);
    let mut found = Vec::new();
    for mut input in pieces.iter().copied() {
        while let Some(line) = lines.next(&mut input) {
            found.push(line.map(|line| String::from_utf8(line.to_vec()).unwrap()));
        }
        assert!(input.is_empty());
    }
    found
}

/// PS-32
///
/// Presentation defect 1
#[test]
fn lines_are_the_same_at_every_split() {
    let bytes = b"one\n\ntwo\r\nthree four five six\nseven\n";
    let expected = arriving(&[bytes], 8);
    let line = |text: &str| Ok(text.to_string());
    assert_eq!(expected, [line("one"), line(""), line("two"), Err(Garbage::TooLong), line("seven")]);
    for split in 0..=bytes.len() {
        let (one, other) = bytes.split_at(split);
        assert_eq!(arriving(&[one, other], 8), expected, "split at {split}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(arriving(&single, 8), expected);
}

/// PS-32
///
/// Presentation defect 1
#[test]
fn messages_are_the_same_however_they_are_split_and_joined() {
    let whole: String = golden().iter().map(|(_, line)| format!("{line}\n\nnull\n")).collect();
    let expected = arriving(&[whole.as_bytes()], 256);
    let mut seed = 1_u64;
    for _ in 0..10_000 {
        let (mut pieces, mut rest) = (Vec::new(), whole.as_bytes());
        while !rest.is_empty() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = ((seed >> 33) as usize % 200).min(rest.len());
            let (piece, after) = rest.split_at(size);
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(arriving(&pieces, 256), expected);
    }
}

/// PS-32
///
/// Presentation defect 8
#[test]
fn a_line_of_a_mebibyte_is_dropped_and_the_next_one_is_read() {
    let mut bytes = vec![b'x'; 1 << 20];
    bytes.extend_from_slice(b"\nnext\n");
    assert_eq!(arriving(&[&bytes], 1024), [Err(Garbage::TooLong), Ok("next".to_string())]);
}

#[test]
fn only_what_waits_for_its_newline_is_partial() {
    let mut lines = Lines::new([0; 4]);
    assert!(!lines.is_partial());
    assert!(lines.next(&mut b"ab".as_slice()).is_none());
    assert!(lines.is_partial());
    assert!(lines.next(&mut b"\n".as_slice()).is_some());
    assert!(!lines.is_partial());
    assert!(lines.next(&mut b"abcdefgh".as_slice()).is_none());
    assert!(lines.is_partial());
}

/// PS-32: nothing that comes makes it panic, and what it makes of it is text of the line.
#[test]
fn random_bytes_and_mutilated_messages_are_taken_calmly() {
    let mut seed = 7_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize
    };
    let golden = golden();
    let (mut sound, mut garbage) = (0, 0);
    for _ in 0..50_000 {
        let mut line = golden[random() % golden.len()].1.as_bytes().to_vec();
        for _ in 0..random() % 4 {
            let place = random() % line.len();
            line[place] = b"\"\\{}[],:u0x\xFF\x00"[random() % 13];
        }
        line.push(b'\n');
        let mut lines = Lines::new([0; 512]);
        match decode(lines.next(&mut line.as_slice()).unwrap().unwrap()) {
            Ok(_) => sound += 1,
            Err(_) => garbage += 1,
        }
    }
    assert!(sound > 5_000 && garbage > 5_000, "{sound} {garbage}");
}
