//! What every back-end can do, and which of them a machine has.

use std::path::Path;

use anyhow::Result;

use super::crontab::CrontabTimer;
use super::launchd::LaunchdTimer;
use super::refusal::Refusal;
use super::spec::{TimerId, TimerSpec};
use super::step::Step;
use super::systemd::SystemdTimer;
use super::task_scheduler::TaskSchedulerTimer;
use crate::domain::timer::TimerKind;
use crate::sys::host::Host;

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file, or the lines themselves.
    pub place: String,
    /// Whether it is, to the byte, what would be installed now.
    pub is_current: bool,
    /// Why it does not fire, where the system says so; installing anew mends it.
    pub problem: Option<String>,
    /// Why it may not fire, which is a guess: only ticks prove anything.
    pub doubt: Option<String>,
}

/// A part of an operating system that starts programs at given times.
pub trait TimerBackend {
    fn kind(&self) -> TimerKind;

    /// Tells whether this machine has it and this user can reach it.
    fn is_there(&self) -> bool;

    /// Returns what installing would write and run; works on every platform.
    fn plan(&self, spec: &TimerSpec) -> Result<Vec<Step>>;

    /// Installs or replaces the entry; tells whether anything changed.
    fn install(&self, spec: &TimerSpec) -> Result<bool>;

    /// Removes the entry of an id; tells whether there was one.
    fn remove(&self, id: &TimerId) -> Result<bool>;

    /// Returns the entry of a specification's id, if there is one.
    fn look(&self, spec: &TimerSpec) -> Result<Option<Entry>>;

    /// Returns what a person should know after an installation.
    fn warnings(&self) -> Vec<String>;
}

/// Returns the back-end of a kind; `home` is where it may keep a file.
pub fn of_kind<'a>(kind: TimerKind, host: &'a Host, home: &'a Path) -> Box<dyn TimerBackend + 'a> {
    match kind {
        TimerKind::Crontab => Box::new(CrontabTimer::new(host)),
        TimerKind::Systemd => Box::new(SystemdTimer::new(host)),
        TimerKind::Launchd => Box::new(LaunchdTimer::new(host)),
        TimerKind::TaskScheduler => Box::new(TaskSchedulerTimer::new(host, home)),
    }
}

/// Returns all back-ends, in the order in which they are preferred.
///
/// systemd comes before the crontab because it catches up after a sleep,
/// weighs CPU and disk, and keeps what a run says. launchd comes before both:
/// on a Mac, cron needs Full Disk Access and is second class.
pub fn all<'a>(host: &'a Host, home: &'a Path) -> Vec<Box<dyn TimerBackend + 'a>> {
    use TimerKind::{Crontab, Launchd, Systemd, TaskScheduler};
    let kinds = [TaskScheduler, Launchd, Systemd, Crontab];
    kinds.map(|kind| of_kind(kind, host, home)).into()
}

/// Chooses the first back-end that is there.
pub fn choose<'a>(
    backends: Vec<Box<dyn TimerBackend + 'a>>,
) -> Result<Box<dyn TimerBackend + 'a>, Refusal> {
    let found = backends.into_iter().find(|backend| backend.is_there());
    found.ok_or_else(|| {
        Refusal::met("neither systemd for users nor `crontab` nor another timer can be reached here")
            .next("install cron, or have something else run `hfdl run-due --trigger timer` every 15 minutes")
    })
}
