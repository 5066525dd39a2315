//! The notices of a run: hooks are called for changes of health, not for states.
//!
//! A timer starts a run every few minutes, and a model that fails would be reported
//! each time. So [`Standing`] keeps the reported trouble. Trouble is reported when it
//! begins, when it becomes other trouble, when it lasts, once a day while it does,
//! and once when it is over.

use std::collections::{BTreeMap, BTreeSet};

use super::allowance::Allowance;
use super::changes::ChangeNote;
use super::hold::Hold;
use super::model::ModelId;
use super::moved_ref::MovedRef;
use super::outcome::{ExitStatus, RunOutcome, Trigger, words};
use super::retention::Removal;
use super::run::{RunCommand, RunId, RunStart};
use super::session::{Session, SessionId, SessionStop};
use super::settings::SettingKey;
use super::time::Timestamp;

pub use super::health::{Failing, NoticeReason, Standing};

/// The facts of a run that ended, for hooks, metrics and pings.
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
    /// The sessions in which this machine had no network, so no attempt was made.
    pub offline: BTreeSet<SessionId>,
    /// The sessions that a limit or a signal has ended.
    pub stopped: BTreeMap<SessionId, SessionStop>,
    /// Refs that were found away from the published commit, each told once.
    pub moved_refs: BTreeMap<SessionId, MovedRef>,
    /// The updates that are held, each with its findings.
    pub holds: BTreeMap<SessionId, Hold>,
    /// Revisions and leftovers that were removed to make room.
    pub removed: Vec<Removal>,
    /// The allowances that were spent before all files were fetched.
    pub spent: Vec<Allowance>,
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
            stopped: BTreeMap::new(),
            moved_refs: BTreeMap::new(),
            holds: BTreeMap::new(),
            removed: Vec::new(),
            spent: Vec::new(),
        }
    }
}

/// The facts of one call of a hook.
#[derive(Clone, Copy, Debug)]
pub struct HookCall<'a> {
    pub event: HookEvent,
    pub reason: NoticeReason,
    pub run: &'a RunFacts,
    /// `None` for an event of the whole run.
    pub session: Option<&'a Session>,
    pub failing: Option<Failing>,
    /// The changes of the update that is published or held.
    pub note: Option<&'a ChangeNote>,
}

words! {
    /// The event that a hook is called for; each has a setting of its name.
    HookEvent {
        OnUpdate = "on_update",
        OnFailure = "on_failure",
        OnRecovery = "on_recovery",
        OnHold = "on_hold",
        OnRefMoved = "on_ref_moved",
        OnSkip = "on_skip",
        Finally = "finally",
    }
}

/// A call of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub event: HookEvent,
    pub reason: NoticeReason,
    /// The index of its session in the run.
    pub session: usize,
    /// The trouble that begins, lasts or is over.
    pub failing: Option<Failing>,
}

/// The notices of a run, and the standings of models that it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    pub notices: Vec<Notice>,
    pub standings: BTreeMap<ModelId, Standing>,
}

/// Decides about the notices of a run. Only registered models have any.
///
/// `known` has the standings from before the run.
pub fn decide(run: &RunFacts, known: &BTreeMap<ModelId, Standing>, now: Timestamp) -> Alerts {
    let mut alerts = Alerts::default();
    for (index, session) in run.sessions.iter().enumerate() {
        let (Some(id), Some(end)) = (session.start.model_id, &session.end) else {
            continue;
        };
        let notice = |(reason, failing)| Notice {
            event: event_of(reason),
            reason,
            session: index,
            failing,
        };
        if run.moved_refs.contains_key(&session.id) {
            alerts.notices.push(notice((NoticeReason::RefMoved, None)));
        }
        if run.offline.contains(&session.id) {
            continue;
        }
        // A long run may check a model twice.
        let before = alerts.standings.get(&id).or(known.get(&id));
        let before = before.cloned().unwrap_or_default();
        // A hold that ends by itself is not reported, and neither is a commit that a person
        // has rejected; an older report stays.
        let hold = run.holds.get(&session.id);
        let commit = if hold.is_some_and(|hold| hold.is_silent() || hold.is_rejected) {
            before.held.as_ref()
        } else {
            session.progress.new_commit.as_ref()
        };
        let (after, reports) = before.after(end, commit, now);
        alerts.notices.extend(reports.into_iter().map(notice));
        if after != before {
            alerts.standings.insert(id, after);
        }
    }
    alerts
}

impl HookEvent {
    /// Returns the setting that names the program of the hook.
    pub fn setting(self) -> SettingKey {
        match self {
            Self::OnUpdate => SettingKey::HooksOnUpdate,
            Self::OnFailure => SettingKey::HooksOnFailure,
            Self::OnRecovery => SettingKey::HooksOnRecovery,
            Self::OnHold => SettingKey::HooksOnHold,
            Self::OnRefMoved => SettingKey::HooksOnRefMoved,
            Self::OnSkip => SettingKey::HooksOnSkip,
            Self::Finally => SettingKey::HooksFinally,
        }
    }
}

fn event_of(reason: NoticeReason) -> HookEvent {
    match reason {
        NoticeReason::Published => HookEvent::OnUpdate,
        NoticeReason::Began
        | NoticeReason::Changed
        | NoticeReason::Lasts
        | NoticeReason::Reminder => HookEvent::OnFailure,
        NoticeReason::Recovered => HookEvent::OnRecovery,
        NoticeReason::Held => HookEvent::OnHold,
        NoticeReason::RefMoved => HookEvent::OnRefMoved,
        NoticeReason::Skipped => HookEvent::OnSkip,
        NoticeReason::Ended => HookEvent::Finally,
    }
}
