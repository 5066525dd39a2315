//! Each entity of the database: written, read, changed, listed, refused, removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hfdl::domain::alert::{Failing, Standing};
use hfdl::domain::guard::Terms;
use hfdl::domain::hold::{Decision, Finding, HeldUpdate, HoldReason, Pin, PinKind};
use hfdl::domain::model::{Destination, Model, ModelId, ModelState};
use hfdl::domain::moved_ref::RefTarget;
use hfdl::domain::outcome::{
    ErrorKind, Outcome, RunOutcome, Trigger, UpstreamState, VerifyOutcome,
};
use hfdl::domain::policy::{FollowedTag, UpdateWait};
use hfdl::domain::repo::CommitSha;
use hfdl::domain::run::{Event, EventKind, RunCommand, RunId, RunStart, RunTotals};
use hfdl::domain::schedule::{ScheduleState, Selection};
use hfdl::domain::session::{
    FileResult, LastCheck, SessionEnd, SessionId, SessionProgress, SessionStart,
};
use hfdl::domain::time::Timestamp;
use hfdl::domain::way::Way;
use hfdl::store::{
    DeadEnd, MetaKey, ModelFilter, RateLimit, RunFilter, SessionFilter, SessionsOf, Store,
    StoreError,
};

use crate::store_samples::*;

fn texts(models: &[Model]) -> Vec<&str> {
    models
        .iter()
        .map(|model| model.spec.name.as_str())
        .collect()
}

#[test]
fn a_model_comes_back_as_it_was_saved() {
    let home = Home::new();
    let store = home.open();
    for spec in [model("acme/plain"), rich_model("rich")] {
        let id = store.insert_model(&spec, at(1)).unwrap();
        let found = store.model(&spec.name).unwrap();
        assert_eq!(found.id, id);
        assert_eq!(found.spec, spec);
        assert_eq!(found.state, ModelState::default());
        assert_eq!((found.created_at, found.updated_at), (at(1), at(1)));
        assert_eq!(store.model_by_id(id).unwrap(), Some(found));
    }
}

#[test]
fn an_edit_changes_what_was_said_and_keeps_what_was_found_out() {
    let home = Home::new();
    let store = home.open();
    let id = store.insert_model(&rich_model("old"), at(1)).unwrap();
    let state = ModelState {
        held_commit: Some(commit('a')),
        held_update: Some(HeldUpdate {
            commit: commit('c'),
            findings: vec![Finding {
                reason: HoldReason::FewBytes,
                detail: "few".to_owned(),
            }],
            decision: Decision::Approved,
            found_at: at(2),
        }),
        pinned: Some(Pin {
            commit: commit('d'),
            by: PinKind::Lock,
        }),
        locked_files: Some([7; 32]),
        wait: Some(UpdateWait {
            commit: commit('e'),
            until: at(9),
        }),
        followed: Some(FollowedTag {
            tag: "v1".parse().unwrap(),
            target: commit('f'),
            commit: commit('b'),
        }),
        published_commit: Some(commit('b')),
        published_at: Some(at(2)),
        published_terms: Terms {
            licence: Some("mit".to_owned()),
            gating: Some("no".to_owned()),
        },
        last_check_at: Some(at(3)),
        last_success_at: Some(at(4)),
        last_change_at: Some(at(5)),
        consecutive_failures: 6,
        upstream_state: UpstreamState::Gated,
        last_verify_at: Some(at(7)),
        last_verify_outcome: Some(VerifyOutcome::Damaged),
        needs_token: true,
        moved_ref: Some(RefTarget::Nothing),
    };
    store.save_model_state(id, &state).unwrap();
    let mut spec = model("acme/new");
    spec.tags = names(&["other"]);
    store.update_model(id, &spec, at(9)).unwrap();
    let found = store.model(&spec.name).unwrap();
    assert_eq!((found.spec, found.state), (spec, state));
    assert_eq!((found.created_at, found.updated_at), (at(1), at(9)));
    assert_eq!(store.find_model(&name("old")).unwrap(), None);
}

#[test]
fn models_are_listed_by_tag_by_state_and_by_switch() {
    let home = Home::new();
    let store = home.open();
    let mut tagged = model("b/tagged");
    tagged.tags = names(&["llm", "x"]);
    store.insert_model(&tagged, at(0)).unwrap();
    let plain = store.insert_model(&model("a/plain"), at(0)).unwrap();
    let off = store.insert_model(&model("c/off"), at(0)).unwrap();
    store.set_model_enabled(off, false, at(0)).unwrap();
    let orphaned = ModelState {
        upstream_state: UpstreamState::Orphaned,
        needs_token: false,
        ..ModelState::default()
    };
    store.save_model_state(plain, &orphaned).unwrap();

    let list = |filter: ModelFilter| {
        let models = store.models(&filter).unwrap();
        texts(&models).join(" ")
    };
    let any = ModelFilter::default;
    assert_eq!(list(any()), "a/plain b/tagged c/off");
    let tag = Some(name("llm"));
    assert_eq!(list(ModelFilter { tag, ..any() }), "b/tagged");
    let upstream_state = Some(UpstreamState::Orphaned);
    let by_state = ModelFilter {
        upstream_state,
        ..any()
    };
    assert_eq!(list(by_state), "a/plain");
    let enabled = Some(false);
    assert_eq!(list(ModelFilter { enabled, ..any() }), "c/off");
    let of_repo = store.models_of_repo(&tagged.repo).unwrap();
    assert_eq!(texts(&of_repo), ["b/tagged"]);
}

#[test]
fn a_second_model_of_the_same_name_or_repository_names_the_first() {
    let home = Home::new();
    let store = home.open();
    store.insert_model(&model("acme/tiny"), at(0)).unwrap();

    let mut same_name = model("acme/tiny");
    same_name.repo.id = "acme/other".parse().unwrap();
    let err = store.insert_model(&same_name, at(0)).unwrap_err();
    assert_eq!(
        err.to_string(),
        "the name exists already: the model `acme/tiny`"
    );

    let mut same_repo = model("acme/tiny");
    same_repo.name = name("a-copy");
    let err = store.insert_model(&same_repo, at(0)).unwrap_err();
    assert_eq!(
        err.to_string(),
        "`acme/tiny` at `main` exists already: the model `acme/tiny`"
    );
    let StoreError::NotUnique {
        entity, existing, ..
    } = err
    else {
        panic!("{err:?}");
    };
    assert_eq!((entity, existing.as_str()), ("model", "acme/tiny"));

    // Another place is another model, but it cannot be moved onto the first.
    same_repo.destination = Destination::Directory("/srv".into());
    let id = store.insert_model(&same_repo, at(0)).unwrap();
    same_repo.destination = Destination::Cache;
    let err = store.update_model(id, &same_repo, at(0)).unwrap_err();
    assert_eq!(
        err.to_string(),
        "`acme/tiny` at `main` exists already: the model `acme/tiny`"
    );
}

#[test]
fn a_missing_entry_is_named() {
    let home = Home::new();
    let store = home.open();
    let id = store.insert_model(&model("m"), at(0)).unwrap();
    store.remove_model(id).unwrap();
    let of_model = [
        store.model(&name("m")).unwrap_err(),
        store.update_model(id, &model("m"), at(0)).unwrap_err(),
        store
            .save_model_state(id, &ModelState::default())
            .unwrap_err(),
        store.set_model_enabled(id, true, at(0)).unwrap_err(),
        store.remove_model(id).unwrap_err(),
    ];
    for err in of_model {
        let is_model = matches!(
            &err,
            StoreError::NotFound {
                entity: "model",
                ..
            }
        );
        assert!(is_model, "{err:?}");
    }
    let err = store.schedule(&name("nightly")).unwrap_err();
    assert_eq!(err.to_string(), "there is no schedule `nightly`");
}

#[test]
fn a_schedule_comes_back_as_it_was_saved() {
    let home = Home::new();
    let store = home.open();
    store.insert_model(&model("m"), at(0)).unwrap();
    let mut rich = rich_schedule("rich");
    rich.selection = Selection {
        all: false,
        models: names(&["m"]),
        tags: names(&["llm", "night"]),
    };
    let state = ScheduleState {
        next_due_at: None,
        last_slot_at: Some(at(11)),
        open_slot_at: Some(at(12)),
        retry_at: Some(at(13)),
        retry_count: 4,
        ..waiting_until(at(10))
    };
    for (spec, state) in [(schedule("plain"), waiting_until(at(10))), (rich, state)] {
        let id = store.insert_schedule(&spec, &state, at(1)).unwrap();
        let found = store.schedule(&spec.name).unwrap();
        assert_eq!((found.id, found.spec, found.state), (id, spec, state));
        assert_eq!((found.created_at, found.updated_at), (at(1), at(1)));
    }
}

#[test]
fn a_schedule_is_refused_for_a_taken_name_or_a_model_that_is_not_there() {
    let home = Home::new();
    let store = home.open();
    let state = waiting_until(at(0));
    let first = store
        .insert_schedule(&schedule("one"), &state, at(0))
        .unwrap();
    let err = store
        .insert_schedule(&schedule("one"), &state, at(0))
        .unwrap_err();
    assert_eq!(
        err.to_string(),
        "the name exists already: the schedule `one`"
    );

    let mut spec = schedule("two");
    spec.selection.models = names(&["gone"]);
    let err = store.insert_schedule(&spec, &state, at(0)).unwrap_err();
    assert_eq!(err.to_string(), "there is no model `gone`");
    assert_eq!(store.find_schedule(&name("two")).unwrap(), None);

    spec.name = name("one");
    spec.jitter.0 = 99;
    store.update_schedule(first, &spec, at(0)).unwrap_err();
    assert_eq!(store.schedule(&name("one")).unwrap().spec, schedule("one"));
}

#[test]
fn only_enabled_schedules_whose_time_has_come_are_candidates() {
    let home = Home::new();
    let store = home.open();
    let add = |text: &str, next_due_at: i64| {
        let state = waiting_until(at(next_due_at));
        store
            .insert_schedule(&schedule(text), &state, at(0))
            .unwrap()
    };
    let (late, soon) = (add("late", 200), add("soon", 100));
    let off = add("off", 50);
    store.set_schedule_enabled(off, false, at(0)).unwrap();
    let done = ScheduleState {
        next_due_at: None,
        ..waiting_until(at(0))
    };
    store
        .insert_schedule(&schedule("done"), &done, at(0))
        .unwrap();

    let due = |seconds| {
        let found = store.due_candidates(at(seconds)).unwrap().readable;
        found.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(due(99), []);
    assert_eq!(due(100), [soon]);
    assert_eq!(due(999), [soon, late]);
    assert_eq!(store.enabled_schedules().unwrap().readable.len(), 3);
    assert_eq!(store.schedules().unwrap().readable.len(), 4);

    // Each change of the due time makes a schedule a candidate at once.
    store.set_schedule_enabled(off, true, at(60)).unwrap();
    assert_eq!(due(60), [off]);
    store
        .update_schedule(late, &schedule("later"), at(61))
        .unwrap();
    assert_eq!(due(61), [off, late]);
    store.reconsider_all_schedules(at(62)).unwrap();
    assert_eq!(due(62).len(), 4);
}

#[test]
fn a_schedule_covers_models_by_name_by_tag_or_all() {
    let home = Home::new();
    let store = home.open();
    let mut tagged = model("tagged");
    tagged.tags = names(&["llm"]);
    let mut off = model("off");
    off.enabled = false;
    for spec in [&model("named"), &tagged, &off, &model("other")] {
        store.insert_model(spec, at(0)).unwrap();
    }
    let mut spec = schedule("some");
    spec.selection = Selection {
        all: false,
        models: names(&["named", "off"]),
        tags: names(&["llm"]),
    };
    let id = store
        .insert_schedule(&spec, &waiting_until(at(0)), at(0))
        .unwrap();
    let covered = store.models_of_schedules([id]).unwrap();
    assert_eq!(texts(&covered), ["named", "tagged"]);
    spec.selection.all = true;
    store.update_schedule(id, &spec, at(0)).unwrap();
    let covered = store.models_of_schedules([id]).unwrap();
    assert_eq!(texts(&covered), ["named", "other", "tagged"]);
}

#[test]
fn removing_a_model_or_schedule_keeps_the_history_of_its_sessions() {
    let home = Home::new();
    let store = home.open();
    let mut tagged = model("m");
    tagged.tags = names(&["llm"]);
    let model_id = store.insert_model(&tagged, at(0)).unwrap();
    let mut spec = schedule("s");
    spec.selection.models = names(&["m"]);
    let schedule_id = store
        .insert_schedule(&spec, &waiting_until(at(0)), at(0))
        .unwrap();
    let run = store.start_run(&run_at(at(1))).unwrap();
    let start = SessionStart {
        model_id: Some(model_id),
        model_name: Some(name("m")),
        schedule_id: Some(schedule_id),
        schedule_name: Some(name("s")),
        slot_at: Some(at(1)),
        ..session(&run, at(2))
    };
    let id = store.open_session(&start).unwrap();
    store.save_session_file(id, &file("a")).unwrap();

    store.remove_model(model_id).unwrap();
    store.remove_schedule(schedule_id).unwrap();

    let found = store.session(id).unwrap();
    let kept = SessionStart {
        model_id: None,
        schedule_id: None,
        ..start
    };
    assert_eq!(found.start, kept);
    assert_eq!(store.session_files(id).unwrap(), [file("a")]);
    let of_removed = SessionFilter {
        of: Some(SessionsOf::RemovedModel(name("m"))),
        ..SessionFilter::default()
    };
    assert_eq!(store.sessions(&of_removed).unwrap(), [found]);
    for table in [
        "model_tags",
        "schedule_models",
        "schedule_tags",
        "models",
        "schedules",
    ] {
        let sql = format!("SELECT count(*) FROM {table}");
        let n_rows: i64 = home.sql().query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(n_rows, 0, "{table}");
    }
    assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn a_run_lives_from_start_over_heartbeats_to_its_end() {
    let home = Home::new();
    let store = home.open();
    let start = run_at(at(10));
    let id = store.start_run(&start).unwrap();
    assert_eq!(store.heartbeat(&id, at(20)).unwrap(), None);
    // A clock that was set back does not make the run look older.
    store.heartbeat(&id, at(15)).unwrap();
    assert_eq!(store.run(&id).unwrap().heartbeat_at, at(20));
    store.request_stop(&id, at(21)).unwrap();
    store.request_stop(&id, at(99)).unwrap();
    assert_eq!(store.heartbeat(&id, at(22)).unwrap(), Some(at(21)));
    assert_eq!(store.unfinished_runs().unwrap().len(), 1);

    let totals = RunTotals {
        n_due: 1,
        n_sessions: 2,
        n_failed: 3,
        files_fetched: 4,
        bytes_fetched: 1 << 40,
        bytes_reused: 6,
    };
    store.finish_run(&id, &totals, &run_end(at(30))).unwrap();
    let run = store.run(&id).unwrap();
    assert_eq!((run.start, run.totals), (start, totals));
    assert_eq!(run.end, Some(run_end(at(30))));
    assert_eq!(run.stop_requested_at, Some(at(21)));
    assert_eq!(run.heartbeat_at, at(30));
    assert_eq!(store.unfinished_runs().unwrap(), []);

    for err in [
        store.heartbeat(&id, at(31)).unwrap_err(),
        store.request_stop(&id, at(31)).unwrap_err(),
        store
            .finish_run(&id, &totals, &run_end(at(31)))
            .unwrap_err(),
    ] {
        assert!(
            matches!(err, StoreError::Ended { entity: "run", .. }),
            "{err:?}"
        );
    }
}

#[test]
fn runs_are_listed_newest_first_by_trigger_and_time() {
    let home = Home::new();
    let store = home.open();
    let mut ids = Vec::new();
    for seconds in [10, 20, 30] {
        let mut start = run_at(at(seconds));
        if seconds == 20 {
            start.trigger = Trigger::Manual;
        }
        let id = store
            .record_skipped_run(&start, RunOutcome::SkippedLocked, 11)
            .unwrap();
        ids.push(id);
    }
    let list = |filter: RunFilter| {
        let runs = store.runs(&filter).unwrap();
        runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let any = RunFilter::default;
    let (a, b, c) = (ids[0].clone(), ids[1].clone(), ids[2].clone());
    assert_eq!(list(any()), [c.clone(), b.clone(), a]);
    let since = Some(at(20));
    assert_eq!(list(RunFilter { since, ..any() }), [c.clone(), b.clone()]);
    let limit = Some(1);
    assert_eq!(list(RunFilter { limit, ..any() }), [c]);
    let by_hand = RunFilter {
        trigger: Some(Trigger::Manual),
        ..any()
    };
    let latest = store.runs(&by_hand).unwrap().remove(0);
    assert_eq!(latest.id, b);
    let end = latest.end.unwrap();
    assert_eq!(
        (end.outcome, end.exit_code),
        (RunOutcome::SkippedLocked, Some(11))
    );
}

#[test]
fn a_dead_end_is_kept_by_host_and_way_until_it_expires_or_is_forgotten() {
    let home = Home::new();
    let store = home.open();
    let end = |way, from_size, expires| DeadEnd {
        host: "huggingface.co:443".to_owned(),
        way,
        from_size,
        expires_at: at(expires),
    };
    let found = |now| store.dead_ends("huggingface.co:443", at(now)).unwrap();
    store.save_dead_end(&end(Way::PlainFiles, 70, 100)).unwrap();
    store.save_dead_end(&end(Way::XetChunks, 0, 50)).unwrap();
    let other = DeadEnd {
        host: "mirror.example:8080".to_owned(),
        ..end(Way::XetAnswers, 0, 100)
    };
    store.save_dead_end(&other).unwrap();
    store.save_dead_end(&end(Way::PlainFiles, 60, 90)).unwrap();
    let (plain, chunks) = (end(Way::PlainFiles, 60, 90), end(Way::XetChunks, 0, 50));
    assert_eq!(found(49), [plain.clone(), chunks]);
    assert_eq!(found(50), [plain]);
    assert_eq!(found(90), []);
    let forget = || store.forget_dead_end("huggingface.co:443", Way::PlainFiles);
    assert_eq!((forget().unwrap(), forget().unwrap()), (true, false));
    assert_eq!(found(49).len(), 1);
    assert_eq!(store.dead_ends(&other.host, at(0)).unwrap(), [other]);
}

#[test]
fn a_session_comes_back_as_it_was_saved_and_ends_once() {
    let home = Home::new();
    let store = home.open();
    let run = store.start_run(&run_at(at(1))).unwrap();
    let start = SessionStart {
        old_commit: Some(commit('a')),
        destination: Destination::Directory("/srv/x".into()),
        slot_at: Some(at(0)),
        ..session(&run, at(2))
    };
    let id = store.open_session(&start).unwrap();
    let opened = store.session(id).unwrap();
    assert_eq!(
        (opened.start, opened.progress, opened.end),
        (start, SessionProgress::default(), None)
    );
    store.save_progress(id, &progress()).unwrap();
    assert_eq!(store.session(id).unwrap().progress, progress());

    let end = SessionEnd {
        trouble: Some(trouble()),
        ..ended(Outcome::CouldNotCheck, at(9))
    };
    store.finish_session(id, &progress(), &end).unwrap();
    assert_eq!(store.session(id).unwrap().end, Some(end.clone()));
    let err = store.finish_session(id, &progress(), &end).unwrap_err();
    assert_eq!(err.to_string(), "the session `1` has ended already");
}

#[test]
fn the_last_word_about_a_file_counts() {
    let home = Home::new();
    let store = home.open();
    let run = store.start_run(&run_at(at(1))).unwrap();
    let id = store.open_session(&session(&run, at(2))).unwrap();
    store.save_session_file(id, &file("b")).unwrap();
    let mut first = file("a");
    first.result = FileResult::Failed;
    first.source = None;
    store.save_session_file(id, &first).unwrap();
    assert_eq!(store.session_files(id).unwrap(), [first, file("b")]);
    store.save_session_file(id, &file("a")).unwrap();
    assert_eq!(store.session_files(id).unwrap(), [file("a"), file("b")]);
}

/// Saves three sessions of two runs; the first and the third are of the model.
fn three_sessions(store: &Store) -> (ModelId, [RunId; 2], Vec<SessionId>) {
    let model_id = store.insert_model(&model("m"), at(0)).unwrap();
    let runs = [1, 2].map(|seconds| store.start_run(&run_at(at(seconds))).unwrap());
    let mut ids = Vec::new();
    for (seconds, run, of_model, outcome) in [
        (10, 0, true, Outcome::Updated),
        (20, 0, false, Outcome::Failed),
        (30, 1, true, Outcome::Failed),
    ] {
        let mut start = session(&runs[run], at(seconds));
        start.model_id = of_model.then_some(model_id);
        let id = store.open_session(&start).unwrap();
        let end = ended(outcome, at(seconds + 1));
        store.finish_session(id, &progress(), &end).unwrap();
        ids.push(id);
    }
    (model_id, runs, ids)
}

#[test]
fn sessions_are_listed_by_model_run_outcome_and_time() {
    let home = Home::new();
    let store = home.open();
    let (model_id, runs, ids) = three_sessions(&store);
    let list = |filter: SessionFilter| {
        let sessions = store.sessions(&filter).unwrap();
        sessions.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let any = SessionFilter::default;
    let of = Some(SessionsOf::Model(model_id));
    let (run, outcome) = (Some(runs[0].clone()), Some(Outcome::Failed));
    let (since, limit) = (Some(at(20)), Some(2));
    assert_eq!(list(any()), [ids[2], ids[1], ids[0]]);
    let by_model = SessionFilter {
        of: of.clone(),
        ..any()
    };
    assert_eq!(list(by_model), [ids[2], ids[0]]);
    assert_eq!(list(SessionFilter { run, ..any() }), [ids[1], ids[0]]);
    assert_eq!(list(SessionFilter { outcome, ..any() }), [ids[2], ids[1]]);
    assert_eq!(list(SessionFilter { since, ..any() }), [ids[2], ids[1]]);
    assert_eq!(list(SessionFilter { limit, ..any() }), [ids[2], ids[1]]);
    let all_at_once = SessionFilter {
        of,
        run: Some(runs[1].clone()),
        outcome,
        verify_outcome: None,
        since,
        until: None,
        limit,
    };
    assert_eq!(list(all_at_once), [ids[2]]);
}

fn last_checks(store: &Store, now: Timestamp) -> BTreeMap<ModelId, LastCheck> {
    let filter = ModelFilter::default();
    let checks = store.map_checked_models(&filter, now, |model, last| Some((model.id, last?)));
    checks.unwrap().into_iter().flatten().collect()
}

#[test]
fn the_last_session_of_a_model_is_the_newest_with_a_believable_date() {
    let home = Home::new();
    let store = home.open();
    let (model_id, runs, ids) = three_sessions(&store);
    let last = |now| store.last_session(model_id, now).unwrap().unwrap().id;
    assert_eq!(last(at(100)), ids[2]);
    let check_of = |id| LastCheck::of(&store.session(id).unwrap());
    assert_ne!(check_of(ids[1]), check_of(ids[2]));
    let newest = BTreeMap::from([(model_id, check_of(ids[2]))]);
    assert_eq!(last_checks(&store, at(100)), newest);

    // A session of a clock that was an hour ahead is no session before that
    // time, and not the newest one after it.
    let mut ahead = session(&runs[1], at(3_600));
    ahead.model_id = Some(model_id);
    let ahead = store.open_session(&ahead).unwrap();
    assert_eq!(last(at(100)), ids[2]);
    assert_eq!(last_checks(&store, at(100)), newest);
    assert_eq!(last(at(3_600)), ahead);
    let mut later = session(&runs[1], at(200));
    later.model_id = Some(model_id);
    let later = store.open_session(&later).unwrap();
    assert_eq!(last(at(3_700)), later, "the order of writing counts");

    // A verification is no check.
    let verification = RunStart {
        command: RunCommand::Verify,
        ..run_at(at(300))
    };
    let mut verifies = session(&store.start_run(&verification).unwrap(), at(300));
    verifies.model_id = Some(model_id);
    store.open_session(&verifies).unwrap();
    assert_eq!(last(at(3_700)), later);
    let newest = BTreeMap::from([(model_id, check_of(later))]);
    assert_eq!(last_checks(&store, at(3_700)), newest);
}

#[test]
fn dead_processes_leave_partial_or_failed_sessions_and_crashed_runs() {
    let home = Home::new();
    let store = home.open();
    let dead = store.start_run(&run_at(at(10))).unwrap();
    let with_bytes = store.open_session(&session(&dead, at(11))).unwrap();
    store.save_progress(with_bytes, &progress()).unwrap();
    let without = store.open_session(&session(&dead, at(12))).unwrap();
    store.heartbeat(&dead, at(20)).unwrap();
    let done = store.open_session(&session(&dead, at(13))).unwrap();
    let end = ended(Outcome::Updated, at(14));
    store.finish_session(done, &progress(), &end).unwrap();
    let own = store.start_run(&run_at(at(5_000))).unwrap();
    let running = store.open_session(&session(&own, at(5_001))).unwrap();

    let stranded = store.close_crashed_runs(Some(&own)).unwrap();

    assert_eq!(stranded.runs, std::slice::from_ref(&dead));
    assert_eq!(stranded.sessions, [with_bytes, without]);
    for (id, outcome) in [(with_bytes, Outcome::Partial), (without, Outcome::Failed)] {
        let end = store.session(id).unwrap().end.unwrap();
        assert_eq!((end.outcome, end.at), (outcome, at(20)));
        let trouble = end.trouble.unwrap();
        assert_eq!(trouble.kind, ErrorKind::Internal);
        assert!(trouble.message.starts_with("crashed"), "{trouble:?}");
    }
    assert_eq!(store.session(done).unwrap().end, Some(end));
    assert_eq!(store.session(running).unwrap().end, None);
    let run = store.run(&dead).unwrap();
    let end = run.end.unwrap();
    assert_eq!(
        (end.outcome, end.at, end.exit_code),
        (RunOutcome::Crashed, at(20), None)
    );
    assert_eq!((run.totals.n_sessions, run.totals.n_failed), (3, 1));
    assert_eq!(run.totals.bytes_fetched, 2 * progress().bytes.fetched);
    assert_eq!(store.run(&own).unwrap().end, None);
    let again = store.close_crashed_runs(Some(&own)).unwrap();
    assert_eq!((again.runs.len(), again.sessions.len()), (0, 0));
}

#[test]
fn pruning_keeps_what_is_young_running_or_the_newest_of_its_model() {
    let home = Home::new();
    let store = home.open();
    let model_id = store.insert_model(&model("m"), at(0)).unwrap();
    let mut ids = Vec::new();
    for (seconds, of_model, is_finished) in [
        (10, true, true),
        (20, true, true),
        (30, false, true),
        (40, false, false),
        (100, false, true),
    ] {
        let run = store.start_run(&run_at(at(seconds))).unwrap();
        let mut start = session(&run, at(seconds));
        start.model_id = of_model.then_some(model_id);
        let id = store.open_session(&start).unwrap();
        store.save_session_file(id, &file("a")).unwrap();
        if is_finished {
            let end = ended(Outcome::Updated, at(seconds));
            store.finish_session(id, &progress(), &end).unwrap();
            let totals = RunTotals::default();
            store
                .finish_run(&run, &totals, &run_end(at(seconds)))
                .unwrap();
        }
        let event = Event {
            at: at(seconds),
            kind: EventKind::Skipped,
            model_id: Some(model_id),
            run_id: Some(run),
            detail: String::new(),
        };
        store.record_event(&event).unwrap();
        ids.push(id);
    }

    let pruned = store.prune_history(at(100)).unwrap();

    assert_eq!(
        (pruned.n_sessions, pruned.n_runs, pruned.n_events),
        (2, 2, 4)
    );
    let left = store.sessions(&SessionFilter::default()).unwrap();
    let left: Vec<_> = left.into_iter().map(|one| one.id).collect();
    assert_eq!(left, [ids[4], ids[3], ids[1]]);
    assert_eq!(store.session_files(ids[0]).unwrap(), []);
    assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 3);
    assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn settings_are_saved_listed_and_forgotten() {
    let home = Home::new();
    let store = home.open();
    assert_eq!(store.setting("disk.reserve").unwrap(), None);
    store.set_setting("disk.reserve", "20G", at(1)).unwrap();
    store.set_setting("cache.dir", "/srv", at(2)).unwrap();
    store.set_setting("disk.reserve", "20G", at(3)).unwrap();
    let saved = || -> Vec<(String, String)> {
        let settings = store.settings().unwrap().into_iter();
        settings.map(|one| (one.key, one.value)).collect()
    };
    let row = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        saved(),
        [row("cache.dir", "/srv"), row("disk.reserve", "20G")]
    );
    store.set_setting("disk.reserve", "5G", at(4)).unwrap();
    assert!(store.unset_setting("cache.dir").unwrap());
    assert!(!store.unset_setting("cache.dir").unwrap());
    assert_eq!(saved(), [row("disk.reserve", "5G")]);
}

#[test]
fn each_database_has_an_install_id_of_its_own_that_stays() {
    let (home, other) = (Home::new(), Home::new());
    let id = home.open().install_id().unwrap();
    assert_eq!(id.get_version_num(), 4);
    assert_eq!(home.open().install_id().unwrap(), id);
    assert_ne!(other.open().install_id().unwrap(), id);

    let store = home.open();
    assert_eq!(store.meta(MetaKey::ZoneFingerprint).unwrap(), None);
    store.set_meta(MetaKey::ZoneFingerprint, "2026e").unwrap();
    store.set_meta(MetaKey::ZoneFingerprint, "2026f").unwrap();
    assert_eq!(
        store.meta(MetaKey::ZoneFingerprint).unwrap().as_deref(),
        Some("2026f")
    );
    store.clear_meta(MetaKey::ZoneFingerprint).unwrap();
    assert_eq!(store.meta(MetaKey::ZoneFingerprint).unwrap(), None);
}

#[test]
fn a_blob_of_a_path_keeps_its_first_and_last_verification() {
    let home = Home::new();
    let store = home.open();
    let (a, b) = (Path::new("/cache/blobs/a"), Path::new("/srv/a"));
    store
        .save_blob(a, &content('a'), &stamp(100), at(1))
        .unwrap();
    store
        .save_blob(b, &content('a'), &stamp(100), at(2))
        .unwrap();
    store
        .save_blob(a, &content('a'), &stamp(100), at(5))
        .unwrap();
    let blob = store.blob(a).unwrap().unwrap();
    assert_eq!((blob.first_seen_at, blob.verified_at), (at(1), at(5)));
    // Other content under the same name is another file.
    store.save_blob(a, &content('c'), &stamp(7), at(9)).unwrap();
    let blob = store.blob(a).unwrap().unwrap();
    assert_eq!((blob.content, blob.size_bytes), (content('c'), 7));
    assert_eq!(blob.first_seen_at, at(9));
    // Another name of it is proven as long as this one.
    let proof = store.proof(a).unwrap().unwrap();
    assert!(proof.holds_for(&content('c'), &stamp(7), at(9)));
    assert!(!proof.holds_for(&content('c'), &stamp(8), at(9)));
    store
        .save_bad_file(&[b.to_owned()], &content('c'), at(10))
        .unwrap();
    store.copy_proof(a, b).unwrap();
    assert_eq!(store.proof(b).unwrap(), Some(proof));
    assert!(store.bad_files().unwrap().is_empty());
    assert!(store.forget_blob(a).unwrap());
    assert!(!store.forget_blob(a).unwrap());
    assert_eq!(store.blob(a).unwrap(), None);
}

#[test]
fn bad_files_are_news_once_and_forgotten_when_they_are_good_again() {
    let home = Home::new();
    let store = home.open();
    let path = Path::new("/cache/blobs/a");
    let snapshot = Path::new("/cache/snapshots/1");
    let names = [path.to_owned(), snapshot.join("a")];
    store
        .save_blob(path, &content('a'), &stamp(100), at(1))
        .unwrap();
    assert!(store.save_bad_file(&names, &content('a'), at(2)).unwrap());
    assert!(!store.save_bad_file(&names, &content('a'), at(3)).unwrap());
    assert_eq!(store.blob(path).unwrap(), None, "it is not proven any more");
    // It should hold something else now, and does not hold that either.
    assert!(store.save_bad_file(&names, &content('b'), at(4)).unwrap());
    let bad: Vec<_> = store.bad_files().unwrap().into_iter().collect();
    assert_eq!(bad, names.clone().map(|name| (name, content('b'))));
    store
        .save_blob(path, &content('b'), &stamp(100), at(5))
        .unwrap();
    store.forget_files_below(snapshot).unwrap();
    assert!(store.bad_files().unwrap().is_empty());
    assert!(store.blob(path).unwrap().is_some());
    store.save_bad_file(&names, &content('b'), at(6)).unwrap();
    assert!(store.forget_bad_file(path).unwrap());
    assert!(!store.forget_bad_file(path).unwrap());
}

#[test]
fn the_commits_of_a_model_are_kept_with_the_time_they_were_made_visible() {
    let home = Home::new();
    let store = home.open();
    let model_id = store.insert_model(&model("m"), at(0)).unwrap();
    let [a, b] = ["a", "b"].map(|digit| digit.repeat(40).parse::<CommitSha>().unwrap());
    store.save_revision(model_id, &a, at(1)).unwrap();
    store.save_revision(model_id, &b, at(2)).unwrap();
    let commits = || -> Vec<_> {
        let found = store.revisions(model_id).unwrap().into_iter();
        found.map(|one| (one.commit, one.published_at)).collect()
    };
    assert_eq!(commits(), [(b.clone(), at(2)), (a.clone(), at(1))]);
    // A rollback makes an old one the latest again.
    store.save_revision(model_id, &a, at(3)).unwrap();
    assert_eq!(commits(), [(a.clone(), at(3)), (b.clone(), at(2))]);
    // Two within a second, and one after the clock was set back.
    store.save_revision(model_id, &b, at(3)).unwrap();
    assert_eq!(commits(), [(b.clone(), at(4)), (a.clone(), at(3))]);
    store.save_revision(model_id, &a, at(1)).unwrap();
    assert_eq!(commits(), [(a.clone(), at(5)), (b.clone(), at(4))]);
    // Once more makes it no later.
    store.save_revision(model_id, &a, at(5)).unwrap();
    assert_eq!(commits(), [(a.clone(), at(5)), (b, at(4))]);
    assert!(store.forget_revision(model_id, &a).unwrap());
    assert!(!store.forget_revision(model_id, &a).unwrap());
    store.remove_model(model_id).unwrap();
    assert_eq!(commits(), []);
}

#[test]
fn events_and_quotas_are_kept() {
    let home = Home::new();
    let store = home.open();
    let model_id = store.insert_model(&model("m"), at(0)).unwrap();
    let mut event = Event {
        at: at(5),
        kind: EventKind::Orphaned,
        model_id: Some(model_id),
        run_id: None,
        detail: "gone upstream".to_owned(),
    };
    store.record_event(&event).unwrap();
    let since = |since| {
        let events = store.events_of(EventKind::Orphaned, since, at(9), 9);
        events.unwrap()
    };
    assert_eq!(since(at(5)), [event.clone()]);
    assert_eq!(since(at(6)), []);
    store.remove_model(model_id).unwrap();
    event.model_id = None;
    assert_eq!(since(at(0)), [event]);

    let mut limit = RateLimit {
        endpoint: "https://huggingface.co".to_owned(),
        bucket: "api".to_owned(),
        remaining: 500,
        resets_at: at(300),
    };
    store.save_rate_limit(&limit).unwrap();
    limit.remaining = 499;
    store.save_rate_limit(&limit).unwrap();
    assert_eq!(store.rate_limits(at(299)).unwrap(), [limit]);
    assert_eq!(store.rate_limits(at(300)).unwrap(), []);

    // No counter lasts longer than its window, and no server asks for more than a day.
    let until = |bucket: &str, seconds| {
        store
            .save_rate_limit(&RateLimit {
                endpoint: "https://huggingface.co".to_owned(),
                bucket: bucket.to_owned(),
                remaining: 0,
                resets_at: at(seconds),
            })
            .unwrap();
        store.rate_limits(at(0)).unwrap().len()
    };
    assert_eq!((until("api", 390), until("api", 391)), (1, 0));
    assert_eq!(until("retry-after", 86_460), 1);
    assert_eq!(until("retry-after", 86_461), 0);
}

#[test]
fn a_session_of_a_model_or_run_that_is_gone_is_refused_in_words() {
    let home = Home::new();
    let store = home.open();
    let run = store.start_run(&run_at(at(1))).unwrap();
    let model_id = store.insert_model(&model("m"), at(0)).unwrap();
    store.remove_model(model_id).unwrap();
    let mut start = session(&run, at(2));
    start.model_id = Some(model_id);
    let err = store.open_session(&start).unwrap_err();
    assert!(matches!(err, StoreError::MissingReference), "{err:?}");
    assert!(err.to_string().contains("not in the database"), "{err}");
}

#[test]
fn a_transaction_is_all_or_nothing_across_entities() {
    let home = Home::new();
    let store = home.open();
    let apply = |last: &str| {
        store.transaction(|store| -> anyhow::Result<()> {
            store.insert_model(&model("m"), at(0))?;
            store.set_setting("disk.reserve", "20G", at(0))?;
            let mut spec = schedule("s");
            spec.selection.models = names(&[last]);
            store.insert_schedule(&spec, &waiting_until(at(0)), at(0))?;
            Ok(())
        })
    };
    let err = apply("missing").unwrap_err();
    assert!(err.downcast_ref::<StoreError>().is_some());
    assert_eq!(store.models(&ModelFilter::default()).unwrap(), []);
    assert_eq!(store.settings().unwrap(), []);
    assert_eq!(store.schedules().unwrap().readable, []);
    apply("m").unwrap();
    assert_eq!(store.models(&ModelFilter::default()).unwrap().len(), 1);
    assert_eq!(store.schedules().unwrap().readable.len(), 1);
}

#[test]
fn a_step_that_fails_inside_a_transaction_undoes_only_itself() {
    let home = Home::new();
    let store = home.open();
    store
        .transaction(|store| {
            store.insert_model(&model("kept"), at(0))?;
            let inner = store.transaction(|store| {
                store.insert_model(&model("undone"), at(0))?;
                store.insert_model(&model("kept"), at(0))
            });
            assert!(matches!(inner, Err(StoreError::NotUnique { .. })));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let models = store.models(&ModelFilter::default()).unwrap();
    assert_eq!(texts(&models), ["kept"]);
}

#[test]
fn a_panic_inside_a_transaction_undoes_it() {
    let home = Home::new();
    let store = home.open();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.transaction(|store| -> Result<(), StoreError> {
            store.set_setting("a", "b", at(0))?;
            panic!("a worker's mistake");
        })
    }));
    assert!(caught.is_err());
    assert_eq!(store.settings().unwrap(), []);
    store.set_setting("a", "b", at(0)).unwrap();
}

#[test]
fn a_value_that_someone_edited_by_hand_is_named() {
    let home = Home::new();
    let store = home.open();
    store.insert_model(&model("m"), at(0)).unwrap();
    let sql = "UPDATE models SET repo_id = '../../etc'";
    home.sql().execute(sql, []).unwrap();
    let err = store.model(&name("m")).unwrap_err();
    assert!(matches!(err, StoreError::Unreadable(_)), "{err:?}");
    assert!(err.to_string().contains("`repo_id`"), "{err}");
}

/// Registers two models and saves a run, a session, an event and a standing of each.
fn two_models_with_history(store: &Store, standing: &Standing) -> [ModelId; 2] {
    let ids = ["a", "b"].map(|text| store.insert_model(&model(text), at(0)).unwrap());
    for (id, second) in ids.into_iter().zip([0, 10]) {
        let run = store.start_run(&run_at(at(second))).unwrap();
        let start = SessionStart {
            model_id: Some(id),
            slot_at: Some(at(0)),
            ..session(&run, at(second))
        };
        let opened = store.open_session(&start).unwrap();
        store.save_session_file(opened, &file("a.txt")).unwrap();
        store.save_session_file(opened, &file("b.txt")).unwrap();
        let end = ended(Outcome::Updated, at(second));
        store.finish_session(opened, &progress(), &end).unwrap();
        let totals = RunTotals {
            n_sessions: 1,
            ..RunTotals::default()
        };
        store
            .finish_run(&run, &totals, &run_end(at(second)))
            .unwrap();
        store
            .record_event(&Event {
                at: at(second),
                kind: EventKind::Held,
                model_id: Some(id),
                run_id: Some(run),
                detail: String::new(),
            })
            .unwrap();
        store.save_standing(id, standing).unwrap();
    }
    ids
}

/// Two connections read such a list.
#[test]
fn a_long_list_of_models_is_whole_in_order_and_names_its_unreadable_rows() {
    const N: usize = 3_000;
    let home = Home::new();
    let store = home.open();
    let run = store.start_run(&run_at(at(2))).unwrap();
    store.open_session(&session(&run, at(2))).unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)
        INSERT INTO models (name, repo_type, repo_id, revision, exclude, destination, priority,
                enabled, created_at, updated_at)
            SELECT 'm' || i, 'model', 'acme/m' || i, 'main', '[]', 'cache', 50, 1, 1, 1 FROM n;
        INSERT INTO sessions (run_id, model_id, repo_type, repo_id, revision, destination, trigger,
                state, started_at)
            SELECT run_id, models.id, models.repo_type, models.repo_id, models.revision, 'cache',
                trigger, state, 3 FROM models CROSS JOIN sessions;";
    home.sql().execute_batch(many).unwrap();
    let tags = "INSERT INTO model_tags SELECT id, 'llm' FROM models WHERE id % 3 = 0
        UNION SELECT id, 'small' FROM models WHERE id % 2 = 0";
    home.sql().execute(tags, []).unwrap();
    let filter = ModelFilter::default();
    let listed = |store: &Store| {
        let listed = store.map_checked_models(&filter, at(9), |model, last| (model, last));
        let (models, checks): (Vec<Model>, Vec<Option<LastCheck>>) =
            listed.unwrap().into_iter().unzip();
        assert!(checks.iter().all(Option::is_some));
        models
    };
    let models = listed(&store);
    assert_eq!(models, store.models(&filter).unwrap());
    assert!(models.is_sorted_by(|a, b| a.spec.name < b.spec.name));
    let ids: BTreeSet<_> = models.iter().map(|model| model.id).collect();
    assert_eq!((ids.len(), models.len()), (N, N));

    let bad = "UPDATE models SET upstream_state = 'later' WHERE name IN ('m10', 'm99')";
    home.sql().execute(bad, []).unwrap();
    assert_eq!(listed(&store).len(), N - 2);
    let named = store.bad_rows().concat();
    assert!(named.contains("m10") && named.contains("m99"), "{named}");
    let bad = "UPDATE model_tags SET tag = ' ' WHERE tag = 'small' AND model_id = 8";
    home.sql().execute(bad, []).unwrap();
    assert_eq!(listed(&store).len(), N - 3, "one unreadable tag");
    home.sql().execute("DELETE FROM model_tags", []).unwrap();

    let in_transaction = store.transaction(|store| {
        store.remove_model(models[N - 1].id)?;
        Ok::<_, StoreError>(listed(store))
    });
    assert_eq!(in_transaction.unwrap().len(), N - 3);
}

#[test]
fn the_last_checks_of_a_long_list_are_those_of_each_model() {
    let home = Home::new();
    let store = home.open();
    let run = store.start_run(&run_at(at(2))).unwrap();
    store.open_session(&session(&run, at(2))).unwrap();
    let verification = RunStart {
        command: RunCommand::Verify,
        ..run_at(at(3))
    };
    let verifies = store.start_run(&verification).unwrap();
    store.open_session(&session(&verifies, at(3))).unwrap();
    let models = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499)
        INSERT INTO models (name, repo_type, repo_id, revision, exclude, destination, priority,
                enabled, created_at, updated_at)
            SELECT 'm' || i, 'model', 'acme/m' || i, 'main', '[]', 'cache', 50, 1, 1, 1 FROM n;";
    home.sql().execute_batch(models).unwrap();
    // All models but some; the third part twice, so that others are older than the last 2,500
    // sessions; a verification; a clock that was wrong.
    for (template, at, which) in [
        (1, 4, "id % 13 <> 0"),
        (1, 5, "id % 3 = 0"),
        (1, 6, "id % 3 = 0"),
        (2, 7, "id % 4 = 0"),
        (1, 9_999, "id % 5 = 0"),
    ] {
        let sessions = format!(
            "INSERT INTO sessions (run_id, model_id, repo_type, repo_id, revision, destination,
                    trigger, state, started_at, files_total)
                SELECT run_id, models.id, models.repo_type, models.repo_id, models.revision,
                    'cache', trigger, state, {at}, {at}
                FROM models CROSS JOIN sessions WHERE sessions.id = {template} AND models.{which}"
        );
        home.sql().execute(&sessions, []).unwrap();
    }
    let mut expected = BTreeMap::new();
    for model in store.models(&ModelFilter::default()).unwrap() {
        let last = store.last_session(model.id, at(100)).unwrap();
        expected.extend(last.map(|last| (model.id, LastCheck::of(&last))));
    }
    assert!((2_000..2_500).contains(&expected.len()));
    assert_eq!(last_checks(&store, at(100)), expected);
}

#[test]
fn one_unreadable_row_of_the_history_hides_no_other() {
    let home = Home::new();
    let store = home.open();
    let standing = Standing {
        failing: None,
        held: Some(commit('a')),
    };
    let ids = two_models_with_history(&store, &standing);
    store.read_all_tables(at(20)).unwrap();
    assert_eq!(store.bad_rows(), Vec::<String>::new());

    let bad = "UPDATE sessions SET error_kind = 'later', error = '' WHERE id = 1;
        UPDATE session_files SET result = 'later' WHERE path = 'a.txt';
        UPDATE runs SET trigger = 'later' WHERE started_at = (SELECT min(started_at) FROM runs);
        UPDATE events SET kind = 'later' WHERE id = 1;
        UPDATE alerts SET error_kind = 'later', since = 0 WHERE model_id = 1;";
    home.sql().execute_batch(bad).unwrap();

    let any = SessionFilter::default();
    let [good] = <[_; 1]>::try_from(store.sessions(&any).unwrap()).unwrap();
    assert_eq!(good.start.model_id, Some(ids[1]));
    assert_eq!(store.session_files(good.id).unwrap().len(), 1);
    assert_eq!(store.last_session(ids[0], at(20)).unwrap(), None);
    assert_eq!(store.last_session(ids[1], at(20)).unwrap(), Some(good));
    assert_eq!(last_checks(&store, at(20)).len(), 1);
    // The outcome is readable, which is enough to know that the slot is done.
    assert_eq!(store.models_done_since(at(0), at(20)).unwrap().len(), 2);
    assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 1);
    let first = RunId::first_at(at(-10));
    let all = store.runs_with_sessions(&first, &RunId::first_at(at(20)));
    assert_eq!(all.unwrap().len(), 1);
    assert_eq!(store.events(at(0), 9).unwrap().len(), 1);
    assert_eq!(
        store.standings().unwrap(),
        BTreeMap::from([(ids[1], standing)])
    );

    store.read_all_tables(at(20)).unwrap();
    let named = store.bad_rows();
    let tables: BTreeSet<_> = named
        .iter()
        .map(|row| row.split(':').next().unwrap())
        .collect();
    let expected = [
        "`alerts`",
        "`events`",
        "`runs`",
        "`session_files`",
        "`sessions`",
    ];
    assert_eq!(tables, BTreeSet::from(expected), "{named:?}");
    let session = "`sessions`: 1: `error_kind`: `later` is not one of integrity, auth,";
    assert!(
        named.iter().any(|row| row.starts_with(session)),
        "{named:?}"
    );
}

#[test]
fn a_run_starts_also_behind_a_run_with_an_unreadable_id() {
    let home = Home::new();
    let store = home.open();
    let first = store.start_run(&run_at(at(0))).unwrap();
    let upper = "UPDATE runs SET id = substr(id, 1, 35) || 'X'";
    home.sql().execute(upper, []).unwrap();
    let second = store.start_run(&run_at(at(1))).unwrap();
    assert!(second > first);
}

#[test]
fn reported_failures_are_kept_until_the_model_recovers_or_is_removed() {
    let home = Home::new();
    let store = home.open();
    let id = store.insert_model(&model("m"), at(0)).unwrap();
    let standing = Standing {
        failing: Some(Failing {
            kind: ErrorKind::Auth,
            since: at(1),
            told_at: None,
            n_failures: 2,
        }),
        held: None,
    };
    let told = Standing {
        failing: standing.failing.map(|failing| Failing {
            told_at: Some(at(2)),
            ..failing
        }),
        held: Some(commit('a')),
    };
    for standing in [&standing, &told] {
        store.save_standing(id, standing).unwrap();
        let known = store.standings().unwrap();
        assert_eq!(known, BTreeMap::from([(id, standing.clone())]));
    }
    store.save_standing(id, &Standing::default()).unwrap();
    assert_eq!(store.standings().unwrap(), BTreeMap::new());
    store.save_standing(id, &told).unwrap();
    store.remove_model(id).unwrap();
    store.save_standing(id, &told).unwrap();
    assert_eq!(store.standings().unwrap(), BTreeMap::new());
}

#[test]
fn totals_count_crashes_too_and_survive_the_history() {
    let home = Home::new();
    let store = home.open();
    let id = store.insert_model(&model("m"), at(0)).unwrap();
    let begin = |second| {
        let run = store.start_run(&run_at(at(second))).unwrap();
        let start = SessionStart {
            model_id: Some(id),
            ..session(&run, at(second))
        };
        let session = store.open_session(&start).unwrap();
        store.save_progress(session, &progress()).unwrap();
        (run, session)
    };
    let each = progress().bytes.fetched;
    assert!(each > 0);
    begin(0);
    let (run, ended_one) = begin(1);
    store.close_crashed_runs(Some(&run)).unwrap();
    let end = ended(Outcome::Updated, at(2));
    store.finish_session(ended_one, &progress(), &end).unwrap();
    let totals = RunTotals::default();
    store.finish_run(&run, &totals, &run_end(at(2))).unwrap();
    store
        .record_skipped_run(&run_at(at(3)), RunOutcome::SkippedLocked, 11)
        .unwrap();
    let check = || {
        let fetched = store.bytes_ever_fetched().unwrap();
        assert_eq!(fetched, BTreeMap::from([(id, 2 * each)]));
        let runs = store.runs_ever_ended().unwrap();
        let of = |outcome| runs.get(&outcome).copied();
        assert_eq!(of(RunOutcome::Crashed), Some(1));
        assert_eq!(of(RunOutcome::SkippedLocked), Some(1));
        assert_eq!(runs.values().sum::<u64>(), 3);
    };
    check();
    let pruned = store.prune_history(at(1_000)).unwrap();
    assert_eq!((pruned.n_sessions, pruned.n_runs), (1, 2));
    check();
}

#[test]
fn the_oldest_verified_file_is_looked_for_below_one_folder_only() {
    let home = Home::new();
    let store = home.open();
    let folder = Path::new("/hub/models--a--b");
    assert_eq!(store.oldest_verified_below(folder).unwrap(), None);
    for (path, second) in [
        ("/hub/models--a--b/blobs/x", 5),
        ("/hub/models--a--b/blobs/y", 3),
        ("/hub/models--a--b-c/blobs/x", 1),
        ("/hub/models--a--b", 2),
    ] {
        store
            .save_blob(Path::new(path), &content('a'), &stamp(1), at(second))
            .unwrap();
    }
    if cfg!(unix) {
        assert_eq!(store.oldest_verified_below(folder).unwrap(), Some(at(3)));
    }
}
