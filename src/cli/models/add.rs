//! `hfdl models add`

use anyhow::{Error, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::cli::next_steps::NextSteps;
use crate::cli::policy_text::rules_in_force;
use crate::domain::model::{Model, ModelSpec};
use crate::domain::repo::{Repo, RepoType};
use crate::domain::repo_arg::RepoArg;
use crate::domain::settings::Settings;
use crate::domain::units::ByteSize;
use crate::json::{ModelView, document};
use crate::ops;
use crate::ops::login::Renewal;
use crate::ops::models::HubCheck;
use crate::store::Store;
use crate::sys::stop::StopFlag;
use crate::ui::text;

/// Add a model
///
/// Asks the Hub whether the repository and the revision exist and can be read, and prints how many
/// files and bytes are selected. Nothing is downloaded yet.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Repositories are written as org/name, datasets/org/name, spaces/org/name, \
kernels/org/name, hf://datasets/org/name@rev, or the address of a page of the Hub. org/name:Q4_K_M \
means one GGUF quantisation with its projector, org/name:FILE.gguf one file.

Examples:
  hfdl models add org/name --include '*.safetensors' --include '*.json' --tag llm
  hfdl models add datasets/org/corpus --to /srv/corpus
  hfdl models add org/name --revision refs/pr/1 --name candidate
  hfdl models add org/name --no-check"
)]
pub(super) struct AddModel {
    /// The repository
    #[arg(value_name = "REPO")]
    repo: String,

    /// The type of the repository: model, dataset, space or kernel (default: as REPO says)
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
        let arg = RepoArg::parse(&self.repo, settings.endpoint())?.of_type(self.repo_type)?;
        let spec = self.describe(context, &settings, &arg)?;
        if let Some(store) = &existing {
            ops::models::refuse_known(store, &spec)?;
            ops::models::refuse_shared_directory(store, &spec, None)?;
            ops::models::refuse_other_pin(store, &spec, None)?;
        }
        let check = if self.no_check {
            None
        } else {
            let stop = StopFlag::new();
            let clients = ops::hub::connect(&context.host, &settings, &stop, Renewal::Never)?;
            let hub = clients.with_token(spec.token_name.as_ref())?;
            Some(ops::models::check_with_hub(&hub, &spec).map_err(|err| {
                anyhow::Error::new(err).context(format!("could not add `{}`", spec.name))
            })?)
        };
        if let Some(nothing) = check.as_ref().and_then(|it| it.nothing_selected.clone()) {
            return Err(Error::new(nothing).context(format!("could not add `{}`", spec.name)));
        }
        let store = match existing {
            Some(store) => store,
            None => context.store()?,
        };
        store.insert_model(&spec, context.now())?;
        note_claims(context, &store, &settings, &spec.repo);
        let model = store.model(&spec.name)?;
        note_shared_rules(context, &store, &model)?;
        if let Some(check) = &check {
            warn_about(context, &model.spec, check);
        }
        context.out.done(
            || match &check {
                Some(check) => format!("added `{}`: {}", spec.name, amount(check)),
                None => format!("added `{}` without asking the Hub", spec.name),
            },
            || added(&model, check.as_ref()),
        )?;
        NextSteps::new(context, &store)?.after_model(&model.spec);
        Ok(())
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
        context.out.warn(&note);
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
        context.out.warn(&format!("`{name}` has no files yet"));
    }
    for pattern in &check.unmatched {
        context
            .out
            .warn(&format!("no file matches `{pattern}` yet"));
    }
    if let Some(new) = &check.renamed_to {
        context.out.warn(&format!(
            "`{}` is called `{new}` now; the Hub still answers to the old name",
            model.repo
        ));
    }
    if check.access_missing {
        context.out.warn(&format!(
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

fn added(model: &Model, check: Option<&HubCheck>) -> Value {
    let mut value = document("hfdl.model/1", ModelView::new(model, None));
    value["check"] = match check {
        Some(check) => json!({
            "commit": check.commit.as_str(),
            "files": check.selected.files,
            "bytes": check.selected.bytes,
            "files_total": check.total.files,
            "bytes_total": check.total.bytes,
            "renamed_to": check.renamed_to.as_ref().map(ToString::to_string),
            "access_missing": check.access_missing,
        }),
        None => Value::Null,
    };
    value
}
