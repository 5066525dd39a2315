//! `hfdl models add`

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use super::list::totals;
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::cli::next_steps::NextSteps;
use crate::cli::policy_text::rules_in_force;
use crate::cli::watcher::while_asking;
use crate::domain::model::{Model, ModelSpec};
use crate::domain::repo::{Repo, RepoType};
use crate::domain::repo_arg::RepoArg;
use crate::domain::settings::Settings;
use crate::domain::units::ByteSize;
use crate::json::{ModelView, document};
use crate::ops;
use crate::ops::login::Renewal;
use crate::ops::models::HubCheck;
use crate::ops::sizes::ModelSizes;
use crate::store::Store;
use crate::sys::stop::StopFlag;
use crate::ui::text;

/// Add models
///
/// Asks the Hub whether each repository and its revision exist and can be read, and prints how many
/// files and bytes are selected. All of them are added, or none. Nothing is downloaded yet.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Repositories are written as org/name, datasets/org/name, spaces/org/name, \
kernels/org/name, hf://datasets/org/name@rev, or the address of a page of the Hub. org/name:Q4_K_M \
means one GGUF quantisation with its projector, org/name:FILE.gguf one file.

Examples:
  hfdl models add org/name --include '*.safetensors' --include '*.json'
  hfdl models add datasets/org/corpus --to /srv/corpus
  hfdl models add org/name --revision refs/pr/1 --name candidate
  hfdl models add org/one org/two --tag llm
  hfdl models add org/name --no-check"
)]
pub(super) struct AddModel {
    /// One or more repositories
    #[arg(value_name = "REPO", required = true)]
    repos: Vec<String>,

    /// The type of the repositories: model, dataset, space or kernel (default: as REPO says)
    #[arg(long, value_name = "TYPE")]
    repo_type: Option<RepoType>,

    #[command(flatten)]
    flags: FieldFlags<ModelSpec, false>,

    /// Do not ask the Hub
    #[arg(long)]
    no_check: bool,
}

impl AddModel {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let specs = self.specs(context, &settings)?;
        if let Some(store) = &existing {
            specs.iter().try_for_each(|spec| refuse(store, spec))?;
        }
        let checks = self.checks(context, &settings, &specs)?;
        let store = match existing {
            Some(store) => store,
            None => context.store()?,
        };
        store.transaction(|store| -> Result<()> {
            for spec in &specs {
                // Again, because the models of one command line may contradict each other.
                refuse(store, spec)?;
                store.insert_model(spec, context.now())?;
            }
            Ok(())
        })?;
        let mut added = Vec::new();
        for (spec, check) in specs.iter().zip(checks) {
            note_claims(context, &store, &settings, &spec.repo);
            let model = store.model(&spec.name)?;
            note_shared_rules(context, &store, &model)?;
            if let Some(check) = &check {
                warn_about(context, &model.spec, check);
            }
            added.push((model, check));
        }
        report(context, &settings, &added)?;
        if let Some((model, _)) = added.first() {
            NextSteps::new(context, &store)?.after_models(&model.spec, added.len());
        }
        Ok(())
    }

    /// Describes the models of the command line, each once.
    fn specs(&self, context: &Context, settings: &Settings) -> Result<Vec<ModelSpec>> {
        let distinct: BTreeSet<&String> = self.repos.iter().collect();
        if distinct.len() > 1 {
            self.refuse_flags_of_one()?;
        }
        let mut specs = Vec::new();
        for text in &self.repos {
            let arg = RepoArg::parse(text, settings.endpoint())?.of_type(self.repo_type)?;
            let spec = self.describe(context, settings, &arg)?;
            if !specs.contains(&spec) {
                specs.push(spec);
            }
        }
        Ok(specs)
    }

    /// Refuses flags that can be true for one model only.
    fn refuse_flags_of_one(&self) -> Result<()> {
        let value = |flag: &str| self.flags.first_text(&[flag]);
        let is_directory = value("to").is_some_and(|to| to != "cache");
        let is_commit = value("policy").is_some_and(|policy| policy.contains('@'));
        let flags = [
            ("--name", value("name").is_some()),
            ("--to DIR", is_directory),
            ("--view-map", value("view_map").is_some()),
            ("--policy pin@COMMIT", is_commit),
        ];
        match flags.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(Complaint::usage(format!(
                "`{flag}` is for one model, and several repositories are given"
            ))
            .next("add each with a command of its own")
            .into()),
            None => Ok(()),
        }
    }

    /// Asks the Hub about each model, unless that is not wanted.
    fn checks(
        &self,
        context: &Context,
        settings: &Settings,
        specs: &[ModelSpec],
    ) -> Result<Vec<Option<HubCheck>>> {
        if self.no_check {
            return Ok(specs.iter().map(|_| None).collect());
        }
        let stop = StopFlag::new();
        let clients = ops::hub::connect(&context.host, settings, &stop, Renewal::Never)?;
        let check = |spec: &ModelSpec| {
            let ask = || ops::models::check_selection(&clients, spec);
            let check = while_asking(context, spec.name.as_str(), ask);
            let check = check.with_context(|| format!("could not add `{}`", spec.name))?;
            Ok(Some(check))
        };
        specs.iter().map(check).collect()
    }

    /// Builds the model of the repository argument and the flags.
    fn describe(&self, context: &Context, settings: &Settings, arg: &RepoArg) -> Result<ModelSpec> {
        let name = match self.flags.first_text(&["name"]) {
            Some(name) => name.parse()?,
            None => arg.default_name().parse()?,
        };
        let mut model = ModelSpec::new(name, arg.repo.clone());
        self.flags.read_into(context, settings, &mut model)?;
        let flag = model.revision.clone();
        let completed = model.complete(arg, self.flags.has_any(&["revision"]));
        completed.map_err(|own| {
            Complaint::usage("two different revisions are given")
                .cause(format!(
                    "`--revision {flag}`, and `{own}` in the repository argument"
                ))
                .next("leave one of them out")
        })?;
        refuse_contradiction(&model)?;
        Ok(model)
    }
}

/// Refuses a model that contradicts those in the database.
fn refuse(store: &Store, spec: &ModelSpec) -> Result<()> {
    ops::models::refuse_known(store, spec)?;
    ops::models::refuse_shared_directory(store, spec, None)?;
    ops::models::refuse_other_pin(store, spec, None)
}

/// Refuses a model whose fields contradict each other.
pub(super) fn refuse_contradiction(spec: &ModelSpec) -> Result<()> {
    match spec.contradiction() {
        Some(why) => Err(
            Complaint::usage(format!("`{}` contradicts itself", spec.name))
                .cause(why)
                .into(),
        ),
        None => Ok(()),
    }
}

/// Says that the model and others at the same revision share the strictest of their rules.
pub(super) fn note_shared_rules(context: &Context, store: &Store, model: &Model) -> Result<()> {
    let in_force = rules_in_force(store, context, model)?;
    if let Some(note) = in_force.note(&model.spec.name) {
        context.warn(&note);
    }
    Ok(())
}

/// Records for other homes which files of the cache the model needs.
pub(super) fn note_claims(context: &Context, store: &Store, settings: &Settings, repo: &Repo) {
    match ops::ownership::identity(&context.host, &context.home, store) {
        Ok(identity) => {
            let cache = ops::ownership::cache_of(settings, &identity);
            ops::ownership::note_claims(store, &cache, [repo]);
        }
        Err(err) => log::debug!("no record of `{repo}`: {err:#}"),
    }
}

/// Warns about the answer of the Hub.
pub fn warn_about(context: &Context, model: &ModelSpec, check: &HubCheck) {
    if check.total.files == 0 {
        let name = &model.name;
        context.warn(&format!("`{name}` has no files yet"));
    }
    for pattern in &check.unmatched {
        context.warn(&format!("no file matches `{pattern}` yet"));
    }
    if let Some(new) = &check.renamed_to {
        context.warn(&format!(
            "`{}` is called `{new}` now; the Hub still answers to the old name",
            model.repo
        ));
    }
    if check.refused.is_some() {
        context.warn(&format!(
            "`{}` is gated and access is not granted yet: accept its terms on the Hub before the first download",
            model.repo
        ));
    }
}

/// Tells how much the filters of a model select.
pub fn amount(check: &HubCheck) -> String {
    let (selected, total) = (check.selected, check.total);
    let count = text::count(selected.files, "file", "files");
    let bytes = ByteSize(selected.bytes).render_short();
    let at = check.commit.short();
    if selected == total {
        format!("{count}, {bytes}, at {at}")
    } else {
        let whole = ByteSize(total.bytes).render_short();
        format!("{count} of {}, {bytes} of {whole}, at {at}", total.files)
    }
}

/// Reports the added models: one with the answer of the Hub, several as `models list` does.
fn report(
    context: &Context,
    settings: &Settings,
    added: &[(Model, Option<HubCheck>)],
) -> Result<()> {
    let line = |(model, check): &(Model, Option<HubCheck>)| match check {
        Some(check) => format!("added `{}`: {}", model.spec.name, amount(check)),
        None => format!("added `{}` without asking the Hub", model.spec.name),
    };
    context.out.done(
        || added.iter().map(line).collect::<Vec<_>>().join("\n"),
        || {
            if let [(model, check)] = added {
                let mut view = document("hfdl.model/1", ModelView::new(model, None));
                view["check"] = check_view(check.as_ref());
                return view;
            }
            let models: Vec<_> = added.iter().map(|(model, _)| (model, None)).collect();
            let totals = totals(&ModelSizes::of(settings, &models));
            let views = added.iter().map(|(model, _)| ModelView::new(model, None));
            let views: Vec<ModelView> = views.collect();
            let body = json!({ "models": views, "totals": totals });
            document("hfdl.models/1", body)
        },
    )
}

/// Returns the document of the Hub's answer.
pub fn check_view(check: Option<&HubCheck>) -> Value {
    match check {
        Some(check) => json!({
            "commit": check.commit.as_str(),
            "files": check.selected.files,
            "bytes": check.selected.bytes,
            "files_total": check.total.files,
            "bytes_total": check.total.bytes,
            "renamed_to": check.renamed_to.as_ref().map(ToString::to_string),
            "access_missing": check.refused.is_some(),
        }),
        None => Value::Null,
    }
}
