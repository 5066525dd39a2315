//! The words for the ends of sessions and runs, and the exit codes.

/// Defines an enum with one word for each value. Database, JSON and command line
/// use the same words. The database keeps no list of them, so that a new word is a
/// new line here.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word for databases, JSON and tables.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::invalid_value::InvalidValue;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let words = Self::ALL.iter().map(|value| value.as_str());
                    $crate::domain::invalid_value::InvalidValue::unknown_word(text, words)
                })
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use words;

words! {
    /// The result word of a session.
    Outcome {
        /// A new revision was published.
        Updated = "updated",
        /// The Hub was asked and nothing had changed.
        UpToDate = "up-to-date",
        /// Bad or missing files were fetched again at the same commit.
        Repaired = "repaired",
        /// A budget, a window, a stop or a crash cut it short; received bytes are kept.
        Partial = "partial",
        /// A new revision waits for approval, or a rollback holds the old one.
        Held = "held",
        /// The Hub could not be asked; the state upstream is unknown.
        CouldNotCheck = "could-not-check",
        /// Gone upstream; the local copy is kept.
        Orphaned = "orphaned",
        /// Not tried at all.
        Skipped = "skipped",
        /// An error, of which `ErrorKind` is the kind.
        Failed = "failed",
    }
}

/// The effect of a session's end on the health of its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Every file of the current commit is in place.
    Current,
    /// The model stays at an older commit on purpose.
    Held,
    /// The network, the Hub or its rate limit failed, which commonly ends by itself.
    FailedTemporarily,
    Failed,
    /// Gone upstream.
    Gone,
    /// Cut short: nothing is known about the health.
    Unfinished,
    Untried,
}

impl Effect {
    /// Tells whether the check or the update did not succeed.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::FailedTemporarily)
    }
}

impl Outcome {
    /// Returns the effect of an end with this outcome and this kind of trouble.
    pub fn effect(self, trouble: Option<ErrorKind>) -> Effect {
        match self {
            Self::Updated | Self::UpToDate | Self::Repaired => Effect::Current,
            Self::Held => Effect::Held,
            Self::CouldNotCheck => Effect::FailedTemporarily,
            Self::Failed if trouble.is_some_and(ErrorKind::is_temporary) => {
                Effect::FailedTemporarily
            }
            Self::Failed => Effect::Failed,
            Self::Orphaned => Effect::Gone,
            Self::Partial => Effect::Unfinished,
            Self::Skipped => Effect::Untried,
        }
    }
}

words! {
    /// The result of a verification. It says nothing about the Hub, so it is
    /// never the outcome of a check.
    VerifyOutcome {
        /// Every file was read and has its hash.
        Verified = "verified",
        /// At least one file is missing or has other bytes, and still is after a repair.
        Damaged = "damaged",
        /// Cut short, sampled only, or nothing to compare with.
        Unproven = "unproven",
    }
}

words! {
    /// The kind of trouble that a session had.
    ErrorKind {
        Integrity = "integrity",
        Auth = "auth",
        Disk = "disk",
        Network = "network",
        RateLimit = "rate-limit",
        /// An allowance of bytes is spent.
        Allowance = "allowance",
        NotFound = "not-found",
        Hub = "hub",
        Config = "config",
        Internal = "internal",
    }
}

words! {
    /// The result word of a run.
    RunOutcome {
        Ok = "ok",
        Failed = "failed",
        Partial = "partial",
        SkippedLocked = "skipped-locked",
        SkippedPaused = "skipped-paused",
        Interrupted = "interrupted",
        Crashed = "crashed",
    }
}

words! {
    /// The origin of a run: the timer, a CI job or a person.
    Trigger {
        Timer = "timer",
        Ci = "ci",
        Manual = "manual",
    }
}

words! {
    /// The last known state of the repository upstream.
    UpstreamState {
        Ok = "ok",
        Orphaned = "orphaned",
        Gated = "gated",
        Renamed = "renamed",
    }
}

/// The end of a process: the only table of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    Ok,
    Failed,
    Usage,
    Integrity,
    Auth,
    Temporary,
    Disk,
    TransferBudget,
    TimeBudget,
    Locked,
    Interrupted,
    Terminated,
}

impl ExitStatus {
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Integrity,
        Self::Auth,
        Self::Temporary,
        Self::Disk,
        Self::TransferBudget,
        Self::TimeBudget,
        Self::Locked,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Integrity => 3,
            Self::Auth => 4,
            Self::Temporary => 5,
            Self::Disk => 6,
            Self::TransferBudget => 8,
            Self::TimeBudget => 10,
            Self::Locked => 11,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Integrity => "integrity",
            Self::Auth => "auth",
            Self::Temporary => "temporary",
            Self::Disk => "disk",
            Self::TransferBudget => "transfer-budget",
            Self::TimeBudget => "time-budget",
            Self::Locked => "locked",
            Self::Interrupted | Self::Terminated => "interrupted",
        }
    }

    /// Returns the meaning of the code for the user.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "updated, up to date, or nothing due",
            Self::Failed => "something failed that no other code names",
            Self::Usage => "wrong arguments or invalid configuration; nothing was done",
            Self::Integrity => "bytes did not match their hash after retries",
            Self::Auth => {
                "token missing, invalid, or access to a gated repository not granted: a person must act"
            }
            Self::Temporary => {
                "could not check: network, Hub 5xx, rate limit; the next tick tries again"
            }
            Self::Disk => {
                "no space (with reserve), quota, read-only, failing disk: a person must act"
            }
            Self::TransferBudget => "`--max-transfer` or an allowance reached, state saved",
            Self::TimeBudget => "`--max-duration` or the end of the window reached, state saved",
            Self::Locked => "another run holds the lock; recorded as a skipped run",
            Self::Interrupted => "SIGINT (Ctrl-C); state saved, the next run resumes",
            Self::Terminated => "SIGTERM or `hfdl stop`; state saved, the next run resumes",
        }
    }

    /// Returns the severity; higher is worse.
    fn severity(self) -> u8 {
        match self {
            Self::Integrity => 11,
            Self::Disk => 10,
            Self::Auth => 9,
            Self::Failed => 8,
            // A schedule that cannot run needs a person. Trouble that the next tick
            // may resolve does not hide it.
            Self::Usage => 7,
            Self::Temporary => 6,
            Self::Interrupted => 5,
            Self::Terminated => 4,
            Self::TimeBudget => 3,
            Self::TransferBudget => 2,
            // Ends a process before it checks any model, so it is never compared
            // with the code of a model.
            Self::Locked => 1,
            Self::Ok => 0,
        }
    }

    /// Returns the worse of two codes, by the fixed order of the contract.
    pub fn worst(self, other: Self) -> Self {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}

impl Outcome {
    /// Reports whether all files of the wanted revision are in place.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Updated | Self::UpToDate | Self::Repaired)
    }
}

impl ErrorKind {
    /// Tells whether trouble of this kind commonly ends without anybody's help.
    pub fn is_temporary(self) -> bool {
        self.exit_status() == ExitStatus::Temporary
    }

    /// Returns the exit code for an error of this kind.
    pub fn exit_status(self) -> ExitStatus {
        match self {
            Self::Integrity => ExitStatus::Integrity,
            Self::Auth => ExitStatus::Auth,
            Self::Disk => ExitStatus::Disk,
            Self::Network | Self::RateLimit => ExitStatus::Temporary,
            Self::Allowance => ExitStatus::TransferBudget,
            Self::Config => ExitStatus::Usage,
            Self::NotFound | Self::Hub | Self::Internal => ExitStatus::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back_to_itself() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse::<Outcome>().unwrap(), *outcome);
        }
        let error = "done".parse::<Outcome>().unwrap_err().to_string();
        assert!(error.contains("up-to-date"), "{error}");
    }

    #[test]
    fn a_failure_is_temporary_by_its_outcome_or_its_kind() {
        let failed = |kind| Outcome::Failed.effect(Some(kind));
        assert_eq!(failed(ErrorKind::Network), Effect::FailedTemporarily);
        assert_eq!(failed(ErrorKind::RateLimit), Effect::FailedTemporarily);
        assert_eq!(failed(ErrorKind::Disk), Effect::Failed);
        assert_eq!(Outcome::Failed.effect(None), Effect::Failed);
        let unchecked = Outcome::CouldNotCheck.effect(None);
        assert_eq!(unchecked, Effect::FailedTemporarily);
    }

    #[test]
    fn the_worst_code_follows_the_fixed_order() {
        let order = [3, 6, 4, 1, 2, 5, 130, 143, 10, 8, 0];
        for pair in order.windows(2) {
            let find = |code| {
                ExitStatus::ALL
                    .into_iter()
                    .find(|s| s.code() == code)
                    .unwrap()
            };
            let (worse, better) = (find(pair[0]), find(pair[1]));
            assert_eq!(worse.worst(better), worse);
            assert_eq!(better.worst(worse), worse);
        }
    }
}
