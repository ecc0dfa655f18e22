//! Who may drive the manager, and which app.

use greenroom_core::hal::{Authority, Peer, Right};
use greenroom_core::message::AppId;

/// May everything.
pub const FULL: Peer = Peer::new(10, 64_001, 64_001);
/// May drive the app "own".
pub const PARTIAL: Peer = Peer::new(11, 64_002, 64_002);
/// May nothing.
pub const STRANGER: Peer = Peer::new(12, 64_003, 64_003);

fn app(name: &str) -> AppId {
    AppId::new(name).expect("a name")
}

/// SM-35
pub fn who_has_the_box_has_every_app(authority: &mut impl Authority) {
    for right in [Right::Any, Right::Box, Right::App(&app("own")), Right::App(&app("other"))] {
        assert!(authority.may(&FULL, right), "{right:?}");
    }
}

/// SM-35
pub fn who_has_one_app_has_no_other_and_not_the_box(authority: &mut impl Authority) {
    assert!(authority.may(&PARTIAL, Right::Any) && authority.may(&PARTIAL, Right::App(&app("own"))));
    for right in [Right::Box, Right::App(&app("other")), Right::App(&app("own2")), Right::App(&app("OWN"))] {
        assert!(!authority.may(&PARTIAL, right), "{right:?}");
    }
}

/// SM-35
pub fn who_is_named_nowhere_has_nothing(authority: &mut impl Authority) {
    for right in [Right::Any, Right::Box, Right::App(&app("own"))] {
        assert!(!authority.may(&STRANGER, right), "{right:?}");
    }
}

/// SM-35
pub fn a_process_and_a_group_of_the_same_number_are_no_user(authority: &mut impl Authority) {
    let borrowed = Peer::new(FULL.user_id, STRANGER.user_id, FULL.user_id);
    assert!(!authority.may(&borrowed, Right::Any));
}

/// Makes a test of each claim about an [`Authority`] that knows these users.
#[macro_export]
macro_rules! authority_conformance {
    ($authority:expr) => {
        $crate::claims! { authority, $authority;
            who_has_the_box_has_every_app
            who_has_one_app_has_no_other_and_not_the_box
            who_is_named_nowhere_has_nothing
            a_process_and_a_group_of_the_same_number_are_no_user
        }
    };
}
