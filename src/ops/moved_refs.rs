//! Finds refs of the cache that do not name the commit that this home published.

use std::sync::Arc;

use anyhow::Result;

use crate::cache::{self, CacheLayout};
use crate::domain::filter::Filter;
use crate::domain::model::{Destination, Model, ModelId};
use crate::domain::moved_ref::MovedRef;
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::domain::time::Timestamp;
use crate::ops::places::Places;
use crate::ops::sync::Target;
use crate::store::Store;

/// A revision in the cache and the commit at which this home published it.
pub struct PublishedRef<'a> {
    model: ModelId,
    repo: &'a Repo,
    revision: &'a Revision,
    filter: &'a Filter,
    commit: &'a CommitSha,
}

impl<'a> PublishedRef<'a> {
    /// Returns the ref of a model; `None` if it has none, or nothing was published.
    pub fn of_model(model: &'a Model) -> Option<Self> {
        let (spec, state) = (&model.spec, &model.state);
        let published = Self {
            model: model.id,
            repo: &spec.repo,
            revision: &spec.revision,
            filter: &spec.filter,
            commit: state.published_commit.as_ref()?,
        };
        Some(published).filter(|it| it.is_in(&spec.destination))
    }

    /// Returns the ref of the model of a target.
    pub fn of_target(target: &'a Target) -> Option<Self> {
        let (model, _) = target.model.as_ref()?;
        let published = Self {
            model: *model,
            repo: &target.repo,
            revision: &target.revision,
            filter: &target.filter,
            commit: target.known_commit.as_ref()?,
        };
        Some(published).filter(|it| it.is_in(&target.destination))
    }

    /// Tells whether a destination has a ref: directories and pinned commits have none.
    fn is_in(&self, destination: &Destination) -> bool {
        *destination == Destination::Cache && self.revision.as_commit().is_none()
    }

    /// Reads the ref; `None` if it names the published commit.
    ///
    /// A commit that this home publishes for another model, or is about to publish,
    /// and one that another home of hfdl claims, are no trouble if they are whole:
    /// those writers move a ref after the last file. A disk that is not mounted has no
    /// refs: `places` are asked only about a ref that is not right.
    pub fn look(
        &self,
        store: &Store,
        cache: &CacheLayout,
        places: impl FnOnce() -> Result<Arc<Places>>,
        now: Timestamp,
    ) -> Result<Option<MovedRef>> {
        let layout = cache.repo(self.repo);
        let Some(moved) = cache::moved_ref(&layout, self.revision, self.commit, self.filter)?
        else {
            return Ok(None);
        };
        if places()?
            .check(&Destination::Cache, Some(self.model))
            .is_err()
        {
            return Ok(None);
        }
        let Some(target) = moved.target.commit() else {
            return Ok(Some(moved));
        };
        let models = store.models_of_repo(self.repo)?;
        let is_published_here = models.iter().any(|model| {
            let other = PublishedRef::of_model(model);
            other.is_some_and(|it| it.revision == self.revision && it.commit == target)
        });
        if is_published_here {
            return Ok(None);
        }
        let is_well =
            !moved.may_break_readers() && cache::is_ref_of_hfdl(cache, self.repo, target, now)?;
        Ok(Some(moved).filter(|_| !is_well))
    }

    /// As `look`, where a ref that cannot be read must not end the work.
    pub fn look_or_log(
        &self,
        store: &Store,
        cache: &CacheLayout,
        places: impl FnOnce() -> Result<Arc<Places>>,
        now: Timestamp,
    ) -> Option<MovedRef> {
        self.look(store, cache, places, now).unwrap_or_else(|err| {
            let (repo, revision) = (self.repo, self.revision);
            log::debug!("cannot look at `{revision}` of `{repo}`: {err:#}");
            None
        })
    }
}
