//! `hfdl download`

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::download_report::{fetch, report_run, show_published};
use super::dry_run_report::{say_delays, show_dry_run};
use super::explain::Complaint;
use super::fields::destination;
use super::hf_flags::HfFlags;
use super::limits::{Limits, NewPlace, Waiting};
use super::lock::take_lock;
use crate::domain::filter::Filter;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::login::TokenName;
use crate::domain::model::{Destination, Model, Tag};
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::repo::{Repo, RepoPath, RepoType, Revision};
use crate::domain::repo_arg::{AmbiguousWord, RepoArg, RepoPart, escape_pattern, group_words};
use crate::domain::run::RunCommand;
use crate::domain::settings::Settings;
use crate::json::skipped_run;
use crate::ops;
use crate::ops::directories::used_by_another;
use crate::ops::hub::is_offline;
use crate::ops::services::Services;
use crate::ops::sync::{PolicyInput, Target, Vanished};
use crate::store::{ModelFilter, Store};
use crate::ui::text;

/// Download now, by hand or in CI
///
/// Fetches missing files, verifies every byte, publishes each repository in one step, and prints the
/// path of each. A registered name has its stored filters, revision and destination; any other
/// repository is fetched without being registered. Schedules are not changed.
#[derive(Debug, Args)]
#[command(
    after_long_help = "After a repository, a word that is no registered name is a file of it if it has no \
slash (LICENSE) or looks like a file or a folder (sub/name.ext, folder/). Write a repository whose name \
has no slash as hf.co/NAME there, and other files with --include.

Examples:
  hfdl download org/name
  hfdl download org/name LICENSE config.json
  MODEL=$(hfdl download org/name -q)
  hfdl download datasets/org/corpus --include 'data/*.parquet' --to ./corpus
  hfdl download --all --max-transfer 20G"
)]
pub struct Download {
    /// Repositories or registered names, and files of a repository
    #[arg(value_name = "REPO|NAME|FILE", required_unless_present_any = ["all", "tag"])]
    what: Vec<String>,

    /// The type of the repositories: model, dataset, space or kernel (default: as REPO says)
    #[arg(long, value_name = "TYPE")]
    repo_type: Option<RepoType>,

    /// Branch, tag, refs/pr/N or full commit
    #[arg(long, value_name = "REV")]
    revision: Option<Revision>,

    /// Keep only files that match; `*` crosses directories, `data/` takes a folder
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,

    /// Leave out files that match
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// The Hub's cache, or a directory of plain files (default: cache)
    #[arg(long, value_name = "cache|DIR")]
    to: Option<String>,

    /// Token to use, by its name in `hf auth list` (default: that of the model or of this machine)
    #[arg(long, value_name = "NAME")]
    token_name: Option<TokenName>,

    /// All registered models that are enabled
    #[arg(long, conflicts_with_all = ["tag", "what"])]
    all: bool,

    /// The registered models with this tag
    #[arg(long, conflicts_with = "what")]
    tag: Vec<Tag>,

    /// Fetch files again even if they are there
    #[arg(long, visible_alias = "force-download")]
    force: bool,

    /// Publish this held commit despite its findings, as `hfdl updates approve` does
    #[arg(long, value_name = "COMMIT", value_parser = beginning_of_commit,
        conflicts_with_all = ["all", "tag"])]
    accept: Option<String>,

    /// Remove files of a directory that are gone upstream, if hfdl put them there
    #[arg(long)]
    delete: bool,

    /// Show the files to fetch, and fetch nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    waiting: Waiting,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    place: NewPlace,

    #[command(flatten)]
    hf: HfFlags,
}

impl Download {
    pub fn run(mut self, context: &Context) -> Result<ExitStatus> {
        let context = &self.hf.apply(context)?;
        self.to = self.to.or_else(|| self.hf.local_dir());
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        self.limits.warn(context);
        let (targets, single) = self.targets(context, existing.as_ref(), &settings)?;
        if targets.is_empty() {
            return self.nothing_meant(context);
        }
        let is_new_place = self.place.new_place && !self.dry_run;
        if let Some(store) = existing.as_ref().filter(|_| !is_new_place) {
            self.hf.refuse_other_cache(store, &settings, &targets)?;
        }
        // As in the official client: published files are enough unless the Hub must be asked.
        let is_offline = is_offline(&context.host) && !self.force && self.accept.is_none();
        if self.dry_run || is_offline {
            return self.show_only(context, existing, settings, &targets, single.as_ref());
        }
        let store = existing.map_or_else(|| context.store(), Ok)?;
        let bounds = self.limits.bounds(&settings);
        // Before the lock: a signal may end the wait for it.
        let services = Services::for_run(&context.host, &context.home, settings, store)?;
        let (command, trigger) = (RunCommand::Download, Trigger::Manual);
        let lock = take_lock(context, command, trigger, self.waiting.wait)?;
        self.accept_updates(&services.store, &targets, context)?;
        let destinations = targets.iter().map(|target| target.destination.clone());
        let destinations = destinations.collect::<BTreeSet<_>>();
        self.place
            .confirm(context, &services, Some(&destinations))?;
        fetch(
            context,
            &services,
            lock,
            targets,
            &bounds,
            |run, elapsed| {
                let status = report_run(context, run, single.as_ref(), elapsed)?;
                say_delays(context, &services.store, run)?;
                Ok(status)
            },
        )
    }

    /// Shows the plan of a dry run, or the published files where the Hub cannot be asked.
    fn show_only(
        &self,
        context: &Context,
        existing: Option<Store>,
        settings: Settings,
        targets: &[Target],
        single: Option<&RepoPath>,
    ) -> Result<ExitStatus> {
        let (host, home) = (&context.host, &context.home);
        let store = match existing {
            Some(store) => store,
            None => Store::open_read_only(&home.database(), context.now())?,
        };
        let services = Services::read_only(host, home, settings, store);
        if self.dry_run {
            return show_dry_run(context, &services, targets);
        }
        let missing = ExitStatus::Temporary;
        show_published(context, &services, targets, single, None, missing)
    }

    /// Ends a command line that means no model.
    fn nothing_meant(&self, context: &Context) -> Result<ExitStatus> {
        if self.all {
            // From cron this is the state before anything was added, not a mistake.
            let (outcome, status) = (RunOutcome::Ok, ExitStatus::Ok);
            let nothing = || skipped_run(Trigger::Manual, None, outcome, status, Vec::new());
            context.out.document(nothing)?;
            context.hint(match context.existing_store()? {
                Some(store) if store.has_models()? => {
                    "no model is enabled; `hfdl models enable NAME` enables one"
                }
                _ => "no models; `hfdl models add org/name` keeps one",
            });
            return Ok(ExitStatus::Ok);
        }
        Err(Complaint::usage("no registered model is meant")
            .next("`hfdl models list` shows all")
            .into())
    }

    fn accept_updates(&self, store: &Store, targets: &[Target], context: &Context) -> Result<()> {
        let Some(beginning) = &self.accept else {
            return Ok(());
        };
        for (id, _) in targets.iter().filter_map(|target| target.model.as_ref()) {
            ops::updates::accept(store, *id, beginning, context.now())?;
        }
        Ok(())
    }

    /// Returns the treatment of files that are gone upstream. The database knows
    /// which commits a repository had: old lists of files name nothing else.
    fn vanished(&self, store: Option<&Store>, repo: &Repo) -> Result<Vanished> {
        Ok(match (self.delete, store) {
            (true, Some(store)) => Vanished::Delete(store.commits_seen(repo)?),
            (true, None) => Vanished::Delete(BTreeSet::new()),
            (false, _) => Vanished::Keep,
        })
    }

    /// Refuses targets that would mix the files of two repositories in one directory.
    fn refuse_mixed(&self, targets: &[Target], models: &[Model]) -> Result<()> {
        let Some(to) = &self.to else {
            return Ok(());
        };
        let (mut first, mut repos) = (None, targets.iter().map(|target| &target.repo));
        if let Some(other) = repos.find(|repo| first.get_or_insert(*repo) != repo) {
            let headline = format!("several repositories cannot go into one directory, `{to}`");
            return Err(Complaint::usage(headline)
                .cause(format!(
                    "{} are given",
                    text::list([first, Some(other)].into_iter().flatten())
                ))
                .next("download each into a directory of its own")
                .into());
        }
        let Some(target) = targets.first() else {
            return Ok(());
        };
        if let Destination::Directory(path) = &target.destination
            && let Some(model) = used_by_another(models, &target.repo, path)
        {
            let headline = format!("the model `{}` uses the directory `{to}`", model.spec.name);
            return Err(Complaint::usage(headline)
                .next("choose another directory")
                .into());
        }
        Ok(())
    }

    /// Understands the arguments; the second value is the one file that was
    /// asked for, if it was just one.
    fn targets(
        &self,
        context: &Context,
        store: Option<&Store>,
        settings: &Settings,
    ) -> Result<(Vec<Target>, Option<RepoPath>)> {
        let models = match store {
            Some(store) => store.readable_models(&ModelFilter::default())?,
            None => Vec::new(),
        };
        let (targets, single) = self.chosen(context, store, settings, &models)?;
        self.refuse_mixed(&targets, &models)?;
        Ok((targets, single))
    }

    fn chosen(
        &self,
        context: &Context,
        store: Option<&Store>,
        settings: &Settings,
        models: &[Model],
    ) -> Result<(Vec<Target>, Option<RepoPath>)> {
        if self.all || !self.tag.is_empty() {
            let meant = |model: &&Model| {
                model.spec.enabled
                    && (self.all || self.tag.iter().any(|tag| model.spec.tags.contains(tag)))
            };
            let targets = models
                .iter()
                .filter(meant)
                .map(|model| self.registered(context, store, settings, model, &[]));
            return Ok((targets.collect::<Result<_>>()?, None));
        }
        let named = |word: &str| {
            let is_meant = |model: &&Model| {
                let kind = self.repo_type.unwrap_or(model.spec.repo.kind);
                model.spec.name.as_str() == word && model.spec.repo.kind == kind
            };
            models.iter().find(is_meant)
        };
        let is_name = |word: &str| named(word).is_some();
        let groups = group_words(&self.what, is_name).map_err(ambiguous)?;
        let mut targets = Vec::new();
        for (word, files) in &groups {
            targets.push(match named(word) {
                Some(model) => self.registered(context, store, settings, model, files)?,
                None => self.unregistered(context, store, settings, word, files)?,
            });
        }
        let single = match (targets.as_slice(), groups.as_slice()) {
            ([target], [(_, files)]) if files.len() <= 1 => target
                .required
                .first()
                .filter(|_| target.required.len() == 1)
                .cloned(),
            _ => None,
        };
        Ok((targets, single))
    }

    fn registered(
        &self,
        context: &Context,
        store: Option<&Store>,
        settings: &Settings,
        model: &Model,
        files: &[&str],
    ) -> Result<Target> {
        let spec = &model.spec;
        let (filter, required) = self.filter(files, &spec.filter)?;
        // Other files, another revision or another place than the registered
        // ones say nothing about the model.
        let revision = self
            .revision
            .clone()
            .unwrap_or_else(|| spec.revision.clone());
        let place = self.place_given(context, settings)?;
        let place = place.unwrap_or_else(|| spec.destination.clone());
        let is_the_model =
            filter == spec.filter && revision == spec.revision && place == spec.destination;
        let vanished = self.vanished(store, &spec.repo)?;
        if let (true, Some(store)) = (is_the_model, store) {
            let input = PolicyInput::load(store, context.now())?;
            let target = Target::with_siblings(store, model, &input)?;
            return Ok(Target {
                token_name: self.token_name.clone().or(target.token_name),
                accepted: self.accept.clone().or(target.accepted),
                required,
                force: self.force,
                vanished,
                ..target
            });
        }
        Ok(Target {
            revision,
            filter,
            required,
            destination: place,
            token_name: self.token_name.clone().or(spec.token_name.clone()),
            force: self.force,
            vanished,
            needs_token: model.state.needs_token,
            accepted: self.accept.clone(),
            ..Target::unregistered(spec.repo.clone())
        })
    }

    fn unregistered(
        &self,
        context: &Context,
        store: Option<&Store>,
        settings: &Settings,
        word: &str,
        files: &[&str],
    ) -> Result<Target> {
        let arg = RepoArg::parse(word, settings.endpoint())?.of_type(self.repo_type)?;
        let revision = match (&self.revision, &arg.revision) {
            (Some(flag), Some(own)) if flag != own => {
                return Err(Complaint::usage("two different revisions are given")
                    .cause(format!("`--revision {flag}`, and `{own}` in `{word}`"))
                    .next("leave one of them out")
                    .into());
            }
            (flag, own) => flag.clone().or(own.clone()).unwrap_or_else(Revision::main),
        };
        let stored = Filter {
            include: arg.include_patterns(),
            ..Filter::default()
        };
        let (filter, mut required) = self.filter(files, &stored)?;
        if let (Some(RepoPart::File(path)), true) =
            (&arg.part, files.is_empty() && self.include.is_empty())
        {
            required.insert(path.clone());
        }
        let place = self.place_given(context, settings)?;
        let vanished = self.vanished(store, &arg.repo)?;
        Ok(Target {
            revision,
            filter,
            required,
            destination: place.unwrap_or(Destination::Cache),
            token_name: self.token_name.clone(),
            force: self.force,
            vanished,
            accepted: self.accept.clone(),
            ..Target::unregistered(arg.repo)
        })
    }

    /// Returns the destination of `--to`.
    fn place_given(&self, context: &Context, settings: &Settings) -> Result<Option<Destination>> {
        let to = self.to.as_deref();
        to.map(|to| destination(context, settings, to)).transpose()
    }

    /// Named files beat patterns on the command line, and these beat stored ones.
    fn filter(&self, files: &[&str], stored: &Filter) -> Result<(Filter, BTreeSet<RepoPath>)> {
        if files.is_empty() {
            let include = if self.include.is_empty() {
                stored.include.clone()
            } else {
                Some(self.include.clone())
            };
            let exclude = if self.exclude.is_empty() {
                stored.exclude.clone()
            } else {
                self.exclude.clone()
            };
            let filter = Filter {
                include,
                exclude,
                ..Filter::default()
            };
            return Ok((filter, BTreeSet::new()));
        }
        if !self.include.is_empty() || !self.exclude.is_empty() {
            let patterns = files.iter().map(|file| format!("--include '{file}'"));
            let patterns: Vec<String> = patterns.collect();
            return Err(Complaint::usage("files are named, and patterns given")
                .cause("`--include` and `--exclude` take one pattern each")
                .next(format!(
                    "name files alone, or write each pattern with its own flag: `{}`",
                    patterns.join(" ")
                ))
                .into());
        }
        let mut required = BTreeSet::new();
        let mut include = Vec::new();
        for file in files {
            let path: RepoPath = file.trim_end_matches('/').parse()?;
            include
                .push(escape_pattern(path.as_str()) + if file.ends_with('/') { "/" } else { "" });
            if !file.ends_with('/') {
                required.insert(path);
            }
        }
        Ok((
            Filter {
                include: Some(include),
                ..Filter::default()
            },
            required,
        ))
    }
}

/// Shows both ways to write a word that may be a file or a repository.
fn ambiguous(error: AmbiguousWord) -> Complaint {
    let AmbiguousWord { repo, word } = &error;
    Complaint::usage(error.to_string()).next(format!(
        "write `{repo} --include {word}` for the file, `{repo} hf.co/{word}` for the repository"
    ))
}

/// Checks that a flag names a commit or enough of its digits.
pub fn beginning_of_commit(text: &str) -> Result<String, InvalidValue> {
    let is_hex = text.bytes().all(|c| c.is_ascii_hexdigit());
    if is_hex && (7..=40).contains(&text.len()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(InvalidValue::new(
            "a commit has 40 hexadecimal digits; the first 7 are enough",
        ))
    }
}
