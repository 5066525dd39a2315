//! Hooks, pings and metrics: the outputs of a run for other programs.
//!
//! - Each has a time limit, so that none can block a run without end.
//! - A failure is returned to `ops::notify`, which makes it a warning; it never
//!   changes the outcome of the run.
//! - No token leaves this room. The address of a ping is a secret and never shown.
//!
//! Deliberately absent: the decision about notices (`domain::alert`).

pub mod hooks;
pub mod metrics;
pub mod ping;
mod wire;
