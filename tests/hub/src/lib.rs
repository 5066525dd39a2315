//! A Hugging Face Hub on loopback for tests, with recorded requests and faults on request.
//!
//! ```
//! use hfdl_test_hub::{Fault, On, TestHub};
//!
//! let hub = TestHub::start();
//! let first = hub
//!     .repo("acme/tiny")
//!     .commit("main")
//!     .file("config.json", b"{}")
//!     .lfs("model.safetensors", vec![7; 4096])
//!     .publish();
//! assert_eq!(first.len(), 40);
//!
//! hub.fault(On::cdn("model.safetensors").times(1), Fault::CutAfter(1024));
//! // Point the client at `hub.endpoint()`, then check `hub.requests()`.
//! ```
//!
//! Three listeners serve three hosts: the Hub, the CDN with large files behind signed URLs, and
//! the Xet storage with the reconstruction data of files. HTTP is implemented here on blocking
//! sockets, because faults on the wire (a cut, a stall, a reset) need the socket itself.
//!
//! Every request is recorded. Dropping the hub fails the test if a credential was sent to a host
//! that it is not for. Deliberately absent: uploads, and any code shared with hfdl.
//!
//! The package in `../package` makes the program of it. The tests of hfdl have it as a module, because
//! a package of cargo must have all that its tests need: hence no path here begins with `crate`.
//!
//! | file | content |
//! |---|---|
//! | `hub` | `TestHub`: start, control, inspect, stop |
//! | `world` | the contents of the hub: repositories, commits, files |
//! | `repos` | the API with which tests write repositories |
//! | `settings` | settings of the answers, and the shapes of mirrors |
//! | `faults` | faults: which requests fail, and how |
//! | `record` | the record of all requests, for assertions |
//! | `server`, `listener`, `tls`, `http` | threads, sockets, encryption, HTTP/1.1 |
//! | `route`, `access`, `api`, `resolve`, `cdn` | the answers |
//! | `oauth` | logins that are renewed, with rotation, and exchanged identities |
//! | `cas`, `store`, `xet` | Xet storage: its answers, its contents, chunks and hashes |
//! | `content` | file contents with their hashes |
//! | `directory`, `demo` | the repositories served by the program |

// A refusal is an answer like any other, and nothing here is hot.
#![allow(clippy::result_large_err)]

mod access;
mod api;
mod cas;
mod cdn;
mod content;
mod control;
mod demo;
mod directory;
mod faults;
mod gzip;
mod http;
mod hub;
mod listener;
mod oauth;
mod record;
mod repos;
mod resolve;
mod route;
mod server;
mod settings;
mod store;
mod tls;
mod world;
mod xet;

pub use content::{generated_bytes, git_blob_id, sha256_hex};
pub use demo::fill_with_demo;
pub use directory::fill_from_directory;
pub use faults::{Fault, Hint, On};
pub use http::RangeAsked;
pub use hub::{Builder, TestHub};
pub use record::Request;
pub use repos::{CommitDraft, Gate, Repo};
pub use route::Api;
pub use server::Port;
pub use settings::{Delivery, EtagStyle, Settings, Shape, XetService};
pub use tls::ServerCertificate;
