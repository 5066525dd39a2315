//! HTTP for the rest of the program: URLs, requests, responses, errors.
//!
//! [`Http`] sends requests with ureq, through a proxy and with the certificates that
//! the environment names, and returns each response whatever its status. A failure is
//! an [`HttpError`] with the reason in plain words and, where one is certain, the next
//! step; it tells a proxy at fault from the host behind it. No text has a query, a
//! token or a password. Redirects, retries and the meaning of statuses are absent:
//! they belong to `hub` and `xet`.

mod addresses;
mod agent;
mod body;
mod error;
mod message;
mod proxy;
mod settings;
mod tls;
mod url;

pub use agent::Http;
pub use body::{Body, ShortBody};
pub use error::{HttpError, HttpErrorKind};
pub use message::{Headers, Method, Request, Response};
pub use settings::{HttpSettings, ProxySettings, user_agent};
pub use url::{Url, UrlError};
