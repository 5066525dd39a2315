//! Entities for the tests of this module.

use super::{Cadence, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Selection, Windows};
use crate::domain::model::{Model, ModelId, ModelSpec, ModelState};
use crate::domain::repo::{Repo, RepoType};
use crate::domain::time::Timestamp;

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
        spec: ScheduleSpec::new(
            format!("s{id}").parse().expect("a word"),
            cadence(text),
            "UTC".to_owned(),
        ),
        state: ScheduleState::new(start),
        created_at: start,
        updated_at: start,
    }
}

pub(super) fn model(id: i64, name: &str, tags: &[&str]) -> Model {
    let repo = format!("org/{name}").parse().expect("a repository");
    let repo = Repo::new(RepoType::Model, repo);
    Model {
        id: ModelId(id),
        spec: ModelSpec {
            tags: tags
                .iter()
                .map(|tag| tag.parse().expect("a word"))
                .collect(),
            ..ModelSpec::new(name.parse().expect("a word"), repo)
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
