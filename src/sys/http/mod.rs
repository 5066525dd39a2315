//! HTTP as the rest of the program sees it: URLs, requests, answers, errors.
//!
//! The only place that knows ureq. What it guarantees to its callers:
//! redirects and error statuses are answers, never followed or raised here;
//! nothing is decompressed; every wait has a limit, and so has the time of
//! a head and of a short body; the `Display` of a URL or
//! an error never holds a query string, user name or password.

mod addresses;
mod agent;
mod body;
mod error;
mod message;
mod settings;
mod url;

pub use agent::Http;
pub use body::{Body, ShortBody};
pub use error::{HttpError, HttpErrorKind};
pub use message::{Headers, Method, Request, Response};
pub use settings::{HttpSettings, ProxySettings, user_agent};
pub use url::{Url, UrlError};
