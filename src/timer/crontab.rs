//! The user's crontab, read and written through the program `crontab`.
//!
//! The most dangerous thing that this program does to a machine: whoever
//! appends to a listing that failed and looks empty has lost a crontab. So
//! whatever is not understood ends with nothing written. Files of the system
//! (`/etc/crontab`, `/etc/cron.d`) are never touched.

use anyhow::{Context, Error, Result};

use super::backend::{Entry, TimerBackend};
use super::crontab_text::{self as text, Crontab};
use super::refusal::Refusal;
use super::spec::{TimerId, TimerSpec};
use super::step::Step;
use crate::domain::timer::TimerKind;
use crate::sys::fs::create_private_dir;
use crate::sys::helper::{self, HelperError};
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;
use crate::sys::process;
use crate::sys::search_path::find_helper;

/// The program `crontab` of this user.
pub struct CrontabTimer<'a> {
    host: &'a Host,
}

impl<'a> CrontabTimer<'a> {
    pub fn new(host: &'a Host) -> Self {
        Self { host }
    }

    fn read(&self) -> Result<Crontab> {
        let ended = helper::run(self.host, "crontab", &["-l"], None)?;
        if ended.is_success() {
            return Ok(Some(text::without_header(&ended.stdout).to_vec()));
        }
        if ended.stdout.is_empty() && says_there_is_none(&ended.stderr) {
            return Ok(None);
        }
        Err(Refusal::met(format!("`crontab -l` failed: {}", ended.failure_text())).into())
    }

    fn write(&self, new: Option<&[u8]>) -> Result<()> {
        let (line, stdin) = match new {
            Some(_) => ("-", new),
            None => ("-r", None),
        };
        let ended = helper::run(self.host, "crontab", &[line], stdin)?;
        if ended.is_success() {
            return Ok(());
        }
        Err(Refusal::met(format!("`crontab {line}` failed: {}", ended.failure_text())).into())
    }

    /// Reads, changes and writes the crontab; tells whether that changed it.
    ///
    /// There is no way to write only if nobody else has: the lock keeps other
    /// homes' edits apart, and a second look just before writing those of
    /// people.
    fn edit(&self, change: impl Fn(Option<&[u8]>) -> Result<Crontab, Refusal>) -> Result<bool> {
        const ATTEMPTS: u32 = 3;
        let _lock = self.lock()?;
        for _ in 0..ATTEMPTS {
            let before = self.read()?;
            let after = change(before.as_deref())?;
            if after == before {
                return Ok(false);
            }
            if before.as_deref().is_some_and(text::is_machine_owned) {
                let why = "its first lines say that another program writes this crontab";
                return Err(Refusal::met(why).into());
            }
            if self.read()? != before {
                continue;
            }
            self.write(after.as_deref())?;
            if self.read()? != after {
                let why = "the crontab does not hold what was written to it";
                return Err(Refusal::met(why)
                    .next("look at it with `crontab -l`")
                    .into());
            }
            return Ok(true);
        }
        Err(Refusal::met("somebody else keeps changing the crontab").into())
    }

    /// Takes the lock for this user's crontab, which all homes share.
    fn lock(&self) -> Result<FileLock> {
        const STEP: std::time::Duration = std::time::Duration::from_millis(100);
        let folder = Home::find(self.host, None)?;
        let path = folder.path().join("crontab.lock");
        let problem = || format!("cannot lock `{}`", path.display());
        create_private_dir(folder.path()).with_context(problem)?;
        for _ in 0..100 {
            if let Some(lock) = FileLock::try_acquire(&path).with_context(problem)? {
                return Ok(lock);
            }
            self.host.pause(STEP);
        }
        Err(Refusal::met("another `hfdl` is changing the crontab").into())
    }
}

/// Debian, cronie, vixie, systemd-cron and macOS say `no crontab for NAME`;
/// BusyBox that it cannot open the file.
fn says_there_is_none(stderr: &[u8]) -> bool {
    let said = String::from_utf8_lossy(stderr);
    said.contains("no crontab for ")
        || (said.contains("can't open '") && said.contains("No such file or directory"))
}

impl TimerBackend for CrontabTimer<'_> {
    fn kind(&self) -> TimerKind {
        TimerKind::Crontab
    }

    fn is_there(&self) -> bool {
        find_helper(self.host, "crontab").is_some()
    }

    fn plan(&self, spec: &TimerSpec) -> Result<Vec<Step>> {
        // What the marker says depends on the crontab that is there.
        let before = self.read().unwrap_or(Some(Vec::new()));
        let after = text::with_block(before.as_deref(), spec)?;
        let lines = text::block_text(&after, &spec.id).unwrap_or_default();
        Ok(vec![Step::AddToCrontab { lines }])
    }

    fn install(&self, spec: &TimerSpec) -> Result<bool> {
        // First of all, so that what is wrong with the request is not hidden
        // behind what is wrong with the machine.
        let lines = text::render(spec, text::Words::default())?;
        self.edit(|before| text::with_block(before, spec).map(Some))
            .map_err(|err| explained(err, &format!("or add these lines to it yourself:\n{lines}")))
            .context("cannot install the timer: nothing was written to the crontab")
    }

    fn remove(&self, id: &TimerId) -> Result<bool> {
        if !self.is_there() {
            return Ok(false);
        }
        self.edit(|before| {
            let Some(text) = before else { return Ok(None) };
            let without = text::without_block(text, id)?;
            Ok(without.unwrap_or_else(|| Some(text.to_vec())))
        })
        .map_err(|err| {
            let advice = format!("or remove the lines of hfdl {id} yourself: `crontab -e`");
            explained(err, &advice)
        })
        .context("cannot remove the timer: nothing was written to the crontab")
    }

    fn look(&self, spec: &TimerSpec) -> Result<Option<Entry>> {
        let Some(now) = self.read()? else {
            return Ok(None);
        };
        let Some(is_current) = text::is_current(&now, spec)? else {
            return Ok(None);
        };
        Ok(Some(Entry {
            place: text::block_text(&now, &spec.id).unwrap_or_default(),
            is_current,
            problem: None,
            doubt: self.silent_daemon(),
        }))
    }

    fn warnings(&self) -> Vec<String> {
        self.silent_daemon().into_iter().collect()
    }
}

impl CrontabTimer<'_> {
    /// `crontab` works where no cron runs, as in most containers. A hint and
    /// no more: systemd-cron has no process of its own.
    fn silent_daemon(&self) -> Option<String> {
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
        let has_generator = GENERATORS
            .iter()
            .any(|path| std::path::Path::new(path).exists());
        let is_silent = process::is_running(self.host, &NAMES) == Some(false) && !has_generator;
        is_silent
            .then(|| "no cron daemon seems to run here, so nothing reads the crontab".to_owned())
    }
}

/// Adds what a person can do instead, where the cause names nothing better.
fn explained(err: Error, instead: &str) -> Error {
    match err.downcast::<Refusal>() {
        Ok(refusal) if refusal.next.is_some() || refusal.is_usage => refusal.into(),
        Ok(refusal) => refusal.next(format!("see to that, {instead}")).into(),
        Err(err) => match err.downcast::<HelperError>() {
            Ok(helper) => Refusal::met(helper.to_string())
                .next(format!("see to that, {instead}"))
                .into(),
            Err(err) => err,
        },
    }
}
