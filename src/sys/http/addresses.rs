//! Remembers the addresses of hosts between requests.
//!
//! ureq looks the host up for every request, before it takes a connection that
//! is open already, and starts a thread for that. With thousands of small files
//! this is much of the work, and a name server that is slow delays each file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sys::pause::Stopwatch;

/// As long as the names of CDNs commonly hold.
const HOLDS: Duration = Duration::from_secs(30);

/// A resolver that asks once in a while; clones share what they know.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    known: Arc<Mutex<HashMap<String, Known>>>,
}

#[derive(Debug)]
struct Known {
    since: Stopwatch,
    addresses: Vec<SocketAddr>,
}

impl Addresses {
    /// Has every host looked up again: after a failure the addresses may be to blame.
    pub fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the addresses of `host:port` if they are known and fresh.
    pub fn recall(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let known = self.known();
        let found = known
            .get(host)
            .filter(|found| found.since.elapsed() < HOLDS)?;
        Some(found.addresses.clone())
    }
}

impl Resolver for Addresses {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri
            .scheme()
            .zip(uri.authority())
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        if let Some(addresses) = host.as_deref().and_then(|host| self.recall(host)) {
            let mut resolved = self.empty();
            // The room is that of the lookup which the addresses come from.
            addresses
                .into_iter()
                .for_each(|address| resolved.push(address));
            return Ok(resolved);
        }
        let resolved = DefaultResolver::default().resolve(uri, config, timeout)?;
        if let Some(host) = host {
            let since = Stopwatch::start();
            let addresses = resolved.to_vec();
            self.known().insert(host, Known { since, addresses });
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_not_looked_up_until_it_is_forgotten() {
        let addresses = Addresses::default();
        let agent = ureq::Agent::new_with_defaults();
        let look_up = |uri: &'static str| {
            let uri = Uri::from_static(uri);
            let found = addresses.resolve(&uri, agent.config(), NextTimeout::default());
            found.map(|found| found.to_vec()).ok()
        };
        let here = Some(vec![SocketAddr::from(([127, 0, 0, 1], 80))]);
        assert_eq!(look_up("http://127.0.0.1/a"), here);
        // Only the memory can answer for a name that no server knows.
        let moved = addresses.known().remove("127.0.0.1:80").unwrap();
        addresses
            .known()
            .insert("host.invalid:80".to_owned(), moved);
        assert_eq!(look_up("http://host.invalid/b"), here);
        assert_eq!(look_up("https://host.invalid/b"), None, "another port");
        addresses.forget();
        assert_eq!(look_up("http://host.invalid/b"), None);
    }
}
