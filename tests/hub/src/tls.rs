//! TLS in front of the sockets: a private CA, and threads that forward decrypted data to the plain
//! HTTP server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::server::lock;

const BLOCK: usize = 16 * 1024;

/// The certificate of a hub's hosts.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    /// It is signed by itself and is a CA, as `openssl req -x509` makes it; otherwise a private CA
    /// has signed it.
    pub is_own_ca: bool,
    /// It was valid in the year 2020 only.
    pub is_expired: bool,
    /// It is valid from the year 2090 on.
    pub is_early: bool,
    pub names: Vec<String>,
}

impl Default for ServerCertificate {
    fn default() -> Self {
        Self {
            is_own_ca: false,
            is_expired: false,
            is_early: false,
            names: ["127.0.0.1", "localhost"].map(str::to_owned).into(),
        }
    }
}

/// A certificate and its CA.
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    pub(crate) ca_pem: String,
}

impl Tls {
    /// Creates new keys, so that the CA bundle of another hub is not accepted.
    pub(crate) fn new(wanted: ServerCertificate) -> io::Result<Self> {
        let (ca_pem, chain, key) = certify(wanted).map_err(io::Error::other)?;
        // The client uses the same provider, so no second one is compiled.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        Ok(Self {
            config: Arc::new(config),
            ca_pem,
        })
    }

    /// Returns the plain end of an encrypted connection.
    ///
    /// Closing it closes the connection without a TLS `close_notify`, like a broken connection.
    pub(crate) fn open(&self, encrypted: TcpStream) -> io::Result<TcpStream> {
        let session = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        let (ours, plain) = pair()?;
        let forward = Forwarder {
            session: Mutex::new(session),
            encrypted,
            plain: ours,
        };
        std::thread::spawn(move || {
            std::thread::scope(|scope| {
                scope.spawn(|| forward.until_closed(Forwarder::encrypt_all));
                forward.until_closed(Forwarder::decrypt_all);
            });
        });
        Ok(plain)
    }
}

type Certified = (
    String,
    Vec<rustls::pki_types::CertificateDer<'static>>,
    PrivateKeyDer<'static>,
);

fn certify(wanted: ServerCertificate) -> Result<Certified, rcgen::Error> {
    let mut own = CertificateParams::new(wanted.names)?;
    if wanted.is_expired {
        own.not_before = rcgen::date_time_ymd(2020, 1, 1);
        own.not_after = rcgen::date_time_ymd(2020, 12, 31);
    }
    if wanted.is_early {
        own.not_before = rcgen::date_time_ymd(2090, 1, 1);
        own.not_after = rcgen::date_time_ymd(2090, 12, 31);
    }
    let key = KeyPair::generate()?;
    if wanted.is_own_ca {
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = own.self_signed(&key)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        return Ok((certificate.pem(), vec![certificate.der().clone()], key));
    }
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "hfdl test hub CA");
    let ca_key = KeyPair::generate()?;
    let ca_pem = params.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(params, ca_key);

    let certificate = own.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok((ca_pem, vec![certificate.der().clone()], key))
}

/// Returns the two ends of a connection; there is no portable call for it.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    loop {
        let (other, from) = listener.accept()?;
        if from == one.local_addr()? {
            return Ok((one, other));
        }
    }
}

struct Forwarder {
    session: Mutex<ServerConnection>,
    encrypted: TcpStream,
    plain: TcpStream,
}

impl Forwarder {
    /// Closes both directions when one has ended.
    fn until_closed(&self, forward: fn(&Self) -> io::Result<()>) {
        // The client reports how the connection ended.
        let _ = forward(self);
        for stream in [&self.encrypted, &self.plain] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn decrypt_all(&self) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            let n = (&self.encrypted).read(&mut block)?;
            if n == 0 {
                return Ok(());
            }
            let mut rest = &block[..n];
            while !rest.is_empty() {
                let plain = self.decrypt(&mut rest)?;
                (&self.plain).write_all(&plain)?;
            }
        }
    }

    fn decrypt(&self, bytes: &mut &[u8]) -> io::Result<Vec<u8>> {
        let mut session = lock(&self.session);
        session.read_tls(bytes)?;
        let state = session.process_new_packets().map_err(io::Error::other);
        // The handshake's answer, or the alert with the reason for a failure.
        while session.wants_write() {
            session.write_tls(&mut &self.encrypted)?;
        }
        let mut plain = vec![0; state?.plaintext_bytes_to_read()];
        session.reader().read_exact(&mut plain)?;
        Ok(plain)
    }

    fn encrypt_all(&self) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            let n = (&self.plain).read(&mut block)?;
            if n == 0 {
                return Ok(());
            }
            let mut session = lock(&self.session);
            session.writer().write_all(&block[..n])?;
            while session.wants_write() {
                session.write_tls(&mut &self.encrypted)?;
            }
        }
    }
}
