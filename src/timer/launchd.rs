//! The launchd back-end, for macOS.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::backend::{InstalledEntry, TimerBackend};
use super::spec::{TimerId, TimerSpec};
use super::step::{Encoding, InstallStep, carry_out, exit_code};
use super::xml::escape;
use crate::domain::timer::TimerKind;
use crate::sys::files::read_if_present;
use crate::sys::host::Host;
use crate::sys::paths::user_home;

/// The session type of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchSession {
    /// From login at the screen to logout.
    Screen,
    /// Without a login at the screen, as over SSH; it has no keychain.
    Background,
}

impl LaunchSession {
    /// Returns the session type in the file, and the launchd domain.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Screen => ("Aqua", "gui"),
            Self::Background => ("Background", "user"),
        }
    }
}

/// Renders the property list.
///
/// It uses the calendar, because `StartInterval` skips ticks during sleep. There
/// are no output paths: launchd appends to them without limit, and each run has its
/// own log. With `RunAtLoad` there is one tick after login.
pub fn render(spec: &TimerSpec, session: LaunchSession) -> String {
    let strings = |texts: &[&str]| -> String {
        texts
            .iter()
            .map(|text| format!("\t\t<string>{}</string>\n", escape(text)))
            .collect()
    };
    let words = [&[spec.program.as_str()][..], &spec.arguments()].concat();
    let minutes: String = spec
        .tick
        .minutes()
        .iter()
        .map(|minute| {
            format!("\t\t<dict>\n\t\t\t<key>Minute</key>\n\t\t\t<integer>{minute}</integer>\n\t\t</dict>\n")
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<!-- Managed by \"hfdl start\"; remove it with \"hfdl stop\". -->
<plist version=\"1.0\">
<dict>
\t<key>Label</key>
\t<string>{label}</string>
\t<key>ProgramArguments</key>
\t<array>
{program}\t</array>
{environment}\t<key>StartCalendarInterval</key>
\t<array>
{minutes}\t</array>
\t<key>RunAtLoad</key>
\t<true/>
\t<key>ProcessType</key>
\t<string>Background</string>
\t<key>LowPriorityIO</key>
\t<true/>
\t<key>Nice</key>
\t<integer>10</integer>
\t<key>ExitTimeOut</key>
\t<integer>120</integer>
\t<key>LimitLoadToSessionType</key>
\t<string>{session}</string>
</dict>
</plist>
",
        label = label(&spec.id),
        program = strings(&words),
        environment = environment(spec),
        session = session.names().0,
    )
}

/// Returns the variables of the job, if there are any.
fn environment(spec: &TimerSpec) -> String {
    let entry = |(name, value): &(String, String)| {
        let (name, value) = (escape(name), escape(value));
        format!("\t\t<key>{name}</key>\n\t\t<string>{value}</string>\n")
    };
    let entries: String = spec.variables.iter().map(entry).collect();
    if entries.is_empty() {
        return entries;
    }
    format!("\t<key>EnvironmentVariables</key>\n\t<dict>\n{entries}\t</dict>\n")
}

fn label(id: &TimerId) -> String {
    format!("io.hfdl.run-due.{id}")
}

/// launchd, reached through `launchctl`.
pub struct LaunchdTimer<'a> {
    host: &'a Host,
}

impl<'a> LaunchdTimer<'a> {
    pub fn new(host: &'a Host) -> Self {
        Self { host }
    }

    fn path(&self, id: &TimerId) -> Result<PathBuf> {
        let name = format!("{}.plist", label(id));
        Ok(user_home(self.host)?
            .join("Library/LaunchAgents")
            .join(name))
    }

    fn domain(&self, session: LaunchSession) -> String {
        let user = self.host.user_id().unwrap_or_default();
        format!("{}/{user}", session.names().1)
    }

    fn is_loaded(&self, id: &TimerId, session: LaunchSession) -> Result<bool> {
        let service = format!("{}/{}", self.domain(session), label(id));
        Ok(exit_code(self.host, "launchctl", &["print", &service])? == Some(0))
    }

    /// Writes the file and loads it; returns the exit code of loading.
    fn load(&self, spec: &TimerSpec, session: LaunchSession) -> Result<Option<i32>> {
        let steps = self.steps(spec, session)?;
        let (first, load) = steps.split_at(steps.len() - 1);
        carry_out(self.host, first)?;
        self.unload(&spec.id, session)?;
        let [InstallStep::Run { arguments, .. }] = load else {
            bail!("loading is one command");
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let code = exit_code(self.host, "launchctl", &arguments)?;
        if code != Some(5) {
            return Ok(code);
        }
        // Unloading continues after `bootout` has returned; until it ends, loading
        // fails with "5: Input/output error".
        self.host.pause(std::time::Duration::from_secs(1));
        Ok(exit_code(self.host, "launchctl", &arguments)?)
    }

    fn unload(&self, id: &TimerId, session: LaunchSession) -> Result<()> {
        if self.is_loaded(id, session)? {
            // With the label: without it the whole session would be unloaded.
            let service = format!("{}/{}", self.domain(session), label(id));
            exit_code(self.host, "launchctl", &["bootout", &service])?;
        }
        Ok(())
    }

    fn steps(&self, spec: &TimerSpec, session: LaunchSession) -> Result<Vec<InstallStep>> {
        let path = self.path(&spec.id)?;
        let file = path.display().to_string();
        let domain = self.domain(session);
        let service = format!("{domain}/{}", label(&spec.id));
        Ok(vec![
            InstallStep::Write {
                path,
                text: render(spec, session),
                encoding: Encoding::Utf8,
            },
            // An earlier `launchctl disable` is stored outside the file.
            InstallStep::try_to_run("launchctl", &["enable", &service]),
            InstallStep::run("launchctl", &["bootstrap", &domain, &file]),
        ])
    }

    fn installed_text(&self, spec: &TimerSpec) -> Result<Option<Vec<u8>>> {
        let path = self.path(&spec.id)?;
        read_if_present(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }
}

const SESSIONS: [LaunchSession; 2] = [LaunchSession::Screen, LaunchSession::Background];

impl TimerBackend for LaunchdTimer<'_> {
    fn kind(&self) -> TimerKind {
        TimerKind::Launchd
    }

    fn is_available(&self) -> bool {
        crate::sys::search_path::find_helper(self.host, "launchctl").is_some()
    }

    fn plan(&self, spec: &TimerSpec) -> Result<Vec<InstallStep>> {
        self.steps(spec, LaunchSession::Screen)
    }

    fn install(&self, spec: &TimerSpec) -> Result<bool> {
        // The exit code over SSH when no user is logged in at the screen.
        const NO_SUCH_DOMAIN: i32 = 125;
        if let Some(entry) = self.installed(spec)?
            && entry.is_current
            && entry.problem.is_none()
        {
            return Ok(false);
        }
        let mut code = self.load(spec, LaunchSession::Screen)?;
        if code == Some(NO_SUCH_DOMAIN) {
            code = self.load(spec, LaunchSession::Background)?;
        }
        match code {
            Some(0) => Ok(true),
            Some(code) => {
                bail!("cannot install the timer: `launchctl bootstrap` ended with {code}")
            }
            None => {
                bail!("cannot install the timer: there is no program `launchctl` on this machine")
            }
        }
    }

    fn remove(&self, id: &TimerId) -> Result<bool> {
        let path = self.path(id)?;
        if !path.exists() {
            return Ok(false);
        }
        for session in SESSIONS {
            self.unload(id, session)?;
        }
        carry_out(self.host, &[InstallStep::Remove { path }]).context("cannot remove the timer")?;
        Ok(true)
    }

    fn installed(&self, spec: &TimerSpec) -> Result<Option<InstalledEntry>> {
        let Some(found) = self.installed_text(spec)? else {
            return Ok(None);
        };
        let mut is_loaded = false;
        for session in SESSIONS {
            is_loaded = is_loaded || self.is_loaded(&spec.id, session)?;
        }
        let label = label(&spec.id);
        Ok(Some(InstalledEntry {
            place: self.path(&spec.id)?.display().to_string(),
            is_current: SESSIONS
                .iter()
                .any(|session| found == render(spec, *session).as_bytes()),
            problem: (!is_loaded).then(|| format!("the agent `{label}` is not loaded")),
            doubt: None,
        }))
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
