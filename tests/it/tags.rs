//! Tags and the defaults that they give: commands, apply files, the rules in force.

use serde_json::{Value, json};

use super::apply_env::ApplyEnv;
use crate::support::due::roomy_world;
use crate::support::env::TestEnv;

/// A world with the models `acme/a` and `acme/b`, of which the first has the tag `llm`.
fn two_models() -> TestEnv {
    let env = roomy_world();
    env.line("models add acme/a --tag llm --no-check")
        .succeeds();
    env.line("models add acme/b --no-check").succeeds();
    env
}

#[test]
fn tags_in_use_and_tags_with_defaults_are_listed() {
    let env = two_models();
    env.line("tags set nightly --delay 7d").succeeds();
    let tags = env.line("tags list --json").json();
    let listed: Vec<(&Value, &Value, &Value)> = tags["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| (&tag["name"], &tag["models"], &tag["delay"]))
        .collect();
    let (llm, nightly) = (json!("llm"), json!("nightly"));
    assert_eq!(
        listed,
        [
            (&llm, &json!(1), &Value::Null),
            (&nightly, &json!(0), &json!("7d"))
        ]
    );
    let shown = env.line("tags show llm --json").json();
    assert_eq!(shown["model_names"], json!(["acme/a"]));
    let wrong = env.line("tags show lmm");
    wrong.exits(2);
    assert!(wrong.stderr().contains("did you mean `llm`"));
    // Without defaults and without models it is gone.
    env.line("tags unset nightly").succeeds();
    env.line("tags show nightly").exits(2);
}

#[test]
fn each_field_of_a_tag_is_set_and_taken_back() {
    let env = two_models();
    for (flags, field, value) in [
        ("--policy approve", "policy", json!("approve")),
        ("--delay 7d", "delay", json!("7d")),
        ("--follow-tags v*", "follow_tags", json!("v*")),
        (
            "--guards new-code,bad-header",
            "guards",
            json!(["new-code", "bad-header"]),
        ),
        ("--guards off", "guards", json!(["off"])),
        ("--no-policy", "policy", Value::Null),
        ("--no-delay", "delay", Value::Null),
        ("--no-follow-tags", "follow_tags", Value::Null),
        ("--no-guards", "guards", Value::Null),
    ] {
        for line in ["tags set llm", "models set acme/a"] {
            let changed = env.line(&format!("{line} {flags} --json"));
            assert_eq!(changed.succeeds().json()[field], value, "{line} {flags}");
        }
    }
    for (line, why) in [
        (
            "tags set llm --policy pin@0123abc",
            "belongs to one repository",
        ),
        ("tags set llm --policy hold", "is not a policy"),
        ("tags set llm --guards sabre", "sabre"),
        ("tags set llm", "nothing to change"),
    ] {
        let refused = env.line(line);
        refused.exits(2);
        assert!(refused.stderr().contains(why), "{}", refused.report());
    }
}

#[test]
fn a_model_is_added_with_rules_that_do_not_contradict_each_other() {
    let env = roomy_world();
    let flags = "--policy pin@0123abc --delay 1d --follow-tags v* --guards off --no-check --json";
    let added = env.line(&format!("models add acme/a {flags}")).json();
    assert_eq!(added["policy"], "pin@0123abc");
    assert_eq!(added["guards"], json!(["off"]));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let set = format!("models set acme/a --revision {commit}");
    let refused = env.line(&set);
    refused.exits(2);
    assert!(refused.stderr().contains("a commit, which never moves"));
    env.line(&format!("{set} --no-follow-tags")).exits(2);
    env.line(&format!("{set} --no-follow-tags --policy pin@0123456"))
        .succeeds();
}

#[test]
fn tags_are_exported_applied_and_pruned_like_the_other_sections() {
    let env = ApplyEnv::new();
    let file = "version: 1\ntags:\n- {name: llm, policy: approve, delay: 7d, guards: [off]}\n\
                - {name: old, follow_tags: 'v*'}\n";
    let printed = env.applies(&[], file);
    assert!(
        printed.contains("+ tag llm: policy approve, delay 7d, guards [off]"),
        "{printed}"
    );
    let exported = env.exports();
    assert!(
        exported.contains("- name: llm\n  policy: approve\n"),
        "{exported}"
    );
    assert!(
        env.applies(&["--prune"], &exported)
            .contains("nothing to do")
    );

    let changed = "version: 1\ntags: [{name: llm, policy: pin}]\n";
    let printed = env.applies(&[], changed);
    assert!(
        printed.contains("~ tag llm: policy approve → pin, delay 7d → -"),
        "{printed}"
    );
    assert!(!printed.contains("old"), "{printed}");
    let printed = env.applies(&["--prune", "--yes"], changed);
    assert_eq!(printed.trim(), "- tag old");
    // A file without the section leaves tags alone.
    env.applies(&["--prune", "--yes"], "version: 1\nmodels: []\n");
    assert!(env.exports().contains("policy: pin"));

    let shared = "version: 1\nmodels:\n- {repo: a/b, tags: [llm]}\n\
                  - {repo: a/b, name: c, include: ['*.json']}\n";
    let told = env.hfdl(&["apply", "-f", "-"], shared.as_bytes()).stderr;
    assert!(
        told.contains("`c` shares its revision with `a/b`"),
        "{told}"
    );

    for (file, why) in [
        (
            "version: 1\ntags: [{name: a}, {name: a}]\n",
            "a second tag `a`",
        ),
        ("version: 1\ntags: [{policy: pin}]\n", "`name` is missing"),
        (
            "version: 1\ntags: [{name: a, policy: pin@0123abc}]\n",
            "one repository",
        ),
        (
            "version: 1\ntags: [{name: a, delays: 7d}]\n",
            "did you mean `delay`",
        ),
    ] {
        let refused = env.refuses(&[], file);
        assert!(refused.contains(why), "{refused}");
    }
}
