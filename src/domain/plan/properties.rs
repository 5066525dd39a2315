//! Properties that hold for every plan.

use proptest::prelude::*;

use super::fixture::{ANYWHERE, carried_out, content, file, here, listing};
use super::{LocalFacts, plan_sync};
use crate::domain::filter::Filter;
use crate::domain::snapshot::RemoteSnapshot;

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
