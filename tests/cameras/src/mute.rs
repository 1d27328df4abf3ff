//! A server that never answers.

use std::net::{Ipv4Addr, TcpListener};

/// Accepts connections, up to some hundred, for as long as it lives.
#[derive(Debug)]
pub struct Mute {
    port: u16,
    _listener: TcpListener,
}

/// A server on the loopback interface that accepts connections and never says a word.
///
/// # Panics
///
/// When no port is free.
pub fn mute() -> Mute {
    // The kernel accepts in the name of a listener that never asks whom.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("the address of a listener").port();
    Mute { port, _listener: listener }
}

impl Mute {
    /// Where a camera would be.
    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}
