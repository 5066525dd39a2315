//! `hfdl sbom`: bills of materials of today and of days in history.

use std::fs;

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::due::roomy_world;
use crate::support::env::TestEnv;

const CARD: &str = "---\nlicense: apache-2.0\n---\n# Tiny\n";

fn publish(env: &TestEnv, n: u64, card: &str) -> String {
    let commit = env.hub().repo("Acme/Tiny").commit("main");
    commit
        .file("README.md", card)
        .lfs("model.safetensors", generated_bytes(4096, n))
        .publish()
}

/// A home with a model that got one revision on the 2nd and another on the 4th of March.
fn two_revisions() -> (TestEnv, String, String) {
    let env = roomy_world();
    let old = publish(&env, 1, CARD);
    env.now("2026-03-01T09:00:00Z");
    env.line("models add Acme/Tiny").succeeds();
    env.now("2026-03-02T09:00:00Z");
    env.line("download Acme/Tiny").succeeds();
    let new = publish(
        &env,
        2,
        "---\nlicense: other\nlicense_name: acme-2\nlicense_link: https://acme.example/l\n---\n",
    );
    env.now("2026-03-04T09:00:00Z");
    env.line("download Acme/Tiny").succeeds();
    env.now("2026-03-09T09:00:00Z");
    (env, old, new)
}

fn sbom(env: &TestEnv, line: &str) -> Value {
    env.line(line).succeeds().json()
}

fn property<'a>(component: &'a Value, name: &str) -> Vec<&'a str> {
    let properties = component["properties"].as_array().unwrap().iter();
    let named = properties.filter(|it| it["name"] == name);
    named.map(|it| it["value"].as_str().unwrap()).collect()
}

#[test]
fn a_component_has_commit_licence_and_hashes() {
    let (env, _, new) = two_revisions();
    let bill = sbom(&env, "sbom");
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["specVersion"], "1.6");
    assert_eq!(bill["metadata"]["timestamp"], "2026-03-09T09:00:00Z");
    let component = &bill["components"][0];
    assert_eq!(component["type"], "machine-learning-model");
    assert_eq!(component["group"], "Acme");
    assert_eq!(component["name"], "Tiny");
    assert_eq!(component["version"], new.as_str());
    let endpoint = env.hub_endpoint().unwrap();
    let purl = format!("pkg:huggingface/Acme/Tiny@{new}?repository_url={endpoint}");
    assert_eq!(component["purl"], purl.as_str());
    let licence = &component["licenses"][0]["license"];
    assert_eq!(licence["name"], "acme-2");
    assert_eq!(licence["url"], "https://acme.example/l");
    let files = component["components"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    for file in files {
        let hash = file["hashes"][0]["content"].as_str().unwrap();
        assert_eq!(
            (file["hashes"][0]["alg"].as_str(), hash.len()),
            (Some("SHA-256"), 64)
        );
    }
    let gitoid = files[0]["omniborId"][0].as_str().unwrap();
    assert!(gitoid.starts_with("gitoid:blob:sha1:"), "{gitoid}");
    assert_eq!(property(component, "hfdl:unknown"), [""; 0]);
    assert_eq!(bill["compositions"][0]["aggregate"], "complete");
}

#[test]
fn the_same_facts_give_the_same_bytes() {
    let (env, ..) = two_revisions();
    env.set("SOURCE_DATE_EPOCH", "1700000000");
    let first = env.line("sbom");
    env.now("2026-03-10T09:00:00Z");
    let second = env.line("sbom Acme/Tiny");
    assert_eq!(first.succeeds().stdout(), second.succeeds().stdout());
    assert_eq!(
        first.json()["metadata"]["timestamp"],
        "2023-11-14T22:13:20Z"
    );
    env.line("sbom --output bill.json").succeeds();
    let written = fs::read_to_string(env.root().join("work/bill.json")).unwrap();
    assert_eq!(written, first.stdout());
    env.unset("SOURCE_DATE_EPOCH");
    let other = sbom(&env, "sbom");
    assert_ne!(other["serialNumber"], first.json()["serialNumber"]);
    env.set("SOURCE_DATE_EPOCH", "soon");
    env.line("sbom").exits(2).explains("`SOURCE_DATE_EPOCH`");
}

#[test]
fn a_day_in_history_has_the_commit_of_that_day() {
    let (env, old, new) = two_revisions();
    for (day, commit) in [
        ("2026-03-02", Some(&old)),
        ("2026-03-02T09:00:00Z", Some(&old)),
        ("2026-03-02T08:59:59Z", None),
        ("2026-03-03", Some(&old)),
        ("2026-03-04T08:00:00Z", Some(&old)),
        ("2026-03-04", Some(&new)),
        ("2026-03-09", Some(&new)),
    ] {
        let bill = sbom(&env, &format!("sbom --at {day}"));
        let found = &bill["components"][0]["version"];
        assert_eq!(found.as_str(), commit.map(String::as_str), "{day}");
    }
    let bill = sbom(&env, "sbom --at 2026-03-03");
    let licence = &bill["components"][0]["licenses"][0]["license"];
    assert_eq!(licence["id"], "Apache-2.0");
    let none = env.line("sbom --at 2026-03-01");
    none.succeeds()
        .explains("`Acme/Tiny` is left out: no published commit is known");
    assert_eq!(none.json()["components"], Value::Array(Vec::new()));
    let before = sbom(&env, "sbom --at 2026-02-01");
    assert_eq!(
        before["metadata"]["properties"],
        Value::Null,
        "the model was not there yet"
    );
    env.line("sbom --at 2026-03-10")
        .exits(2)
        .explains("in the future");
    env.line("sbom --at someday")
        .exits(2)
        .explains("is not a time");
}

#[test]
fn facts_that_are_gone_are_named_and_not_invented() {
    let (env, old, new) = two_revisions();
    env.line("models set Acme/Tiny --keep-revisions 1")
        .succeeds();
    publish(&env, 3, "other");
    env.line("download Acme/Tiny").succeeds();
    env.line("prune --yes").succeeds();
    // The first download has recorded all files.
    let ran = env.line("sbom --at 2026-03-03");
    ran.succeeds().explains("not known any more: licence");
    let bill = ran.json();
    let component = &bill["components"][0];
    assert_eq!(component["version"], old.as_str());
    let files = component["components"].as_array().unwrap();
    let names: Vec<&Value> = files.iter().map(|file| &file["name"]).collect();
    assert_eq!(names, ["README.md", "model.safetensors"]);
    assert_eq!(property(&files[1], "hfdl:size"), ["4096"]);
    assert_eq!(files[1]["hashes"][0]["alg"], "SHA-256");
    assert_eq!(component["licenses"], Value::Null);
    assert_eq!(bill["compositions"][0]["aggregate"], "complete");

    crate::support::database::change(&env, "DELETE FROM session_files WHERE path = 'README.md'");
    let ran = env.line("sbom --at 2026-03-05");
    ran.succeeds()
        .explains("not known any more: some files, licence");
    let bill = ran.json();
    let component = &bill["components"][0];
    assert_eq!(component["version"], new.as_str());
    assert_eq!(component["components"].as_array().unwrap().len(), 1);
    assert_eq!(
        property(component, "hfdl:unknown"),
        ["some files", "licence"]
    );
    assert_eq!(bill["compositions"][0]["aggregate"], "incomplete");

    crate::support::database::change(&env, "DELETE FROM session_files");
    let bill = sbom(&env, "sbom --at 2026-03-05");
    let component = &bill["components"][0];
    assert_eq!(component["components"], Value::Null);
    assert_eq!(property(component, "hfdl:unknown"), ["files", "licence"]);
    assert_eq!(bill["compositions"][0]["aggregate"], "unknown");
}
