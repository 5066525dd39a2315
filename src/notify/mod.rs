//! Reports to other programs: hooks, the gate, pings and metrics.
//!
//! `domain::alert` decides the content; this room delivers it. Facts of a run enter; a
//! started program, an HTTP request or a text file leaves. Each delivery has a time limit.
//! A failure never changes the result of a run: errors become warnings in `ops::notify`.
//! The exception is the gate, which decides whether a commit is published.
//!
//! No secret leaves: hooks get no token, and the address of a ping is a secret itself
//! and never shown. Deliberately absent: the JSON of hooks (`json`), and the choice of
//! events.

pub mod gate;
pub mod hooks;
pub mod metrics;
pub mod ping;
