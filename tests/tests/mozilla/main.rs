//! Greenroom beside a peer that runs Mozilla's own presentation scripts.
//!
//! The peer is no part of this project. `GREENROOM_MOZILLA_PEER` says how it is started: a program and its arguments, with
//! spaces between them; without it every test here says loudly that it was skipped. `docs/presentation.md` tells more.
//!
//! The peer reads orders from its standard input, one JSON object a line, and writes what happens to its standard output
//! in the same way; it ends with its standard input. It loads each page at once, and forgets nobody that it was told of.
//!
//! | order | what the peer does |
//! |---|---|
//! | `{"do":"serve","id":ID,"encrypt":BOOL}` | listens, as the device of this identifier; the first order of all |
//! | `{"do":"know","device":DEVICE}` | takes that for the device that later comes and calls itself so |
//! | `{"do":"page","load":"ready" or "fails" or "never"}` | how pages load from now on |
//! | `{"do":"start","presentation":NAME,"url":URL,"device":DEVICE}` | has a page shown on that device |
//! | `{"do":"send","presentation":NAME,"text":TEXT}` | sends a message, on either end |
//! | `{"do":"close" or "reconnect" or "terminate","presentation":NAME}` | what a page does with its connection |
//! | `{"do":"fail","presentation":NAME,"reason":NUMBER}` | leaves everything of it, for this reason |
//!
//! A device is `{"id":ID,"address":ADDRESS,"port":PORT,"fingerprint":TEXT}`, the fingerprint empty without TLS.
//!
//! | event | what has happened |
//! |---|---|
//! | `{"is":"serving","port":PORT,"fingerprint":TEXT}` | it listens |
//! | `{"is":"done"}` | what `know` and `page` say is known |
//! | `{"is":"requested","presentation":NAME,"url":URL,"device":ID}` | another device launches a page, or is back |
//! | `{"is":"state","presentation":NAME,"state":STATE,"reason":NUMBER}` | a connection is connecting, connected, closed or terminated |
//! | `{"is":"message","presentation":NAME,"text":TEXT}` | a message came |
//! | `{"is":"channel","state":"connected" or "disconnected","reason":NUMBER}` | so is a control channel |
//! | `{"is":"reconnected","presentation":NAME,"status":NUMBER}` | what came of reconnecting |
//! | `{"is":"gone","presentation":NAME}` | the peer has forgotten the presentation |

mod boxes;
mod controller;
mod peer;
mod receiver;
