//! A server on loopback that records the pings that it gets.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// One ping.
#[derive(Clone, Debug)]
pub struct Ping {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Ping {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A listener that lives as long as the test.
pub struct Inbox {
    base: String,
    pings: Arc<Mutex<Vec<Ping>>>,
}

impl Inbox {
    /// Answers everything with this status.
    pub fn answering(status: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let pings = Arc::new(Mutex::new(Vec::new()));
        let inbox = pings.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut reader = BufReader::new(&stream);
                let Some(ping) = read(&mut reader) else {
                    continue;
                };
                inbox.lock().unwrap().push(ping);
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { base, pings }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Waits for the next ping.
    #[cfg(target_os = "linux")]
    pub fn wait_for_one(&self) {
        use std::time::{Duration, Instant};

        let deadline = Instant::now() + Duration::from_secs(30);
        while self.pings.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "no ping came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the pings so far, and forgets them.
    pub fn take(&self) -> Vec<Ping> {
        std::mem::take(&mut self.pings.lock().unwrap())
    }
}

fn read(reader: &mut impl BufRead) -> Option<Ping> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Ping {
        method,
        target,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
