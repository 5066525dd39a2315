//! `scripts/install.sh` puts everything under a prefix, and takes just that away.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::cache::tree;

fn install(prefix: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install.sh");
    Command::new("/bin/sh")
        .arg(script)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", prefix)
        .env("HFDL_BIN", env!("CARGO_BIN_EXE_hfdl"))
        .current_dir(prefix)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn install_and_uninstall_leave_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("my prefix");
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::create_dir_all(prefix.join("share/man/man1")).unwrap();
    fs::write(prefix.join("bin/other"), "x").unwrap();
    fs::write(prefix.join("share/man/man1/hfdl-gone.1"), "an old page").unwrap();
    let place = prefix.to_string_lossy().into_owned();

    let output = install(folder.path(), &["--prefix", &place]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("is installed as {place}/bin/hfdl")));
    let names = tree(&prefix);
    for name in [
        "bin/hfdl",
        "share/bash-completion/completions/hfdl",
        "share/fish/vendor_completions.d/hfdl.fish",
        "share/man/man1/hfdl.1",
        "share/man/man1/hfdl-start.1",
        "share/zsh/site-functions/_hfdl",
    ] {
        let size = prefix.join(name).metadata().map_or(0, |found| found.len());
        assert!(size > 100, "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("gone")), "{names:?}");
    let mode = prefix
        .join("bin/hfdl")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);

    let again = install(folder.path(), &["--prefix=my prefix"]);
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(tree(&prefix), names);

    let output = install(folder.path(), &["--prefix", &place, "--uninstall"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(tree(&prefix), ["bin/other"]);
    let output = install(folder.path(), &["--prefix", &place, "--uninstall"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("hfdl is not installed under"));
}

#[test]
fn a_staging_directory_holds_everything_and_the_prefix_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install.sh");
    let stage = folder.path().join("stage");
    let output = Command::new("/bin/sh")
        .arg(script)
        .args(["--prefix", "/usr/none"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("DESTDIR", &stage)
        .env("HFDL_BIN", env!("CARGO_BIN_EXE_hfdl"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(stage.join("usr/none/bin/hfdl").exists() && !Path::new("/usr/none").exists());
}

#[test]
fn in_an_unpacked_package_it_installs_the_program_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install.sh");
    let script = folder.path().join("package/install.sh");
    fs::create_dir(folder.path().join("package")).unwrap();
    fs::copy(source, &script).unwrap();
    let program = script.with_file_name("hfdl");
    fs::copy(env!("CARGO_BIN_EXE_hfdl"), &program).unwrap();
    let output = Command::new("/bin/sh")
        .args([script.as_os_str(), "--prefix".as_ref(), "prefix".as_ref()])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let installed = folder.path().join("prefix/bin/hfdl");
    assert!(fs::read(installed).unwrap() == fs::read(program).unwrap());
}

#[test]
fn without_a_program_it_builds_one_in_the_target_directory_of_cargo() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install.sh");
    // A cargo that notes what it is asked for and has a program at hand.
    let cargo = root.join("tools/cargo");
    fs::create_dir(root.join("tools")).unwrap();
    let text = format!(
        "#!/bin/sh\nset -eu\necho \"$PWD: $*\" >>'{0}/asked'\n\
         for last do :; done\nmkdir -p \"$last/release\"\ncp '{1}' \"$last/release/hfdl\"\n",
        root.display(),
        env!("CARGO_BIN_EXE_hfdl")
    );
    fs::write(&cargo, text).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let build = |path: &str, target: &str| {
        Command::new("/bin/sh")
            .arg(&script)
            .args(["--prefix", "prefix"])
            .env_clear()
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", target)
            .current_dir(root)
            .output()
            .unwrap()
    };
    // Some systems have a cargo of their own, which would be asked.
    if !Path::new("/usr/bin/cargo").exists() {
        let output = build("/usr/bin:/bin", "built");
        assert!(!output.status.success());
        let said = said(&output);
        assert!(said.contains("cargo is missing"), "{said}");
    }

    let path = format!("{}:/usr/bin:/bin", root.join("tools").display());
    let output = build(&path, "built");
    assert!(output.status.success(), "{}", said(&output));
    assert!(root.join("prefix/bin/hfdl").exists());
    let place = root.canonicalize().unwrap().join("built");
    assert_eq!(
        fs::read_to_string(root.join("asked")).unwrap(),
        format!(
            "{}: build --release --locked --bin hfdl --target-dir {}\n",
            env!("CARGO_MANIFEST_DIR"),
            place.display()
        )
    );
}

#[test]
fn wrong_arguments_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["--prefix"][..], 2),
        (&["--perfix", "x"], 2),
        (&["--help"], 0),
    ] {
        let output = install(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    }
    assert!(said(&install(folder.path(), &["--help"])).contains("--uninstall    remove"));
    assert_eq!(tree(folder.path()), [""; 0]);
}
