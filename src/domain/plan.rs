//! What one synchronisation has to do: pure, from a listing and local facts.
//!
//! The plan is the whole truth about a sync. A dry run prints it, a real run
//! carries it out, and its totals are exact because both read the same value.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::content::ContentId;
use super::delta::Copy;
use super::filter::Filter;
use super::origin::Origin;
use super::placement::{Placement, PlacementError};
use super::repo::{CommitSha, RepoPath};
use super::snapshot::{RemoteFile, RemoteSnapshot};
use super::xet::FileMap;

/// What the disk holds that a sync can use.
///
/// Whoever fills it in reports what is there; whether that is good enough is
/// decided by the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// The files that stand under their final names at the wanted commit.
    pub in_place: HashMap<RepoPath, InPlace>,
    /// Whole contents under the names of their hashes, or known otherwise.
    pub contents: HashMap<ContentId, Found>,
    /// Bytes that an earlier, interrupted fetch left and that need no second fetch.
    pub partials: HashMap<ContentId, u64>,
    /// The paths of the snapshot that is published now.
    pub previous: BTreeSet<RepoPath>,
}

/// A file under its final name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    pub size_bytes: u64,
    /// Which content it is; `None` when only the commit vouches for it, as
    /// with a real file in a snapshot folder.
    pub content: Option<ContentId>,
}

impl LocalFacts {
    /// Forgets a file and its content, because its bytes were found to be
    /// wrong or are to be fetched again; the next plan fetches it.
    pub fn distrust(&mut self, file: &RemoteFile) {
        self.contents.remove(&file.content);
        self.in_place.retain(|path, there| {
            *path != file.path && there.content.is_none_or(|content| content != file.content)
        });
    }
}

impl InPlace {
    /// Tells whether this is the listed file, as far as its size and name tell.
    pub fn is_the_file(&self, file: &RemoteFile) -> bool {
        self.size_bytes == file.size_bytes
            && self.content.is_none_or(|content| content == file.content)
    }
}

/// A whole content on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub size_bytes: u64,
    pub place: Place,
}

/// Where a content lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the destination's own store, under its own name.
    Here,
    /// In another file, from which it must be linked or copied first.
    At(PathBuf),
}

/// What to do for each wanted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncPlan {
    pub commit: CommitSha,
    /// Every wanted file, sorted by path.
    pub files: Vec<PlannedFile>,
    /// Files of the published snapshot that the repository no longer has.
    pub deleted: Vec<RepoPath>,
    pub totals: Totals,
}

/// One wanted file and its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    pub file: RemoteFile,
    pub action: Action,
    /// How to make it of old files, where that saves fetching.
    pub delta: Option<Arc<FileDelta>>,
}

/// How a file is made of old ones on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDelta {
    /// The copies name the old files by their places in `sources`.
    pub copies: Vec<Copy>,
    pub sources: Vec<DeltaSource>,
    /// Bytes to copy, and bytes to fetch, beyond those that are in the partial file.
    pub copied_bytes: u64,
    pub missing_bytes: u64,
    /// What the new file is made of.
    pub map: FileMap,
    /// What the old ones are made of.
    pub old: Vec<FileMap>,
    /// What was found out about old contents and is worth writing down.
    pub learnt: Vec<(ContentId, u64, FileMap)>,
}

/// An old file that bytes are copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaSource {
    pub file: PathBuf,
    pub origin: Origin,
}

/// How a file comes to its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is there already.
    Keep,
    /// Its content is on this machine.
    Link(Place),
    /// Its content is fetched for another file of this plan.
    LinkToFetched,
    /// It is fetched, except for the bytes that an earlier fetch left.
    Resume {
        have_bytes: u64,
    },
    Fetch,
}

impl PlannedFile {
    /// Counts the bytes that have to come over the line.
    pub fn missing_bytes(&self) -> u64 {
        if let Some(delta) = &self.delta {
            return delta.missing_bytes;
        }
        match self.action {
            Action::Fetch => self.file.size_bytes,
            Action::Resume { have_bytes } => self.file.size_bytes.saturating_sub(have_bytes),
            Action::Keep | Action::Link(_) | Action::LinkToFetched => 0,
        }
    }
}

impl Action {
    /// Tells whether bytes have to come over the line.
    pub fn is_fetch(&self) -> bool {
        matches!(self, Self::Fetch | Self::Resume { .. })
    }
}

/// Counts that always add up: files are fetched or reused; bytes are fetched,
/// reused, taken from partial files or copied from old ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub files: u64,
    pub files_to_fetch: u64,
    pub files_reused: u64,
    pub bytes: u64,
    pub bytes_to_fetch: u64,
    pub bytes_reused: u64,
    pub bytes_from_partials: u64,
    /// Bytes to copy out of old files.
    pub bytes_copied: u64,
}

/// Says why a listing cannot be synchronised to a place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error("the listing gives the content of `{path}` two sizes, {one} and {other} bytes")]
    TwoSizes {
        path: RepoPath,
        one: u64,
        other: u64,
    },
}

impl SyncPlan {
    /// Tells whether every wanted file is in place already.
    pub fn changes_nothing(&self) -> bool {
        self.files.iter().all(|file| file.action == Action::Keep)
    }

    /// Makes a file that is fetched of old ones.
    pub fn use_delta(&mut self, content: &ContentId, delta: FileDelta) {
        let is_it = |file: &&mut PlannedFile| {
            file.action.is_fetch() && file.delta.is_none() && file.file.content == *content
        };
        let Some(file) = self.files.iter_mut().find(is_it) else {
            return;
        };
        let before = file.missing_bytes();
        let totals = &mut self.totals;
        totals.bytes_to_fetch = totals.bytes_to_fetch.saturating_sub(before);
        totals.bytes_to_fetch = totals.bytes_to_fetch.saturating_add(delta.missing_bytes);
        totals.bytes_copied = totals.bytes_copied.saturating_add(delta.copied_bytes);
        file.delta = Some(Arc::new(delta));
    }

    /// Returns the files whose bytes must come from the network, each content once.
    pub fn fetches(&self) -> impl Iterator<Item = &PlannedFile> {
        self.files.iter().filter(|file| file.action.is_fetch())
    }

    /// Returns the contents to bring in from elsewhere on this machine, each once.
    pub fn imports(&self) -> BTreeMap<ContentId, (u64, &PathBuf)> {
        let mut imports = BTreeMap::new();
        for PlannedFile { file, action, .. } in &self.files {
            if let Action::Link(Place::At(path)) = action {
                imports.insert(file.content, (file.size_bytes, path));
            }
        }
        imports
    }
}

/// Decides for each wanted file whether to keep, link, resume or fetch it.
///
/// Names are checked among the wanted files only: a filter that leaves one of
/// two clashing files out is a way to get the rest.
pub fn plan_sync(
    remote: &RemoteSnapshot,
    filter: &Filter,
    placement: &Placement,
    local: &LocalFacts,
) -> Result<SyncPlan, PlanError> {
    let wanted = || {
        let files = remote.files.iter();
        files.filter(|file| filter.selects(file.path.as_str()))
    };
    placement.check(wanted().map(|file| &file.path))?;

    let mut sizes = HashMap::new();
    let mut fetched = BTreeSet::new();
    let mut files = Vec::new();
    let mut totals = Totals::default();
    for file in wanted() {
        let one = *sizes.entry(file.content).or_insert(file.size_bytes);
        if one != file.size_bytes {
            return Err(PlanError::TwoSizes {
                path: file.path.clone(),
                one,
                other: file.size_bytes,
            });
        }
        let mut action = decide(file, local);
        if matches!(action, Action::Fetch | Action::Resume { .. }) && !fetched.insert(file.content)
        {
            action = Action::LinkToFetched;
        }
        totals.add(file.size_bytes, &action);
        files.push(PlannedFile {
            file: file.clone(),
            action,
            delta: None,
        });
    }
    files.sort_by(|a, b| a.file.path.cmp(&b.file.path));

    let listed: BTreeSet<&RepoPath> = remote.files.iter().map(|file| &file.path).collect();
    let gone = local.previous.iter().filter(|path| !listed.contains(path));
    Ok(SyncPlan {
        commit: remote.commit.clone(),
        files,
        deleted: gone.cloned().collect(),
        totals,
    })
}

/// Size is asked for everywhere: a file of another size is another file,
/// whatever its name says.
fn decide(file: &RemoteFile, local: &LocalFacts) -> Action {
    let in_place = local.in_place.get(&file.path);
    if in_place.is_some_and(|there| there.is_the_file(file)) {
        return Action::Keep;
    }
    if let Some(found) = local.contents.get(&file.content)
        && found.size_bytes == file.size_bytes
    {
        return Action::Link(found.place.clone());
    }
    match local.partials.get(&file.content) {
        Some(&have_bytes) if (1..=file.size_bytes).contains(&have_bytes) => {
            Action::Resume { have_bytes }
        }
        _ => Action::Fetch,
    }
}

impl Totals {
    /// Counts the bytes that need not come over the line.
    pub fn bytes_here(&self) -> u64 {
        [
            self.bytes_reused,
            self.bytes_from_partials,
            self.bytes_copied,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    fn add(&mut self, size_bytes: u64, action: &Action) {
        // Saturating: the sizes are the Hub's word, not measured.
        let plus = |total: &mut u64, bytes: u64| *total = total.saturating_add(bytes);
        self.files += 1;
        plus(&mut self.bytes, size_bytes);
        match action {
            Action::Keep | Action::Link(_) | Action::LinkToFetched => {
                self.files_reused += 1;
                plus(&mut self.bytes_reused, size_bytes);
            }
            Action::Resume { have_bytes } => {
                self.files_to_fetch += 1;
                plus(&mut self.bytes_from_partials, *have_bytes);
                plus(&mut self.bytes_to_fetch, size_bytes - have_bytes);
            }
            Action::Fetch => {
                self.files_to_fetch += 1;
                plus(&mut self.bytes_to_fetch, size_bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::placement::{FileNames, LetterCase, NormalForms};

    const ANYWHERE: Placement = Placement {
        names: FileNames::Posix,
        case: LetterCase::Matters,
        forms: NormalForms::Matter,
        private: None,
    };

    fn content(n: u8) -> ContentId {
        ContentId::Sha256([n; 32])
    }

    fn file(path: &str, n: u8, size_bytes: u64) -> RemoteFile {
        RemoteFile {
            path: path.parse().unwrap(),
            size_bytes,
            content: content(n),
            git_oid: [n; 20],
            xet_hash: None,
        }
    }

    fn listing(files: Vec<RemoteFile>) -> RemoteSnapshot {
        RemoteSnapshot {
            commit: "c".repeat(40).parse().unwrap_or_else(|_| unreachable!()),
            files,
        }
    }

    fn plan(files: Vec<RemoteFile>, local: &LocalFacts) -> SyncPlan {
        plan_sync(&listing(files), &Filter::default(), &ANYWHERE, local).unwrap()
    }

    fn here(size_bytes: u64) -> Found {
        Found {
            size_bytes,
            place: Place::Here,
        }
    }

    #[test]
    fn each_file_gets_the_cheapest_action_that_is_right() {
        let elsewhere = Place::At("/other/blob".into());
        let local = LocalFacts {
            in_place: HashMap::from([(
                "kept".parse().unwrap(),
                InPlace {
                    size_bytes: 10,
                    content: Some(content(1)),
                },
            )]),
            contents: HashMap::from([
                (content(2), here(20)),
                (
                    content(3),
                    Found {
                        size_bytes: 30,
                        place: elsewhere.clone(),
                    },
                ),
            ]),
            partials: HashMap::from([(content(4), 15)]),
            previous: ["kept", "gone"].map(|path| path.parse().unwrap()).into(),
        };
        let plan = plan(
            vec![
                file("kept", 1, 10),
                file("linked", 2, 20),
                file("elsewhere", 3, 30),
                file("resumed", 4, 40),
                file("new", 5, 50),
                file("twin-of-new", 5, 50),
            ],
            &local,
        );
        let action = |path: &str| {
            let file = plan.files.iter().find(|f| f.file.path.as_str() == path);
            file.unwrap().action.clone()
        };
        assert_eq!(action("kept"), Action::Keep);
        assert_eq!(action("linked"), Action::Link(Place::Here));
        assert_eq!(action("elsewhere"), Action::Link(elsewhere));
        assert_eq!(action("resumed"), Action::Resume { have_bytes: 15 });
        assert_eq!(action("new"), Action::Fetch);
        assert_eq!(action("twin-of-new"), Action::LinkToFetched);
        assert_eq!(
            plan.totals,
            Totals {
                files: 6,
                files_to_fetch: 2,
                files_reused: 4,
                bytes: 200,
                bytes_to_fetch: 75,
                bytes_reused: 110,
                bytes_from_partials: 15,
                bytes_copied: 0,
            }
        );
        assert_eq!(plan.deleted, ["gone".parse().unwrap()]);
        assert_eq!(plan.imports().len(), 1);
    }

    #[test]
    fn a_delta_moves_bytes_from_fetched_to_copied() {
        let mut plan = plan(
            vec![file("a", 1, 100), file("b", 2, 7)],
            &LocalFacts::default(),
        );
        let delta = FileDelta {
            copies: Vec::new(),
            sources: Vec::new(),
            copied_bytes: 90,
            missing_bytes: 10,
            map: FileMap {
                hash: crate::domain::xet::XetHash::ZERO,
                terms: Vec::new(),
                chunk_lengths: None,
            },
            old: Vec::new(),
            learnt: Vec::new(),
        };
        plan.use_delta(&content(9), delta.clone());
        assert_eq!(plan.totals.bytes_to_fetch, 107);
        plan.use_delta(&content(1), delta);
        assert_eq!(plan.files[0].missing_bytes(), 10);
        let totals = plan.totals;
        assert_eq!((totals.bytes_to_fetch, totals.bytes_here()), (17, 90));
    }

    #[test]
    fn a_file_of_another_size_or_content_is_not_kept() {
        let in_place = |size_bytes, content| LocalFacts {
            in_place: HashMap::from([(
                "a".parse().unwrap(),
                InPlace {
                    size_bytes,
                    content,
                },
            )]),
            ..LocalFacts::default()
        };
        let action =
            |local: &LocalFacts| plan(vec![file("a", 1, 10)], local).files[0].action.clone();
        assert_eq!(action(&in_place(10, None)), Action::Keep);
        assert_eq!(action(&in_place(9, None)), Action::Fetch);
        assert_eq!(action(&in_place(9, Some(content(1)))), Action::Fetch);
        assert_eq!(action(&in_place(10, Some(content(2)))), Action::Fetch);
        let cut = LocalFacts {
            contents: HashMap::from([(content(1), here(9))]),
            ..LocalFacts::default()
        };
        assert_eq!(action(&cut), Action::Fetch);
    }

    #[test]
    fn what_is_distrusted_is_fetched_again_with_its_twins_and_nothing_else() {
        let files = vec![file("a", 1, 10), file("twin", 1, 10), file("b", 2, 20)];
        let local = carried_out(
            &plan(files.clone(), &LocalFacts::default()),
            LocalFacts::default(),
        );
        let mut doubted = local.clone();
        doubted.distrust(&files[0]);
        let plan = plan(files, &doubted);
        let actions: Vec<_> = plan.files.iter().map(|file| file.action.clone()).collect();
        assert_eq!(
            actions,
            [Action::Fetch, Action::Keep, Action::LinkToFetched]
        );
    }

    #[test]
    fn a_partial_file_counts_only_while_it_can_be_a_part() {
        for (have_bytes, expected) in [
            (0, Action::Fetch),
            (1, Action::Resume { have_bytes: 1 }),
            (10, Action::Resume { have_bytes: 10 }),
            (11, Action::Fetch),
        ] {
            let local = LocalFacts {
                partials: HashMap::from([(content(1), have_bytes)]),
                ..LocalFacts::default()
            };
            let plan = plan(vec![file("a", 1, 10)], &local);
            assert_eq!(plan.files[0].action, expected);
        }
    }

    #[test]
    fn a_file_that_is_only_filtered_out_is_not_deleted() {
        let local = LocalFacts {
            previous: ["a.txt", "b.bin", "c.txt"]
                .map(|p| p.parse().unwrap())
                .into(),
            ..LocalFacts::default()
        };
        let filter = Filter {
            include: Some(vec!["*.bin".into()]),
            exclude: vec![],
        };
        let remote = listing(vec![file("a.txt", 1, 1), file("b.bin", 2, 2)]);
        let plan = plan_sync(&remote, &filter, &ANYWHERE, &local).unwrap();
        assert_eq!(plan.files.len(), 1);
        assert_eq!(plan.deleted, ["c.txt".parse().unwrap()]);
    }

    #[test]
    fn a_listing_that_contradicts_itself_is_refused() {
        let remote = listing(vec![file("a", 1, 1), file("b", 1, 2)]);
        let error = plan_sync(
            &remote,
            &Filter::default(),
            &ANYWHERE,
            &LocalFacts::default(),
        );
        assert!(matches!(error, Err(PlanError::TwoSizes { .. })));
    }

    #[test]
    fn a_clash_of_names_goes_away_with_the_filter_that_leaves_one_out() {
        let remote = listing(vec![file("A", 1, 1), file("a", 2, 2)]);
        let mac = Placement {
            case: LetterCase::Ignored,
            ..ANYWHERE
        };
        let plan = |filter| plan_sync(&remote, &filter, &mac, &LocalFacts::default());
        assert!(matches!(
            plan(Filter::default()),
            Err(PlanError::Placement(PlacementError::SameFile { .. }))
        ));
        let filter = Filter {
            include: None,
            exclude: vec!["A".into()],
        };
        assert_eq!(plan(filter).unwrap().totals.files, 1);
    }

    /// Plays a plan through on the facts alone.
    fn carried_out(plan: &SyncPlan, mut local: LocalFacts) -> LocalFacts {
        for PlannedFile { file, .. } in &plan.files {
            local.partials.remove(&file.content);
            local.contents.insert(file.content, here(file.size_bytes));
            let there = InPlace {
                size_bytes: file.size_bytes,
                content: Some(file.content),
            };
            local.in_place.insert(file.path.clone(), there);
        }
        local.previous = plan.files.iter().map(|f| f.file.path.clone()).collect();
        local
    }

    fn any_listing() -> impl Strategy<Value = RemoteSnapshot> {
        let paths = prop::collection::btree_set("[a-c]/[a-e]{1,2}", 0..12);
        (paths, prop::collection::vec(0u8..6, 12)).prop_map(|(paths, contents)| {
            let files = paths.into_iter().zip(contents);
            listing(
                files
                    .map(|(path, n)| file(&path, n, u64::from(n) * 7))
                    .collect(),
            )
        })
    }

    fn any_facts() -> impl Strategy<Value = LocalFacts> {
        let sizes = || prop::collection::hash_map(0u8..6, 0u64..50, 0..6);
        (sizes(), sizes()).prop_map(|(found, partials)| LocalFacts {
            contents: (found.into_iter().map(|(n, size)| (content(n), here(size)))).collect(),
            partials: (partials.into_iter().map(|(n, size)| (content(n), size))).collect(),
            ..LocalFacts::default()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_totals_always_add_up(remote in any_listing(), local in any_facts()) {
            let plan = plan_sync(&remote, &Filter::default(), &ANYWHERE, &local).unwrap();
            let t = plan.totals;
            prop_assert_eq!(t.files, remote.files.len() as u64);
            prop_assert_eq!(t.files, t.files_to_fetch + t.files_reused);
            prop_assert_eq!(t.bytes, t.bytes_to_fetch + t.bytes_reused + t.bytes_from_partials);
            let mut contents: Vec<_> = plan.fetches().map(|f| f.file.content).collect();
            let n_fetches = contents.len();
            contents.sort();
            contents.dedup();
            prop_assert_eq!(contents.len(), n_fetches, "each content is fetched once");
        }

        #[test]
        fn planning_after_a_sync_finds_nothing_to_do(remote in any_listing(), local in any_facts()) {
            let plan_with = |local: &LocalFacts| {
                plan_sync(&remote, &Filter::default(), &ANYWHERE, local).unwrap()
            };
            let after = carried_out(&plan_with(&local), local);
            let second = plan_with(&after);
            prop_assert!(second.changes_nothing());
            prop_assert_eq!(second.totals.bytes_to_fetch, 0);
            prop_assert!(second.deleted.is_empty());
        }
    }
}
