//! The interface of the back-ends, and their order of preference.

use std::path::Path;

use anyhow::Result;

use super::crontab::CrontabTimer;
use super::launchd::LaunchdTimer;
use super::refusal::TimerRefusal;
use super::spec::{TimerId, TimerSpec};
use super::step::InstallStep;
use super::systemd::SystemdTimer;
use super::task_scheduler::TaskSchedulerTimer;
use crate::domain::timer::TimerKind;
use crate::sys::host::Host;

/// An entry found on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledEntry {
    /// The path of the file, or the lines of the crontab.
    pub place: String,
    /// Whether it is byte for byte the entry that would be installed now.
    pub is_current: bool,
    /// Why it does not fire, according to the system; a new installation repairs
    /// it.
    pub problem: Option<String>,
    /// Why it may not fire. A guess: only ticks prove anything.
    pub doubt: Option<String>,
}

/// A service of the operating system that starts programs at given times.
pub trait TimerBackend {
    fn kind(&self) -> TimerKind;

    /// Tells whether this back-end exists here and this user can reach it.
    fn is_available(&self) -> bool;

    /// Returns the steps of an installation; works on every platform.
    fn plan(&self, spec: &TimerSpec) -> Result<Vec<InstallStep>>;

    /// Installs or replaces the entry; tells whether anything changed.
    fn install(&self, spec: &TimerSpec) -> Result<bool>;

    /// Removes the entry with an id; tells whether there was one.
    fn remove(&self, id: &TimerId) -> Result<bool>;

    /// Returns the installed entry with the specification's id, if there is one.
    fn installed(&self, spec: &TimerSpec) -> Result<Option<InstalledEntry>>;

    /// Returns warnings to show after an installation.
    fn warnings(&self) -> Vec<String>;
}

/// Returns the back-end of a kind; `home` is a folder in which it may keep a file.
pub fn of_kind<'a>(kind: TimerKind, host: &'a Host, home: &'a Path) -> Box<dyn TimerBackend + 'a> {
    match kind {
        TimerKind::Crontab => Box::new(CrontabTimer::new(host)),
        TimerKind::Systemd => Box::new(SystemdTimer::new(host)),
        TimerKind::Launchd => Box::new(LaunchdTimer::new(host)),
        TimerKind::TaskScheduler => Box::new(TaskSchedulerTimer::new(host, home)),
    }
}

/// Returns all back-ends in order of preference.
///
/// systemd is preferred over the crontab because it catches up after sleep, weighs
/// CPU and disk, and keeps the output of a run. launchd is preferred over both: on
/// macOS, cron needs Full Disk Access.
pub fn all<'a>(host: &'a Host, home: &'a Path) -> Vec<Box<dyn TimerBackend + 'a>> {
    use TimerKind::{Crontab, Launchd, Systemd, TaskScheduler};
    let kinds = [TaskScheduler, Launchd, Systemd, Crontab];
    kinds.map(|kind| of_kind(kind, host, home)).into()
}

/// Returns the first available back-end.
pub fn choose<'a>(
    backends: Vec<Box<dyn TimerBackend + 'a>>,
) -> Result<Box<dyn TimerBackend + 'a>, TimerRefusal> {
    let found = backends.into_iter().find(|backend| backend.is_available());
    found.ok_or_else(|| {
        TimerRefusal::state("no timer is available: neither systemd for this user nor `crontab` can be reached")
            .next("install cron, or have something else run `hfdl run-due --trigger timer` every 15 minutes")
    })
}
