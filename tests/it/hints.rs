//! Hints: one sentence that names the next command, at a terminal and nowhere else.

use crate::support::env::TestEnv;
use crate::support::programs::Cron;
use crate::support::terminal::Terminal;

/// A world with a terminal on whose lines every hint is one line.
fn world() -> Option<(TestEnv, Terminal)> {
    let env = TestEnv::new();
    env.set("NO_COLOR", "1");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file("a", b"a").publish();
    let terminal = Terminal::open(&env, 240, 30)?;
    Some((env, terminal))
}

/// Runs a line at a terminal, where it gives a hint, and with `-q`, with `--json` and into
/// a pipe, where it gives none. `{n}` is another number each time.
fn hints(env: &TestEnv, terminal: &Terminal, line: &str, hint: &str) {
    let numbered = |n: u32| line.replace("{n}", &n.to_string());
    let shown = terminal.run(&format!("hfdl {}", numbered(1)));
    assert!(shown.contains(hint), "`{line}` has no `{hint}`:\n{shown}");
    for (n, flag) in [(2, "-q"), (3, "--json")] {
        let shown = terminal.run(&format!("hfdl {} {flag}", numbered(n)));
        assert!(!shown.contains(hint), "`{line} {flag}`:\n{shown}");
    }
    let ran = env.line(&numbered(4));
    ran.succeeds();
    let told = [ran.stdout(), ran.stderr()].concat();
    assert!(!told.contains(hint), "{}", ran.report());
}

#[test]
fn each_empty_list_names_the_way_to_a_first_entry() {
    let Some((env, terminal)) = world() else {
        return;
    };
    for (line, hint) in [
        ("models list", "`hfdl init` sets everything up"),
        ("models outdated", "`hfdl models add org/name` keeps one"),
        (
            "schedules list",
            "`hfdl schedules add nightly --daily 02:30 --all` makes one",
        ),
        (
            "schedules next",
            "`hfdl schedules add nightly --daily 02:30 --all` makes one",
        ),
        (
            "tags list",
            "`hfdl models set NAME --tag TAG` gives a model one",
        ),
        (
            "views list",
            "`hfdl models set NAME --view KIND=DIR` adds one",
        ),
        (
            "updates list",
            "`hfdl updates list --all` shows earlier ones",
        ),
        (
            "updates list --all",
            "`hfdl models set NAME --policy approve`",
        ),
        (
            "sessions list",
            "`hfdl run-due` or `hfdl download NAME` makes one",
        ),
        (
            "runs list",
            "`hfdl run-due` or `hfdl download NAME` makes one",
        ),
        ("logs", "`hfdl run-due` or `hfdl download NAME` leaves one"),
        ("download --all", "`hfdl models add org/name` keeps one"),
        ("run-due", "nothing is set up yet: `hfdl init`"),
    ] {
        hints(&env, &terminal, line, hint);
    }
    assert!(!env.home().exists(), "looking makes no home");
    env.line("run-due").succeeds().silently();
}

#[test]
fn a_new_model_says_that_nothing_is_fetched_yet_and_when_it_will_be() {
    let Some((env, terminal)) = world() else {
        return;
    };
    let add = "models add acme/tiny --name m{n} --to ./m{n}";
    let by_hand = "nothing is fetched yet: a schedule keeps models current, such as `hfdl schedules add nightly --daily 02:30 --all`; `hfdl download m1` fetches it now";
    hints(&env, &terminal, add, by_hand);

    env.line("schedules add noon --daily 12:00 --tz Europe/Berlin --all")
        .succeeds();
    let add = "models add acme/tiny --name n{n} --to ./n{n}";
    let without_timer = "nothing is fetched yet: `noon` is due Sun 12:00 CET, in 2 h, but no timer is installed; `hfdl start` installs one; `hfdl download n1` fetches it now";
    hints(&env, &terminal, add, without_timer);

    env.has_cron(Cron::Debian);
    env.line("start").succeeds();
    let add = "models add acme/tiny --name o{n} --to ./o{n}";
    let planned = "nothing is fetched yet: `noon` starts Sun 12:00 CET, in 2 h; `hfdl download o1` fetches it now";
    hints(&env, &terminal, add, planned);
}

#[test]
fn a_new_schedule_names_the_timer_or_its_first_slot() {
    let Some((env, terminal)) = world() else {
        return;
    };
    env.line("models add acme/tiny").succeeds();
    let add = "schedules add a{n} --daily 1{n}:30 --all";
    let missing =
        "`a1` is due Sun 11:30 UTC, in 2 h, but no timer is installed; `hfdl start` installs one";
    hints(&env, &terminal, add, missing);
    // A tick by a line of the user's crontab is as good as one of ours.
    env.line("run-due --trigger ci").succeeds();
    let shown = terminal.run("hfdl schedules add b --daily 11:40 --all");
    assert!(
        shown.contains("next due Sun 11:40 UTC, in 2 h") && !shown.contains("timer"),
        "{shown}"
    );
    let add = "schedules add c{n} --every {n}h --all";
    hints(
        &env,
        &terminal,
        add,
        "`c1` is due and starts with the next `hfdl run-due`",
    );
    env.has_cron(Cron::Debian);
    env.line("start").succeeds();
    let add = "schedules add d{n} --every {n}d --all";
    hints(
        &env,
        &terminal,
        add,
        "`d1` is due and starts with the next tick, Sun 09:",
    );
}

#[test]
fn a_run_with_nothing_due_names_the_next_slot() {
    let Some((env, terminal)) = world() else {
        return;
    };
    env.line("models add acme/tiny").succeeds();
    let none = "nothing is due: no schedules; `hfdl schedules add";
    hints(&env, &terminal, "run-due", none);
    env.line("schedules add noon --daily 12:00 --all")
        .succeeds();
    let missing = "nothing is due: `noon` is due Sun 12:00 UTC, in 3 h, but no timer is installed";
    hints(&env, &terminal, "run-due", missing);
    env.line("run-due --trigger ci").succeeds();
    let planned = "nothing is due: `noon` starts Sun 12:00 UTC, in 3 h";
    hints(&env, &terminal, "run-due", planned);
    env.line("schedules disable noon").succeeds();
    let disabled = "no schedule is enabled; `hfdl schedules enable noon` enables one";
    hints(&env, &terminal, "run-due", disabled);
    hints(&env, &terminal, "schedules next", disabled);
    env.line("run-due").succeeds().silently();
    env.line("schedules list").prints("disabled");
    env.line("schedules next noon").prints("noon (disabled)");
    env.line("models disable acme/tiny").succeeds();
    let enable = "no model is enabled; `hfdl models enable NAME` enables one";
    hints(&env, &terminal, "download --all", enable);
}

#[test]
fn a_filter_that_fits_nothing_says_so_and_what_there_is() {
    let Some((env, terminal)) = world() else {
        return;
    };
    env.line("models add acme/tiny --no-check").succeeds();
    let none = "no model has a tag; `hfdl models set NAME --tag TAG` gives it one";
    hints(&env, &terminal, "models list --tag nope", none);
    env.line("models set acme/tiny --tag llm --tag small")
        .succeeds();
    let tags = "tags in use: llm, small";
    hints(&env, &terminal, "models list --tag nope", tags);
    env.line("models list --tag nope")
        .succeeds()
        .explains("no model has the tag `nope`");
    let states = "`hfdl models list` shows all with their states";
    hints(&env, &terminal, "models list --state damaged", states);
    env.line("models list --state damaged")
        .explains("no model is in that state");
    let sessions = "no session fits; `hfdl sessions list` shows the newest";
    hints(&env, &terminal, "sessions list --since 1h", sessions);
    env.line("download acme/tiny").succeeds();
    hints(
        &env,
        &terminal,
        "logs",
        "`hfdl logs --last` shows the newest",
    );
}
