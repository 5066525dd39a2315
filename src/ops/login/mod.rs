//! The tokens of this machine, and the renewal of logins that end.
//!
//! A token comes from `stored_tokens` by its name, from an exchange for the identity
//! of a CI pipeline, from a variable, or from the token file, in this order. A login of
//! `hf auth login` ends after some weeks; `renew` renews it a day before, as the official
//! client does, under that client's lock and in its files.
//!
//! Invariants: only a run that works renews, never a command that only reads; a login
//! that cannot be renewed is used as it is; secrets go to the endpoint and into the two
//! files of the official client, and nowhere else; the file `stored_tokens` is written
//! before the token file, and says which token it replaces, so that a kill between both
//! loses nothing.
//!
//! Deliberately absent: the login itself, which needs a browser, and the form of the
//! files (`hub`).

mod clients;
mod files;
mod find;
mod pipeline;
mod renew;
mod report;

pub use clients::{HubClients, Renewal};
pub use files::{UnreadableTokenFile, token_path};
pub use find::{UnknownTokenName, find_token_here, known_tokens};
pub use pipeline::NoIdentity;
pub use report::{logins_in_use, save_refused_logins};
