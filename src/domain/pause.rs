//! A person's wish that ticks do nothing for a while.

use super::time::Timestamp;

/// A pause of all ticks. What is started by hand is not held up by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub since: Timestamp,
    /// `None`: until somebody resumes.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
}

impl Pause {
    /// Tells whether the pause holds at a moment; one that has expired is no
    /// pause, although nobody has cleared it away.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_its_end() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut pause = Pause {
            since: at(0),
            until: Some(at(10)),
            reason: None,
        };
        assert!(pause.is_in_force(at(9)));
        assert!(!pause.is_in_force(at(10)));
        pause.until = None;
        assert!(pause.is_in_force(at(1_000_000)));
    }
}
