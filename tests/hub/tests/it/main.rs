//! Tests of the hub from a client's side, over plain sockets.

mod client;
mod faults;
mod mirrors;
mod program;
mod protocol;
mod refusals;
