//! Rate limits and warnings in response headers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::retry::{LONGEST_RETRY_AFTER, RATE_LIMIT_WINDOW, RETRY_AFTER};
use crate::domain::units::Seconds;
use crate::sys::http::{Headers, Response};
use crate::sys::pause::Stopwatch;

/// The state of one of the Hub's rate limit counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitCounter {
    /// `api`, `resolvers` or `pages`; `retry-after` if the Hub asked to wait
    /// without naming a counter.
    pub bucket: String,
    pub remaining: u64,
    /// The time until the counter is reset.
    pub resets_in: Duration,
    /// Requests per window, where the Hub tells.
    pub quota: Option<u64>,
    pub window: Option<Duration>,
}

/// A warning from the Hub, to be shown once per topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubWarning {
    pub topic: String,
    pub message: String,
}

/// The latest state of each counter.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    hub: BTreeMap<String, (RateLimitCounter, Stopwatch)>,
    /// The longest wait that a storage host has asked for.
    storage: Option<(Duration, Stopwatch)>,
}

impl RateLimits {
    /// Records the limits in a response of the Hub.
    pub fn note(&mut self, answer: &Response) {
        let counter = parse_rate_limit(&answer.headers);
        // `retry-after` is reserved for waits without a counter.
        let counter = counter.filter(|limit| limit.bucket != RETRY_AFTER);
        let wait = asked_to_wait(answer).map(|resets_in| RateLimitCounter {
            bucket: RETRY_AFTER.to_owned(),
            remaining: 0,
            resets_in,
            quota: None,
            window: None,
        });
        for limit in counter.into_iter().chain(wait) {
            self.keep(limit, answer.received);
        }
    }

    /// Records the wait that a storage host asks for.
    pub fn note_storage(&mut self, answer: &Response) {
        if let Some(wait) = asked_to_wait(answer)
            && wait > left(self.storage).unwrap_or_default()
        {
            self.storage = Some((wait, answer.received));
        }
    }

    /// Returns the counters whose window has not ended.
    pub fn current(&self) -> Vec<RateLimitCounter> {
        self.hub
            .values()
            .filter_map(|(limit, since)| {
                let resets_in = left(Some((limit.resets_in, *since)))?;
                Some(RateLimitCounter {
                    resets_in,
                    ..limit.clone()
                })
            })
            .collect()
    }

    /// Returns the longest wait that any server has asked for.
    pub fn wait(&self) -> Option<Duration> {
        let counters = self.current().into_iter();
        let exhausted = counters.filter(|limit| limit.remaining == 0);
        let waits = exhausted.map(|limit| limit.resets_in);
        waits.chain(left(self.storage)).max()
    }

    fn keep(&mut self, limit: RateLimitCounter, received: Stopwatch) {
        // The Hub has three counters; a hostile server must not fill the memory
        // with more.
        const MAX_BUCKETS: usize = 16;
        if self.hub.len() < MAX_BUCKETS || self.hub.contains_key(&limit.bucket) {
            self.hub.insert(limit.bucket.clone(), (limit, received));
        }
    }
}

fn left(wait: Option<(Duration, Stopwatch)>) -> Option<Duration> {
    wait.and_then(|(wait, since)| wait.checked_sub(since.elapsed()))
}

/// Returns the `Retry-After` of a response that concerns the client and not one
/// resource: too many requests, or an outage.
fn asked_to_wait(answer: &Response) -> Option<Duration> {
    let is_refusal = matches!(answer.status, 429 | 503);
    retry_after(&answer.headers).filter(|wait| is_refusal && !wait.is_zero())
}

/// Parses `RateLimitCounter: "api";r=487;t=212` and, for quota and window,
/// `RateLimitCounter-Policy: "fixed window";"api";q=500;w=300`. A window lasts five
/// minutes, so longer times are cut to that and a margin.
pub(super) fn parse_rate_limit(headers: &Headers) -> Option<RateLimitCounter> {
    let state = headers.get("ratelimit")?;
    let bucket = quoted(state)?;
    let policy = headers
        .get("ratelimit-policy")
        .filter(|policy| policy.contains(&format!("\"{bucket}\"")))
        .unwrap_or("");
    Some(RateLimitCounter {
        remaining: parameter(state, "r")?,
        resets_in: at_most(parameter(state, "t")?, RATE_LIMIT_WINDOW),
        quota: parameter(policy, "q"),
        window: parameter(policy, "w").map(Duration::from_secs),
        bucket,
    })
}

/// Returns how long a refused request has to wait, if the server tells.
///
/// `RateLimitCounter` counts only with nothing remaining: its `t` is then the end of the
/// exhausted window; otherwise another counter caused the refusal.
pub(super) fn retry_hint(headers: &Headers) -> Option<Duration> {
    let limit = parse_rate_limit(headers).filter(|limit| limit.remaining == 0);
    limit.map(|limit| limit.resets_in).max(retry_after(headers))
}

/// Parses `Retry-After`: seconds, or a date, which is compared with the response's
/// own `Date` so that a wrong local clock does not matter. Waits are limited to one
/// day.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let value = headers.get("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(at_most(seconds, LONGEST_RETRY_AFTER));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(headers.get("date")?).ok()?;
    let wait = at.duration_since(now).unwrap_or_default();
    Some(at_most(wait.as_secs(), LONGEST_RETRY_AFTER))
}

fn at_most(seconds: u64, longest: Seconds) -> Duration {
    Duration::from_secs(seconds.min(longest.get()))
}

/// Parses `X-HF-HubWarning: topic; message`.
pub(super) fn parse_warning(headers: &Headers) -> Option<HubWarning> {
    let text = headers.get("x-hf-warning")?;
    let (topic, message) = text.split_once(';').unwrap_or(("", text));
    let message = super::text::clean(message);
    (!message.is_empty()).then(|| HubWarning {
        topic: super::text::clean(topic),
        message,
    })
}

fn quoted(text: &str) -> Option<String> {
    let name = text.split('"').nth(1)?;
    let is_sane =
        !name.is_empty() && name.len() <= 40 && name.bytes().all(|b| b.is_ascii_graphic());
    is_sane.then(|| name.to_owned())
}

fn parameter(text: &str, name: &str) -> Option<u64> {
    text.split([';', ','])
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers::of(pairs)
    }

    #[test]
    fn the_documented_rate_limit_header_is_parsed() {
        let limit = parse_rate_limit(&headers(&[
            ("ratelimit", "\"resolvers\";r=2998;t=172"),
            (
                "ratelimit-policy",
                "\"fixed window\";\"resolvers\";q=3000;w=300",
            ),
        ]));
        assert_eq!(
            limit,
            Some(RateLimitCounter {
                bucket: "resolvers".into(),
                remaining: 2998,
                resets_in: Duration::from_secs(172),
                quota: Some(3000),
                window: Some(Duration::from_secs(300)),
            })
        );
        for bad in [
            "",
            "api;r=1;t=1",
            "\"api\"",
            "\"api\";r=x;t=1",
            "\"\";r=1;t=1",
            "\"a b\";r=1;t=1",
        ] {
            assert_eq!(
                parse_rate_limit(&headers(&[("ratelimit", bad)])),
                None,
                "{bad}"
            );
        }
    }

    #[test]
    fn an_exhausted_window_overrides_retry_after() {
        let exhausted = ("ratelimit", "\"api\";r=0;t=9");
        let plenty = ("ratelimit", "\"api\";r=5;t=9");
        let after = ("retry-after", "3");
        for (pairs, seconds) in [
            (vec![exhausted, after], Some(9)),
            (vec![plenty, after], Some(3)),
            (vec![after], Some(3)),
            (vec![plenty], None),
            (vec![], None),
            (vec![("retry-after", "-1")], None),
            (vec![exhausted, ("retry-after", "600")], Some(600)),
            // The wait is limited to a window, or to a day.
            (vec![("ratelimit", "\"api\";r=0;t=3000000000")], Some(330)),
            (vec![("retry-after", "9999999")], Some(86_400)),
            (
                vec![("retry-after", "99999999999999999999999")],
                Some(86_400),
            ),
        ] {
            assert_eq!(
                retry_hint(&headers(&pairs)),
                seconds.map(Duration::from_secs)
            );
        }
    }

    #[test]
    fn a_date_is_compared_with_the_servers_clock() {
        let pairs = [
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ];
        assert_eq!(retry_hint(&headers(&pairs)), Some(Duration::from_secs(60)));
        assert_eq!(retry_hint(&headers(&pairs[1..])), None);
    }

    #[test]
    fn a_warning_has_a_topic_and_a_clean_text() {
        let warning = parse_warning(&headers(&[(
            "x-hf-warning",
            "deprecation; old\u{7} client",
        )]));
        assert_eq!(
            warning,
            Some(HubWarning {
                topic: "deprecation".into(),
                message: "old client".into(),
            })
        );
        assert_eq!(parse_warning(&headers(&[("x-hf-warning", "x;")])), None);
    }
}
