//! `hfdl models`

use std::collections::BTreeSet;

use anyhow::{Error, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::{Context, distinct};
use super::explain::Complaint;
use super::lock::take_lock;
use super::models_edit::{ModelClears, ModelFlags};
use super::models_outdated::Outdated;
use super::models_rollback::{Release, Rollback};
use super::models_show;
use crate::domain::model::{EntryName, Model, ModelSpec, ModelSummary, Tag};
use crate::domain::outcome::{ExitStatus, Outcome, Trigger};
use crate::domain::repo::Repo;
use crate::domain::repo_arg::RepoArg;
use crate::domain::run::RunCommand;
use crate::domain::session::Session;
use crate::domain::settings::Settings;
use crate::domain::snapshot::NothingSelected;
use crate::domain::units::ByteSize;
use crate::json::{ModelView, destination, document};
use crate::ops;
use crate::ops::models::{Finding, Removal};
use crate::store::{ModelFilter, Store, StoreError};
use crate::sys::stop::StopFlag;
use crate::ui::{table, text};

/// Say what to keep: repositories, revisions, files
#[derive(Debug, Args)]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Show(models_show::Show),
    Set(Set),
    /// Let schedules and `--all` take models again
    Enable(Names),
    /// Leave models out until they are enabled again
    Disable(Names),
    Remove(Remove),
    Outdated(Outdated),
    Rollback(Rollback),
    Release(Release),
}

impl Models {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            Command::Add(command) => command.run(context),
            Command::List(command) => command.run(context),
            Command::Show(command) => command.run(context),
            Command::Set(command) => command.run(context),
            Command::Enable(names) => switch(context, &distinct(names.names), true),
            Command::Disable(names) => switch(context, &distinct(names.names), false),
            Command::Remove(command) => command.run(context),
            Command::Outdated(command) => return command.run(context),
            Command::Rollback(command) => command.run(context),
            Command::Release(command) => command.run(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}

/// Keep a repository
///
/// Asks the Hub whether repository and revision exist and can be read, and says how many files and
/// bytes are selected. Nothing is downloaded yet.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Repositories are written as org/name, datasets/org/name, spaces/org/name, \
hf://datasets/org/name@rev, the address of a page of the Hub, or org/name:Q4_K_M for one GGUF quantisation.

Examples:
  hfdl models add org/name --include '*.safetensors' --include '*.json' --tag llm
  hfdl models add datasets/org/corpus --to /srv/corpus
  hfdl models add org/name --revision refs/pr/1 --name candidate
  hfdl models add org/name --no-check"
)]
struct Add {
    /// The repository
    #[arg(value_name = "REPO")]
    repo: String,

    #[command(flatten)]
    flags: ModelFlags,

    /// Do not ask the Hub
    #[arg(long)]
    no_check: bool,
}

impl Add {
    fn run(self, context: &Context) -> Result<()> {
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let arg = RepoArg::parse(&self.repo, settings.endpoint())?;
        let spec = self.flags.describe(context, &settings, &arg)?;
        if let Some(store) = &existing {
            ops::models::refuse_known(store, &spec).map_err(|err| known_copy(store, &spec, err))?;
            ops::models::refuse_shared_directory(store, &spec, None)?;
        }
        let finding = if self.no_check {
            None
        } else {
            let hub = ops::hub::connect(&context.host, &settings, &StopFlag::new())?;
            Some(ops::models::check_with_hub(&hub, &spec).map_err(|err| {
                anyhow::Error::new(err).context(format!("could not add `{}`", spec.name))
            })?)
        };
        if let Some(finding) = &finding {
            refuse_empty_selection(&spec, finding)?;
        }
        let store = match existing {
            Some(store) => store,
            None => context.store()?,
        };
        store.insert_model(&spec, context.now())?;
        note_claims(context, &store, &settings, &spec.repo);
        let model = store.model(&spec.name)?;
        if let Some(finding) = &finding {
            warn_about(context, &model, finding);
        }
        context.out.done(
            || match &finding {
                Some(finding) => format!("added `{}`: {}", spec.name, amount(finding)),
                None => format!("added `{}` without asking the Hub", spec.name),
            },
            || added(&model, finding.as_ref()),
        )
    }
}

/// Says how other files of a repository that is kept already can be kept as well.
fn known_copy(store: &Store, spec: &ModelSpec, err: StoreError) -> Error {
    let known = store.models_of_repo(&spec.repo).unwrap_or_default();
    let twin = known
        .into_iter()
        .find(|model| model.spec.is_same_copy(spec));
    let both = twin.and_then(|twin| {
        let other = twin.spec.filter.include.as_ref()?;
        let own = spec.filter.include.as_ref().filter(|own| *own != other)?;
        let mut patterns: Vec<&String> = other.iter().chain(own).collect();
        patterns.sort();
        patterns.dedup();
        let flags = patterns
            .iter()
            .map(|pattern| format!(" --include '{pattern}'"));
        Some((twin.spec.name.clone(), flags.collect::<String>()))
    });
    let Some((name, flags)) = both else {
        return err.into();
    };
    Complaint::usage(err.to_string())
        .cause("one place holds one entry of a repository at a revision, whatever its patterns")
        .next(format!(
            "`hfdl models set {name}{flags}` keeps both selections in it;\n\
             `--to DIR --name NAME` makes an entry of its own"
        ))
        .into()
}

/// Tells other homes what the model needs, where its repository is in the cache.
fn note_claims(context: &Context, store: &Store, settings: &Settings, repo: &Repo) {
    match ops::ownership::identity(&context.host, &context.home, store) {
        Ok(identity) => {
            let cache = ops::ownership::cache_of(settings, &identity);
            ops::ownership::note_claims(store, &cache, [repo]);
        }
        Err(err) => log::debug!("no record of `{repo}`: {err:#}"),
    }
}

/// Refuses patterns that match nothing; an empty repository may still be filled.
fn refuse_empty_selection(spec: &ModelSpec, finding: &Finding) -> Result<()> {
    if finding.selected.files > 0 || finding.total.files == 0 {
        return Ok(());
    }
    let nothing = NothingSelected {
        repo: spec.repo.clone(),
        commit: finding.commit.clone(),
        examples: finding.examples.clone(),
    };
    Err(Error::new(nothing).context(format!("could not add `{}`", spec.name)))
}

fn warn_about(context: &Context, model: &Model, finding: &Finding) {
    if finding.total.files == 0 {
        let name = &model.spec.name;
        context.out.warn(&format!("`{name}` has no files yet"));
    }
    if let Some(new) = &finding.renamed_to {
        context.out.warn(&format!(
            "`{}` is called `{new}` now; the Hub still answers to the old name",
            model.spec.repo
        ));
    }
    if finding.access_missing {
        context.out.warn(&format!(
            "`{}` is gated and access is not granted yet: accept its terms on the Hub before the first download",
            model.spec.repo
        ));
    }
}

fn amount(finding: &Finding) -> String {
    let (selected, total) = (finding.selected, finding.total);
    let count = text::count(selected.files, "file", "files");
    let bytes = ByteSize(selected.bytes).render_short();
    let at = finding.commit.short();
    if selected == total {
        format!("{count}, {bytes}, at {at}")
    } else {
        let whole = ByteSize(total.bytes).render_short();
        format!("{count} of {}, {bytes} of {whole}, at {at}", total.files)
    }
}

fn added(model: &Model, finding: Option<&Finding>) -> Value {
    let mut value = document("hfdl.model/1", ModelView::new(model, None));
    value["check"] = match finding {
        Some(finding) => json!({
            "commit": finding.commit.as_str(),
            "files": finding.selected.files,
            "bytes": finding.selected.bytes,
            "files_total": finding.total.files,
            "bytes_total": finding.total.bytes,
            "renamed_to": finding.renamed_to.as_ref().map(ToString::to_string),
            "access_missing": finding.access_missing,
        }),
        None => Value::Null,
    };
    value
}

/// List what is kept
#[derive(Debug, Args)]
struct List {
    /// Only models with this tag
    #[arg(long)]
    tag: Option<Tag>,

    /// Only models in this state: ok, disabled, damaged, failing, held, gated, orphaned, renamed or never-downloaded
    #[arg(long)]
    state: Option<ModelSummary>,
}

impl List {
    fn run(self, context: &Context) -> Result<()> {
        let now = context.now();
        let mut models: Vec<(Model, Option<Outcome>)> = Vec::new();
        if let Some(store) = context.existing_store()? {
            let last = store.last_sessions(now)?;
            let kept = store.readable_models(&ModelFilter {
                tag: self.tag,
                ..ModelFilter::default()
            })?;
            for mut model in kept {
                model.state = model.state.as_of(now);
                let last = last.get(&model.id);
                models.push((model, last.and_then(Session::outcome)));
            }
        }
        let is_meant = |state| self.state.is_none_or(|wanted| wanted == state);
        models.retain(|(model, last)| is_meant(model.summary(*last)));
        let zone = context.host.time_zone();
        context.out.result(
            |out| {
                if models.is_empty() {
                    return String::new();
                }
                let columns = [
                    "NAME", "REVISION", "TO", "STATE", "COMMIT", "CHECKED", "TAGS",
                ]
                .map(table::left);
                let rows = models.iter().map(|(model, last)| {
                    let commit = model.state.published_commit.as_ref();
                    vec![
                        model.spec.name.to_string(),
                        model.spec.revision.to_string(),
                        destination(&model.spec.destination),
                        model.summary(*last).to_string(),
                        commit
                            .map_or(text::NOTHING, |commit| commit.short())
                            .to_owned(),
                        text::optional_time(model.state.last_check_at, &zone),
                        text::list(&model.spec.tags),
                    ]
                });
                table::render(out, &columns, rows.collect())
            },
            || {
                let views = models
                    .iter()
                    .map(|(model, last)| ModelView::new(model, *last));
                let views: Vec<ModelView> = views.collect();
                document("hfdl.models/1", json!({ "models": views }))
            },
        )?;
        if models.is_empty() && !context.out.quiet && context.out.format == crate::ui::Format::Table
        {
            context
                .out
                .say("no models; `hfdl models add org/name` keeps one");
        }
        Ok(())
    }
}

/// Change what is said about a model
///
/// Only what is named changes. A new revision or place takes effect with the next run.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models set org/name --priority 90 --tag llm --tag nightly
  hfdl models set org/name --no-include
  hfdl models set org/name --name short")]
struct Set {
    /// Name of the model
    #[arg(value_name = "NAME")]
    model: EntryName,

    #[command(flatten)]
    flags: ModelFlags,

    #[command(flatten)]
    clears: ModelClears,
}

impl Set {
    fn run(self, context: &Context) -> Result<()> {
        if self.flags.is_empty() && self.clears.is_empty() {
            return Err(Complaint::usage("nothing to change")
                .cause("no flag says what")
                .next("`hfdl models set --help` lists the flags")
                .into());
        }
        let (store, model) = find(context, &self.model)?;
        let settings = context.settings(Some(&store))?;
        let mut spec = model.spec.clone();
        self.flags.change(context, &settings, &mut spec)?;
        self.clears.change(&mut spec);
        ops::models::refuse_shared_directory(&store, &spec, Some(model.id))?;
        let state = model.state.after_edit(&model.spec, &spec);
        store.transaction(|store| -> Result<()> {
            store.update_model(model.id, &spec, context.now())?;
            Ok(store.save_model_state(model.id, &state)?)
        })?;
        note_claims(context, &store, &settings, &spec.repo);
        let model = store.model(&spec.name)?;
        let last = store.last_session(model.id, context.now())?;
        let last = last.as_ref().and_then(Session::outcome);
        context.out.done(
            || format!("changed `{}`", spec.name),
            || document("hfdl.model/1", ModelView::new(&model, last)),
        )
    }
}

#[derive(Debug, Args)]
struct Names {
    /// Names of models
    #[arg(required = true, value_name = "NAME")]
    names: Vec<EntryName>,
}

fn switch(context: &Context, names: &[EntryName], enabled: bool) -> Result<()> {
    let store = open_for(context, names.first())?;
    store.transaction(|store| -> Result<()> {
        for name in names {
            let model = known(store, name)?;
            store.set_model_enabled(model.id, enabled, context.now())?;
        }
        Ok(())
    })?;
    let word = if enabled { "enabled" } else { "disabled" };
    context.out.done(
        || format!("{word} {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        || document("hfdl.change/1", json!({ "models": names.iter().map(EntryName::as_str).collect::<Vec<_>>(), "enabled": enabled })),
    )
}

/// Keep models no longer
///
/// Files stay on disk unless --delete-files is given; the history of sessions stays in any case.
#[derive(Debug, Args)]
struct Remove {
    /// Names of models
    #[arg(required = true, value_name = "NAME")]
    names: Vec<EntryName>,

    /// Delete the files too, unless another model uses them
    #[arg(long)]
    delete_files: bool,
}

impl Remove {
    fn run(self, context: &Context) -> Result<()> {
        let names = distinct(self.names);
        let store = open_for(context, names.first())?;
        let models = names
            .iter()
            .map(|name| known(&store, name))
            .collect::<Result<Vec<_>>>()?;
        let settings = context.settings(Some(&store))?;
        let listed = names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let what = if self.delete_files {
            "and delete the files"
        } else {
            "and leave the files"
        };
        context.confirm(&format!("remove {listed} {what}?"))?;
        // Nobody may be downloading what is about to be deleted.
        let lock = self
            .delete_files
            .then(|| take_lock(context, RunCommand::Models, Trigger::Manual, None));
        let _lock = lock.transpose()?;
        if self.delete_files {
            // Files that are not there now would stay for ever, claimed by no model.
            let places = ops::places::Places::load(&store, &settings)?;
            for model in &models {
                places.check(&model.spec.destination, Some(model.id))?;
            }
        }
        let identity = ops::ownership::identity(&context.host, &context.home, &store)?;
        let cache = ops::ownership::cache_of(&settings, &identity);
        let removals = models
            .iter()
            .map(|model| Removal::of(&store, model.clone()));
        let removals = removals.collect::<Result<Vec<_>>>()?;
        store.transaction(|store| -> Result<()> {
            for model in &models {
                store.remove_model(model.id)?;
            }
            Ok(())
        })?;
        // The entries go first: a crash in between leaves files too many, not
        // a model whose files are gone.
        let (mut freed, mut kept) = (0, BTreeSet::new());
        if self.delete_files {
            for removal in &removals {
                let forgotten = removal.delete_files(&store, &cache, context.now())?;
                freed += forgotten.freed_bytes;
                kept.extend(forgotten.kept);
            }
        }
        ops::ownership::note_claims(&store, &cache, models.iter().map(|it| &it.spec.repo));
        for refusal in &kept {
            context.out.say(&format!("some files stay: {refusal}"));
        }
        context.out.done(
            || {
                if self.delete_files {
                    format!("removed {listed}; {} freed", ByteSize(freed).render_short())
                } else {
                    format!("removed {listed}; files stay")
                }
            },
            || {
                let names: Vec<&str> = names.iter().map(EntryName::as_str).collect();
                document(
                    "hfdl.removal/1",
                    json!({
                        "models": names,
                        "files_deleted": self.delete_files,
                        "bytes_freed": freed,
                        "kept": kept.iter().map(|refusal| refusal.as_str()).collect::<Vec<_>>(),
                    }),
                )
            },
        )
    }
}

/// Opens the database for a command that needs an entry to be there.
fn open_for(context: &Context, name: Option<&EntryName>) -> Result<Store> {
    match context.existing_store()? {
        Some(store) => Ok(store),
        None => Err(no_model(&name.map(ToString::to_string).unwrap_or_default(), &[]).into()),
    }
}

pub(super) fn find(context: &Context, name: &EntryName) -> Result<(Store, Model)> {
    let store = open_for(context, Some(name))?;
    let model = known(&store, name)?;
    Ok((store, model))
}

/// Finds a model by its name; a wrong one names the nearest right one.
pub(super) fn known(store: &Store, name: &EntryName) -> Result<Model> {
    if let Some(model) = store.find_model(name)? {
        return Ok(model);
    }
    Err(unknown(name, &store.readable_models(&ModelFilter::default())?).into())
}

/// Says that no model has a name, and which name is near.
pub(super) fn unknown(name: &EntryName, models: &[Model]) -> Complaint {
    let names: Vec<&str> = models
        .iter()
        .map(|model| model.spec.name.as_str())
        .collect();
    no_model(name.as_str(), &names)
}

fn no_model(name: &str, names: &[&str]) -> Complaint {
    Complaint::unknown("model", name, names, "hfdl models list")
}
