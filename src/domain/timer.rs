//! The timers of operating systems, by name.

use super::outcome::words;

words! {
    /// The part of the operating system that starts `hfdl run-due`.
    TimerKind {
        Crontab = "crontab",
        Systemd = "systemd",
        Launchd = "launchd",
        TaskScheduler = "task-scheduler",
    }
}
