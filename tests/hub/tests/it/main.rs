//! The hub as a client sees it, through plain sockets.

mod client;
mod faults;
mod mirrors;
mod program;
mod protocol;
mod refusals;
