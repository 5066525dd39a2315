//! The documents that programs read: every one names its schema, and every schema
//! has a document.
//!
//! `TestEnv` holds every document that a test sees against its schema, in which every
//! field must be described. Here each command has its turn.

use std::collections::{BTreeMap, BTreeSet};

use hfdl::domain::field::Entity;
use hfdl::domain::model::ModelSpec;
use hfdl::domain::outcome::ExitStatus;
use hfdl::domain::schedule::ScheduleSpec;
use hfdl::domain::tag::TagSpec;
use hfdl::json::{schema, schema_names};
use hfdl::sys::lock::FileLock;
use serde_json::{Value, json};

use super::cli_pictures::all_commands;
use super::contract::exists;
use crate::support::env::TestEnv;
use crate::support::schema::complaints;

/// A command line, the schema of its document, and parts that the document must have.
type Document = (&'static str, &'static str, &'static [&'static str]);

/// Every command, in an order in which each finds what it needs. `{run}` stands for the
/// id of the first run.
#[rustfmt::skip]
const DOCUMENTS: &[Document] = &[
    ("models add acme/tiny", "model", &["/check"]),
    ("models list", "models", &["/models/0"]),
    ("models set acme/tiny --view dir=shown", "model", &[]),
    ("tags set llm --delay 7d", "tag", &[]),
    ("tags show llm", "tag", &[]),
    ("tags list", "tags", &["/tags/0"]),
    ("tags unset llm", "change", &[]),
    ("views list", "views", &["/views/0"]),
    ("schedules add n --daily 02:30 --all", "schedule", &[]),
    ("download acme/tiny --dry-run", "plan", &["/models/0", "/models/0/files", "/models/0/bytes", "/models/0/fetch/0"]),
    ("run-due --dry-run --at 2026-03-02T02:40:00Z", "due", &["/schedules/0", "/models/0", "/models/0/bytes"]),
    ("run-due --trigger ci", "run", &[]),
    ("download acme/tiny", "run", &["/sessions/0", "/sessions/0/files", "/sessions/0/bytes"]),
    ("models show acme/tiny", "model", &["/sessions/0"]),
    ("models path acme/tiny", "published", &["/models/0"]),
    ("models outdated", "outdated", &["/models/0"]),
    ("verify acme/tiny", "verify", &["/views/0", "/models/0", "/models/0/files", "/models/0/xet", "/models/0/bytes"]),
    ("adopt --match", "adopt", &["/files", "/bytes", "/models/0", "/models/0/files"]),
    ("adopt old", "adopt", &["/skipped/0"]),
    ("adopt --list", "adopted", &["/files/0"]),
    ("adopt --forget old", "change", &[]),
    ("doctor", "doctor", &["/checks/0"]),
    ("sessions list", "sessions", &["/sessions/0", "/sessions/0/reused_from/0"]),
    ("sessions show 1", "session", &["/changes", "/file_list/0"]),
    ("report", "report", &["/totals", "/days/0", "/by_model/0", "/updates/0", "/disk/0", "/verification", "/runs", "/next_due/0"]),
    ("runs list", "runs", &["/runs/0", "/runs/0/totals"]),
    ("runs show {run}", "run", &["/sessions/0", "/totals"]),
    ("pause --for 2h --reason r", "pause", &[]),
    ("status", "status", &["/pause", "/timer", "/next_due/0", "/models/0", "/adopted", "/disks/0"]),
    ("resume", "pause", &[]),
    ("start --dry-run --backend launchd", "timer", &[]),
    ("stop --run-only", "stop", &[]),
    ("models set acme/tiny --priority 3", "model", &[]),
    ("models disable acme/tiny", "change", &[]),
    ("models enable acme/tiny", "change", &[]),
    ("prune --dry-run", "prune", &["/history"]),
    ("models release acme/tiny", "release", &[]),
    ("schedules list", "schedules", &["/schedules/0"]),
    ("schedules show n", "schedule", &[]),
    ("schedules set n --priority 3", "schedule", &[]),
    ("schedules next", "next", &["/slots/0"]),
    ("schedules disable n", "change", &[]),
    ("schedules enable n", "change", &[]),
    ("schedules remove n -y", "removal", &[]),
    ("apply -f plan.yaml", "apply", &["/changes/0"]),
    ("models add acme/tiny --name gated --to ./gated", "model", &[]),
    ("download gated -c hooks.gate=no-such-gate", "run", &[]),
    ("updates list", "updates", &["/updates/0", "/updates/0/findings/0"]),
    ("updates show gated", "update", &["/files/0"]),
    ("updates retry gated", "decisions", &["/updates/0"]),
    ("updates reject gated", "decisions", &["/updates/0"]),
    ("updates approve gated", "decisions", &["/updates/0"]),
    ("models remove acme/tiny -y", "removal", &[]),
    ("init --yes --model acme/tiny --timer none --file init.yaml", "init", &["/changes/0"]),
    ("config list", "config", &["/settings/0"]),
    ("config get disk.reserve", "setting", &[]),
    ("config set disk.reserve 1G", "setting-change", &[]),
    ("config unset disk.reserve", "setting-change", &[]),
    ("config path", "path", &[]),
    ("logs", "logs", &["/logs/0"]),
    ("schema", "schemas", &["/schemas/0"]),
];

/// Commands whose output is no document of ours, and why.
const WITHOUT_DOCUMENT: [(&str, &str); 6] = [
    ("completions", "a script for a shell"),
    ("man", "manual pages"),
    ("export", "the form that `apply` reads"),
    (
        "lock",
        "it needs a published commit: `lock_files.rs` has it",
    ),
    ("sbom", "the form of CycloneDX"),
    (
        "models rollback",
        "it needs two revisions: `rollback.rs` has them",
    ),
];

/// Schemas of documents that need more than a command line, and a test that produces one.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &str)] = &[
    ("error", "cli_json::an_error_document_has_its_fields"),
    ("export", "truth_of_output::one_thing_has_one_name_in_all_documents_beside_its_older_ones"),
    ("gate", "gate::the_gate_sees_the_whole_snapshot_before_readers_do_and_no_token"),
    ("hook", "notify::hooks_run_only_for_changes"),
    ("lock", "lock_files::the_same_commits_give_the_same_bytes_and_a_new_one_changes_its_lines"),
    ("log-line", "cli_logs::stderr_says_as_much_as_flags_and_variables_ask_for"),
    ("rollback", "rollback::a_rolled_back_model_is_held_until_it_is_released"),
];

/// Leaves a killed run with one session.
fn leave_a_session(env: &TestEnv) {
    env.set("HFDL_DISK_RESERVE", "0");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file("a", b"a").publish();
    env.set("HFDL_TEST_CRASH_AT", "sessions opened");
    assert_ne!(env.line("download acme/tiny").code(), Some(0));
    env.unset("HFDL_TEST_CRASH_AT");
}

#[test]
fn every_command_s_document_has_the_fields_of_its_schema_with_their_types() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file("a", b"a").publish();
    let plan = "version: 1\nmodels:\n  - {repo: acme/other}\n";
    std::fs::write(env.root().join("work/plan.yaml"), plan).unwrap();
    let old = env.root().join("work/old");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("large"), [7; 5000]).unwrap();
    std::fs::write(old.join("small"), "").unwrap();
    let mut run = String::new();
    for (line, schema, parts) in DOCUMENTS {
        let ran = env.line(&format!("{} --json", line.replace("{run}", &run)));
        // A first revision that is held has no folder to print.
        let code = i32::from(line.starts_with("download gated"));
        let document = ran.exits(code).json();
        assert_eq!(document["schema"], format!("hfdl.{schema}/1"), "{line}");
        let first = document.as_object().unwrap().keys().next();
        assert_eq!(first.unwrap(), "schema", "{line}");
        for pointer in *parts {
            let part = document.pointer(pointer);
            assert!(part.is_some(), "{line}: no {pointer} in {document:#}");
        }
        if let Some(id) = document["run_id"].as_str().filter(|_| run.is_empty()) {
            run = id.to_owned();
        }
    }
}

#[test]
fn every_command_is_in_the_list_of_documents() {
    let env = TestEnv::new();
    let commands = all_commands(&env);
    let is_group = |path: &String| {
        let below = format!("{path} ");
        path.is_empty() || commands.iter().any(|other| other.starts_with(&below))
    };
    for command in commands.iter().filter(|path| !is_group(path)) {
        let is_listed = DOCUMENTS
            .iter()
            .any(|(line, ..)| line.starts_with(command.as_str()));
        let is_excused = WITHOUT_DOCUMENT.iter().any(|(name, _)| name == command);
        assert!(is_listed != is_excused, "`hfdl {command}`");
    }
}

#[test]
fn every_schema_has_a_test_that_produces_its_document() {
    let mut produced: BTreeSet<&str> = DOCUMENTS.iter().map(|(_, schema, _)| *schema).collect();
    for (schema, test) in ELSEWHERE {
        exists(test);
        assert!(produced.insert(schema), "{schema} twice");
    }
    let all: BTreeSet<&str> = schema_names().collect();
    assert_eq!(produced, all);
}

#[test]
fn every_schema_is_right_by_the_schema_of_schemas() {
    let env = TestEnv::new();
    for name in schema_names() {
        let printed = env.hfdl(["schema", name]).succeeds().json();
        assert!(jsonschema::draft202012::meta::is_valid(&printed), "{name}");
        assert_eq!(Some(printed), schema(name));
    }
    let full = env.line("schema hfdl.run/1");
    assert_eq!(full.stdout(), env.line("schema run").stdout());
    env.line("schema sessoin")
        .exits(2)
        .explains("did you mean `session`?");
}

/// Times whose names have no ending of a time.
const TIMES: [&str; 6] = ["at", "since", "until", "earliest", "latest", "window_ends"];

/// Names of two scalar kinds: a number in an object of counts, a word or a flag elsewhere.
const TWO_KINDS: [&str; 2] = ["more", "repaired"];

/// Returns the kind of a scalar field; none of a list or an object.
fn scalar_kind(field: &Value, parts: &Value) -> Option<String> {
    if let Some(name) = field["$ref"].as_str() {
        return scalar_kind(&parts[name.strip_prefix("#/$defs/").unwrap()], parts);
    }
    if field["enum"].is_array() {
        return Some(
            if field["enum"][0].is_string() {
                "string"
            } else {
                "integer"
            }
            .to_owned(),
        );
    }
    let some = field["anyOf"].as_array().into_iter().flatten();
    if let Some(one) = some.clone().find(|one| one["type"] != "null") {
        return scalar_kind(one, parts);
    }
    let format = field["format"].as_str();
    let kind = (field["type"].as_str()).or_else(|| field["type"][0].as_str())?;
    let is_scalar = !["array", "object"].contains(&kind);
    is_scalar.then(|| format.unwrap_or(kind).to_owned())
}

#[test]
fn a_name_means_one_thing_and_a_time_is_named_as_one() {
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // The file of `export` has the names of flags.
    for name in schema_names().filter(|name| *name != "export") {
        let schema = schema(name).unwrap();
        let parts = &schema["$defs"];
        let objects = parts.as_object().unwrap().values().chain([&schema]);
        for (field, value) in
            objects.flat_map(|it| it["properties"].as_object().into_iter().flatten())
        {
            if value["deprecated"] == true {
                continue;
            }
            let Some(kind) = scalar_kind(value, parts) else {
                continue;
            };
            let endings = ["_at", "_until", "_since", "_local"];
            let is_named_so =
                endings.iter().any(|end| field.ends_with(end)) || TIMES.contains(&field.as_str());
            assert_eq!(
                kind == "date-time",
                is_named_so,
                "{name}: {field} is a {kind}"
            );
            kinds.entry(field.clone()).or_default().insert(kind);
        }
    }
    let double = kinds.iter().filter(|(_, kinds)| kinds.len() > 1);
    let double: Vec<&str> = double.map(|(name, _)| name.as_str()).collect();
    assert_eq!(double, TWO_KINDS, "{kinds:#?}");
}

#[test]
fn a_schema_finds_missing_unknown_and_mistyped_fields() {
    let right = json!({
        "schema": "hfdl.pause/1", "paused": true, "since": "2026-03-01T09:00:00Z", "until": null, "reason": "r"
    });
    assert_eq!(complaints("pause", &right), [""; 0]);
    for (name, value) in [
        ("schema", json!("hfdl.run/1")),
        ("paused", json!("yes")),
        ("paused", json!(null)),
        ("since", json!("2026-03-01T10:00:00+01:00")),
        ("since", json!("yesterday")),
        ("other", json!(1)),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert_ne!(complaints("pause", &wrong), [""; 0], "{wrong}");
    }
    assert_eq!(complaints("pause", &json!({})).len(), 5);
}

/// A list of words in the schemas, and the words of the code.
macro_rules! same_words {
    ($words:expr, $($name:literal = $kind:ty),+ $(,)?) => {
        BTreeSet::from([$($name),+].map(|name| {
            $(if name == $name {
                let own: Vec<&str> = <$kind>::ALL.iter().map(|word| word.as_str()).collect();
                assert_eq!($words[name]["enum"], json!(own), "{name}");
            })+
            name
        }))
    };
}

#[test]
fn the_words_of_the_schemas_are_those_of_the_code() {
    let text = include_str!("../../src/json/schema/words.json");
    let words: Value = serde_json::from_str(text).unwrap();
    let words = words["$defs"].as_object().unwrap();
    let mut compared = same_words!(
        words,
        "allowance_kind" = hfdl::domain::allowance::AllowanceKind,
        "allowance_period" = hfdl::domain::allowance::AllowancePeriod,
        "apply_action" = hfdl::ops::apply::ApplyAction,
        "bad_reason" = hfdl::ops::verify::BadReason,
        "cadence" = hfdl::domain::schedule::CadenceKind,
        "decision" = hfdl::domain::hold::Decision,
        "disk_use" = hfdl::domain::status::DiskUse,
        "entry_kind" = hfdl::ops::apply::Kind,
        "error_kind" = hfdl::domain::outcome::ErrorKind,
        "event_kind" = hfdl::domain::run::EventKind,
        "file_change" = hfdl::domain::changes::FileChange,
        "file_result" = hfdl::domain::session::FileResult,
        "file_source" = hfdl::domain::session::FileSource,
        "finding_level" = hfdl::ops::doctor::CheckLevel,
        "hold_reason" = hfdl::domain::hold::HoldReason,
        "hook_event" = hfdl::domain::alert::HookEvent,
        "item_kind" = hfdl::domain::retention::ItemKind,
        "model_state" = hfdl::domain::model::ModelSummary,
        "notice_reason" = hfdl::domain::health::NoticeReason,
        "obstacle" = hfdl::domain::forecast::Obstacle,
        "origin_kind" = hfdl::domain::origin::OriginKind,
        "outcome" = hfdl::domain::outcome::Outcome,
        "pin_kind" = hfdl::domain::hold::PinKind,
        "policy" = hfdl::domain::policy::Policy,
        "refusal" = hfdl::domain::deletion::Refusal,
        "repo_type" = hfdl::domain::repo::RepoType,
        "run_command" = hfdl::domain::run::RunCommand,
        "run_outcome" = hfdl::domain::outcome::RunOutcome,
        "setting_key" = hfdl::domain::settings::SettingKey,
        "skip_reason" = hfdl::domain::adopt::SkipReason,
        "snapshot_state" = hfdl::domain::moved_ref::SnapshotState,
        "timer_kind" = hfdl::domain::timer::TimerKind,
        "trigger" = hfdl::domain::outcome::Trigger,
        "update_state" = hfdl::domain::update::UpdateState,
        "upstream_standing" = hfdl::ops::outdated::UpstreamStanding,
        "upstream_state" = hfdl::domain::outcome::UpstreamState,
        "verify_outcome" = hfdl::domain::outcome::VerifyOutcome,
        "view_kind" = hfdl::domain::view::ViewKind,
        "view_method" = hfdl::domain::view::ViewMethod,
        "view_state" = hfdl::domain::view::ViewState,
        "wait_reason" = hfdl::domain::schedule::WaitReason,
        "warning_kind" = hfdl::domain::status::WarningKind,
    );
    let mut codes: Vec<u8> = ExitStatus::ALL.iter().map(|status| status.code()).collect();
    codes.sort_unstable();
    assert_eq!(words["exit_code"]["enum"], json!(codes));
    let mut exits: Vec<&str> = ExitStatus::ALL.iter().map(|status| status.word()).collect();
    exits.dedup();
    assert_eq!(words["exit_word"]["enum"], json!(exits));
    let levels = ["error", "warn", "info", "debug", "trace"];
    assert_eq!(words["level"]["enum"], json!(levels));
    compared.extend(["exit_code", "exit_word", "level"]);
    let all: BTreeSet<&str> = words.keys().map(String::as_str).collect();
    assert_eq!(compared, all);
}

#[test]
fn the_schema_of_an_export_has_the_fields_of_the_tables() {
    fn keys<S: Entity>() -> BTreeSet<&'static str> {
        S::FIELDS.iter().map(|field| field.key).collect()
    }
    let schema = schema("export").unwrap();
    let fields = |part: &str| -> BTreeSet<String> {
        let fields = schema["$defs"][part]["properties"].as_object().unwrap();
        fields.keys().cloned().collect()
    };
    let same = |part, keys: BTreeSet<&str>| {
        let keys: BTreeSet<String> = keys.into_iter().map(str::to_owned).collect();
        assert_eq!(fields(part), keys, "{part}");
    };
    same("exported_model", keys::<ModelSpec>());
    same("exported_schedule", keys::<ScheduleSpec>());
    same("exported_tag", keys::<TagSpec>());
}

#[test]
fn a_status_with_a_crashed_run_and_with_a_running_one_has_its_fields() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    leave_a_session(&env);
    let crashed = env.line("status --json").exits(1).json();
    assert!(crashed["warnings"][0].is_object() && crashed["crashed_runs"][0].is_object());
    let lock = FileLock::try_acquire(&env.home().join("run.lock")).unwrap();
    let running = env.line("status --json").succeeds().json();
    drop(lock);
    assert!(running["run"]["bytes"].is_object(), "{running:#}");
}

#[test]
fn an_error_document_has_its_fields() {
    let env = TestEnv::new();
    let ran = env.line("models show x --log-format json");
    let error: Value = serde_json::from_str(ran.exits(2).stderr()).unwrap();
    assert_eq!(error["schema"], "hfdl.error/1");
    assert_eq!(error["exit"], "usage");
}

#[test]
fn times_in_documents_are_rfc_3339_in_utc() {
    let env = TestEnv::new();
    env.set("TZ", "Asia/Tokyo");
    env.line("models add acme/tiny --no-check").succeeds();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["created_at"], crate::support::env::NOW);
}
