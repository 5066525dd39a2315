//! The user's crontab, read and written through the program `crontab`.
//!
//! A mistake here can destroy a crontab: appending to a listing that failed and
//! looks empty would replace everything. Any output that is not understood
//! therefore ends the edit with nothing written. System files (`/etc/crontab`,
//! `/etc/cron.d`) are never touched.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use super::backend::{InstalledEntry, TimerBackend};
use super::crontab_line::{BlockFlags, render};
use super::crontab_text::{self as text, Crontab};
use super::refusal::TimerRefusal;
use super::spec::{TimerId, TimerSpec};
use super::step::InstallStep;
use crate::domain::timer::TimerKind;
use crate::sys::fs::create_private_dir;
use crate::sys::helper::{self, HelperError};
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;
use crate::sys::pause::{Sleeper, Waited};
use crate::sys::process;
use crate::sys::search_path::find_helper;
use crate::sys::signals::process_stop;

/// The crontab of this user.
pub struct CrontabTimer<'a> {
    host: &'a Host,
}

impl<'a> CrontabTimer<'a> {
    pub fn new(host: &'a Host) -> Self {
        Self { host }
    }

    fn read(&self) -> Result<Crontab> {
        let output = helper::run(self.host, "crontab", &["-l"], None)?;
        if output.is_success() {
            return Ok(Some(text::without_header(&output.stdout).to_vec()));
        }
        if output.stdout.is_empty() && is_missing_crontab(&output.stderr) {
            return Ok(None);
        }
        Err(TimerRefusal::state(format!("`crontab -l` failed: {}", output.failure_text())).into())
    }

    fn write(&self, new: Option<&[u8]>) -> Result<()> {
        let (line, stdin) = match new {
            Some(_) => ("-", new),
            None => ("-r", None),
        };
        let output = helper::run(self.host, "crontab", &[line], stdin)?;
        if output.is_success() {
            return Ok(());
        }
        Err(TimerRefusal::state(format!(
            "`crontab {line}` failed: {}",
            output.failure_text()
        ))
        .into())
    }

    /// Reads, changes and writes the crontab; tells whether it changed.
    ///
    /// `crontab` has no compare-and-swap. The lock excludes edits by other homes,
    /// and a second read just before the write detects edits by other programs.
    fn edit(
        &self,
        change: impl Fn(Option<&[u8]>) -> Result<Crontab, TimerRefusal>,
    ) -> Result<bool> {
        // Without a change no lock file is made.
        let now = self.read()?;
        if change(now.as_deref())? == now {
            return Ok(false);
        }
        // The directory of the lock belongs to the default home, which may not be in use.
        let folder = Home::find(self.host, None)?;
        let is_new = !folder.path().exists();
        let lock = self.lock(folder.path())?;
        let edited = self.edit_locked(change);
        drop(lock);
        if is_new {
            // It stays where another process has put a file into it.
            let _ = std::fs::remove_dir(folder.path());
        }
        edited
    }

    fn edit_locked(
        &self,
        change: impl Fn(Option<&[u8]>) -> Result<Crontab, TimerRefusal>,
    ) -> Result<bool> {
        const ATTEMPTS: u32 = 3;
        for _ in 0..ATTEMPTS {
            let before = self.read()?;
            let after = change(before.as_deref())?;
            if after == before {
                return Ok(false);
            }
            if before.as_deref().is_some_and(text::is_generated) {
                let reason = "its first lines say that another program generates this crontab";
                return Err(TimerRefusal::state(reason).into());
            }
            if self.read()? != before {
                continue;
            }
            self.write(after.as_deref())?;
            if self.read()? != after {
                let reason = "the crontab does not hold what was written to it";
                return Err(TimerRefusal::state(reason)
                    .next("check it with `crontab -l`")
                    .into());
            }
            return Ok(true);
        }
        Err(TimerRefusal::state("another program keeps changing the crontab").into())
    }

    /// Takes the lock for this user's crontab, which is shared by all homes. Its file
    /// goes at release.
    fn lock(&self, folder: &Path) -> Result<FileLock> {
        const STEP: Duration = Duration::from_millis(100);
        const ATTEMPTS: u32 = 100;
        let path = folder.join("crontab.lock");
        let problem = || format!("cannot lock `{}`", path.display());
        let pause = Sleeper::until_stopped(&process_stop()).on(self.host);
        for _ in 0..ATTEMPTS {
            create_private_dir(folder).with_context(problem)?;
            match FileLock::try_acquire_temporary(&path) {
                Ok(Some(lock)) => return Ok(lock),
                // Another process has removed the directory that it had made.
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(err).with_context(problem),
                Ok(None) if pause.wait(STEP) == Waited::Stopped => break,
                Ok(None) => {}
            }
        }
        Err(TimerRefusal::state("another `hfdl` is changing the crontab").into())
    }
}

/// Recognises a missing crontab: Debian, cronie, vixie, systemd-cron and macOS
/// print `no crontab for NAME`; BusyBox that it cannot open the file.
fn is_missing_crontab(output: &[u8]) -> bool {
    let stderr = String::from_utf8_lossy(output);
    stderr.contains("no crontab for ")
        || (stderr.contains("can't open '") && stderr.contains("No such file or directory"))
}

impl TimerBackend for CrontabTimer<'_> {
    fn kind(&self) -> TimerKind {
        TimerKind::Crontab
    }

    fn is_available(&self) -> bool {
        find_helper(self.host, "crontab").is_some()
    }

    fn plan(&self, spec: &TimerSpec) -> Result<Vec<InstallStep>> {
        // The text of the marker depends on the current crontab.
        let before = self.read().unwrap_or(Some(Vec::new()));
        let after = text::with_block(before.as_deref(), spec)?;
        let lines = text::block_text(&after, &spec.id).unwrap_or_default();
        Ok(vec![InstallStep::AddToCrontab { lines }])
    }

    fn install(&self, spec: &TimerSpec) -> Result<bool> {
        // Rendered first, so that an error in the request is reported before an
        // error of the machine.
        let lines = render(spec, BlockFlags::default())?;
        self.edit(|before| text::with_block(before, spec).map(Some))
            .map_err(|err| {
                with_alternative(err, &format!("or add these lines to it yourself:\n{lines}"))
            })
            .context("cannot install the timer: nothing was written to the crontab")
    }

    fn remove(&self, id: &TimerId) -> Result<bool> {
        if !self.is_available() {
            return Ok(false);
        }
        self.edit(|before| {
            let Some(text) = before else { return Ok(None) };
            let without = text::without_block(text, id)?;
            Ok(without.unwrap_or_else(|| Some(text.to_vec())))
        })
        .map_err(|err| {
            let advice = format!("or remove the lines of hfdl {id} yourself: `crontab -e`");
            with_alternative(err, &advice)
        })
        .context("cannot remove the timer: nothing was written to the crontab")
    }

    fn installed(&self, spec: &TimerSpec) -> Result<Option<InstalledEntry>> {
        let Some(now) = self.read()? else {
            return Ok(None);
        };
        let Some(is_current) = text::is_current(&now, spec)? else {
            return Ok(None);
        };
        Ok(Some(InstalledEntry {
            place: text::block_text(&now, &spec.id).unwrap_or_default(),
            is_current,
            problem: None,
            doubt: self.missing_daemon(),
        }))
    }

    fn warnings(&self) -> Vec<String> {
        self.missing_daemon().into_iter().collect()
    }
}

impl CrontabTimer<'_> {
    /// `crontab` also works where no cron daemon runs, as in most containers. This
    /// is only a hint: systemd-cron has no process of its own.
    fn missing_daemon(&self) -> Option<String> {
        const NAMES: [&str; 6] = [
            "cron",
            "crond",
            "fcron",
            "bcron-sched",
            "dcron",
            "supercronic",
        ];
        const GENERATORS: [&str; 2] = [
            "/lib/systemd/system-generators/systemd-crontab-generator",
            "/usr/lib/systemd/system-generators/systemd-crontab-generator",
        ];
        let has_generator = GENERATORS.iter().any(|path| Path::new(path).exists());
        let is_missing = process::is_running(self.host, &NAMES) == Some(false) && !has_generator;
        is_missing
            .then(|| "no cron daemon seems to run here, so nothing reads the crontab".to_owned())
    }
}

/// Adds a manual alternative, unless the error already names a next step.
fn with_alternative(err: Error, alternative: &str) -> Error {
    match err.downcast::<TimerRefusal>() {
        Ok(refusal) if refusal.next.is_some() || refusal.is_usage => refusal.into(),
        Ok(refusal) => refusal.next(format!("fix that, {alternative}")).into(),
        Err(err) => match err.downcast::<HelperError>() {
            Ok(helper) => TimerRefusal::state(helper.to_string())
                .next(format!("fix that, {alternative}"))
                .into(),
            Err(err) => err,
        },
    }
}
