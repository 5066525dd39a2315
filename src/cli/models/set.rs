//! `hfdl models set`

use anyhow::Result;
use clap::Args;

use super::add::{note_claims, note_shared_rules, refuse_contradiction};
use super::find::find;
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::cli::views::update_views;
use crate::domain::hold::{Pin, PinKind};
use crate::domain::model::{EntryName, Model, ModelSpec, ModelState};
use crate::domain::session::Session;
use crate::domain::settings::Settings;
use crate::json::{ModelView, document};
use crate::ops;
use crate::ops::pins::{self, PinSearch};
use crate::store::Store;

/// Change the fields of a model
///
/// Fields without a flag stay. A new revision or destination takes effect with the next run.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models set org/name --priority 90 --tag llm --tag nightly
  hfdl models set org/name --no-include
  hfdl models set org/name --name short")]
pub(super) struct SetModel {
    /// Name of the model
    #[arg(value_name = "NAME")]
    model: EntryName,

    #[command(flatten)]
    flags: FieldFlags<ModelSpec, true>,
}

impl SetModel {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        if self.flags.is_empty() {
            return Err(Complaint::usage("nothing to change")
                .cause("no flag was given")
                .next("`hfdl models set --help` lists the flags")
                .into());
        }
        let (store, model) = find(context, &self.model)?;
        let settings = context.settings(Some(&store))?;
        let mut spec = model.spec.clone();
        self.flags.read_into(context, &settings, &mut spec)?;
        refuse_contradiction(&spec)?;
        ops::models::refuse_shared_directory(&store, &spec, Some(model.id))?;
        ops::models::refuse_other_pin(&store, &spec, Some(model.id))?;
        let mut state = model.state.after_edit(&model.spec, &spec);
        pin(context, &store, &settings, &model, &spec, &mut state)?;
        store.transaction(|store| -> Result<()> {
            store.update_model(model.id, &spec, context.now())?;
            Ok(store.save_model_state(model.id, &state)?)
        })?;
        note_claims(context, &store, &settings, &spec.repo);
        if has_other_views(&model.spec, &spec) {
            update_views(context, &store, &settings, &[model.id])?;
        }
        let changed = store.model(&spec.name)?;
        if changed.spec.update != model.spec.update || changed.spec.tags != model.spec.tags {
            note_shared_rules(context, &store, &changed)?;
        }
        let last = store.last_session(model.id, context.now())?;
        let last = last.as_ref().and_then(Session::outcome);
        context.out.done(
            || format!("changed `{}`", spec.name),
            || document("hfdl.model/1", ModelView::new(&changed, last)),
        )
    }
}

/// Pins the model at the commit that a new policy names; refuses one that exists nowhere.
fn pin(
    context: &Context,
    store: &Store,
    settings: &Settings,
    old: &Model,
    spec: &ModelSpec,
    state: &mut ModelState,
) -> Result<()> {
    let choice = spec.update.policy.as_ref();
    let is_new = spec.update.policy != old.spec.update.policy || !spec.is_same_revision(&old.spec);
    let Some(written) = choice.and_then(|it| it.commit.as_ref()).filter(|_| is_new) else {
        return Ok(());
    };
    let model = Model {
        spec: spec.clone(),
        state: state.clone(),
        ..old.clone()
    };
    let digits = written.as_str();
    let commit = match pins::find(&context.host, settings, store, &model, written)? {
        PinSearch::Found(commit) => commit,
        PinSearch::Nowhere => {
            let (name, repo) = (&spec.name, &spec.repo);
            let cause = format!("neither the Hub nor this disk has commit {digits} of `{repo}`");
            let next = format!("`hfdl models outdated {name}` shows the newest commit");
            let complaint = Complaint::usage(format!("cannot pin `{name}`"));
            return Err(complaint.cause(cause).next(next).into());
        }
        PinSearch::Unknown(err) => {
            let text = format!("the next run looks for the commit {digits}, and not now: {err:#}");
            context.warn(&text);
            return Ok(());
        }
    };
    if state
        .pinned
        .as_ref()
        .is_none_or(|pin| pin.by == PinKind::Policy)
    {
        let by = PinKind::Policy;
        state.pinned = Some(Pin { commit, by });
    }
    Ok(())
}

/// Tells whether views are to be made or removed now.
fn has_other_views(old: &ModelSpec, new: &ModelSpec) -> bool {
    old.all_views() != new.all_views()
        || old.checksums != new.checksums
        || old.view_map != new.view_map
        || old.view_copy != new.view_copy
}
