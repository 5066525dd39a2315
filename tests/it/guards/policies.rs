//! Rows about policies, delays, followed tags, pins and rollbacks.

use super::{World, nights, safetensors};

/// Adds a commit with another text of the readme upstream.
fn readme(world: &World, text: &str) -> String {
    world.publish(|draft| draft.file("README.md", text))
}

/// Begins anew with a model that follows the tags `v*`; `v1.2` is published.
fn tagged(world: &mut World) -> String {
    *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
    let first = world.repo().head("main").unwrap();
    world.repo().tag("v1.2", &first);
    world.keep("models add acme/tiny --follow-tags v*");
    first
}

/// Returns the states of all updates that the model was offered, the newest first.
fn states(world: &World) -> Vec<String> {
    let listed = world.line("updates list --all --json").json();
    let listed = listed["updates"].as_array().unwrap().clone();
    let states = listed.iter().map(|it| it["state"].as_str().unwrap());
    // The first download is no update.
    let first = |it: &serde_json::Value| it["commit"] == *world.first;
    let n_first = listed.iter().filter(|it| first(it)).count();
    let states: Vec<String> = states.map(str::to_owned).collect();
    states[..listed.len() - n_first].to_vec()
}

nights! {
    a_policy_asks_for_an_approval: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
    } => "first | approval | hold mail status | 0";

    a_first_download_needs_no_approval: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.add("models add acme/tiny --policy approve");
    } => "new | - | update | 0";

    an_update_without_approval_is_told_once: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
    } => "first | approval | status | 0";

    an_approved_update_comes_with_the_next_night: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";

    upstream_moves_on_after_the_approval: |world| {
        world.line("models set acme/tiny --policy approve");
        let approved = readme(world, "2");
        world.held_night();
        world.line("updates approve acme/tiny");
        readme(world, "3");
        world.then(move |world| {
            assert_eq!(world.model("acme/tiny")["published_commit"], *approved);
        });
    } => "other | - | update | 0";

    the_commit_after_an_approved_one_waits_again: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.line("updates approve acme/tiny");
        readme(world, "3");
        world.night().succeeds();
        world.forget();
    } => "other | approval | hold mail status | 0";

    history_is_rewritten_without_the_approved_commit: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.line("updates approve acme/tiny");
        world.repo().point("main", &world.first);
        readme(world, "other");
    } => "first | approval | hold mail status | 0";

    upstream_goes_back_to_the_published_commit: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.repo().point("main", &world.first);
        world.then(|world| {
            assert_eq!(world.model("acme/tiny")["held_update"], serde_json::Value::Null);
        });
    } => "first | - | - | 0";

    a_rejected_update_stays_away_in_silence: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
    } => "first | - | - | 0";

    the_commit_after_a_rejected_one_is_told: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
        readme(world, "3");
    } => "first | approval | hold mail status | 0";

    a_rejected_update_stays_away_under_another_policy: |world| {
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
        world.line("models set acme/tiny --policy follow");
    } => "first | - | - | 0";

    upstream_comes_back_to_a_rejected_commit: |world| {
        world.line("models set acme/tiny --policy approve");
        let rejected = readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
        world.line("models set acme/tiny --policy follow");
        world.repo().point("main", &world.first);
        world.night().succeeds();
        world.repo().point("main", &rejected);
        world.then(|world| assert_eq!(states(world), ["rejected"]));
    } => "first | - | - | 0";

    upstream_comes_back_to_a_rejected_commit_after_one_that_was_held: |world| {
        world.line("models set acme/tiny --policy approve");
        let rejected = readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
        readme(world, "3");
        world.held_night();
        world.repo().point("main", &rejected);
        world.then(|world| assert_eq!(states(world), ["superseded", "rejected"]));
    } => "first | - | - | 0";

    upstream_comes_back_to_a_rejected_commit_after_one_that_was_published: |world| {
        let rejected = world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.line("updates reject acme/tiny");
        world.repo().point("main", &world.first);
        readme(world, "3");
        world.night().succeeds();
        world.forget();
        world.repo().point("main", &rejected);
        world.then(|world| assert_eq!(states(world), ["published", "rejected"]));
    } => "other | - | - | 0";

    a_rejected_commit_that_came_back_is_approved_after_all: |world| {
        world.line("models set acme/tiny --policy approve");
        let rejected = readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
        readme(world, "3");
        world.held_night();
        world.repo().point("main", &rejected);
        world.night().succeeds();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";

    a_guard_and_the_policy_hold_together: |world| {
        world.line("models set acme/tiny --policy approve");
        world.publish(|draft| draft.file("m.py", b"1"));
    } => "first | approval+new-code | hold mail status | 0";

    an_approval_is_for_all_findings: |world| {
        world.line("models set acme/tiny --policy approve");
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";

    the_policy_of_a_tag_asks_for_an_approval: |world| {
        world.line("models set acme/tiny --tag production");
        world.line("tags set production --policy approve");
        readme(world, "2");
    } => "first | approval | hold mail status | 0";

    a_model_has_another_policy_than_its_tag: |world| {
        world.line("models set acme/tiny --tag production --policy follow");
        world.line("tags set production --policy approve");
        readme(world, "2");
    } => "new | - | update | 0";

    an_applied_file_asks_for_an_approval: |world| {
        let text = "version: 1\nmodels:\n- repo: acme/tiny\n  policy: approve\n";
        std::fs::write(world.env.root().join("work/fleet.yaml"), text).unwrap();
        world.line("apply --file fleet.yaml");
        readme(world, "2");
    } => "first | approval | hold mail status | 0";

    a_sibling_asks_for_an_approval: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --name a --policy approve\nmodels add acme/tiny --name b --include *.json");
        readme(world, "2");
    } => "a first, b first | a approval, b approval | hold hold mail status | 0";

    one_sibling_approves_after_the_other_has_rejected: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --name a --policy approve\nmodels add acme/tiny --name b --include *.json");
        readme(world, "2");
        world.held_night();
        world.line("updates reject b");
        world.line("updates approve a");
    } => "a new, b new | a -, b - | update update | 0";

    one_sibling_rejects_after_the_other_has_approved: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --name a --policy approve\nmodels add acme/tiny --name b --include *.json");
        readme(world, "2");
        world.held_night();
        world.line("updates approve a");
        world.line("updates reject b");
    } => "a first, b first | a -, b - | - | 0";

    a_delayed_commit_is_not_told: |world| {
        world.line("models set acme/tiny --delay 7d");
        readme(world, "2");
    } => "first | - | - | 0";

    a_delayed_commit_is_published_when_its_time_has_come: |world| {
        world.line("models set acme/tiny --delay 3d");
        readme(world, "2");
        for _ in 0..3 {
            world.night().succeeds();
            assert_eq!(world.published(), "first");
        }
    } => "new | - | update | 0";

    a_delayed_model_takes_the_newest_commit_that_is_old_enough: |world| {
        world.line("models set acme/tiny --delay 3d");
        readme(world, "2");
        for _ in 0..3 {
            world.night().succeeds();
        }
        readme(world, "3");
    } => "other | - | update | 0";

    a_delayed_commit_is_no_ancestor_any_more: |world| {
        world.line("models set acme/tiny --delay 3d");
        readme(world, "2");
        for _ in 0..3 {
            world.night().succeeds();
        }
        world.repo().point("main", &world.first);
        readme(world, "other");
    } => "first | - | - | 0";

    a_delayed_commit_is_approved: |world| {
        world.line("models set acme/tiny --delay 7d");
        readme(world, "2");
        world.night().succeeds();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";

    a_delayed_commit_is_rejected: |world| {
        world.line("models set acme/tiny --delay 1d");
        readme(world, "2");
        world.night().succeeds();
        world.line("updates reject acme/tiny");
        world.night().succeeds();
        world.env.hub().forget_requests();
        world.then(|world| {
            // The change note asks, and no delay.
            assert_eq!(world.env.hub().count(hfdl_test_hub::Api::Commits), 1);
            assert_eq!(states(world), ["rejected"]);
        });
    } => "first | - | - | 0";

    the_commit_before_a_rejected_one_comes_after_its_delay: |world| {
        world.line("models set acme/tiny --delay 2d");
        let older = readme(world, "2");
        world.night().succeeds();
        readme(world, "3");
        world.night().succeeds();
        world.line("updates reject acme/tiny");
        world.then(move |world| {
            assert_eq!(world.model("acme/tiny")["published_commit"], *older);
        });
    } => "other | - | update | 0";

    the_commit_after_a_rejected_one_is_delayed: |world| {
        world.line("models set acme/tiny --delay 1d");
        readme(world, "2");
        world.night().succeeds();
        world.line("updates reject acme/tiny");
        readme(world, "3");
        world.night().succeeds();
    } => "new | - | update | 0";

    a_delayed_tag_is_approved: |world| {
        tagged(world);
        world.line("models set acme/tiny --delay 7d");
        let newest = readme(world, "2");
        world.repo().tag("v2", &newest);
        world.night().succeeds();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";

    a_delayed_annotated_tag_is_approved: |world| {
        tagged(world);
        world.line("models set acme/tiny --delay 7d");
        let newest = readme(world, "2");
        world.repo().annotated_tag("v2", &newest);
        world.night().succeeds();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";

    a_delayed_annotated_tag_is_rejected: |world| {
        tagged(world);
        world.line("models set acme/tiny --delay 1d");
        let newest = readme(world, "2");
        world.repo().annotated_tag("v2", &newest);
        world.night().succeeds();
        world.line("updates reject acme/tiny");
        world.line("models set acme/tiny --no-delay");
    } => "first | - | - | 0";

    a_guard_judges_a_commit_after_its_delay: |world| {
        world.line("models set acme/tiny --delay 1d");
        world.publish(|draft| draft.file("m.py", b"1"));
        world.night().succeeds();
        assert_eq!((world.published(), world.held()), ("first".to_owned(), "-".to_owned()));
    } => "first | new-code | hold mail status | 0";

    a_commit_waits_for_its_delay_and_then_for_an_approval: |world| {
        world.line("models set acme/tiny --delay 1d --policy approve");
        readme(world, "2");
        world.night().succeeds();
        assert_eq!((world.published(), world.held()), ("first".to_owned(), "-".to_owned()));
    } => "first | approval | hold mail status | 0";

    a_commit_without_a_tag_is_not_followed: |world| {
        tagged(world);
        readme(world, "2");
    } => "first | - | - | 0";

    a_newer_tag_is_followed: |world| {
        tagged(world);
        let newest = readme(world, "2");
        world.repo().tag("v1.10", &newest);
    } => "new | - | update | 0";

    an_older_tag_is_not_followed: |world| {
        tagged(world);
        let newest = readme(world, "2");
        world.repo().tag("v1.1", &newest).tag("w2", &newest);
    } => "first | - | - | 0";

    a_followed_tag_moves: |world| {
        tagged(world);
        let newest = readme(world, "2");
        world.repo().tag("v1.2", &newest);
    } => "first | history-rewritten | hold mail status | 0";

    a_newer_tag_brings_code: |world| {
        tagged(world);
        let newest = world.publish(|draft| draft.file("m.py", b"1"));
        world.repo().tag("v2", &newest);
    } => "first | new-code | hold mail status | 0";

    a_pinned_model_stays: |world| {
        world.line("models set acme/tiny --policy pin");
        readme(world, "2");
    } => "first | - | - | 0";

    a_model_is_pinned_at_a_commit_with_code: |world| {
        let newest = world.publish(|draft| draft.file("m.py", b"1"));
        world.line(&format!("models set acme/tiny --policy pin@{newest}"));
    } => "new | - | update | 0";

    a_model_is_pinned_at_an_older_commit: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.forget();
        let digits = world.first[..8].to_owned();
        world.line(&format!("models set acme/tiny --policy pin@{digits}"));
    } => "first | - | update | 0";

    a_pinned_commit_is_gone_upstream: |world| {
        world.line("models set acme/tiny --policy pin");
        let rewritten = world.repo().commit("rewritten").file("README.md", "2").publish();
        world.repo().point("main", &rewritten).forget_commit(&world.first);
    } => "first | - | mail | 0";

    // The mail warns once that the Hub has the commit no more.
    a_commit_that_only_this_disk_has_is_pinned: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.forget();
        world.line("models set acme/tiny --keep-revisions 5");
        world.repo().forget_commit(&world.first);
        let digits = world.first[..8].to_owned();
        world.line(&format!("models set acme/tiny --policy pin@{digits}"));
    } => "first | - | update mail | 0";

    a_commit_is_pinned_that_only_this_disk_has_with_the_whole_repository: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.forget();
        world.repo().delete();
        world.line(&format!("models set acme/tiny --policy pin@{}", world.first));
    } => "first | - | update mail | 0";

    a_pinned_model_follows_again: |world| {
        world.line("models set acme/tiny --policy pin");
        readme(world, "2");
        world.night().succeeds();
        world.line("models set acme/tiny --policy follow");
    } => "new | - | update | 0";

    a_held_update_is_rolled_back_from: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.line("models rollback acme/tiny");
    } => "first | - | - | 0";

    a_rollback_stays_although_an_update_was_approved: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.line("updates approve acme/tiny");
        world.line("models rollback acme/tiny");
    } => "first | - | - | 0";

    a_rejected_update_stays_away_after_a_rollback: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.line("updates reject acme/tiny");
        world.line("models rollback acme/tiny");
        world.night().succeeds();
        world.line("models release acme/tiny");
    } => "first | - | - | 0";

    an_update_is_held_again_after_a_rollback: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.line("models rollback acme/tiny");
        world.night().succeeds();
        world.line("models release acme/tiny");
    } => "first | new-code | status | 0";

    a_pinned_model_is_rolled_back: |world| {
        readme(world, "2");
        world.night().succeeds();
        world.forget();
        world.line("models set acme/tiny --policy pin");
        world.line("models rollback acme/tiny");
        readme(world, "3");
    } => "first | - | - | 0";

    weights_are_held_under_an_approve_policy_and_not_lost: |world| {
        *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.line("models set acme/tiny --policy approve");
        world.publish(|draft| draft.lfs("model.safetensors", safetensors(900, 2)));
        world.held_night();
        world.line("prune --yes");
        world.line("verify acme/tiny");
    } => "first | approval | status | 0";
}
