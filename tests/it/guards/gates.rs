//! Rows about the gate, alone and together with guards and policies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hfdl_test_hub::Api;

use super::{World, nights, safetensors};

/// Lets this script be the gate from now on; its calls are counted.
fn gate(world: &World, script: &str) {
    let (path, root) = (world.env.root().join("gate"), world.env.root().display());
    let text = format!("#!/bin/sh\necho x >> '{root}/calls'\n{script}\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let program = format!("[\"{}\"]", path.display());
    world.env.set("HFDL_HOOKS_GATE", &program);
}

/// Returns how often the gate was started.
fn calls(world: &World) -> usize {
    let calls = fs::read_to_string(world.env.root().join("calls"));
    calls.map_or(0, |text| text.lines().count())
}

/// Expects the gate to have been started this often after the tick.
fn expect_calls(world: &mut World, n: usize) {
    world.then(move |world| assert_eq!(calls(world), n));
}

fn readme(world: &World, text: &str) -> String {
    world.publish(|draft| draft.file("README.md", text))
}

/// Has a commit with other weights refused by the gate.
fn refused_weights(world: &mut World) {
    *world = World::with(|draft| draft.lfs("model.safetensors", safetensors(900, 1)));
    gate(world, "exit 1");
    world.publish(|draft| draft.lfs("model.safetensors", safetensors(900, 2)));
    world.held_night();
}

/// Lets the gate pass the refused weights, and expects that no byte is fetched again.
fn pass_without_bytes(world: &mut World) {
    gate(world, "exit 0");
    world.line("updates retry acme/tiny");
    world.env.hub().forget_requests();
    world.then(|world| assert_eq!(world.env.hub().count(Api::Cdn), 0));
}

nights! {
    a_refused_update_outlives_a_verification_and_a_prune: |world| {
        refused_weights(world);
        world.line("verify acme/tiny");
        world.line("prune --yes");
        pass_without_bytes(world);
    } => "new | - | update | 0";

    a_refused_update_outlives_a_repair_and_a_prune: |world| {
        refused_weights(world);
        let snapshots = world.env.cache().join("models--acme--tiny/snapshots");
        let file = snapshots.join(&world.first).join("model.safetensors");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, safetensors(900, 3)).unwrap();
        world.line("verify acme/tiny --repair");
        assert_eq!(fs::read(&file).unwrap(), safetensors(900, 1));
        world.line("prune --yes");
        pass_without_bytes(world);
    } => "new | - | update | 0";

    the_gate_passes: |world| {
        gate(world, "exit 0");
        readme(world, "2");
        expect_calls(world, 1);
    } => "new | - | update | 0";

    the_gate_refuses: |world| {
        gate(world, "echo 'dangerous import'; exit 1");
        readme(world, "2");
        world.then(|world| {
            let detail = world.model("acme/tiny")["held_update"]["findings"][0]["detail"].clone();
            assert!(detail.as_str().unwrap().contains("dangerous import"), "{detail}");
        });
    } => "first | gate | hold mail status | 0";

    the_gate_refuses_a_first_download: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        gate(world, "exit 1");
        world.add("models add acme/tiny");
        world.then(|world| {
            let ran = world.env.line("download acme/tiny");
            ran.explains("`acme/tiny` is held, and nothing of it is published yet");
            let quiet = world.env.line("download acme/tiny -q");
            assert_eq!(quiet.exits(1).stdout(), "");
            quiet.explains("`acme/tiny` is held, and nothing of it is published yet");
        });
    } => "none | gate | hold mail status | 0";

    a_refusal_is_told_once_and_not_asked_for_again: |world| {
        gate(world, "exit 1");
        readme(world, "2");
        world.held_night();
        expect_calls(world, 1);
    } => "first | gate | status | 0";

    a_person_overrules_the_gate: |world| {
        gate(world, "exit 1");
        readme(world, "2");
        world.held_night();
        world.line("updates approve acme/tiny");
        expect_calls(world, 1);
    } => "new | - | update | 0";

    a_person_agrees_with_the_gate: |world| {
        gate(world, "exit 1");
        readme(world, "2");
        world.held_night();
        world.line("updates reject acme/tiny");
        expect_calls(world, 1);
    } => "first | - | - | 0";

    the_gate_passes_the_commit_after_a_refused_one: |world| {
        gate(world, "grep -q bad \"$HFDL_PATH/README.md\" && exit 1; exit 0");
        readme(world, "bad");
        world.held_night();
        readme(world, "good");
        expect_calls(world, 2);
    } => "new | - | update | 0";

    the_gate_decides_later: |world| {
        gate(world, "exit 75");
        readme(world, "2");
    } => "first | gate-later | - | 0";

    the_gate_passes_a_day_later: |world| {
        gate(world, "exit 75");
        readme(world, "2");
        world.night().succeeds();
        gate(world, "exit 0");
        expect_calls(world, 2);
    } => "new | - | update | 0";

    the_gate_does_not_end: |world| {
        gate(world, "sleep 60");
        world.env.set("HFDL_HOOKS_GATE_TIMEOUT", "1s");
        readme(world, "2");
    } => "first | gate | hold mail status | 0";

    the_gate_is_ended_by_a_signal: |world| {
        gate(world, "kill -KILL $$");
        readme(world, "2");
    } => "first | gate | hold mail status | 0";

    there_is_no_such_gate: |world| {
        world.env.set("HFDL_HOOKS_GATE", "[\"/no/such/gate\"]");
        readme(world, "2");
    } => "first | gate | hold mail status | 0";

    the_gate_adds_a_file: |world| {
        gate(world, "chmod u+w \"$HFDL_PATH\"; echo > \"$HFDL_PATH/more\"; exit 0");
        readme(world, "2");
    } => "first | gate | hold mail status | 0";

    a_guard_holds_before_the_gate_is_asked: |world| {
        gate(world, "exit 0");
        world.publish(|draft| draft.file("m.py", b"1"));
        expect_calls(world, 0);
    } => "first | new-code | hold mail status | 0";

    the_policy_holds_before_the_gate_is_asked: |world| {
        gate(world, "exit 1");
        world.line("models set acme/tiny --policy approve");
        readme(world, "2");
        expect_calls(world, 0);
    } => "first | approval | hold mail status | 0";

    a_delayed_commit_comes_to_the_gate_in_its_time: |world| {
        gate(world, "exit 1");
        world.line("models set acme/tiny --delay 1d");
        readme(world, "2");
        world.night().succeeds();
        assert_eq!(calls(world), 0);
    } => "first | gate | hold mail status | 0";

    the_gate_judges_an_unchanged_model_never: |world| {
        gate(world, "exit 1");
        expect_calls(world, 0);
    } => "first | - | - | 0";

    the_gate_holds_models_that_share_a_snapshot: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --name a\nmodels add acme/tiny --name b --include *.json");
        gate(world, "exit 1");
        world.publish(|draft| draft.file("config.json", b"{ }"));
        expect_calls(world, 1);
    } => "a first, b first | a gate, b gate | hold hold mail status | 0";

    a_directory_waits_for_the_gate: |world| {
        *world = World::of("acme/tiny", |draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny --to ./there");
        gate(world, "exit 1");
        world.publish(|draft| draft.file("config.json", b"{ }").file("README.md", b"2"));
        world.then(|world| {
            let folder = world.env.root().join("work/there");
            assert_eq!(fs::read(folder.join("config.json")).unwrap(), b"{}");
            assert!(!folder.join("README.md").exists());
        });
    } => "first | gate | hold mail status | 0";
}
