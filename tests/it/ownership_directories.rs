//! Directories of plain files: which ones may be named, and whose files go.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ownership::{bytes_below, publish, world};
use crate::support::cache::write;
use crate::support::env::TestEnv;

fn work(env: &TestEnv, name: &str) -> PathBuf {
    env.root().join("work").join(name)
}

/// Writes what a person has in the home of Hugging Face programs.
fn fill_hf_home(home: &Path) {
    for (name, text) in [
        ("token", "hf_mine"),
        ("stored_tokens", "[mine]"),
        ("datasets/squad/data.arrow", "rows"),
        ("hub/models--other--model/blobs/x", "cached"),
        ("trees/notes.json", "mine too"),
    ] {
        write(home.join(name), text);
    }
}

#[test]
fn a_directory_whose_records_are_the_home_of_other_programs_is_refused() {
    let env = world();
    publish(&env, "acme/tiny", 1, 1000);
    let user = env.root().join("user");
    fill_hf_home(&user.join(".cache/huggingface"));
    fs::create_dir(work(&env, "hf")).unwrap();
    write(work(&env, "elsewhere/token"), "hf_other");
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut ways = vec![
        "~".to_owned(),
        user.display().to_string(),
        format!("{}/", user.display()),
        "../user".to_owned(),
        "missing/../../user".to_owned(),
        "~/.cache/huggingface/models".to_owned(),
        format!("{}/mine", env.cache().display()),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&user, work(&env, "link")).unwrap();
        std::os::unix::fs::symlink("link", work(&env, "second")).unwrap();
        ways.extend(["link".to_owned(), "second".to_owned()]);
    }
    let before = bytes_below(&user);
    for way in &ways {
        for line in [
            format!("models add acme/tiny --no-check --to {way}"),
            format!("download acme/tiny --to {way}"),
        ] {
            let ran = env.line(&line);
            ran.exits(2).explains("cannot hold the files of a model");
        }
        let file = format!("version: 1\nmodels:\n  - {{repo: acme/tiny, to: '{way}'}}\n");
        fs::write(work(&env, "file.yaml"), file).unwrap();
        env.line("apply -f file.yaml --yes").exits(2);
    }
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("models set acme/tiny --to ~").exits(2);
    assert_eq!(bytes_below(&user), before);
    // The same for homes and tokens that variables name.
    env.set(
        "HF_HOME",
        &work(&env, "hf/.cache/huggingface").to_string_lossy(),
    );
    env.line("models add acme/tiny --name b --no-check --to hf")
        .exits(2);
    env.unset("HF_HOME");
    let token = work(&env, "third/.cache/huggingface/token");
    env.set("HF_TOKEN_PATH", &token.to_string_lossy());
    env.line("models add acme/tiny --name c --no-check --to third")
        .exits(2)
        .explains("would hold the access token");
    env.line("models add acme/tiny --name d --no-check --to fourth")
        .succeeds();
}

#[test]
fn deleting_files_leaves_everything_else_in_the_folder_of_records() {
    let env = world();
    publish(&env, "acme/tiny", 1, 1000);
    let plain = work(&env, "plain");
    env.line("models add acme/tiny --no-check --to plain")
        .succeeds();
    env.line("download acme/tiny").succeeds();
    // Since then the directory became the user's home.
    fill_hf_home(&plain.join(".cache/huggingface"));
    write(plain.join("notes.txt"), "mine");
    let ran = env.line("models remove acme/tiny --delete-files --yes");
    ran.succeeds();
    let left: Vec<String> = bytes_below(&plain)
        .into_keys()
        .map(|path| path.strip_prefix(&plain).unwrap().display().to_string())
        .map(|name| name.replace('\\', "/"))
        .filter(|name| !name.ends_with("CACHEDIR.TAG") && !name.ends_with(".gitignore"))
        .collect();
    assert_eq!(
        left,
        [
            ".cache/huggingface/datasets/squad/data.arrow",
            ".cache/huggingface/hub/models--other--model/blobs/x",
            ".cache/huggingface/stored_tokens",
            ".cache/huggingface/token",
            ".cache/huggingface/trees/notes.json",
            "notes.txt",
        ],
        "{}",
        ran.report()
    );
}

#[test]
fn two_models_share_no_directory_however_it_is_written() {
    let env = world();
    env.line("models add acme/a --no-check --to one").succeeds();
    fs::create_dir(work(&env, "one")).unwrap();
    let directory = work(&env, "").file_name().unwrap().display().to_string();
    let through_parent = format!("../{directory}/one");
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut ways = vec![
        "one".to_owned(),
        "one/".to_owned(),
        "./one".to_owned(),
        "missing/../one".to_owned(),
        through_parent,
        work(&env, "one").display().to_string(),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("one", work(&env, "same")).unwrap();
        ways.push("same".to_owned());
    }
    for way in ways {
        env.line(&format!("models add acme/b --no-check --to {way}"))
            .exits(2)
            .explains("`acme/a`");
        env.line(&format!("download acme/b --to {way}"))
            .exits(2)
            .explains("`acme/a`");
        let way = work(&env, &way).display().to_string();
        let file = format!("version: 1\nmodels:\n  - {{repo: acme/b, to: '{way}'}}\n");
        fs::write(work(&env, "file.yaml"), file).unwrap();
        env.line("apply -f file.yaml --yes")
            .exits(2)
            .explains("`acme/a`");
    }
}

#[test]
fn several_repositories_are_not_mixed_in_one_directory() {
    let env = world();
    publish(&env, "acme/a", 1, 1000);
    publish(&env, "acme/b", 2, 1000);
    let ran = env.line("download acme/a acme/b --to plain");
    ran.exits(2).explains("one directory");
    assert!(!work(&env, "plain").exists(), "{}", ran.report());
    env.line("download acme/a acme/b").succeeds();
}

#[test]
fn files_of_one_repository_are_not_deleted_as_gone_from_another() {
    let env = world();
    let draft = |repo: &str, name: &str| {
        let draft = env.hub().repo(repo).commit("main").empty();
        draft.file(name, name).file("common.txt", repo).publish();
    };
    draft("acme/a", "a.txt");
    draft("acme/b", "b.txt");
    env.line("download acme/a --to plain").succeeds();
    env.line("download acme/b --to plain --delete").succeeds();
    let read = |name: &str| fs::read_to_string(work(&env, "plain").join(name)).ok();
    assert_eq!(read("a.txt").as_deref(), Some("a.txt"));
    assert_eq!(read("common.txt").as_deref(), Some("acme/b"));
    // A file that the repository wrote itself goes when it is gone upstream.
    draft("acme/b", "new.txt");
    env.line("download acme/b --to plain --delete").succeeds();
    assert_eq!(read("b.txt"), None);
    assert_eq!(read("a.txt").as_deref(), Some("a.txt"));
}

#[test]
fn a_file_list_of_an_older_version_is_assigned_by_the_commits_of_the_home() {
    let env = world();
    let draft = |repo: &str, name: &str| {
        let draft = env.hub().repo(repo).commit("main").empty();
        draft.file(name, name).publish();
    };
    draft("acme/a", "a.txt");
    draft("acme/b", "b.txt");
    env.line("download acme/a --to plain").succeeds();
    env.line("download acme/b --to plain").succeeds();
    let list = work(&env, "plain").join(".cache/huggingface/.hfdl/written");
    let text = fs::read_to_string(&list).unwrap();
    let old: Vec<&str> = text.lines().filter(|it| !it.starts_with("of ")).collect();
    fs::write(&list, old.join("\n") + "\n").unwrap();
    draft("acme/b", "new.txt");
    env.line("download acme/b --to plain --delete").succeeds();
    let has = |name: &str| work(&env, "plain").join(name).exists();
    assert!(has("a.txt") && has("new.txt") && !has("b.txt"));
}
