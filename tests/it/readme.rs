//! The README and the topics of the manual tell the truth: each `console` block is run,
//! and its output compared. `tests/it/manual.rs` compares their tables with the code.
//!
//! `HFDL_UPDATE_README=1 cargo test --test it readme` writes the output into the
//! pages; look at the difference before keeping it.

use hfdl::manual::TOPICS;

pub const README: &str = include_str!("../../README.md");
const CI: &str = include_str!("../../.ci/run");

/// One code block: the language behind the fence, the number of its first line, its lines.
pub struct Block<'a> {
    pub language: &'a str,
    first_line: usize,
    pub lines: Vec<&'a str>,
}

/// Returns the path of each page in the repository, and its text.
pub fn pages() -> Vec<(String, &'static str)> {
    let topics = TOPICS.iter();
    let topics = topics.map(|topic| (format!("src/manual/{}.md", topic.name), topic.text));
    let readme = ("README.md".to_owned(), README);
    [readme].into_iter().chain(topics).collect()
}

pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                open = Some(Block {
                    language,
                    first_line: index + 1,
                    lines: Vec::new(),
                });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.lines.push(line);
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    found
}

/// Returns the text below a heading, up to the next one of the same level.
pub fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no section `{heading}`"));
    rest.split_once("\n## ").map_or(rest, |(own, _)| own)
}

#[test]
fn setting_up_takes_two_commands_and_ci_runs_both() {
    let commands: Vec<&str> = blocks(section(README, "Set-up"))
        .iter()
        .flat_map(|block| block.lines.clone())
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        assert!(
            CI.lines().any(|line| line.trim_end().ends_with(command)),
            "`.ci/run` does not run `{command}`"
        );
    }
}

#[test]
fn commands_of_hfdl_stand_only_where_they_are_run() {
    for (path, text) in pages() {
        for block in blocks(text) {
            let shown = (block.lines.iter()).any(|line| line.trim_start().starts_with("hfdl "));
            assert!(
                block.language == "console" || block.language == "text" || !shown,
                "{path}:{}: `hfdl` in a block that no test runs",
                block.first_line
            );
        }
    }
}

/// The clock can be set only in builds with debug assertions, and the tour is
/// written down as a POSIX shell shows it.
#[cfg(all(unix, debug_assertions))]
mod tour {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::process::Command;

    use hfdl_test_hub::{TestHub, fill_with_demo};

    use super::{Block, blocks, pages};

    /// The places in the pages, where a test has its own.
    const STATE: &str = "/tmp/hfdl-tour";
    const HUB: &str = "http://127.0.0.1:48800";

    /// A folder and a hub of its own, in which the tour is made.
    struct Tour {
        folder: tempfile::TempDir,
        hub: TestHub,
        path: String,
    }

    impl Tour {
        fn new() -> Self {
            let hub = TestHub::start();
            fill_with_demo(&hub);
            let bin = Path::new(env!("CARGO_BIN_EXE_hfdl")).parent().unwrap();
            Self {
                folder: tempfile::tempdir().unwrap(),
                hub,
                path: format!("{}:/usr/bin:/bin", bin.display()),
            }
        }

        /// Runs a command line; returns its output, as the page shows it, and its exit code.
        fn run(&self, line: &str) -> (String, i32) {
            let output = Command::new("/bin/sh")
                .args(["-c", line])
                .current_dir(&self.folder)
                .env_clear()
                .env("PATH", &self.path)
                .env("HOME", self.folder.path())
                .env("HFDL_HOME", self.folder.path())
                .env("HF_HOME", self.folder.path().join("hf"))
                .env("HF_ENDPOINT", self.hub.endpoint())
                .env("HFDL_TEST_NOW", "2026-11-20T09:00:00Z")
                .env("TZ", "Europe/Berlin")
                // As on a terminal of this width.
                .env("COLUMNS", "80")
                .output()
                .unwrap();
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8(printed)
                .unwrap()
                .replace(self.folder.path().to_str().unwrap(), STATE)
                .replace(&self.hub.endpoint(), HUB);
            (printed, output.status.code().unwrap())
        }

        /// Runs the commands of a block and returns the block as it should be.
        fn walk(&self, block: &Block) -> String {
            let mut truth = String::new();
            let mut code = 0;
            for line in &block.lines {
                let Some(command) = line.strip_prefix("$ ") else {
                    continue;
                };
                writeln!(truth, "{line}").unwrap();
                if command == "echo $?" {
                    writeln!(truth, "{code}").unwrap();
                    code = 0;
                    continue;
                }
                assert_eq!(
                    code, 0,
                    "line {}: the command before `{command}` fails, and no `echo $?` says so",
                    block.first_line
                );
                let printed;
                (printed, code) = self.run(command);
                truth.push_str(&printed);
            }
            assert_eq!(code, 0, "line {}:\n{truth}", block.first_line);
            truth
        }
    }

    /// Runs the console blocks of a page; returns the page as it should be, and the
    /// number of commands.
    fn truth_of(page: &str) -> (String, usize) {
        let tour = Tour::new();
        let (mut truth, mut rest, mut n_commands) = (String::new(), page, 0);
        for block in blocks(page).iter().filter(|b| b.language == "console") {
            let shown = block.lines.iter().map(|line| format!("{line}\n"));
            let shown: String = shown.collect();
            let (before, after) = rest.split_once(&format!("```console\n{shown}")).unwrap();
            truth.push_str(before);
            truth.push_str("```console\n");
            truth.push_str(&tour.walk(block));
            rest = after;
            n_commands += block.lines.iter().filter(|l| l.starts_with("$ ")).count();
        }
        truth.push_str(rest);
        (truth, n_commands)
    }

    #[test]
    fn each_page_shows_the_output_of_the_program() {
        let mut n_commands = 0;
        for (path, page) in pages() {
            let (truth, n) = truth_of(page);
            n_commands += n;
            if truth == page {
                continue;
            }
            if std::env::var_os("HFDL_UPDATE_README").is_some() {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
                std::fs::write(path, &truth).unwrap();
            } else {
                let mut pairs = truth.lines().zip(page.lines()).enumerate();
                let (index, (expected, found)) = pairs
                    .find(|(_, (expected, found))| expected != found)
                    .unwrap_or((0, ("another number of lines", "")));
                panic!(
                    "{path}:{}: shown  {found}\n  but it is  {expected}\n(see the head of tests/it/readme.rs)",
                    index + 1
                );
            }
        }
        assert!(n_commands >= 20, "only {n_commands} commands were found");
    }
}
