//! `hfdl lock`

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result};
use clap::Args;
use serde_json::json;

use super::context::{Context, STDOUT};
use super::explain::Complaint;
use super::models::named_or_all;
use crate::domain::lock_file::LockFile;
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::json::document;
use crate::ops::lock_file::{self, NotLocked};
use crate::store::Store;
use crate::sys::files;
use crate::sys::open;

/// The name of a lock file, unless another is given.
pub const LOCK_FILE: &str = "hfdl.lock";

/// Write the published commits and their files to a lock file
///
/// The lock file has the repository, the commit, and the size and hash of each selected file of
/// every model. It contains no time, and models and files are sorted, so that the same commits give
/// the same bytes. `hfdl apply --locked` reproduces it elsewhere. The Hub is not asked.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl lock
  hfdl lock --check
  hfdl lock org/name --output -
  hfdl apply -f hfdl.yaml --locked && hfdl download --all")]
pub struct Lock {
    /// Models to lock (default: all)
    #[arg(value_name = "NAME")]
    names: Vec<EntryName>,

    /// The lock file, or - for stdout
    #[arg(short, long, value_name = "FILE", default_value = LOCK_FILE)]
    output: PathBuf,

    /// Write nothing; fail with the differences if the file is out of date
    #[arg(long)]
    check: bool,
}

impl Lock {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let is_stdout = self.output == Path::new(STDOUT);
        if is_stdout && self.check {
            return Err(Complaint::usage("`--check` needs a file to compare with").into());
        }
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let settings = context.settings(Some(&store))?;
        let models = named_or_all(&store, &self.names)?;
        let lock = lock_file::make(&settings, &models).map_err(explain)?;
        if self.check {
            return self.compare(context, &lock);
        }
        let text = lock_file::render(&lock);
        if is_stdout {
            context.write_document(&self.output, &text)?;
            return Ok(ExitStatus::Ok);
        }
        let path = &self.output;
        let old = files::read_if_present(path).ok().flatten();
        let is_changed = old.as_deref() != Some(text.as_bytes());
        if is_changed {
            context.write_document(path, &text)?;
        }
        let n_models = lock.models.len();
        context.out.done(
            || {
                let (path, models) = (path.display(), count_of(n_models));
                if is_changed {
                    format!("locked {models} in `{path}`")
                } else {
                    format!("`{path}` is as it was: {models}")
                }
            },
            || {
                let file = path.display().to_string();
                let body = json!({"file": file, "models": n_models, "changed": is_changed, "differences": []});
                document("hfdl.lock/1", body)
            },
        )?;
        Ok(ExitStatus::Ok)
    }

    /// Compares the lock file with the published commits. Only named models count if some
    /// are named.
    fn compare(&self, context: &Context, found: &LockFile) -> Result<ExitStatus> {
        let mut locked = read_lock_file(&self.output)?;
        if !self.names.is_empty() {
            locked
                .models
                .retain(|model| self.names.contains(&model.name));
        }
        let differences = locked.differences(found);
        let path = self.output.display();
        context.out.result(
            |out| match differences.as_slice() {
                [] if out.quiet => String::new(),
                [] => format!("`{path}` is as published: {}", count_of(found.models.len())),
                lines => lines.join("\n"),
            },
            || {
                let file = path.to_string();
                let body = json!({"file": file, "models": found.models.len(), "changed": false, "differences": differences});
                document("hfdl.lock/1", body)
            },
        )?;
        Ok(if differences.is_empty() {
            ExitStatus::Ok
        } else {
            ExitStatus::Failed
        })
    }
}

/// Reads a lock file; one that is missing or unreadable is an error of usage.
pub fn read_lock_file(path: &Path) -> Result<LockFile> {
    let name = path.display();
    let missing = || {
        Complaint::usage(format!("there is no lock file `{name}`"))
            .next("`hfdl lock` writes one where the models are published")
    };
    let mut bytes = Vec::new();
    match open::read_through_links(path) {
        // One byte above the limit shows that the file is too large.
        Ok(file) => file.take(lock_file::MAX_BYTES + 1).read_to_end(&mut bytes),
        Err(err) if files::is_absent(&err) => return Err(missing().into()),
        Err(err) => Err(err),
    }
    .with_context(|| format!("cannot read `{name}`"))?;
    if bytes.len() as u64 > lock_file::MAX_BYTES {
        return Err(Complaint::usage(format!("`{name}` is too large for a lock file")).into());
    }
    let lock = lock_file::parse(&bytes).map_err(|fault| {
        Complaint::usage(format!("`{name}` is no lock file")).cause(fault.to_string())
    })?;
    Ok(lock)
}

fn count_of(n_models: usize) -> String {
    match n_models {
        1 => "1 model".to_owned(),
        n => format!("{n} models"),
    }
}

fn explain(err: Error) -> Error {
    let Some(not_locked) = err.downcast_ref::<NotLocked>() else {
        return err;
    };
    let names: Vec<&str> = not_locked.names().map(EntryName::as_str).collect();
    Complaint::new(ExitStatus::Failed, "the lock file was not written")
        .cause(not_locked.to_string())
        .next(format!(
            "`hfdl download {}` fetches what is missing, or name the models to lock",
            names.join(" ")
        ))
        .into()
}
