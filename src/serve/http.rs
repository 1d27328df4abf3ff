//! As much of HTTP/1.1 as a browser and a scraper need: GET, one request a connection.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

/// The longest request that is read; browsers send less than a tenth of it.
const REQUEST_BYTES: usize = 8 << 10;
/// Headers that are read at most.
const HEADERS: usize = 64;
/// How long a client may take for its request, for reading the answer, and to hang up.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer: status, kind of content, and content.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    pub(super) fn page(html: &str) -> Self {
        Self { status: 200, kind: "text/html; charset=utf-8", body: html.into() }
    }

    pub(super) fn json(text: String) -> Self {
        Self { status: 200, kind: "application/json", body: text.into() }
    }

    pub(super) fn metrics(text: String) -> Self {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        Self { status: 200, kind, body: text.into() }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, kind: TEXT, body: text.into() }
    }

    /// 200 and a word, or 503 and the reason.
    pub(super) fn verdict(word: &str, result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::text(200, &format!("{word}\n")),
            Err(reason) => Self::text(503, &format!("{reason}\n")),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let Self { status, kind, body } = self;
        let mut head = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
        // The page may run its own script and ask its own server, and nothing else, so that even
        // a hole in its escaping could send nothing away.
        let fields = [
            ("Content-Type", kind),
            ("Connection", "close"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                 img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'",
            ),
        ];
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").ok();
        }
        if status == 405 {
            head.push_str("Allow: GET\r\n");
        }
        write!(head, "Content-Length: {}\r\n\r\n", body.len()).ok();
        let mut bytes = head.into_bytes();
        bytes.extend(body);
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// A client, and how far its request has come.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    phase: Phase,
    until: Instant,
}

#[derive(Debug)]
enum Phase {
    Asking(Vec<u8>),
    Answering {
        bytes: Vec<u8>,
        sent: usize,
    },
    /// Answered. What the client still sends is read, because closing a socket with unread bytes
    /// would take the answer back.
    HangingUp,
}

impl Connection {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, phase: Phase::Asking(Vec::new()), until: Instant::now() + PATIENCE }
    }

    /// Whether its client took too long.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Goes as far as it can without waiting. False when the connection is done with.
    pub(super) fn go_on(&mut self, mut answer: impl FnMut(&str) -> Answer) -> bool {
        loop {
            let done = match &mut self.phase {
                Phase::Asking(head) => ask(&mut self.socket, head, &mut answer),
                Phase::Answering { bytes, sent } => send(&mut self.socket, bytes, sent),
                Phase::HangingUp => hang_up(&mut self.socket),
            };
            match done {
                Ok(Some(next)) => {
                    self.phase = next;
                    self.until = Instant::now() + PATIENCE;
                }
                Ok(None) => return false,
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return err.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

fn ask(
    socket: &mut TcpStream,
    head: &mut Vec<u8>,
    answer: &mut impl FnMut(&str) -> Answer,
) -> io::Result<Option<Phase>> {
    let mut bytes = [0; 1 << 10];
    loop {
        let read = socket.read(&mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&bytes[..read]);
        if let Some(reply) = reply(head, answer) {
            return Ok(Some(Phase::Answering { bytes: reply.bytes(), sent: 0 }));
        }
    }
}

/// The answer to a request, once all of its head is there.
fn reply(head: &[u8], answer: &mut impl FnMut(&str) -> Answer) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() < REQUEST_BYTES => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Answer::text(431, "the request is too long\n"));
        }
        Err(err) => return Some(Answer::text(400, &format!("this is no HTTP request: {err}\n"))),
    }
    if request.method != Some("GET") {
        return Some(Answer::text(405, "only GET\n"));
    }
    let target = request.path.unwrap_or_default();
    Some(answer(target.split('?').next().unwrap_or_default()))
}

fn send(socket: &mut TcpStream, bytes: &[u8], sent: &mut usize) -> io::Result<Option<Phase>> {
    while *sent < bytes.len() {
        *sent += socket.write(&bytes[*sent..])?;
    }
    socket.shutdown(Shutdown::Write)?;
    Ok(Some(Phase::HangingUp))
}

fn hang_up(socket: &mut TcpStream) -> io::Result<Option<Phase>> {
    while socket.read(&mut [0; 1 << 10])? > 0 {}
    Ok(None)
}
