//! What a run tells a person: changes of state, not states.
//!
//! A timer looks every few minutes, and a model that fails would be told of
//! each time. So what has been told is remembered for each model: trouble is
//! told when it begins, when it becomes another one, when it has proved to
//! last, once a day while it does, and once when it is over.

use std::collections::{BTreeMap, BTreeSet};

use super::model::ModelId;
use super::outcome::{ErrorKind, ExitStatus, Outcome, RunOutcome, Trigger, words};
use super::repo::CommitSha;
use super::run::{RunCommand, RunId, RunStart};
use super::session::{Session, SessionEnd, SessionId};
use super::time::{Timestamp, believed};

/// So many failures in a row are no accident: temporary trouble is told now
/// for the first time, other trouble once more.
pub const LASTS_AFTER: u32 = 3;

/// How long nothing is said of trouble that goes on as it was.
const REMINDS_AFTER_SECONDS: i64 = 24 * 3_600;

/// What a run did, for everything that tells others of it.
#[derive(Clone, Debug)]
pub struct RunFacts {
    pub run_id: RunId,
    pub command: RunCommand,
    pub trigger: Trigger,
    pub outcome: RunOutcome,
    pub status: ExitStatus,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub sessions: Vec<Session>,
    /// The sessions in which this machine had no network: nothing was tried.
    pub offline: BTreeSet<SessionId>,
}

impl RunFacts {
    /// Describes a run that ended before it began.
    pub fn skipped(start: &RunStart, id: RunId, outcome: RunOutcome, status: ExitStatus) -> Self {
        Self {
            run_id: id,
            command: start.command,
            trigger: start.trigger,
            outcome,
            status,
            started_at: start.at,
            finished_at: start.at,
            sessions: Vec::new(),
            offline: BTreeSet::new(),
        }
    }
}

/// The facts of one call of a hook.
#[derive(Clone, Copy, Debug)]
pub struct HookCall<'a> {
    pub event: HookEvent,
    pub reason: Reason,
    pub run: &'a RunFacts,
    /// `None` for an event of the whole run.
    pub session: Option<&'a Session>,
    pub failing: Option<Failing>,
}

words! {
    /// What a hook is for.
    HookEvent {
        OnUpdate = "on_update",
        OnFailure = "on_failure",
        OnRecovery = "on_recovery",
        OnHold = "on_hold",
        OnSkip = "on_skip",
        Finally = "finally",
    }
}

words! {
    /// Why something is told just now.
    Reason {
        Published = "published",
        /// It was well before.
        Began = "began",
        /// It fails in another way now.
        Changed = "changed",
        /// The third failure in a row.
        Lasts = "lasts",
        /// A day has gone since it was told.
        Reminder = "reminder",
        Recovered = "recovered",
        Held = "held",
        Skipped = "skipped",
        Ended = "ended",
    }
}

/// Trouble of a model that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    pub kind: ErrorKind,
    /// When the first of the failures in a row was.
    pub since: Timestamp,
    /// When it was told last; `None` while it is kept quiet.
    pub told_at: Option<Timestamp>,
    pub n_failures: u32,
}

/// What is remembered of a model between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub failing: Option<Failing>,
    /// The newer commit that was told to be kept back by a hold.
    pub held: Option<CommitSha>,
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub event: HookEvent,
    pub reason: Reason,
    /// The place of its session in the run.
    pub session: usize,
    /// The trouble that began, lasts or is over.
    pub failing: Option<Failing>,
}

/// What to tell of a run, and what to remember of its models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    pub notices: Vec<Notice>,
    pub standings: BTreeMap<ModelId, Standing>,
}

/// Decides what is worth telling of registered models; one that was only
/// downloaded by hand is nobody's to watch.
///
/// `known` holds what was remembered before this run.
pub fn decide(run: &RunFacts, known: &BTreeMap<ModelId, Standing>, now: Timestamp) -> Alerts {
    let mut alerts = Alerts::default();
    for (index, session) in run.sessions.iter().enumerate() {
        let (Some(id), Some(end)) = (session.start.model_id, &session.end) else {
            continue;
        };
        if run.offline.contains(&session.id) {
            continue;
        }
        // A long run may look at a model twice.
        let before = alerts.standings.get(&id).or(known.get(&id));
        let before = before.cloned().unwrap_or_default();
        let commit = session.progress.new_commit.as_ref();
        let (after, told) = judge(&before, end, commit, now);
        let notices = told.into_iter().map(|(reason, failing)| Notice {
            event: event_of(reason),
            reason,
            session: index,
            failing,
        });
        alerts.notices.extend(notices);
        if after != before {
            alerts.standings.insert(id, after);
        }
    }
    alerts
}

fn event_of(reason: Reason) -> HookEvent {
    match reason {
        Reason::Published => HookEvent::OnUpdate,
        Reason::Began | Reason::Changed | Reason::Lasts | Reason::Reminder => HookEvent::OnFailure,
        Reason::Recovered => HookEvent::OnRecovery,
        Reason::Held => HookEvent::OnHold,
        Reason::Skipped => HookEvent::OnSkip,
        Reason::Ended => HookEvent::Finally,
    }
}

/// Decides about one model: what is remembered from now on, and what is told.
fn judge(
    before: &Standing,
    end: &SessionEnd,
    commit: Option<&CommitSha>,
    now: Timestamp,
) -> (Standing, Vec<(Reason, Option<Failing>)>) {
    let mut told = Vec::new();
    let mut after = before.clone();
    match end.outcome {
        Outcome::Updated | Outcome::Repaired | Outcome::UpToDate | Outcome::Held => {
            if end.outcome == Outcome::Updated {
                told.push((Reason::Published, None));
            }
            // Of trouble that nobody heard of nobody needs to hear the end.
            let over = after.failing.take();
            if let Some(over) = over.filter(|failing| failing.told_at.is_some()) {
                told.push((Reason::Recovered, Some(over)));
            }
            let held = commit.filter(|_| end.outcome == Outcome::Held).cloned();
            if held.is_some() && held != after.held {
                told.push((Reason::Held, None));
            }
            after.held = held;
        }
        Outcome::Failed | Outcome::CouldNotCheck | Outcome::Orphaned => {
            let kind = kind_of(end);
            let (failing, reason) =
                fail(before.failing, kind, is_temporary(end.outcome, kind), now);
            told.extend(reason.map(|reason| (reason, Some(failing))));
            after.failing = Some(failing);
        }
        // Neither says whether the model is well.
        Outcome::Partial | Outcome::Skipped => {}
    }
    (after, told)
}

/// Counts a failure, and decides whether it is told.
fn fail(
    before: Option<Failing>,
    kind: ErrorKind,
    is_temporary: bool,
    now: Timestamp,
) -> (Failing, Option<Reason>) {
    // The first failure is not dated when the clock was ahead.
    let before = before.map(|before| Failing {
        since: believed(before.since, now).unwrap_or(now),
        ..before
    });
    let mut failing = before.unwrap_or(Failing {
        kind,
        since: now,
        told_at: None,
        n_failures: 0,
    });
    failing.n_failures = failing.n_failures.saturating_add(1);
    let lasts = failing.n_failures == LASTS_AFTER;
    let reason = match failing.told_at {
        None => {
            failing.kind = kind;
            let is_due = !is_temporary || failing.n_failures >= LASTS_AFTER;
            is_due.then_some(if failing.n_failures == 1 {
                Reason::Began
            } else {
                Reason::Lasts
            })
        }
        // A hiccup of the network on top of trouble that was told says nothing
        // about that trouble: it is neither over nor another one.
        Some(_) if failing.kind != kind && !is_temporary => {
            failing.kind = kind;
            Some(Reason::Changed)
        }
        Some(_) if lasts => Some(Reason::Lasts),
        // A clock that was wrong and went back must not silence this for years.
        Some(told_at)
            if believed(told_at, now)
                .is_none_or(|told| now.as_second() - told.as_second() >= REMINDS_AFTER_SECONDS) =>
        {
            Some(Reason::Reminder)
        }
        Some(_) => None,
    };
    if reason.is_some() {
        failing.told_at = Some(now);
    }
    (failing, reason)
}

fn kind_of(end: &SessionEnd) -> ErrorKind {
    let trouble = end.trouble.as_ref();
    trouble.map_or(ErrorKind::Internal, |trouble| trouble.kind)
}

/// Tells whether trouble commonly ends without anybody's help.
fn is_temporary(outcome: Outcome, kind: ErrorKind) -> bool {
    outcome == Outcome::CouldNotCheck || is_passing(kind)
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Network | ErrorKind::RateLimit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::Trouble;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + seconds).unwrap()
    }

    fn end(outcome: Outcome, kind: Option<ErrorKind>) -> SessionEnd {
        SessionEnd {
            at: at(0),
            outcome,
            verify_outcome: None,
            trouble: kind.map(|kind| Trouble {
                kind,
                message: "no".to_owned(),
                hint: None,
            }),
        }
    }

    /// One word for an end: `ok`, `updated`, `partial`, or a kind of trouble.
    fn end_of(word: &str) -> SessionEnd {
        match word {
            "ok" => end(Outcome::UpToDate, None),
            "updated" => end(Outcome::Updated, None),
            "partial" => end(Outcome::Partial, None),
            "offline" => end(Outcome::CouldNotCheck, Some(ErrorKind::Network)),
            "limit" => end(Outcome::CouldNotCheck, Some(ErrorKind::RateLimit)),
            kind => end(Outcome::Failed, Some(kind.parse().unwrap())),
        }
    }

    /// Says what is told of a row of ends, one each quarter of an hour.
    fn told(ends: &str) -> String {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for (index, word) in ends.split(' ').enumerate() {
            let now = at(900 * index as i64);
            let (after, reasons) = judge(&standing, &end_of(word), None, now);
            let reasons: Vec<&str> = reasons.iter().map(|(reason, _)| reason.as_str()).collect();
            told.push(match reasons.is_empty() {
                true => "-".to_owned(),
                false => reasons.join("+"),
            });
            standing = after;
        }
        told.join(" ")
    }

    #[test]
    fn only_changes_are_told() {
        for (ends, expected) in [
            ("ok ok updated updated", "- - published published"),
            ("auth auth auth auth ok ok", "began - lasts - recovered -"),
            ("auth disk disk", "began changed lasts"),
            ("auth auth auth disk auth", "began - lasts changed changed"),
            // What passes by itself is kept quiet until it has lasted.
            ("offline ok offline offline ok", "- - - - -"),
            ("offline limit offline limit ok", "- - lasts - recovered"),
            ("offline auth auth offline", "- lasts lasts -"),
            // A hiccup on top of something else is neither its end nor news.
            ("auth offline auth auth", "began - lasts -"),
            ("auth offline ok", "began - recovered"),
            // Neither good nor bad.
            (
                "auth partial auth partial updated",
                "began - - - published+recovered",
            ),
        ] {
            assert_eq!(told(ends), expected, "{ends}");
        }
    }

    #[test]
    fn what_lasts_is_told_again_once_a_day_and_after_a_clock_that_went_back() {
        let fail_at = |before, now| fail(before, ErrorKind::Auth, false, now);
        let (mut failing, _) = fail_at(None, at(0));
        for _ in 0..2 {
            failing = fail_at(Some(failing), at(0)).0;
        }
        assert_eq!(failing.n_failures, 3);
        let reason = |now| fail_at(Some(failing), now).1;
        assert_eq!(reason(at(24 * HOUR - 1)), None);
        assert_eq!(reason(at(24 * HOUR)), Some(Reason::Reminder));
        assert_eq!(reason(at(-1)), None, "a step of the clock");
        assert_eq!(reason(at(-61)), Some(Reason::Reminder));
        let (before, _) = fail_at(Some(failing), at(-HOUR));
        assert_eq!(before.since, at(-HOUR));
        let (later, _) = fail_at(Some(failing), at(24 * HOUR));
        assert_eq!(fail_at(Some(later), at(47 * HOUR)).1, None);
        assert_eq!(later.since, at(0));
    }

    #[test]
    fn a_commit_that_is_held_back_is_told_once() {
        let commit = |digit: &str| digit.repeat(40).parse::<CommitSha>().unwrap();
        let (a, b) = (commit("a"), commit("b"));
        let held = |before: &Standing, commit| {
            let (after, told) = judge(before, &end(Outcome::Held, None), Some(commit), at(0));
            (after, told.len())
        };
        let (first, n_told) = held(&Standing::default(), &a);
        assert_eq!(n_told, 1);
        assert_eq!(held(&first, &a), (first.clone(), 0));
        let (second, n_told) = held(&first, &b);
        assert_eq!(n_told, 1);
        let (failed, _) = judge(&second, &end_of("auth"), None, at(0));
        assert_eq!(failed.held, Some(b.clone()), "trouble does not end a hold");
        let (released, _) = judge(&failed, &end_of("ok"), Some(&b), at(0));
        assert_eq!(released, Standing::default());
    }

    proptest! {
        #[test]
        fn told_trouble_is_told_to_be_over_once_and_nothing_else_is(words in prop::collection::vec(
            prop::sample::select(vec!["ok", "updated", "partial", "offline", "limit", "auth", "disk"]), 1..40)) {
            let mut is_told = false;
            for (word, told) in words.iter().zip(told(&words.join(" ")).split(' ')) {
                let is_well = matches!(*word, "ok" | "updated");
                prop_assert_eq!(told.contains("recovered"), is_well && is_told);
                prop_assert_eq!(told.contains("published"), *word == "updated");
                is_told = !is_well && (is_told || !matches!(told, "-"));
            }
        }

        #[test]
        fn of_trouble_that_lasts_two_days_little_is_said(word in prop::sample::select(vec!["offline", "auth"])) {
            let ends = vec![word; 192].join(" ");
            let n_told = told(&ends).split(' ').filter(|told| *told != "-").count();
            prop_assert!((2..=4).contains(&n_told), "{}", n_told);
        }
    }
}
