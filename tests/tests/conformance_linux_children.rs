//! Linux keeps the claims about children.

greenroom_tests::children_conformance!(greenroom_tests::conformance::linux::Linux::new());
