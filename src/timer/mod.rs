//! The timer of the operating system that starts `hfdl run-due`.
//!
//! Each home directory has one entry, which starts the program every N
//! minutes; the program itself decides which schedules are due.
//!
//! - Rendering is a pure function from a [`TimerSpec`] to text, so that the
//!   entries of all platforms can be shown and tested on every platform.
//!   Installing is small and separate.
//! - Four back-ends implement [`TimerBackend`]: crontab, systemd, launchd and
//!   the Task Scheduler.
//! - Only the program's own entry is changed; all other bytes stay.
//! - A [`TimerRefusal`] says why nothing was written, and the next step.
//!
//! An installed entry does not prove that it fires. The ticks in the database
//! do; they are the business of `ops`.

mod backend;
mod crontab;
mod crontab_line;
mod crontab_text;
mod launchd;
mod refusal;
mod spec;
mod step;
mod systemd;
mod task_scheduler;
mod tick_environment;
mod variables;
mod xml;

/// The renderers of the back-ends, pure functions of the specification.
pub mod render {
    pub use super::crontab_line::{BlockFlags, render as crontab};
    pub use super::launchd::{LaunchSession, render as launchd};
    pub use super::systemd::{render_service as systemd_service, render_timer as systemd_timer};
    pub use super::task_scheduler::{TaskUser, render as task_scheduler};
}

pub use backend::{InstalledEntry, TimerBackend, all, choose, of_kind};
pub use refusal::TimerRefusal;
pub use spec::{TickTimes, TimerId, TimerSpec};
pub use step::{Encoding, InstallStep, render_steps};
pub use tick_environment::{Gap, PLACES, TickEnvironment, WATCHED, gaps};
pub use variables::check_variable;
