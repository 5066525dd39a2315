//! Pings: requests to a monitoring service at the start and the end of a run.
//!
//! The convention is that of Healthchecks, which other services follow: the address
//! alone means success, `/start` the start, `/fail` or an exit code another end, and
//! `rid` pairs start and end.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::domain::alert::RunFacts;
use crate::domain::outcome::ExitStatus;
use crate::domain::run::RunId;
use crate::domain::units::{ByteSize, count};
use crate::sys::http::{Http, Method, Request, Url, UrlError};
use crate::sys::pause::Stopwatch;
use crate::sys::stop::StopFlag;

/// Time limit of a ping with its second attempt.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Time limit of each step of an attempt: name lookup, connection, response.
pub const STEP_LIMIT: Duration = Duration::from_secs(4);

/// Maximum length of a summary; services keep about 100 kB.
const MOST_BODY_BYTES: usize = 8 << 10;

/// The message of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Start,
    Success,
    Code(u8),
    /// The run ended without a usable exit code.
    Fail,
}

/// Returns the signal for an exit status. The end of a budget or window is a success:
/// on a slow line it is the usual end of a night.
pub fn signal_of(status: ExitStatus) -> Signal {
    match status {
        ExitStatus::Ok | ExitStatus::TransferBudget | ExitStatus::TimeBudget => Signal::Success,
        other => Signal::Code(other.code()),
    }
}

/// Returns the address for a signal. Rendered for people it shows only the host.
pub fn address(base: &str, signal: Signal, run: &RunId) -> Result<Url, UrlError> {
    let (place, query) = match base.split_once('?') {
        Some((place, query)) => (place, format!("{query}&")),
        None => (base, String::new()),
    };
    let place = place.trim_end_matches('/');
    let tail = match signal {
        Signal::Start => "/start".to_owned(),
        Signal::Success => String::new(),
        Signal::Code(code) => format!("/{code}"),
        Signal::Fail => "/fail".to_owned(),
    };
    let url: Url = format!("{place}{tail}?{query}rid={run}").parse()?;
    Ok(url.with_secret_path())
}

/// Renders the summary of a run that the service shows.
pub fn summary(run: &RunFacts) -> String {
    let fetched: u64 = run
        .sessions
        .iter()
        .map(|session| session.progress.bytes.fetched)
        .sum();
    let mut text = format!(
        "{}: {}, {} fetched\n",
        run.outcome,
        count(run.sessions.len() as u64, "model", "models"),
        ByteSize(fetched).render_short()
    );
    for session in &run.sessions {
        let Some(end) = &session.end else { continue };
        text.push_str(&format!("{}: {}", session.label(), end.outcome));
        if let Some(trouble) = &end.trouble {
            text.push_str(&format!(": {}", trouble.message));
        }
        text.push('\n');
        if text.len() > MOST_BODY_BYTES {
            text.push_str("…\n");
            break;
        }
    }
    text
}

/// Sends a ping, with one retry; returns the reason of a failure.
///
/// A separate thread does the network calls: a name lookup has no time limit of its
/// own, and this function returns at `limit` in any case.
pub fn send(
    http: &Http,
    url: &Url,
    body: String,
    limit: Duration,
    stop: &StopFlag,
) -> Result<(), String> {
    let request = Request::new(Method::Post, url.clone())
        .body("text/plain; charset=utf-8", body.into_bytes());
    let http = http.clone();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let answer = try_once(&http, &request).or_else(|_| try_once(&http, &request));
        // The receiver is gone once the limit has passed.
        let _ = sender.send(answer);
    });
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let began = Stopwatch::start();
    while began.elapsed() < limit && !stop.is_raised() {
        let left = limit.saturating_sub(began.elapsed());
        match receiver.recv_timeout(left.min(LOOK_EVERY)) {
            Ok(answer) => return answer,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if stop.is_raised() {
        return Err("no answer before hfdl was asked to end".to_owned());
    }
    Err(format!("no answer within {} s", limit.as_secs()))
}

fn try_once(http: &Http, request: &Request) -> Result<(), String> {
    match http.send(request) {
        Ok(answer) => {
            let status = answer.status;
            let is_success = answer.is_success();
            answer.discard();
            if is_success {
                Ok(())
            } else {
                Err(format!("the answer is HTTP {status}"))
            }
        }
        Err(err) => Err(err.reason().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::http::HttpSettings;

    fn run() -> RunId {
        "018bcfe5-6800-7fff-bfff-ffffffffffff".parse().unwrap()
    }

    #[test]
    fn addresses_follow_the_convention() {
        let rid = "rid=018bcfe5-6800-7fff-bfff-ffffffffffff";
        for (base, signal, expected) in [
            ("https://p/u", Signal::Start, "https://p/u/start?"),
            ("https://p/u/", Signal::Success, "https://p/u?"),
            ("https://p/u", Signal::Code(4), "https://p/u/4?"),
            ("https://p/u", Signal::Fail, "https://p/u/fail?"),
            (
                "https://p/k/slug?create=1",
                Signal::Start,
                "https://p/k/slug/start?create=1&",
            ),
        ] {
            let url = address(base, signal, &run()).unwrap();
            assert_eq!(url.as_str(), format!("{expected}{rid}"));
            assert_eq!(url.to_string(), "https://p/***");
        }
    }

    #[test]
    fn only_an_end_that_needs_a_person_is_a_failure() {
        for status in ExitStatus::ALL {
            let expected = match status.code() {
                0 | 8 | 10 => Signal::Success,
                code => Signal::Code(code),
            };
            assert_eq!(signal_of(status), expected);
        }
    }

    #[test]
    fn a_silent_service_delays_a_ping_only_up_to_the_limit() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let base = format!("http://{}/geheim", listener.local_addr().unwrap());
        let url = address(&base, Signal::Success, &run()).unwrap();
        let http = Http::new(&HttpSettings::default()).unwrap();
        let why = send(
            &http,
            &url,
            String::new(),
            Duration::from_millis(50),
            &StopFlag::new(),
        )
        .unwrap_err();
        assert!(why.contains("no answer"), "{why}");
    }
}
