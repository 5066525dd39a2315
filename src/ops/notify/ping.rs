//! The ping of a run: one at its beginning, one at its end.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::Voice;
use super::daily::warn_daily;
use crate::domain::alert::RunFacts;
use crate::domain::run::RunId;
use crate::domain::settings::Settings;
use crate::notify::ping::{STEP_LIMIT, Signal, TIME_LIMIT, address, send, signal_of, summary};
use crate::ops::hub::{is_offline, network};
use crate::store::MetaKey;
use crate::sys::host::Host;
use crate::sys::http::{Http, HttpSettings};
use crate::sys::stop::StopFlag;

/// The ping of a run.
pub struct Ping {
    http: Http,
    base: String,
    run: RunId,
    start: Option<JoinHandle<Result<()>>>,
}

impl Ping {
    /// Sends the start signal on a thread of its own; `None` without `ping.url`.
    pub fn start(host: &Host, settings: &Settings, run: &RunId) -> Option<Self> {
        let mut ping = Self::of(host, settings, run)?;
        let (http, base, run) = (ping.http.clone(), ping.base.clone(), ping.run.clone());
        ping.start = Some(std::thread::spawn(move || {
            let stop = StopFlag::new();
            deliver(&http, &base, Signal::Start, &run, String::new(), &stop)
        }));
        Some(ping)
    }

    /// Prepares the ping of a tick without a run.
    pub fn of(host: &Host, settings: &Settings, run: &RunId) -> Option<Self> {
        let base = settings.ping_url()?;
        if is_offline(host) {
            log::debug!("no ping: offline mode is on");
            return None;
        }
        let http = match client(host) {
            Ok(http) => http,
            Err(err) => {
                log::warn!("cannot ping: {err:#}");
                return None;
            }
        };
        Some(Self {
            http,
            base: base.to_owned(),
            run: run.clone(),
            start: None,
        })
    }

    /// Sends the end of a run; a failure is a warning once a day.
    pub fn end(self, voice: &Voice<'_>, run: &RunFacts) {
        let trouble = self.say(
            signal_of(run.status),
            summary(run),
            &voice.stop_after(run.status),
        );
        warn_daily(voice, MetaKey::PingTrouble, trouble.as_deref());
    }

    /// Tells the service of a tick without a run. `None`: there is no database to
    /// remember that a warning was given.
    pub fn end_without_run(self, voice: Option<&Voice<'_>>, signal: Signal, why: &str) {
        let stop = StopFlag::new();
        let trouble = self.say(signal, format!("{why}\n"), &stop);
        match voice {
            Some(voice) => warn_daily(voice, MetaKey::PingTrouble, trouble.as_deref()),
            None => trouble
                .into_iter()
                .for_each(|trouble| log::warn!("{trouble}")),
        }
    }

    /// Sends the last signal; returns the error of the first or the last one.
    fn say(self, signal: Signal, body: String, stop: &StopFlag) -> Option<String> {
        // The start signal is sent first; it has its own time limit.
        while self
            .start
            .as_ref()
            .is_some_and(|start| !start.is_finished())
        {
            if stop.pause(Duration::from_millis(20)) {
                return None;
            }
        }
        let started = self.start.and_then(|start| start.join().ok());
        let ended = deliver(&self.http, &self.base, signal, &self.run, body, stop);
        let trouble = ended.and(started.unwrap_or(Ok(()))).err();
        trouble.map(|err| format!("the ping did not arrive: {err:#}"))
    }
}

fn deliver(
    http: &Http,
    base: &str,
    signal: Signal,
    run: &RunId,
    body: String,
    stop: &StopFlag,
) -> Result<()> {
    let url = address(base, signal, run).map_err(|err| anyhow!("{err}"))?;
    send(http, &url, body, TIME_LIMIT, stop).map_err(|why| anyhow!("`{}`: {why}", url.host()))?;
    log::debug!("pinged: {signal:?}");
    Ok(())
}

/// Makes a client with short time limits.
fn client(host: &Host) -> Result<Http> {
    let settings = HttpSettings {
        connect_timeout: STEP_LIMIT,
        answer_timeout: STEP_LIMIT,
        read_timeout: STEP_LIMIT,
        connections: 1,
        ..network(host)?
    };
    Http::new(&settings).context("cannot set up HTTP")
}
