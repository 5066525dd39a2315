//! A byte source over a bare socket: one connection for each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hfdl::domain::outcome::ErrorKind;
use hfdl::domain::ranges::ByteRange;
use hfdl::download::{ByteSource, ByteStream, SourceError};

#[derive(Clone, Debug)]
pub struct HttpSource {
    /// Host and port.
    pub address: String,
    pub path: String,
    /// How long a read waits for bytes.
    pub patience: Duration,
}

impl HttpSource {
    /// Reads `http://127.0.0.1:1234/some/path`.
    pub fn new(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("a plain URL");
        let (address, path) = rest.split_once('/').expect("a URL with a path");
        Self {
            address: address.to_owned(),
            path: format!("/{path}"),
            patience: Duration::from_secs(60),
        }
    }
}

fn network(err: std::io::Error) -> SourceError {
    SourceError::transient(ErrorKind::Network, err.to_string())
}

impl ByteSource for HttpSource {
    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        let mut socket = TcpStream::connect(&self.address).map_err(network)?;
        socket
            .set_read_timeout(Some(self.patience))
            .map_err(network)?;
        let range = range.map_or(String::new(), |range| {
            format!("Range: bytes={}-{}\r\n", range.start, range.end - 1)
        });
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{range}\r\n",
            self.path, self.address
        );
        socket.write_all(request.as_bytes()).map_err(network)?;
        let mut reader = BufReader::with_capacity(8 << 10, socket);
        let head = read_head(&mut reader)?;
        answer(&head, reader)
    }
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn read_head(reader: &mut impl BufRead) -> Result<Head, SourceError> {
    let mut line = String::new();
    let mut next = || {
        line.clear();
        reader.read_line(&mut line).map_err(network)?;
        Ok::<_, SourceError>(line.trim_end().to_owned())
    };
    let status = next()?
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| SourceError::transient(ErrorKind::Network, "no answer"))?;
    let mut headers = Vec::new();
    loop {
        let line = next()?;
        match line.split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => return Ok(Head { status, headers }),
        }
    }
}

fn answer(head: &Head, reader: impl Read + Send + 'static) -> Result<ByteStream, SourceError> {
    let length: Option<u64> = head.get("content-length").and_then(|n| n.parse().ok());
    let reader = Box::new(reader.take(length.unwrap_or(u64::MAX)));
    match head.status {
        200 => Ok(ByteStream {
            starts_at: 0,
            total_size: length,
            whole_file: true,
            wire_bytes: None,
            wire_total: None,
            reader,
        }),
        206 => {
            let range = head.get("content-range").expect("a 206 says which part");
            let (part, total) = range
                .trim_start_matches("bytes ")
                .split_once('/')
                .expect("a size");
            let start = part.split('-').next().and_then(|start| start.parse().ok());
            Ok(ByteStream {
                starts_at: start.expect("a number"),
                total_size: total.parse().ok(),
                whole_file: false,
                wire_bytes: None,
                wire_total: None,
                reader,
            })
        }
        416 => Err(SourceError::range_refused("416")),
        status @ (408 | 429 | 500..) => {
            let kind = if status == 429 {
                ErrorKind::RateLimit
            } else {
                ErrorKind::Hub
            };
            Err(SourceError::transient(kind, format!("HTTP {status}")))
        }
        status => Err(SourceError::permanent(
            ErrorKind::NotFound,
            format!("HTTP {status}"),
        )),
    }
}
