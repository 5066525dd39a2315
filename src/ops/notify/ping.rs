//! The ping of a run: one at its beginning, one at its end.

use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};

use crate::domain::alert::RunFacts;
use crate::domain::run::RunId;
use crate::domain::settings::Settings;
use crate::notify::ping::{STEP_LIMIT, Signal, TIME_LIMIT, address, send, signal_of, summary};
use crate::ops::hub::{is_offline, network};
use crate::sys::host::Host;
use crate::sys::http::{Http, HttpSettings};

/// A run that a service was told of.
pub struct Ping {
    http: Http,
    base: String,
    run: RunId,
    start: Option<JoinHandle<()>>,
}

impl Ping {
    /// Tells the service that a run begins, while the run goes on; `None`
    /// where no service is to be told.
    pub fn start(host: &Host, settings: &Settings, run: &RunId) -> Option<Self> {
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
        let mut ping = Self {
            http,
            base: base.to_owned(),
            run: run.clone(),
            start: None,
        };
        let (http, base, run) = (ping.http.clone(), ping.base.clone(), ping.run.clone());
        ping.start = Some(std::thread::spawn(move || {
            deliver(&http, &base, Signal::Start, &run, String::new());
        }));
        Some(ping)
    }

    /// Tells the service how the run ended.
    pub fn end(self, run: &RunFacts) {
        self.say(signal_of(run.status), summary(run));
    }

    /// Tells the service that the run ended without a result.
    pub fn fail(self, why: &str) {
        self.say(Signal::Fail, format!("{why}\n"));
    }

    fn say(self, signal: Signal, body: String) {
        // The beginning arrives first, or not at all; it has its own limit.
        if let Some(start) = self.start {
            let _ = start.join();
        }
        deliver(&self.http, &self.base, signal, &self.run, body);
    }
}

fn deliver(http: &Http, base: &str, signal: Signal, run: &RunId, body: String) {
    let sent = address(base, signal, run)
        .map_err(|err| anyhow!("{err}"))
        .and_then(|url| {
            send(http, &url, body, TIME_LIMIT).map_err(|why| anyhow!("`{}`: {why}", url.host()))
        });
    match sent {
        Ok(()) => log::debug!("pinged: {signal:?}"),
        Err(err) => log::warn!("the ping did not arrive: {err:#}"),
    }
}

/// Makes the client: the network's own settings, and no patience.
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
