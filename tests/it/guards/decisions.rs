//! Rows about the decisions of people, and about upstream that changes its mind.

use super::{World, nights, safetensors};

nights! {
    a_held_update_is_told_once: |world| {
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
    } => "first | new-code | status | 0";

    a_person_approves: |world| {
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.approve();
    } => "new | - | - | 0";

    code_that_was_approved_does_not_hold_the_next_commit: |world| {
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.approve();
        world.publish(|draft| draft.file("README.md", b"more"));
    } => "new | - | update | 0";

    upstream_takes_the_code_back: |world| {
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.publish(|draft| draft.remove("m.py").file("README.md", b"sorry"));
        world.then(|world| {
            assert_eq!(world.model("acme/tiny")["held_update"], serde_json::Value::Null);
        });
    } => "new | - | update | 0";

    another_bad_commit_is_told_again: |world| {
        world.publish(|draft| draft.file("m.py", b"1"));
        world.held_night();
        world.publish(|draft| draft.file("n.py", b"2"));
    } => "first | new-code | hold mail status | 0";

    one_guard_is_switched_off: |world| {
        world.env.set("HFDL_UPDATE_GUARDS", "all,-new-code");
        world.publish(|draft| draft.file("m.py", b"1"));
    } => "new | - | update | 0";

    the_other_guards_stay_on: |world| {
        *world = World::with(|draft| draft.file("m.py", b"1"));
        world.env.set("HFDL_UPDATE_GUARDS", "all,-new-code");
        world.publish(|draft| draft.file("m.py", b"2").file("n.py", b"2"));
    } => "first | changed-code | hold mail status | 0";

    one_model_goes_without_a_guard: |world| {
        world.line("models set acme/tiny --guards all,-new-code");
        world.publish(|draft| draft.file("m.py", b"1"));
    } => "new | - | update | 0";

    one_model_has_a_guard_that_the_setting_switches_off: |world| {
        world.env.set("HFDL_UPDATE_GUARDS", "off");
        world.line("models set acme/tiny --guards new-code");
        world.publish(|draft| draft.file("m.py", b"1"));
    } => "first | new-code | hold mail status | 0";

    the_tag_of_a_model_chooses_its_guards: |world| {
        world.line("models set acme/tiny --tag trusted");
        world.line("tags set trusted --guards bad-header");
        world.publish(|draft| draft.file("m.py", b"1"));
    } => "new | - | update | 0";

    a_person_approves_a_first_download: |world| {
        *world = World::of("acme/tiny", |draft| draft.lfs("model.bin", b"virus"));
        world.repo().scan("model.bin", "unsafe");
        world.add("models add acme/tiny");
        world.held_night();
        world.approve();
    } => "new | - | - | 0";

    all_guards_are_switched_off: |world| {
        *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
        world.env.set("HFDL_UPDATE_GUARDS", "off");
        world.repo().licence("other").scan("model.bin", "unsafe");
        world.publish(|draft| {
            draft.remove("model.safetensors").lfs("model.bin", safetensors(900, 1))
        });
        world.env.hub().forget_requests();
        // The change note asks, and no guard.
        world.then(|world| assert_eq!(world.env.hub().count(hfdl_test_hub::Api::Commits), 1));
    } => "new | - | update | 0";

    everything_goes_wrong_at_once: |world| {
        *world = World::with(|draft| {
            draft.lfs("model.safetensors", safetensors(900, 1)).file("m.py", b"1")
        });
        world.repo().licence("other").scan("model.bin", "suspicious");
        let rewritten = world.repo().commit("rewritten");
        let rewritten = rewritten.lfs("model.bin", safetensors(900, 2)).file("m.py", b"2");
        let rewritten = rewritten.publish();
        world.repo().point("main", &rewritten);
    } => "first | new-code+changed-code+no-safetensors+licence-changed+history-rewritten+security-scan | hold mail status | 0";
}

#[test]
fn saved_settings_choose_the_guards_and_the_allowed_change() {
    let mut world = World::with(|draft| draft.file("notes.txt", vec![b'x'; 1000]));
    world.line("config set update.guards size-change,bad-header");
    world.line("config set update.size_change 10");
    let shown = world.line("config list");
    shown.prints("size-change,bad-header").prints("10%");
    world.publish(|draft| draft.file("notes.txt", vec![b'x'; 1200]).file("m.py", b"1"));
    world.night().succeeds();
    assert_eq!(world.held(), "size-change");
    world.line("config set update.size_change off");
    world.night().succeeds();
    assert_eq!(world.published(), "new");
    for (key, value, why) in [
        ("update.guards", "new-cod", "did you mean `new-code`?"),
        ("update.guards", "no-files", "there is no guard `no-files`"),
        ("update.size_change", "many", "a percentage, such as 30%"),
        ("update.size_change", "0", "a percentage, such as 30%"),
    ] {
        let ran = world.env.line(&format!("config set {key} {value}"));
        ran.exits(2).explains(why);
    }
}
