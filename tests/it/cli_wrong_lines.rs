//! Wrong command lines: the right code, a message that helps, and nothing done.

use hfdl_test_hub::{Api, Fault, Gate, On, Port};

use crate::support::env::{Ran, TestEnv};

/// A hub with a few repositories, two models and one schedule.
fn prepared() -> TestEnv {
    let env = TestEnv::new();
    let hub = env.hub();
    for id in ["acme/tiny", "acme/other", "datasets/acme/corpus"] {
        let commit = hub.repo(id).commit("main");
        commit.file("config.json", b"{}").publish();
    }
    env.line("models add acme/tiny --tag llm").succeeds();
    env.line("models add acme/other").succeeds();
    env.line("schedules add nightly --daily 02:30 --all")
        .succeeds();
    env.line("config set download.retries 7").succeeds();
    env
}

/// Runs each line and checks code, message, silence on stdout and the database.
///
/// A row of the table is an exit code, a command line, `=>`, and a piece of
/// what stderr says.
fn check(env: &TestEnv, table: &str) {
    let before = env.database_content();
    assert!(before.contains("acme/other") && before.contains("nightly"));
    let mut failures = String::new();
    for row in table.trim().lines() {
        let (code, rest) = row.trim().split_once(' ').unwrap();
        let (line, says) = rest.split_once("=>").unwrap();
        let (line, says) = (line.trim(), says.trim());
        let ran = env.line(line);
        let problems = problems(&ran, code.parse().unwrap(), says);
        if !problems.is_empty() {
            failures += &format!(
                "{}: expected `{says}`\n{}\n",
                problems.join(", "),
                ran.report()
            );
        }
        assert_eq!(
            env.database_content(),
            before,
            "`hfdl {line}` changed the database"
        );
    }
    assert!(failures.is_empty(), "{failures}");
}

fn problems(ran: &Ran, code: i32, says: &str) -> Vec<&'static str> {
    let checks = [
        (ran.code() == Some(code), "wrong code"),
        (ran.stderr().contains(says), "wrong message"),
        (
            ran.stderr().contains("\n next: ") || ran.stderr().contains("Usage: hfdl"),
            "no next step",
        ),
        (ran.stdout().is_empty(), "something on stdout"),
        (!ran.stderr().contains("panicked"), "panic"),
    ];
    let failed = checks.into_iter().filter(|(holds, _)| !holds);
    failed.map(|(_, problem)| problem).collect()
}

#[test]
fn wrong_words_and_flags_are_refused() {
    check(
        &prepared(),
        r"
        2  => Usage: hfdl
        2 modles list => there is no command `hfdl modles`
        2 modles list => did you mean `hfdl models`?
        2 models => Usage: hfdl models
        2 models lst => did you mean `hfdl models list`?
        2 models list extra => unexpected argument `extra`
        2 models list --tga llm => did you mean `--tag`?
        2 schedules => Usage: hfdl schedules
        2 config => Usage: hfdl config
        2 models add => <REPO>
        2 models show => <NAME>
        2 models enable => <NAME>...
        2 models disable => <NAME>...
        2 models remove => <NAME>...
        2 schedules remove => <NAME>...
        2 schedules add => <NAME>
        2 config set disk.reserve => <VALUE>
        2 --format xml models list => next: write table, json or yaml
        2 --format xml report => next: write table, json, yaml, markdown or html
        2 --format html models list => next: write table, json or yaml
        2 --color sometimes models list => `sometimes` is not one of auto, always, never
        2 --log-format xml models list => `xml` is not one of text, json
        2 -q -v models list => cannot be used with
        2 completions tcsh => `tcsh` is not a valid value
        2 completions tcsh => did you mean `zsh`?
        2 completions => <SHELL>
        2 logs --run x --last => cannot be used with
        2 logs --run nope => no log of a run `nope`
        2 logs --level loud => `loud` is not one of error, warn, info, debug
        1 logs --last => no run has left a log yet
        2 models list --state broken => `broken` is not one of
        ",
    );
}

#[test]
fn wrong_descriptions_of_models_are_refused() {
    check(
        &prepared(),
        r"
        2 models add a/b/c => the first is not models, datasets, spaces or kernels
        2 models add datasets/x => write `datasets/org/name`
        2 models add acme/ti*ny => is not valid
        2 models add '' => is not valid
        2 models add acme/tiny: => GGUF quantisation
        2 models add datasets/acme/corpus:Q4_0 => only models have quantisations
        2 models add https://example.com/acme/tiny => is not valid
        2 models add hf://acme => write `hf://org/name`
        2 models add https://huggingface.co/acme/tiny/discussions/3 => is not valid
        2 models add acme/new --revision 'a b' => `--revision`: revision `a b` is not valid
        2 models add acme/new --revision '' => `--revision`: revision `` is not valid
        2 models add acme/new --revision ../x => `--revision`: revision `../x` is not valid
        2 models add acme/new@dev --revision main => two different revisions are given
        2 models add acme/new --name 'two words' => is not allowed
        2 models add acme/new --name '' => it is empty
        2 models add acme/new --tag 'a,b' => is not allowed
        2 models add acme/new --priority 101 => a whole number from 0 to 100
        2 models add acme/new --priority -1 => has no option `-1`
        2 models add acme/new --priority high => a whole number from 0 to 100
        2 models add acme/new --keep-revisions 0 => a whole number from 1 to 1000
        2 models add acme/new --keep-revisions 1001 => a whole number from 1 to 1000
        2 models add acme/new --include '' => an empty pattern
        2 models set acme/tiny --exclude '' => an empty pattern
        2 models add acme/new --to '' => needs a directory
        2 models set acme/tiny --delay off => write 0d for no delay, or `--no-delay`
        2 models set acme/tiny --delay 0 => write 0d for no delay, or `--no-delay`
        2 models add acme/tiny --no-check => the model `acme/tiny`
        2 models add acme/tiny => exists already
        2 models add acme/tiny --name another => the model `acme/tiny`
        2 models add acme/new --name acme/tiny --no-check => the name `acme/tiny` exists already
        2 models set acme/tiny => nothing to change
        2 models set acme/tiny --name acme/other => exists already
        2 models set acme/tiny --tag x --no-tag => cannot be used with
        2 models set acme/tiny --include x --no-include => cannot be used with
        2 models set acme/tni --priority 3 => did you mean `acme/tiny`?
        2 models show acme/tinny => did you mean `acme/tiny`?
        2 models show quite-different => `hfdl models list` shows all
        2 models enable acme/tiny acme/nothing => there is no model `acme/nothing`
        2 models disable acme/tiny acme/nothing => there is no model `acme/nothing`
        2 models remove acme/tiny => there is no terminal to ask on
        2 models remove acme/tiny --delete-files => add `--yes`
        2 models remove acme/tiny acme/nothing --yes => there is no model `acme/nothing`
        2 models rollback => <NAME>
        2 models rollback acme/tinny => did you mean `acme/tiny`?
        2 models rollback acme/tiny acme/other => unexpected argument `acme/other`
        2 models rollback acme/tiny --to => needs a value
        1 models rollback acme/tiny => nothing has been published for it yet
        1 models rollback acme/tiny --to 0123456 => `hfdl download acme/tiny` fetches it
        2 models release => <NAME>
        2 models release acme/tinny => did you mean `acme/tiny`?
        ",
    );
}

#[test]
fn wrong_prunes_are_refused() {
    check(
        &prepared(),
        r"
        2 prune => not confirmed: remove what is not kept any more?
        2 prune acme/tiny => add `--yes`
        2 prune acme/tinny --yes => did you mean `acme/tiny`?
        2 prune acme/tiny acme/nothing --dry-run => there is no model `acme/nothing`
        2 prune --keep-revisions 0 --yes => write a number from 1 to 1000
        2 prune --keep-revisions few --yes => `few` is not a whole number
        2 prune --older-than 30 --yes => `30` is not a duration
        2 prune --older-than soon --yes => `soon` is not a duration
        2 prune --max-size 5X --yes => `5X` is not a size
        2 prune --max-size -1 --yes => has no option `-1`
        2 prune --all --yes => has no option `--all`
        ",
    );
}

#[test]
fn a_place_inside_the_cache_or_the_home_is_refused() {
    let env = prepared();
    let inside = env.cache().join("mine").display().to_string();
    let before = env.database_content();
    env.hfdl(["models", "add", "datasets/acme/corpus", "--to", &inside])
        .exits(2)
        .explains("lies inside the Hub's cache");
    for place in [env.home(), env.home().join("mine")] {
        let place = place.display().to_string();
        env.hfdl(["models", "add", "datasets/acme/corpus", "--to", &place])
            .exits(2)
            .explains("lies inside the home of hfdl");
    }
    assert_eq!(env.database_content(), before);
}

#[test]
fn wrong_and_impossible_schedules_are_refused() {
    check(
        &prepared(),
        r"
        2 schedules add x --all => no time is given for the schedule
        2 schedules add x --every 6h => no models are selected
        2 schedules add x --every 6h --daily 02:00 --all => cannot be used with
        2 schedules add x --every 6h --all --tag llm => cannot be used with
        2 schedules add x --every 6h --all --model acme/tiny => cannot be used with
        2 schedules add x --every 6h --model acme/tinny => did you mean `acme/tiny`?
        2 schedules add 'x y' --every 6h --all => is not allowed
        2 schedules add nightly --every 6h --all => the schedule `nightly` exists already
        2 schedules add x --daily 02:30 --all => does exactly the same
        2 schedules add x --every 6x --all => is not an interval
        2 schedules add x --every 0s --all => the shortest interval is one minute
        2 schedules add x --every 5s --all => the shortest interval is one minute
        2 schedules add x --daily 25:00 --all => hours go from 00 to 23
        2 schedules add x --daily 2h30 --all => write a 24-hour time
        2 schedules add x --weekly Mon --all => write days and a time such as
        2 schedules add x --weekly Foo@02:00 --all => next: write Mon, Tue
        2 schedules add x --monthly 32@04:00 --all => write a number from 1 to 31, or last
        2 schedules add x --monthly 0@04:00 --all => write a number from 1 to 31, or last
        2 schedules add x --cron '* * *' --all => five fields are needed
        2 schedules add x --cron '61 * * * *' --all => `61` is not a number from 0 to 59
        2 schedules add x --cron '0 0 31 4 *' --all => never runs
        2 schedules add x --cron '0 0 31 2 *' --all => never runs
        2 schedules add x --once 2026-02-28T08:00 --all => has passed already
        2 schedules add x --once tomorrow --all => such as 2026-06-01T08:00 or tomorrow 08:00
        2 schedules add x --once '2026-02-30 08:00' --all => is not a time
        2 schedules add x --daily 03:00 --all --tz Berlin => did you mean `Europe/Berlin`?
        2 schedules add x --daily 03:00 --all --tz Mars/Base => `Mars/Base` is not a time zone
        2 schedules add x --daily 03:00 --all --tz PST => next: write a zone name such as `Europe/Berlin`
        2 schedules add x --daily 03:00 --all --window 22:00-22:00 => it starts when it ends
        2 schedules add x --daily 03:00 --all --window 22-7 => `22-7` is not a window: `22` is not a time of day
        2 schedules add x --daily 03:00 --all --window 22-7 => next: write start and end such as 22:00-07:00
        2 schedules add x --daily 03:00 --all --window Foo@22:00-23:00 => next: write Mon, Tue
        2 schedules add x --daily 03:00 --all --window 04:00-04:05 => its windows never allow it to run
        2 schedules add x --daily 03:00 --all --catch-up twice => `twice` is not a catch-up rule
        2 schedules add x --daily 03:00 --all --catch-up skip --catch-up-within 3h => never caught up
        2 schedules add x --daily 03:00 --all --catch-up-within 20m => is too short
        2 schedules add x --daily 03:00 --all --catch-up-within soon => is not a duration
        2 schedules add x --daily 03:00 --all --jitter 24h => is too large
        2 schedules add x --every 1h --all --jitter 1h => is too large
        2 schedules add x --daily 03:00 --all --limit-rate fast => is not a rate
        2 schedules add x --daily 03:00 --all --limit-rate '08:00,512K 08:00,off' => `08:00` has two rates
        2 schedules add x --daily 03:00 --all --max-transfer 10X => is not a size
        2 schedules add x --daily 03:00 --all --max-transfer 0 => more than 0
        2 schedules add x --daily 03:00 --all --max-duration 0s => more than 0
        2 schedules add x --daily 03:00 --all --max-duration forever => is not a duration
        2 schedules add x --daily 03:00 --all --priority 200 => a whole number from 0 to 100
        2 schedules set nightly => nothing to change
        2 schedules set nightyl --daily 03:00 => did you mean `nightly`?
        2 schedules set nightly --window 04:00-04:05 --catch-up skip => never allow it to run
        2 schedules set nightly --model nope => there is no model `nope`
        2 schedules set nightly --window 22:00-23:00 --no-window => cannot be used with
        2 schedules show nightyl => did you mean `nightly`?
        2 schedules enable nightyl => did you mean `nightly`?
        2 schedules disable nightly nothing => there is no schedule `nothing`
        2 schedules remove nightly => there is no terminal to ask on
        2 schedules remove nightly nothing -y => there is no schedule `nothing`
        2 schedules next nightyl => did you mean `nightly`?
        2 schedules next --count 0 => write a number from 1 to 1000
        2 schedules next --from yester => `yester` is not a time
        ",
    );
}

#[test]
fn wrong_questions_about_runs_are_refused() {
    check(
        &prepared(),
        r"
        2 sessions => Usage: hfdl sessions
        2 sessions show => <ID>
        2 sessions show x => `x` is not a whole number
        2 sessions show 77 => `hfdl sessions list` shows those that are kept
        2 sessions list --model acme/tinny => did you mean `acme/tiny`?
        2 sessions list --model 'two words' => is not allowed
        2 sessions list --outcome done => `done` is not one of updated, up-to-date
        2 sessions list --since yester => `yester` is neither a duration nor a time
        2 sessions list --since '' => is neither a duration nor a time
        2 sessions list --limit 0 => write a number from 1 to 1000000
        2 sessions list --limit -1 => has no option `-1`
        2 sessions list --run ffff => no run `ffff`
        2 sessions list --run f => its last 4 or more characters
        2 runs => Usage: hfdl runs
        2 runs show => <ID>
        2 runs show nothing => `hfdl runs list` lists what there is
        2 runs show % => no run `%`
        2 runs list --since 6 => `6` is neither a duration nor a time
        2 runs list --limit many => `many` is not a whole number
        2 pause --until 2020-01-01 => a pause cannot end before it begins
        2 pause --until 2026-03-01T09:00:00Z => it is 2026-03-01 09:00 UTC now
        2 pause --until yesterday => a pause cannot end before it begins
        2 pause --for 0s => a pause cannot end before it begins
        2 pause --for soon => is not a duration
        2 pause --for 2h --until 2027-01-01 => cannot be used with
        2 pause 2h => unexpected argument `2h`
        2 resume now => unexpected argument `now`
        2 status acme/tiny => unexpected argument `acme/tiny`
        2 status -c check.max_age=never => is not a duration
        2 status --watch -c disk.reserve=x => is not a size
        ",
    );
}

#[test]
fn wrong_settings_are_refused() {
    check(
        &prepared(),
        r"
        2 config set download.conections 3 => did you mean `download.connections`?
        2 config set colour red => there is no setting `colour`
        2 config get keep.lgos => did you mean `keep.logs`?
        2 config unset keep.lgos => did you mean `keep.logs`?
        2 config set download.connections 0 => a whole number from 1 to 256
        2 config set download.connections many => a whole number from 1 to 256
        2 config set disk.reserve 5X => is not a size
        2 config set run.max_transfer 0 => it must be more than 0, or `off`
        2 download acme/tiny --max-transfer 0 => more than 0
        2 config set keep.logs 30 => is not a duration
        2 config set keep.sessions 1h => it must be at least 1d
        2 config set timer.every 7m => it must be 1m, 2m
        2 config set download.xet perhaps => it must be one of auto, off
        2 config set download.limit_rate fast => not a valid value for `download.limit_rate`
        2 config set hub.endpoint ftp://x => it must start with https:// or http://
        2 config set hub.endpoint https://me:secret@x => must not contain a user name
        2 config set cache.dir '' => it must be a directory
        2 config set hooks.on_update '' => write the program alone, or a JSON array
        2 config set hooks.on_update 'notify me' => nothing is split at spaces
        2 config set hooks.on_update '[notify, 1]' => write the program alone, or a JSON array
        2 config set hooks.on_failure '[]' => write the program alone, or a JSON array
        2 config set hooks.on_failure ./notify => a bare name, which PATH finds, or a whole path
        2 config set hooks.finaly true => did you mean `hooks.finally`?
        2 config set hooks.timeout 0s => it must be at least 1s
        2 config set hooks.timeout soon => is not a duration
        2 config set ping.url hc-ping.com/geheim => it must start with https:// or http://
        2 config set ping.url https://me:geheim@x/y => must not contain a user name
        2 config set ping.url 'https://x/y?a b' => characters that no address has
        2 config set metrics.file '' => it must be the path of a file
        2 config set status.file /srv/ => it must be the path of a file
        2 models list --set hooks.on_skip='a b' => nothing is split at spaces
        2 run-due --metrics-file => needs a value
        2 doctor extra => unexpected argument `extra`
        2 doctor --fixx => did you mean `--fix`?
        2 models list --set nonsense => `nonsense` is not a setting
        2 -c download.connections status => `-c download.connections` has no value
        2 -c download.connections status => write `-c download.connections=16`
        2 models list --set disk.reserv=1G => did you mean `disk.reserve`?
        2 models list --set disk.reserve= => is not a size
        2 config list -c download.files=0 => a whole number from 1 to 256
        ",
    );
}

#[test]
fn a_model_that_the_hub_refuses_is_not_added() {
    let env = prepared();
    let hub = env.hub();
    check(
        &env,
        r"
        1 models add acme/missing => `acme/missing` does not exist, or is private
        1 models add datasets/acme/corpus@gone => has no revision `gone`
        1 models add datasets/acme/corpus --revision v9 => next: choose one of the revisions at
        ",
    );
    hub.repo("acme/closed")
        .commit("main")
        .file("a", b"a")
        .publish();
    hub.repo("acme/closed").private();
    hub.repo("acme/banned")
        .commit("main")
        .file("a", b"a")
        .publish();
    hub.repo("acme/banned").disabled();
    hub.token("hf_good", &[]);
    env.set("HF_TOKEN", "hf_good");
    check(
        &env,
        r"
        1 models add acme/closed => or the token has no access to it
        1 models add acme/banned => the Hub has disabled `acme/banned`
        ",
    );
    env.set("HF_TOKEN", "hf_bad");
    check(
        &env,
        "4 models add datasets/acme/corpus => the Hub refused the token",
    );
    env.set("HF_TOKEN", "two\nlines");
    check(
        &env,
        "4 models add datasets/acme/corpus => the Hub refused the token",
    );
}

#[test]
fn trouble_on_the_way_to_the_hub_is_temporary() {
    let env = prepared();
    let hub = env.hub();
    let add = "5 models add datasets/acme/corpus => could not add `datasets/acme/corpus`";
    for status in [500, 502, 503, 504] {
        hub.fault(On::any(), Fault::Status(status));
        check(&env, add);
        hub.heal();
    }
    for (fault, says) in [
        (
            Fault::TooManyRequests(hfdl_test_hub::Hint::RetryAfter(9)),
            "rate limit",
        ),
        (Fault::Reset, "no answer"),
        (Fault::Close, "no answer"),
    ] {
        hub.fault(On::any(), fault);
        check(
            &env,
            &format!("5 models add datasets/acme/corpus => {says}"),
        );
        hub.heal();
    }
    hub.fault(On::api(Api::Tree), Fault::Status(503));
    check(&env, add);
    hub.heal();
    hub.fault(
        On::any(),
        Fault::Garbage("text/html".to_owned(), b"<html>log in".to_vec()),
    );
    check(
        &env,
        "1 models add datasets/acme/corpus => sent a web page in place of data",
    );
    hub.heal();
    hub.close_port(Port::Hub);
    check(&env, add);
    env.set("HF_HUB_OFFLINE", "1");
    check(
        &env,
        "5 models add datasets/acme/corpus => offline mode is on",
    );
}

#[test]
fn a_gate_that_cannot_be_asked_about_is_temporary() {
    let env = prepared();
    let repo = env.hub().repo("acme/gated");
    repo.commit("main").file("a", b"a").publish();
    repo.gated(Gate::Auto);
    env.hub().fault(On::api(Api::AuthCheck), Fault::Status(500));
    check(&env, "5 models add acme/gated => HTTP 500");
}

#[test]
fn wrong_lines_in_an_empty_home_leave_it_empty() {
    let env = TestEnv::new();
    for line in [
        "models add a/b/c",
        "models add acme/tiny",
        "models set acme/tiny --priority 3",
        "models show acme/tiny",
        "models remove acme/tiny --yes",
        "models enable acme/tiny",
        "schedules add x --daily 02:30",
        "schedules add x --once 2020-01-01T00:00 --all",
        "schedules add x --daily 02:30 --model acme/tiny",
        "schedules show x",
        "schedules set x --daily 02:30",
        "schedules remove x --yes",
        "config set nonsense 1",
        "config get nonsense",
        "logs --last",
        "sessions list --model acme/tiny",
        "sessions list --run 12345678",
        "sessions show 1",
        "runs show 12345678",
        "pause --until 2020-01-01",
        "status --set nonsense=1",
    ] {
        let ran = env.line(line);
        assert!(matches!(ran.code(), Some(1 | 2 | 5)), "{}", ran.report());
        assert!(ran.stdout().is_empty(), "{}", ran.report());
        assert!(!env.home().exists(), "{}", ran.report());
    }
}

#[test]
fn a_refused_address_of_a_ping_is_not_repeated() {
    let env = prepared();
    for value in [
        "hc-ping.com/geheim",
        "https://me:geheim@x/geheim",
        "ftp://x/geheim",
    ] {
        let ran = env.hfdl(["config", "set", "ping.url", value]);
        ran.exits(2);
        assert!(!ran.stderr().contains("geheim"), "{}", ran.report());
    }
}

#[test]
fn wrong_ways_to_do_what_is_due_are_refused() {
    check(
        &prepared(),
        r"
        2 run-due extra => unexpected argument `extra`
        2 run-due --at '2026-06-01 02:30' => --dry-run
        2 run-due --dry-run --at someday => `someday` is not a time
        2 run-due --dry-run --at '2026-06-01 25:00' => is not a time
        2 run-due --schedule nope => there is no schedule `nope`
        2 run-due --max-duration long => `long` is not a duration
        2 run-due --max-duration 5 => `5` is not a duration
        2 run-due --max-transfer lots => `lots` is not a size
        2 run-due --limit-rate fast => `fast` is not a rate
        2 run-due --limit-rate 25:00,1M => `25:00` is not a time of day
        2 run-due --shard 4/4 => of 4 shards the last one has the number 3
        2 run-due --shard 0/0 => there must be at least one shard
        2 run-due --shard half => write I/N such as 0/4
        2 run-due --shard auto/4 => neither `JOB_COMPLETION_INDEX` nor `SLURM_ARRAY_TASK_ID` is set
        2 run-due --trigger nobody => `nobody` is not one of timer, ci, manual
        2 run-due --wait=soon => `soon` is not a duration
        2 run-due --metrics-file => needs a value
        ",
    );
}
