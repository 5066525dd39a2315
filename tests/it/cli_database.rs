//! The state directory: where it is, that looking makes none, and databases
//! that cannot be used.

use std::fs;

use crate::support::cache::tree;
#[cfg(unix)]
use crate::support::database::damage_behind_the_first_pages;
use crate::support::env::TestEnv;

#[test]
fn commands_that_only_read_create_nothing() {
    let env = TestEnv::new();
    let before = tree(env.root());
    for line in [
        "--help",
        "--version",
        "help models",
        "models list",
        "models list --json",
        "schedules list",
        "schedules next",
        "config list",
        "config list --origin",
        "config get disk.reserve",
        "config path",
        "config unset disk.reserve",
        "logs",
        "completions bash",
        "man",
    ] {
        env.line(line).succeeds();
    }
    assert_eq!(tree(env.root()), before);
    assert!(!env.home().exists());
}

#[test]
fn the_state_directory_is_found_by_flag_environment_and_default() {
    let env = TestEnv::new();
    let path = |line: &str| env.line(line).succeeds().stdout().trim_end().to_owned();
    let at = |parts: &[&str]| {
        let path = parts
            .iter()
            .fold(env.root().to_path_buf(), |path, part| path.join(part));
        path.to_string_lossy().into_owned()
    };
    assert_eq!(path("config path"), at(&["state", "hfdl.db"]));
    let elsewhere = at(&["elsewhere"]);
    let ran = env.hfdl(["config", "path", "--home", &elsewhere]);
    assert_eq!(
        ran.succeeds().stdout().trim_end(),
        at(&["elsewhere", "hfdl.db"])
    );
    env.unset("HFDL_HOME");
    let default = match () {
        () if cfg!(windows) => at(&["user", "hfdl", "hfdl.db"]),
        () if cfg!(target_os = "macos") => {
            at(&["user", "Library", "Application Support", "hfdl", "hfdl.db"])
        }
        () => at(&["user", ".local", "share", "hfdl", "hfdl.db"]),
    };
    assert_eq!(path("config path"), default);
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn the_default_follows_the_xdg_rules() {
    let env = TestEnv::new();
    let data = env.root().join("data");
    env.unset("HFDL_HOME")
        .set("XDG_DATA_HOME", &data.to_string_lossy());
    let expected = format!("{}\n", data.join("hfdl/hfdl.db").display());
    assert_eq!(env.line("config path").succeeds().stdout(), expected);
    env.set("XDG_DATA_HOME", "relative");
    let expected = env.root().join("user/.local/share/hfdl/hfdl.db");
    env.line("config path").prints(&expected.to_string_lossy());
}

#[test]
fn a_state_directory_is_enough_for_an_empty_environment() {
    let env = TestEnv::new();
    let home = env.home().to_string_lossy().into_owned();
    for line in [
        &["models", "add", "acme/tiny", "--no-check"][..],
        &["models", "list"],
        &[
            "schedules",
            "add",
            "n",
            "--every",
            "6h",
            "--all",
            "--tz",
            "UTC",
        ],
        &["schedules", "list"],
        &["config", "list"],
    ] {
        let mut command = env.command(line);
        command.env_clear().args(["--home", &home]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line:?}: {output:?}");
    }
    assert!(env.database().exists());
}

/// Root can become a user whom no list of users knows, which is how programs
/// run in many containers: then nothing says where home is. For anybody else
/// the list of users knows it.
#[cfg(target_os = "linux")]
#[test]
fn without_any_home_the_message_names_the_flag() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    // A place that a stranger may enter. `cp` writes it because a program that
    // this process has open for writing could not be started.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("hfdl");
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_hfdl")).arg(&program);
    assert!(copy.status().unwrap().success());

    let mut command = Command::new(&program);
    command
        .args(["config", "path"])
        .env_clear()
        .current_dir("/");
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut as_stranger = Command::new(&program);
    as_stranger
        .args(["config", "path"])
        .env_clear()
        .current_dir("/")
        .uid(54_321);
    // A root of a small sandbox may have no strangers at all.
    let lost = is_root.then(|| as_stranger.output().ok()).flatten();
    match lost {
        Some(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains("no home directory is known\n next: give --home DIR"),
                "{said}"
            );
        }
        None => {
            let output = command.output().unwrap();
            let path = String::from_utf8_lossy(&output.stdout);
            assert!(
                path.starts_with('/') && path.ends_with("hfdl.db\n"),
                "{output:?}"
            );
        }
    }
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    // The database of a later version.
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(env.database()).unwrap();
    for line in [
        "models list",
        "models add acme/other --no-check",
        "config set disk.reserve 1G",
    ] {
        env.line(line)
            .exits(1)
            .explains("the database has version 99, and this hfdl knows versions up to")
            .explains("update hfdl");
        assert!(env.line(line).stdout().is_empty());
    }
    assert_eq!(fs::read(env.database()).unwrap(), before);
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    let whole = fs::read(env.database()).unwrap();
    for (bytes, name) in [
        (
            b"this is no database at all, but quite long enough".repeat(100),
            "text",
        ),
        (Vec::new(), "nothing"),
        (whole[..whole.len() / 2].to_vec(), "half"),
    ] {
        fs::write(env.database(), &bytes).unwrap();
        for line in [
            "models list",
            "config list",
            "models add acme/other --no-check",
        ] {
            let ran = env.line(line);
            ran.exits(1).explains("error: cannot open the database");
            assert!(ran.stdout().is_empty(), "{name}: {}", ran.report());
        }
        assert_eq!(fs::read(env.database()).unwrap(), bytes, "{name}");
    }
}

/// The copy is beside the database, as an update of hfdl leaves it.
#[cfg(unix)]
#[test]
fn the_commands_after_damage_put_the_newest_copy_back() {
    use std::process::Command;

    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    let copy = |version: usize| env.home().join(format!("hfdl.db.before-v{version}"));
    fs::copy(env.database(), copy(2)).unwrap();
    env.line("models add acme/newer --no-check").succeeds();
    fs::copy(env.database(), copy(9)).unwrap();
    env.line("models add acme/newest --no-check").succeeds();
    fs::write(env.database(), "no database").unwrap();

    let ran = env.line("models list");
    ran.exits(1).explains("put back the newest automatic copy");
    let commands = ran.stderr().lines().map(str::trim);
    let commands = commands.filter(|line| line.starts_with("mv ") || line.starts_with("cp "));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 2, "{}", ran.report());
    let mut shell = Command::new("sh");
    let status = shell.args(["-ec", &commands.join("\n")]).status();
    assert!(status.unwrap().success());

    let listed = env.line("models list --quiet");
    assert_eq!(listed.succeeds().stdout(), "acme/newer\nacme/tiny\n");
    let damaged = fs::read_to_string(env.home().join("hfdl.db.damaged")).unwrap();
    assert_eq!(damaged, "no database");
}

#[cfg(unix)]
#[test]
fn damage_that_is_found_later_is_explained_with_the_file() {
    let env = TestEnv::new();
    damage_behind_the_first_pages(&env);
    let path = env.database().display().to_string();
    env.line("models list --json")
        .exits(1)
        .explains("the database is damaged")
        .explains(&format!("move `{path}` aside"));
}

#[test]
fn the_database_of_another_program_is_refused() {
    let env = TestEnv::new();
    fs::create_dir(env.home()).unwrap();
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    connection.execute("CREATE TABLE theirs (x)", []).unwrap();
    drop(connection);
    env.line("models list")
        .exits(1)
        .explains("is the database of another program")
        .explains("choose another directory with `--home`");
}

#[test]
fn a_home_that_is_a_file_is_explained() {
    let env = TestEnv::new();
    fs::write(env.home(), "a file").unwrap();
    env.line("models add acme/tiny --no-check")
        .exits(1)
        .explains("hfdl.db");
    assert_eq!(fs::read_to_string(env.home()).unwrap(), "a file");
}

#[cfg(unix)]
#[test]
fn the_state_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(env.home()), 0o700);
    assert_eq!(mode(env.database()), 0o600);
}
