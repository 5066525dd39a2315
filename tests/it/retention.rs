//! Properties of retention for all histories and rules: a protected revision is
//! never removed, and a plan that was carried out leaves nothing to plan.

use std::collections::{BTreeMap, BTreeSet};

use hfdl::domain::content::ContentId;
use hfdl::domain::deletion::{Reason, Refusal};
use hfdl::domain::repo::CommitSha;
use hfdl::domain::retention::{
    FolderFacts, ModelClaim, PublishedRevision, RetentionDecision, RetentionPlan, RetentionRules,
    RevisionVerdict, SnapshotFacts, StayReason, UpstreamAnswer, latest_first, plan_retention,
};
use hfdl::domain::time::Timestamp;
use hfdl::domain::units::{ByteSize, Seconds};
use proptest::prelude::*;

const N_COMMITS: u8 = 10;
const NOW: i64 = 1_000_000;

fn commit(n: u8) -> CommitSha {
    let digit = char::from_digit(u32::from(n), 16).unwrap();
    digit.to_string().repeat(40).parse().unwrap()
}

fn content(n: u8) -> ContentId {
    ContentId::Sha256([n; 32])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn any_commit() -> impl Strategy<Value = CommitSha> {
    (0..N_COMMITS).prop_map(commit)
}

fn any_answer() -> impl Strategy<Value = UpstreamAnswer> {
    let time = || 0..NOW;
    prop_oneof![
        2 => Just(UpstreamAnswer::default()),
        5 => time().prop_map(|asked| UpstreamAnswer::default().after(false, at(asked))),
        1 => time().prop_map(|asked| UpstreamAnswer::default().after(true, at(asked))),
    ]
}

fn any_model() -> impl Strategy<Value = ModelClaim> {
    let had = (0..NOW + 10, any_answer());
    let history = prop::collection::btree_map(any_commit(), had, 0..8);
    let published = prop::option::of(any_commit());
    let held = prop::option::weighted(0.2, any_commit());
    let pinned = prop::collection::btree_set(any_commit(), 0..2);
    let waiting = prop::option::weighted(0.2, any_commit());
    let claims = (published, held, pinned, waiting);
    (history, claims, 0u32..5, any::<bool>()).prop_map(
        |(history, (published, held, pinned, waiting), keep, is_meant)| {
            let history =
                history
                    .into_iter()
                    .map(|(commit, (seconds, upstream))| PublishedRevision {
                        commit,
                        published_at: at(seconds),
                        upstream,
                    });
            ModelClaim {
                published,
                held,
                pinned,
                waiting,
                linked_by_views: Vec::new(),
                keep,
                history: history.collect(),
                is_meant,
            }
        },
    )
}

fn any_snapshot() -> impl Strategy<Value = SnapshotFacts> {
    let contents = prop::collection::btree_set((0u8..12).prop_map(content), 0..5);
    let [by_hfdl, open] = [0.9, 0.1].map(prop::bool::weighted);
    let seen = 0u64..2000;
    (0u64..100, contents, seen, by_hfdl, open).prop_map(
        |(own_bytes, contents, seen_bytes, by_hfdl, is_open)| SnapshotFacts {
            own_bytes,
            contents,
            seen_bytes,
            is_abandoned: false,
            refusal: (!by_hfdl).then_some(Refusal::NotOurs),
            is_open,
        },
    )
}

fn any_folder() -> impl Strategy<Value = FolderFacts> {
    let models = prop::collection::vec(any_model(), 1..3);
    let snapshots = prop::collection::btree_map(any_commit(), any_snapshot(), 0..10);
    let refs = prop::collection::btree_set(any_commit(), 0..2);
    let open = prop::collection::btree_set((0u8..12).prop_map(content), 0..2);
    (models, snapshots, refs, open).prop_map(|(models, snapshots, named_by_refs, open)| {
        let mut facts = FolderFacts {
            models,
            gains: (0..12).map(|n| (content(n), u64::from(n) * 10)).collect(),
            snapshots,
            named_by_refs,
            open,
            total_bytes: 0,
        };
        facts.total_bytes = bytes_of(&facts);
        facts
    })
}

fn any_rules() -> impl Strategy<Value = RetentionRules> {
    let older_than = prop::option::weighted(0.3, (0..NOW as u64).prop_map(Seconds));
    let size = |part| prop::option::weighted(part, (0u64..1500).prop_map(ByteSize));
    let confirmed_since = prop::option::weighted(0.3, (0..NOW).prop_map(at));
    let sizes = (size(0.5), size(0.2));
    (
        older_than,
        sizes,
        confirmed_since,
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(older_than, (max_size, make_room), confirmed_since, with_only_copies)| {
                RetentionRules {
                    older_than,
                    max_size,
                    make_room,
                    with_only_copies,
                    confirmed_since,
                }
            },
        )
}

/// Counts each content once, and each snapshot's own bytes.
fn bytes_of(facts: &FolderFacts) -> u64 {
    let used: BTreeSet<&ContentId> = facts
        .snapshots
        .values()
        .flat_map(|it| &it.contents)
        .collect();
    let blobs = used.iter().filter_map(|content| facts.gains.get(content));
    blobs.sum::<u64>() + facts.snapshots.values().map(|it| it.own_bytes).sum::<u64>()
}

fn carry_out(folders: &mut [FolderFacts], plan: &RetentionPlan) {
    for (facts, revisions) in folders.iter_mut().zip(&plan.folders) {
        for revision in revisions {
            if matches!(revision.verdict, RetentionDecision::Go(_)) {
                facts.snapshots.remove(&revision.commit);
                for model in &mut facts.models {
                    model.history.retain(|had| had.commit != revision.commit);
                }
            }
        }
        facts.total_bytes = bytes_of(facts);
    }
}

fn going(plan: &RetentionPlan) -> usize {
    let all = plan.folders.iter().flatten();
    all.filter(|it| matches!(it.verdict, RetentionDecision::Go(_)))
        .count()
}

/// Says why a revision must not go, by other means than the plan's.
fn why_it_must_stay(
    facts: &FolderFacts,
    commit: &CommitSha,
    rules: RetentionRules,
) -> Option<&'static str> {
    let snapshot = &facts.snapshots[commit];
    if facts.named_by_refs.contains(commit) {
        return Some("named by a ref");
    }
    if snapshot.refusal.is_some() || snapshot.is_open {
        return Some("another program's, or open");
    }
    for model in &facts.models {
        let needed = [&model.published, &model.held, &model.waiting];
        if needed.contains(&&Some(commit.clone())) || model.pinned.contains(commit) {
            return Some("published, held, waiting or pinned");
        }
        let record = model.history.iter().find(|it| it.commit == *commit);
        let upstream = record.map(|it| it.upstream).unwrap_or_default();
        if upstream.gone_at.is_some() && !rules.with_only_copies {
            return Some("the only copy");
        }
        let on_disk = model.history.iter();
        let on_disk: Vec<_> = on_disk
            .filter(|it| facts.snapshots.contains_key(&it.commit))
            .collect();
        let newest = latest_first(on_disk, model.published.as_ref());
        let rank = newest.iter().position(|it| it.commit == *commit);
        let n_protected = if model.keep >= 2 { 2 } else { 1 };
        let n_protected = match model.is_meant {
            true => n_protected,
            false => model.keep.max(1) as usize,
        };
        if rank.is_some_and(|rank| rank < n_protected) {
            return Some("current, the way back, or of a model that was not meant");
        }
        let bytes = |it: &PublishedRevision| facts.snapshots[&it.commit].seen_bytes;
        if let Some(rank) = rank.filter(|rank| *rank > 0)
            && (newest[..rank].iter()).all(|later| bytes(later) * 10 < bytes(newest[rank]))
        {
            return Some("the last that had the files");
        }
        let age = |it: &PublishedRevision| at(NOW).duration_since(it.published_at);
        if let (Some(rank), Some(span)) = (rank, rules.older_than)
            && age(newest[rank]) <= span.span()
        {
            return Some("young");
        }
    }
    let is_meant = facts
        .models
        .iter()
        .any(|model| model.is_meant && model.history.iter().any(|it| it.commit == *commit));
    if !is_meant {
        return Some("no model that is meant has had it");
    }
    let mut records = facts.models.iter().flat_map(|model| &model.history);
    let is_confirmed = records.any(|it| {
        let is_it = it.commit == *commit && it.upstream.gone_at.is_none();
        is_it && it.upstream.asked_at >= rules.confirmed_since
    });
    let must_be = rules.confirmed_since.is_some();
    (must_be && !is_confirmed).then_some("the Hub may have it no more")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn protected_revisions_are_never_removed(
        folders in prop::collection::vec(any_folder(), 1..3),
        rules in any_rules(),
    ) {
        let plan = plan_retention(&folders, rules, at(NOW));
        for (facts, revisions) in folders.iter().zip(&plan.folders) {
            prop_assert_eq!(revisions.len(), facts.snapshots.len(), "each has a verdict");
            prop_assert!(revisions.windows(2).all(|two| two[0].published_at <= two[1].published_at));
            let left: BTreeMap<_, _> = revisions
                .iter()
                .filter(|it| matches!(it.verdict, RetentionDecision::Stay(_)))
                .map(|it| (&it.commit, &facts.snapshots[&it.commit]))
                .collect();
            for revision in revisions {
                if let RetentionDecision::Go(reason) = revision.verdict {
                    let why = why_it_must_stay(facts, &revision.commit, rules);
                    prop_assert_eq!(why, None, "{} {:?}", &revision.commit, reason);
                    // An open file is still in a revision that stays.
                    let open = facts.snapshots[&revision.commit].contents.intersection(&facts.open);
                    for content in open {
                        prop_assert!(left.values().any(|it| it.contents.contains(content)));
                    }
                    let is_for_size = rules.max_size.is_some() || rules.make_room.is_some();
                    prop_assert!(reason == Reason::BeyondNumber || is_for_size);
                }
            }
        }
    }

    #[test]
    fn a_plan_carried_out_leaves_nothing_to_plan_and_what_it_said(
        folders in prop::collection::vec(any_folder(), 1..3),
        rules in any_rules(),
    ) {
        // Carried out twice, it would make room twice.
        let rules = RetentionRules { make_room: None, ..rules };
        let plan = plan_retention(&folders, rules, at(NOW));
        let before: u64 = folders.iter().map(|facts| facts.total_bytes).sum();
        let gained: u64 = plan.folders.iter().flatten()
            .filter(|it| matches!(it.verdict, RetentionDecision::Go(_)))
            .map(|it| it.size_bytes)
            .sum();
        let mut after = folders.clone();
        carry_out(&mut after, &plan);
        let left: u64 = after.iter().map(|facts| facts.total_bytes).sum();
        prop_assert_eq!(before - gained, left);
        prop_assert_eq!(plan.bytes_left, left);
        let again = plan_retention(&after, rules, at(NOW));
        prop_assert_eq!(going(&again), 0, "{:?}", again);
    }

    #[test]
    fn a_revision_that_stays_anyhow_takes_the_place_of_no_other(
        mut facts in any_folder(),
        gone in any_commit(),
    ) {
        let stays = |facts: &FolderFacts| {
            let plan = plan_retention(std::slice::from_ref(facts), RetentionRules::default(), at(NOW));
            plan.staying(0)
        };
        let before = stays(&facts);
        for model in &mut facts.models {
            let all = model.history.iter_mut().filter(|it| it.commit == gone);
            all.for_each(|it| it.upstream = it.upstream.after(true, at(NOW)));
        }
        let after = stays(&facts);
        prop_assert!(after.is_superset(&before), "{:?} {:?}", before, after);
    }

    #[test]
    fn no_more_goes_for_room_than_must(
        folders in prop::collection::vec(any_folder(), 1..3),
        room in 0u64..1500,
    ) {
        let rules = RetentionRules { make_room: Some(ByteSize(room)), ..RetentionRules::default() };
        let plan = plan_retention(&folders, rules, at(NOW));
        let all = || plan.folders.iter().flatten();
        let goes = |it: &&RevisionVerdict| matches!(it.verdict, RetentionDecision::Go(_));
        let gained: u64 = all().filter(goes).map(|it| it.size_bytes).sum();
        let for_room = all().filter(|it| it.verdict == RetentionDecision::Go(Reason::BeyondSize));
        if let Some(last) = for_room.max_by_key(|it| (it.published_at, it.commit.clone())) {
            prop_assert!(gained - last.size_bytes < room);
        }
        let by_number = RetentionDecision::Stay(StayReason::AmongNewest);
        prop_assert!(gained >= room || all().all(|it| it.verdict != by_number));
    }

    #[test]
    fn no_more_goes_for_size_than_must(
        folders in prop::collection::vec(any_folder(), 1..3),
        most in 0u64..1500,
    ) {
        let rules = RetentionRules { max_size: Some(ByteSize(most)), ..RetentionRules::default() };
        let plan = plan_retention(&folders, rules, at(NOW));
        let all = || plan.folders.iter().flatten();
        let for_size = all().filter(|it| it.verdict == RetentionDecision::Go(Reason::BeyondSize));
        if let Some(last) = for_size.max_by_key(|it| (it.published_at, it.commit.clone())) {
            prop_assert!(plan.bytes_left + last.size_bytes > most);
        }
        if plan.bytes_left > most {
            let by_number = RetentionDecision::Stay(StayReason::AmongNewest);
            prop_assert!(all().all(|it| it.verdict != by_number), "what may go has gone");
        }
    }
}
