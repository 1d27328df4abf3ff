//! The part of HTTP/1.1 that browsers and scrapers need: GET, one request per connection.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

/// The longest request. Browsers send less than a tenth of it.
const REQUEST_BYTES: usize = 8 << 10;
/// The most headers of a request.
const HEADERS: usize = 64;
/// How long a client may take to send its request, to read the response, and to hang up.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A response: status, content type and body.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Response {
    pub(super) fn page(html: &str) -> Self {
        Self { status: 200, content_type: "text/html; charset=utf-8", body: html.into() }
    }

    pub(super) fn json(text: String) -> Self {
        Self { status: 200, content_type: "application/json", body: text.into() }
    }

    pub(super) fn metrics(text: String) -> Self {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        Self { status: 200, content_type, body: text.into() }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: TEXT, body: text.into() }
    }

    /// 200 and a word, or 503 and the reason.
    pub(super) fn check(word: &str, result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::text(200, &format!("{word}\n")),
            Err(reason) => Self::text(503, &format!("{reason}\n")),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let Self { status, content_type, body } = self;
        let mut head = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
        // The page may only run its own script and fetch from its own server. Even if it failed to
        // escape a name, nothing could be sent elsewhere.
        let fields = [
            ("Content-Type", content_type),
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

/// A client and the phase of its request.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    phase: Phase,
    until: Instant,
}

#[derive(Debug)]
enum Phase {
    Reading(Vec<u8>),
    Writing {
        bytes: Vec<u8>,
        sent: usize,
    },
    /// The response is sent. What the client still sends is read, because closing a socket with
    /// unread bytes would discard the response.
    Draining,
}

impl Connection {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, phase: Phase::Reading(Vec::new()), until: Instant::now() + TIMEOUT }
    }

    /// Whether the client took too long.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Reads and writes as much as possible without waiting. False when the connection is closed.
    pub(super) fn advance(&mut self, mut respond: impl FnMut(&str) -> Response) -> bool {
        loop {
            let next = match &mut self.phase {
                Phase::Reading(head) => read_request(&mut self.socket, head, &mut respond),
                Phase::Writing { bytes, sent } => write_response(&mut self.socket, bytes, sent),
                Phase::Draining => drain(&mut self.socket),
            };
            match next {
                Ok(Some(next)) => {
                    self.phase = next;
                    self.until = Instant::now() + TIMEOUT;
                }
                Ok(None) => return false,
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return err.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

fn read_request(
    socket: &mut TcpStream,
    head: &mut Vec<u8>,
    respond: &mut impl FnMut(&str) -> Response,
) -> io::Result<Option<Phase>> {
    let mut bytes = [0; 1 << 10];
    loop {
        let read = socket.read(&mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&bytes[..read]);
        if let Some(response) = response(head, respond) {
            return Ok(Some(Phase::Writing { bytes: response.bytes(), sent: 0 }));
        }
    }
}

/// The response to a request, once its head is complete.
fn response(head: &[u8], respond: &mut impl FnMut(&str) -> Response) -> Option<Response> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() < REQUEST_BYTES => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some(Response::text(431, "the request is too long\n"));
        }
        Err(err) => {
            return Some(Response::text(400, &format!("this is not an HTTP request: {err}\n")));
        }
    }
    if request.method != Some("GET") {
        return Some(Response::text(405, "only GET is allowed\n"));
    }
    let target = request.path.unwrap_or_default();
    Some(respond(target.split('?').next().unwrap_or_default()))
}

fn write_response(
    socket: &mut TcpStream,
    bytes: &[u8],
    sent: &mut usize,
) -> io::Result<Option<Phase>> {
    while *sent < bytes.len() {
        *sent += socket.write(&bytes[*sent..])?;
    }
    socket.shutdown(Shutdown::Write)?;
    Ok(Some(Phase::Draining))
}

fn drain(socket: &mut TcpStream) -> io::Result<Option<Phase>> {
    while socket.read(&mut [0; 1 << 10])? > 0 {}
    Ok(None)
}
