//! Pauses: ticks do nothing for a while, on the user's request.

use super::time::{Timestamp, believed};

/// A pause of all ticks. Commands started by hand still run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub since: Timestamp,
    /// `None`: until `hfdl resume`.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
}

impl Pause {
    /// Reports whether the pause applies at a moment. An expired pause does
    /// not, although it is still stored. A pause dated in the future was
    /// written under a wrong clock: its end is meaningless, so it applies only
    /// if it has no end.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        let is_believed = believed(self.since, now).is_some();
        self.until.is_none_or(|until| is_believed && now < until)
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
        assert!(!pause.is_in_force(at(-61)), "the clock was ahead");
        pause.until = None;
        assert!(pause.is_in_force(at(1_000_000)));
        assert!(pause.is_in_force(at(-61)));
    }
}
