//! The back-end for the Task Scheduler of Windows.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::backend::{InstalledEntry, TimerBackend};
use super::refusal::TimerRefusal;
use super::spec::{TimerId, TimerSpec};
use super::step::{Encoding, InstallStep, carry_out, exit_code};
use super::xml::escape;
use crate::domain::timer::TimerKind;
use crate::sys::files::read_if_present;
use crate::sys::host::Host;
use crate::sys::search_path::find_helper;
use crate::sys::{helper, program};

/// The user of the task, and the program that it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskUser {
    /// The user's security identifier; without one Windows uses the registering
    /// user.
    pub sid: Option<String>,
    /// The windowless variant of the program, if it exists.
    pub windowless: Option<String>,
}

/// Renders the task.
///
/// The schema fixes the order of elements in a trigger. Three defaults of Windows
/// would stop downloads silently: tasks do not start on battery, end when the power
/// is unplugged, and end after three days.
pub fn render(spec: &TimerSpec, user: &TaskUser) -> String {
    let sid = user.sid.as_ref();
    let sid = sid.map(|sid| format!("      <UserId>{}</UserId>\n", escape(sid)));
    let program = user.windowless.as_ref().unwrap_or(&spec.program);
    let arguments: Vec<String> = spec
        .arguments()
        .iter()
        .map(|argument| quote(argument))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>
<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">
  <RegistrationInfo>
    <Description>hfdl: look for due downloads {tick}. Managed by \"hfdl start\"; remove it with \"hfdl stop\".</Description>
  </RegistrationInfo>
  <Triggers>
    <TimeTrigger>
      <Repetition>
        <Interval>PT{every}M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2025-01-01T00:{offset:02}:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id=\"Author\">
{sid}      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context=\"Author\">
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
",
        sid = sid.unwrap_or_default(),
        tick = escape(&spec.tick.to_string()),
        every = spec.tick.every(),
        offset = spec.tick.offset(),
        program = escape(program),
        arguments = escape(&arguments.join(" ")),
    )
}

/// Quotes an argument as programs on Windows parse their command line: a backslash
/// is special only before a quotation mark.
fn quote(argument: &str) -> String {
    let is_plain = !argument.is_empty() && !argument.contains([' ', '\t', '"']);
    if is_plain {
        return argument.to_owned();
    }
    let mut quoted = String::from("\"");
    let mut n_backslashes = 0;
    for c in argument.chars() {
        if c == '"' {
            quoted.extend(std::iter::repeat_n('\\', n_backslashes + 1));
        }
        n_backslashes = if c == '\\' { n_backslashes + 1 } else { 0 };
        quoted.push(c);
    }
    quoted.extend(std::iter::repeat_n('\\', n_backslashes));
    quoted.push('"');
    quoted
}

/// The Task Scheduler, reached through `schtasks`.
pub struct TaskSchedulerTimer<'a> {
    host: &'a Host,
    home: &'a Path,
}

impl<'a> TaskSchedulerTimer<'a> {
    pub fn new(host: &'a Host, home: &'a Path) -> Self {
        Self { host, home }
    }

    /// The registered text, kept because the scheduler returns a different one.
    fn file(&self) -> PathBuf {
        self.home.join("timer.xml")
    }

    fn user(&self, spec: &TimerSpec) -> TaskUser {
        let windowless = program::windowless(Path::new(&spec.program));
        TaskUser {
            sid: self.sid(),
            windowless: windowless.map(|path| path.display().to_string()),
        }
    }

    /// Parses the last field of the only line: `"machine\me","S-1-5-21-…"`.
    fn sid(&self) -> Option<String> {
        let line = ["/user", "/fo", "csv", "/nh"];
        let output = helper::run(self.host, "whoami", &line, None).ok()?;
        let output = String::from_utf8_lossy(&output.stdout);
        let sid = output.trim().rsplit('"').nth(1)?;
        sid.starts_with("S-1-").then(|| sid.to_owned())
    }

    fn exists(&self, id: &TimerId) -> Result<bool> {
        // By the exit code: the output of `schtasks` is translated.
        Ok(exit_code(self.host, "schtasks", &["/Query", "/TN", &task(id)])? == Some(0))
    }
}

fn task(id: &TimerId) -> String {
    format!("\\hfdl\\run-due-{id}")
}

impl TimerBackend for TaskSchedulerTimer<'_> {
    fn kind(&self) -> TimerKind {
        TimerKind::TaskScheduler
    }

    fn is_available(&self) -> bool {
        find_helper(self.host, "schtasks").is_some()
    }

    fn plan(&self, spec: &TimerSpec) -> Result<Vec<InstallStep>> {
        if let Some((name, _)) = spec.variables.first() {
            let reason = format!("a task of Windows cannot be given the variable `{name}`");
            let next = format!("set it for your account: `setx {name} VALUE`; tasks see it");
            return Err(TimerRefusal::usage(reason).next(next).into());
        }
        let user = self.user(spec);
        let program = user.windowless.as_ref().unwrap_or(&spec.program);
        if program.chars().count() > 260 {
            let reason =
                "the program's path is longer than the 260 characters that a task can hold";
            return Err(TimerRefusal::usage(reason)
                .next("install hfdl in a shorter folder")
                .into());
        }
        let path = self.file();
        let file = path.display().to_string();
        Ok(vec![
            InstallStep::Write {
                text: render(spec, &user),
                path,
                encoding: Encoding::Utf16,
            },
            InstallStep::run(
                "schtasks",
                &["/Create", "/TN", &task(&spec.id), "/XML", &file, "/F"],
            ),
        ])
    }

    fn install(&self, spec: &TimerSpec) -> Result<bool> {
        let steps = self.plan(spec)?;
        if let Some(entry) = self.installed(spec)?
            && entry.is_current
        {
            return Ok(false);
        }
        carry_out(self.host, &steps).context("cannot install the timer")?;
        Ok(true)
    }

    fn remove(&self, id: &TimerId) -> Result<bool> {
        if !self.exists(id)? {
            return Ok(false);
        }
        let steps = [
            InstallStep::run("schtasks", &["/Delete", "/TN", &task(id), "/F"]),
            InstallStep::Remove { path: self.file() },
        ];
        carry_out(self.host, &steps).context("cannot remove the timer")?;
        Ok(true)
    }

    fn installed(&self, spec: &TimerSpec) -> Result<Option<InstalledEntry>> {
        if !self.exists(&spec.id)? {
            return Ok(None);
        }
        let path = self.file();
        let found =
            read_if_present(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let wanted = Encoding::Utf16.encode(&render(spec, &self.user(spec)));
        Ok(Some(InstalledEntry {
            place: task(&spec.id),
            is_current: found == Some(wanted),
            problem: None,
            doubt: None,
        }))
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_windows() {
        for (argument, quoted) in [
            ("run-due", "run-due"),
            (r"C:\hfdl\", r"C:\hfdl\"),
            (r"C:\My Data\hfdl\", r#""C:\My Data\hfdl\\""#),
            (r#"a "b" \"#, r#""a \"b\" \\""#),
            (r#"\" "#, r#""\\\" ""#),
            ("", r#""""#),
        ] {
            assert_eq!(quote(argument), quoted);
        }
    }
}
