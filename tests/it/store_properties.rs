//! Any sequence of valid operations keeps the database whole.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use hfdl::domain::model::ModelId;
use hfdl::domain::outcome::Outcome;
use hfdl::domain::run::{RunId, RunTotals};
use hfdl::domain::schedule::ScheduleId;
use hfdl::domain::session::SessionId;
use hfdl::store::{ModelFilter, Store, StoreError};
use proptest::prelude::*;

use crate::store_samples::*;

/// One operation; numbers choose among what exists when it is its turn.
#[derive(Clone, Debug)]
enum Operation {
    AddModel(u8, u8),
    EditModel(usize, u8),
    RemoveModel(usize),
    AddSchedule(u8, u8),
    EditSchedule(usize, u8),
    RemoveSchedule(usize),
    StartRun,
    OpenSession(usize, usize),
    SaveFile(usize, u8),
    FinishSession(usize),
    FinishRun(usize),
    CloseCrashed,
    Prune(i64),
    SetSetting(u8),
    SaveBlob(u8),
    FailInTheMiddle(u8),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let seed = any::<u8>;
    let which = any::<usize>;
    prop_oneof![
        (seed(), seed()).prop_map(|(a, b)| AddModel(a, b)),
        (which(), seed()).prop_map(|(a, b)| EditModel(a, b)),
        which().prop_map(RemoveModel),
        (seed(), seed()).prop_map(|(a, b)| AddSchedule(a, b)),
        (which(), seed()).prop_map(|(a, b)| EditSchedule(a, b)),
        which().prop_map(RemoveSchedule),
        Just(StartRun),
        (which(), which()).prop_map(|(a, b)| OpenSession(a, b)),
        (which(), seed()).prop_map(|(a, b)| SaveFile(a, b)),
        which().prop_map(FinishSession),
        which().prop_map(FinishRun),
        Just(CloseCrashed),
        (0..200i64).prop_map(Prune),
        seed().prop_map(SetSetting),
        seed().prop_map(SaveBlob),
        seed().prop_map(FailInTheMiddle),
    ]
}

/// The store and what the operations have put into it so far.
struct StoreEnv {
    store: Store,
    models: Vec<ModelId>,
    schedules: Vec<ScheduleId>,
    runs: Vec<RunId>,
    sessions: Vec<SessionId>,
    clock: i64,
}

fn pick<T: Clone>(things: &[T], which: usize) -> Option<T> {
    (!things.is_empty()).then(|| things[which % things.len()].clone())
}

fn tags(seed: u8) -> BTreeSet<hfdl::domain::model::Tag> {
    ["x", "y", "z"]
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| seed & (1 << bit) != 0)
        .map(|(_, tag)| name(tag))
        .collect()
}

impl StoreEnv {
    fn do_one(&mut self, operation: &Operation) -> Result<(), StoreError> {
        self.clock += 1;
        let now = at(self.clock);
        let store = &self.store;
        match operation {
            Operation::AddModel(text, seed) => {
                let mut spec = model(&format!("m{}", text % 16));
                spec.tags = tags(*seed);
                self.models.push(store.insert_model(&spec, now)?);
            }
            Operation::EditModel(which, seed) => {
                if let Some(id) = pick(&self.models, *which) {
                    let mut spec = rich_model(&format!("m{}", seed % 16));
                    spec.tags = tags(*seed);
                    store.update_model(id, &spec, now)?;
                }
            }
            Operation::RemoveModel(which) => {
                if let Some(id) = pick(&self.models, *which) {
                    store.remove_model(id)?;
                    self.models.retain(|other| *other != id);
                }
            }
            Operation::AddSchedule(text, seed) => {
                let spec = self.schedule_spec(*text, *seed);
                let id = store.insert_schedule(&spec, &waiting_until(now), now)?;
                self.schedules.push(id);
            }
            Operation::EditSchedule(which, seed) => {
                if let Some(id) = pick(&self.schedules, *which) {
                    store.update_schedule(id, &self.schedule_spec(*seed, *seed), now)?;
                }
            }
            Operation::RemoveSchedule(which) => {
                if let Some(id) = pick(&self.schedules, *which) {
                    store.remove_schedule(id)?;
                    self.schedules.retain(|other| *other != id);
                }
            }
            Operation::StartRun => self.runs.push(store.start_run(&run_at(now))?),
            Operation::OpenSession(run, which) => {
                if let Some(run) = pick(&self.runs, *run) {
                    let mut start = session(&run, now);
                    start.model_id = pick(&self.models, *which);
                    start.schedule_id = pick(&self.schedules, *which);
                    self.sessions.push(store.open_session(&start)?);
                }
            }
            Operation::SaveFile(which, path) => {
                if let Some(id) = pick(&self.sessions, *which) {
                    store.save_session_file(id, &file(&format!("f{path}")))?;
                }
            }
            Operation::FinishSession(which) => {
                if let Some(id) = pick(&self.sessions, *which) {
                    let end = ended(Outcome::Updated, now);
                    store.finish_session(id, &progress(), &end)?;
                }
            }
            Operation::FinishRun(which) => {
                if let Some(id) = pick(&self.runs, *which) {
                    store.finish_run(&id, &RunTotals::default(), &run_end(now))?;
                }
            }
            Operation::CloseCrashed => {
                if let Some(last) = self.runs.last() {
                    store.close_crashed_runs(Some(last))?;
                }
            }
            Operation::Prune(before) => {
                store.prune_history(at(*before))?;
            }
            Operation::SetSetting(key) => store.set_setting(&format!("k{key}"), "v", now)?,
            Operation::SaveBlob(path) => {
                let path = format!("/blobs/{path}");
                store.save_blob(path.as_ref(), &content('a'), &stamp(1), now)?;
            }
            Operation::FailInTheMiddle(text) => store.transaction(|store| {
                store.insert_model(&model(&format!("half{text}")), now)?;
                store.remove_model(ModelId(-1))
            })?,
        }
        Ok(())
    }

    fn schedule_spec(&self, text: u8, seed: u8) -> hfdl::domain::schedule::ScheduleSpec {
        let mut spec = rich_schedule(&format!("s{}", text % 8));
        let models = self.store.models(&ModelFilter::default()).unwrap();
        spec.selection.models = models
            .into_iter()
            .take(usize::from(seed % 4))
            .map(|model| model.spec.name)
            .collect();
        spec.selection.tags = tags(seed);
        spec.enabled = seed.is_multiple_of(2);
        spec
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_operations_keeps_the_database_whole(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        let home = Home::new();
        let mut world = StoreEnv {
            store: home.open(),
            models: Vec::new(),
            schedules: Vec::new(),
            runs: Vec::new(),
            sessions: Vec::new(),
            clock: 0,
        };
        for operation in &operations {
            let expected = match world.do_one(operation) {
                Ok(()) => true,
                // Operations that earlier ones made impossible.
                Err(StoreError::NotUnique { .. } | StoreError::NotFound { .. }) => true,
                Err(StoreError::Ended { .. } | StoreError::MissingReference) => true,
                Err(_) => false,
            };
            prop_assert!(expected, "{operation:?} failed");
        }
        prop_assert_eq!(world.store.check_integrity().unwrap(), Vec::<String>::new());
        // All written rows can be read again.
        let models = world.store.models(&ModelFilter::default()).unwrap();
        prop_assert_eq!(models.len(), world.models.len());
        prop_assert!(!models.iter().any(|model| model.spec.name.as_str().starts_with("half")));
        prop_assert_eq!(world.store.schedules().unwrap().readable.len(), world.schedules.len());
        world.store.sessions(&Default::default()).unwrap();
        world.store.runs(&Default::default()).unwrap();
    }
}
