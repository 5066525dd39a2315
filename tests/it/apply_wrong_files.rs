//! Wrong apply files: each is refused with a position and a reason, and
//! changes nothing.

use super::apply_env::{ApplyEnv, Ended};

/// The entries before each wrong file.
const BEFORE: &str = "version: 1
config: {keep.revisions: 3}
models:
  - {repo: org/there, tags: [llm]}
  - repo: org/other
schedules:
  - {name: there, daily: \"02:30\", tz: UTC, tags: [llm]}
";

struct Wrong {
    file: &'static str,
    /// Line and column.
    at: &'static str,
    piece: &'static str,
}

const fn wrong(file: &'static str, at: &'static str, piece: &'static str) -> Wrong {
    Wrong { file, at, piece }
}

const FILES: &[Wrong] = &[
    // Texts that are no documents.
    wrong("", "1:1", "the file is empty"),
    wrong(" \n\n", "1:1", "the file is empty"),
    wrong("# only a comment\n", "1:1", "the file is empty"),
    wrong("version: 1\nmodels: \0[]\n", "2:9", "NUL"),
    wrong(
        "version: 1\nmodels:\n\t- repo: a/b\n",
        "3:1",
        "spaces, not with tabs",
    ),
    wrong(
        "version: 1\nmodels: [{repo: a/b}\n",
        "3:1",
        "did not find expected",
    ),
    wrong(
        "version: 1\nmodels:\n - repo: \"a/b\n",
        "4:1",
        "end of stream",
    ),
    wrong(
        "version: 1\n---\nversion: 1\n",
        "3:1",
        "a second document begins here",
    ),
    wrong("version: 1\nmodels: *nowhere\n", "2:9", "unknown anchor"),
    wrong("version: 1\nmodels: !Ref []\n", "2:9", "tag"),
    wrong(
        "version: 1\nversion: 1\n",
        "2:1",
        "`version` stands here a second time",
    ),
    wrong(
        "version: 1\nmodels:\n  - {repo: a/b, include: [\"\"]}\n",
        "3:27",
        "an empty pattern matches no file",
    ),
    wrong(
        "version: 1\nmodels:\n  - {repo: a/b, to: /srv/x}\n  - {repo: a/c, to: /srv/x}\n",
        "3:5",
        "uses the directory",
    ),
    wrong("- version: 1\n", "1:1", "the file must be a mapping"),
    wrong("just words\n", "1:1", "the file must be a mapping"),
    wrong(
        "{\"version\": 1,\n \"models\": [}\n",
        "2:13",
        "expected value",
    ),
    wrong(
        "{\"version\": 1,\n\t\"models\": [\n\t\t{\"repo\": 5}]}",
        "3:12",
        "in quotes",
    ),
    wrong(
        "{\"version\": 1, \"models\": [], \"models\": []}",
        "1:30",
        "second time",
    ),
    wrong(
        "{\"version\": 1,\n \"modles\": []}",
        "2:2",
        "did you mean `models`?",
    ),
    // The frame.
    wrong("models: []\n", "1:1", "`version` is missing"),
    wrong("version: 2\n", "1:10", "`version: 1`"),
    wrong("version: '1'\n", "1:10", "`version: 1`"),
    wrong("version: 1\nmodel: []\n", "2:1", "did you mean `models`?"),
    wrong(
        "version: 1\nmodels:\nschedules: []\n",
        "2:1",
        "`models` has no value",
    ),
    wrong(
        "version: 1\nmodels: {repo: a/b}\n",
        "2:9",
        "`models` must be a list, not a mapping",
    ),
    wrong(
        "version: 1\nmodels: [org/name]\n",
        "2:10",
        "a model must be a mapping",
    ),
    wrong(
        "version: 1\nconfig: []\n",
        "2:9",
        "`config` must be a mapping",
    ),
    // Settings.
    wrong(
        "version: 1\nconfig:\n  download.conections: 4\n",
        "3:3",
        "did you mean `download.connections`?",
    ),
    wrong(
        "version: 1\nconfig:\n  download.connections: 0\n",
        "3:25",
        "from 1 to 256",
    ),
    wrong(
        "version: 1\nconfig:\n  download.connections: [4]\n",
        "3:25",
        "must be a text, not a list",
    ),
    wrong(
        "version: 1\nconfig:\n  disk.reserve: 1.5\n",
        "3:17",
        "write it in quotes",
    ),
    wrong(
        "version: 1\nconfig:\n  keep.logs: 30\n",
        "3:14",
        "write it in quotes",
    ),
    wrong(
        "version: 1\nconfig:\n  hub.endpoint: https://me:secret@hub\n",
        "3:17",
        "must not contain a user name or password",
    ),
    wrong(
        "version: 1\nconfig: {cache.dir: cache}\n",
        "2:21",
        "a relative path",
    ),
    wrong(
        "version: 1\nconfig:\n  keep.logs: 30d\n  keep.logs: 40d\n",
        "4:3",
        "second time",
    ),
    // Models.
    wrong(
        "version: 1\nmodels:\n  - name: x\n",
        "3:5",
        "`repo` is missing",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a//b\n",
        "3:11",
        "it has three parts",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: https://example.org/a/b\n",
        "3:11",
        "not a page of the Hub",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    revison: v1\n",
        "4:5",
        "did you mean `revision`?",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    revision: 1.0\n",
        "4:15",
        "write it in quotes",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    revision: true\n",
        "4:15",
        "write it in quotes",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    revision: 12345\n",
        "4:15",
        "write it in quotes",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    revision: a b\n",
        "4:15",
        "not allowed in a revision",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b@v1\n    revision: v2\n",
        "4:15",
        "`repo` names another revision: `v1`",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    include: [x, {y: z}]\n",
        "4:18",
        "must be a text, not a mapping",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    to: data/models\n",
        "4:9",
        "a relative path",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    tags: [good, 'not good']\n",
        "4:18",
        "not allowed",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    priority: 101\n",
        "4:15",
        "from 0 to 100",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    keep_revisions: 0\n",
        "4:21",
        "from 1",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    enabled: maybe\n",
        "4:14",
        "true or false",
    ),
    wrong(
        "version: 1\nmodels:\n  - repo: a/b\n    name: --force\n",
        "4:11",
        "read as an option",
    ),
    wrong(
        "version: 1\nmodels:\n  - {repo: a/b, name: x}\n  - {repo: c/d, name: x}\n",
        "4:5",
        "a second model `x`",
    ),
    wrong(
        "version: 1\nmodels:\n  - {repo: a/b, name: x}\n  - {repo: a/b, name: y}\n",
        "4:5",
        "the same place as `x`",
    ),
    wrong(
        "version: 1\nmodels:\n  - {repo: org/there, name: mine}\n",
        "3:5",
        "registered already, as the model `org/there`",
    ),
    // Schedules.
    wrong(
        "version: 1\nschedules:\n  - {every: 6h, all: true}\n",
        "3:5",
        "`name` is missing",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, all: true}\n",
        "3:5",
        "no time is given for the schedule",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h}\n",
        "3:5",
        "no models are selected",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, daily: \"02:30\", all: true}\n",
        "3:33",
        "`daily` stands beside `every`",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6x, all: true}\n",
        "3:22",
        "write a duration",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, tz: Mars/Base, all: true}\n",
        "3:30",
        "Europe/Berlin",
    ),
    wrong(
        "version: 1\nschedules:\n  - name: s\n    every: 6h\n    all: true\n    window:\n      - 22:00-07:00\n      - 25:00-26:00\n",
        "8:9",
        "25:00",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, catch_up: never, all: true}\n",
        "3:36",
        "once or skip",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, max_transfer: much, all: true}\n",
        "3:40",
        "size",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, limit_rate: 0, all: true}\n",
        "3:38",
        "write off for no limit",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, models: [org/other, org/thre]}\n",
        "3:46",
        "did you mean `org/there`?",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, model: org/other}\n",
        "3:26",
        "did you mean `models`?",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, all: true}\n  - {name: s, every: 7h, all: true}\n",
        "4:5",
        "a second schedule `s`",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, every: 6h, all: true}\n  - {name: t, cron: \"0 0 31 2 *\", all: true}\n",
        "4:5",
        "never runs",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, daily: \"02:30\", tz: UTC, tags: [llm]}\n",
        "3:5",
        "exactly the same as `there`",
    ),
    wrong(
        "version: 1\nschedules:\n  - {name: s, daily: \"02:30\", window: \"02:00-02:05\", all: true}\n",
        "3:5",
        "windows never allow it to run",
    ),
];

fn state(env: &ApplyEnv) -> (Vec<u8>, String) {
    (std::fs::read(env.database()).unwrap(), env.exports())
}

#[test]
fn a_wrong_file_is_refused_with_its_position_and_changes_nothing() {
    let env = ApplyEnv::new();
    env.applies(&[], BEFORE);
    let before = state(&env);
    let mut failures = String::new();
    let drive = if cfg!(windows) { "C:" } else { "" };
    for Wrong { file, at, piece } in FILES {
        let file = file.replace("/srv/x", &format!("{drive}/srv/x"));
        let ended = env.hfdl(&["apply", "-f", "-"], file.as_bytes());
        let is_located = ended.stderr.starts_with(&format!("error: <stdin>:{at}: "));
        if ended.code != 2
            || !is_located
            || !ended.stderr.contains(piece)
            || !ended.stdout.is_empty()
            || state(&env) != before
        {
            let Ended {
                code,
                stdout,
                stderr,
            } = ended;
            failures.push_str(&format!(
                "{file}\nwanted {at} {piece}\nexit {code}\n{stdout}{stderr}\n"
            ));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn files_that_are_no_utf_8_text_are_refused_where_they_stop_being_so() {
    let env = ApplyEnv::new();
    let refused = |bytes: &[u8]| {
        let ended = env.hfdl(&["apply", "-f", "-"], bytes);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        ended.stderr
    };
    let error = refused(b"version: 1\nmodels: \xff[]\n");
    assert!(
        error.contains("<stdin>:2:9: the file contains bytes that are no UTF-8"),
        "{error}"
    );
    let utf_16: Vec<u8> = "\u{feff}version: 1"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(refused(&utf_16).contains("save it as UTF-8"));
    let large = format!("version: 1\n#{}", "x".repeat(16 << 20));
    assert!(refused(large.as_bytes()).contains("larger than 16 MiB"));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 8].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let error = refused(bomb.as_bytes());
    assert!(
        error.contains("unfold") || error.contains("repetition"),
        "{error}"
    );
    assert!(!env.home().exists(), "a refused file makes no home");
}

#[test]
fn the_position_names_the_file_that_was_given() {
    let env = ApplyEnv::new();
    let path = env.home().with_file_name("my file.yaml");
    std::fs::write(&path, "version: 1\nmodel: []\n").unwrap();
    let ended = env.hfdl(&["apply", "-f", "my file.yaml"], b"");
    assert_eq!(ended.code, 2);
    assert_eq!(
        ended.stderr,
        "error: my file.yaml:2:1: the file has no key `model`\n next: did you mean `models`?\n"
    );
    let ended = env.hfdl(&["apply", "-f", "missing.yaml"], b"");
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: cannot read `missing.yaml`\ncause: "),
        "{}",
        ended.stderr
    );
}
