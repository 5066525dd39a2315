//! A DNS cache that is shared by all requests.
//!
//! ureq resolves the host for every request, before it takes an open connection,
//! and starts a thread for that. With thousands of small files this is much of the
//! work, and a slow name server delays each file.

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

/// The usual lifetime of the DNS records of CDNs.
const CACHE_TIME: Duration = Duration::from_secs(30);

/// A resolver with a cache; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    hosts: Arc<Mutex<HashMap<String, CachedHost>>>,
}

#[derive(Debug)]
struct CachedHost {
    since: Stopwatch,
    addresses: Vec<SocketAddr>,
}

impl Addresses {
    /// Clears the cache: after a failure a cached address may be the cause.
    pub fn clear(&self) {
        self.hosts().clear();
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, CachedHost>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the addresses of `host:port` if they are cached and fresh.
    pub fn cached(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let hosts = self.hosts();
        let found = hosts
            .get(host)
            .filter(|found| found.since.elapsed() < CACHE_TIME)?;
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
        if let Some(addresses) = host.as_deref().and_then(|host| self.cached(host)) {
            let mut resolved = self.empty();
            // `ResolvedSocketAddrs` has a fixed capacity, which the first lookup
            // has respected.
            addresses
                .into_iter()
                .for_each(|address| resolved.push(address));
            return Ok(resolved);
        }
        let resolved = DefaultResolver::default().resolve(uri, config, timeout)?;
        if let Some(host) = host {
            let since = Stopwatch::start();
            let addresses = resolved.to_vec();
            self.hosts().insert(host, CachedHost { since, addresses });
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_host_is_not_resolved_until_the_cache_is_cleared() {
        let addresses = Addresses::default();
        let agent = ureq::Agent::new_with_defaults();
        let look_up = |uri: &'static str| {
            let uri = Uri::from_static(uri);
            let found = addresses.resolve(&uri, agent.config(), NextTimeout::default());
            found.map(|found| found.to_vec()).ok()
        };
        let here = Some(vec![SocketAddr::from(([127, 0, 0, 1], 80))]);
        assert_eq!(look_up("http://127.0.0.1/a"), here);
        // Only the cache can answer for a name that no server knows.
        let moved = addresses.hosts().remove("127.0.0.1:80").unwrap();
        addresses
            .hosts()
            .insert("host.invalid:80".to_owned(), moved);
        assert_eq!(look_up("http://host.invalid/b"), here);
        assert_eq!(look_up("https://host.invalid/b"), None, "another port");
        addresses.clear();
        assert_eq!(look_up("http://host.invalid/b"), None);
    }
}
