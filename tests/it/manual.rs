//! The manual: each topic can be shown everywhere, and names only things that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hfdl::domain::health::NoticeReason;
use hfdl::domain::settings::SettingKey;
use hfdl::json::schema_names;
use hfdl::manual::markdown::{Element, Inline};
use hfdl::manual::{TOPICS, Topic, terminal};

use crate::cron_examples::command_lines;
use crate::readme::{README, blocks, pages, section};
use crate::support::env::TestEnv;

/// Flags of other programs that topics name.
const FOREIGN_FLAGS: &[&str] = &[
    "--cache-dir",
    "--document-private-items",
    "--force-download",
    "--local-dir",
    "--max-age",
    "--max-workers",
    "--offline",
    "--token",
    "--uninstall",
    "--vfs-cache-mode",
];

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn topic(name: &str) -> &'static Topic {
    Topic::find(name).unwrap_or_else(|| panic!("there is no topic {name}"))
}

/// Returns all pieces of text of a topic, with those in tables and lists.
fn pieces(topic: &Topic) -> Vec<Inline> {
    let mut found = Vec::new();
    for block in topic.blocks().unwrap() {
        match block {
            Element::Heading { text, .. } | Element::Paragraph(text) => found.extend(text),
            Element::List { items, .. } => found.extend(items.into_iter().flatten()),
            Element::Table { titles, rows } => {
                found.extend(titles.into_iter().flatten());
                found.extend(rows.into_iter().flatten().flatten());
            }
            Element::Code { .. } => {}
        }
    }
    found
}

fn code_words(topic: &Topic) -> Vec<String> {
    let pieces = pieces(topic).into_iter();
    let code = pieces.filter_map(|piece| match piece {
        Inline::Code(code) => Some(code),
        _ => None,
    });
    code.collect()
}

/// Returns the source of the program, without its tests.
pub(crate) fn sources() -> Vec<(String, String)> {
    fn visit(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
                let name = path.strip_prefix(root()).unwrap().to_string_lossy();
                found.push((name.replace('\\', "/"), code));
            }
        }
    }
    let mut found = Vec::new();
    visit(&root().join("src"), &mut found);
    found
}

/// Returns the string literals of a source that fit; none of them has escapes.
pub(crate) fn literals(source: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.map(|line| format!("{line}\n")).collect();
    let pieces = code.split('"').map(str::to_owned);
    pieces.filter(|piece| fits(piece)).collect()
}

/// Returns the first column of the table below a heading.
pub(crate) fn first_column(name: &str, heading: &str) -> BTreeSet<String> {
    let rows = section(topic(name).text, heading).lines();
    let rows = rows.filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().trim().to_owned());
    cells.collect()
}

#[test]
fn every_event_of_hooks_is_described() {
    let events = SettingKey::ALL.iter().map(|key| key.as_str());
    let events = events.filter(|key| key.starts_with("hooks.") && !key.contains("timeout"));
    let events: BTreeSet<String> = events.map(|key| format!("`{key}`")).collect();
    assert_eq!(first_column("hooks", "Events"), events);
    let words = code_words(topic("hooks"));
    for reason in NoticeReason::ALL {
        assert!(words.contains(&reason.to_string()), "{reason}");
    }
}

#[test]
fn every_document_is_named() {
    let words = code_words(topic("json")).into_iter();
    let named: BTreeSet<String> = words
        .filter(|word| word.starts_with("hfdl.") && word.ends_with("/1"))
        .collect();
    // An export is not named in itself, and a line of the log is none of stdout.
    let written = schema_names().filter(|name| !["export", "log-line"].contains(name));
    let written: BTreeSet<String> = written.map(|name| format!("hfdl.{name}/1")).collect();
    assert_eq!(named, written);
}

#[test]
fn topics_can_be_listed_and_shown_at_every_width() {
    let env = TestEnv::new();
    let ran = env.line("help topics");
    let list = ran.succeeds().silently().stdout();
    assert_eq!(list.lines().count(), TOPICS.len());
    for topic in TOPICS {
        let title = topic.title();
        assert!(topic.text.starts_with("# "), "{}", topic.name);
        assert!(title.len() < 75, "{title}");
        assert!(list.contains(title), "{title}");
        let blocks = topic.blocks();
        let blocks = blocks.unwrap_or_else(|err| panic!("{}.md: {err}", topic.name));
        let shown = env.hfdl(["help", topic.name]);
        let expected = terminal::render(&blocks, 100, false);
        assert_eq!(shown.succeeds().silently().stdout(), expected);
        for columns in [60, 80, 100, 200] {
            for line in terminal::render(&blocks, columns, false).lines() {
                let fits = line.len() <= columns.min(100);
                assert!(fits, "{}: {columns}: {line}", topic.name);
            }
        }
    }
}

#[test]
fn a_wide_table_becomes_a_block_for_each_row_on_a_narrow_terminal() {
    let blocks = topic("metrics").blocks().unwrap();
    let wide = terminal::render(&blocks, 100, false);
    assert!(wide.contains("  `hfdl_build_info`                                "));
    let narrow = terminal::render(&blocks, 60, false);
    let block = "  `hfdl_build_info`\n      Type: gauge\n      Meaning: Constant 1, with the version that wrote this\n      file.\n";
    assert!(narrow.contains(block), "{narrow}");
}

#[test]
fn help_knows_topics_and_commands_and_suggests_the_nearest() {
    let env = TestEnv::new();
    let help = env.hfdl(["help", "verify"]);
    assert_eq!(help.succeeds().stdout(), env.line("verify --help").stdout());
    assert_eq!(
        env.line("help").succeeds().stdout(),
        env.line("--help").stdout()
    );
    env.line("help tutoral")
        .exits(2)
        .explains("did you mean `tutorial`?");
    env.line("help models ad")
        .exits(2)
        .explains("did you mean `hfdl models add`? `hfdl models --help` lists the commands");
    let coloured = env.hfdl(["help", "faq", "--color", "always"]);
    assert!(coloured.succeeds().stdout().contains("\u{1b}[1m"));
    let commands = env.line("-h").stdout().to_owned();
    for topic in TOPICS {
        let listed = format!("\n  {} ", topic.name);
        assert!(
            !commands.contains(&listed),
            "{} is a command, too",
            topic.name
        );
    }
}

#[test]
fn every_command_in_the_pages_is_understood() {
    let env = TestEnv::new();
    let listed = env.line("-h").succeeds().stdout().to_owned();
    let commands: Vec<String> = (listed.lines().filter(|line| line.starts_with("  ")))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    let mut found = BTreeSet::new();
    for (path, text) in pages() {
        let mut lines: Vec<String> = Vec::new();
        for block in blocks(text).iter().filter(|block| block.language == "text") {
            let lines_of_block = block.lines.iter().map(|line| {
                // Two spaces part a command from its explanation.
                let line = line.trim();
                line.split("  ").next().unwrap_or_default().to_owned()
            });
            lines.extend(lines_of_block);
        }
        // Every second piece between backticks outside of blocks is code.
        let prose = text.split("```").step_by(2);
        for part in prose {
            lines.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
        for line in lines {
            for words in command_lines(&line, &commands) {
                found.insert((path.clone(), words));
            }
        }
    }
    assert!(found.len() > 60, "{found:#?}");
    let mut refused = Vec::new();
    for words in found
        .iter()
        .map(|(_, words)| words)
        .collect::<BTreeSet<_>>()
    {
        let ran = env.hfdl(
            words
                .iter()
                .map(|word| example(word))
                .chain(["--help".to_owned()]),
        );
        if ran.code() != Some(0) {
            let places = found.iter().filter(|(_, other)| other == words);
            let places: Vec<&str> = places.map(|(path, _)| path.as_str()).collect();
            let why = ran.stderr().lines().next().unwrap_or_default().to_owned();
            refused.push(format!("{places:?}: {}: {why}", words.join(" ")));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Returns a word of a command line with a value in the place of a placeholder.
fn example(word: &str) -> String {
    match word.trim_matches('\'') {
        "COMMIT" => "0".repeat(40),
        "ID" => "1".to_owned(),
        word => word.to_owned(),
    }
}

#[test]
fn topics_name_only_flags_settings_and_variables_that_exist() {
    let env = TestEnv::new();
    env.line("man pages").succeeds();
    let pages = fs::read_dir(env.root().join("work/pages")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().path());
    let commands = pages.filter(|path| path.extension().is_some_and(|section| section == "1"));
    let commands: String = commands
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let commands = commands.replace("\\-", "-");
    let is_flag =
        |flag: &str| FOREIGN_FLAGS.contains(&flag) || commands.contains(&format!("\\fB{flag}\\fR"));
    let hooks = first_column("hooks", "Variables");
    let page = env.line("man").succeeds().stdout().replace("\\-", "-");
    let prefixes: BTreeSet<&str> = (SettingKey::ALL.iter())
        .filter_map(|key| Some(key.as_str().split_once('.')?.0))
        .collect();
    for topic in TOPICS {
        for code in code_words(topic) {
            let at = format!("`{code}` in {}.md", topic.name);
            for word in code.split([' ', '=', ',', '[']) {
                if word.starts_with("--") && word.len() > 2 {
                    assert!(is_flag(word), "{at}");
                }
            }
            let is_variable = code.starts_with("HFDL_") || code.starts_with("HF_");
            if is_variable {
                let name = code.split('=').next().unwrap();
                let is_hook = hooks.contains(&format!("`{name}`"));
                assert!(is_hook || name == "HFDL_" || page.contains(name), "{at}");
            }
            let is_key = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if let Some((prefix, rest)) = code.split_once('.')
                && prefixes.contains(prefix)
                && is_key(rest)
                && !["json", "file"].contains(&rest)
            {
                assert!(SettingKey::find(&code).is_ok(), "{at}");
            }
        }
    }
}

#[test]
fn links_lead_to_files_and_the_readme_lists_every_topic() {
    for topic in TOPICS {
        for piece in pieces(topic) {
            let Inline::Link { target, .. } = piece else {
                continue;
            };
            let path = root().join("src/manual").join(&target);
            assert!(
                target.starts_with("http") || path.exists(),
                "{}: {target}",
                topic.name
            );
        }
        let link = format!("(src/manual/{}.md)", topic.name);
        assert!(README.contains(&link), "README.md does not link to {link}");
    }
}

#[test]
fn the_picture_of_the_readme_is_text_in_both_themes_and_its_commands_exist() {
    let picture = fs::read_to_string(root().join(".github/session.svg")).unwrap();
    assert!(README.contains("(.github/session.svg)"));
    assert!(picture.contains("prefers-color-scheme: dark"));
    for foreign in ["<image", "<script", "href", "@font-face"] {
        assert!(!picture.contains(foreign), "{foreign}");
    }
    let env = TestEnv::new();
    let texts = picture.split("<text ").skip(1).filter_map(|line| {
        let spans = line
            .split("</tspan>")
            .filter_map(|span| span.rsplit('>').next());
        let text = spans.collect::<Vec<_>>().join(" ");
        Some(text.strip_prefix("$ ")?.replace("&#x27;", "'"))
    });
    let commands: Vec<String> = texts.collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let words = command.split_whitespace().skip(1).chain(["--help"]);
        env.hfdl(words.map(|word| word.trim_matches('\'')))
            .succeeds();
    }
}
