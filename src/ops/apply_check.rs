//! The Hub's answers about the models that a file adds or changes. Writes nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use super::apply::{ApplyPlan, Step};
use super::diagnose::diagnose;
use super::login::HubClients;
use super::models::{HubCheck, check_selection};
use super::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use super::pins::newest_beginning;
use crate::domain::model::ModelSpec;
use crate::domain::policy::UnmetPolicy;
use crate::domain::retry::RetryPolicy;

/// The answer about one model: an error if it could not be downloaded.
pub struct CheckedModel {
    pub spec: ModelSpec,
    pub answer: Result<HubCheck>,
}

/// Asks the Hub about each new and changed model of a plan, several at a time. A person waits
/// for the answers: after the first model that a temporary failure leaves without an answer,
/// each other one has a single attempt.
pub fn check_models(clients: &HubClients, plan: &ApplyPlan) -> Vec<CheckedModel> {
    let specs = plan.models.iter().filter_map(|step| match step {
        Step::Add(new) | Step::Change(_, new) => Some(new.clone()),
        Step::Remove(_) => None,
    });
    let specs: Vec<ModelSpec> = specs.collect();
    let patient = clients.with_retry(RetryPolicy::short());
    let (once, is_down) = (
        clients.with_retry(RetryPolicy::never()),
        AtomicBool::new(false),
    );
    let answers = map_at_once(&specs, QUESTIONS_AT_ONCE, |spec| {
        let is_tried_once = is_down.load(Ordering::Relaxed);
        let clients = if is_tried_once { &once } else { &patient };
        let answer = check(clients, spec);
        if let Err(err) = &answer
            && diagnose(err).kind.is_temporary()
        {
            is_down.store(true, Ordering::Relaxed);
        }
        answer
    });
    let pairs = specs.iter().cloned().zip(answers);
    pairs
        .map(|(spec, answer)| {
            let answer = answer.context("the question ended without a result");
            let problem = || format!("could not check `{}`", spec.name);
            let answer = answer.flatten().with_context(problem);
            CheckedModel { spec, answer }
        })
        .collect()
}

fn check(clients: &HubClients, spec: &ModelSpec) -> Result<HubCheck> {
    let mut check = check_selection(clients, &with_whole_pin(clients, spec)?)?;
    match check.refused.take() {
        Some(error) => Err(error.into()),
        None => Ok(check),
    }
}

/// Finds the commit that begins as the pin of a model does; a pin to none is an error.
fn with_whole_pin(clients: &HubClients, spec: &ModelSpec) -> Result<ModelSpec> {
    let mut spec = spec.clone();
    let policy = spec.update.policy.as_mut();
    let Some(beginning) = policy.and_then(|policy| policy.commit.as_mut()) else {
        return Ok(spec);
    };
    if beginning.as_commit().is_none() {
        let hub = clients.with_token(spec.token_name.as_ref())?;
        let found = newest_beginning(&hub, &spec.repo, &spec.revision, beginning)?;
        let commit = found.ok_or_else(|| UnmetPolicy::NoCommit {
            model: spec.name.to_string(),
            beginning: beginning.clone(),
            revision: spec.revision.clone(),
        })?;
        *beginning = commit.as_str().parse()?;
    }
    Ok(spec)
}
