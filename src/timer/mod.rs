//! The timer of the operating system that starts `hfdl run-due`.
//!
//! One entry for each home directory, dumb on purpose: it starts the program
//! every N minutes, and which schedule is due is decided by the program.
//! Rendering is a pure function from a `TimerSpec` to text, so that every
//! platform's entry can be shown and tested on every platform; installing is
//! small and separate. Four back-ends implement `TimerBackend`.
//!
//! What is installed proves nothing about what fires: only ticks do, and
//! those are in the database.

mod backend;
mod crontab;
mod crontab_text;
mod launchd;
mod refusal;
mod spec;
mod step;
mod surroundings;
mod systemd;
mod task_scheduler;
mod variables;
mod xml;

/// Each back-end's rendering, a pure function of the specification.
pub mod render {
    pub use super::crontab_text::{Words, render as crontab};
    pub use super::launchd::{Session, render as launchd};
    pub use super::systemd::{render_service as systemd_service, render_timer as systemd_timer};
    pub use super::task_scheduler::{TaskUser, render as task_scheduler};
}

pub use backend::{Entry, TimerBackend, all, choose, of_kind};
pub use refusal::Refusal;
pub use spec::{Tick, TimerId, TimerSpec};
pub use step::{Encoding, Step, render_steps};
pub use surroundings::{Gap, PLACES, Surroundings, WATCHED, gaps};
pub use variables::check_variable;
