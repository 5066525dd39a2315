//! Decides the action for each wanted file.

use std::collections::{BTreeSet, HashMap};

use thiserror::Error;

use super::{Action, LocalFacts, PlannedFile, SyncPlan, Totals};
use crate::domain::filter::Filter;
use crate::domain::placement::{Placement, PlacementError};
use crate::domain::repo::RepoPath;
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};

/// Decides for each wanted file whether to keep, link, resume or fetch it.
///
/// Names are checked among the wanted files only, so a filter that excludes one
/// of two clashing files makes the rest available.
pub fn plan_sync(
    remote: &RemoteSnapshot,
    filter: &Filter,
    placement: &Placement,
    local: &LocalFacts,
) -> Result<SyncPlan, PlanError> {
    let wanted = remote.selected(filter);
    placement.check(wanted.iter().map(|file| &file.path))?;

    let mut sizes = HashMap::new();
    let mut fetched = BTreeSet::new();
    let mut files = Vec::with_capacity(wanted.len());
    let mut totals = Totals::default();
    for file in wanted {
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

/// Compares sizes in every branch: a file of another size cannot be the wanted
/// one, whatever its name.
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

/// A listing that cannot be synchronised.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::placement::LetterCase;
    use crate::domain::plan::fixture::{ANYWHERE, content, file, here, listing, plan};
    use crate::domain::plan::{ContentLocation, InPlace, LocalContent};

    #[test]
    fn each_file_gets_the_cheapest_action_that_is_right() {
        let elsewhere = ContentLocation::At("/other/blob".into());
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
                    LocalContent {
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
        assert_eq!(action("linked"), Action::Link(ContentLocation::Here));
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
            ..Filter::default()
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
    fn excluding_one_of_two_clashing_files_resolves_the_clash() {
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
            exclude: vec!["A".into()],
            ..Filter::default()
        };
        assert_eq!(plan(filter).unwrap().totals.files, 1);
    }
}
