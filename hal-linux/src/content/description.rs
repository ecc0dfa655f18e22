//! Descriptions and candidates as Mozilla's programs and browsers write them: the JSON of what a page holds in its hands.

use serde::{Deserialize, Serialize};
use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer};

/// An `RTCIceCandidate`. A data channel has one line, so that its number is enough.
#[derive(Serialize, Deserialize)]
struct IceCandidate<'a> {
    #[serde(borrow)]
    candidate: std::borrow::Cow<'a, str>,
    #[serde(rename = "sdpMLineIndex", default)]
    line: Option<u16>,
}

/// The JSON text of an `RTCSessionDescription` that offers.
pub(super) fn offer_text(offer: &SdpOffer) -> Option<String> {
    serde_json::to_string(offer).ok()
}

/// The JSON text of an `RTCSessionDescription` that answers.
pub(super) fn answer_text(answer: &SdpAnswer) -> Option<String> {
    serde_json::to_string(answer).ok()
}

/// What the other side offers; `None` when it is none.
pub(super) fn offer_in(text: &str) -> Option<SdpOffer> {
    serde_json::from_str(text).ok()
}

/// What the other side answers; `None` when it is none.
pub(super) fn answer_in(text: &str) -> Option<SdpAnswer> {
    serde_json::from_str(text).ok()
}

/// The JSON text of an `RTCIceCandidate`.
pub(super) fn candidate_text(candidate: &Candidate) -> Option<String> {
    let candidate = IceCandidate { candidate: candidate.to_sdp_string().into(), line: Some(0) };
    serde_json::to_string(&candidate).ok()
}

/// A way to reach the other side; `None` when it cannot be used. A browser hides its address behind a name of mDNS: it
/// is learnt when it reaches us.
pub(super) fn candidate_in(text: &str) -> Option<Candidate> {
    let text = serde_json::from_str::<IceCandidate<'_>>(text).ok()?;
    Candidate::from_sdp_string(text.candidate.trim_start_matches("a=")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_written_as_browsers_do() {
        let candidate = Candidate::host("127.0.0.1:4000".parse().unwrap(), "udp").unwrap();
        let text = candidate_text(&candidate).unwrap();
        assert!(
            text.starts_with(r#"{"candidate":"candidate:"#) && text.ends_with(r#"typ host","sdpMLineIndex":0}"#),
            "{text}"
        );
        assert_eq!(candidate_in(&text).unwrap().addr(), candidate.addr());
    }

    /// PS-32
    #[test]
    fn what_is_no_address_is_no_candidate() {
        for text in [
            "",
            "null",
            "7",
            "{}",
            r#"{"candidate":""}"#,
            r#"{"candidate":"candidate:1 1 udp 1 4c2b.local 50000 typ host","sdpMid":"0","sdpMLineIndex":0}"#,
            r#"{"candidate":"candidate:1 1 udp 1 127.0.0.1 99999 typ host"}"#,
        ] {
            assert!(candidate_in(text).is_none(), "{text}");
        }
        let spoken = r#"{"candidate":"candidate:1 1 udp 2122260223 10.0.0.2 50000 typ host generation 0 ufrag abcd network-id 1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"abcd"}"#;
        assert_eq!(candidate_in(spoken).unwrap().addr(), "10.0.0.2:50000".parse().unwrap());
    }

    /// PS-32
    #[test]
    fn what_is_no_description_is_refused() {
        for text in
            ["", "{}", r#"{"type":"offer"}"#, r#"{"type":"answer","sdp":"v=0"}"#, r#"{"type":"offer","sdp":""}"#]
        {
            assert!(offer_in(text).is_none(), "{text}");
        }
    }
}
