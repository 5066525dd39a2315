//! A Hugging Face Hub on loopback for tests: faithful, recording, and faulty on order.
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
//! // Point the client at `hub.endpoint()`, then look at `hub.requests()`.
//! ```
//!
//! Three listeners play three hosts: the Hub, the "CDN" that holds large files behind signed
//! URLs, and the storage that knows what Xet files are made of. HTTP is written by hand over blocking sockets, because faults on the wire (a cut, a
//! stall, a reset) need the socket itself.
//!
//! | file | idea |
//! |---|---|
//! | `hub` | `TestHub`: start, look at, stop |
//! | `world` | what the hub holds: repositories, commits, files |
//! | `repos` | how tests write it |
//! | `settings` | what a test may change about the answers, and the shapes of mirrors |
//! | `faults` | which request goes wrong, and how |
//! | `record` | every request, for assertions |
//! | `server`, `door`, `tls`, `http` | threads, sockets, encryption, HTTP/1.1 |
//! | `route`, `access`, `api`, `resolve`, `cdn` | the answers |
//! | `cas`, `store`, `xet` | Xet storage: its answers, what it holds, chunks and hashes |
//! | `content` | bytes with their hashes |
//! | `directory`, `demo` | what the binary serves |

mod access;
mod api;
mod cas;
mod cdn;
mod content;
mod demo;
mod directory;
mod door;
mod faults;
mod gzip;
mod http;
mod hub;
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
