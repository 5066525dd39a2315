//! The systemd back-end: a service and a timer of the user's manager.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::backend::{InstalledEntry, TimerBackend};
use super::refusal::TimerRefusal;
use super::spec::{TickTimes, TimerId, TimerSpec};
use super::step::{Encoding, InstallStep, carry_out, exit_code};
use crate::domain::timer::TimerKind;
use crate::sys::files::read_if_present;
use crate::sys::helper;
use crate::sys::host::Host;
use crate::sys::paths::user_home;

/// Renders the service, which runs one tick.
///
/// Its hardening options are those that work in a user's manager without
/// namespaces, each tried by itself: file system protection has no effect there,
/// and device and capability options prevent the unit from starting. There is no
/// `UMask`: a group may share the cache, and the mode of files must not depend on
/// the timer.
pub fn render_service(spec: &TimerSpec) -> String {
    let program = quote(&spec.program);
    // In arguments only: systemd expands no variables in the program's name.
    let home = quote(&spec.home).replace('$', "$$");
    let words = spec.command();
    let environment: String = spec
        .variables
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quote(&format!("{name}={value}"))))
        .collect();
    // A held lock, an exhausted budget and a stop are no failures; a network error
    // stays one, so that it shows in `systemctl --user --failed`.
    format!(
        "# Managed by \"hfdl start\"; remove it with \"hfdl stop\".
[Unit]
Description=hfdl: run due downloads

[Service]
Type=oneshot
ExecStart={program} --home {home} {words}
{environment}SuccessExitStatus=8 10 11 143
TimeoutStartSec=infinity
TimeoutStopSec=120
KillMode=mixed
Nice=10
CPUSchedulingPolicy=batch
CPUWeight=20
IOSchedulingClass=best-effort
IOSchedulingPriority=7
IOWeight=20
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"
    )
}

/// Renders the timer.
///
/// It uses the calendar and not the time since the last start: only a calendar
/// timer is persistent and keeps its minute, so a random delay is unnecessary.
pub fn render_timer(spec: &TimerSpec) -> String {
    format!(
        "# Managed by \"hfdl start\"; remove it with \"hfdl stop\".
[Unit]
Description=hfdl: look for due downloads {}

[Timer]
OnCalendar={}
Persistent=true
AccuracySec=30s

[Install]
WantedBy=timers.target
",
        spec.tick,
        calendar(spec.tick)
    )
}

fn calendar(tick: TickTimes) -> String {
    match (tick.every(), tick.offset()) {
        (1, _) => "*-*-* *:*:00".to_owned(),
        (60, offset) => format!("*-*-* *:{offset:02}:00"),
        (every, offset) => format!("*-*-* *:{offset:02}/{every}:00"),
    }
}

/// Quotes text so that systemd takes it literally; `%` begins a specifier.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// systemd's manager of the user, reached through `systemctl --user`.
pub struct SystemdTimer<'a> {
    host: &'a Host,
}

impl<'a> SystemdTimer<'a> {
    pub fn new(host: &'a Host) -> Self {
        Self { host }
    }

    fn base(&self, variable: &str, below_home: &str) -> Result<PathBuf> {
        match self.host.variable(variable).map(PathBuf::from) {
            Some(path) if path.is_absolute() => Ok(path),
            _ => Ok(user_home(self.host)?.join(below_home)),
        }
    }

    fn unit_path(&self, unit: &str) -> Result<PathBuf> {
        let config = self.base("XDG_CONFIG_HOME", ".config")?;
        Ok(config.join("systemd/user").join(unit))
    }

    /// Returns the path and text of both units.
    fn units(&self, spec: &TimerSpec) -> Result<[(PathBuf, String); 2]> {
        Ok([
            (self.unit_path(&service(&spec.id))?, render_service(spec)),
            (self.unit_path(&timer(&spec.id))?, render_timer(spec)),
        ])
    }

    fn exit_code(&self, line: &[&str]) -> Result<Option<i32>> {
        Ok(exit_code(
            self.host,
            "systemctl",
            &[&["--user"], line].concat(),
        )?)
    }

    /// Tells whether linger is enabled. Without it the manager, and with it a
    /// running download, ends with the user's last session.
    fn lingers(&self) -> Option<bool> {
        let user = self.host.user_id()?.to_string();
        let line = ["show-user", &user, "--property=Linger"];
        let output = helper::run(self.host, "loginctl", &line, None).ok()?;
        match output.stdout.trim_ascii() {
            b"Linger=yes" => Some(true),
            b"Linger=no" => Some(false),
            _ => None,
        }
    }
}

fn service(id: &TimerId) -> String {
    format!("hfdl-{id}.service")
}

fn timer(id: &TimerId) -> String {
    format!("hfdl-{id}.timer")
}

impl TimerBackend for SystemdTimer<'_> {
    fn kind(&self) -> TimerKind {
        TimerKind::Systemd
    }

    /// Root shells, `su` and containers have the program, but no running manager.
    fn is_available(&self) -> bool {
        matches!(self.exit_code(&["show", "--property=Version"]), Ok(Some(0)))
    }

    fn plan(&self, spec: &TimerSpec) -> Result<Vec<InstallStep>> {
        let writes = self.units(spec)?.map(|(path, text)| InstallStep::Write {
            path,
            text,
            encoding: Encoding::Utf8,
        });
        let mut steps = Vec::from(writes);
        steps.push(InstallStep::run("systemctl", &["--user", "daemon-reload"]));
        // Enable the timer only: an enabled service would run at login.
        steps.push(InstallStep::run(
            "systemctl",
            &["--user", "enable", "--now", &timer(&spec.id)],
        ));
        Ok(steps)
    }

    fn install(&self, spec: &TimerSpec) -> Result<bool> {
        if let Some(entry) = self.installed(spec)?
            && entry.is_current
            && entry.problem.is_none()
            && self.exit_code(&["is-enabled", "--quiet", &timer(&spec.id)])? == Some(0)
        {
            return Ok(false);
        }
        if !self.is_available() {
            let next = "log in as this user and try again, or use `--backend crontab`";
            let reason = "systemd's manager for this user cannot be reached from here";
            return Err(TimerRefusal::state(reason).next(next)).context("cannot install the timer");
        }
        carry_out(self.host, &self.plan(spec)?).context("cannot install the timer")?;
        Ok(true)
    }

    fn remove(&self, id: &TimerId) -> Result<bool> {
        let (service, timer) = (service(id), timer(id));
        let files = [self.unit_path(&timer)?, self.unit_path(&service)?];
        if !files.iter().any(|path| path.exists()) {
            return Ok(false);
        }
        if !self.is_available() {
            let reason = "systemd's manager for this user cannot be reached from here";
            let next = "log in as this user and try again";
            return Err(TimerRefusal::state(reason).next(next)).context("cannot remove the timer");
        }
        // A remaining stamp would make a later timer fire at once.
        let stamps = self.base("XDG_DATA_HOME", ".local/share")?;
        let stamp = stamps.join("systemd/timers").join(format!("stamp-{timer}"));
        let [timer_file, service_file] = files;
        let steps = [
            InstallStep::run("systemctl", &["--user", "disable", "--now", &timer]),
            InstallStep::try_to_run("systemctl", &["--user", "clean", "--what=state", &timer]),
            InstallStep::Remove { path: stamp },
            InstallStep::Remove { path: timer_file },
            InstallStep::Remove { path: service_file },
            InstallStep::run("systemctl", &["--user", "daemon-reload"]),
            InstallStep::try_to_run("systemctl", &["--user", "reset-failed", &timer, &service]),
        ];
        carry_out(self.host, &steps).context("cannot remove the timer")?;
        Ok(true)
    }

    fn installed(&self, spec: &TimerSpec) -> Result<Option<InstalledEntry>> {
        let units = self.units(spec)?;
        let mut found = Vec::new();
        for (path, wanted) in &units {
            let text = read_if_present(path)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            found.push(text.map(|text| text == wanted.as_bytes()));
        }
        if found.iter().all(Option::is_none) {
            return Ok(None);
        }
        let timer = timer(&spec.id);
        // Without a running manager the state is unknown, which is no problem yet.
        let is_inactive = matches!(
            self.exit_code(&["is-active", "--quiet", &timer])?,
            Some(3 | 4)
        );
        Ok(Some(InstalledEntry {
            place: units[1].0.display().to_string(),
            is_current: found.iter().all(|same| *same == Some(true)),
            problem: is_inactive.then(|| format!("the unit `{timer}` is not active")),
            doubt: None,
        }))
    }

    fn warnings(&self) -> Vec<String> {
        let advice = "without linger this timer, and a download that it started, ends when you log out; \
                      `loginctl enable-linger` lets both go on";
        let is_off = self.lingers() == Some(false);
        is_off.then(|| advice.to_owned()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::tests::{awkward, plain, with_tick};
    use super::*;

    #[test]
    fn calendars_name_the_minutes() {
        let text = |every, offset| calendar(with_tick(every, offset).tick);
        assert_eq!(text(15, 4), "*-*-* *:04/15:00");
        assert_eq!(text(60, 4), "*-*-* *:04:00");
        assert_eq!(text(1, 0), "*-*-* *:*:00");
    }

    #[test]
    fn special_characters_of_systemd_are_escaped() {
        let spec = TimerSpec {
            program: "/opt/50% \\ $x/hfdl".to_owned(),
            variables: vec![("P".to_owned(), "a \"b\" 5% $".to_owned())],
            ..awkward()
        };
        let text = render_service(&spec);
        let expected = "ExecStart=\"/opt/50%% \\\\ $x/hfdl\" --home \"/home/me/A & B <state> \\\"x\\\" $$y\" run-due --trigger timer\n\
                        Environment=\"P=a \\\"b\\\" 5%% $\"\n";
        assert!(text.contains(expected), "{text}");
        assert!(!render_service(&plain()).contains("Environment"));
    }
}
