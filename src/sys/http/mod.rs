//! HTTP for the rest of the program: URLs, requests, responses, errors.

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
