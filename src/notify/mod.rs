//! Reports to other programs: hooks, pings and metrics.
//!
//! `domain::alert` decides the content; this room delivers it. Facts of a run enter; a
//! started program, an HTTP request or a text file leaves. A failure here never changes
//! the result of a run, and each delivery has a time limit: errors become warnings in
//! `ops::notify`.
//!
//! No secret leaves: hooks get no token, and the address of a ping is a secret itself
//! and never shown. Deliberately absent: the JSON of hooks (`json`), and the choice of
//! events.

pub mod hooks;
pub mod metrics;
pub mod ping;
