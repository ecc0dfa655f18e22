//! Linux keeps the claims that need no child: while one is started it has copies of all descriptors for a moment, and
//! what another test has closed is then not closed yet.

greenroom_tests::sockets_conformance!(greenroom_tests::conformance::linux::Linux::new());
greenroom_tests::watching_conformance!(greenroom_tests::conformance::linux::Linux::new());
greenroom_tests::listeners_conformance!(greenroom_tests::conformance::linux::Linux::new());
greenroom_tests::memory_conformance!(greenroom_tests::conformance::linux::Linux::new());
greenroom_tests::authority_conformance!({
    let text = "[control]\nallow_users = ['64001']\n[app.own]\ncontrollers = ['64002']";
    greenroom_daemon::access::Access::resolve(&text.parse().unwrap()).unwrap()
});
