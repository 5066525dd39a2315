//! Rows about licence, gating, history and the Hub's scan, and about mirrors that lack
//! them.

use hfdl_test_hub::{Api, Fault, Gate, On};

use super::{World, nights};

/// A model at a tag.
fn at_tag() -> World {
    let mut world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
    let first = world.repo().head("main").unwrap();
    world.repo().tag("v1", &first);
    world.keep("models add acme/tiny --revision v1");
    world
}

nights! {
    the_licence_changes: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.repo().licence("apache-2.0");
        world.keep("models add acme/tiny");
        world.repo().licence("cc-by-nc-4.0");
        world.publish(|draft| draft.file("README.md", b"no commerce"));
        world.then(|world| {
            let detail = world.model("acme/tiny")["held_update"]["findings"][0]["detail"].clone();
            assert_eq!(detail, "the licence is `cc-by-nc-4.0` and was `apache-2.0`");
        });
    } => "first | licence-changed | hold mail status | 0";

    a_licence_without_a_commit_waits_for_the_next_commit: |world| {
        world.repo().licence("cc-by-nc-4.0");
        world.night().succeeds();
        world.publish(|draft| draft.file("README.md", b"later"));
    } => "first | licence-changed | hold mail status | 0";

    the_repository_becomes_gated: |world| {
        world.repo().gated(Gate::Manual);
        world.publish(|draft| draft.file("README.md", b"ask me"));
    } => "first | gating-changed | hold mail status | 0";

    the_branch_is_forced_to_another_history: |world| {
        let other = world.repo().commit("rewritten").file("config.json", b"{\"x\":1}").publish();
        world.repo().point("main", &other);
    } => "first | history-rewritten | hold mail status | 0";

    the_branch_is_put_back_to_an_older_commit: |world| {
        let older = world.repo().head("main").unwrap();
        world.publish(|draft| draft.file("README.md", b"one"));
        world.night().succeeds();
        world.repo().point("main", &older);
        world.env.root().join("told").exists().then(|| {
            std::fs::remove_file(world.env.root().join("told")).unwrap();
        });
        world.then(|world| {
            let finding = &world.model("acme/tiny")["held_update"]["findings"][0];
            assert!(finding["detail"].as_str().unwrap().contains("no longer in the history"));
        });
    } => "other | history-rewritten | hold mail status | 0";

    a_tag_moves: |world| {
        *world = at_tag();
        let second = world.publish(|draft| draft.file("README.md", b"moved"));
        world.repo().tag("v1", &second);
        world.then(|world| {
            let finding = &world.model("acme/tiny")["held_update"]["findings"][0];
            assert!(finding["detail"].as_str().unwrap().starts_with("the tag `v1` moved"));
        });
    } => "first | history-rewritten | hold mail status | 0";

    the_scan_finds_something_in_a_new_file: |world| {
        world.repo().scan("README.md", "unsafe");
        world.publish(|draft| draft.file("README.md", b"virus"));
    } => "first | security-scan | hold mail status | 0";

    the_scan_finds_something_in_a_file_that_was_published_before: |world| {
        world.repo().scan("config.json", "suspicious");
        world.publish(|draft| draft.file("README.md", b"harmless"));
    } => "new | - | update | 0";

    a_mild_word_of_the_scan_holds_nothing: |world| {
        world.repo().scan("README.md", "caution");
        world.publish(|draft| draft.file("README.md", b"harmless"));
    } => "new | - | update | 0";

    the_scan_finds_something_before_the_first_download: |world| {
        *world = World::of("acme/tiny", |draft| draft.lfs("model.bin", b"virus"));
        world.repo().scan("model.bin", "unsafe");
        world.add("models add acme/tiny");
    } => "none | security-scan | hold mail status | 0";

    code_is_no_finding_at_the_first_download: |world| {
        *world = World::of("acme/tiny", |draft| draft.lfs("model.bin", b"pickle").file("m.py", b"1"));
        world.add("models add acme/tiny");
    } => "new | - | update | 0";

    a_mirror_knows_neither_history_nor_scan: |world| {
        let missing = Fault::Status(404);
        world.env.hub().fault(On::api(Api::Commits), missing.clone());
        world.env.hub().fault(On::api(Api::Info).skip(1), missing);
        world.publish(|draft| draft.file("README.md", b"fine"));
    } => "new | - | update | 0";

    the_history_cannot_be_read_tonight: |world| {
        world.env.hub().fault(On::api(Api::Commits), Fault::Status(500));
        world.publish(|draft| draft.file("README.md", b"fine"));
    } => "first | - | - | 5";

    a_configuration_cannot_be_read_tonight: |world| {
        world.env.hub().fault(On::content("config.json"), Fault::Status(500));
        world.publish(|draft| draft.file("config.json", b"{\"x\":1}"));
    } => "first | - | - | 5";
}

#[test]
fn an_unchanged_model_takes_one_request() {
    let mut world = World::usual();
    world.env.hub().forget_requests();
    world.night().succeeds();
    assert_eq!(world.env.hub().requests().len(), 1);
}
