//! Room for a download that does not fit: the removals of `prune.auto`, and proposals
//! for a person. The rule is [`room_rules`].

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::prune::{Prune, PruneLimits, PrunePlan};
use super::upstream::{CommitQuestion, ask};
use crate::domain::model::{Destination, Model};
use crate::domain::repo::Repo;
use crate::domain::retention::{
    Item, ItemKind, Removal, RetentionRules, StayReason, proposals, proposals_text, room_rules,
};
use crate::domain::run::{Event, EventKind, RunId};
use crate::domain::settings::Settings;
use crate::domain::status::{CacheSize, CacheUse};
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::ops::ownership;
use crate::ops::services::Services;
use crate::store::{MetaKey, ModelFilter, Store};
use crate::sys::disk;

/// Bytes that are missing for a download.
pub struct CacheShortage {
    pub missing: ByteSize,
    /// Repositories that the run is working on: their files stay.
    pub busy: BTreeSet<Repo>,
}

/// Removes old revisions until the missing bytes are free, and returns the removals.
/// None means that nothing was removed, because that would not be enough.
///
/// The Hub is asked about each candidate before. A commit that it does not confirm
/// stays.
pub fn make_room(
    services: &Services<'_>,
    shortage: &CacheShortage,
    run: &RunId,
) -> Result<Vec<Removal>> {
    let now = services.host.now();
    let rules = room_rules(shortage.missing);
    let plan = prune(services, shortage, rules)?.plan(now)?;
    if freed(&plan) < shortage.missing.bytes() {
        return Ok(Vec::new());
    }
    ask_about_candidates(services, &plan, run, now)?;
    let confirmed = RetentionRules {
        confirmed_since: Some(now),
        ..rules
    };
    let prune = prune(services, shortage, confirmed)?;
    let plan = prune.plan(now)?;
    if freed(&plan) < shortage.missing.bytes() {
        return Ok(Vec::new());
    }
    let report = prune.carry_out(plan, run, now)?;
    for problem in &report.problems {
        log::warn!("{problem:#}");
    }
    let removed = report.items.into_iter().filter(|it| it.goes);
    let removed: Vec<Removal> = removed.map(Removal::from).collect();
    for removal in &removed {
        services.store.save_removal(run, removal)?;
        let size = ByteSize(removal.size_bytes).render_short();
        let (what, id, repo) = (removal.what, &removal.id, &removal.repo);
        let detail = format!("`prune.auto` has removed the {what} {id} of `{repo}`: {size} freed");
        log::info!("{detail}");
        services.store.record_event(&Event {
            at: now,
            kind: EventKind::Pruned,
            model_id: None,
            run_id: Some(run.clone()),
            detail,
        })?;
    }
    Ok(removed)
}

fn freed(plan: &PrunePlan) -> u64 {
    let going = plan.items().filter(|item| item.goes);
    going.map(|item| item.size_bytes).sum()
}

/// Selects the models of the cache whose repositories no target of the run uses.
fn prune<'s>(
    services: &'s Services<'_>,
    shortage: &CacheShortage,
    rules: RetentionRules,
) -> Result<Prune<'s>> {
    let Services {
        host,
        home,
        store,
        settings,
        ..
    } = services;
    let mut models = store.models(&ModelFilter::default())?;
    models.retain(|model| {
        model.spec.destination == Destination::Cache && !shortage.busy.contains(&model.spec.repo)
    });
    Ok(Prune {
        store,
        home,
        settings,
        identity: ownership::identity(host, home, store)?,
        models,
        limits: PruneLimits {
            keep_revisions: None,
            rules,
            keeps_evidence: true,
        },
        with_history: false,
    })
}

/// Asks the Hub about the revisions that go, and those that would go next.
fn ask_about_candidates(
    services: &Services<'_>,
    plan: &PrunePlan,
    run: &RunId,
    now: Timestamp,
) -> Result<()> {
    let store = &services.store;
    let is_candidate = |item: &&Item| {
        let is_next = item.reason == StayReason::AmongNewest.as_str();
        item.what == ItemKind::Revision && (item.goes || is_next)
    };
    let mut questions = Vec::new();
    for item in plan.items().filter(is_candidate) {
        let models = store.models_of_repo(&item.repo)?;
        let had = |model: Model| -> Result<Option<CommitQuestion>> {
            let revisions = store.revisions(model.id)?.into_iter();
            let mut revisions = revisions.filter(|it| it.commit.as_str() == item.id);
            Ok(revisions.next().map(|revision| CommitQuestion {
                model: model.id,
                repo: model.spec.repo,
                token_name: model.spec.token_name,
                needs_token: model.state.needs_token,
                revision,
            }))
        };
        for model in models {
            if let Some(question) = had(model)? {
                questions.push(question);
                break;
            }
        }
    }
    ask(services, questions, run, now)
}

/// Names the commands that would make room; `None` if none would.
pub fn room_hint(services: &Services<'_>, shortage: &CacheShortage) -> Result<Option<String>> {
    let prune = prune(services, shortage, RetentionRules::default())?;
    let plan = prune.plan(services.host.now())?;
    let items: Vec<Item> = plan.items().cloned().collect();
    Ok(proposals_text(&proposals(&items, |name| {
        prune.is_disabled(name)
    })))
}

/// The room that a download would lack, in a dry run.
#[derive(Debug)]
pub struct LackingRoom {
    pub missing: ByteSize,
    /// The removals of `prune.auto`; none if it is off, or if they were not enough.
    pub removed: Vec<Removal>,
}

/// Compares the bytes that targets would write into the cache with `cache.max_size`;
/// `None` if they fit. It asks the Hub nothing, so that a run may find more to keep.
pub fn lacking_room(
    services: &Services<'_>,
    need: ByteSize,
    busy: BTreeSet<Repo>,
) -> Result<Option<LackingRoom>> {
    let settings = &services.settings;
    let Some(max) = settings.cache_max_size().filter(|_| need.bytes() > 0) else {
        return Ok(None);
    };
    let used = disk::folder_bytes(Path::new(settings.cache_dir()))
        .with_context(|| format!("cannot measure the cache `{}`", settings.cache_dir()))?;
    let missing = used
        .saturating_add(need.bytes())
        .saturating_sub(max.bytes());
    if missing == 0 {
        return Ok(None);
    }
    let shortage = CacheShortage {
        missing: ByteSize(missing),
        busy,
    };
    let mut removed = Vec::new();
    if settings.prune_is_auto() {
        let rules = room_rules(shortage.missing);
        let plan = prune(services, &shortage, rules)?.plan(services.host.now())?;
        if freed(&plan) >= missing {
            let going = plan.items().filter(|item| item.goes).cloned();
            removed.extend(going.map(Removal::from));
        }
    }
    Ok(Some(LackingRoom {
        missing: shortage.missing,
        removed,
    }))
}

/// Measures the cache for `hfdl status`, if `cache.max_size` limits it.
pub fn note_cache_size(store: &Store, settings: &Settings, now: Timestamp) -> Result<()> {
    if settings.cache_max_size().is_none() {
        return Ok(());
    }
    let folder = settings.cache_dir();
    let used = disk::folder_bytes(Path::new(folder))
        .with_context(|| format!("cannot measure the cache `{folder}`"))?;
    let text = format!("{used} {} {folder}", now.as_second());
    Ok(store.set_meta(MetaKey::CacheSize, &text)?)
}

/// Returns the size of the cache as the last run has measured it; `None` without a limit.
pub fn cache_use(store: &Store, settings: &Settings) -> Result<Option<CacheUse>> {
    let Some(max) = settings.cache_max_size() else {
        return Ok(None);
    };
    let text = store.meta(MetaKey::CacheSize)?.unwrap_or_default();
    let measured = || {
        let mut words = text.splitn(3, ' ');
        let used = ByteSize(words.next()?.parse().ok()?);
        let at = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
        (words.next()? == settings.cache_dir()).then_some(CacheSize { used, at })
    };
    Ok(Some(CacheUse {
        max,
        measured: measured(),
    }))
}
