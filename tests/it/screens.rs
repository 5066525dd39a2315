//! Pictures of each screen in a real terminal, at four widths, in colour and without, with
//! Unicode and without; and rules that hold for all of them.
//!
//! After a wanted change `INSTA_UPDATE=always cargo test --test it screens` writes the
//! pictures anew; then the differences are to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use console::{measure_text_width, strip_ansi_codes};
use hfdl_test_hub::{Api, Fault, On, generated_bytes};

use crate::support::env::TestEnv;
use crate::support::programs::Cron;
use crate::support::terminal::Terminal;

const LONG: &str = "an-organisation-with-a-name/a-model-with-a-name-of-60-letter";
const WIDE: &str = "某某组织/名称很长的模型";
const FILE: &str = "weights/模型权重的文件名称很长.safetensors";
const LONG_SCHEDULE: &str = "a-schedule-with-a-name-of-sixty-characters-for-narrow-tables";

const WIDTHS: [u16; 4] = [60, 80, 100, 200];

/// Rows of the terminal: all screens of a width are on it at once.
const ROWS: u16 = 3000;

/// Screens of which each line is a title or a row of a table, at any width.
const TABLES: &[(&str, &str)] = &[
    ("models-list", "models list"),
    ("models-outdated", "models outdated"),
    ("schedules-list", "schedules list"),
    ("schedules-next", "schedules next"),
    ("tags-list", "tags list"),
    ("updates-list", "updates list --all"),
    ("views-list", "views list"),
    ("sessions-list", "sessions list"),
    ("runs-list", "runs list"),
    ("logs", "logs"),
    ("config-list", "config list"),
];

/// Screens with facts or sentences, which may fold.
const OTHERS: &[(&str, &str)] = &[
    ("status", "status"),
    ("models-show", "models show {LONG}"),
    ("models-show-failing", "models show acme/bad"),
    ("models-show-held", "models show acme/held"),
    ("schedules-show", "schedules show {SCHEDULE}"),
    ("tags-show", "tags show llm"),
    ("updates-show", "updates show acme/held"),
    ("sessions-show", "sessions show 1"),
    ("sessions-show-failing", "sessions show 3"),
    ("runs-show", "runs show {RUN}"),
    ("report", "report --since 2d"),
    ("prune", "prune --dry-run --keep-revisions 1"),
    ("doctor", "doctor"),
    ("help", "--help"),
    ("help-topics", "help topics"),
    ("help-topic", "help unattended"),
    ("help-command", "models add -h"),
];

/// Screens of commands that change the home, which is put back before each.
const CHANGES: &[(&str, &str)] = &[
    ("verify", "verify"),
    ("download", "download {LONG} acme/bad"),
    ("run-due", "run-due"),
];

/// A way in which a terminal is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    Coloured,
    Plain,
    /// Without colour, in the C locale.
    Ascii,
}

impl Look {
    const ALL: [Self; 3] = [Self::Coloured, Self::Plain, Self::Ascii];

    fn open(self, env: &TestEnv, rows: u16) -> Option<Terminal> {
        match self {
            Self::Coloured => env.unset("NO_COLOR"),
            Self::Plain | Self::Ascii => env.set("NO_COLOR", "1"),
        };
        let locale = if self == Self::Ascii { "C" } else { "C.UTF-8" };
        env.set("LC_ALL", locale);
        Terminal::open(env, WIDTHS[0], rows)
    }
}

/// The lines of one screen by look and width, with the escape sequences of their colours.
type Views = BTreeMap<(Look, u16), Vec<String>>;

fn publish(env: &TestEnv, repo: &str, size: usize) {
    let seed = repo.bytes().map(u64::from).sum();
    let commit = env.hub().repo(repo).commit("main");
    let commit = commit.file("config.json", format!("{{\"size\": {size}}}"));
    commit.lfs(FILE, generated_bytes(size, seed)).publish();
}

/// Models with long and wide names in two schedules, with a day of history: one of them is
/// fresh, one has a held update, one is gone upstream, and the bytes of one are damaged on
/// their way.
fn world() -> TestEnv {
    assert_eq!((LONG.len(), LONG_SCHEDULE.len()), (60, 60));
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").set("TZ", "Europe/Berlin");
    env.has_cron(Cron::Debian);
    for repo in [LONG, "acme/wide", "acme/held", "acme/gone", "acme/bad"] {
        publish(&env, repo, 400_000);
    }
    let bad = On::content(FILE).repo("acme/bad");
    env.hub().fault(bad, Fault::FlipByteAt(5));
    let add_wide = format!("models add acme/wide --name {WIDE} --tag llm --priority 90");
    let add_schedule = format!(
        "schedules add {LONG_SCHEDULE} --daily 02:30 --tz Europe/Berlin --all \
         --window 22:00-07:00 --window Sat,Sun@00:00-24:00"
    );
    for line in [
        &*format!("models add {LONG} --tag a-long-tag --tag llm --view dir=views/of-others"),
        &add_wide,
        "models add acme/held --policy approve",
        "models add acme/gone",
        "models add acme/bad",
        &add_schedule,
        "schedules add often --every 6h --tag llm --limit-daily 20M",
        "config set timer.every 1m",
        "start",
    ] {
        env.line(line).succeeds();
    }
    env.line("download --all");
    env.now("2026-03-02T01:31:00Z");
    publish(&env, LONG, 400_001);
    publish(&env, "acme/held", 400_002);
    env.hub().repo("acme/gone").delete();
    env.line("run-due --trigger timer");
    env.now("2026-03-02T08:59:00Z");
    env.line("run-due --trigger timer");
    env.now("2026-03-02T09:00:00Z");
    env
}

/// Writes the script that shows all screens, each with its exit code at the end.
fn write_script(env: &TestEnv) {
    let run = env
        .line("runs list --limit 1 -q")
        .stdout()
        .trim()
        .to_owned();
    let mut script = "exec 2>&1\ncp -a ../state ../saved\n".to_owned();
    let mut add = |before: &str, line: &str| {
        let line = line.replace("{LONG}", LONG).replace("{RUN}", &run);
        let line = line.replace("{SCHEDULE}", LONG_SCHEDULE);
        writeln!(script, "{before}hfdl {line}\necho @@ $?").unwrap();
    };
    for (_, line) in TABLES.iter().chain(OTHERS) {
        add("", line);
    }
    for (_, line) in CHANGES {
        let put_back =
            "rm -rf ../state; cp -a ../saved ../state\nHFDL_TEST_NOW=2026-03-03T09:00:00Z ";
        add(put_back, line);
    }
    script.push_str("rm -rf ../state; mv ../saved ../state\n");
    fs::write(env.root().join("screens.sh"), script).unwrap();
}

/// Runs the script in terminals of each look and width.
fn take_pictures(env: &TestEnv) -> Option<BTreeMap<&'static str, Views>> {
    let names: Vec<&str> = [TABLES, OTHERS, CHANGES]
        .concat()
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let mut all: BTreeMap<&str, Views> = BTreeMap::new();
    for look in Look::ALL {
        let terminal = look.open(env, ROWS)?;
        for width in WIDTHS {
            resize(&terminal, width, ROWS);
            terminal.run("sh ../screens.sh");
            let text = whole_lines(&terminal);
            let mut lines = text.lines().skip(1).map(|line| steady(env, line));
            for name in &names {
                let mut view = Vec::new();
                for line in lines.by_ref() {
                    let code = line.strip_prefix("@@ ").map(str::to_owned);
                    match code.as_deref() {
                        None => view.push(line),
                        Some("0") => break,
                        Some(code) => {
                            view.push(format!("exit code {code}"));
                            break;
                        }
                    }
                }
                let views = all.entry(name).or_default();
                views.insert((look, width), view);
            }
        }
    }
    Some(all)
}

/// Gives the terminal another size, and waits until the programs in it are told.
fn resize(terminal: &Terminal, columns: u16, rows: u16) {
    terminal.resize(columns, rows);
    let size = format!("{rows} {columns}");
    let is_told = (0..100).any(|_| terminal.run("stty size").contains(&size));
    assert!(is_told, "{}", terminal.screen());
}

/// Returns the lines on the screen. Each colour ends in its line, by one sequence.
fn whole_lines(terminal: &Terminal) -> String {
    let text = terminal.whole_lines();
    let text = text.replace("\u{1b}[39m\u{1b}[49m", "");
    text.replace("\n\u{1b}[0m", "\u{1b}[0m\n")
}

/// Replaces the random parts of paths and addresses by text of the same width, wherever a
/// path was cut.
fn steady(env: &TestEnv, line: &str) -> String {
    let root = env.root().to_string_lossy().into_owned();
    let (_, random) = root.rsplit_once(".tmp").unwrap();
    let mut line = line.trim_end().replace(random, &"x".repeat(random.len()));
    // The folder in which commands run has a general name.
    line = line.replace("work/", "here/");
    for n in (1..random.len()).rev() {
        let x = "x".repeat(n);
        for dots in ["…", "..."] {
            let (start, end) = (&random[..n], &random[random.len() - n..]);
            line = line.replace(&format!(".tmp{start}{dots}"), &format!(".tmp{x}{dots}"));
            line = line.replace(&format!("{dots}{end}/"), &format!("{dots}{x}/"));
        }
    }
    let endpoint = env.hub_endpoint().unwrap();
    let (_, port) = endpoint.rsplit_once(':').unwrap();
    let line = line.replace(port, &"0".repeat(port.len()));
    // The free space.
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    for index in 1..words.len() {
        if words[index].starts_with("GiB") || words[index].starts_with("TiB") {
            words[index - 1] = "00.0".to_owned();
        }
    }
    let line = words.join(" ");
    // The time and the rate of a download.
    match (line.find(" in "), line.find("/s, ")) {
        (Some(start), Some(end)) if start < end => {
            format!("{} in [TIME], [RATE]{}", &line[..start], &line[end..])
        }
        _ => line,
    }
}

/// Tells whether a line is a message, which the terminal may fold: its commands and paths
/// are copied as a whole.
fn is_message(line: &str) -> bool {
    let labels = [
        "error: ",
        "cause: ",
        "next: ",
        "note: ",
        "warning: ",
        "hint: ",
    ];
    labels
        .iter()
        .any(|label| line.trim_start().starts_with(label))
}

/// Tells whether a line fits, or has one word that has to stay whole: a path, a name, an
/// answer, a command in backticks, or a comment of the file that `init` shows.
fn fits(line: &str, width: u16) -> bool {
    let value = line.trim_start().rsplit("  ").next().unwrap_or_default();
    let value = value
        .trim_start_matches("page: ")
        .trim_start_matches("- repo: ");
    let is_word = value.split('`').step_by(2).all(|text| !text.contains(' '));
    let is_answer = line.contains("]: ") || line.ends_with(LONG) || line.starts_with("# ");
    measure_text_width(line) <= usize::from(width) || is_word || is_answer || is_message(line)
}

fn plain(view: &[String]) -> Vec<String> {
    let lines = view.iter().map(|line| strip_ansi_codes(line));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// Returns the words that are whole, but for numbers such as the free space.
fn words(view: &[String]) -> BTreeSet<&str> {
    let words = view.iter().flat_map(|line| line.split_whitespace());
    words
        .filter(|word| !word.contains('…') && !word.contains("..."))
        // A long command of the manual continues on the next line.
        .filter(|word| *word != "\\")
        .filter(|word| word.parse::<f64>().is_err())
        .collect()
}

/// Checks the rules for all screens.
fn keeps_the_rules(name: &str, views: &Views) {
    for ((look, width), view) in views {
        let text = view.join("\n");
        let place = format!("{name}, {look:?}, {width} columns");
        let lines = plain(view);
        // The list of commands and the examples of the manual need 80 columns.
        let may_be_wide = name.starts_with("help") && *width < 80;
        for line in &lines {
            let fits = may_be_wide || fits(line, *width);
            assert!(fits, "{place}: too wide: {line}\n{text}");
        }
        for pair in lines.windows(2) {
            let unit = pair[1].split_whitespace().next().unwrap_or_default();
            let unit = unit.trim_end_matches([',', ';', '.', ')']);
            let is_unit = ["B", "KiB", "MiB", "GiB", "KiB/s", "min", "h", "d"].contains(&unit);
            let ends_so = pair[0].ends_with(|c: char| c.is_ascii_digit());
            assert!(
                !(is_unit && ends_so),
                "{place}: a folded size or time\n{text}"
            );
        }
        let coloured = plain(&views[&(Look::Coloured, *width)]);
        match look {
            // The free space that doctor names differs from one time to the next.
            Look::Plain if name != "doctor" => {
                assert_eq!(coloured, *view, "{place}: only the colours differ")
            }
            Look::Ascii => {
                let is_name = |c: char| WIDE.contains(c) || FILE.contains(c);
                let own = text.chars().find(|c| !c.is_ascii() && !is_name(*c));
                assert_eq!(own, None, "{place}: {text}");
                assert!(!text.contains('\u{1b}'), "{place}: {text}");
            }
            Look::Coloured | Look::Plain => {}
        }
        let widest = plain(&views[&(*look, 200)]);
        let mut broken = words(&lines);
        broken.retain(|word| !words(&widest).contains(word) && *word != "\\");
        assert!(broken.is_empty(), "{place}: broken {broken:?}\n{text}");
        if TABLES.iter().any(|(table, _)| *table == name) {
            assert_eq!(lines.len(), widest.len(), "{place}: {text}");
        }
    }
}

/// Compares the views of a screen with its picture: those in colour, and those in the C
/// locale where they have other characters.
fn compare(name: &str, line: &str, views: &Views) {
    let mut picture = format!("$ hfdl {line}\n");
    for width in WIDTHS {
        let coloured = &views[&(Look::Coloured, width)];
        let ascii = &views[&(Look::Ascii, width)];
        write!(picture, "\n== {width} columns\n{}\n", coloured.join("\n")).unwrap();
        if *ascii != plain(coloured) {
            let ascii = ascii.join("\n");
            write!(picture, "\n== {width} columns, C locale\n{ascii}\n").unwrap();
        }
    }
    let picture = picture.replace('\u{1b}', "");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (variable, steady) in [
        // The ids of runs, whole or cut, and the sizes of their logs.
        (
            "019[0-9a-f]{5}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
            "01900000-0000-7000-8000-000000000000",
        ),
        (r"\b[0-9a-f]{12}\b", "000000000000"),
        (r"[0-9a-f-]+\.log\b", "[RUN].log"),
        (r"\d+\.\d+ KiB(  /| *\n)", "[SIZE]$1"),
        (
            r"\d+ on [\w.-]+, hfdl [\d.]+",
            "[PID] on [HOST], hfdl [VERSION]",
        ),
        // The minutes of the timer, and the free space.
        (
            r":\d\d,(\s+):\d\d,(\s+):\d\d(\s+)and(\s+):\d\d",
            ":00,${1}:15,${2}:30${3}and${4}:45",
        ),
        (r" *\d[\d.]+ [GT]iB", " [FREE]"),
    ] {
        settings.add_filter(variable, steady);
    }
    settings.bind(|| insta::assert_snapshot!(format!("screen-{name}"), picture));
}

#[test]
fn screens_look_right_at_each_width() {
    let env = world();
    write_script(&env);
    let Some(pictures) = take_pictures(&env) else {
        return;
    };
    for (name, line) in [TABLES, OTHERS, CHANGES].concat() {
        keeps_the_rules(name, &pictures[name]);
        // The findings of doctor are those of the machine.
        if name != "doctor" {
            compare(name, line, &pictures[name]);
        }
    }
}

/// Returns the lines on the screen from the first one that contains a text.
fn shown(env: &TestEnv, terminal: &Terminal, from: &str) -> Vec<String> {
    let text = whole_lines(terminal);
    let lines = text.lines().skip_while(|line| !line.contains(from));
    // The time since the last byte differs.
    let lines = lines.filter(|line| !line.contains("stalled: no byte"));
    let mut lines: Vec<String> = lines.map(|line| steady(env, line)).collect();
    while (lines.last()).is_some_and(|line| line.is_empty() || line == "$") {
        lines.pop();
    }
    // The files begin in any order.
    if let Some(first) = lines.iter().position(|line| line.starts_with("   25 %")) {
        lines[first..].sort();
    }
    lines
}

#[test]
fn the_progress_of_a_download_looks_right_at_each_width() {
    const MIB: u64 = 1 << 20;
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0")
        .set("HFDL_DOWNLOAD_CONNECTIONS", "4");
    let mut draft = env.hub().repo(LONG).commit("main");
    for n in 0..4 {
        let name = format!("model-with-a-name-of-a-good-length-0000{n}-of-00004.safetensors");
        draft = draft.lfs_generated(&name, 4 * MIB, n);
    }
    draft.publish();
    let line = format!("hfdl download {LONG}");
    // A quarter of each file is here already, and no more comes: there is no rate.
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(MIB));
    let Some(terminal) = Look::Plain.open(&env, 30) else {
        return;
    };
    terminal.type_line(&line);
    terminal.wait_for("25 %  4.00 MiB of 16.0 MiB");
    terminal.keys(&["C-c"]);
    terminal.wait_until("the end", |screen| screen.trim_end().ends_with("\n$"));
    env.hub().heal();
    env.hub().fault(On::api(Api::Cdn), Fault::StallAfter(0));

    let mut views = Views::new();
    for look in Look::ALL {
        let terminal = look.open(&env, 30).unwrap();
        terminal.type_line(&line);
        for width in WIDTHS {
            terminal.resize(width, 30);
            terminal.wait_until("the files at that width", |screen| {
                let files = screen.matches("of-00004.safetensors").count();
                let mut lines = screen.lines();
                let first = lines.find(|line| line.ends_with("  0 of 4 files"));
                let is_cut = first.is_some_and(|line| !line.contains(LONG));
                files == 4 && first.is_some() && is_cut == (width < 80)
            });
            views.insert((look, width), shown(&env, &terminal, "an-org"));
        }
        terminal.keys(&["C-c"]);
        terminal.wait_for("continues where this one stopped");
    }
    compare("download-progress", "download {LONG}", &views);
}

#[test]
fn the_dialogue_of_init_looks_right_at_each_width() {
    let env = TestEnv::new();
    env.has_cron(Cron::Debian).unset("HF_HUB_CACHE");
    // The question fits with any free space.
    let home = env.root().join("a").to_string_lossy().into_owned();
    fs::create_dir(&home).unwrap();
    env.set("HOME", &home);
    publish(&env, LONG, 400_000);
    let mut views = Views::new();
    for look in Look::ALL {
        let Some(terminal) = look.open(&env, 60) else {
            return;
        };
        for width in WIDTHS {
            resize(&terminal, width, 60);
            terminal.run("rm -f hfdl.yaml");
            terminal.type_line("hfdl init");
            for (question, answer) in [
                ("free]:", ""),
                ("Repository to keep", LONG),
                ("One more", ""),
                ("Time of the daily check", "03:15"),
                ("Fetch only within hours", "22:00-07:00"),
                ("Have crontab start", ""),
                ("apply it, and start the timer?", "n"),
            ] {
                let asked = question.replace(' ', "");
                terminal.wait_until(question, |screen| {
                    // A narrow terminal folds the questions.
                    let screen: String = screen.split_whitespace().collect();
                    screen.contains(&asked)
                });
                terminal.type_line(answer);
            }
            terminal.wait_for("nothing was changed");
            views.insert((look, width), shown(&env, &terminal, "hfdl init"));
        }
    }
    keeps_the_rules("init", &views);
    compare("init", "init", &views);
}
