//! The health of a model, and its changes by the ends of sessions.
//!
//! Two records are kept between runs. [`ModelState`] has the facts, and is written
//! when a session is closed. [`Standing`] has the reports to a person, and is
//! written at the end of the run, before its hooks. Both change by the same
//! [`Effect`] of the session's end. Events, hooks, the outcome of a slot and the
//! warnings of `status` are views of the two.
//!
//! The counts of failures differ on purpose: the facts leave out verifications and
//! crashed runs, which a person must hear of all the same.

use super::guard::Terms;
use super::hold::{HeldUpdate, Hold};
use super::model::{EntryName, ModelState};
use super::outcome::{Effect, ErrorKind, Outcome, UpstreamState, words};
use super::repo::{CommitSha, Repo};
use super::run::EventKind;
use super::session::{SessionEnd, Trouble};
use super::time::{Timestamp, believed};

/// The number of failures in a row from which trouble lasts. Temporary trouble is
/// reported from then on, and other trouble once more.
pub const LASTS_AFTER: u32 = 3;

/// The time between two reports of trouble that has not changed.
const REMINDS_AFTER_SECONDS: i64 = 24 * 3_600;

/// The end of a session that checked a model or updated it.
#[derive(Clone, Copy, Debug)]
pub struct CheckEnd<'a> {
    pub outcome: Outcome,
    pub trouble: Option<&'a Trouble>,
    /// The commit upstream, if the Hub told it.
    pub commit: Option<&'a CommitSha>,
    /// The Hub's present name of a repository that was renamed.
    pub renamed_to: Option<&'a str>,
    /// The newer commit that is held, and why.
    pub hold: Option<&'a Hold>,
    /// The terms of the repository, if the Hub told them.
    pub terms: &'a Terms,
    /// This machine had no network, so no attempt was made.
    pub is_offline: bool,
}

impl CheckEnd<'_> {
    fn kind(&self) -> Option<ErrorKind> {
        self.trouble.map(|trouble| trouble.kind)
    }
}

/// Returns the state of a model after a check or an update. The last check, the
/// last success and the last change are three different facts.
pub fn state_after(before: &ModelState, end: &CheckEnd<'_>, now: Timestamp) -> ModelState {
    let mut state = before.clone();
    if end.commit.is_some() {
        state.last_check_at = Some(now);
        state.upstream_state = match end.renamed_to {
            Some(_) => UpstreamState::Renamed,
            None => UpstreamState::Ok,
        };
    }
    match end.outcome.effect(end.kind()) {
        Effect::Current => {
            state.last_success_at = Some(now);
            state.consecutive_failures = 0;
            state.forget_damage();
            state.published_terms = if state.published_commit.as_ref() == end.commit {
                state.published_terms.or(end.terms)
            } else {
                state.published_at = Some(now);
                state.last_change_at = Some(now);
                end.terms.clone().or(&state.published_terms)
            };
            // An approved update stays approved as long as it is published. A rejected one
            // stays rejected while nothing else is published: upstream may come back to it.
            let is_unchanged = before.published_commit.as_ref() == end.commit;
            state.held_update = state.held_update.filter(|update| {
                let is_it = end.commit == Some(&update.commit);
                update.is_approved() && is_it || update.is_rejected() && is_unchanged && !is_it
            });
            state.published_commit = end.commit.cloned();
        }
        Effect::Held => {
            state.last_success_at = Some(now);
            state.consecutive_failures = 0;
            let before = state.held_update.take();
            state.held_update = match end.hold {
                Some(hold) => Some(hold.update(before.as_ref(), now)),
                // A rollback holds the model.
                None => before.filter(HeldUpdate::is_rejected),
            };
        }
        Effect::Gone => {
            state.upstream_state = UpstreamState::Orphaned;
            state.last_check_at = Some(now);
        }
        Effect::Failed | Effect::FailedTemporarily if end.is_offline => {}
        Effect::Failed | Effect::FailedTemporarily => {
            state.consecutive_failures = state.consecutive_failures.saturating_add(1);
            if end.kind() == Some(ErrorKind::Auth) {
                state.upstream_state = UpstreamState::Gated;
            }
        }
        Effect::Unfinished | Effect::Untried => {}
    }
    state
}

/// Returns the events of a check: changes of the state, each recorded once.
pub fn events(
    (name, repo): (&EntryName, &Repo),
    before: &ModelState,
    after: &ModelState,
    end: &CheckEnd<'_>,
) -> Vec<(EventKind, String)> {
    let mut events = Vec::new();
    if after.upstream_state != before.upstream_state {
        events.extend(match after.upstream_state {
            UpstreamState::Orphaned => Some((
                EventKind::Orphaned,
                format!("`{name}` is gone upstream; the local copy is kept"),
            )),
            UpstreamState::Gated => {
                Some((EventKind::Gated, format!("access to `{name}` was refused")))
            }
            UpstreamState::Renamed => {
                let new = end.renamed_to.unwrap_or_default();
                Some((
                    EventKind::Renamed,
                    format!("`{repo}` is called `{new}` now"),
                ))
            }
            UpstreamState::Ok => None,
        });
    }
    events.extend(
        match (before.consecutive_failures, after.consecutive_failures) {
            (0, 1..) => {
                let cause = end.trouble.map(|trouble| trouble.message.as_str());
                Some((EventKind::Failing, cause.unwrap_or("it failed").to_owned()))
            }
            (failures @ 1.., 0) => Some((
                EventKind::Recovered,
                format!("`{name}` is well again after {failures} failures"),
            )),
            _ => None,
        },
    );
    // A held update is an event when it is first seen, not at each tick.
    let commit_of = |state: &ModelState| state.held_update.as_ref().map(|it| it.commit.clone());
    let is_known = after.held_update.is_some() && commit_of(after) == commit_of(before)
        || end.hold.is_some_and(|hold| hold.is_rejected);
    if end.outcome == Outcome::Held
        && !is_known
        && let Some(commit) = end.commit
    {
        let detail = match end.trouble {
            Some(trouble) => format!("`{name}` is held: {}", trouble.message),
            None => format!("`{name}` is held; upstream has {}", commit.short()),
        };
        events.push((EventKind::Held, detail));
    }
    events
}

words! {
    /// The reason why something is reported now.
    NoticeReason {
        Published = "published",
        /// It was well before.
        Began = "began",
        /// It fails in another way now.
        Changed = "changed",
        /// The third failure in a row.
        Lasts = "lasts",
        /// A day has passed since the last report.
        Reminder = "reminder",
        Recovered = "recovered",
        Held = "held",
        /// A ref was moved away from the published commit.
        RefMoved = "ref-moved",
        Skipped = "skipped",
        Ended = "ended",
    }
}

/// Trouble of a model that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    pub kind: ErrorKind,
    /// The time of the first of the failures in a row.
    pub since: Timestamp,
    /// The time of the last report; `None` before the first.
    pub told_at: Option<Timestamp>,
    pub n_failures: u32,
}

/// The reported health of a model, kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub failing: Option<Failing>,
    /// The newer commit that was reported as held back.
    pub held: Option<CommitSha>,
}

impl Standing {
    /// Returns the standing after the end of a session, and the reports of it.
    pub fn after(
        &self,
        end: &SessionEnd,
        commit: Option<&CommitSha>,
        now: Timestamp,
    ) -> (Self, Vec<(NoticeReason, Option<Failing>)>) {
        let mut reports = Vec::new();
        let mut after = self.clone();
        let effect = end.effect();
        match effect {
            Effect::Current | Effect::Held => {
                if end.outcome == Outcome::Updated {
                    reports.push((NoticeReason::Published, None));
                }
                // The end of trouble is reported only if the trouble was.
                let over = after.failing.take();
                if let Some(over) = over.filter(|failing| failing.told_at.is_some()) {
                    reports.push((NoticeReason::Recovered, Some(over)));
                }
                let held = commit.filter(|_| effect == Effect::Held).cloned();
                if held.is_some() && held != after.held {
                    reports.push((NoticeReason::Held, None));
                }
                after.held = held;
            }
            Effect::Failed | Effect::FailedTemporarily | Effect::Gone => {
                let trouble = end.trouble.as_ref();
                let kind = trouble.map_or(ErrorKind::Internal, |trouble| trouble.kind);
                let is_temporary = effect == Effect::FailedTemporarily;
                let (failing, reason) = fail(self.failing, kind, is_temporary, now);
                reports.extend(reason.map(|reason| (reason, Some(failing))));
                after.failing = Some(failing);
            }
            Effect::Unfinished | Effect::Untried => {}
        }
        (after, reports)
    }
}

/// Counts a failure, and decides whether it is reported.
fn fail(
    before: Option<Failing>,
    kind: ErrorKind,
    is_temporary: bool,
    now: Timestamp,
) -> (Failing, Option<NoticeReason>) {
    let mut failing = before.unwrap_or(Failing {
        kind,
        since: now,
        told_at: None,
        n_failures: 0,
    });
    // A first failure of the future was dated by a clock that was ahead.
    failing.since = believed(failing.since, now).unwrap_or(now);
    failing.n_failures = failing.n_failures.saturating_add(1);
    let reason = match failing.told_at {
        None if is_temporary && failing.n_failures < LASTS_AFTER => None,
        None if failing.n_failures == 1 => Some(NoticeReason::Began),
        None => Some(NoticeReason::Lasts),
        // Temporary trouble on top of reported trouble is neither its end nor other
        // trouble.
        Some(_) if failing.kind != kind && !is_temporary => Some(NoticeReason::Changed),
        Some(_) if failing.n_failures == LASTS_AFTER => Some(NoticeReason::Lasts),
        Some(told_at) => is_due_again(told_at, now).then_some(NoticeReason::Reminder),
    };
    if failing.told_at.is_none() || reason == Some(NoticeReason::Changed) {
        failing.kind = kind;
    }
    if reason.is_some() {
        failing.told_at = Some(now);
    }
    (failing, reason)
}

/// Tells whether a day has passed since a report. A report that is dated in the
/// future counts as old: a wrong clock must not silence trouble for years.
fn is_due_again(told_at: Timestamp, now: Timestamp) -> bool {
    let told_at = believed(told_at, now);
    told_at.is_none_or(|told| now.as_second() - told.as_second() >= REMINDS_AFTER_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;
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

    /// Returns the end for a word: `ok`, `updated`, `partial`, or a kind of trouble.
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

    /// Returns the reports of a series of ends, one each quarter of an hour.
    fn told(ends: &str) -> String {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for (index, word) in ends.split(' ').enumerate() {
            let now = at(900 * index as i64);
            let (after, reasons) = standing.after(&end_of(word), None, now);
            let reasons: Vec<&str> = reasons.iter().map(|(reason, _)| reason.as_str()).collect();
            told.push(if reasons.is_empty() {
                "-".to_owned()
            } else {
                reasons.join("+")
            });
            standing = after;
        }
        told.join(" ")
    }

    static NO_TERMS: Terms = Terms {
        licence: None,
        gating: None,
    };

    fn check(outcome: Outcome, trouble: Option<&Trouble>) -> CheckEnd<'_> {
        CheckEnd {
            outcome,
            trouble,
            commit: None,
            renamed_to: None,
            hold: None,
            terms: &NO_TERMS,
            is_offline: false,
        }
    }

    #[test]
    fn a_failure_is_counted_unless_this_machine_had_no_network() {
        let trouble = end_of("auth").trouble.unwrap();
        let before = ModelState::default();
        let failed = check(Outcome::Failed, Some(&trouble));
        let after = state_after(&before, &failed, at(0));
        assert_eq!(after.consecutive_failures, 1);
        assert_eq!(after.upstream_state, UpstreamState::Gated);
        let offline = CheckEnd {
            is_offline: true,
            ..check(Outcome::CouldNotCheck, None)
        };
        assert_eq!(state_after(&before, &offline, at(0)), before);
        let cut = check(Outcome::Partial, None);
        assert_eq!(state_after(&before, &cut, at(0)), before);
    }

    #[test]
    fn trouble_and_its_end_are_one_event_each() {
        let commit: CommitSha = "a".repeat(40).parse().unwrap();
        let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
        let name: EntryName = "tiny".parse().unwrap();
        let gone = check(Outcome::Orphaned, None);
        let well = CheckEnd {
            commit: Some(&commit),
            ..check(Outcome::UpToDate, None)
        };
        let failed = check(Outcome::Failed, None);
        let mut state = ModelState::default();
        let mut kinds = Vec::new();
        for end in [gone, gone, failed, failed, well, well] {
            let after = state_after(&state, &end, at(0));
            let events = events((&name, &repo), &state, &after, &end);
            kinds.extend(events.into_iter().map(|(kind, _)| kind));
            state = after;
        }
        let expected = [
            EventKind::Orphaned,
            EventKind::Failing,
            EventKind::Recovered,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn only_changes_are_reported() {
        for (ends, expected) in [
            ("ok ok updated updated", "- - published published"),
            ("auth auth auth auth ok ok", "began - lasts - recovered -"),
            ("auth disk disk", "began changed lasts"),
            ("auth auth auth disk auth", "began - lasts changed changed"),
            // Temporary trouble is not reported until it lasts.
            ("offline ok offline offline ok", "- - - - -"),
            ("offline limit offline limit ok", "- - lasts - recovered"),
            ("offline auth auth offline", "- lasts lasts -"),
            // Temporary trouble on top of other trouble is neither its end nor new.
            ("auth offline auth auth", "began - lasts -"),
            ("auth offline ok", "began - recovered"),
            // A partial download is neither a success nor a failure.
            (
                "auth partial auth partial updated",
                "began - - - published+recovered",
            ),
        ] {
            assert_eq!(told(ends), expected, "{ends}");
        }
    }

    #[test]
    fn lasting_trouble_is_reported_once_a_day_and_after_a_clock_that_went_back() {
        let fail_at = |before, now| fail(before, ErrorKind::Auth, false, now);
        let (mut failing, _) = fail_at(None, at(0));
        for _ in 0..2 {
            failing = fail_at(Some(failing), at(0)).0;
        }
        assert_eq!(failing.n_failures, 3);
        let reason = |now| fail_at(Some(failing), now).1;
        assert_eq!(reason(at(24 * HOUR - 1)), None);
        assert_eq!(reason(at(24 * HOUR)), Some(NoticeReason::Reminder));
        assert_eq!(reason(at(-1)), None, "a step of the clock");
        assert_eq!(reason(at(-61)), Some(NoticeReason::Reminder));
        let (before, _) = fail_at(Some(failing), at(-HOUR));
        assert_eq!(before.since, at(-HOUR));
        let (later, _) = fail_at(Some(failing), at(24 * HOUR));
        assert_eq!(fail_at(Some(later), at(47 * HOUR)).1, None);
        assert_eq!(later.since, at(0));
    }

    #[test]
    fn a_held_commit_is_reported_once() {
        let commit = |digit: &str| digit.repeat(40).parse::<CommitSha>().unwrap();
        let (a, b) = (commit("a"), commit("b"));
        let held = |before: &Standing, commit| {
            let (after, told) = before.after(&end(Outcome::Held, None), Some(commit), at(0));
            (after, told.len())
        };
        let (first, n_told) = held(&Standing::default(), &a);
        assert_eq!(n_told, 1);
        assert_eq!(held(&first, &a), (first.clone(), 0));
        let (second, n_told) = held(&first, &b);
        assert_eq!(n_told, 1);
        let (failed, _) = second.after(&end_of("auth"), None, at(0));
        assert_eq!(failed.held, Some(b.clone()), "trouble does not end a hold");
        let (released, _) = failed.after(&end_of("ok"), Some(&b), at(0));
        assert_eq!(released, Standing::default());
    }

    proptest! {
        #[test]
        fn reported_trouble_is_reported_to_be_over_once_and_nothing_else_is(words in prop::collection::vec(
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
        fn trouble_of_two_days_is_reported_two_to_four_times(word in prop::sample::select(vec!["offline", "auth"])) {
            let ends = vec![word; 192].join(" ");
            let n_told = told(&ends).split(' ').filter(|told| *told != "-").count();
            prop_assert!((2..=4).contains(&n_told), "{}", n_told);
        }
    }
}
