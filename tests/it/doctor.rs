//! `hfdl doctor`: each thing is broken, and each is found with what mends it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hfdl_test_hub::{Api, Fault, On, Port};
use serde_json::Value;

use crate::support::cache::tree;
use crate::support::env::{Ran, TestEnv};
use crate::support::inbox::Inbox;
use crate::support::programs::Cron;

const TOKEN: &str = "hf_geheim_und_lang";

/// A world in which everything is well: a token in its file, a model that a
/// timer keeps, a hub whose clock is ours.
fn healthy() -> TestEnv {
    let env = TestEnv::new();
    env.set("PATH", "/usr/bin:/bin")
        // A place without links is a warning.
        .unset("HFDL_TEST_LINKS")
        .set("HFDL_DISK_RESERVE", "1M");
    let hub = env.hub();
    hub.token(TOKEN, &[]);
    let date = Fault::Header(
        "Date".to_owned(),
        "Sun, 01 Mar 2026 09:00:30 GMT".to_owned(),
    );
    hub.fault(On::any(), date);
    let commit = hub.repo("acme/tiny").commit("main");
    commit
        .file("config.json", b"{}")
        .lfs("model.bin", vec![7; 5_000])
        .publish();
    let folder = env.root().join("user/.cache/huggingface");
    fs::create_dir_all(&folder).unwrap();
    write_private(&folder.join("token"), TOKEN);
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add hourly --every 1h --all").succeeds();
    env.has_cron(Cron::Debian);
    env.line("start").succeeds();
    env.line("run-due --trigger timer").succeeds();
    env
}

#[test]
fn a_variable_that_points_readers_elsewhere_is_named_with_both_caches() {
    for (name, value, path) in [
        ("LLAMA_CACHE", "/srv/llama", "/srv/llama"),
        ("TRANSFORMERS_CACHE", "/srv/old", "/srv/old"),
        ("HF_HUB_CACHE", "/srv/hub", "/srv/hub"),
        ("HUGGINGFACE_HUB_CACHE", "/srv/hub", "/srv/hub"),
        ("HF_HOME", "/srv/hf", "/srv/hf/hub"),
        ("XDG_CACHE_HOME", "/srv/xdg", "/srv/xdg/huggingface/hub"),
    ] {
        let env = TestEnv::new();
        let cache = env.cache().display().to_string();
        env.set("HFDL_CACHE_DIR", &cache).unset("HF_HUB_CACHE");
        env.set(name, value);
        let (verdict, what, next) = check(&env, "readers");
        assert_eq!(verdict, "warn", "{name}");
        assert!(
            what.starts_with(&format!("`{name}` makes ")) && what.contains(&format!("`{path}`")),
            "{what}"
        );
        assert!(
            what.contains(&format!("the cache that hfdl keeps is `{cache}`")),
            "{what}"
        );
        assert!(next.contains(&format!("unset `{name}`")), "{next}");
    }
}

#[test]
fn variables_that_name_the_cache_of_hfdl_are_no_finding() {
    let env = TestEnv::new();
    let cache = env.cache().display().to_string();
    env.set("HFDL_CACHE_DIR", &cache);
    for name in ["LLAMA_CACHE", "TRANSFORMERS_CACHE", "HF_HUB_CACHE"] {
        env.set(name, &cache);
    }
    let ran = env.line("doctor --json");
    let document = ran.json();
    let mut checks = document["checks"].as_array().unwrap().iter();
    assert!(
        checks.all(|check| check["name"] != "readers"),
        "{}",
        ran.report()
    );
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs the examination and returns verdict, words and remedy of one check.
fn check(env: &TestEnv, name: &str) -> (String, String, String) {
    let ran = env.line("doctor --json");
    let document = ran.json();
    let checks = document["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no check `{name}`\n{}", ran.report()));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    let verdict = text("verdict");
    if verdict == "fail" {
        ran.exits(1);
    }
    let words = format!("{} | {}", text("what"), text("why"));
    (verdict, words, text("next"))
}

/// Checks that something is found, explained, and answered with a remedy.
fn finds(env: &TestEnv, name: &str, verdict: &str, words: &str, remedy: &str) {
    let found = check(env, name);
    assert_eq!(found.0, verdict, "{found:?}");
    assert!(found.1.contains(words), "{words}: {found:?}");
    assert!(
        found.2.contains(remedy) && !found.2.is_empty(),
        "{remedy}: {found:?}"
    );
}

fn not_ok(ran: &Ran) -> Vec<Value> {
    let document = ran.json();
    let checks = document["checks"].as_array().unwrap().clone();
    checks
        .into_iter()
        .filter(|check| check["verdict"] != "ok")
        .collect()
}

#[test]
fn a_healthy_home_passes_every_check_and_is_not_changed() {
    let env = healthy();
    let before = (tree(env.root()), env.database_content());
    let ran = env.line("doctor --json");
    ran.succeeds().silently();
    let document = ran.json();
    assert_eq!(document["schema"], "hfdl.doctor/1");
    assert_eq!(not_ok(&ran), Vec::<Value>::new());
    let checks = document["checks"].as_array().unwrap();
    for name in [
        "home",
        "privacy",
        "database",
        "journal",
        "cache",
        "disk",
        "disk-home",
        "time-zone",
        "hub",
        "clock",
        "token",
        "storage",
        "schedules",
        "timer",
        "ticks",
    ] {
        assert!(checks.iter().any(|check| check["name"] == name), "{name}");
    }
    assert_eq!((tree(env.root()), env.database_content()), before);
    assert_eq!(env.hub().count(Api::WhoAmI), 1);
    assert!(!ran.stdout().contains(TOKEN));
}

#[test]
fn an_empty_home_is_not_created_without_fix() {
    let env = TestEnv::new();
    let ran = env.line("doctor");
    ran.exits(1).prints("none yet").prints("cannot be reached");
    assert!(!env.home().exists() && !env.cache().exists());
    env.line("doctor --fix")
        .exits(1)
        .prints("mended: made the directory");
    assert!(env.home().is_dir() && env.cache().is_dir());
}

#[test]
fn a_token_that_cannot_be_read_or_is_not_known_is_found() {
    let env = healthy();
    env.hub().revoke_token(TOKEN);
    finds(&env, "token", "fail", "is not valid", "make a new token");
    let file = env.root().join("user/.cache/huggingface/token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    finds(&env, "token-file", "warn", "others can read", "chmod 600");
    // Modes do not keep root out; a folder in its place does.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    finds(
        &env,
        "token",
        "fail",
        "cannot read the token file",
        "hf auth login",
    );
    fs::remove_dir(&file).unwrap();
    assert_eq!(
        check(&env, "token").0,
        "ok",
        "public repositories need none"
    );
    env.hub().token("hf_other", &[]);
    env.set("HF_TOKEN", "hf_other");
    finds(
        &env,
        "token-file",
        "warn",
        "in `HF_TOKEN` only",
        "in a file",
    );
    env.set("HF_TOKEN", "two\nwords here");
    finds(&env, "token", "fail", "cannot be used", "token");
}

#[cfg(target_os = "linux")]
#[test]
fn an_unreadable_token_file_of_another_user_is_found() {
    use crate::support::sound::{files_below, say};
    use std::os::unix::fs::chown;
    // Modes do not keep root out, so the world is given to somebody whom they do.
    const NOBODY: u32 = 65_534;
    let env = healthy();
    let file = env.root().join("user/.cache/huggingface/token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let mut folders: Vec<_> = files_below(env.root());
    folders.extend(folders.clone().iter().flat_map(|path| {
        let above = path.ancestors().skip(1);
        let inside = above.take_while(|folder| folder.starts_with(env.root()));
        inside.map(Path::to_path_buf).collect::<Vec<_>>()
    }));
    for path in folders.iter().filter(|path| !path.is_symlink()) {
        if let Err(why) = chown(path, Some(NOBODY), Some(NOBODY)) {
            return say(&format!("nothing can be given away ({why})"));
        }
    }
    let plain = env.command(["doctor", "--json"]);
    let mut command = std::process::Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir("/")
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    let Ok(document) = serde_json::from_slice::<Value>(&output.stdout) else {
        return say(&format!("nobody cannot run it: {output:?}"));
    };
    let checks = document["checks"].as_array().unwrap();
    let token = checks
        .iter()
        .find(|check| check["name"] == "token")
        .unwrap();
    assert_eq!(token["verdict"], "fail", "{token}");
    assert!(
        token["why"].as_str().unwrap().contains("Permission denied"),
        "{token}"
    );
    assert!(
        token["next"]
            .as_str()
            .unwrap()
            .contains("a file that this user can read"),
        "{token}"
    );
}

#[test]
fn an_unreachable_hub_is_reported_with_its_reason() {
    let env = healthy();
    env.set("http_proxy", "http://127.0.0.1:1");
    let words = "the proxy `127.0.0.1:1` cannot be reached: the connection was refused";
    finds(&env, "hub", "fail", words, "whether the proxy runs");
    let proxy = Inbox::answering(407);
    env.set("http_proxy", proxy.base());
    finds(
        &env,
        "hub",
        "fail",
        "407",
        "set `HTTP_PROXY` to `http://USER:",
    );
    env.set("http_proxy", "gopher://x");
    finds(
        &env,
        "hub",
        "fail",
        "the proxy's address is malformed",
        "PROXY",
    );
    env.unset("http_proxy");
    env.hub().close_port(Port::Hub);
    finds(&env, "hub", "fail", "refused", "firewall");
    assert_eq!(check(&env, "clock").0, "skipped");
    env.hub().open_port(Port::Hub);
    env.set("HF_HUB_OFFLINE", "1");
    finds(&env, "hub", "warn", "offline mode", "HF_HUB_OFFLINE");
    env.unset("HF_HUB_OFFLINE");
    env.hub().heal();
    let elsewhere = Fault::Redirect(302, "http://portal.invalid/login".to_owned());
    env.hub().fault(On::any(), elsewhere);
    finds(&env, "hub", "fail", "portal.invalid", "log in");
    env.hub().heal();
    env.hub().fault(On::any(), Fault::Status(503));
    assert_eq!(check(&env, "hub").0, "warn");
    env.hub().heal();
    env.hub().close_port(Port::Cdn);
    finds(
        &env,
        "storage",
        "fail",
        "no bytes of `acme/tiny`",
        "firewall",
    );
}

#[test]
fn a_wrong_clock_is_found() {
    let env = healthy();
    env.now("2020-01-01T00:00:00Z");
    finds(
        &env,
        "clock",
        "fail",
        "before this program was made",
        "set the clock",
    );
    env.now("2026-03-01T11:00:00Z");
    finds(
        &env,
        "clock",
        "fail",
        "ahead of that of the Hub",
        "set the clock",
    );
    env.now("2026-03-01T08:50:00Z");
    finds(
        &env,
        "clock",
        "warn",
        "behind that of the Hub",
        "set the clock",
    );
    env.hub().heal();
    assert_eq!(check(&env, "clock").0, "skipped", "the Hub tells no time");
}

#[test]
fn a_cache_without_symbolic_links_is_a_warning() {
    let env = healthy();
    env.set("HF_HUB_DISABLE_SYMLINKS", "1");
    finds(
        &env,
        "cache",
        "warn",
        "hard links",
        "HF_HUB_DISABLE_SYMLINKS",
    );
    env.unset("HF_HUB_DISABLE_SYMLINKS");
    env.set("HF_HUB_CACHE", "/proc/nothing/here");
    finds(&env, "cache", "fail", "/proc", "use another place");
}

#[cfg(target_os = "linux")]
#[test]
fn a_memory_card_without_links_is_a_warning_and_works() {
    use crate::support::disk::CardDisk;
    use crate::support::sound::say;
    let env = healthy();
    let place = env.root().join("card");
    let _disk = match CardDisk::mount(place.clone(), 16) {
        Ok(disk) => disk,
        Err(why) => return say(&format!("no file system without links ({why})")),
    };
    env.set("HF_HUB_CACHE", place.to_str().unwrap());
    let remedy = "use a place with links for the cache";
    finds(&env, "cache", "warn", "no symbolic links", remedy);
    let left = fs::read_dir(&place).unwrap().count();
    assert_eq!(left, 0, "no probe stays");
    let ran = env.line("download acme/tiny --new-place");
    ran.succeeds();
    let model = Path::new(ran.stdout().trim()).join("model.bin");
    assert_eq!(fs::read(&model).unwrap(), vec![7; 5_000]);
    assert!(!model.is_symlink());
}

#[cfg(target_os = "linux")]
#[test]
fn full_and_read_only_disks_are_found() {
    use crate::support::disk::SmallDisk;
    use crate::support::sound::say;
    let env = healthy();
    env.set("HFDL_DISK_RESERVE", "4P");
    finds(&env, "disk", "fail", "`disk.reserve` is 4", "free space");
    env.set("HFDL_DISK_RESERVE", "1M");
    let place = env.root().join("small");
    let disk = match SmallDisk::mount(place.clone(), 4) {
        Ok(disk) => disk,
        Err(why) => return say(&format!("no small file system ({why})")),
    };
    env.set("HF_HUB_CACHE", place.to_str().unwrap());
    assert_eq!(check(&env, "cache").0, "ok");
    SmallDisk::fill(&place);
    finds(
        &env,
        "cache",
        "fail",
        "nothing can be written",
        "free space there",
    );
    finds(&env, "disk", "fail", "0 B free", "free space there");
    SmallDisk::give_back(&place);
    disk.make_read_only().unwrap();
    finds(&env, "cache", "fail", "Read-only", "make it writable");
    disk.make_writable().unwrap();
    let left = fs::read_dir(&place).unwrap().count();
    assert_eq!(left, 0, "no probe stays");
}

#[test]
fn a_damaged_database_is_found_and_the_rest_is_examined() {
    let env = healthy();
    let bytes = fs::read(env.database()).unwrap();
    // Damage: no command writes a tag of a missing model.
    let broken = rusqlite::Connection::open(env.database()).unwrap();
    broken.pragma_update(None, "foreign_keys", false).unwrap();
    broken
        .execute("INSERT INTO model_tags VALUES (77, 'x')", [])
        .unwrap();
    drop(broken);
    finds(
        &env,
        "database",
        "fail",
        "model_tags refers to missing models",
        "restore a backup",
    );
    fs::write(env.database(), &bytes[..700]).unwrap();
    finds(&env, "database", "fail", "damaged", "restore a backup");
    assert_eq!(check(&env, "token").0, "ok");
    assert_eq!(
        fs::read(env.database()).unwrap(),
        &bytes[..700],
        "not touched"
    );
}

#[test]
fn a_wrong_setting_is_found_and_the_rest_is_examined() {
    let env = healthy();
    env.line("config set download.retries 3").succeeds();
    // A value of an earlier version: no command saves it now.
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let update = "UPDATE settings SET value = 'many'";
    connection.execute(update, []).unwrap();
    finds(
        &env,
        "settings",
        "fail",
        "`many` is not a valid value",
        "config unset",
    );
    assert_eq!(check(&env, "cache").0, "ok");
}

#[test]
fn a_home_with_nothing_set_up_is_not_well_and_init_is_named() {
    let env = TestEnv::new();
    let words = "nothing is set up yet";
    finds(&env, "schedules", "warn", words, "hfdl init");
    let ran = env.line("doctor");
    assert!(!ran.stdout().contains("all is well"), "{}", ran.report());
    assert!(!env.home().exists());
}

#[test]
fn a_silent_timer_is_found() {
    let env = healthy();
    env.now("2026-03-01T09:30:00Z");
    assert_eq!(check(&env, "ticks").0, "ok");
    env.now("2026-03-01T09:31:00Z");
    finds(&env, "ticks", "fail", "31 minutes ago", "daemon runs");
    let fresh = TestEnv::new();
    fresh.line("config set disk.reserve 1M").succeeds();
    // One check is enough to say that there is no timer.
    finds(&fresh, "timer", "warn", "none is installed", "hfdl start");
    assert_eq!(check(&fresh, "ticks").0, "skipped");
    finds(&fresh, "schedules", "warn", "no model", "models add");
}

#[test]
fn ticks_that_fail_before_their_run_are_found_until_the_timer_starts_a_good_one() {
    let env = healthy();
    let metrics = env.root().join("metrics.prom");
    env.set("HFDL_METRICS_FILE", &metrics.to_string_lossy());
    env.line("run-due --trigger timer --schedule nope").exits(2);
    env.line("run-due").succeeds();
    env.line("download acme/tiny").succeeds();
    let words = "the last tick failed before a run began (exit 2) | there is no schedule `nope`";
    finds(&env, "ticks", "fail", words, "hfdl schedules list");
    env.line("status").exits(1);
    let told = fs::read_to_string(&metrics).unwrap();
    assert!(told.contains("\nhfdl_run_last_exit_code 2\n"), "{told}");
    env.line("run-due --trigger timer").succeeds();
    assert_eq!(check(&env, "ticks").0, "ok");
    env.line("status").succeeds();
}

#[test]
fn a_wrong_line_by_hand_is_no_failed_tick() {
    let env = healthy();
    env.line("run-due --schedule nope").exits(2);
    env.line("run-due --trigger timer --dry-run --warp")
        .exits(2);
    assert_eq!(check(&env, "ticks").0, "ok");
    env.line("status").succeeds();
}

#[test]
fn programs_and_files_that_settings_name_are_looked_for() {
    let env = healthy();
    for (key, value, name, words, remedy) in [
        (
            "hooks.on_update",
            "not-there",
            "hooks",
            "`PATH` is `/usr/bin:/bin`",
            "whole path",
        ),
        (
            "hooks.on_update",
            "/not/there",
            "hooks",
            "may not run it",
            "whole path",
        ),
        (
            "hooks.gate",
            "/not/there",
            "hooks",
            "may not run it",
            "whole path",
        ),
        (
            "metrics.file",
            "/not/there/x.prom",
            "metrics-file",
            "no directory",
            "make it",
        ),
        (
            "status.file",
            "/not/there/x.json",
            "status-file",
            "no directory",
            "make it",
        ),
    ] {
        env.line(&format!("config set {key} {value}")).succeeds();
        finds(&env, name, "fail", words, remedy);
        env.line(&format!("config unset {key}")).succeeds();
    }
    env.line("config set hooks.finally true").succeeds();
    assert_eq!(check(&env, "hooks").0, "ok");
}

#[test]
fn fix_repairs_permissions_and_leftovers_and_reports_them() {
    let env = healthy();
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&env.home(), 0o755);
    open(&env.database(), 0o644);
    let left = env.home().join("hfdl.db.copy-x1");
    let young = env.home().join("hfdl.db.new-x2");
    for path in [&left, &young] {
        fs::write(path, "half").unwrap();
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
    let file = fs::File::options().write(true).open(&left).unwrap();
    file.set_modified(old).unwrap();
    finds(&env, "privacy", "warn", "others can open", "--fix");
    finds(&env, "leftovers", "warn", "hfdl.db.copy-x1", "--fix");
    assert!(left.exists());

    env.line("doctor --fix")
        .prints("mended: closed")
        .prints("mended: removed 1 unfinished");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&env.home()), mode(&env.database())), (0o700, 0o600));
    assert!(!left.exists() && young.exists());
    assert_eq!(check(&env, "privacy").0, "ok");
}

#[test]
fn as_cron_uses_the_environment_of_cron() {
    let env = healthy();
    let endpoint = env.hub().endpoint();
    env.hfdl(["config", "set", "hub.endpoint", &endpoint])
        .succeeds();
    env.hfdl(["config", "set", "cache.dir", env.cache().to_str().unwrap()])
        .succeeds();
    env.line("config set disk.reserve 1M").succeeds();
    let program = env.root().join("only-mine");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    env.line("config set hooks.finally only-mine").succeeds();
    env.set("PATH", &format!("{}:/usr/bin:/bin", env.root().display()));
    env.set("HF_TOKEN", "hf_unknown");
    let here = env.line("doctor --json");
    let (verdict, ..) = check(&env, "token");
    assert_eq!(verdict, "fail", "{}", here.report());
    assert_eq!(check(&env, "hooks").0, "ok");

    let ran = env.line("doctor --as-cron --json");
    ran.exits(1).silently();
    let failed: Vec<Value> = not_ok(&ran)
        .into_iter()
        .filter(|check| check["verdict"] == "fail")
        .collect();
    let [hooks] = failed.as_slice() else {
        panic!("{failed:?}\n{}", ran.report());
    };
    assert_eq!(hooks["name"], "hooks", "{}", ran.report());
    let text = env.line("doctor --as-cron");
    text.exits(1)
        .explains("as cron starts a run")
        .prints("`only-mine`")
        .prints("from the token file: `");

    // The entry's own variables are part of what a tick sees.
    env.line("config unset hooks.finally").succeeds();
    env.line("doctor --as-cron").succeeds();
    env.line("start --env http_proxy=http://127.0.0.1:1")
        .succeeds();
    assert_eq!(check(&env, "hub").0, "ok", "not here");
    env.line("doctor --as-cron")
        .exits(1)
        .prints("the proxy `127.0.0.1:1` cannot be reached: the connection was refused");
}

#[test]
fn quiet_shows_only_failed_checks() {
    let env = healthy();
    env.now("2026-03-01T09:05:00Z");
    let ran = env.line("doctor -q");
    assert!(!ran.stdout().contains("ok  "), "{}", ran.report());
    env.set("HF_HUB_DISABLE_SYMLINKS", "1");
    env.line("doctor -q")
        .prints("symbolic links are switched off");
}

#[test]
fn a_crontab_edited_by_hand_and_an_entry_that_is_gone_are_found_and_put_right() {
    let env = healthy();
    let whole = env.crontab().unwrap();
    let edited = String::from_utf8(whole.clone()).unwrap();
    let edited = edited.replace("--trigger timer", "--trigger timer --quiet");
    assert!(edited.contains("--quiet"));
    fs::write(env.crontab_file(), format!("{edited}5 4 * * * mine\n")).unwrap();
    finds(
        &env,
        "timer",
        "warn",
        "not what hfdl would write",
        "hfdl start",
    );
    env.line("doctor --fix")
        .succeeds()
        .prints("mended: put the entry right");
    let mended = String::from_utf8(env.crontab().unwrap()).unwrap();
    assert_eq!(
        mended.as_bytes(),
        [whole.as_slice(), b"5 4 * * * mine\n"].concat()
    );

    // Lines that may be a person's own are left alone.
    let stuffed = String::from_utf8(whole.clone()).unwrap();
    let stuffed = stuffed.replace("# <<<", "7 7 * * * mine\n# <<<");
    fs::write(env.crontab_file(), &stuffed).unwrap();
    let words = "line 3 is within the block and not from hfdl";
    finds(&env, "timer", "warn", words, "crontab -e");
    env.line("doctor --fix").prints("it cannot be put right");
    assert_eq!(env.crontab().unwrap(), stuffed.as_bytes());

    fs::write(env.crontab_file(), "5 4 * * * mine\n").unwrap();
    finds(&env, "timer", "fail", "removed by hand", "hfdl start");
    env.line("doctor --fix")
        .succeeds()
        .prints("mended: put the entry right");
    assert_eq!(check(&env, "timer").0, "ok");

    env.line("stop").succeeds();
    assert_eq!(check(&env, "timer").0, "ok", "ticks come all the same");
    env.now("2026-03-01T12:00:00Z");
    let words = "none is installed | no timer is installed: the slot of `hourly` has been due";
    finds(&env, "timer", "fail", words, "`hfdl start`");
    env.line("doctor --fix");
    finds(&env, "timer", "fail", words, "`hfdl start`");
    env.line("run-due").succeeds();
    assert_eq!(
        check(&env, "timer").0,
        "warn",
        "a tick by hand is none of a timer"
    );
    env.line("run-due --trigger ci").succeeds();
    assert_eq!(check(&env, "timer").0, "ok");
    assert_eq!(check(&env, "ticks").0, "ok");
    env.line("models add acme/tiny --name other --to ./other --tag b")
        .succeeds();
    env.line("schedules add tagged --daily 03:00 --tag c")
        .succeeds();
    let ran = env.line("doctor");
    ran.prints("the schedule `tagged` includes no model: no model has the tag `c`");
}

#[test]
fn a_missing_cron_daemon_is_found() {
    let env = healthy();
    let processes = env.root().join("processes");
    fs::remove_dir_all(&processes).unwrap();
    fs::create_dir_all(processes.join("1")).unwrap();
    fs::write(processes.join("1/comm"), "init\n").unwrap();
    assert_eq!(check(&env, "timer").0, "ok", "ticks come all the same");
    env.now("2026-03-01T10:00:00Z");
    finds(&env, "timer", "fail", "no cron daemon", "start that daemon");
}
