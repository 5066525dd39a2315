//! `TestHub`: start it, look at it, stop it.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::door::Door;
use crate::faults::{Action, Fault, On};
use crate::http::RangeAsked;
use crate::record::Request;
use crate::repos::Repo;
use crate::route::Api;
use crate::server::{Port, Shared, lock};
use crate::settings::{Settings, Shape, XetService};
use crate::tls::Tls;
use crate::world::RepoKey;

/// A Hub, its CDN and its Xet storage on three ports of 127.0.0.1; it stops when dropped.
///
/// Dropping it panics if a credential reached a host that it is not for, unless the test is failing already.
pub struct TestHub {
    pub(crate) shared: Arc<Shared>,
    hub_door: Arc<Door>,
    cdn_door: Arc<Door>,
    cas_door: Arc<Door>,
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
            has_tls: false,
            settings: Settings::default(),
            guards_secrets: true,
        }
    }

    /// Returns what `HF_ENDPOINT` has to be; no slash at the end.
    pub fn endpoint(&self) -> String {
        let Shared {
            hub_address,
            prefix,
            ..
        } = &*self.shared;
        format!("{}://{hub_address}{prefix}", self.shared.scheme())
    }

    /// Returns the certificate of the private CA.
    ///
    /// # Panics
    /// If the hub does not speak TLS.
    pub fn ca_pem(&self) -> &str {
        let tls = self.shared.tls.as_ref();
        &tls.expect("built with `tls`").ca_pem
    }

    /// Returns scheme, host and port of the CDN.
    pub fn cdn_origin(&self) -> String {
        self.shared.cdn_origin()
    }

    /// Lets the Hub give tokens for its own Xet storage, which holds what
    /// [`crate::CommitDraft::stored`] puts into it.
    pub fn serve_xet(&self) {
        let cas_url = self.shared.cas_origin();
        self.configure(|settings| {
            settings.xet = Some(XetService {
                cas_url,
                access_token: "xet-4a11d35cb27e".to_owned(),
                lifetime: Duration::from_secs(900),
                second_form: true,
            });
        });
    }

    /// Returns a repository to write to; it begins to exist with its first commit.
    ///
    /// # Panics
    /// If `id` is none of `org/name`, `name`, `datasets/org/name`, `spaces/org/name`.
    pub fn repo(&self, id: &str) -> Repo {
        Repo::new(self.shared.clone(), id)
    }

    /// Makes a token valid; it opens only the private and gated repositories that are named.
    pub fn token(&self, token: &str, opens: &[&str]) {
        let opens = opens
            .iter()
            .map(|id| RepoKey::parse(id).web_path())
            .collect();
        self.shared.world().tokens.insert(token.to_owned(), opens);
    }

    /// Makes a token invalid.
    pub fn revoke_token(&self, token: &str) {
        self.shared.world().tokens.remove(token);
    }

    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.settings));
    }

    /// Lets something go wrong.
    ///
    /// Of several faults that match a request the oldest happens, and the request counts for that
    /// one only: two faults of `times(1)` spoil two requests, one after the other.
    pub fn fault(&self, on: On, fault: Fault) {
        self.shared.faults.add(on, Action::Fault(fault));
    }

    /// Does something once, right before the first matching request is answered.
    ///
    /// This is how a revision moves in the middle of a download:
    /// `let repo = hub.repo("acme/tiny"); hub.before(On::resolve("config.json"), move || {
    /// repo.commit("main").file("config.json", b"new").publish(); })`
    pub fn before(&self, on: On, act: impl FnOnce() + Send + 'static) {
        self.shared.faults.add(on, Action::Run(Box::new(act)));
    }

    /// Forgets all faults, and lets everything that stalls go on.
    pub fn heal(&self) {
        self.shared.faults.clear();
        self.shared.faults.release();
    }

    /// Makes all CDN links given out so far expired.
    pub fn expire_links(&self) {
        self.shared.links.expire();
    }

    /// Refuses connections to a port and ends those that are open.
    pub fn close_port(&self, port: Port) {
        self.door(port).close();
        self.shared.close_connections(port);
    }

    /// Takes connections again.
    pub fn open_port(&self, port: Port) {
        self.door(port).open();
    }

    /// Returns every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.journal.entries()
    }

    /// Forgets the requests so far; credentials that leaked stay known.
    pub fn forget_requests(&self) {
        self.shared.journal.forget();
    }

    pub fn count(&self, api: Api) -> usize {
        self.shared
            .journal
            .entries()
            .iter()
            .filter(|request| request.api == api)
            .count()
    }

    /// Returns all requests that asked for the bytes of a file where the bytes are.
    pub fn downloads(&self, file: &str) -> Vec<Request> {
        let direct = lock(&self.shared.settings).shape.delivery == crate::Delivery::Direct;
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

    /// Waits until the requests fulfil a condition, which must not ask the hub for anything.
    ///
    /// # Panics
    /// If they do not within a minute; the message has `what` and all requests.
    pub fn wait_until(&self, what: &str, met: impl FnMut(&[Request]) -> bool) {
        if !self.shared.journal.wait_until(met) {
            panic!(
                "waited in vain until {what}; requests were:\n{}",
                self.describe_requests()
            );
        }
    }

    /// Returns one line for each request, for failure messages.
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
    /// If an `Authorization` header, a cookie or a token reached the CDN.
    pub fn assert_clean(&self) {
        let leaks = self.shared.journal.leaks().clone();
        assert!(
            leaks.is_empty(),
            "secrets left the Hub: {}",
            leaks.join("; ")
        );
    }

    /// Sets what `POST /__hub__/publish` does; the text is its answer.
    pub fn on_publish(&self, publish: impl Fn() -> Result<String, String> + Send + Sync + 'static) {
        *lock(&self.shared.publisher) = Some(Arc::new(publish));
    }

    fn door(&self, port: Port) -> &Door {
        match port {
            Port::Hub => &self.hub_door,
            Port::Cdn => &self.cdn_door,
            Port::Cas => &self.cas_door,
        }
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.hub_door.leave();
        self.cdn_door.leave();
        self.cas_door.leave();
        self.shared.stop();
        // Both may hold repositories, and so the hub itself.
        self.shared.faults.clear();
        *lock(&self.shared.publisher) = None;
        for thread in self.threads.drain(..) {
            // A panic of the accepting thread has been printed; the test fails for want of answers.
            let _ = thread.join();
        }
        if self.guards_secrets && !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

/// What is fixed once the hub runs.
pub struct Builder {
    port: u16,
    cdn_port: u16,
    prefix: String,
    has_tls: bool,
    settings: Settings,
    guards_secrets: bool,
}

impl Builder {
    /// Sets the port of the Hub; 0, the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    pub fn cdn_port(mut self, port: u16) -> Self {
        self.cdn_port = port;
        self
    }

    /// Puts a path in front of everything: `/artifactory/api/huggingfaceml/x`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        self
    }

    /// Lets both hosts speak TLS, with certificates of a CA that nobody knows.
    pub fn tls(mut self) -> Self {
        self.has_tls = true;
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

    /// Lets a credential that reached the CDN pass: for tests of the hub itself.
    pub fn tolerate_leaks(mut self) -> Self {
        self.guards_secrets = false;
        self
    }

    /// # Panics
    /// If a port cannot be had.
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
            self.has_tls.then(Tls::new).transpose()?,
            self.settings,
        ));
        let hub_door = Arc::new(Door::new(Port::Hub, hub_address));
        let cdn_door = Arc::new(Door::new(Port::Cdn, cdn_address));
        let cas_door = Arc::new(Door::new(Port::Cas, cas_address));
        let threads = [(hub, &hub_door), (cdn, &cdn_door), (cas, &cas_door)]
            .map(|(listener, door)| {
                let (door, shared) = (door.clone(), shared.clone());
                std::thread::spawn(move || door.keep(listener, &shared))
            })
            .into();
        let guards_secrets = self.guards_secrets;
        Ok(TestHub {
            shared,
            hub_door,
            cdn_door,
            cas_door,
            threads,
            guards_secrets,
        })
    }
}
