//! How often: the six kinds of cadence and the text that each is written as.

use jiff::civil;

use crate::domain::outcome::words;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

words! {
    /// The word that names a cadence in the database.
    CadenceKind {
        Interval = "interval",
        Daily = "daily",
        Weekly = "weekly",
        Monthly = "monthly",
        Cron = "cron",
        Once = "once",
    }
}

/// A day of a month; days beyond its end mean its last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MonthDay {
    Day(i8),
    Last,
}
