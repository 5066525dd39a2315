//! The progress of a run at one moment, as terminals, logs and `hfdl status` show it.

use std::time::Duration;

use super::time::Timestamp;

/// The time without a byte after which a transfer counts as stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(5);

/// A part that is done of a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub done: u64,
    pub total: u64,
}

impl Share {
    pub fn percent(self) -> u64 {
        let percent = u128::from(self.done) * 100;
        let percent = percent.checked_div(u128::from(self.total));
        u64::try_from(percent.unwrap_or(100).min(100)).unwrap_or(100)
    }
}

/// Models by the first of them: a run may have thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeModels {
    pub first: Option<String>,
    pub n_more: u64,
}

/// A file that is fetched or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProgress {
    pub name: String,
    pub bytes: Share,
}

/// A wait of a file, or of the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunWait {
    pub file: Option<String>,
    pub message: String,
    /// The time until the next attempt, where it is known.
    pub left: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunProgress {
    /// The models that have not ended.
    pub unfinished: SomeModels,
    /// The models of which the Hub is asked.
    pub checking: SomeModels,
    pub models: Share,
    /// All files of the models that are fetched, those that were here before included.
    pub files: Share,
    pub files_read: Share,
    pub fetched: Share,
    pub read: Share,
    pub bytes_copied: u64,
    /// `None` until the rate can be measured.
    pub bytes_per_second: Option<u64>,
    /// `None` until the time left is known, and while the transfer stalls.
    pub seconds_left: Option<u64>,
    /// The busiest files.
    pub active: Vec<FileProgress>,
    /// The newest waits.
    pub waits: Vec<RunWait>,
    /// The time without a byte, once it is long.
    pub stalled_for: Option<Duration>,
}

impl RunProgress {
    /// The bytes of the network, or of this machine if none is fetched.
    pub fn main_bytes(&self) -> Share {
        if self.fetched.total > 0 {
            self.fetched
        } else {
            self.read
        }
    }

    /// The files of the models that are fetched, or of those that are only read.
    pub fn main_files(&self) -> Share {
        if self.files.total > 0 {
            self.files
        } else {
            self.files_read
        }
    }

    /// Returns the progress some time after it was told: waits have less time left, and an
    /// old rate says nothing about the time left.
    pub fn after(mut self, told_at: Timestamp, now: Timestamp) -> Self {
        let age = Duration::try_from(now.duration_since(told_at)).unwrap_or_default();
        for wait in &mut self.waits {
            wait.left = wait.left.map(|left| left.saturating_sub(age));
        }
        self.stalled_for = self.stalled_for.map(|span| span + age);
        self.seconds_left = self.seconds_left.filter(|_| age < STALLED_AFTER);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_whole() {
        assert_eq!(Share::default().percent(), 100);
        assert_eq!(Share { done: 1, total: 3 }.percent(), 33);
        assert_eq!(Share { done: 9, total: 3 }.percent(), 100);
    }

    #[test]
    fn a_progress_of_long_ago_has_no_time_left() {
        let told = RunProgress {
            seconds_left: Some(60),
            ..RunProgress::default()
        };
        let after = |seconds| {
            let now = Timestamp::from_second(seconds).unwrap();
            told.clone().after(Timestamp::UNIX_EPOCH, now).seconds_left
        };
        assert_eq!((after(4), after(5)), (Some(60), None));
    }

    #[test]
    fn an_older_progress_has_shorter_waits_and_a_longer_stall() {
        let at = Timestamp::UNIX_EPOCH;
        let later = Timestamp::from_second(5).unwrap();
        let wait = |seconds| RunWait {
            file: None,
            message: "rate limited".to_owned(),
            left: Some(Duration::from_secs(seconds)),
        };
        let told = RunProgress {
            waits: vec![wait(8), wait(2)],
            stalled_for: Some(Duration::from_secs(6)),
            ..RunProgress::default()
        };
        let now = told.clone().after(at, later);
        assert_eq!(now.waits, [wait(3), wait(0)]);
        assert_eq!(now.stalled_for, Some(Duration::from_secs(11)));
        // A clock that was set back changes nothing.
        assert_eq!(told.clone().after(later, at), told);
    }
}
