//! The timer back-ends of the operating systems.

use super::outcome::words;

words! {
    /// The system facility that starts `hfdl run-due`.
    TimerKind {
        Crontab = "crontab",
        Systemd = "systemd",
        Launchd = "launchd",
        TaskScheduler = "task-scheduler",
    }
}
