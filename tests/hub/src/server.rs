//! The threads of the hub, and the processing of a request.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::access::{Caller, enter, error, pass_gate};
use super::api::{ApiCall, who_am_i};
use super::cdn::Links;
use super::control::{self, Publisher};
use super::faults::{Fault, Faults};
use super::http::{Connection, Incoming, Reply, SendObserver};
use super::oauth;
use super::record::{Request, RequestLog};
use super::route::{Api, RepoCall, Route};
use super::settings::{Delivery, Settings};
use super::store::Store;
use super::tls::Tls;
use super::world::World;

/// The three hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    Hub,
    Cdn,
    Cas,
}

/// State shared by all threads.
pub(crate) struct Shared {
    pub(crate) hub_address: SocketAddr,
    pub(crate) cdn_address: SocketAddr,
    pub(crate) cas_address: SocketAddr,
    /// Path in front of all URLs, as on some mirrors; empty or `/...` without a final slash.
    pub(crate) prefix: String,
    /// `None`: all hosts use plain HTTP.
    pub(crate) tls: Option<Tls>,
    pub(crate) requests: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) links: Links,
    pub(crate) store: Mutex<Store>,
    pub(crate) settings: Mutex<Settings>,
    /// The action of `POST /__hub__/publish`.
    pub(crate) publisher: Mutex<Option<Arc<Publisher>>>,
    world: Mutex<World>,
    connections: Connections,
    stopping: AtomicBool,
    answered: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        hub_address: SocketAddr,
        cdn_address: SocketAddr,
        cas_address: SocketAddr,
        prefix: String,
        tls: Option<Tls>,
        settings: Settings,
    ) -> Self {
        Self {
            hub_address,
            cdn_address,
            cas_address,
            prefix,
            tls,
            requests: RequestLog::default(),
            faults: Faults::default(),
            links: Links::default(),
            store: Mutex::default(),
            settings: Mutex::new(settings),
            publisher: Mutex::new(None),
            world: Mutex::new(World::default()),
            connections: Connections::default(),
            stopping: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// Returns scheme, host and port of the Hub's absolute links.
    pub(crate) fn bare_origin(&self, settings: &Settings) -> String {
        let own = || format!("{}://{}", self.scheme(), self.hub_address);
        settings.shape.link_origin.clone().unwrap_or_else(own)
    }

    pub(crate) fn origin(&self, settings: &Settings) -> String {
        format!("{}{}", self.bare_origin(settings), self.prefix)
    }

    pub(crate) fn cdn_origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.cdn_address)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    pub(crate) fn cas_origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.cas_address)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Closes all connections and waits for their threads.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.faults.release();
        self.connections.close(None);
        self.connections.wait_for_none();
    }

    pub(crate) fn close_connections(&self, port: Port) {
        self.connections.close(Some(port));
    }

    fn answer(&self, route: &Route, incoming: &Incoming, settings: &Settings) -> Reply {
        match route {
            Route::Other(Api::Reconstruction) => {
                return super::cas::answer(self, incoming, settings);
            }
            Route::Other(Api::Xorb) => return self.links.answer_xorb(incoming),
            Route::Other(Api::Cdn) => return self.links.answer(incoming, settings),
            Route::Other(Api::OauthToken) => {
                return oauth::answer(&mut self.world(), incoming, settings);
            }
            Route::Other(Api::Control) if incoming.raw_path().ends_with("/login") => {
                return control::log_in(&mut self.world(), incoming.raw_query());
            }
            Route::Other(Api::Control) if incoming.raw_path().ends_with("/forget") => {
                return control::forget(&mut self.world(), incoming.raw_query());
            }
            Route::Other(Api::Control) => {
                return control::answer(incoming, &self.requests, &self.faults, &self.publisher);
            }
            _ => {}
        }
        let reply = self
            .hub_answer(route, incoming, settings)
            .unwrap_or_else(|refusal| refusal);
        let n = self.answered.fetch_add(1, Ordering::Relaxed);
        let (bucket, quota) = if route.api() == Api::Resolve {
            ("resolvers", 3000)
        } else {
            ("api", 500)
        };
        let reply = reply.with("X-Request-Id", format!("Root=1-00000000-{n:024x}"));
        if !settings.rate_limits {
            return reply;
        }
        reply
            .with(
                "RateLimit",
                format!("\"{bucket}\";r={};t=172", quota - 1 - n % quota),
            )
            .with(
                "RateLimit-Policy",
                format!("\"fixed window\";\"{bucket}\";q={quota};w=300"),
            )
    }

    fn hub_answer(
        &self,
        route: &Route,
        incoming: &Incoming,
        settings: &Settings,
    ) -> Result<Reply, Reply> {
        let world = self.world();
        let caller = Caller::of(incoming, &world)?;
        let call = match route {
            Route::Repo(call) => call,
            Route::Other(Api::WhoAmI) => return Ok(who_am_i(&caller)),
            Route::Other(_) => return Err(error(404, None, "Not found")),
        };
        if let Some(location) = self.moved_to(call, incoming, &world) {
            let reply = Reply::text(
                307,
                format!("Temporary Redirect. Redirecting to {location}"),
            );
            return Ok(reply.with("Location", location));
        }
        let repo = enter(&world, &call.key, &caller)?.clone();
        let gate = pass_gate(&world, &call.key, &repo, &caller);
        // Hashing a large file for the first time must not block the other threads.
        drop(world);
        match call.api {
            Api::Resolve | Api::ResolveCache | Api::Raw => {
                gate?;
                let commit = repo.find(call.revision.as_deref().unwrap_or("main"));
                Ok(super::resolve::answer(
                    self,
                    settings,
                    incoming,
                    call,
                    commit.as_deref(),
                ))
            }
            api => {
                let may_read = gate.is_ok();
                if matches!(api, Api::AuthCheck | Api::XetReadToken) {
                    gate?;
                }
                let (shared, repo) = (self, &repo);
                Ok(ApiCall {
                    shared,
                    settings,
                    incoming,
                    call,
                    repo,
                    may_read,
                }
                .answer())
            }
        }
    }

    /// Returns the new location if the repository was renamed.
    fn moved_to(&self, call: &RepoCall, incoming: &Incoming, world: &World) -> Option<String> {
        let new = world
            .renamed
            .get(&call.key)
            .filter(|_| !world.repos.contains_key(&call.key))?;
        let path = match call.api {
            Api::Resolve | Api::Raw => format!("/{}", new.web_path()),
            Api::ResolveCache => format!("/api/resolve-cache/{}/{}", new.kind.plural(), new.id),
            _ => new.api_path(),
        };
        let tail = if call.tail.is_empty() {
            String::new()
        } else {
            format!("/{}", call.tail)
        };
        let query = match incoming.raw_query() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        Some(format!("{}{path}{tail}{query}", self.prefix))
    }

    fn record(&self, port: Port, route: &Route, incoming: &Incoming) -> (usize, Request) {
        let mut request = Request {
            port,
            method: incoming.method.clone(),
            target: incoming.target.clone(),
            headers: incoming.headers.clone(),
            api: route.api(),
            repo: None,
            revision: None,
            file: None,
            status: 0,
            bytes_sent: 0,
        };
        if let Route::Repo(call) = route {
            request.repo = Some(call.key.web_path());
            request.revision = call.revision.clone();
            request.file = Some(call.path.clone()).filter(|path| !path.is_empty());
        } else if let Some((repo, commit, path)) = self.links.subject(&incoming.target) {
            (request.repo, request.revision) = (Some(repo), Some(commit));
            request.file = Some(path);
        } else if matches!(request.api, Api::Reconstruction | Api::Xorb) {
            // The hash at the end of the path.
            request.file = incoming.raw_path().rsplit('/').next().map(str::to_owned);
        }
        let number = self.requests.add(request.clone(), self.world().secrets());
        (number, request)
    }

    /// Serves one request; returns whether the connection can serve another.
    fn serve(&self, port: Port, connection: &mut Connection) -> io::Result<bool> {
        let Some(mut incoming) = connection.read_head()? else {
            return Ok(false);
        };
        let settings = lock(&self.settings).clone();
        let route = Route::parse(port, &incoming, &self.prefix, &self.world());
        let (number, request) = self.record(port, &route, &incoming);
        let gives_content = match request.api {
            Api::Cdn | Api::ResolveCache => true,
            Api::Resolve => settings.shape.delivery == Delivery::Direct,
            _ => false,
        };
        let releases = self.faults.releases();
        let (runs, fault) = self.faults.select(&request, gives_content);
        runs.into_iter().for_each(|run| run());
        if matches!(fault, Some(Fault::Reset)) {
            return Ok(false);
        }
        connection.accept(&mut incoming)?;
        match fault {
            Some(Fault::Close) => return Ok(false),
            Some(Fault::NoAnswer) => self.faults.stall(releases, || self.is_stopping()),
            _ => {}
        }
        let replacement = fault.as_ref().and_then(|fault| fault.replacement(&request));
        let mut reply = replacement.unwrap_or_else(|| self.answer(&route, &incoming, &settings));
        if let Some(fault) = &fault {
            fault.apply_to(&mut reply);
        }
        self.requests
            .update(number, |request| request.status = reply.status);
        let head_only = incoming.method == "HEAD";
        let progress = Progress {
            shared: self,
            number,
            releases,
        };
        connection.send(&reply, head_only, incoming.wants_keep_alive(), &progress)
    }
}

struct Progress<'s> {
    shared: &'s Shared,
    number: usize,
    releases: u64,
}

impl SendObserver for Progress<'_> {
    fn sending(&self, n: u64) {
        self.shared
            .requests
            .update(self.number, |request| request.bytes_sent += n);
    }

    fn stall(&self) {
        self.shared
            .faults
            .stall(self.releases, || self.shared.is_stopping());
    }
}

/// Serves a connection on a thread of its own.
pub(crate) fn begin(shared: &Arc<Shared>, port: Port, stream: TcpStream) {
    // Failure only costs speed.
    let _ = stream.set_nodelay(true);
    let plain = match &shared.tls {
        Some(tls) => tls.open(stream),
        None => Ok(stream),
    };
    let Ok((stream, second)) = plain.and_then(|plain| Ok((plain.try_clone()?, plain))) else {
        return;
    };
    let id = shared.connections.add(port, second);
    let shared = shared.clone();
    std::thread::spawn(move || {
        let guard = ConnectionGuard {
            shared: &shared,
            id,
        };
        let mut connection = Connection::new(stream);
        // An error here means that the client closed the connection.
        while !shared.is_stopping() && shared.serve(port, &mut connection).unwrap_or(false) {}
        drop(connection);
        drop(guard);
    });
}

/// Removes the connection from the list even if its thread panics.
struct ConnectionGuard<'s> {
    shared: &'s Shared,
    id: u64,
}

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.shared.connections.remove(self.id);
    }
}

#[derive(Default)]
struct Connections {
    open: Mutex<HashMap<u64, (Port, TcpStream)>>,
    next: AtomicU64,
    changed: Condvar,
}

impl Connections {
    fn add(&self, port: Port, stream: TcpStream) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.open).insert(id, (port, stream));
        id
    }

    fn remove(&self, id: u64) {
        lock(&self.open).remove(&id);
        self.changed.notify_all();
    }

    fn close(&self, only: Option<Port>) {
        for (port, stream) in lock(&self.open).values() {
            if only.is_none_or(|only| only == *port) {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn wait_for_none(&self) {
        let open = lock(&self.open);
        let patience = Duration::from_secs(10);
        let waited = self
            .changed
            .wait_timeout_while(open, patience, |open| !open.is_empty());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
