//! The clients for the Hub, one for each token in use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Error, Result};

use super::files::TokenFiles;
use super::find::{find_named, find_token_here, login_of};
use super::pipeline::exchange;
use super::renew::{finish_renewal, renew};
use crate::domain::login::{Login, TokenName};
use crate::domain::retry::RetryPolicy;
use crate::hub::{Fault, HubClient, HubError, Token, TokenOrigin};
use crate::ops::hub::is_offline;
use crate::sys::host::Host;
use crate::sys::http::Http;
use crate::sys::pause::Sleeper;

/// The permission to renew a login that ends soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The command only reads.
    Never,
    WhenDue,
}

/// The client with the token of this machine, and those with tokens that models name.
/// All share connections, rate limits and warnings.
#[derive(Clone)]
pub struct HubClients {
    own: HubClient,
    others: Arc<Others>,
    is_counted: bool,
    /// A policy other than that of the clients.
    retry: Option<RetryPolicy>,
}

struct Others {
    host: Host,
    pause: Sleeper,
    renewal: Renewal,
    anonymous: HubClient,
    named: Mutex<BTreeMap<TokenName, HubClient>>,
    /// Logins whose refresh token the Hub has refused.
    refused: Mutex<Vec<Login>>,
}

impl HubClients {
    /// Finds the token of this machine, which may take a request.
    pub fn new(
        anonymous: HubClient,
        http: &Http,
        host: &Host,
        pause: Sleeper,
        renewal: Renewal,
    ) -> Result<Self> {
        let others = Others {
            host: host.clone(),
            pause,
            renewal,
            anonymous,
            named: Mutex::default(),
            refused: Mutex::default(),
        };
        let own = others.own(http)?;
        let others = Arc::new(others);
        Ok(Self {
            own,
            others,
            is_counted: false,
            retry: None,
        })
    }

    /// Returns clients whose requests to the Hub are marked as part of a download.
    #[must_use]
    pub fn counted(&self) -> Self {
        Self {
            own: self.own.counted(),
            is_counted: true,
            ..self.clone()
        }
    }

    /// Returns clients with another retry policy.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self {
            own: self.own.with_retry(retry),
            retry: Some(retry),
            ..self.clone()
        }
    }

    /// Returns the client with the token of this machine.
    pub fn own(&self) -> &HubClient {
        &self.own
    }

    /// Returns the client with a token by its name, or that of this machine.
    pub fn with_token(&self, name: Option<&TokenName>) -> Result<HubClient> {
        let Some(name) = name else {
            return Ok(self.own.clone());
        };
        let mut named = lock(&self.others.named);
        if !named.contains_key(name) {
            named.insert(name.clone(), self.others.named(name)?);
        }
        let mut client = named[name].clone();
        if self.is_counted {
            client = client.counted();
        }
        if let Some(retry) = self.retry {
            client = client.with_retry(retry);
        }
        Ok(client)
    }

    /// Returns the logins whose refresh token the Hub has refused to this process.
    pub fn refused_logins(&self) -> Vec<Login> {
        lock(&self.others.refused).clone()
    }
}

impl Others {
    fn own(&self, http: &Http) -> Result<HubClient> {
        let is_implicit = !self.host.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN");
        if is_implicit
            && !is_offline(&self.host)
            && let Some(token) = exchange(&self.host, http, &self.anonymous)?
        {
            log::debug!("using the token from {}", TokenOrigin::Oidc);
            return Ok(self.anonymous.with_token(Some(token), None));
        }
        let Some((token, origin)) = find_token_here(&self.host)? else {
            return Ok(self.anonymous.clone());
        };
        log::debug!("using the token from {origin}");
        if origin != TokenOrigin::File {
            return Ok(self.anonymous.with_token(Some(token), None));
        }
        let files = TokenFiles::find(&self.host)?;
        if self.may_write()
            && let Err(err) = finish_renewal(&files, &self.pause)
        {
            log::info!("the token file stays behind: {err:#}");
        }
        Ok(self.client(&files, token))
    }

    fn named(&self, name: &TokenName) -> Result<HubClient> {
        let token = find_named(&self.host, name)?;
        log::debug!("using the token `{name}`");
        Ok(self.client(&TokenFiles::find(&self.host)?, token))
    }

    fn may_write(&self) -> bool {
        self.renewal == Renewal::WhenDue && !is_offline(&self.host)
    }

    /// Makes a client with a token of the files, after its renewal if that is due. A
    /// failed renewal is no error: the Hub decides about the token as it is.
    fn client(&self, files: &TokenFiles, token: Token) -> HubClient {
        let login = match files.read_stored() {
            Ok(stored) => login_of(files, &stored, &token, self.anonymous.endpoint()),
            Err(err) => {
                log::debug!("no login is known: {err:#}");
                None
            }
        };
        let Some(login) = login else {
            return self.anonymous.with_token(Some(token), None);
        };
        let is_due = login.obstacle.is_none() && login.is_renewal_due(self.host.now());
        let token = if is_due && self.may_write() {
            self.renewed(files, &login, token)
        } else {
            token
        };
        self.anonymous.with_token(Some(token), Some(login.name))
    }

    fn renewed(&self, files: &TokenFiles, login: &Login, token: Token) -> Token {
        let pair = (login, &token);
        match renew(&self.host, files, &self.anonymous, &self.pause, pair) {
            Ok(renewed) => renewed,
            Err(err) => {
                let name = &login.name;
                log::info!("the login `{name}` could not be renewed: {err:#}");
                if is_refusal(&err) {
                    lock(&self.refused).push(login.clone());
                }
                token
            }
        }
    }
}

fn is_refusal(err: &Error) -> bool {
    let hub = err.downcast_ref::<HubError>();
    hub.is_some_and(|hub| *hub.fault() == Fault::NoGrant)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
