//! The documents that programs read: every one names its schema, and a schema
//! has the fields that it had.
//!
//! Fields may be added to these lists. One that is dropped or renamed breaks
//! somebody's script.

use std::collections::BTreeSet;

use hfdl::domain::time::Timestamp;
use hfdl::sys::lock::FileLock;
use serde_json::{Value, json};

use super::cli_pictures::all_commands;
use crate::support::env::TestEnv;

const MODEL: &str = "name:text repo:text repo_type:text repo_id:text revision:text include:list? \
    exclude:list to:text tags:list priority:number keep_revisions:number? token_name:text? views:list view_map:list view_copy:flag checksums:flag policy:text? delay:text? follow_tags:text? guards:list? enabled:flag state:text \
    upstream_state:text held_commit:text? held_update:object? pinned_commit:text? pinned_by:text? waiting_commit:text? waiting_until:time? followed_tag:text? published_commit:text? published_at:time? \
    last_check_at:time? last_success_at:time? last_change_at:time? consecutive_failures:number \
    last_outcome:text? last_verify_at:time? last_verify_outcome:text? created_at:time updated_at:time";

const TAG: &str = "name:text policy:text? delay:text? follow_tags:text? guards:list? \
    limit_daily:text? limit_monthly:text? models:number";

const SCHEDULE: &str = "name:text cadence:text when:text time_zone:text all:flag models:list \
    tags:list windows:list catch_up:text catch_up_within:text? jitter:text limit_rate:text? \
    max_duration:text? max_transfer:text? limit_daily:text? limit_monthly:text? priority:number enabled:flag anchor_at:time \
    not_before_at:time next_due_at:time? last_slot_at:time? open_slot_at:time? retry_at:time? \
    retry_count:number created_at:time updated_at:time";

const SETTING: &str =
    "key:text value:text? typed_value:any default:text? origin:text variable:text? help:text";

const CHANGED_SETTING: &str = "key:text value:text? warnings:list";

const CHECK: &str = "commit:text files:number bytes:number files_total:number bytes_total:number \
    renamed_to:text? access_missing:flag";

const SLOT: &str = "schedule:text enabled:flag time_zone:text slot:time slot_local:text starts:time \
    starts_local:text window_ends:time?";

const SESSION: &str = "session_id:number run_id:text model:text? repo:text repo_type:text \
    revision:text schedule:text? slot_at:time? trigger:text outcome:text? verify_outcome:text? error_kind:text? \
    error:text? hint:text? old_commit:text? new_commit:text? path:text? files:object bytes:object \
    reused_from:list retries:number started_at:time finished_at:time?";

const REUSED: &str = "kind:text repo:text repo_type:text revision:text? path:text? content:text? \
    origins:number bytes:number";

const SESSION_FILE: &str = "path:text size:number content:text bytes_fetched:number \
    bytes_reused:number source:text? retries:number result:text found_bad:flag change:text?";

const RUN: &str = "run_id:text trigger:text outcome:text? exit_code:number? started_at:time \
    finished_at:time? due:number skipped:list sessions:list removed:list";

/// Fields of a run in lists and in `runs show`.
const PROCESS: &str = "command:text heartbeat_at:time stop_requested_at:time? host:text pid:number \
    version:text totals:object";

const RUN_IN_LIST: &str = "run_id:text trigger:text outcome:text? exit_code:number? \
    started_at:time finished_at:time? due:number";

const TOTALS: &str = "sessions:number failed:number files_fetched:number bytes_fetched:number \
    bytes_reused:number";

const VERIFIED: &str = "session_id:number model:text? repo:text repo_type:text revision:text \
    commit:text? outcome:text? verify_outcome:text? error_kind:text? error:text? hint:text? path:text? known_by:text? \
    files:object xet:object bytes:object bad:list";

const VIEW: &str = "model:text kind:text directory:text revision:text? state:text methods:list \
    bytes_shared:number files:list failure:text?";

const OUTDATED: &str = "model:text repo:text repo_type:text revision:text state:text \
    published_commit:text? held_update:text? pinned_commit:text? waits_until:time? upstream_tag:text? bytes_to_fetch:number? upstream_commit:text? error_kind:text? error:text? hint:text?";

const PAUSE: &str = "paused:flag since:time? until:time? reason:text?";

const STATUS: &str = "at:time home:text set_up:flag healthy:flag warnings:list timer:object \
    last_timer_tick_at:time? last_tick_at:time? pause:object next_due:list run:object? \
    crashed_runs:list models:list bytes_left:number leftover_bytes:number adopted:object allowances:list disks:list shards:list missed_slots:list \
    moved_refs:list scrub:object only_copies:list cache:object? \
    asked_to_wait_until:time? logins:list";

const REPORT: &str = "since:time until:time at:time models:list empty:flag totals:object days:list \
    by_model:list updates:list more_updates:number held_updates:list failures:list events:list \
    more_events:number disk:list verification:object runs:object next_due:list";

const NEXT_DUE: &str =
    "schedule:text state:text due_state:text slot:time starts:time window_ends:time?";

const STATUS_MODEL: &str = "name:text model:text last_verify_at:time? last_verify_outcome:text? state:text scheduled:flag last_outcome:text? \
    error_kind:text? error:text? last_check_at:time? last_success_at:time? last_change_at:time? \
    consecutive_failures:number bytes_left:number size_bytes:number? held_update:object? forecast:object?";

const UPDATE: &str = "model:text commit:text old_commit:text? state:text findings:list found_at:time \
    decision:text decided_at:time? note:text? published_at:time?";

const DECISION: &str = "model:text commit:text decision:text note:text?";

const STATUS_RUN: &str = "run_id:text command:text trigger:text started_at:time heartbeat_at:time \
    stop_requested_at:time? host:text pid:number sessions:object bytes:object \
    bytes_per_second:number?";

const WARNING: &str = "kind:text model:text? message:text hint:text?";

const ADOPT: &str = "dry_run:flag files:object bytes:object saveable_bytes:number skipped:list \
    unreadable:list models:list? run:object?";

const ADOPTED_AMOUNT: &str = "total:number hashed:number known:number left:number in_cache:number";

const COUNTS: &str = "total:number fetched:number reused:number";

/// A command line with its document.
struct Document {
    line: &'static str,
    schema: &'static str,
    /// Name and type of each field besides `schema`; `?` after those that may be null.
    fields: String,
    /// Parts of the document, by JSON pointer, with their fields.
    parts: Vec<(&'static str, String)>,
}

impl Document {
    fn with(mut self, pointer: &'static str, fields: impl Into<String>) -> Self {
        self.parts.push((pointer, fields.into()));
        self
    }
}

fn document(line: &'static str, schema: &'static str, fields: &str) -> Document {
    Document {
        line,
        schema,
        fields: fields.to_owned(),
        parts: Vec::new(),
    }
}

/// Returns every command with its document, in an order in which each finds
/// what it needs. `{run}` stands for the id of the first run.
fn documents() -> Vec<Document> {
    let plus = |base: &str, more: &str| format!("{base} {more}");
    let session = plus("schema:text", SESSION);
    vec![
        document("models add acme/tiny", "hfdl.model/1", &plus(MODEL, "check:object"))
            .with("/check", CHECK),
        document("models list", "hfdl.models/1", "models:list totals:object").with("/models/0", plus(MODEL, "size_bytes:number?")).with("/totals", "models:number size_bytes:number disk_bytes:number"),
        document("models set acme/tiny --view dir=shown", "hfdl.model/1", MODEL),
        document("tags set llm --delay 7d", "hfdl.tag/1", TAG),
        document("tags show llm", "hfdl.tag/1", &plus(TAG, "model_names:list size_bytes:number disk_bytes:number")),
        document("tags list", "hfdl.tags/1", "tags:list").with("/tags/0", TAG),
        document("tags unset llm", "hfdl.change/1", "tags:list"),
        document("views list", "hfdl.views/1", "views:list").with("/views/0", VIEW),
        document(
            "schedules add n --daily 02:30 --all",
            "hfdl.schedule/1",
            &plus(SCHEDULE, "warnings:list"),
        ),
        document("download acme/tiny --dry-run", "hfdl.plan/1", "models:list lacking_room:object?")
            .with("/models/0", "model:text commit:text held_update:text? waits_until:time? files:object bytes:object fetch:list")
            .with("/models/0/files", "total:number to_fetch:number reused:number")
            .with("/models/0/bytes", "total:number to_fetch:number reused:number")
            .with("/models/0/fetch/0", "path:text size:number bytes_to_fetch:number"),
        document(
            "run-due --dry-run --at 2026-03-02T02:40:00Z",
            "hfdl.due/1",
            "at:time schedules:list models:list lacking_room:object?",
        )
        .with(
            "/schedules/0",
            "schedule:text time_zone:text state:text slot:time? next:time? resume:flag? \
             coalesced:number? late:number? deadline:time? window_ends:time? missed:number? error:text?",
        )
        .with(
            "/models/0",
            "model:text schedules:list commit:text? files:object? bytes:object? waits_until:time? forecast:object? error:text?",
        )
        .with("/models/0/bytes", "total:number to_fetch:number reused:number"),
        document(
            "run-due",
            "hfdl.run/1",
            "run_id:text? trigger:text outcome:text exit_code:number started_at:time? \
             finished_at:time? due:number skipped:list sessions:list removed:list",
        ),
        document("download acme/tiny", "hfdl.run/1", RUN)
            .with("/sessions/0", &*session)
            .with("/sessions/0/files", plus(COUNTS, "deleted:number"))
            .with("/sessions/0/bytes", plus(COUNTS, "left:number")),
        document(
            "models show acme/tiny",
            "hfdl.model/1",
            &plus(MODEL, "schedules:list next_due_at:time? partial_bytes:number sessions:list place_problem:text? rules:object path:text? size_bytes:number? n_files:number? revisions:list"),
        )
        .with("/sessions/0", SESSION),
        document("models path acme/tiny", "hfdl.published/1", "models:list")
            .with("/models/0", "model:text repo:text revision:text tag:text? commit:text path:text"),
        document("models outdated", "hfdl.outdated/1", "models:list").with("/models/0", OUTDATED),
        document(
            "verify acme/tiny",
            "hfdl.verify/1",
            "run_id:text trigger:text outcome:text exit_code:number started_at:time \
                finished_at:time models:list views:list",
        )
        .with("/views/0", VIEW)
        .with("/models/0", VERIFIED)
        .with(
            "/models/0/files",
            "total:number verified:number unknown:number bad:number repaired:number",
        )
        .with("/models/0/xet", "agrees:number differs:number")
        .with("/models/0/bytes", "total:number verified:number fetched:number"),
        document("adopt --match", "hfdl.adopt/1", ADOPT)
            .with("/files", ADOPTED_AMOUNT)
            .with("/bytes", ADOPTED_AMOUNT)
            .with(
                "/models/0",
                "model:text repo:text repo_type:text revision:text commit:text? files:object? \
                 bytes:object? published:flag? error:text?",
            )
            .with("/models/0/files", "total:number here:number"),
        document("adopt old", "hfdl.adopt/1", ADOPT)
            .with("/skipped/0", "reason:text count:number"),
        document("adopt --list", "hfdl.adopted/1", "files:list").with(
            "/files/0",
            "path:text size:number sha256:text git_sha1:text state:text moves:flag",
        ),
        document("adopt --forget old", "hfdl.change/1", "forgotten:number"),
        document("doctor", "hfdl.doctor/1", "verdict:text checks:list").with(
            "/checks/0",
            "name:text verdict:text what:text why:text? next:text? mended:text?",
        ),
        document("sessions list", "hfdl.sessions/1", "sessions:list more:flag")
            .with("/sessions/0", &*session)
            .with("/sessions/0/reused_from/0", REUSED),
        document(
            "sessions show 1",
            "hfdl.session/1",
            &plus(SESSION, "changes:object file_list:list change_note:object?"),
        )
        .with("/changes", "added:list changed:list removed:list")
        .with("/file_list/0", SESSION_FILE),
        document("report", "hfdl.report/1", REPORT)
            .with("/totals", "updates:number checks:number verifications:number bytes_fetched:number bytes_reused:number")
            .with("/days/0", "day:text bytes_fetched:number bytes_reused:number outcomes:object verifications:number")
            .with("/by_model/0", "model:text bytes_fetched:number bytes_reused:number updates:number failures:number")
            .with(
                "/updates/0",
                "at:time model:text repo:text repo_type:text old_commit:text? commit:text \
                 bytes_fetched:number bytes_reused:number page:text? change_note:object?",
            )
            .with("/disk/0", "day:text cache_bytes:number directory_bytes:number free_bytes:number?")
            .with(
                "/verification",
                "models:number models_verified:number models_damaged:list files:number bytes:number oldest_at:time?",
            )
            .with(
                "/runs",
                "outcomes:object with_work:number total_seconds:number median_seconds:number longest_seconds:number",
            )
            .with("/next_due/0", NEXT_DUE),
        document("runs list", "hfdl.runs/1", "runs:list more:flag")
            .with("/runs/0", plus(RUN_IN_LIST, PROCESS))
            .with("/runs/0/totals", TOTALS),
        document("runs show {run}", "hfdl.run/1", &plus(RUN, PROCESS))
            .with("/sessions/0", &*session)
            .with("/totals", TOTALS),
        document("pause --for 2h --reason r", "hfdl.pause/1", PAUSE),
        document("status", "hfdl.status/1", STATUS)
            .with("/pause", PAUSE)
            .with(
                "/timer",
                "installed:flag backend:text? every:text? since:time? drift:text? next_tick_at:time? missed_ticks:number",
            )
            .with(
                "/next_due/0",
                NEXT_DUE,
            )
            .with("/models/0", STATUS_MODEL)
            .with("/adopted", "files:number bytes:number")
            .with("/disks/0", "used_for:text path:text free_bytes:number reserve_bytes:number"),
        document("resume", "hfdl.pause/1", PAUSE),
        document(
            "start --dry-run --backend launchd",
            "hfdl.timer/1",
            "backend:text id:text program:text home:text every:text minutes:list env:list \
             notes:list warnings:list installed:flag steps:list",
        ),
        document("stop --run-only", "hfdl.stop/1", "timer_removed:text? run:object?"),
        document("models set acme/tiny --priority 3", "hfdl.model/1", MODEL),
        document("models disable acme/tiny", "hfdl.change/1", "models:list enabled:flag"),
        document("models enable acme/tiny", "hfdl.change/1", "models:list enabled:flag"),
        document(
            "prune --dry-run",
            "hfdl.prune/1",
            "dry_run:flag freed_bytes:number bytes_freed:number bytes_left:number history:object items:list proposals:list",
        )
        .with(
            "/history",
            "sessions:number runs:number events:number logs:number log_bytes:number adopted:number",
        ),
        document("models release acme/tiny", "hfdl.release/1", "model:text released:text?"),
        document("schedules list", "hfdl.schedules/1", "schedules:list unreadable:list")
            .with("/schedules/0", SCHEDULE),
        document("schedules show n", "hfdl.schedule/1", &plus(SCHEDULE, "covers:list")),
        document(
            "schedules set n --priority 3",
            "hfdl.schedule/1",
            &plus(SCHEDULE, "warnings:list"),
        ),
        document("schedules next", "hfdl.next/1", "slots:list").with("/slots/0", SLOT),
        document("schedules disable n", "hfdl.change/1", "schedules:list enabled:flag"),
        document("schedules enable n", "hfdl.change/1", "schedules:list enabled:flag"),
        document("schedules remove n -y", "hfdl.removal/1", "schedules:list"),
        document("apply -f plan.yaml", "hfdl.apply/1", "dry_run:flag locked:text? changes:list")
            .with("/changes/0", "action:text kind:text name:text fields:list"),
        document(
            "models add acme/tiny --name gated --to ./gated",
            "hfdl.model/1",
            &plus(MODEL, "check:object"),
        ),
        document("download gated -c hooks.gate=no-such-gate", "hfdl.run/1", RUN),
        document("updates list", "hfdl.updates/1", "updates:list")
            .with("/updates/0", UPDATE)
            .with("/updates/0/findings/0", "reason:text detail:text"),
        document(
            "updates show gated",
            "hfdl.update/1",
            &plus(UPDATE, "repo:text repo_type:text revision:text files:list? change_note:object?"),
        )
        .with("/files/0", "path:text change:text old_bytes:number? new_bytes:number?"),
        document("updates retry gated", "hfdl.decisions/1", "updates:list")
            .with("/updates/0", DECISION),
        document("updates reject gated", "hfdl.decisions/1", "updates:list")
            .with("/updates/0", DECISION),
        document("updates approve gated", "hfdl.decisions/1", "updates:list")
            .with("/updates/0", DECISION),
        document(
            "models remove acme/tiny -y",
            "hfdl.removal/1",
            "models:list files_deleted:flag bytes_freed:number kept:list",
        ),
        document(
            "init --yes --model acme/tiny --timer none --file init.yaml",
            "hfdl.init/1",
            "file:text? changes:list timer:object?",
        )
        .with("/changes/0", "action:text kind:text name:text fields:list"),
        document("config list", "hfdl.config/1", "settings:list").with("/settings/0", SETTING),
        document("config get disk.reserve", "hfdl.setting/1", SETTING),
        document("config set disk.reserve 1G", "hfdl.setting-change/1", CHANGED_SETTING),
        document("config unset disk.reserve", "hfdl.setting-change/1", CHANGED_SETTING),
        document("config path", "hfdl.path/1", "path:text"),
        document("logs", "hfdl.logs/1", "logs:list")
            .with("/logs/0", "run_id:text started_at:time bytes:number path:text"),
    ]
}

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

/// Says what is wrong with an object: fields too many or too few, or of another type.
fn complaints(value: &Value, fields: &str) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return vec![format!("no object but {value}")];
    };
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for field in fields.split_whitespace() {
        let (name, kind) = field.split_once(':').unwrap();
        known.insert(name);
        match object.get(name) {
            None => wrong.push(format!("`{name}` is missing")),
            Some(value) if !is_of_kind(value, kind) => {
                wrong.push(format!("`{name}` is no {kind} but {value}"));
            }
            Some(_) => {}
        }
    }
    let unknown = object.keys().filter(|name| !known.contains(name.as_str()));
    wrong.extend(unknown.map(|name| format!("`{name}` is not in the list")));
    wrong
}

fn is_of_kind(value: &Value, kind: &str) -> bool {
    if let Some(kind) = kind.strip_suffix('?') {
        return value.is_null() || is_of_kind(value, kind);
    }
    match kind {
        "any" => true,
        "text" => value.is_string(),
        "number" => value.is_u64(),
        "flag" => value.is_boolean(),
        "list" => value.is_array(),
        "object" => value.is_object(),
        "time" => value.as_str().is_some_and(is_utc),
        _ => panic!("no such kind: {kind}"),
    }
}

/// RFC 3339 in UTC with whole seconds.
fn is_utc(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && text.parse::<Timestamp>().is_ok()
}

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
    let mut wrong = Vec::new();
    for Document {
        line,
        schema,
        fields,
        parts,
    } in documents()
    {
        let ran = env.line(&format!("{} --json", line.replace("{run}", &run)));
        let document = ran.succeeds().json();
        assert_eq!(document["schema"], schema, "{line}");
        let first = document.as_object().unwrap().keys().next();
        assert_eq!(first.unwrap(), "schema", "{line}");
        let fields = format!("schema:text {fields}");
        let whole = complaints(&document, &fields);
        wrong.extend(whole.iter().map(|what| format!("{line}: {what}")));
        for (pointer, fields) in parts {
            let part = document.pointer(pointer);
            let part = part.unwrap_or_else(|| panic!("{line}: no {pointer} in {document:#}"));
            let part = complaints(part, &fields);
            wrong.extend(part.iter().map(|what| format!("{line} {pointer}: {what}")));
        }
        if let Some(id) = document["run_id"].as_str().filter(|_| run.is_empty()) {
            run = id.to_owned();
        }
        let (name, version) = schema
            .strip_prefix("hfdl.")
            .unwrap()
            .split_once('/')
            .unwrap();
        assert!(
            !name.is_empty() && version.parse::<u32>().is_ok(),
            "{schema}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_is_in_the_list_of_documents() {
    let env = TestEnv::new();
    let commands = all_commands(&env);
    let is_group = |path: &String| {
        let below = format!("{path} ");
        path.is_empty() || commands.iter().any(|other| other.starts_with(&below))
    };
    let documents = documents();
    for command in commands.iter().filter(|path| !is_group(path)) {
        let is_listed = documents
            .iter()
            .any(|it| it.line.starts_with(command.as_str()));
        let is_excused = WITHOUT_DOCUMENT.iter().any(|(name, _)| name == command);
        assert!(is_listed != is_excused, "`hfdl {command}`");
    }
}

#[test]
fn the_field_check_finds_missing_unknown_and_mistyped_fields() {
    let right = json!({"a": "x", "b": null, "c": 1, "d": "2026-03-01T09:00:00Z"});
    let fields = "a:text b:list? c:number d:time";
    assert!(complaints(&right, fields).is_empty());
    for (name, value) in [
        ("a", json!(1)),
        ("a", json!(null)),
        ("b", json!({})),
        ("c", json!(-1)),
        ("c", json!("1")),
        ("d", json!("2026-03-01T09:00:00+00:00")),
        ("d", json!("yesterday")),
        ("e", json!(1)),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert_eq!(complaints(&wrong, fields).len(), 1, "{wrong}");
    }
    assert_eq!(complaints(&json!({}), fields).len(), 4);
    assert_eq!(complaints(&json!([]), fields).len(), 1);
}

#[test]
fn a_status_with_a_crashed_run_and_with_a_running_one_has_its_fields() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    leave_a_session(&env);
    let crashed = env.line("status --json").exits(1).json();
    assert_eq!(complaints(&crashed["warnings"][0], WARNING), [""; 0]);
    let process = format!("{RUN_IN_LIST} {PROCESS}");
    assert_eq!(complaints(&crashed["crashed_runs"][0], &process), [""; 0]);
    let lock = FileLock::try_acquire(&env.home().join("run.lock")).unwrap();
    let running = env.line("status --json").succeeds().json();
    drop(lock);
    let run = &running["run"];
    assert_eq!(complaints(run, STATUS_RUN), [""; 0]);
    assert_eq!(
        complaints(&run["sessions"], "total:number finished:number"),
        [""; 0]
    );
    let bytes = format!("{COUNTS} left:number");
    assert_eq!(complaints(&run["bytes"], &bytes), [""; 0]);
}

#[test]
fn an_error_document_has_its_fields() {
    let env = TestEnv::new();
    let ran = env.line("models show x --log-format json");
    let error: Value = serde_json::from_str(ran.exits(2).stderr()).unwrap();
    let fields = "schema:text level:text message:text cause:text? hint:text? exit:text \
        exit_code:number";
    assert_eq!(complaints(&error, fields), [""; 0]);
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
