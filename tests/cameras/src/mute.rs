//! A server that never answers.

use std::net::{Ipv4Addr, TcpListener};

/// Accepts about a hundred connections and sends nothing.
#[derive(Debug)]
pub struct Mute {
    port: u16,
    _listener: TcpListener,
}

/// Starts a server on the loopback interface that accepts connections and never answers.
///
/// # Panics
///
/// When no port is free.
pub fn mute() -> Mute {
    // The kernel completes connections to a listener that never calls `accept`.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("the address of a listener").port();
    Mute { port, _listener: listener }
}

impl Mute {
    /// The URL of a camera that would be there.
    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}
