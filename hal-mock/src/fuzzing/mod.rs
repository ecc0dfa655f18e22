//! What must hold whatever comes from outside, and whatever is done in whichever order.
//!
//! Each function of [`TARGETS`] is one fuzz target: it takes bytes that a fuzzer makes up, and panics when something that
//! must hold does not. The targets in `fuzz/` are glue, so that everything here is tested without a fuzzer, too.
//!
//! | module | what the bytes are | what must hold |
//! |---|---|---|
//! | [`messages`] | the messages of each conversation | what is read survives its encoding |
//! | [`differential`] | the same | a second, naive decoder reads the same, and a naive encoder writes the same |
//! | [`mod@papi`] | what two devices say on a control channel, split anyhow | the same, with a naive decoder of JSON |
//! | [`mod@crossing`] | descriptions and candidates that cross two services, split anyhow | as the page has said them, or refused for want of room |
//! | [`mod@frame`] | the framed transport's bytes, split anyhow | frames as they were sent, only from who has the ticket |
//! | [`mod@trace`] | a file of traces, with checksums that are put right | what is read is there, and survives |
//! | [`mod@forged`] | a machine that was made up, and what it was told | it ends nobody who looks at it, and its trace replays to the same |
//! | [`hostile_ring`] | what the other end of a ring does between any two reads | nothing outside of the ring, nothing believed twice, no end without bound |
//! | [`mod@ring`] | operations on both ends of a ring | it is a queue, and whoever sleeps is woken |
//! | [`mod@table`], [`mod@ledger`] | operations | it is a list, it is a sum |
//! | [`mod@manager`] | requests, deeds of session servers, time | what can be seen of the box from outside |
//! | [`mod@session`] | what the manager, clients, decoders and key systems do, time | what can be seen of a session server from outside |
//! | [`mod@client`] | what an app, its platform and its session server do, time | what can be seen of a client library from outside |
//! | [`mod@presentation`] | what clients, other devices, transports and processes do, time | what can be seen of a presentation service from outside |
//! | [`mod@content`] | what happens to a connection whose data channel its page builds | nothing said, given or delivered before its time |
//! | [`connections`] | what controllers, session servers and clients send, with any descriptors; calls of the platform that fail | answers, rest, nothing left |
//! | [`corpus`], [`seeds`] | | inputs as they are kept, and those to start from |

pub mod client;
pub mod connections;
pub mod content;
pub mod corpus;
pub mod crossing;
pub mod differential;
pub mod forged;
pub mod frame;
pub mod hostile_ring;
pub mod ledger;
pub mod manager;
pub mod messages;
mod naive;
pub mod papi;
pub mod presentation;
mod protocol;
pub mod ring;
pub mod seeds;
pub mod session;
mod steps;
pub mod table;
pub mod trace;
mod value;

/// What takes bytes that a fuzzer makes up, and its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every fuzz target.
pub const TARGETS: &[Target] = &[
    ("codec_control", messages::control),
    ("codec_link", messages::link),
    ("codec_playback", messages::playback),
    ("codec_keys", messages::keys),
    ("codec_audio", messages::audio),
    ("codec_presentation", messages::presentation),
    ("codec_papi", papi::papi),
    ("codec_crossing", crossing::crossing),
    ("codec_frame", frame::frame),
    ("codec_papi_differential", papi::papi_differential),
    ("codec_differential", differential::second_opinion),
    ("trace", trace::trace),
    ("trace_forged", forged::forged),
    ("ring_hostile_producer", hostile_ring::hostile_producer),
    ("ring_hostile_consumer", hostile_ring::hostile_consumer),
    ("ring_place", hostile_ring::place),
    ("operations_ring", ring::ring),
    ("operations_table", table::table),
    ("operations_ledger", ledger::ledger),
    ("operations_manager", manager::manager),
    ("operations_session", session::session),
    ("operations_client", client::client),
    ("operations_presentation", presentation::presentation),
    ("operations_content", content::content),
    ("connections_manager", connections::manager),
    ("connections_session", connections::session),
];
