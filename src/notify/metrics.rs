//! Metrics: a text file for Prometheus, as its node exporter picks it up.
//!
//! Values have base units. Times are instants, not ages, because only the reader knows
//! the present time. Counts survive the process, because the database keeps them. An
//! unknown value is left out: a zero would be wrong.

use std::fmt::Write as _;

use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;

/// The facts of a model.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    pub name: String,
    pub added_at: Timestamp,
    pub last_check_at: Option<Timestamp>,
    pub last_change_at: Option<Timestamp>,
    pub last_outcome: Option<Outcome>,
    pub n_failures: u32,
    pub bytes_ever_fetched: u64,
    /// The bytes that the last session left to fetch.
    pub bytes_left: Option<u64>,
    pub size_bytes: Option<u64>,
    pub oldest_verified_at: Option<Timestamp>,
    pub last_verify_at: Option<Timestamp>,
    pub is_damaged: bool,
}

/// The last run that did something.
#[derive(Clone, Copy, Debug)]
pub struct LastRun {
    pub started_at: Timestamp,
    pub duration_seconds: i64,
    pub exit_code: u8,
}

/// Everything that the file tells.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub version: String,
    /// When `run-due` was started last, even if nothing was due.
    pub last_tick_at: Option<Timestamp>,
    pub last_run: Option<LastRun>,
    /// The number of skipped runs by reason.
    pub n_skipped: Vec<(&'static str, u64)>,
    pub models: Vec<ModelFacts>,
    /// Endpoint, bucket, and how many requests it still allows.
    pub rate_limits: Vec<(String, String, u64)>,
    /// A path, and the bytes that are free there.
    pub free: Vec<(String, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

/// Renders the file.
pub fn render(facts: &Facts) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: Kind, help: &str, samples: Samples| {
        write_family(&mut text, name, kind, help, &samples);
    };
    let seconds = |at: Timestamp| at.as_second();
    let run = facts.last_run;
    let once =
        |value: Option<i64>| Samples(value.map(|value| (Vec::new(), value)).into_iter().collect());

    let version = vec![("version", facts.version.clone())];
    family(
        "hfdl_build_info",
        Kind::Gauge,
        "Constant 1, with the version that wrote this file.",
        Samples(vec![(version, 1)]),
    );
    family(
        "hfdl_last_tick_timestamp_seconds",
        Kind::Gauge,
        "When hfdl run-due was started last, even if nothing was due.",
        once(facts.last_tick_at.map(seconds)),
    );
    family(
        "hfdl_run_last_start_timestamp_seconds",
        Kind::Gauge,
        "When the last run with work began.",
        once(run.map(|run| seconds(run.started_at))),
    );
    family(
        "hfdl_run_last_duration_seconds",
        Kind::Gauge,
        "How long the last run with work took.",
        once(run.map(|run| run.duration_seconds)),
    );
    family(
        "hfdl_run_last_exit_code",
        Kind::Gauge,
        "Exit code of the last run with work, or of a tick that failed before its run; 0 is ok.",
        once(run.map(|run| run.exit_code.into())),
    );
    let skipped = facts.n_skipped.iter();
    family(
        "hfdl_runs_skipped_total",
        Kind::Counter,
        "Runs that did nothing because another one held the lock, or ticks were paused.",
        Samples(
            skipped
                .map(|(reason, n)| (vec![("reason", (*reason).to_owned())], whole(*n)))
                .collect(),
        ),
    );
    let each =
        |value: &dyn Fn(&ModelFacts) -> Option<i64>| Samples::of_models(&facts.models, value);
    family(
        "hfdl_model_added_timestamp_seconds",
        Kind::Gauge,
        "When the model was registered: the age of one that was never checked.",
        each(&|model| Some(seconds(model.added_at))),
    );
    family(
        "hfdl_model_last_check_success_timestamp_seconds",
        Kind::Gauge,
        "When the Hub last answered what is current.",
        each(&|model| model.last_check_at.map(seconds)),
    );
    family(
        "hfdl_model_last_update_timestamp_seconds",
        Kind::Gauge,
        "When a revision was last published.",
        each(&|model| model.last_change_at.map(seconds)),
    );
    family(
        "hfdl_model_outcome",
        Kind::Gauge,
        "How the last check ended: 1 for its outcome, 0 for the others.",
        outcomes(&facts.models),
    );
    family(
        "hfdl_model_consecutive_failures",
        Kind::Gauge,
        "Failed sessions in a row.",
        each(&|model| Some(model.n_failures.into())),
    );
    family(
        "hfdl_model_fetched_bytes_total",
        Kind::Counter,
        "Bytes fetched for the model so far.",
        each(&|model| Some(whole(model.bytes_ever_fetched))),
    );
    family(
        "hfdl_model_pending_bytes",
        Kind::Gauge,
        "Bytes that the last session left to fetch.",
        each(&|model| model.bytes_left.map(whole)),
    );
    family(
        "hfdl_model_size_bytes",
        Kind::Gauge,
        "Size of the selected files.",
        each(&|model| model.size_bytes.map(whole)),
    );
    family(
        "hfdl_model_oldest_verified_timestamp_seconds",
        Kind::Gauge,
        "When the file was verified whose last verification is longest ago.",
        each(&|model| model.oldest_verified_at.map(seconds)),
    );
    family(
        "hfdl_model_last_verify_timestamp_seconds",
        Kind::Gauge,
        "When the model was last verified as a whole or in part.",
        each(&|model| model.last_verify_at.map(seconds)),
    );
    family(
        "hfdl_model_damaged",
        Kind::Gauge,
        "1 when a verification found damage that is not repaired yet.",
        each(&|model| Some(model.is_damaged.into())),
    );
    let limits = facts.rate_limits.iter();
    family(
        "hfdl_ratelimit_remaining",
        Kind::Gauge,
        "Requests that the Hub still allows in the current window.",
        Samples(
            limits
                .map(|(endpoint, bucket, n)| {
                    let labels = vec![("endpoint", endpoint.clone()), ("bucket", bucket.clone())];
                    (labels, whole(*n))
                })
                .collect(),
        ),
    );
    let free = facts.free.iter();
    family(
        "hfdl_disk_free_bytes",
        Kind::Gauge,
        "Bytes that are free for this user where models lie.",
        Samples(
            free.map(|(path, n)| (vec![("path", path.clone())], whole(*n)))
                .collect(),
        ),
    );
    text
}

/// Values under their labels.
struct Samples(Vec<(Vec<(&'static str, String)>, i64)>);

impl Samples {
    fn of_models(models: &[ModelFacts], value: &dyn Fn(&ModelFacts) -> Option<i64>) -> Self {
        let sample =
            |model: &ModelFacts| Some((vec![("model", model.name.clone())], value(model)?));
        Self(models.iter().filter_map(sample).collect())
    }
}

fn outcomes(models: &[ModelFacts]) -> Samples {
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
    Samples(states.collect())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn write_family(text: &mut String, name: &str, kind: Kind, help: &str, samples: &Samples) {
    if samples.0.is_empty() {
        return;
    }
    let kind = match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in &samples.0 {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
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
    use proptest::prelude::*;

    #[test]
    fn what_is_not_known_is_left_out() {
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
            models: vec![ModelFacts {
                name: "m".to_owned(),
                ..ModelFacts::default()
            }],
            ..Facts::default()
        });
        assert!(text.contains("hfdl_model_fetched_bytes_total{model=\"m\"} 0\n"));
        for unknown in ["pending", "size", "outcome", "check_success", "verified"] {
            assert!(!text.contains(unknown), "{unknown}\n{text}");
        }
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
