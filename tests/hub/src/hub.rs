//! `TestHub`: start, control and inspect a hub.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::faults::{Action, Fault, On};
use super::http::RangeAsked;
use super::listener::HostListener;
use super::record::Request;
use super::repos::Repo;
use super::route::Api;
use super::server::{Port, Shared, lock};
use super::settings::{Settings, Shape, XetService};
use super::tls::{ServerCertificate, Tls};
use super::world::RepoKey;

/// A Hub, its CDN and its Xet storage on three ports of 127.0.0.1; stops when dropped.
///
/// Panics on drop if a credential was sent to a host that it is not for, unless the test is failing
/// already.
pub struct TestHub {
    pub(crate) shared: Arc<Shared>,
    hub_listener: Arc<HostListener>,
    cdn_listener: Arc<HostListener>,
    cas_listener: Arc<HostListener>,
    threads: Vec<JoinHandle<()>>,
    guards_secrets: bool,
}

impl TestHub {
    /// Starts an empty hub that behaves like huggingface.co, on free ports.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder {
            port: 0,
            cdn_port: 0,
            prefix: String::new(),
            certificate: None,
            settings: Settings::default(),
            guards_secrets: true,
        }
    }

    /// Returns the value for `HF_ENDPOINT`, without a final slash.
    pub fn endpoint(&self) -> String {
        let Shared {
            hub_address,
            prefix,
            ..
        } = &*self.shared;
        format!("{}://{hub_address}{prefix}", self.shared.scheme())
    }

    /// Returns the certificate of the private CA, which may be the one of the hosts.
    ///
    /// # Panics
    /// If the hub has no TLS.
    pub fn ca_pem(&self) -> &str {
        let tls = self.shared.tls.as_ref();
        &tls.expect("built with `tls`").ca_pem
    }

    /// Returns scheme, host and port of the CDN.
    pub fn cdn_origin(&self) -> String {
        self.shared.cdn_origin()
    }

    /// Enables the hub's own Xet storage and the tokens for it. Tests add files with
    /// [`super::CommitDraft::stored`].
    pub fn serve_xet(&self) {
        let cas_url = self.shared.cas_origin();
        self.configure(|settings| {
            settings.xet = Some(XetService {
                cas_url,
                access_token: "xet-4a11d35cb27e".to_owned(),
                lifetime: Duration::from_secs(900),
                second_form: true,
                whole_terms: false,
            });
        });
    }

    /// Returns a repository to write to; its first commit creates it.
    ///
    /// # Panics
    /// If `id` is none of `org/name`, `name`, `datasets/org/name`, `spaces/org/name`,
    /// `kernels/org/name`.
    pub fn repo(&self, id: &str) -> Repo {
        Repo::new(self.shared.clone(), id)
    }

    /// Makes a token valid; of private and gated repositories it opens only those listed.
    pub fn token(&self, token: &str, opens: &[&str]) {
        let opens = opens
            .iter()
            .map(|id| RepoKey::parse(id).web_path())
            .collect();
        self.shared.world().tokens.insert(token.to_owned(), opens);
    }

    /// Makes a login valid: a token as `token` does, and its refresh token.
    pub fn login(&self, access: &str, refresh: &str, opens: &[&str]) {
        self.token(access, opens);
        let mut world = self.shared.world();
        let opens = world.tokens[access].clone();
        world.logins.insert(refresh.to_owned(), opens);
    }

    /// Makes a refresh token invalid, as the end of a session does.
    pub fn end_login(&self, refresh: &str) {
        self.shared.world().logins.remove(refresh);
    }

    /// Lets a repository or user admit the identity token of a pipeline.
    pub fn admit(&self, id_token: &str, resource: &str) {
        let (id_token, resource) = (id_token.to_owned(), resource.to_owned());
        self.shared.world().identities.insert(id_token, resource);
    }

    /// Makes a token invalid.
    pub fn revoke_token(&self, token: &str) {
        self.shared.world().tokens.remove(token);
    }

    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.settings));
    }

    /// Adds a fault.
    ///
    /// If several faults match a request, only the oldest is applied and counted: two faults with
    /// `times(1)` affect two requests, one after the other.
    pub fn fault(&self, on: On, fault: Fault) {
        self.shared.faults.add(on, Action::Fault(fault));
    }

    /// Runs a function once, just before the first matching request is answered.
    ///
    /// For example, to move a revision during a download: `let repo = hub.repo("acme/tiny");
    /// hub.before(On::resolve("config.json"), move || { repo.commit("main").file("config.json",
    /// b"new").publish(); })`
    pub fn before(&self, on: On, act: impl FnOnce() + Send + 'static) {
        self.shared.faults.add(on, Action::Run(Box::new(act)));
    }

    /// Removes all faults and ends all stalls.
    pub fn heal(&self) {
        self.shared.faults.clear();
        self.shared.faults.release();
    }

    /// Marks all CDN links issued so far as expired.
    pub fn expire_links(&self) {
        self.shared.links.expire();
    }

    /// Refuses connections to a port and closes open ones.
    pub fn close_port(&self, port: Port) {
        self.listener(port).close();
        self.shared.close_connections(port);
    }

    /// Accepts connections again.
    pub fn open_port(&self, port: Port) {
        self.listener(port).open();
    }

    /// Returns all requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.entries()
    }

    /// Clears the recorded requests; recorded credential leaks stay.
    pub fn forget_requests(&self) {
        self.shared.requests.forget();
    }

    pub fn count(&self, api: Api) -> usize {
        self.shared
            .requests
            .entries()
            .iter()
            .filter(|request| request.api == api)
            .count()
    }

    /// Returns all requests for the bytes of a file, to the host that has the bytes.
    pub fn downloads(&self, file: &str) -> Vec<Request> {
        let direct = lock(&self.shared.settings).shape.delivery == super::Delivery::Direct;
        let gives_content = |api| match api {
            Api::Cdn | Api::ResolveCache => true,
            Api::Resolve => direct,
            _ => false,
        };
        let mut requests = self.requests();
        requests.retain(|request| {
            request.method == "GET"
                && request.file.as_deref() == Some(file)
                && gives_content(request.api)
        });
        requests
    }

    /// Returns the `Range` of the last request for the bytes of a file, if it had one.
    pub fn last_range(&self, file: &str) -> Option<RangeAsked> {
        self.downloads(file).last()?.range()
    }

    /// Waits until the recorded requests meet a condition, which must not call the hub.
    ///
    /// # Panics
    /// After a minute; the message contains `condition` and all requests.
    pub fn wait_until(&self, condition: &str, met: impl FnMut(&[Request]) -> bool) {
        if !self.shared.requests.wait_until(met) {
            panic!(
                "timed out waiting until {condition}; the requests were:\n{}",
                self.describe_requests()
            );
        }
    }

    /// Returns one line per request, for failure messages.
    pub fn describe_requests(&self) -> String {
        let line = |request: &Request| {
            let range = request.header("range").unwrap_or("-");
            let Request {
                port,
                method,
                target,
                status,
                bytes_sent,
                ..
            } = request;
            format!("{port:?} {method} {target} range {range}: {status}, {bytes_sent} bytes\n")
        };
        self.requests().iter().map(line).collect()
    }

    /// # Panics
    /// If an `Authorization` header, a cookie or a token was sent to the CDN.
    pub fn assert_clean(&self) {
        let leaks = self.shared.requests.leaks().clone();
        assert!(
            leaks.is_empty(),
            "secrets were sent to other hosts: {}",
            leaks.join("; ")
        );
    }

    /// Sets the action of `POST /__hub__/publish`; its text is the answer.
    pub fn on_publish(&self, publish: impl Fn() -> Result<String, String> + Send + Sync + 'static) {
        *lock(&self.shared.publisher) = Some(Arc::new(publish));
    }

    fn listener(&self, port: Port) -> &HostListener {
        match port {
            Port::Hub => &self.hub_listener,
            Port::Cdn => &self.cdn_listener,
            Port::Cas => &self.cas_listener,
        }
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.hub_listener.shut_down();
        self.cdn_listener.shut_down();
        self.cas_listener.shut_down();
        self.shared.stop();
        // Both may contain repositories, and thereby references to the hub itself.
        self.shared.faults.clear();
        *lock(&self.shared.publisher) = None;
        for thread in self.threads.drain(..) {
            // A panic of the accepting thread has been printed already; the test fails for lack of
            // answers.
            let _ = thread.join();
        }
        if self.guards_secrets && !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

/// Options that are fixed once the hub runs.
pub struct Builder {
    port: u16,
    cdn_port: u16,
    prefix: String,
    certificate: Option<ServerCertificate>,
    settings: Settings,
    guards_secrets: bool,
}

impl Builder {
    /// Sets the port of the Hub; 0, the default, uses a free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    pub fn cdn_port(mut self, port: u16) -> Self {
        self.cdn_port = port;
        self
    }

    /// Adds a path in front of all URLs: `/artifactory/api/huggingfaceml/x`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        self
    }

    /// Enables TLS on all hosts, with certificates of a private CA.
    pub fn tls(self) -> Self {
        self.tls_with(ServerCertificate::default())
    }

    /// Enables TLS on all hosts, with this certificate.
    pub fn tls_with(mut self, certificate: ServerCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    pub fn shape(mut self, shape: Shape) -> Self {
        self.settings.shape = shape;
        self
    }

    pub fn page_size(mut self, entries: usize) -> Self {
        self.settings.page_size = entries;
        self
    }

    /// Accepts credentials sent to the CDN: for tests of the hub itself.
    pub fn tolerate_leaks(mut self) -> Self {
        self.guards_secrets = false;
        self
    }

    /// # Panics
    /// If a port is not available.
    pub fn start(self) -> TestHub {
        self.try_start()
            .expect("the test hub needs three ports of 127.0.0.1")
    }

    pub fn try_start(self) -> io::Result<TestHub> {
        let hub = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        let cdn = TcpListener::bind((Ipv4Addr::LOCALHOST, self.cdn_port))?;
        let cas = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (hub_address, cdn_address) = (hub.local_addr()?, cdn.local_addr()?);
        let cas_address = cas.local_addr()?;
        let shared = Arc::new(Shared::new(
            hub_address,
            cdn_address,
            cas_address,
            self.prefix,
            self.certificate.map(Tls::new).transpose()?,
            self.settings,
        ));
        let hub_listener = Arc::new(HostListener::new(Port::Hub, hub_address));
        let cdn_listener = Arc::new(HostListener::new(Port::Cdn, cdn_address));
        let cas_listener = Arc::new(HostListener::new(Port::Cas, cas_address));
        let threads = [
            (hub, &hub_listener),
            (cdn, &cdn_listener),
            (cas, &cas_listener),
        ]
        .map(|(listener, host)| {
            let (host, shared) = (host.clone(), shared.clone());
            std::thread::spawn(move || host.accept_all(listener, &shared))
        })
        .into();
        let guards_secrets = self.guards_secrets;
        Ok(TestHub {
            shared,
            hub_listener,
            cdn_listener,
            cas_listener,
            threads,
            guards_secrets,
        })
    }
}
