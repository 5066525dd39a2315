//! A proxy that only knows `CONNECT` and records the requests. One that wants a password
//! refuses every request, and SOCKS as well.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy on a free port; it ends with the test's process.
    pub fn start() -> Self {
        Self::serve_by(serve)
    }

    /// Starts a proxy that accepts no password.
    pub fn start_with_password() -> Self {
        Self::serve_by(|client, _| refuse(&client))
    }

    fn serve_by(serve: fn(TcpStream, &Mutex<Vec<String>>) -> io::Result<()>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                // A client that closes its connection is no failure of the proxy.
                std::thread::spawn(move || drop(serve(stream, &seen)));
            }
        });
        Self { address, heads }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the heads of the requests so far, the first line first.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Tells whether a client was connected to this origin.
    pub fn connected_to(&self, origin: &str) -> bool {
        let (_, host) = origin.split_once("://").unwrap();
        let line = format!("CONNECT {host} ");
        self.heads().iter().any(|head| head.starts_with(&line))
    }
}

/// Refuses the credentials of a client, if it offers any.
fn refuse(client: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut writer = client;
    let mut greeting = [0; 2];
    reader.read_exact(&mut greeting)?;
    let [version, n_methods] = greeting;
    if version != 5 {
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        return writer.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    }
    let mut methods = vec![0; usize::from(n_methods)];
    reader.read_exact(&mut methods)?;
    if !methods.contains(&2) {
        return writer.write_all(&[5, 0xff]);
    }
    writer.write_all(&[5, 2])?;
    reader.read_exact(&mut [0; 2])?;
    writer.write_all(&[1, 1])
}

fn serve(client: TcpStream, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    seen.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        return (&client).write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    };
    let server = TcpStream::connect(target)?;
    (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &server, &mut &client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let _ = io::copy(&mut reader, &mut &server);
        let _ = server.shutdown(Shutdown::Both);
    });
    Ok(())
}
