//! `hfdl adopt`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::adopt_report::{AdoptResult, list_document, list_text};
use super::context::Context;
use super::download_report::fetch;
use super::explain::Complaint;
use super::lock::take_lock;
use super::watcher::Watcher;
use crate::domain::adopt::AdoptedFiles;
use crate::domain::outcome::{ExitStatus, Trigger};
use crate::domain::run::RunCommand;
use crate::domain::settings::SettingKey;
use crate::json::document;
use crate::ops::adopt::{Adoption, ModelMatch, adopted_files, match_models};
use crate::ops::download::cache_choice;
use crate::ops::places::Places;
use crate::ops::run::Bounds;
use crate::ops::services::Services;
use crate::ops::sync::Target;
use crate::store::{ModelFilter, Store};
use crate::sys::paths::{absolute, real_place};
use crate::ui::text;

/// Use the files of other programs instead of fetching them
///
/// Hashes the files once, on all cores, and remembers them: old folders of LM Studio, ollama (its
/// blobs), ComfyUI, hfd.sh and --local-dir, git clones, plain copies. A later download that needs
/// one of them takes its bytes from there, as a reflink where the file system supports it,
/// otherwise as a copy, and checks their hash on the way. The files stay where they are unless
/// --move is given; nothing else is ever removed. Files under 4 KiB, names that begin with a dot,
/// unfinished downloads (.incomplete, .part, .aria2 and the like) and links are skipped; a link or
/// a dotted folder that you name yourself is followed. Running it again reads only files that are
/// new or have changed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl adopt ~/.lmstudio/models --dry-run     say how much would be read
  hfdl adopt ~/.ollama/models/blobs ~/ComfyUI/models
  hfdl adopt ~/old-models --match             the models that they belong to
  hfdl adopt ~/old-models --match --move      and move them into the cache now
  hfdl adopt --forget ~/old-models")]
pub struct AdoptCommand {
    /// Files and folders
    #[arg(value_name = "DIR|FILE", required_unless_present_any = ["list", "matching"])]
    paths: Vec<PathBuf>,

    /// Show the amount that would be read, and read nothing
    #[arg(short = 'n', long, conflicts_with_all = ["moves", "matching"])]
    dry_run: bool,

    /// Move files into the cache when a download needs them: those on the same disk that no other
    /// model, Hub cache or hard link needs
    #[arg(long = "move", requires = "paths")]
    moves: bool,

    /// Ask the Hub which registered models the adopted files belong to; with --move those that are
    /// nearly whole are downloaded at once
    #[arg(long = "match")]
    matching: bool,

    /// List the adopted files
    #[arg(long, conflicts_with_all = ["paths", "dry_run", "moves", "matching", "forget"])]
    list: bool,

    /// Forget the adopted files below these paths; the files stay
    #[arg(long, requires = "paths", conflicts_with_all = ["dry_run", "moves", "matching"])]
    forget: bool,
}

impl AdoptCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        if self.list {
            return list(context);
        }
        if self.forget {
            return forget(context, &self.paths);
        }
        if let Some(missing) = self.paths.iter().find(|path| !path.exists()) {
            let headline = format!("there is no file or folder `{}`", missing.display());
            let complaint = Complaint::usage(headline);
            return Err(complaint.next("name files and folders that exist").into());
        }
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let (host, home) = (&context.host, &context.home);
        let store = match existing {
            Some(store) => store,
            None if self.dry_run => Store::open_read_only(&home.database(), context.now())?,
            None => context.store()?,
        };
        let adoption = Adoption::new(&store, &settings, &self.paths)?;
        if self.dry_run {
            return AdoptResult::of(adoption.dry_run()?, &self.paths).show(context, true);
        }
        let services = Services::for_run(host, home, settings, store)?;
        let mut watcher = Watcher::new(context);
        let report = adoption.carry_out(&services, self.moves, &mut |event| {
            watcher.note(event);
        });
        watcher.finish();
        let mut result = AdoptResult::of(report?, &self.paths);
        if self.matching && !services.stop.is_raised() {
            result.matches = Some(matches(&services)?);
        }
        if self.moves
            && result
                .matches
                .iter()
                .flatten()
                .any(ModelMatch::is_worth_moving_now)
        {
            return take_models(context, &services, result);
        }
        let status = result.show(context, false)?;
        Ok(services.end_status(status))
    }
}

/// Compares all adopted files with the registered models.
fn matches(services: &Services<'_>) -> Result<Vec<ModelMatch>> {
    let Services {
        host,
        store,
        settings,
        ..
    } = services;
    let models = store.readable_models(&ModelFilter::default())?;
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let adopted = AdoptedFiles::new(adopted_files(store)?);
    let places = Arc::new(Places::load(store, settings)?);
    let choice = cache_choice(host, settings, places);
    let clients = &services.network()?.clients;
    Ok(match_models(clients, &choice, models, &adopted))
}

/// Downloads the models of which nearly all is here, so that their files are moved.
fn take_models(
    context: &Context,
    services: &Services<'_>,
    mut result: AdoptResult,
) -> Result<ExitStatus> {
    let lock = take_lock(context, RunCommand::Download, Trigger::Manual, None)?;
    let matches = result.matches.iter().flatten();
    let targets: Vec<Target> = matches
        .filter(|found| found.is_worth_moving_now())
        .map(|found| Target::from(&found.model))
        .collect();
    let settings = &services.settings;
    let bounds = Bounds {
        max_duration: settings.run_max_duration(),
        max_transfer: settings.run_max_transfer(),
        max_duration_name: SettingKey::RunMaxDuration.as_str(),
        max_transfer_name: SettingKey::RunMaxTransfer.as_str(),
        limit_rate: settings.limit_rate().cloned(),
        ignores_allowances: false,
    };
    fetch(context, services, lock, targets, &bounds, |run, _| {
        result.run = Some(run.clone());
        result.show(context, false)
    })
}

fn list(context: &Context) -> Result<ExitStatus> {
    let store = context.existing_store()?;
    let files = store.map_or_else(|| Ok(Vec::new()), |store| adopted_files(&store))?;
    if files.is_empty() {
        context.say_to_people("nothing is adopted; `hfdl adopt DIR` does it");
    }
    let out = &context.out;
    out.result(|out| list_text(out, &files), || list_document(&files))?;
    Ok(ExitStatus::Ok)
}

fn forget(context: &Context, paths: &[PathBuf]) -> Result<ExitStatus> {
    let store = context.existing_store()?;
    let mut n_forgotten = 0;
    for path in paths {
        let path = absolute(&context.host, path)?;
        // The record has real paths; one that is gone cannot be resolved.
        let real = real_place(&path);
        let store = store.as_ref().ok_or_else(|| unknown(&path))?;
        let n_of_path = store.forget_adopted(&real)?;
        if n_of_path == 0 {
            return Err(unknown(&path).into());
        }
        n_forgotten += n_of_path;
    }
    let count = text::count(n_forgotten as u64, "adopted file", "adopted files");
    context.out.done(
        || format!("forgot {count}"),
        || {
            document(
                "hfdl.change/1",
                serde_json::json!({ "forgotten": n_forgotten }),
            )
        },
    )?;
    Ok(ExitStatus::Ok)
}

fn unknown(path: &std::path::Path) -> Complaint {
    Complaint::usage(format!(
        "no file at or below `{}` is adopted",
        path.display()
    ))
    .next("`hfdl adopt --list` shows all")
}
