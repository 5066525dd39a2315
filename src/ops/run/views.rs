//! The views of a run's models: looked at before its first target, refreshed after
//! each session.

use anyhow::Result;

use super::active::ActiveRun;
use crate::ops::sync::Target;
use crate::ops::views::{self, ViewContext};

impl ActiveRun<'_> {
    fn view_context(&self) -> ViewContext<'_> {
        ViewContext {
            store: &self.services.store,
            cache: &self.cache,
            run: Some(&self.id),
            now: self.services.host.now(),
        }
    }

    /// Removes views that no model has, and finds files that others have written to.
    /// Before the first target is checked: its check knows the bad files then.
    pub(super) fn prepare_views(&self) {
        let context = self.view_context();
        let prepared = views::settle(context).and_then(|_| views::notice_writes(context));
        if let Err(err) = prepared {
            log::warn!("views cannot be looked at: {err:#}");
        }
    }

    /// Brings the views of a model to its published revision. A failure is reported and
    /// does not change the outcome of the session.
    pub(super) fn refresh_views(&self, target: &Target) {
        let refreshed = || -> Result<Vec<views::ViewFailure>> {
            let Some((id, _)) = &target.model else {
                return Ok(Vec::new());
            };
            match self.services.store.model_by_id(*id)? {
                Some(model) => views::refresh(self.view_context(), &model),
                None => Ok(Vec::new()),
            }
        };
        let label = target.label();
        match refreshed() {
            Ok(failures) => {
                for failure in failures {
                    log::warn!("{label}: {}", failure.sentence());
                }
            }
            Err(err) => log::warn!("{label}: no view: {err:#}"),
        }
    }
}
