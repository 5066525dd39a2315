//! Telling others what a run did: hooks, pings, metrics.
//!
//! What is told is decided in `domain::alert`; here is how. None of it can
//! change what a run came to or keep it waiting without end: each has a time
//! limit, and what goes wrong is a warning. The ways out carry no token, and
//! the address of a ping, which is a secret, is never shown.

pub mod hooks;
pub mod metrics;
pub mod ping;
mod wire;
