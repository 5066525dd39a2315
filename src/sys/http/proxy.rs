//! The proxy of a request, and its failures in plain words.
//!
//! A failure of the proxy is told from one of the host behind it. No text has the
//! user name or the password.

use std::io;

use ureq::{Proxy, ProxyProtocol};

use super::error::{is_lookup_failure, plain, rustls_error};
use crate::domain::retry::is_transient_status;

/// A proxy without its user name and password, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxyInUse {
    /// Host and port.
    address: String,
    variable: &'static str,
    is_socks: bool,
    has_user: bool,
}

impl ProxyInUse {
    pub(super) fn new(proxy: &Proxy, variable: &'static str) -> Self {
        let is_http = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        Self {
            address: format!("{}:{}", proxy.host(), proxy.port()),
            variable,
            is_socks: !is_http,
            has_user: proxy.username().is_some(),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the next step for a proxy that cannot be reached or fails.
    pub(super) fn repair(&self) -> String {
        format!(
            "look whether the proxy runs, and correct `{}`; hosts in `NO_PROXY` are reached \
             without it",
            self.variable
        )
    }

    /// Describes a proxy that wants other credentials.
    fn wants_password(&self) -> ProxyFailure {
        let Self {
            address, variable, ..
        } = self;
        let reason = if self.has_user {
            format!("the proxy `{address}` refuses the user name or password")
        } else {
            format!("the proxy `{address}` wants a user name and a password")
        };
        let scheme = if self.is_socks { "socks5" } else { "http" };
        ProxyFailure {
            reason,
            hint: format!("set `{variable}` to `{scheme}://USER:PASSWORD@{address}`"),
            is_transient: false,
        }
    }

    /// Describes an answer other than 200 to the request to connect.
    pub(super) fn refusal(&self, answer: &str) -> ProxyFailure {
        let status = answer.split([' ', '/']).find_map(|word| word.parse().ok());
        let address = &self.address;
        let (reason, is_transient) = match status {
            // Some proxies answer 401 to a wrong password.
            Some(status @ (401 | 407)) => {
                let failure = self.wants_password();
                let reason = format!("{} (HTTP {status})", failure.reason);
                return ProxyFailure { reason, ..failure };
            }
            Some(status) => {
                let is_transient = is_transient_status(status);
                let reason = format!("does not connect to the host (HTTP {status})");
                (reason, is_transient)
            }
            None => (format!("gives no usable answer: {}", plain(answer)), true),
        };
        ProxyFailure {
            reason: format!("the proxy `{address}` {reason}"),
            hint: self.repair(),
            is_transient,
        }
    }

    /// Describes a failed SOCKS handshake; `None` for another error.
    pub(super) fn socks_failure(&self, error: &io::Error) -> Option<ProxyFailure> {
        let is_of_socket = error.raw_os_error().is_some() || error.get_ref().is_none();
        let is_of_host = rustls_error(error).is_some() || is_lookup_failure(error);
        if !self.is_socks || is_of_socket || is_of_host {
            return None;
        }
        let text = error.to_string();
        if text.contains("auth") {
            return Some(self.wants_password());
        }
        Some(ProxyFailure {
            reason: format!(
                "the proxy `{}` does not connect to the host: {}",
                self.address,
                plain(&text)
            ),
            hint: self.repair(),
            is_transient: !text.contains("not allowed") && !text.contains("not supported"),
        })
    }
}

/// A failure of a proxy.
pub(super) struct ProxyFailure {
    pub(super) reason: String,
    pub(super) hint: String,
    pub(super) is_transient: bool,
}
