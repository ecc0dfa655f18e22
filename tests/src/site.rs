//! A site of somebody else, as far as Greenroom is concerned.

use std::net::{Ipv4Addr, TcpListener};

use axum::Router;

/// Serves it on the loopback interface for as long as this process lives; gives the port.
///
/// # Panics
/// When no port can be had.
pub fn serve(routes: Router) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    listener.set_nonblocking(true).expect("it can be watched");
    let port = listener.local_addr().expect("it listens").port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it can be watched");
            axum::serve(listener, routes).await
        })
    });
    port
}
