//! The Hugging Face Hub: what it has, and the bytes of its files.
//!
//! What this module guarantees to its callers: the token is sent to the
//! configured endpoint and to nobody else; whatever the Hub answers has been
//! parsed into `domain` values or refused; each failure is a [`HubError`] that
//! says what happened without a token or a signed URL in it. Content is not
//! verified here: that is for whoever writes it to disk.

mod api;
mod classify;
mod client;
mod endpoint;
mod error;
mod files;
mod limits;
mod locations;
mod redirect;
mod text;
mod token;
mod tree;
mod wire;

pub use api::{Gated, Identity, Ref, Refs, RevisionInfo, XetToken};
pub use client::{HubClient, HubOptions};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Fault, HubError};
pub use files::{ContentRange, FileAddress, Stream};
pub use limits::{RateLimit, Warning};
pub use locations::Location;
pub use token::{Token, TokenError, TokenInputs, TokenOrigin, find_token};
