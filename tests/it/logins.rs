//! Logins that end: their renewal beside the official client, the warnings about
//! them, named tokens, and tokens of CI pipelines.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hfdl::sys::lock::FileLock;
use hfdl_test_hub::{Api, Fault, On, TestHub};

use crate::support::env::{NOW, Ran, TestEnv};
use crate::support::sound::say;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

const ACCESS: &str = "hf_oauth_first_access";
const REFRESH: &str = "hf_refresh_first_secret";

/// The tokens that the test hub issues first.
const NEXT_ACCESS: &str = "hf_oauth_granted_1";
const NEXT_REFRESH: &str = "hf_refresh_granted_1";

/// A world with a private model that the login `kim` opens.
struct LoginEnv {
    env: TestEnv,
}

impl LoginEnv {
    /// Makes a login that ends after some seconds.
    fn ending_in(seconds: i64) -> Self {
        let env = TestEnv::new();
        let made = Self { env };
        let hub = made.env.hub();
        publish(hub, "acme/private", "one");
        hub.repo("acme/private").private();
        hub.login(ACCESS, REFRESH, &["acme/private"]);
        fs::create_dir_all(made.folder()).unwrap();
        made.store_login(ACCESS, &format!("refresh_token = {REFRESH}\n"), seconds);
        fs::write(made.file("token"), ACCESS).unwrap();
        made.env.line("models add acme/private").succeeds();
        hub.forget_requests();
        made
    }

    fn store_login(&self, access: &str, refresh: &str, seconds: i64) {
        let text = format!(
            "# my tokens\n[ci]\nhf_token = hf_of_ci_alone\n\n[kim]\n; OAuth\nHF_Token = {access}\n\
             {refresh}note: keep\nexpires_at = {}\n[zoe]\nhf_token=hf_of_zoe\n",
            after(seconds)
        );
        fs::write(self.file("stored_tokens"), text).unwrap();
    }

    fn folder(&self) -> PathBuf {
        self.env.root().join("user/.cache/huggingface")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    fn n_renewals(&self) -> usize {
        self.env.hub().count(Api::OauthToken)
    }

    fn schedule(&self) -> &Self {
        let line = "schedules add hourly --every 1h --all";
        self.env.line(line).succeeds();
        self
    }

    fn download(&self) -> Ran {
        self.env.line("download acme/private")
    }

    /// Checks that the refresh token is in no output and no file but its own.
    fn keeps_secrets(&self, ran: &Ran) {
        let mut texts = vec![ran.report(), self.env.database_content()];
        let logs = fs::read_dir(self.env.home().join("logs"))
            .into_iter()
            .flatten();
        texts.extend(logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap()));
        for text in texts {
            for secret in [ACCESS, REFRESH, NEXT_ACCESS, NEXT_REFRESH] {
                assert!(!text.contains(secret), "{secret} in\n{text}");
            }
        }
    }
}

fn publish(hub: &TestHub, repo: &str, text: &str) {
    let draft = hub.repo(repo).commit("main");
    draft.file("config.json", text.as_bytes()).publish();
}

/// Returns an instant some seconds after the time of the tests.
fn after(seconds: i64) -> i64 {
    let now: jiff::Timestamp = NOW.parse().unwrap();
    now.as_second() + seconds
}

fn mode(path: PathBuf) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_login_is_renewed_in_its_last_day_and_the_files_keep_every_other_byte() {
    let world = LoginEnv::ending_in(23 * HOUR);
    let before = world.read("stored_tokens");
    world.env.set("HFDL_LOG", "debug");
    let ran = world.download();
    ran.succeeds();
    assert_eq!(world.n_renewals(), 1);
    assert_eq!(world.read("token"), NEXT_ACCESS);
    let text = world.read("stored_tokens");
    let (head, replaces) = text.split_once("hfdl_replaces = ").unwrap();
    let (digest, tail) = replaces.split_once('\n').unwrap();
    assert_eq!(digest.len(), 64);
    let expected = before
        .replace(ACCESS, NEXT_ACCESS)
        .replace(REFRESH, NEXT_REFRESH)
        .replace(&after(23 * HOUR).to_string(), &after(30 * DAY).to_string());
    assert_eq!(format!("{head}{tail}"), expected);
    for name in ["token", "stored_tokens"] {
        assert_eq!(mode(world.file(name)), 0o600, "{name}");
    }
    world.keeps_secrets(&ran);
    // The new token is the one that is sent.
    let hub = world.env.hub();
    let sent = hub.requests();
    let sent = sent
        .iter()
        .filter_map(|request| request.header("authorization"));
    assert!(sent.clone().count() > 0);
    assert!(
        sent.into_iter()
            .all(|it| it == format!("Bearer {NEXT_ACCESS}"))
    );
    world.download().succeeds();
    assert_eq!(world.n_renewals(), 1);
    assert_eq!(fs::read_dir(world.folder()).unwrap().count(), 3);
}

#[test]
fn only_runs_with_work_renew_and_not_before_the_last_day() {
    let world = LoginEnv::ending_in(25 * HOUR);
    world.download().succeeds();
    assert_eq!(world.n_renewals(), 0, "25 hours are left");

    let world = LoginEnv::ending_in(23 * HOUR);
    world.env.line("run-due").succeeds();
    world.schedule();
    for line in [
        "download acme/private --dry-run",
        "run-due --dry-run",
        "models outdated",
        "status",
        "doctor",
        "verify --offline",
    ] {
        world.env.line(line);
        assert_eq!(world.n_renewals(), 0, "{line}");
    }
    world.env.line("run-due").succeeds();
    assert_eq!(world.n_renewals(), 1);
    world.env.line("run-due").succeeds().silently();
    assert_eq!(world.n_renewals(), 1);
}

#[test]
fn a_token_given_by_hand_is_never_renewed() {
    let world = LoginEnv::ending_in(HOUR);
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        world.env.set(name, ACCESS);
        world.download().succeeds();
        world.env.unset(name);
    }
    fs::write(world.file("elsewhere"), ACCESS).unwrap();
    let elsewhere = world.env.root().join("elsewhere/token");
    fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    fs::write(&elsewhere, ACCESS).unwrap();
    world.env.set("HF_TOKEN_PATH", elsewhere.to_str().unwrap());
    world.download().succeeds();
    assert_eq!(world.n_renewals(), 0);
}

#[test]
fn a_renewal_by_another_program_is_taken_over() {
    let world = LoginEnv::ending_in(HOUR);
    let other = "hf_oauth_of_the_other";
    let lock = FileLock::try_acquire(&world.file("stored_tokens.lock")).unwrap();
    let mut waiting = world
        .env
        .command(["download", "acme/private"])
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    world.env.hub().token(other, &["acme/private"]);
    world.env.hub().revoke_token(ACCESS);
    let refresh = "refresh_token = hf_refresh_of_the_other\n";
    world.store_login(other, refresh, 30 * DAY);
    fs::write(world.file("token"), other).unwrap();
    drop(lock);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(world.n_renewals(), 0);
    assert_eq!(world.read("token"), other);
}

#[test]
fn a_new_login_during_a_renewal_is_not_overwritten() {
    let world = LoginEnv::ending_in(HOUR);
    let hub = world.env.hub();
    let other = "hf_oauth_of_a_new_login";
    hub.token(other, &["acme/private"]);
    let text = world.read("stored_tokens").replace(ACCESS, other);
    let (stored, token, written) = (
        world.file("stored_tokens"),
        world.file("token"),
        text.clone(),
    );
    // `hf auth login` takes no lock.
    hub.before(On::api(Api::OauthToken), move || {
        fs::write(stored, written).unwrap();
        fs::write(token, other).unwrap();
    });
    world.download().succeeds();
    assert_eq!(world.n_renewals(), 1);
    assert_eq!(world.read("stored_tokens"), text);
    assert_eq!(world.read("token"), other);
}

#[test]
fn a_failed_renewal_is_no_error_while_the_token_works() {
    let world = LoginEnv::ending_in(HOUR);
    let hub = world.env.hub();
    let files = || (world.read("token"), world.read("stored_tokens"));
    let before = files();
    for fault in [
        Fault::Status(503),
        Fault::Status(404),
        Fault::Reset,
        Fault::Garbage("text/html".to_owned(), b"<p>log in</p>".to_vec()),
        Fault::Redirect(307, format!("{}/elsewhere", hub.cdn_origin())),
    ] {
        hub.fault(On::api(Api::OauthToken), fault.clone());
        world.download().succeeds();
        assert_eq!(files(), before, "{fault:?}");
        hub.heal();
    }
    let at_cdn = hub.requests();
    assert!(at_cdn.iter().all(|it| it.path() != "/elsewhere"));
    // A lock that cannot be taken.
    let lock = world.file("stored_tokens.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    world.download().succeeds();
    assert_eq!(files(), before);
    fs::remove_dir(&lock).unwrap();
    world.download().succeeds();
    assert_eq!(world.read("token"), NEXT_ACCESS);
}

#[test]
fn a_refused_renewal_is_reported_everywhere_until_a_new_login() {
    let world = LoginEnv::ending_in(20 * HOUR);
    let metrics = world.env.root().join("metrics.prom");
    world
        .env
        .set("HFDL_METRICS_FILE", metrics.to_str().unwrap());
    world.env.hub().end_login(REFRESH);
    world.schedule();
    let tick = world.env.line("run-due --trigger ci");
    tick.succeeds();
    tick.explains("the login `kim` ends at 2026-03-02T05:00:00Z and cannot be renewed")
        .explains("the Hub refuses its refresh token")
        .explains("hf auth login");
    world.keeps_secrets(&tick);
    world.env.now("2026-03-01T09:20:00Z");
    world.env.line("run-due --trigger ci").succeeds().silently();
    let status = world.env.line("status --json");
    let document = status.exits(1).json();
    assert_eq!(document["warnings"][0]["kind"], "login-ends");
    assert_eq!(document["logins"][0]["name"], "kim");
    let obstacle = "the Hub refuses its refresh token";
    assert_eq!(document["logins"][0]["obstacle"], obstacle);
    let text = world.env.line("status");
    text.exits(1).prints("`kim` until").prints("hf auth login");
    let doctor = world.env.line("doctor");
    doctor
        .prints("the login `kim` ends")
        .prints("hf auth login");
    let text = fs::read_to_string(&metrics).unwrap();
    let expected = format!(
        "hfdl_token_expires_timestamp_seconds{{token=\"kim\"}} {}\n",
        after(20 * HOUR)
    );
    assert!(text.contains(&expected), "{text}");

    // After the end.
    world.env.hub().revoke_token(ACCESS);
    world.env.now("2026-03-02T10:00:00Z");
    let tick = world.env.line("run-due --trigger ci");
    tick.exits(4)
        .explains("ended at 2026-03-02T05:00:00Z")
        .explains("hf auth login");
    world
        .env
        .line("download acme/private")
        .exits(4)
        .explains("hf auth login");

    // A new login.
    let (access, refresh) = ("hf_oauth_second_access", "hf_refresh_second_secret");
    world.env.hub().login(access, refresh, &["acme/private"]);
    world.store_login(access, &format!("refresh_token = {refresh}\n"), 30 * DAY);
    fs::write(world.file("token"), access).unwrap();
    world.env.line("download acme/private").succeeds();
    let document = world.env.line("status --json").json();
    assert_eq!(document["logins"][0]["obstacle"], serde_json::Value::Null);
    let warnings = document["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().all(|it| it["kind"] != "login-ends"),
        "{document}"
    );
}

#[test]
fn a_login_that_cannot_be_renewed_is_reported_a_week_before() {
    // {"iss":"https://huggingface.co"}
    let elsewhere = "hf_oauth_e30.eyJpc3MiOiJodHRwczovL2h1Z2dpbmdmYWNlLmNvIn0.sig";
    let refresh = format!("refresh_token = {REFRESH}\n");
    for (access, refresh, why) in [
        (ACCESS, "", "it has no refresh token"),
        (
            elsewhere,
            &refresh,
            "it is a login of `https://huggingface.co`, not of this Hub",
        ),
    ] {
        let world = LoginEnv::ending_in(8 * DAY);
        world.env.hub().token(access, &["acme/private"]);
        fs::write(world.file("token"), access).unwrap();
        world.store_login(access, refresh, 8 * DAY);
        world.env.line("status").succeeds();
        world.store_login(access, refresh, 6 * DAY);
        world.env.line("status").exits(1).prints(why);
        world.env.line("doctor").prints(why);
        world.env.line("run-due").succeeds().explains(why);
        // Not even in its last day is the refresh token sent there.
        world.store_login(access, refresh, HOUR);
        world.download().succeeds();
        assert_eq!(world.n_renewals(), 0, "{why}");
    }
}

#[test]
fn a_kill_between_the_two_files_loses_neither_token() {
    let world = LoginEnv::ending_in(HOUR);
    let crash = |step: &str| {
        world.env.set("HFDL_TEST_CRASH_AT", step);
        let ran = world.download();
        assert_eq!(ran.code(), None, "{}", ran.report());
        world.env.unset("HFDL_TEST_CRASH_AT");
    };
    crash("login stored");
    assert_eq!(world.read("token"), ACCESS);
    assert!(world.read("stored_tokens").contains(NEXT_REFRESH));
    world.env.hub().revoke_token(ACCESS);
    // A command that only reads uses the new token and writes nothing.
    world.env.line("models outdated").succeeds();
    assert_eq!(world.read("token"), ACCESS);
    world.download().succeeds();
    assert_eq!(world.read("token"), NEXT_ACCESS);
    assert_eq!(world.n_renewals(), 1);

    // A kill with the answer at hand: the old token works on, and its files are whole.
    let world = LoginEnv::ending_in(HOUR);
    world
        .env
        .hub()
        .configure(|settings| settings.rotates_logins = false);
    let before = world.read("stored_tokens");
    world.env.set("HFDL_TEST_CRASH_AT", "login renewed");
    assert_eq!(world.download().code(), None);
    world.env.unset("HFDL_TEST_CRASH_AT");
    assert_eq!(world.read("stored_tokens"), before);
    world.download().succeeds();
    assert!(world.read("stored_tokens").contains(REFRESH), "no rotation");
    assert_eq!(fs::read_dir(world.folder()).unwrap().count(), 3);
}

#[test]
fn the_refresh_token_goes_to_the_endpoint_alone() {
    let world = LoginEnv::ending_in(HOUR);
    let other = TestHub::start();
    let target = format!("{}/oauth/token", other.endpoint());
    for status in [301, 302, 303, 307, 308] {
        let hub = world.env.hub();
        hub.fault(
            On::api(Api::OauthToken),
            Fault::Redirect(status, target.clone()),
        );
        world.download().succeeds();
        hub.heal();
    }
    assert_eq!(other.requests().len(), 0);
    // No child process gets a secret: the environment is searched for their values.
    world.env.set("PATH", "/usr/bin:/bin").set("LEAK", REFRESH);
    let seen = world.env.root().join("seen");
    let script = world.env.root().join("hook");
    let text = format!("#!/bin/sh\n{{ env; cat; }} > '{}'\n", seen.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let hook = format!("[\"{}\"]", script.display());
    world.env.set("HFDL_HOOKS_FINALLY", &hook);
    world.schedule();
    world.env.line("run-due").succeeds();
    let seen = fs::read_to_string(seen).unwrap();
    for secret in [ACCESS, REFRESH, NEXT_ACCESS, NEXT_REFRESH] {
        assert!(!seen.contains(secret), "{seen}");
    }
}

#[test]
fn a_model_is_read_with_the_token_of_its_name() {
    let world = LoginEnv::ending_in(23 * HOUR);
    let (env, hub) = (&world.env, world.env.hub());
    publish(hub, "acme/of-zoe", "one");
    hub.repo("acme/of-zoe").private();
    hub.token("hf_of_zoe", &["acme/of-zoe"]);
    env.line("models add acme/of-zoe").exits(1);
    env.line("models add acme/of-zoe --token-name zoe")
        .succeeds();
    env.line("models show acme/of-zoe")
        .prints("token name")
        .prints("zoe");
    world.schedule();
    env.line("run-due").succeeds();
    let exported = env.line("export");
    exported.prints("token_name: zoe");
    fs::write(env.root().join("work/hfdl.yaml"), exported.stdout()).unwrap();
    env.line("apply -f hfdl.yaml").succeeds().prints("nothing");
    assert!(!env.database_content().contains("hf_of_zoe"));
    env.line("models outdated").succeeds();
    env.line("verify acme/of-zoe").succeeds();

    // By hand, and without the token of this machine.
    env.line("models remove acme/of-zoe --yes").succeeds();
    env.line("download acme/of-zoe").exits(1);
    env.set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    env.line("download acme/of-zoe --token-name zoe").succeeds();
    env.line("download acme/private").exits(4);
}

#[test]
fn an_unknown_token_name_fails_its_own_model_and_lists_the_names() {
    let world = LoginEnv::ending_in(30 * DAY);
    let env = &world.env;
    publish(env.hub(), "acme/public", "one");
    let list = "there is no token named `bob`";
    env.line("models add acme/public --token-name bob")
        .exits(4)
        .explains(list);
    env.line("models add acme/public --no-check --token-name bob")
        .succeeds();
    world.schedule();
    let ran = env.line("run-due");
    ran.exits(4)
        .explains(list)
        .explains("it names `ci`, `kim`, `zoe`");
    let doctor = env.line("doctor");
    doctor.prints("`acme/public` has no token").prints(list);
    let runs = env.line("sessions list --json").json();
    let mut outcomes: Vec<(String, String)> = runs["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["model"].to_string(), it["outcome"].to_string()))
        .collect();
    outcomes.sort();
    let expected = [
        ("\"acme/private\"", "\"updated\""),
        ("\"acme/public\"", "\"failed\""),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    env.line("models set acme/public --no-token-name")
        .succeeds();
    env.line("download acme/public").succeeds();
    let token = "models set acme/public --token-name hf_abcdefghijklmnopqrstuvwx";
    let refused = env.line(token);
    refused.exits(2).explains("it looks like a token");
    assert!(!refused.stderr().contains("hf_abc"));
}

#[test]
fn a_named_login_is_renewed_and_reported_like_the_own_one() {
    let world = LoginEnv::ending_in(HOUR);
    let env = &world.env;
    fs::remove_file(world.file("token")).unwrap();
    env.line("models set acme/private --token-name kim")
        .succeeds();
    let status = env.line("status --json").json();
    assert_eq!(status["logins"][0]["name"], "kim");
    world.download().succeeds();
    assert_eq!(world.n_renewals(), 1);
    assert!(world.read("stored_tokens").contains(NEXT_REFRESH));
    assert!(
        !world.file("token").exists(),
        "no other login becomes active"
    );
}

#[test]
fn the_identity_of_a_pipeline_is_exchanged_once_for_a_token() {
    let world = LoginEnv::ending_in(HOUR);
    let (env, hub) = (&world.env, world.env.hub());
    env.set("HF_OIDC_RESOURCE", "acme/private")
        .set("HF_TOKEN", "hf_not_this_one");
    env.line("download acme/private")
        .exits(4)
        .explains("`HF_OIDC_ID_TOKEN` is not");
    env.set("HF_OIDC_ID_TOKEN", "identity-of-a-pipeline");
    let refused = env.line("download acme/private");
    refused
        .exits(4)
        .explains("no trusted publisher admits this identity");
    refused.explains("check `HF_OIDC_RESOURCE`");
    assert!(
        !refused.stderr().contains("identity-of"),
        "{}",
        refused.report()
    );
    hub.admit("identity-of-a-pipeline", "acme/private");
    hub.fault(On::api(Api::OauthToken), Fault::Status(503));
    env.line("download acme/private").exits(5);
    hub.heal();
    hub.forget_requests();
    let ran = env.line("download acme/private");
    ran.succeeds();
    assert_eq!(world.n_renewals(), 1);
    env.line("doctor")
        .prints("from the exchange for `HF_OIDC_RESOURCE`");
    assert_eq!(world.n_renewals(), 2, "once for each process");
    // Nothing due, nothing asked; and a switch that forbids tokens nobody named.
    env.line("run-due").succeeds();
    env.set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    env.line("download acme/private").exits(4);
    assert_eq!(world.n_renewals(), 2);
}

#[test]
fn a_job_of_github_asks_for_its_identity() {
    let world = LoginEnv::ending_in(HOUR);
    let (env, hub) = (&world.env, world.env.hub());
    env.set("HF_OIDC_RESOURCE", "acme/private");
    let url = format!("{}/identity?version=2", hub.endpoint());
    env.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
    env.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret-of-the-job");
    env.line("download acme/private")
        .exits(4)
        .explains("GitHub gave no identity: HTTP 401");
    let on = On::api(Api::Unknown);
    hub.fault(on.clone().times(1), Fault::Status(503));
    env.line("download acme/private").exits(5);
    let answer = b"{\"value\": \"identity-of-a-job\"}".to_vec();
    hub.fault(on, Fault::Garbage("application/json".to_owned(), answer));
    hub.admit("identity-of-a-job", "acme/private");
    env.line("download acme/private").succeeds();
    let requests = hub.requests();
    let mut asked = requests.iter().filter(|it| it.path() == "/identity");
    let audience = asked.next_back().unwrap().query("audience");
    assert_eq!(audience.unwrap(), hub.endpoint());
}

#[test]
fn a_credential_of_systemd_is_read_and_never_written() {
    let world = LoginEnv::ending_in(HOUR);
    let env = &world.env;
    let folder = env.root().join("credentials");
    fs::create_dir(&folder).unwrap();
    let token = folder.join("hf_token");
    fs::write(&token, ACCESS).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    env.set("HF_TOKEN_PATH", token.to_str().unwrap());
    env.set("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    world.download().succeeds();
    env.line("status").succeeds();
    assert_eq!(world.n_renewals(), 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(&token).unwrap(), ACCESS);
    assert_eq!(mode(token), 0o400);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_run_of_root_leaves_the_files_to_their_owner() {
    use std::os::unix::fs::{MetadataExt, chown};
    const NOBODY: u32 = 65_534;
    let world = LoginEnv::ending_in(HOUR);
    for name in ["token", "stored_tokens"] {
        if let Err(why) = chown(world.file(name), Some(NOBODY), Some(NOBODY)) {
            return say(&format!("skipped: no file can be given away ({why})"));
        }
    }
    world.download().succeeds();
    assert_eq!(world.read("token"), NEXT_ACCESS);
    for name in ["token", "stored_tokens"] {
        let found = world.file(name).metadata().unwrap();
        assert_eq!(
            (found.uid(), found.mode() & 0o777),
            (NOBODY, 0o600),
            "{name}"
        );
    }
}

#[test]
fn a_folder_that_this_user_cannot_write_is_reported_a_week_before() {
    if rustix::process::geteuid().is_root() {
        return say("skipped: root can write everywhere");
    }
    let world = LoginEnv::ending_in(6 * DAY);
    fs::set_permissions(world.folder(), fs::Permissions::from_mode(0o500)).unwrap();
    world
        .env
        .line("status")
        .exits(1)
        .prints("this user cannot write");
    fs::set_permissions(world.folder(), fs::Permissions::from_mode(0o700)).unwrap();
    world.env.line("status").succeeds();
}

#[test]
fn a_damaged_file_of_tokens_stops_only_those_who_name_one() {
    let world = LoginEnv::ending_in(HOUR);
    fs::write(world.file("stored_tokens"), "hf_token = x\n").unwrap();
    world.download().succeeds();
    let named = world.env.line("download acme/private --token-name kim");
    named
        .exits(4)
        .explains("cannot understand")
        .explains("line 1");
    assert_eq!(world.read("stored_tokens"), "hf_token = x\n");

    // The official client does not understand such a file either.
    let world = LoginEnv::ending_in(HOUR);
    let mut bytes = fs::read(world.file("stored_tokens")).unwrap();
    bytes.push(0xff);
    fs::write(world.file("stored_tokens"), &bytes).unwrap();
    world.download().succeeds();
    assert_eq!(fs::read(world.file("stored_tokens")).unwrap(), bytes);
    assert_eq!(world.n_renewals(), 0);
}
