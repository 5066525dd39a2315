//! The hub as a client sees it, through plain sockets.

mod client;
mod protocol;
