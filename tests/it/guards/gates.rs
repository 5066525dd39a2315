//! Rows about the gate, and about decisions by `hfdl updates`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hfdl_test_hub::CommitDraft;

use super::{World, nights};

impl World {
    /// Has a script judge new commits.
    fn gate(&self, script: &str) {
        let path = self.env.root().join("gate");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.env.set("HFDL_HOOKS_GATE", path.to_str().unwrap());
    }

    /// Has a script judge a new commit, which no guard holds.
    fn judge(&self, script: &str) {
        self.gate(script);
        self.publish(changed);
    }
}

fn changed(draft: CommitDraft) -> CommitDraft {
    draft.file("config.json", b"{\"changed\": true}")
}

nights! {
    a_commit_that_the_gate_lets_pass_is_published: |world| world.judge("exit 0")
        => "new | - | update | 0";
    a_commit_that_the_gate_refuses_is_held: |world| world.judge("echo no >&2; exit 1")
        => "first | gate | hold mail status | 0";
    a_gate_that_decides_later_is_silent: |world| world.judge("exit 75")
        => "first | gate-later | - | 0";
    a_gate_that_a_signal_ends_holds: |world| world.judge("kill -9 $$")
        => "first | gate | hold mail status | 0";
    a_gate_that_writes_to_the_snapshot_holds: |world|
        world.judge("chmod u+w $HFDL_PATH; echo x >$HFDL_PATH/x")
        => "first | gate | hold mail status | 0";
    a_gate_that_is_missing_holds: |world| {
        world.judge("exit 0");
        fs::remove_file(world.env.root().join("gate")).unwrap();
    } => "first | gate | hold mail status | 0";
    a_refused_commit_is_told_once: |world| {
        world.judge("exit 1");
        world.held_night();
    } => "first | gate | status | 0";
    an_approved_commit_is_published_without_the_gate: |world| {
        world.judge("exit 1");
        world.held_night();
        world.line("updates approve acme/tiny");
    } => "new | - | update | 0";
    a_rejected_commit_stays_away_in_silence: |world| {
        world.judge("exit 1");
        world.held_night();
        world.line("updates reject acme/tiny");
    } => "first | - | - | 0";
    a_commit_after_a_rejected_one_is_judged_anew: |world| {
        world.judge("exit 1");
        world.held_night();
        world.line("updates reject acme/tiny");
        world.publish(|draft| draft.file("README.md", b"anew"));
    } => "first | gate | hold mail status | 0";
}
