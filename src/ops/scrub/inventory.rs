//! The published files of this home, with the dates of their proofs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::domain::content::ContentId;
use crate::domain::model::{Destination, Model};
use crate::domain::proof::ProofStamp;
use crate::domain::repo::CommitSha;
use crate::domain::scrub::{ScrubFile, ScrubPosition};
use crate::domain::shard::Shard;
use crate::domain::snapshot::RemoteFile;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::domain::xet::XetHash;
use crate::ops::download::cache_choice;
use crate::ops::ownership;
use crate::ops::places::Places;
use crate::ops::services::Services;
use crate::ops::sync::{CacheChoice, Target};
use crate::ops::verify::{BadFile, BadReason, Expected, HashFinding, HashResult, Look, look};
use crate::store::Store;
use crate::sys::stamp::stamp_at;

/// A file on disk; it may have several names and belong to several models.
pub(super) struct PublishedFile {
    /// The index of the first target that has it.
    pub target: usize,
    /// The path under which the database knows it.
    pub path: PathBuf,
    pub content: ContentId,
    /// The sidecar and the listed Xet hash of a file whose next version may be fetched as
    /// a delta.
    pub sidecar: Option<(PathBuf, XetHash)>,
    /// `None` if the file cannot be examined.
    pub stamp: Option<ProofStamp>,
    pub size_bytes: u64,
    pub proven_at: Option<Timestamp>,
    pub position: Option<ScrubPosition>,
    /// The reading that found it bad, in this scrub or an earlier one.
    pub bad: Option<HashResult>,
    /// Known to be bad before, in the published commit: each sync of the model tries to
    /// fetch it again.
    pub is_tried_by_syncs: bool,
}

#[derive(Default)]
pub(super) struct Inventory {
    /// Registered models at their published commits and kept revisions.
    pub targets: Vec<Target>,
    pub files: Vec<PublishedFile>,
    /// Models whose files could not be listed.
    pub n_unlisted: u64,
}

impl PublishedFile {
    pub fn facts(&self) -> ScrubFile {
        ScrubFile {
            proven_at: self.proven_at,
            size_bytes: self.size_bytes,
            bytes_read: self.position.as_ref().map_or(0, |it| it.position),
        }
    }
}

/// Lists the files; only their names, sizes and proofs are read.
pub(super) struct Lister<'a> {
    services: &'a Services<'a>,
    choice: CacheChoice,
    every: Seconds,
    now: Timestamp,
    positions: HashMap<PathBuf, ScrubPosition>,
    known_bad: BTreeMap<PathBuf, ContentId>,
    seen: BTreeSet<PathBuf>,
    /// The published commit of the model whose files are being listed.
    published: Option<CommitSha>,
    found: Inventory,
}

impl<'a> Lister<'a> {
    pub fn new(services: &'a Services<'a>, every: Seconds, now: Timestamp) -> Result<Self> {
        let store = &services.store;
        Ok(Self {
            services,
            choice: choice(services)?,
            every,
            now,
            positions: store.scrub_positions()?,
            known_bad: store.bad_files()?,
            seen: BTreeSet::new(),
            published: None,
            found: Inventory::default(),
        })
    }

    pub fn list(mut self, shard: Shard) -> Result<Inventory> {
        let store = &self.services.store;
        // One model at a time: there may be thousands.
        for id in store.published_model_ids()? {
            match store.model_by_id(id) {
                Ok(Some(model)) if shard.holds(&model.spec.repo, &model.spec.revision) => {
                    self.add_model(&model)?;
                }
                Ok(_) => {}
                Err(err) => {
                    log::warn!("{err:#}");
                    self.found.n_unlisted += 1;
                }
            }
        }
        // A disk that is not there, and another shard, may go on with theirs.
        if shard == Shard::ALL && self.found.n_unlisted == 0 {
            for path in self.positions.keys() {
                store.forget_scrub_position(path)?;
            }
        }
        Ok(self.found)
    }

    fn add_model(&mut self, model: &Model) -> Result<()> {
        self.published = model.state.published_commit.clone();
        for commit in commits_of(&self.services.store, model)? {
            let target = Target {
                known_commit: Some(commit.clone()),
                ..Target::from(model)
            };
            match look_at(self.services, &self.choice, &target) {
                Ok(Some(look)) => self.add(target, &look),
                Ok(None) => {}
                Err(err) => {
                    log::info!("{}: cannot be read again: {err:#}", target.label());
                    self.found.n_unlisted += 1;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, target: Target, look: &Look) {
        let index = self.found.targets.len();
        self.found.targets.push(target);
        let services = self.services;
        services.store.reading(|| {
            for file in look.present.iter().filter(|file| !look.is_edited(file)) {
                self.add_file(index, look, file, false);
            }
            for bad in look.bad.iter().filter(|bad| is_damage(look, bad)) {
                if let Some(file) = &bad.file {
                    self.add_file(index, look, file, true);
                }
            }
        });
    }

    fn add_file(&mut self, target: usize, look: &Look, file: &RemoteFile, is_bad: bool) {
        let path = look.place.file_of(&look.commit, file);
        if !self.seen.insert(path.clone()) {
            return;
        }
        let content = file.content;
        let stamp = stamp_at(&path).ok().flatten();
        let position = self.positions.remove(&path);
        let proof = self.services.store.proof(&path).ok().flatten();
        let proven_at = stamp.as_ref().zip(proof).and_then(|(stamp, proof)| {
            let holds = !is_bad && proof.holds_for(&content, stamp, self.now);
            holds.then_some(proof.verified_at)
        });
        let holds = |it: &ScrubPosition| {
            let is_of_file = |stamp| it.holds_for(&content, stamp, self.every, self.now);
            // A file that was proven meanwhile is read from its beginning.
            stamp.as_ref().is_some_and(is_of_file) && Some(it.begun_at) >= proven_at
        };
        let is_known_bad = is_bad || self.known_bad.get(&path) == Some(&content);
        let is_published = self.published.as_ref() == Some(&look.commit);
        let may_have_delta = file.may_have_delta() && !self.services.settings.xet_is_off();
        let xet_hash = file.xet_hash.filter(|_| may_have_delta);
        self.found.files.push(PublishedFile {
            target,
            bad: is_known_bad.then(wrong_bytes),
            is_tried_by_syncs: is_known_bad && is_published,
            position: position.filter(holds),
            sidecar: xet_hash.map(|hash| (look.place.sidecar(&content), hash)),
            path,
            content,
            stamp,
            size_bytes: file.size_bytes,
            proven_at,
        });
    }
}

/// Describes bytes with a wrong hash. The Xet hash is no witness of a scrub.
pub(super) fn wrong_bytes() -> HashResult {
    HashResult::Bad(HashFinding::new(false, &Default::default(), None))
}

/// Returns the commits of a model whose files are kept.
fn commits_of(store: &Store, model: &Model) -> Result<Vec<CommitSha>> {
    let mut commits: Vec<CommitSha> = model.state.published_commit.clone().into_iter().collect();
    if model.spec.destination == Destination::Cache && !commits.is_empty() {
        let kept = store.revisions(model.id)?.into_iter();
        let kept = kept.map(|kept| kept.commit);
        let others: Vec<CommitSha> = kept.filter(|commit| !commits.contains(commit)).collect();
        commits.extend(others);
    }
    Ok(commits)
}

/// Returns the files of a target that have a name; `None` if its folder is gone.
pub(super) fn look_at(
    services: &Services<'_>,
    choice: &CacheChoice,
    target: &Target,
) -> Result<Option<Look>> {
    let expected = Expected::Named;
    let found = look(None, &services.stop, choice, target, expected)?;
    Ok(found.filter(|look| look.place.readable_at(&look.commit).is_dir()))
}

/// Tells whether a difference that shows without reading is damage. A file that lost its
/// name is fetched by the next check.
pub(super) fn is_damage(look: &Look, bad: &BadFile) -> bool {
    let has_name = || {
        let entry = look.place.entry(&look.commit, &bad.path);
        entry.symlink_metadata().is_ok()
    };
    match bad.reason {
        BadReason::Changed => false,
        BadReason::Missing => has_name(),
        _ => true,
    }
}

pub(super) fn choice(services: &Services<'_>) -> Result<CacheChoice> {
    let Services {
        host,
        home,
        store,
        settings,
        ..
    } = services;
    Ok(CacheChoice {
        home: Some(ownership::identity(host, home, store)?),
        ..cache_choice(host, settings, Arc::new(Places::load(store, settings)?))
    })
}
