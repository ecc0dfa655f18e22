//! The simulated world keeps every claim.

greenroom_tests::sockets_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::watching_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::listeners_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::children_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::memory_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::authority_conformance!({
    use greenroom_tests::conformance::authority::{FULL, PARTIAL};
    greenroom_hal_mock::Grants::new().everything(FULL.user_id).app(PARTIAL.user_id, "own")
});
