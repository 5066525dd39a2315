//! TLS with the certificates of a bundle, and certificate errors in plain words.
//!
//! ureq makes the TLS connections with the system's certificates. Its verifier
//! refuses a server certificate that is its own CA, also when the bundle has exactly
//! this certificate; curl and Python accept it, and many private servers have one.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::domain::time::Timestamp;

/// Encrypts connections with the certificates of a bundle. Without a bundle it does
/// nothing, and ureq encrypts them with those of the system.
pub(super) struct BundleConnector(pub(super) Option<Arc<ClientConfig>>);

/// Returns the TLS configuration that trusts these certificates only.
pub(super) fn trusting(
    certificates: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    let issued = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = BundleVerifier {
        issued: issued.build().map_err(|err| err.to_string())?,
        certificates,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|err| err.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Accepts certificates that one of the bundle has issued, and those of the bundle.
#[derive(Debug)]
struct BundleVerifier {
    issued: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for BundleVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result =
            self.issued
                .verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        match result {
            // The dates have been checked before that, and the name has not.
            Err(error) if is_own_ca(&error) && self.certificates.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

/// Tells whether a server certificate was refused because it is one of a CA.
fn is_own_ca(error: &Error) -> bool {
    // The verifier's own error type is not public here; its text is its name.
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other))
        if other.to_string().contains("CaUsedAsEndEntity"))
}

const OWN_NETWORK: &str =
    "if the certificate is one of your own network, set `SSL_CERT_FILE` to its CA bundle";

const NO_CERTIFICATES: &str =
    "install the package `ca-certificates`, or set `SSL_CERT_FILE` to a CA bundle";

const CLOCK: &str = "correct the clock of this machine, or renew the server's certificate";

const NAME: &str =
    "use a name of the certificate for the server, or give the server a certificate with this name";

/// Describes a failed handshake: the reason, and the next step where one is certain.
pub(super) fn describe(error: &Error) -> (String, Option<&'static str>) {
    if is_own_ca(error) {
        let reason = "the server has a self-signed certificate, and it is not a trusted one";
        return (reason.to_owned(), Some(OWN_NETWORK));
    }
    match error {
        Error::InvalidCertificate(error) => (
            format!("the server's certificate {}", flaw(error)),
            next(error),
        ),
        // The verifier of the system has no error type for it.
        Error::General(reason) if reason.contains("No CA certificates were loaded") => (
            "this machine has no CA certificates, so no server can be trusted".to_owned(),
            Some(NO_CERTIFICATES),
        ),
        Error::InvalidMessage(_) => {
            let next = "check the address: a server without encryption has `http://`";
            ("the server does not speak TLS".to_owned(), Some(next))
        }
        Error::AlertReceived(alert) => (
            format!("the server ended the handshake (TLS alert {alert:?})"),
            Some(HANDSHAKE),
        ),
        Error::PeerIncompatible(why) => (
            format!("the server has no version or cipher of TLS that is safe ({why:?})"),
            Some(HANDSHAKE),
        ),
        error => (
            format!("the TLS handshake failed: {error}"),
            Some(HANDSHAKE),
        ),
    }
}

const HANDSHAKE: &str =
    "check the address and the proxy; a proxy that opens encrypted connections may cause this";

/// Completes a sentence about a certificate.
fn flaw(error: &CertificateError) -> String {
    use CertificateError as Certificate;
    match error {
        Certificate::Expired => "has expired".to_owned(),
        Certificate::ExpiredContext { not_after, .. } => format!("expired{}", on(*not_after)),
        Certificate::NotValidYet => "is not valid yet".to_owned(),
        Certificate::NotValidYetContext { not_before, .. } => {
            format!("is not valid yet: it begins{}", on(*not_before))
        }
        Certificate::NotValidForName => "is for another name".to_owned(),
        Certificate::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names = presented.iter().map(|name| plain_name(name));
            let names: Vec<String> = names.take(4).collect();
            let expected = expected.to_str();
            let names = names.join(", ");
            format!("is for another name: not for `{expected}`, but for {names}")
        }
        // A certificate of another CA with the same name leads to a wrong signature.
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "has an issuer that is not a trusted one".to_owned()
        }
        Certificate::Revoked => "was revoked".to_owned(),
        error => format!("is not usable: {error}"),
    }
}

/// Returns the next step for a refused certificate.
fn next(error: &CertificateError) -> Option<&'static str> {
    use CertificateError as Certificate;
    match error {
        Certificate::Expired
        | Certificate::ExpiredContext { .. }
        | Certificate::NotValidYet
        | Certificate::NotValidYetContext { .. } => Some(CLOCK),
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Some(NAME),
        Certificate::UnknownIssuer | Certificate::BadSignature => Some(OWN_NETWORK),
        _ => None,
    }
}

fn on(time: UnixTime) -> String {
    let second = i64::try_from(time.as_secs()).ok();
    let moment = second.and_then(|second| Timestamp::from_second(second).ok());
    moment.map_or(String::new(), |moment| format!(" on {moment}"))
}

/// Renders `DnsName("a.example")` as `a.example` in quotes.
fn plain_name(presented: &str) -> String {
    let inner = presented.split('"').nth(1).or_else(|| {
        let (_, rest) = presented.split_once('(')?;
        rest.strip_suffix(')')
    });
    format!("`{}`", inner.unwrap_or(presented))
}

impl<In: Transport> Connector<In> for BundleConnector {
    type Out = Either<In, BundleTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        let config = self.0.as_ref();
        let config = config.filter(|_| details.needs_tls() && !transport.is_tls());
        let Some(config) = config.cloned() else {
            return Ok(Some(Either::A(transport)));
        };
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']))
            .map_err(|_| ureq::Error::Tls("the name of the host is malformed"))?
            .to_owned();
        let mut connection = ClientConnection::new(config, name)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let (input, output) = (
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(BundleTransport {
            buffers: LazyBuffers::new(input, output),
            stream: StreamOwned::new(connection, socket),
        })))
    }
}

impl fmt::Debug for BundleConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BundleConnector")
            .field(&self.0.is_some())
            .finish()
    }
}

/// An encrypted connection.
pub(super) struct BundleTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for BundleTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let n_bytes = self.stream.read(input)?;
        self.buffers.input_appended(n_bytes);
        Ok(n_bytes > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for BundleTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BundleTransport")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_certificates_is_told_how_to_get_them() {
        // The words of `rustls-platform-verifier`.
        let error = Error::General("No CA certificates were loaded from the system".to_owned());
        let (reason, next) = describe(&error);
        assert!(reason.contains("no CA certificates"), "{reason}");
        assert!(next.unwrap().contains("ca-certificates"));
    }
}
