//! What local clients and the presentation service say.

use greenroom_core::limits::URLS_MAX;

use super::{Bool, Byte, ByteArray, Bytes, Fields, ID, LONG_TEXT, List, OneOf, Optional, Shape, U16, U32, U64, Unit};

const URLS: Shape = List(&LONG_TEXT, URLS_MAX);
const TOKEN: Shape = ByteArray(16);
const TRANSPORT: Shape = OneOf(&[("Tcp", Unit), ("DataChannel", Unit)]);
const PAYLOAD: Shape = OneOf(&[("Text", LONG_TEXT), ("Binary", Bytes)]);
const PIECE: Shape = OneOf(&[
    ("Offer", LONG_TEXT),
    ("Answer", LONG_TEXT),
    ("Candidate", LONG_TEXT),
    ("Open", Unit),
    ("Closed", Unit),
    ("Over", CLOSE_REASON),
]);
const STATE: Shape = OneOf(&[("Connecting", Unit), ("Connected", Unit), ("Closed", Unit), ("Terminated", Unit)]);
const CLOSE_REASON: Shape = OneOf(&[("Closed", Unit), ("WentAway", Unit), ("Terminated", Unit), ("Error", U32)]);
const CONNECTION: (&str, Shape) = ("connection", ID);
const SELECTION: (&str, Shape) = ("selection", ID);

/// What a local client asks.
pub(in crate::fuzzing) const PRESENTATION_REQUEST: Shape = Fields(&[("sequence", U32), ("command", COMMAND)]);
const COMMAND: Shape = OneOf(&[
    ("Hello", Unit),
    (
        "Start",
        Fields(&[
            ("presentation_id", LONG_TEXT),
            ("urls", URLS),
            ("origin", LONG_TEXT),
            ("device", Optional(&LONG_TEXT)),
            ("transport", TRANSPORT),
        ]),
    ),
    ("Reconnect", Fields(&[("presentation_id", LONG_TEXT), ("urls", URLS)])),
    ("Close", Fields(&[CONNECTION, ("went_away", Bool)])),
    ("Terminate", Fields(&[CONNECTION])),
    ("End", Fields(&[("presentation_id", LONG_TEXT)])),
    ("Send", Fields(&[CONNECTION, ("payload", PAYLOAD)])),
    ("WatchAvailability", Fields(&[("urls", URLS)])),
    ("UnwatchAvailability", Unit),
    ("ListDevices", Fields(&[("from", U16)])),
    ("List", Fields(&[("from", U16)])),
    ("WatchSelections", Unit),
    ("Select", Fields(&[SELECTION, ("device", LONG_TEXT)])),
    ("Cancel", Fields(&[SELECTION, ("because", OneOf(&[("Cancelled", Unit), ("NotFound", Unit)]))])),
    ("ReceiverReady", Fields(&[("token", TOKEN)])),
    ("ReceiverFailed", Fields(&[("token", TOKEN)])),
    ("ListenForConnections", Unit),
    ("Built", Fields(&[CONNECTION, ("piece", PIECE)])),
    ("RegisterBuilder", Unit),
    ("Traffic", Unit),
]);

/// What the service says to it.
pub(in crate::fuzzing) const PRESENTATION_MESSAGE: Shape = OneOf(&[
    ("Reply", Fields(&[("sequence", U32), ("result", OneOf(&[("Ok", ANSWER), ("Err", REFUSAL)]))])),
    ("Event", EVENT),
]);
const ANSWER: Shape = OneOf(&[
    ("Done", Unit),
    ("Welcome", Fields(&[("version", Byte)])),
    ("Connection", Fields(&[CONNECTION, ("presentation_id", LONG_TEXT), ("url", LONG_TEXT)])),
    ("Availability", Fields(&[("available", Bool)])),
    ("Device", Optional(&Fields(&[("next", U16), ("device_id", LONG_TEXT), ("name", LONG_TEXT)]))),
    ("Listed", Optional(&STATUS)),
    ("Receiver", Fields(&[("presentation_id", LONG_TEXT), ("url", LONG_TEXT)])),
    (
        "Traffic",
        Fields(&[("sent_messages", U64), ("sent_bytes", U64), ("received_messages", U64), ("received_bytes", U64)]),
    ),
]);
const STATUS: Shape = Fields(&[
    ("next", U16),
    CONNECTION,
    ("presentation_id", LONG_TEXT),
    ("url", LONG_TEXT),
    ("device_id", LONG_TEXT),
    ("state", STATE),
    ("is_receiver", Bool),
]);
const EVENT: Shape = OneOf(&[
    ("State", Fields(&[CONNECTION, ("state", STATE), ("reason", Optional(&CLOSE_REASON))])),
    ("Message", Fields(&[CONNECTION, ("payload", PAYLOAD)])),
    ("Available", Fields(&[CONNECTION, ("device_id", LONG_TEXT)])),
    ("Availability", Fields(&[("available", Bool)])),
    ("SelectionAsked", Fields(&[SELECTION, ("origin", LONG_TEXT), ("urls", URLS)])),
    ("SelectionOver", Fields(&[SELECTION])),
    ("Build", Fields(&[CONNECTION, ("offers", Bool)])),
    ("Built", Fields(&[CONNECTION, ("piece", PIECE)])),
]);
const TABLE: Shape = OneOf(&[
    ("Channels", Unit),
    ("Connections", Unit),
    ("Presentations", Unit),
    ("Selections", Unit),
    ("Watches", Unit),
]);
const REFUSAL: Shape = OneOf(&[
    ("Malformed", Unit),
    ("TextLength", Unit),
    ("Urls", Unit),
    ("PresentationExists", Unit),
    ("NotFound", Unit),
    ("WrongState", Fields(&[("state", STATE)])),
    ("AlreadyAsking", Unit),
    ("Denied", Unit),
    ("NotReceiver", Unit),
    ("NoDevice", Unit),
    ("Cancelled", Unit),
    ("NobodyChooses", Unit),
    ("SelectionTimeout", Unit),
    ("Full", Fields(&[("table", TABLE), ("capacity", U16)])),
    ("NotAcknowledged", Unit),
    ("Congested", Unit),
    ("TextOnly", Unit),
    ("OneOnly", Unit),
]);
