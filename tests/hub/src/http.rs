//! HTTP/1.1 on blocking sockets: reads requests, writes right and faulty answers.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::content::Content;

const LONGEST_HEAD: usize = 256 * 1024;
const BLOCK: usize = 64 * 1024;

/// A received request.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// Returns the target without its query, still encoded.
    pub(crate) fn raw_path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn raw_query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        form_pairs(self.raw_query())
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn wants_keep_alive(&self) -> bool {
        !self
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

pub(crate) fn find_header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let found = headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

pub(crate) fn form_pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decode(&key.replace('+', " ")),
                decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

pub(crate) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// The server side of a connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The last byte of the head stays in the socket until the request is accepted: closing a
    /// socket with unread bytes makes the system send a reset, which is the only portable way to
    /// cause one.
    head_is_open: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            head_is_open: false,
        }
    }

    /// Reads the head of the next request; `None` when the client has closed the connection.
    pub(crate) fn read_head(&mut self) -> io::Result<Option<Incoming>> {
        let mut head = Vec::new();
        let mut window = vec![0; 16 * 1024];
        loop {
            let n = self.stream.peek(&mut window)?;
            if n == 0 {
                return Ok(None);
            }
            let before = head.len();
            head.extend_from_slice(&window[..n]);
            let search_from = before.saturating_sub(3);
            let end = head[search_from..]
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n");
            if let Some(at) = end {
                let last = search_from + at + 3;
                self.skip(last - before)?;
                self.head_is_open = true;
                head.truncate(last - 3);
                return parse_head(&head).map(Some);
            }
            if head.len() > LONGEST_HEAD {
                return Err(invalid("the head of a request is too long"));
            }
            self.skip(n)?;
        }
    }

    /// Consumes the rest of the request and reads its body.
    pub(crate) fn accept(&mut self, incoming: &mut Incoming) -> io::Result<()> {
        if std::mem::take(&mut self.head_is_open) {
            self.skip(1)?;
        }
        let length = incoming
            .header("content-length")
            .and_then(|text| text.parse().ok());
        incoming.body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut incoming.body)
    }

    fn skip(&mut self, n: usize) -> io::Result<()> {
        self.stream.read_exact(&mut vec![0; n])
    }

    /// Writes an answer; returns whether the connection can serve another request.
    pub(crate) fn send(
        &mut self,
        reply: &Reply,
        head_only: bool,
        keep_alive: bool,
        observer: &dyn SendObserver,
    ) -> io::Result<bool> {
        let faults = &reply.faults;
        let length = reply.body.len();
        let has_body = !head_only && reply.status != 304;
        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if reply.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if reply.status != 304 && reply.header("content-length").is_none() {
            head += &format!("Content-Length: {length}\r\n");
        }
        let keep_alive = keep_alive && faults.cut_after.is_none();
        head += if keep_alive {
            "Connection: keep-alive\r\n\r\n"
        } else {
            "Connection: close\r\n\r\n"
        };
        while let Some(pause) = faults.informational {
            // Ends with an error when the client closes the connection.
            self.stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
            std::thread::sleep(pause);
        }
        let mut out = head.into_bytes();
        if let Some((bytes, pause)) = faults.trickle_head {
            for piece in std::mem::take(&mut out).chunks(bytes.max(1)) {
                self.stream.write_all(piece)?;
                std::thread::sleep(pause);
            }
        }

        let until = faults.cut_after.map_or(length, |cut| cut.min(length));
        let mut position = 0;
        while has_body && position < until {
            let stall_at = faults
                .stall_after
                .filter(|at| *at > position)
                .unwrap_or(until);
            let block = faults.trickle.map_or(BLOCK, |(bytes, _)| bytes.max(1));
            let n = (until.min(stall_at) - position).min(block as u64) as usize;
            if faults.stall_after == Some(position) {
                self.flush(&mut out)?;
                observer.stall();
            }
            let mut data = vec![0; n];
            reply.body.read_at(position, &mut data)?;
            faults.corrupt(reply.body.start() + position, &mut data);
            observer.sending(n as u64);
            if reply.chunked {
                out.extend_from_slice(format!("{n:x}\r\n").as_bytes());
                out.append(&mut data);
                out.extend_from_slice(b"\r\n");
            } else {
                out.append(&mut data);
            }
            self.flush(&mut out)?;
            position += n as u64;
            if faults.is_endless && position == until {
                position = 0;
            }
            if let Some((_, pause)) = faults.trickle {
                std::thread::sleep(pause);
            }
        }
        if has_body && reply.chunked && until == length {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush(&mut out)?;
        Ok(keep_alive)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.stream.write_all(out)?;
        out.clear();
        Ok(())
    }
}

/// Observes the progress of an answer.
pub(crate) trait SendObserver {
    /// Called before `n` more body bytes are written to the socket.
    fn sending(&self, n: u64);
    /// Blocks until a stalled answer may continue.
    fn stall(&self);
}

/// An answer.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) chunked: bool,
    pub(crate) faults: BodyFaults,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let reply = Self::new(status).with("Content-Type", "text/plain; charset=utf-8");
        reply.body(Body::Bytes(text.into().into_bytes()))
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        let reply = Self::new(status).with("Content-Type", "application/json; charset=utf-8");
        reply.body(Body::Bytes(value.to_string().into_bytes()))
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    pub(crate) fn drop_header(&mut self, name: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    pub(crate) fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.drop_header(name);
        self.headers.push((name.to_owned(), value.into()));
    }
}

pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// A part of a file; bytes after its end are zero.
    Part {
        content: Content,
        start: u64,
        len: u64,
    },
}

impl Default for Body {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part { len, .. } => *len,
        }
    }

    /// Returns the offset of the body in its file.
    fn start(&self) -> u64 {
        match self {
            Self::Bytes(_) => 0,
            Self::Part { start, .. } => *start,
        }
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => {
                let start = position as usize;
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
                Ok(())
            }
            Self::Part { content, start, .. } => content.read_at(start + position, buffer),
        }
    }
}

/// Faults while the body is written.
#[derive(Default)]
pub(crate) struct BodyFaults {
    pub(crate) cut_after: Option<u64>,
    pub(crate) stall_after: Option<u64>,
    pub(crate) trickle: Option<(usize, Duration)>,
    pub(crate) trickle_head: Option<(usize, Duration)>,
    /// The pause between informational answers.
    pub(crate) informational: Option<Duration>,
    /// The body starts again at its end.
    pub(crate) is_endless: bool,
    /// The offset in the file of the byte to invert.
    pub(crate) flip_at: Option<u64>,
}

impl BodyFaults {
    fn corrupt(&self, offset: u64, data: &mut [u8]) {
        let index = self.flip_at.and_then(|at| at.checked_sub(offset));
        if let Some(byte) = index.and_then(|index| data.get_mut(index as usize)) {
            *byte = !*byte;
        }
    }
}

/// A parsed `Range: bytes=...` with one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeAsked {
    From(u64),
    /// Both ends inclusive.
    Between(u64, u64),
    Last(u64),
}

impl RangeAsked {
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Last(last.parse().ok()?)),
            (first, "") => Some(Self::From(first.parse().ok()?)),
            (first, last) => Some(Self::Between(first.parse().ok()?, last.parse().ok()?)),
        }
    }

    /// Returns start and length within a file of `size` bytes; `None` means 416.
    pub(crate) fn within(self, size: u64) -> Option<(u64, u64)> {
        let (start, end) = match self {
            Self::From(first) => (first, size),
            Self::Between(first, last) => (first, size.min(last.saturating_add(1))),
            Self::Last(n) => (size.saturating_sub(n), size),
        };
        (start < end).then(|| (start, end - start))
    }
}

fn parse_head(head: &[u8]) -> io::Result<Incoming> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("a request head must be UTF-8"))?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(_)) = (first.next(), first.next(), first.next()) else {
        return Err(invalid("a request line has three words"));
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Incoming {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
    })
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        let within =
            |text: &str, size| RangeAsked::parse(text).and_then(|range| range.within(size));
        assert_eq!(within("bytes=0-0", 10), Some((0, 1)));
        assert_eq!(within("bytes=4-", 10), Some((4, 6)));
        assert_eq!(within("bytes=4-99", 10), Some((4, 6)));
        assert_eq!(within("bytes=-3", 10), Some((7, 3)));
        assert_eq!(within("bytes=10-", 10), None);
        assert_eq!(within("bytes=0-0", 0), None);
        assert_eq!(RangeAsked::parse("bytes=0-1,4-5"), None);
    }

    #[test]
    fn form_values_are_decoded() {
        let pairs = form_pairs("paths=a%20b&paths=c+d&x");
        let expected = [("paths", "a b"), ("paths", "c d"), ("x", "")];
        assert_eq!(
            pairs,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
