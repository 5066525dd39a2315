//! Entities for the tests of this module.

use super::{
    Cadence, CatchUp, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Selection, Windows,
};
use crate::domain::filter::Filter;
use crate::domain::model::{Destination, Model, ModelId, ModelSpec, ModelState};
use crate::domain::repo::{Repo, RepoType};
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

pub(super) fn cadence(text: &str) -> Cadence {
    let (kind, spec) = text.split_once(' ').expect("a kind and its text");
    Cadence::parse(kind.parse().expect("a kind"), spec).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn windows(text: &str) -> Windows {
    Windows::parse([text]).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns an enabled schedule in UTC, created in 1970, that includes no model.
pub(super) fn schedule(id: i64, text: &str) -> Schedule {
    let start = Timestamp::UNIX_EPOCH;
    Schedule {
        id: ScheduleId(id),
        spec: ScheduleSpec {
            name: format!("s{id}").parse().expect("a word"),
            cadence: cadence(text),
            time_zone: "UTC".to_owned(),
            windows: Windows::default(),
            catch_up: CatchUp::default(),
            jitter: Seconds(0),
            limit_rate: None,
            max_duration: None,
            max_transfer: None,
            priority: Default::default(),
            enabled: true,
            selection: Selection::default(),
        },
        state: ScheduleState::new(start),
        created_at: start,
        updated_at: start,
    }
}

pub(super) fn model(id: i64, name: &str, tags: &[&str]) -> Model {
    Model {
        id: ModelId(id),
        spec: ModelSpec {
            name: name.parse().expect("a word"),
            repo: Repo {
                kind: RepoType::Model,
                id: format!("org/{name}").parse().expect("a repository"),
            },
            revision: "main".parse().expect("a revision"),
            filter: Filter::default(),
            destination: Destination::Cache,
            priority: Default::default(),
            keep_revisions: None,
            enabled: true,
            tags: tags
                .iter()
                .map(|tag| tag.parse().expect("a word"))
                .collect(),
        },
        state: ModelState::default(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

pub(super) fn all() -> Selection {
    Selection {
        all: true,
        ..Selection::default()
    }
}

pub(super) fn tagged(tag: &str) -> Selection {
    Selection {
        tags: [tag.parse().expect("a word")].into(),
        ..Selection::default()
    }
}
