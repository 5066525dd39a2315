//! The notifications of a run: hooks, metrics and pings.
//!
//! ```text
//! run ended → standings updated, notices decided → lock released
//! → hooks, one after the other → finally → metrics → ping
//! ```
//!
//! The notices are decided while the lock of the home is held, so that two runs
//! never report the same change. Every failure here is a warning: the outcome and
//! the exit code of the run are decided before. Deliberately absent: the rules for
//! notices (`domain::health`, `domain::alert`), HTTP and child processes (`notify`).

mod daily;
mod earlier_runs;
mod early;
mod metrics;
mod ping;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::daily::warn_daily;
use self::earlier_runs::{found_in_place, news_of_earlier_runs};
use self::metrics::{metrics_path, write_metrics};
use super::changes::note_of_session;
use super::login::logins_in_use;
use super::services::Services;
use crate::domain::alert::{Alerts, HookCall, HookEvent, Notice, NoticeReason, RunFacts, decide};
use crate::domain::argv::Argv;
use crate::domain::changes::ChangeNote;
use crate::domain::login::LOGIN_ADVICE;
use crate::domain::outcome::ExitStatus;
use crate::domain::run::{Event, EventKind, RunCommand};
use crate::domain::session::SessionId;
use crate::domain::settings::Settings;
use crate::notify::hooks::{self, EVENT_VARIABLE, HookOptions, HookResult};
use crate::store::{MetaKey, Store};
use crate::sys::host::Host;
use crate::sys::paths::Home;
use crate::sys::pause::Stopwatch;
use crate::sys::search_path::find_named;
use crate::sys::signals::exit_status;
use crate::sys::stop::StopFlag;

pub use crate::notify::hooks::VARIABLES as HOOK_VARIABLES;
pub use early::{EarlyEnd, tell_early_end};
pub use ping::Ping;

/// The time limit for all hooks of a run: a hundred models that fail at once must
/// not keep a process for hours.
const MOST_TIME: Duration = Duration::from_secs(15 * 60);

/// The context of notifications.
#[derive(Clone, Copy)]
pub struct Notifier<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub store: &'a Store,
    pub settings: &'a Settings,
    /// The flag that signals raise, if they do.
    pub stop: Option<&'a StopFlag>,
}

/// The notices of a run.
#[derive(Clone, Debug)]
pub struct News {
    pub run: RunFacts,
    pub alerts: Alerts,
    /// The notices of earlier runs that ended before their hooks.
    pub earlier: Vec<News>,
    /// The changes of the updates that are reported.
    notes: BTreeMap<SessionId, ChangeNote>,
}

impl News {
    fn new(run: RunFacts, alerts: Alerts) -> Self {
        Self {
            run,
            alerts,
            earlier: Vec::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Reads the change notes of the updates that are published or held.
    fn read_notes(&mut self, store: &Store) -> Result<()> {
        for notice in &self.alerts.notices {
            if let NoticeReason::Published | NoticeReason::Held = notice.reason
                && let Some(session) = self.run.sessions.get(notice.session)
                && let Some(note) = note_of_session(store, session)?
            {
                self.notes.insert(session.id, note);
            }
        }
        self.earlier
            .iter_mut()
            .try_for_each(|news| news.read_notes(store))
    }

    fn calls(&self) -> impl Iterator<Item = HookCall<'_>> {
        self.alerts.notices.iter().map(|notice| {
            let session = self.run.sessions.get(notice.session);
            HookCall {
                event: notice.event,
                reason: notice.reason,
                run: &self.run,
                session,
                failing: notice.failing,
                note: session.and_then(|session| self.notes.get(&session.id)),
            }
        })
    }

    /// Returns the notices for one hook.
    pub fn of(&self, event: HookEvent) -> impl Iterator<Item = &Notice> {
        let notices = self.alerts.notices.iter();
        notices.filter(move |notice| notice.event == event)
    }
}

impl<'a> From<&'a Services<'_>> for Notifier<'a> {
    fn from(services: &'a Services<'_>) -> Self {
        Self {
            host: services.host,
            home: services.home,
            store: &services.store,
            settings: &services.settings,
            stop: Some(&services.stop),
        }
    }
}

impl Notifier<'_> {
    /// Decides about the notices of a run, and saves that they were reported.
    ///
    /// The caller holds the lock of the home. `None`: the database cannot be written;
    /// then all trouble is shown and no hook is run.
    pub fn record_news(&self, run: RunFacts) -> Option<News> {
        match self.remember(run) {
            Ok(news) => Some(news),
            Err(err) => {
                log::warn!("cannot decide what to report, so no hook is run: {err:#}");
                None
            }
        }
    }

    fn remember(&self, run: RunFacts) -> Result<News> {
        let now = self.host.now();
        self.store.transaction(|store| {
            let earlier = news_of_earlier_runs(store, Some(&run), now)?;
            let mut alerts = decide(&run, &store.standings()?, now);
            for (model, standing) in &alerts.standings {
                store.save_standing(*model, standing)?;
            }
            alerts.notices.extend(found_in_place(&run, &earlier));
            let mut news = News {
                earlier,
                ..News::new(run, alerts)
            };
            news.read_notes(store)?;
            Ok(news)
        })
    }

    /// As `record_news`, for a tick without a run that found a crashed one.
    pub fn record_crashes(&self) -> Vec<News> {
        let now = self.host.now();
        let earlier = self
            .store
            .transaction(|store| news_of_earlier_runs(store, None, now));
        earlier.unwrap_or_else(|err| {
            log::warn!("cannot decide what to report, so no hook is run: {err:#}");
            Vec::new()
        })
    }

    /// Runs the hooks of earlier runs that ended before them.
    pub fn run_earlier_hooks(&self, earlier: &[News]) {
        self.call_all(ExitStatus::Ok, earlier.iter().flat_map(News::calls));
    }

    /// Runs the hooks of a run, and `finally` after a `run-due` that had work.
    pub fn run_hooks(&self, news: &News) {
        let earlier = news.earlier.iter().flat_map(News::calls);
        let notices = earlier.chain(news.calls());
        let end = HookCall {
            event: HookEvent::Finally,
            reason: NoticeReason::Ended,
            run: &news.run,
            session: None,
            failing: None,
            note: None,
        };
        let had_work = news.run.command == RunCommand::RunDue && !news.run.sessions.is_empty();
        let end = Some(end).filter(|_| had_work);
        self.call_all(news.run.status, notices.chain(end));
    }

    /// Writes the metrics file, if there is a setting for it.
    pub fn write_metrics_file(&self, metrics: Option<&Path>) {
        if let Some(path) = metrics_path(self.host, self.settings, metrics) {
            write_metrics(self, &path, None);
        }
    }

    /// Warns, once a day, of logins that end soon and cannot be renewed.
    pub fn warn_of_logins(&self) {
        let now = self.host.now();
        let logins = logins_in_use(self.host, self.settings, Some(self.store));
        let warnings: Vec<String> = logins.iter().filter_map(|it| it.warning(now)).collect();
        let trouble = format!("{}; {LOGIN_ADVICE}", warnings.join("; "));
        let trouble = Some(trouble.as_str()).filter(|_| !warnings.is_empty());
        warn_daily(self, MetaKey::LoginTrouble, trouble);
    }

    /// Runs the hook for a run that did not take place.
    pub fn run_skip_hook(&self, run: &RunFacts) {
        let skip = HookCall {
            event: HookEvent::OnSkip,
            reason: NoticeReason::Skipped,
            run,
            session: None,
            failing: None,
            note: None,
        };
        self.call_all(run.status, std::iter::once(skip));
    }

    /// Returns the stop flag for notifications. A limit or signal that ended the run
    /// itself does not stop them; a later signal does.
    fn stop_after(&self, status: ExitStatus) -> StopFlag {
        let by_signal = matches!(status, ExitStatus::Interrupted | ExitStatus::Terminated);
        let is_open = |stop: &&StopFlag| stop.reason().is_none_or(|it| exit_status(it).is_some());
        let stop = self.stop.filter(|_| !by_signal).filter(is_open);
        stop.cloned().unwrap_or_default()
    }

    fn call_all<'c>(&self, status: ExitStatus, calls: impl Iterator<Item = HookCall<'c>>) {
        if let Some(event) = self.host.variable(EVENT_VARIABLE) {
            // A hook that starts a run would start itself without end.
            log::debug!("no hooks: this run is part of a hook (`{event}`)");
            return;
        }
        let began = Stopwatch::start();
        let stop = self.stop_after(status);
        let options = HookOptions {
            stop: stop.clone(),
            home: self.home.path().to_path_buf(),
            timeout: Duration::from_secs(self.settings.hooks_timeout().get()),
        };
        let mut n_left_out = 0;
        for call in calls {
            if stop.is_raised() {
                log::warn!("asked to end; hooks are left out");
                break;
            }
            let Some(argv) = self.settings.hook(call.event.setting()) else {
                continue;
            };
            // `finally` runs even then: it may report the trouble.
            if began.elapsed() >= MOST_TIME && call.event != HookEvent::Finally {
                n_left_out += 1;
                continue;
            }
            self.call(argv, &call, &options);
        }
        if n_left_out > 0 {
            let minutes = MOST_TIME.as_secs() / 60;
            log::warn!("{n_left_out} calls of hooks left out: those before took {minutes} minutes");
        }
    }

    fn call(&self, argv: &Argv, call: &HookCall<'_>, options: &HookOptions) {
        let key = call.event.setting();
        log::debug!("`{key}` runs `{argv}`");
        let (result, printed) = match find_named(self.host, argv.program()) {
            Some(program) => hooks::run(&program, argv, call, options),
            None => {
                let why = "there is no such program, or this user may not run it";
                (HookResult::Failed(why.to_owned()), String::new())
            }
        };
        for line in printed.lines() {
            log::info!("`{key}` says: {}", hooks::plain(line));
        }
        match result {
            HookResult::Done => {}
            HookResult::LeftOut => log::debug!("`{key}` had nothing to do"),
            HookResult::Failed(why) => {
                let whose = call
                    .session
                    .map_or_else(String::new, |session| format!(" for `{}`", session.label()));
                let detail = format!("`{key}`{whose}: {why}");
                log::warn!("{detail} (`{argv}`)");
                self.record_failed_hook(call, detail);
            }
        }
    }

    fn record_failed_hook(&self, call: &HookCall<'_>, detail: String) {
        let event = Event {
            at: self.host.now(),
            kind: EventKind::HookFailed,
            model_id: call.session.and_then(|session| session.start.model_id),
            run_id: Some(call.run.run_id.clone()),
            detail,
        };
        if let Err(err) = self.store.record_event(&event) {
            log::warn!("cannot write down that a hook failed: {err}");
        }
    }
}
