//! Which ways to a file's bytes lead nowhere: what this run found out, and what
//! an earlier one did.
//!
//! The whole of a run shares this, so that what failed for one file is not
//! tried for the next ten thousand. A way that leads somewhere again is open
//! at once. Later runs hear of a dead end only if another way was open at that
//! time: where nothing could be had it was the network.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::XetFault;
use crate::domain::way::Way;

/// So many failures that may pass, one right after the other, are no accident.
const MOST_FAILURES: u32 = 3;

#[derive(Debug, Default)]
pub struct Ways(Mutex<BTreeMap<Way, Standing>>);

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// `Some` when the way leads nowhere, for files of this size and larger ones.
    dead_from: Option<u64>,
    /// Failures since the last success.
    failures: u32,
    /// It is not as an earlier run left it.
    is_news: bool,
    /// The network was well when it led nowhere.
    is_sure: bool,
}

impl Ways {
    pub fn is_dead_end(&self, way: Way, size_bytes: u64) -> bool {
        let standing = self.all().get(&way).copied().unwrap_or_default();
        standing.dead_from.is_some_and(|from| size_bytes >= from)
    }

    /// Notes what an earlier run found out.
    pub fn recall(&self, way: Way, from_size: u64) {
        self.all().entry(way).or_default().dead_from = Some(from_size);
    }

    /// Notes that a file of this size came that way.
    pub fn works(&self, way: Way, size_bytes: u64) {
        let mut all = self.all();
        let standing = all.entry(way).or_default();
        standing.failures = 0;
        if standing.dead_from.is_some_and(|from| size_bytes >= from) {
            *standing = Standing {
                is_news: true,
                is_sure: true,
                ..Standing::default()
            };
        }
        for (other, standing) in all.iter_mut() {
            standing.is_sure |= *other != way;
        }
    }

    /// Notes that a file of this size does not come that way, and no larger one.
    pub fn give_up(&self, way: Way, size_bytes: u64) {
        let mut all = self.all();
        let standing = all.entry(way).or_default();
        if standing.dead_from.is_none_or(|from| size_bytes < from) {
            let what = match way {
                Way::XetAnswers => "the Xet storage gives no usable answers",
                Way::XetChunks => "chunks of the Xet storage are of no use",
                Way::PlainFiles => "the Hub refuses to send large files plainly",
            };
            log::info!("{what}; this way is not tried again for a while");
            standing.dead_from = Some(size_bytes);
            (standing.is_news, standing.is_sure) = (true, false);
        }
    }

    /// Notes that a question to the storage failed.
    pub(super) fn question_failed(&self, fault: &XetFault) {
        match fault.blame() {
            Blame::Question => {}
            Blame::Storage => self.give_up(Way::XetAnswers, 0),
            Blame::Moment => {
                let mut all = self.all();
                let standing = all.entry(Way::XetAnswers).or_default();
                standing.failures += 1;
                let is_enough = standing.failures >= MOST_FAILURES;
                drop(all);
                if is_enough {
                    self.give_up(Way::XetAnswers, 0);
                }
            }
        }
    }

    /// Returns what the next run should know: for each way of which something
    /// new was found out, from which size on it leads nowhere, if it does.
    pub fn news(&self) -> Vec<(Way, Option<u64>)> {
        let all = self.all();
        let news = all
            .iter()
            .filter(|(_, standing)| standing.is_news && standing.is_sure);
        news.map(|(way, standing)| (*way, standing.dead_from))
            .collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Way, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failed question tells about others.
enum Blame {
    /// Nothing: it was about one file, or the storage asks for patience.
    Question,
    /// It may have been this moment; again and again, it is the storage.
    Moment,
    /// The same happens to any question.
    Storage,
}

impl XetFault {
    fn blame(&self) -> Blame {
        match self {
            Self::UnknownFile
            | Self::BadRange
            | Self::RateLimited { .. }
            | Self::Storage { .. }
            | Self::BadData(_) => Blame::Question,
            Self::NoToken(trouble) if trouble.is_transient => Blame::Question,
            Self::NoToken(_) | Self::Refused { .. } => Blame::Storage,
            Self::Server { .. } if !self.is_transient() => Blame::Storage,
            Self::Server { .. } | Self::Network(_) | Self::BadAnswer(_) => Blame::Moment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: Way = Way::XetAnswers;

    fn busy() -> XetFault {
        XetFault::Server { status: 503 }
    }

    #[test]
    fn one_bad_moment_is_none_and_three_in_a_row_are_enough() {
        let ways = Ways::default();
        for _ in 0..5 {
            ways.question_failed(&busy());
            ways.question_failed(&busy());
            assert!(!ways.is_dead_end(ANSWERS, 0));
            ways.works(ANSWERS, 0);
        }
        assert_eq!(ways.news(), []);
        for _ in 0..3 {
            ways.question_failed(&busy());
        }
        assert!(ways.is_dead_end(ANSWERS, 0));
        assert_eq!(ways.news(), [], "it may be the network");
        ways.works(Way::PlainFiles, 5);
        assert_eq!(ways.news(), [(ANSWERS, Some(0))]);
    }

    #[test]
    fn a_refusal_is_enough_and_a_question_about_a_file_says_nothing() {
        let ways = Ways::default();
        for _ in 0..9 {
            ways.question_failed(&XetFault::UnknownFile);
            ways.question_failed(&XetFault::RateLimited { retry_after: None });
        }
        assert!(!ways.is_dead_end(ANSWERS, 0));
        ways.question_failed(&XetFault::Refused { status: 403 });
        assert!(ways.is_dead_end(ANSWERS, 0));
        assert!(!ways.is_dead_end(Way::XetChunks, 0));
    }

    #[test]
    fn what_is_remembered_is_no_news_until_it_is_wrong() {
        let ways = Ways::default();
        ways.recall(ANSWERS, 0);
        ways.give_up(ANSWERS, 0);
        assert!(ways.is_dead_end(ANSWERS, 0));
        assert_eq!(ways.news(), [], "it is not remembered for longer");
        ways.works(ANSWERS, 0);
        assert!(!ways.is_dead_end(ANSWERS, 0));
        assert_eq!(ways.news(), [(ANSWERS, None)]);
    }

    #[test]
    fn files_are_refused_from_a_size_on() {
        let ways = Ways::default();
        ways.give_up(Way::PlainFiles, 50);
        ways.give_up(Way::PlainFiles, 70);
        ways.works(Way::PlainFiles, 49);
        let refused = [49, 50, 70].map(|size| ways.is_dead_end(Way::PlainFiles, size));
        assert_eq!(refused, [false, true, true]);
        ways.works(Way::PlainFiles, 60);
        assert_eq!(ways.news(), [(Way::PlainFiles, None)]);
    }
}
