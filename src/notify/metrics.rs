//! Metrics: a text file for Prometheus, in the format of its node exporter.
//!
//! Values have base units. Times are instants, not ages, because only the reader knows
//! the current time. Counters outlive the process, because the database keeps them. An
//! unknown value is left out: a zero would be wrong.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::domain::hold::HoldReason;
use crate::domain::outcome::{ExitStatus, Outcome};
use crate::domain::scrub::Scrub;
use crate::domain::time::Timestamp;

/// The facts about one model.
#[derive(Clone, Debug, Default)]
pub struct ModelMetrics {
    pub name: String,
    pub added_at: Timestamp,
    pub last_check_at: Option<Timestamp>,
    pub last_change_at: Option<Timestamp>,
    pub last_outcome: Option<Outcome>,
    pub n_failures: u32,
    pub bytes_ever_fetched: u64,
    /// Bytes that the last session left to fetch.
    pub bytes_left: Option<u64>,
    pub size_bytes: Option<u64>,
    pub oldest_verified_at: Option<Timestamp>,
    pub last_verify_at: Option<Timestamp>,
    pub is_damaged: bool,
    /// The reasons for which an update waits.
    pub held_for: Vec<HoldReason>,
}

/// The last run that had work.
#[derive(Clone, Copy, Debug)]
pub struct LastRun {
    pub started_at: Timestamp,
    pub duration_seconds: i64,
    pub exit_code: u8,
}

impl LastRun {
    /// Describes a tick that ended before it had a run.
    pub fn without_run(at: Timestamp, status: ExitStatus) -> Self {
        Self {
            started_at: at,
            duration_seconds: 0,
            exit_code: status.code(),
        }
    }
}

/// An allowance of bytes for a day or a month.
#[derive(Clone, Debug, Default)]
pub struct AllowanceMetrics {
    /// `home`, `schedule` or `tag`, and the name of the latter.
    pub scope: &'static str,
    pub name: String,
    pub period: &'static str,
    pub limit_bytes: u64,
    pub spent_bytes: u64,
    pub renews_at: Timestamp,
}

/// The content of the file.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub version: String,
    /// When `run-due` was started last, even if nothing was due.
    pub last_tick_at: Option<Timestamp>,
    pub last_run: Option<LastRun>,
    /// Enabled schedules that include no model.
    pub n_empty_schedules: Option<u64>,
    /// The number of skipped runs by reason.
    pub n_skipped: Vec<(&'static str, u64)>,
    pub models: Vec<ModelMetrics>,
    /// Endpoint, bucket, and the number of requests left in it.
    pub rate_limits: Vec<(String, String, u64)>,
    /// The name of a login, and the time of its end.
    pub logins: Vec<(String, Timestamp)>,
    pub allowances: Vec<AllowanceMetrics>,
    /// A path and the free bytes there.
    pub free: Vec<(String, u64)>,
    /// The last scrub; `None` before the first one, or if scrubs are off.
    pub scrub: Option<Scrub>,
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

/// All families in the order of the file: name, kind and help. The manual has the same list.
#[rustfmt::skip]
pub const FAMILIES: &[(&str, &str, &str)] = &[
    ("hfdl_build_info", GAUGE, "Constant 1, with the version that wrote this file."),
    ("hfdl_last_tick_timestamp_seconds", GAUGE, "When hfdl run-due was started last, even if nothing was due."),
    ("hfdl_run_last_start_timestamp_seconds", GAUGE, "When the last run with work began."),
    ("hfdl_run_last_duration_seconds", GAUGE, "How long the last run with work took."),
    ("hfdl_run_last_exit_code", GAUGE, "Exit code of the last run with work, or of a tick that failed before its run; 0 is ok."),
    ("hfdl_schedules_without_models", GAUGE, "Enabled schedules that include no model."),
    ("hfdl_runs_skipped_total", COUNTER, "Runs that did nothing because another one held the lock, or ticks were paused."),
    ("hfdl_model_added_timestamp_seconds", GAUGE, "When the model was registered: the age of one that was never checked."),
    ("hfdl_model_last_check_success_timestamp_seconds", GAUGE, "When the Hub last reported the current commit."),
    ("hfdl_model_last_update_timestamp_seconds", GAUGE, "When a revision was last published."),
    ("hfdl_model_outcome", GAUGE, "How the last check ended: 1 for its outcome, 0 for the others."),
    ("hfdl_model_consecutive_failures", GAUGE, "Failed sessions in a row."),
    ("hfdl_model_fetched_bytes_total", COUNTER, "Bytes fetched for the model so far."),
    ("hfdl_model_pending_bytes", GAUGE, "Bytes that the last session left to fetch."),
    ("hfdl_model_size_bytes", GAUGE, "Size of the selected files."),
    ("hfdl_model_oldest_verified_timestamp_seconds", GAUGE, "When the least recently verified file was verified."),
    ("hfdl_model_last_verify_timestamp_seconds", GAUGE, "When the model was last verified as a whole or in part."),
    ("hfdl_model_damaged", GAUGE, "1 when a verification found damage that is not repaired yet."),
    ("hfdl_model_update_held", GAUGE, "1 for each reason for which an update of the model waits for a decision."),
    ("hfdl_ratelimit_remaining", GAUGE, "Requests that the Hub still allows in the current window."),
    ("hfdl_token_expires_timestamp_seconds", GAUGE, "When the login of a token in use ends."),
    ("hfdl_scrub_last_end_timestamp_seconds", GAUGE, "When published files were last read again."),
    ("hfdl_scrub_oldest_verified_timestamp_seconds", GAUGE, "The oldest verification of all published files; missing while a file has none."),
    ("hfdl_scrub_bytes", GAUGE, "Size of all published files and kept revisions."),
    ("hfdl_scrub_behind_bytes", GAUGE, "Bytes of files that were not verified within verify.every."),
    ("hfdl_scrub_models_unlisted", GAUGE, "Models whose files could not be listed."),
    ("hfdl_allowance_limit_bytes", GAUGE, "Bytes that all runs of a day or month may fetch."),
    ("hfdl_allowance_spent_bytes", GAUGE, "Bytes of the allowance that are spent in the present day or month."),
    ("hfdl_allowance_renews_timestamp_seconds", GAUGE, "When the allowance begins anew."),
    ("hfdl_disk_free_bytes", GAUGE, "Bytes that are free for this user where models lie."),
];

/// Renders the file.
pub fn render(facts: &Facts) -> String {
    let mut text = String::new();
    write_runs(&mut text, facts);
    write_models(&mut text, &facts.models);
    let limits = facts.rate_limits.iter();
    let limits = limits.map(|(endpoint, bucket, n)| {
        let labels = vec![("endpoint", endpoint.clone()), ("bucket", bucket.clone())];
        (labels, whole(*n))
    });
    write_family(&mut text, "hfdl_ratelimit_remaining", limits.collect());
    let logins = facts.logins.iter();
    write_family(
        &mut text,
        "hfdl_token_expires_timestamp_seconds",
        logins
            .map(|(name, at)| (vec![("token", name.clone())], at.as_second()))
            .collect(),
    );
    write_scrub(&mut text, facts.scrub.as_ref());
    write_allowances(&mut text, &facts.allowances);
    let free = facts.free.iter();
    write_family(
        &mut text,
        "hfdl_disk_free_bytes",
        free.map(|(path, n)| (vec![("path", path.clone())], whole(*n)))
            .collect(),
    );
    text
}

fn write_scrub(text: &mut String, scrub: Option<&Scrub>) {
    let Some(scrub) = scrub else { return };
    let seconds = |at: Timestamp| at.as_second();
    let values = [
        (
            "hfdl_scrub_last_end_timestamp_seconds",
            Some(seconds(scrub.ended_at)),
        ),
        (
            "hfdl_scrub_oldest_verified_timestamp_seconds",
            scrub.oldest_at.map(seconds),
        ),
        ("hfdl_scrub_bytes", Some(whole(scrub.n_bytes))),
        ("hfdl_scrub_behind_bytes", Some(whole(scrub.bytes_behind))),
        ("hfdl_scrub_models_unlisted", Some(whole(scrub.n_unlisted))),
    ];
    for (name, value) in values {
        let samples = value.map(|value| (Vec::new(), value)).into_iter().collect();
        write_family(text, name, samples);
    }
}

fn write_allowances(text: &mut String, allowances: &[AllowanceMetrics]) {
    type Value = fn(&AllowanceMetrics) -> i64;
    let families: [(&str, Value); 3] = [
        ("hfdl_allowance_limit_bytes", |one| whole(one.limit_bytes)),
        ("hfdl_allowance_spent_bytes", |one| whole(one.spent_bytes)),
        ("hfdl_allowance_renews_timestamp_seconds", |one| {
            one.renews_at.as_second()
        }),
    ];
    for (name, value) in families {
        let sample = |one: &AllowanceMetrics| {
            let labels = vec![
                ("scope", one.scope.to_owned()),
                ("name", one.name.clone()),
                ("period", one.period.to_owned()),
            ];
            (labels, value(one))
        };
        let samples = allowances.iter().map(sample).collect();
        write_family(text, name, samples);
    }
}

fn write_runs(text: &mut String, facts: &Facts) {
    let mut family = |name, samples| write_family(text, name, samples);
    let once = |value: Option<i64>| value.map(|value| (Vec::new(), value)).into_iter().collect();
    let run = facts.last_run;
    family(
        "hfdl_build_info",
        vec![(vec![("version", facts.version.clone())], 1)],
    );
    family(
        "hfdl_last_tick_timestamp_seconds",
        once(facts.last_tick_at.map(Timestamp::as_second)),
    );
    family(
        "hfdl_run_last_start_timestamp_seconds",
        once(run.map(|run| run.started_at.as_second())),
    );
    family(
        "hfdl_run_last_duration_seconds",
        once(run.map(|run| run.duration_seconds)),
    );
    family(
        "hfdl_run_last_exit_code",
        once(run.map(|run| run.exit_code.into())),
    );
    family(
        "hfdl_schedules_without_models",
        once(facts.n_empty_schedules.map(whole)),
    );
    let skipped = facts.n_skipped.iter();
    family(
        "hfdl_runs_skipped_total",
        skipped
            .map(|(reason, n)| (vec![("reason", (*reason).to_owned())], whole(*n)))
            .collect(),
    );
}

type ModelFamily = (&'static str, fn(&ModelMetrics) -> Option<i64>);

/// Families with one value for each model, before `hfdl_model_outcome` in the file.
const CHECK_FAMILIES: [ModelFamily; 3] = [
    ("hfdl_model_added_timestamp_seconds", |model| {
        Some(model.added_at.as_second())
    }),
    ("hfdl_model_last_check_success_timestamp_seconds", |model| {
        model.last_check_at.map(Timestamp::as_second)
    }),
    ("hfdl_model_last_update_timestamp_seconds", |model| {
        model.last_change_at.map(Timestamp::as_second)
    }),
];

/// As `CHECK_FAMILIES`, behind `hfdl_model_outcome`.
const STATE_FAMILIES: [ModelFamily; 7] = [
    ("hfdl_model_consecutive_failures", |model| {
        Some(model.n_failures.into())
    }),
    ("hfdl_model_fetched_bytes_total", |model| {
        Some(whole(model.bytes_ever_fetched))
    }),
    ("hfdl_model_pending_bytes", |model| {
        model.bytes_left.map(whole)
    }),
    ("hfdl_model_size_bytes", |model| model.size_bytes.map(whole)),
    ("hfdl_model_oldest_verified_timestamp_seconds", |model| {
        model.oldest_verified_at.map(Timestamp::as_second)
    }),
    ("hfdl_model_last_verify_timestamp_seconds", |model| {
        model.last_verify_at.map(Timestamp::as_second)
    }),
    ("hfdl_model_damaged", |model| Some(model.is_damaged.into())),
];

fn write_models(text: &mut String, models: &[ModelMetrics]) {
    write_model_families(text, models, &CHECK_FAMILIES);
    write_family(text, "hfdl_model_outcome", outcomes(models));
    write_model_families(text, models, &STATE_FAMILIES);
    write_family(text, "hfdl_model_update_held", held_updates(models));
}

fn write_model_families(text: &mut String, models: &[ModelMetrics], families: &[ModelFamily]) {
    for (name, value) in families {
        let sample =
            |model: &ModelMetrics| Some((vec![("model", model.name.clone())], value(model)?));
        let samples = models.iter().filter_map(sample).collect();
        write_family(text, name, samples);
    }
}

/// Values with their labels.
type Samples = Vec<(Vec<(&'static str, String)>, i64)>;

fn held_updates(models: &[ModelMetrics]) -> Samples {
    let held = models.iter().flat_map(|model| {
        let reasons: BTreeSet<HoldReason> = model.held_for.iter().copied().collect();
        reasons.into_iter().map(|reason| {
            let labels = vec![
                ("model", model.name.clone()),
                ("reason", reason.to_string()),
            ];
            (labels, 1)
        })
    });
    held.collect()
}

fn outcomes(models: &[ModelMetrics]) -> Samples {
    let known = models.iter().filter(|model| model.last_outcome.is_some());
    let states = known.flat_map(|model| {
        Outcome::ALL.iter().map(|outcome| {
            let labels = vec![
                ("model", model.name.clone()),
                ("outcome", outcome.to_string()),
            ];
            (labels, i64::from(model.last_outcome == Some(*outcome)))
        })
    });
    states.collect()
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Writes a family of the table; without samples nothing.
fn write_family(text: &mut String, name: &str, samples: Samples) {
    let family = FAMILIES.iter().find(|(other, ..)| *other == name);
    let Some((_, kind, help)) = family.filter(|_| !samples.is_empty()) else {
        return;
    };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::Seconds;
    use proptest::prelude::*;

    #[test]
    fn unknown_values_are_left_out() {
        let text = render(&Facts {
            version: "1.2.3".to_owned(),
            ..Facts::default()
        });
        assert_eq!(
            text,
            "# HELP hfdl_build_info Constant 1, with the version that wrote this file.\n\
             # TYPE hfdl_build_info gauge\n\
             hfdl_build_info{version=\"1.2.3\"} 1\n"
        );
        let text = render(&Facts {
            models: vec![ModelMetrics {
                name: "m".to_owned(),
                ..ModelMetrics::default()
            }],
            ..Facts::default()
        });
        assert!(text.contains("hfdl_model_fetched_bytes_total{model=\"m\"} 0\n"));
        for unknown in ["pending", "size", "outcome", "check_success", "verified"] {
            assert!(!text.contains(unknown), "{unknown}\n{text}");
        }
    }

    #[test]
    fn every_family_is_written_in_the_order_of_the_table() {
        let now = Timestamp::UNIX_EPOCH;
        let text = render(&Facts {
            version: "1.2.3".to_owned(),
            last_tick_at: Some(now),
            n_empty_schedules: Some(0),
            last_run: Some(LastRun::without_run(now, ExitStatus::Ok)),
            n_skipped: vec![("paused", 1)],
            models: vec![ModelMetrics {
                last_check_at: Some(now),
                last_change_at: Some(now),
                last_outcome: Some(Outcome::Updated),
                bytes_left: Some(0),
                size_bytes: Some(1),
                oldest_verified_at: Some(now),
                last_verify_at: Some(now),
                held_for: vec![HoldReason::Approval],
                ..ModelMetrics::default()
            }],
            rate_limits: vec![("hub".to_owned(), "api".to_owned(), 1)],
            logins: vec![("own".to_owned(), now)],
            allowances: vec![AllowanceMetrics::default()],
            free: vec![("/".to_owned(), 1)],
            scrub: Some(Scrub {
                oldest_at: Some(now),
                ..Scrub::new(&[], 0, 0, Seconds(1), now)
            }),
        });
        let heads = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
        let heads: Vec<&str> = heads.collect();
        let table: Vec<String> = FAMILIES
            .iter()
            .map(|(name, _, help)| format!("{name} {help}"))
            .collect();
        assert_eq!(heads, table);
    }

    proptest! {
        #[test]
        fn any_label_stays_within_its_quotes(value in "\\PC{0,9}|[\\\\\"\n]{0,6}") {
            let escaped = escape(&value);
            prop_assert!(!escaped.contains('\n'));
            let mut chars = escaped.chars();
            let mut back = String::new();
            while let Some(c) = chars.next() {
                prop_assert_ne!(c, '"');
                back.push(match c {
                    '\\' => match chars.next() {
                        Some('n') => '\n',
                        Some(c @ ('\\' | '"')) => c,
                        other => panic!("{other:?}"),
                    },
                    c => c,
                });
            }
            prop_assert_eq!(back, value);
        }
    }
}
