//! A minimal HTTP client that exposes the received bytes unchanged.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// An answer, and whether it was complete.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body had the announced length.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer must be JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One kept-alive connection.
pub struct Client {
    stream: TcpStream,
    origin: String,
}

impl Client {
    /// Connects to the host of a URL.
    pub fn connect(url: &str) -> Self {
        let (host, _) = split(url);
        let stream = TcpStream::connect(host).expect("the host must take connections");
        Self {
            stream,
            origin: format!("http://{host}"),
        }
    }

    /// Sends a request; `None` if the connection ended before a status line.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n",
            &self.origin[7..]
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body;
        self.stream.write_all(request.as_bytes()).ok()?;
        self.read(method == "HEAD")
    }

    fn read(&mut self, head_only: bool) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.bytes(1).filter(|byte| !byte.is_empty())?[0]);
        }
        let head = String::from_utf8(head).expect("a head is ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let mut answer = Answer {
            status: status.parse().expect("a status is a number"),
            headers: headers
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            body: Vec::new(),
            whole: true,
        };
        if head_only || answer.status == 304 {
            return Some(answer);
        }
        if answer.header("transfer-encoding") == "chunked" {
            self.read_chunks(&mut answer);
        } else {
            let length = answer.header("content-length").parse().expect("a length");
            answer.body = self.bytes(length).unwrap_or_default();
            answer.whole = answer.body.len() == length;
        }
        Some(answer)
    }

    fn read_chunks(&mut self, answer: &mut Answer) {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                match self.bytes(1) {
                    Some(byte) if !byte.is_empty() => line.push(byte[0]),
                    _ => return answer.whole = false,
                }
            }
            let text = String::from_utf8(line).expect("a chunk size is ASCII");
            let size = usize::from_str_radix(text.trim(), 16).expect("a chunk size is hex");
            let mut data = self.bytes(size + 2).unwrap_or_default();
            answer.whole = data.len() == size + 2;
            data.truncate(size);
            answer.body.append(&mut data);
            if size == 0 || !answer.whole {
                return;
            }
        }
    }

    /// Reads up to `n` bytes; fewer if the connection ends, `None` if it fails at once.
    fn bytes(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; n];
        let mut done = 0;
        while done < n {
            match self.stream.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(_) if done == 0 => return None,
                Err(_) => break,
            }
        }
        buffer.truncate(done);
        Some(buffer)
    }
}

/// Sends one request to a URL on a connection of its own.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
    try_send(method, url, headers).expect("an answer")
}

pub fn try_send(method: &str, url: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    Client::connect(url).send(method, split(url).1, headers, "")
}

pub fn get(url: &str) -> Answer {
    send("GET", url, &[])
}

/// Splits `http://host:port/target`.
pub fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}
