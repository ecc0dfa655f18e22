//! The simulated world keeps every claim.

greenroom_tests::sockets_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::watching_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::listeners_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::children_conformance!(greenroom_tests::conformance::mock::Mock::new());
greenroom_tests::memory_conformance!(greenroom_tests::conformance::mock::Mock::new());
