//! Warnings about one model: damage, failures, held updates.

use super::facts::{FailedView, ModelStatus, Status};
use super::health::{Warning, WarningKind};
use crate::domain::allowance::Allowance;
use crate::domain::health::LASTS_AFTER;
use crate::domain::model::ModelSummary;
use crate::domain::outcome::{Effect, VerifyOutcome};
use crate::domain::time::render_utc;

/// Returns a warning about damage that was found and not repaired since.
pub(super) fn damage(model: &ModelStatus) -> Option<Warning> {
    let is_damaged = model.summary != ModelSummary::Disabled
        && model.last_verify_outcome == Some(VerifyOutcome::Damaged);
    let name = &model.name;
    let found = model.last_verify_at.map(render_utc);
    let message = format!(
        "`{name}` is damaged: a verification{} found missing or wrong bytes",
        found.map_or_else(String::new, |at| format!(" at {at}"))
    );
    let hint = format!("`hfdl verify {name} --repair`");
    is_damaged.then(|| Warning::new(WarningKind::ModelDamaged, message, hint).about(model))
}

/// Returns a warning about a view that another program does not find.
pub(super) fn failed_view(view: &FailedView) -> Warning {
    let name = &view.model;
    let message = format!(
        "view `{}` of `{name}` was not made: {}",
        view.spec, view.failure
    );
    let hint = format!("`hfdl views list` shows it; `hfdl download {name}` tries again");
    Warning {
        model: Some(name.clone()),
        ..Warning::new(WarningKind::ViewFailed, message, hint)
    }
}

/// Returns a warning about the last attempts at a model.
pub(super) fn model_trouble(model: &ModelStatus) -> Option<Warning> {
    let name = &model.name;
    let cause = model.trouble.as_ref().map(|trouble| &trouble.message);
    let with_cause = |text: String| match cause {
        Some(cause) => format!("{text}: {cause}"),
        None => text,
    };
    let (kind, message, otherwise) = match model.summary {
        ModelSummary::Disabled => return None,
        ModelSummary::Orphaned => (
            WarningKind::ModelOrphaned,
            format!("`{name}` is gone upstream; the local copy is kept"),
            format!("`hfdl models disable {name}` if that is as it should be"),
        ),
        ModelSummary::Gated => (
            WarningKind::ModelGated,
            with_cause(format!("access to `{name}` is not granted")),
            format!("accept its terms on the Hub, then `hfdl download {name}`"),
        ),
        _ if has_failed(model) => {
            let text = match model.consecutive_failures {
                0 | 1 => format!("`{name}` failed"),
                n => format!("`{name}` failed {n} times in a row"),
            };
            (
                WarningKind::ModelFailed,
                with_cause(text),
                format!("`hfdl sessions list --model {name}` shows what happened"),
            )
        }
        _ => return None,
    };
    let hint = model.trouble.as_ref().and_then(|it| it.hint.clone());
    let hint = match model.summary {
        // The hint of the failed session is out of date.
        ModelSummary::Orphaned => otherwise,
        _ => hint.unwrap_or(otherwise),
    };
    Some(Warning::new(kind, message, hint).about(model))
}

/// Returns a warning about a newer commit that waits for approval.
pub(super) fn held_update(model: &ModelStatus) -> Option<Warning> {
    let update = model.held_update.as_ref();
    let update = update.filter(|it| model.summary != ModelSummary::Disabled && !it.is_silent())?;
    let (name, commit) = (&model.name, update.commit.short());
    let trouble = model.trouble.as_ref();
    let trouble = trouble.filter(|_| model.last_effect() == Some(Effect::Held));
    let why = match trouble {
        Some(trouble) => trouble.message.clone(),
        None => format!("{commit} waits for an approval ({})", update.reasons()),
    };
    let message = format!("an update of `{name}` is held: {why}");
    let hint = format!(
        "`hfdl updates show {name}` tells more, and `hfdl updates approve {name}` publishes {commit} all the same"
    );
    Some(Warning::new(WarningKind::UpdateHeld, message, hint).about(model))
}

/// Returns a warning about a ref that leads readers to a snapshot that may not be
/// whole. A ref to a whole snapshot is shown without a warning: readers get files
/// that the Hub has, and the next run decides.
pub(super) fn moved_ref(model: &ModelStatus) -> Option<Warning> {
    let moved = model.moved_ref.as_ref()?;
    let message = format!("`{}`: {}", model.name, moved.describe());
    let warning = Warning::new(WarningKind::RefMoved, message, next_for_ref(model));
    moved.may_break_readers().then(|| warning.about(model))
}

/// Returns a warning about a spent allowance, if models wait for it to begin anew.
pub(super) fn spent_allowance(allowance: &Allowance, status: &Status) -> Option<Warning> {
    let waits = |model: &&ModelStatus| {
        let trouble = model.trouble.as_ref();
        model.bytes_left > 0
            && model.summary != ModelSummary::Disabled
            && trouble.is_some_and(|trouble| allowance.is_named_by(trouble))
    };
    let mut waiting = status.models.iter().filter(waits);
    let first = waiting.next().filter(|_| allowance.is_spent())?;
    let others = match waiting.count() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let (name, message) = (&first.name, allowance.spent_message());
    Some(Warning::new(
        WarningKind::AllowanceSpent,
        format!("`{name}`{others} cannot be fetched now: {message}"),
        allowance.way_out(),
    ))
}

/// Returns the event that puts a moved ref right.
pub fn next_for_ref(model: &ModelStatus) -> String {
    let name = &model.name;
    let now = format!("`hfdl download {name}` does so now");
    match model.summary {
        ModelSummary::Held => {
            format!("the next run moves it back to the commit that `{name}` is held at; {now}")
        }
        _ if model.is_scheduled => {
            format!("the next run publishes the newest commit and moves the ref to it; {now}")
        }
        _ => format!("no schedule includes it: `hfdl download {name}` publishes the newest commit"),
    }
}

/// Tells whether the trouble needs a person: the next tick tries again after
/// temporary trouble, until it lasts.
fn has_failed(model: &ModelStatus) -> bool {
    model.last_effect() == Some(Effect::Failed) || model.consecutive_failures >= LASTS_AFTER
}
