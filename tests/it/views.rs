//! Views of models: made, updated, rolled back and removed beside the files of others.

use std::fs;
use std::path::{Path, PathBuf};

use hfdl::sys::abilities::supports_symlinks;
use hfdl_test_hub::generated_bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::database::{cell, number};
use crate::support::env::{Ran, TestEnv};

const SIZE: usize = 4096;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env.hub();
    env
}

/// Publishes a revision of `acme/tiny`, and returns the bytes of its weights.
fn publish(env: &TestEnv, n: u64, others: &[(&str, &str)]) -> Vec<u8> {
    replace(env, n, &[], others)
}

/// As `publish`, without some files of the revision before.
fn replace(env: &TestEnv, n: u64, gone: &[&str], others: &[(&str, &str)]) -> Vec<u8> {
    let weights = generated_bytes(SIZE, n);
    let mut commit = env.hub().repo("acme/tiny").commit("main");
    for path in gone {
        commit = commit.remove(path);
    }
    commit = commit.lfs("model.safetensors", weights.clone());
    for (path, text) in others {
        commit = commit.file(path, text.as_bytes());
    }
    commit.publish();
    weights
}

fn day(n: u8) -> String {
    format!("2026-03-{n:02}T09:00:00Z")
}

fn download(env: &TestEnv, n: u8) -> Ran {
    env.now(&day(n));
    env.line("download acme/tiny --json")
}

fn outcome(ran: &Ran) -> String {
    let outcome = &ran.succeeds().json()["sessions"][0]["outcome"];
    outcome.as_str().unwrap().to_owned()
}

/// Registers the model with one view, and returns the root of the view.
fn with_view(env: &TestEnv, kind: &str) -> PathBuf {
    let root = env.root().join("apps").join(kind);
    let view = format!("{kind}={}", root.display());
    env.hfdl(["models", "add", "acme/tiny", "--no-check", "--view", &view])
        .succeeds();
    root
}

fn views(env: &TestEnv) -> Value {
    let ran = env.line("views list --json");
    let document = ran.succeeds().json();
    assert_eq!(document["schema"], "hfdl.views/1");
    document["views"].clone()
}

fn state(env: &TestEnv) -> String {
    views(env)[0]["state"].as_str().unwrap().to_owned()
}

/// Returns the files below a folder, sorted, with `/`.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(root).unwrap();
                found.push(below.to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// Writes into a file in place, as a program does that opens it for writing.
fn write_in_place(path: &Path, bytes: &[u8]) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    file.set_modified(long_ago).unwrap();
}

#[test]
fn a_view_shows_each_new_revision_and_goes_back_with_a_rollback() {
    let env = world();
    let first = publish(&env, 1, &[("a/old.json", "1")]);
    let root = with_view(&env, "dir");
    assert_eq!(state(&env), "missing");
    assert_eq!(outcome(&download(&env, 1)), "updated");
    assert_eq!(files(&root), ["a/old.json", "model.safetensors"]);
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), first);
    assert_eq!(state(&env), "ok");
    let shared = views(&env)[0]["bytes_shared"].as_u64().unwrap();
    assert_eq!(shared, SIZE as u64 + 1, "no byte is there twice");

    let second = replace(&env, 2, &["a/old.json"], &[("b/new.json", "2")]);
    download(&env, 2).succeeds();
    assert_eq!(files(&root), ["b/new.json", "model.safetensors"]);
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), second);

    env.now(&day(3));
    env.line("models rollback acme/tiny").succeeds();
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), first);
    assert_eq!(files(&root), ["a/old.json", "model.safetensors"]);
    assert_eq!(state(&env), "ok");
    env.line("models release acme/tiny").succeeds();
    download(&env, 4).succeeds();
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), second);
    let listed = views(&env);
    assert_eq!(listed[0]["model"], "acme/tiny");
    assert_eq!(listed[0]["kind"], "dir");
    assert_eq!(listed[0]["directory"], root.display().to_string());
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(listed[0]["revision"], shown["published_commit"]);
    env.line("view list").succeeds().prints("acme/tiny");
}

#[test]
fn files_of_a_view_are_read_only_and_an_unchanged_view_is_not_made_again() {
    let env = world();
    publish(&env, 1, &[("config.json", "{}")]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    for file in files(&root) {
        let found = fs::metadata(root.join(&file)).unwrap();
        assert!(cfg!(windows) || found.permissions().readonly(), "{file}");
    }
    let made_at = || cell(&env, "SELECT made_at FROM views");
    let before = made_at();
    assert_eq!(outcome(&download(&env, 2)), "up-to-date");
    assert_eq!(made_at(), before);
    fs::remove_file(root.join("config.json")).unwrap();
    assert_eq!(state(&env), "missing");
    assert_eq!(outcome(&download(&env, 3)), "up-to-date");
    assert_eq!(state(&env), "ok");
}

/// A GGUF header with one value, and bytes that make it an LFS file of its own.
fn gguf(n: u64) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    for (part, kind) in [("general.architecture", Some(8u32)), ("llama", None)] {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
        bytes.extend(kind.into_iter().flat_map(u32::to_le_bytes));
    }
    bytes.extend(generated_bytes(SIZE, n));
    bytes
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn publish_gguf(env: &TestEnv, n: u64) -> String {
    let weights = gguf(n);
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .lfs("tiny-Q4_0.gguf", weights.clone())
        .file("template", b"{{ .Prompt }}")
        .publish();
    hex(&weights)
}

#[test]
fn ollama_finds_a_manifest_whose_blobs_are_all_there() {
    let env = world();
    let first = publish_gguf(&env, 1);
    let root = with_view(&env, "ollama");
    download(&env, 1).succeeds();
    let manifest = root.join("manifests/hf.co/acme/tiny/Q4_0");
    let read = || -> Value { serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap() };
    let check = |weights: &str| {
        let document = read();
        assert_eq!(document["schemaVersion"], 2);
        let layers = document["layers"].as_array().unwrap();
        assert_eq!(layers[0]["mediaType"], "application/vnd.ollama.image.model");
        assert_eq!(layers[0]["digest"], format!("sha256:{weights}"));
        assert_eq!(
            layers[1]["mediaType"],
            "application/vnd.ollama.image.template"
        );
        let blobs = layers.iter().chain([&document["config"]]);
        let mut names: Vec<String> = Vec::new();
        for blob in blobs {
            let digest = blob["digest"].as_str().unwrap().replace(':', "-");
            let bytes = fs::read(root.join("blobs").join(&digest)).unwrap();
            assert_eq!(digest, format!("sha256-{}", hex(&bytes)));
            assert_eq!(blob["size"], bytes.len() as u64);
            names.push(format!("blobs/{digest}"));
        }
        names.push("manifests/hf.co/acme/tiny/Q4_0".to_owned());
        names.sort();
        assert_eq!(files(&root), names, "old blobs are gone");
        let config = document["config"]["digest"].as_str().unwrap();
        let config = fs::read(root.join("blobs").join(config.replace(':', "-"))).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["model_family"], "llama");
        assert_eq!(config["file_type"], "Q4_0");
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{weights}"));
    };
    check(&first);
    let second = publish_gguf(&env, 2);
    download(&env, 2).succeeds();
    check(&second);
}

#[test]
fn a_blob_that_another_manifest_names_stays_until_that_is_gone() {
    let env = world();
    let weights = publish_gguf(&env, 1);
    let root = with_view(&env, "ollama");
    download(&env, 1).succeeds();
    // As `ollama create` writes it, for a model derived from this one.
    let derived = root.join("manifests/registry.ollama.ai/library/mine/latest");
    fs::create_dir_all(derived.parent().unwrap()).unwrap();
    let text = format!(r#"{{"layers":[{{"digest":"sha256:{weights}"}}]}}"#);
    fs::write(&derived, &text).unwrap();
    publish_gguf(&env, 2);
    download(&env, 2).succeeds();
    let blob = root.join(format!("blobs/sha256-{weights}"));
    assert!(blob.exists());
    fs::remove_file(&derived).unwrap();
    download(&env, 3).succeeds();
    assert!(!blob.exists());
    assert_eq!(state(&env), "ok");
}

#[test]
fn a_model_without_one_gguf_file_has_no_ollama_view_and_is_told_so() {
    let env = world();
    publish(&env, 1, &[]);
    with_view(&env, "ollama");
    let ran = download(&env, 1);
    assert_eq!(outcome(&ran), "updated");
    ran.explains("exactly one GGUF file, and the model has none")
        .explains("--include FILE.gguf");
    assert_eq!(state(&env), "missing");
}

#[test]
fn a_comfyui_view_has_the_files_that_the_map_names() {
    let env = world();
    let weights = publish(&env, 1, &[("README.md", "read me")]);
    let root = with_view(&env, "comfyui");
    download(&env, 1).succeeds().explains("--view-map");
    env.line("models set acme/tiny --view-map model.safetensors=checkpoints/tiny.safetensors")
        .succeeds();
    assert_eq!(files(&root), ["checkpoints/tiny.safetensors"]);
    let shown = fs::read(root.join("checkpoints/tiny.safetensors")).unwrap();
    assert_eq!(shown, weights);
    fs::create_dir_all(root.join("loras")).unwrap();
    fs::write(root.join("loras/mine"), "mine").unwrap();
    env.line("models set acme/tiny --view-map model.safetensors=vae/tiny.safetensors")
        .succeeds();
    assert_eq!(files(&root), ["loras/mine", "vae/tiny.safetensors"]);
    env.line("models set acme/tiny --no-view-map")
        .succeeds()
        .explains("--view-map");
}

#[test]
fn a_model_can_be_added_with_all_that_its_view_needs() {
    let env = world();
    publish(&env, 1, &[]);
    let root = env.root().join("apps").join("comfyui");
    let view = format!("comfyui={}", root.display());
    let map = "model.safetensors=vae/tiny.safetensors";
    let add = ["models", "add", "acme/tiny", "--no-check", "--copy"];
    let flags = ["--view", &view, "--view-map", map, "--json"];
    let model = env.hfdl(add.iter().chain(&flags).copied()).json();
    assert_eq!(model["views"][0], view);
    assert_eq!(model["view_map"][0], map);
    assert_eq!(model["view_copy"], true);
    download(&env, 1).succeeds();
    assert_eq!(files(&root), ["vae/tiny.safetensors"]);
}

#[test]
fn a_file_of_somebody_else_is_never_replaced_and_the_next_run_tries_again() {
    let env = world();
    let weights = publish(&env, 1, &[("config.json", "{}")]);
    let root = with_view(&env, "dir");
    fs::create_dir_all(&root).unwrap();
    let theirs = root.join("config.json");
    fs::write(&theirs, "theirs").unwrap();
    let ran = download(&env, 1);
    assert_eq!(outcome(&ran), "updated");
    ran.explains("a file of another program or person is there");
    assert_eq!(
        files(&root),
        ["config.json"],
        "a view is whole or not there"
    );
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
    assert_eq!(state(&env), "conflict");
    assert_eq!(
        number(
            &env,
            "SELECT count(*) FROM events WHERE kind = 'view-failed'"
        ),
        1
    );
    let status = env.line("status --json").json();
    let warnings = status["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|it| it["kind"] == "view-failed"),
        "{status}"
    );
    env.line("doctor").prints("conflict");
    download(&env, 2).succeeds();
    assert_eq!(
        number(
            &env,
            "SELECT count(*) FROM events WHERE kind = 'view-failed'"
        ),
        1,
        "it is told once"
    );
    fs::remove_file(&theirs).unwrap();
    assert_eq!(outcome(&download(&env, 3)), "up-to-date");
    assert_eq!(state(&env), "ok");
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), weights);
    let status = env.line("status --json").json();
    assert_eq!(status["warnings"].as_array().unwrap().len(), 0, "{status}");
}

#[test]
fn a_users_file_beside_the_view_stays_through_an_update() {
    let env = world();
    publish(&env, 1, &[("a.json", "1")]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    fs::write(root.join("notes.txt"), "mine").unwrap();
    let second = replace(&env, 2, &["a.json"], &[("b.json", "2")]);
    download(&env, 2).succeeds();
    assert_eq!(files(&root), ["b.json", "model.safetensors", "notes.txt"]);
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), second);
    env.line("models remove acme/tiny --yes").succeeds();
    assert_eq!(files(&root), ["notes.txt"]);
}

#[test]
fn a_view_is_whole_after_a_kill_at_any_step() {
    let steps = [
        "view folder ready",
        "view recorded",
        "view in place",
        "last file of a view",
    ];
    for kind in ["dir", "ollama"] {
        for step in steps {
            let env = world();
            publish_gguf(&env, 1);
            let root = with_view(&env, kind);
            download(&env, 1).succeeds();
            let old = files(&root);
            publish_gguf(&env, 2);
            env.set("HFDL_TEST_CRASH_AT", step);
            let killed = download(&env, 2);
            env.unset("HFDL_TEST_CRASH_AT");
            let is_of_kind = match step {
                "view folder ready" => kind == "dir",
                "last file of a view" => kind == "ollama",
                _ => true,
            };
            assert_eq!(killed.code() != Some(0), is_of_kind, "{kind}: {step}");
            download(&env, 3).succeeds();
            assert_eq!(state(&env), "ok", "{kind}: {step}");
            let now = files(&root);
            assert_eq!(now.len(), old.len(), "{kind}: {step}: {now:?}");
            let temporary = fs::read_dir(root.parent().unwrap()).unwrap().count();
            assert_eq!(temporary, 1, "{kind}: {step}");
            env.line("models remove acme/tiny --yes").succeeds();
            assert_eq!(files(&root), Vec::<String>::new(), "{kind}: {step}");
        }
    }
}

#[test]
fn what_another_program_writes_through_a_link_is_noticed_and_the_cache_repaired() {
    let env = world();
    let weights = publish(&env, 1, &[]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    let shown = root.join("model.safetensors");
    if views(&env)[0]["methods"][0] != "hardlink" {
        // A reflink is independent: there is nothing to notice.
        return;
    }
    let foreign = vec![b'x'; SIZE];
    write_in_place(&shown, &foreign);
    assert_eq!(state(&env), "changed");
    env.line("doctor").prints("is changed");
    env.line("verify acme/tiny").exits(3).explains("is changed");
    assert_eq!(outcome(&download(&env, 2)), "repaired");
    let snapshots = env.cache().join("models--acme--tiny/snapshots");
    let commit = fs::read_dir(snapshots).unwrap().next().unwrap().unwrap();
    assert_eq!(
        fs::read(commit.path().join("model.safetensors")).unwrap(),
        weights
    );
    // Their bytes are theirs now.
    assert_eq!(fs::read(&shown).unwrap(), foreign);
    assert_eq!(state(&env), "conflict");
    fs::remove_file(&shown).unwrap();
    download(&env, 3).succeeds();
    assert_eq!(fs::read(&shown).unwrap(), weights);
}

#[test]
fn a_write_through_a_link_is_noticed_by_the_next_run_alone() {
    let env = world();
    let weights = publish(&env, 1, &[]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    if views(&env)[0]["methods"][0] != "hardlink" {
        return;
    }
    let shown = root.join("model.safetensors");
    write_in_place(&shown, &vec![b'x'; SIZE]);
    let ran = download(&env, 2);
    assert_eq!(outcome(&ran), "repaired");
    ran.explains("another program has written to");
    assert_eq!(
        number(&env, "SELECT count(*) FROM events WHERE kind = 'corrupt'"),
        1
    );
    // Another time with the right bytes is no damage.
    fs::remove_file(&shown).unwrap();
    download(&env, 3).succeeds();
    write_in_place(&shown, &weights);
    assert_eq!(outcome(&download(&env, 4)), "up-to-date");
    assert_eq!(state(&env), "ok");
}

#[test]
fn a_removed_view_takes_its_files_and_leaves_changed_ones() {
    let env = world();
    publish(&env, 1, &[("a.json", "1"), ("b.json", "2")]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    let changed = root.join("a.json");
    fs::remove_file(&changed).unwrap();
    fs::write(&changed, "edited").unwrap();
    assert_eq!(state(&env), "changed");
    env.line("models remove acme/tiny --yes")
        .succeeds()
        .explains("a.json` stays: it is not as hfdl wrote it");
    assert_eq!(files(&root), ["a.json"]);
    assert_eq!(number(&env, "SELECT count(*) FROM views"), 0);
    assert!(env.cache().join("models--acme--tiny/snapshots").is_dir());
}

#[test]
fn another_view_takes_the_place_of_the_old_one() {
    let env = world();
    publish(&env, 1, &[]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    let other = env.root().join("apps/lm");
    let view = format!("lmstudio={}", other.display());
    let set = |args: &[&str]| {
        let args = ["models", "set", "acme/tiny"].iter().chain(args);
        env.hfdl(args.copied()).succeeds();
    };
    set(&["--view", &view]);
    assert!(!root.exists());
    assert_eq!(files(&other), ["acme/tiny/model.safetensors"]);
    let web = format!("text-generation-webui={}", root.display());
    set(&["--view", &view, "--view", &web]);
    assert_eq!(files(&root), ["acme_tiny/model.safetensors"]);
    assert_eq!(views(&env).as_array().unwrap().len(), 2);
    set(&["--view", "none"]);
    assert_eq!(files(&root), Vec::<String>::new());
    assert_eq!(files(&other), Vec::<String>::new());
    set(&["--view", &view]);
    set(&["--no-view"]);
    assert_eq!(files(&other), Vec::<String>::new());
    env.line("models set acme/tiny --view vllm=/srv")
        .exits(2)
        .explains("is not one of dir, lmstudio");
}

#[test]
fn views_are_exported_and_applied() {
    let env = world();
    publish(&env, 1, &[]);
    let root = with_view(&env, "modelscope");
    env.line("models set acme/tiny --copy --view-map model.safetensors=vae/x")
        .succeeds();
    download(&env, 1).succeeds();
    assert_eq!(
        files(&root),
        ["models/acme--tiny/snapshots/master/model.safetensors"]
    );
    let exported = env.line("export").succeeds().stdout().to_owned();
    for text in ["views:", "modelscope=", "view_map:", "view_copy: true"] {
        assert!(exported.contains(text), "{exported}");
    }
    let file = env.root().join("work/file.yaml");
    fs::write(&file, &exported).unwrap();
    env.line("apply -f file.yaml")
        .succeeds()
        .prints("nothing to do");
    let without: Vec<&str> = exported
        .lines()
        .filter(|line| !line.contains("view") && !line.contains("modelscope="))
        .filter(|line| !line.contains("vae/x"))
        .collect();
    fs::write(&file, without.join("\n")).unwrap();
    env.line("apply -f file.yaml").succeeds();
    assert_eq!(files(&root), Vec::<String>::new());
    fs::write(&file, &exported).unwrap();
    env.line("apply -f file.yaml").succeeds();
    assert_eq!(
        files(&root),
        ["models/acme--tiny/snapshots/master/model.safetensors"]
    );
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["view_copy"], true);
    assert_eq!(shown["view_map"][0], "model.safetensors=vae/x");
    env.line("models set acme/tiny --no-copy").succeeds();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["view_copy"], false);
}

#[test]
fn a_directory_of_plain_files_has_views_too_and_no_hard_links_lead_there() {
    let env = world();
    // A copy would have to be asked for.
    if !supports_symlinks(env.root()).unwrap() {
        return;
    }
    let weights = publish(&env, 1, &[("config.json", "{}")]);
    let (to, root) = (env.root().join("plain"), env.root().join("apps/dir"));
    let view = format!("dir={}", root.display());
    let add = ["models", "add", "acme/tiny", "--no-check", "--to"];
    let to = to.to_str().unwrap();
    env.hfdl(add.iter().chain(&[to, "--view", &view]).copied())
        .succeeds();
    download(&env, 1).succeeds();
    assert_eq!(files(&root), ["config.json", "model.safetensors"]);
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), weights);
    assert_ne!(views(&env)[0]["methods"][0], "hardlink");
    fs::write(Path::new(to).join("config.json"), "edited").unwrap();
    let second = replace(&env, 2, &["config.json"], &[]);
    download(&env, 2).succeeds();
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), second);
    assert_eq!(state(&env), "ok");
}

#[cfg(unix)]
#[test]
fn no_link_in_a_tree_leads_a_file_of_the_hub_out_of_it() {
    let env = world();
    publish(&env, 1, &[("a/x.json", "1")]);
    let root = with_view(&env, "dir");
    let outside = env.root().join("outside");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("a")).unwrap();
    download(&env, 1).succeeds().explains("was not made");
    assert_eq!(files(&outside), Vec::<String>::new());
}

#[test]
fn a_view_inside_the_cache_is_refused() {
    let env = world();
    publish(&env, 1, &[]);
    let inside = env.cache().join("models--acme--tiny/view");
    let view = format!("dir={}", inside.display());
    env.hfdl(["models", "add", "acme/tiny", "--no-check", "--view", &view])
        .succeeds();
    download(&env, 1)
        .succeeds()
        .explains("lies inside the cache");
    assert!(!inside.exists());
}

#[test]
fn two_homes_do_not_take_each_others_files() {
    let env = world();
    let weights = publish(&env, 1, &[]);
    let root = with_view(&env, "dir");
    download(&env, 1).succeeds();
    let (first, second) = (env.home(), env.root().join("second"));
    env.set("HFDL_HOME", &second.to_string_lossy());
    assert_eq!(with_view(&env, "dir"), root);
    download(&env, 2).succeeds();
    assert_eq!(state(&env), "conflict");
    env.line("models remove acme/tiny --yes").succeeds();
    assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), weights);
    env.set("HFDL_HOME", &first.to_string_lossy());
    assert_eq!(state(&env), "ok");
}

#[cfg(target_os = "linux")]
mod on_another_device {
    use super::*;

    /// A directory on a memory disk; `None` where there is none.
    fn other_device() -> Option<tempfile::TempDir> {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir_in("/dev/shm").ok()?;
        let here = fs::metadata(std::env::temp_dir()).ok()?.dev();
        (fs::metadata(dir.path()).ok()?.dev() != here).then_some(dir)
    }

    fn add(env: &TestEnv, root: &Path) {
        let view = format!("dir={}", root.display());
        env.hfdl(["models", "add", "acme/tiny", "--no-check", "--view", &view])
            .succeeds();
    }

    #[test]
    fn symbolic_links_take_over_and_never_dangle() {
        let Some(disk) = other_device() else {
            return;
        };
        let env = world();
        let root = disk.path().join("view");
        publish(&env, 1, &[("a.json", "1")]);
        add(&env, &root);
        env.line("models set acme/tiny --keep-revisions 1")
            .succeeds();
        download(&env, 1).succeeds();
        assert_eq!(views(&env)[0]["methods"][0], "symlink");
        let second = replace(&env, 2, &["a.json"], &[("b.json", "2")]);
        download(&env, 2).succeeds();
        assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), second);

        // A view that cannot follow keeps the files that it shows.
        fs::write(root.join("c.json"), "theirs").unwrap();
        replace(&env, 3, &["b.json"], &[("c.json", "3")]);
        download(&env, 3).succeeds();
        assert_eq!(state(&env), "conflict");
        env.line("prune --yes").succeeds();
        assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), second);
        fs::remove_file(root.join("c.json")).unwrap();
        download(&env, 4).succeeds();
        env.line("prune --yes").succeeds();
        assert_eq!(state(&env), "ok");
        assert_eq!(files(&root), ["c.json", "model.safetensors"]);
        let snapshots = env.cache().join("models--acme--tiny/snapshots");
        assert_eq!(fs::read_dir(snapshots).unwrap().count(), 1);
        env.line("models remove acme/tiny --delete-files --yes")
            .succeeds();
        assert_eq!(files(disk.path()), Vec::<String>::new());
    }

    #[cfg(not(target_env = "musl"))]
    #[test]
    fn where_no_link_is_possible_only_copy_helps() {
        use crate::support::faults::Fault;
        let Some(disk) = other_device() else {
            return;
        };
        let env = world();
        let root = disk.path().join("view");
        let weights = publish(&env, 1, &[]);
        add(&env, &root);
        let no_links = Fault {
            below: disk.path(),
            calls: &["symlink"],
            at: 1,
            how: "EIO",
            stays: true,
        };
        env.now(&day(1));
        let ran = env.hfdl_with_fault(&no_links, &["download", "acme/tiny", "--json"]);
        assert_eq!(outcome(&ran), "updated");
        ran.explains("without a copy, which `--copy` allows");
        assert_eq!(files(disk.path()), Vec::<String>::new());
        env.hfdl_with_fault(&no_links, &["models", "set", "acme/tiny", "--copy"])
            .succeeds();
        assert_eq!(fs::read(root.join("model.safetensors")).unwrap(), weights);
        let listed = &views(&env)[0];
        assert_eq!(listed["methods"][0], "copy");
        assert_eq!(listed["bytes_shared"], 0);
        assert_eq!(listed["state"], "ok");
    }
}
