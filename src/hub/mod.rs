//! The client of the Hugging Face Hub: metadata of repositories and file content.
//!
//! Guarantees to callers:
//!
//! - The token is sent to the configured endpoint only.
//! - Responses are parsed into `domain` values, or refused as a whole.
//! - Each failure is a [`HubError`], whose text contains neither a token nor a
//!   signed URL.
//! - Requests are retried by the client's policy, within a time limit.
//!
//! Decision: no `HEAD` request per file. One listing names the size and hash of every
//! file, so that an unchanged repository costs one request and a new one costs one per
//! thousand files; the official client's way costs one per file.
//!
//! Decision: behind a mirror the token goes to the mirror alone. It follows no redirect to
//! the Hub's own host, although the official client sends it there since 2.4: a mirror
//! decides about its redirects, and the rule "one address sees the token" can be checked by
//! everybody. Gated files behind a mirror need a mirror that hands them out. A refresh token
//! follows no redirect at all, and stays here if its login names another Hub as issuer.
//!
//! Entry point: [`HubClient`], shared by all threads. Deliberately absent: the
//! verification of content (`download`) and the Xet protocol (`xet`).

mod api;
mod classify;
mod client;
mod endpoint;
mod error;
mod error_text;
mod files;
mod history;
mod limits;
mod locations;
mod oauth;
mod redirect;
mod stored_tokens;
mod text;
mod token;
mod tree;
mod wire;

pub use api::{Gated, Identity, RevisionInfo, XetToken};
pub use client::{HubClient, HubOptions};
pub use endpoint::Endpoint;
pub use error::{Fault, HubError};
pub use files::{ContentRange, FileAddress, FileStream};
pub use history::{CommitList, RepoCommit};
pub use limits::{HubWarning, RateLimitCounter};
pub use locations::Location;
pub use oauth::IssuedTokens;
pub use stored_tokens::{MalformedTokens, StoredTokens};
pub use token::{Token, TokenError, TokenInputs, TokenOrigin, find_token};
