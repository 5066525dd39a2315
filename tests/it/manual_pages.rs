//! The manual pages: well made, with all codes, variables and settings.

use std::fs;
#[cfg(unix)]
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::{Command, Stdio};

use hfdl::domain::outcome::ExitStatus;
use hfdl::domain::settings::SettingKey;
#[cfg(unix)]
use hfdl::manual::TOPICS;

use crate::manual::{first_column, literals, sources};
use crate::support::env::TestEnv;

/// Reports whether a program is there; in CI it must be.
#[cfg(unix)]
fn has_program(name: &str) -> bool {
    let found = Command::new(name)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    assert!(
        found.is_ok() || std::env::var_os("CI").is_none(),
        "{name} is not installed"
    );
    found.is_ok()
}

#[cfg(unix)]
fn is_topic(page: &Path) -> bool {
    page.extension().is_some_and(|section| section == "7")
}

#[test]
#[cfg(unix)]
fn manual_pages_are_well_made() {
    let env = TestEnv::new();
    env.line("man man1").succeeds().silently();
    let folder = env.root().join("work");
    let mut pages: Vec<PathBuf> = ["man1", "man7"]
        .iter()
        .flat_map(|section| fs::read_dir(folder.join(section)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    for topic in TOPICS {
        let page = folder.join(format!("man7/hfdl-{}.7", topic.name));
        assert!(pages.contains(&page), "{page:?}");
    }
    if has_program("groff") {
        for page in pages
            .iter()
            .filter(|page| page.ends_with("hfdl.1") || is_topic(page))
        {
            let mut groff = Command::new("groff");
            groff
                .args(["-ww", "-t", "-man", "-Tutf8", "-P-c"])
                .arg(page);
            let output = groff.stdin(Stdio::null()).output().unwrap();
            let complaints = String::from_utf8_lossy(&output.stderr);
            let on_paper = "table text block will not fit on one page";
            let new = (complaints.lines()).any(|line| !line.is_empty() && !line.contains(on_paper));
            assert!(output.status.success() && !new, "{page:?}: {complaints}");
        }
    }
    if has_program("groff") {
        // As `man` does on a terminal of 80 columns, without bold text.
        let mut groff = Command::new("groff");
        groff.args(["-t", "-man", "-Tutf8", "-P-cbou", "-rLL=78n"]);
        let output = groff.args(&pages).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let is_wide = |line: &&str| line.chars().count() > 80;
        let wide: Vec<&str> = text.lines().filter(is_wide).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert!(text.lines().count() > 3_000, "the pages are not shown");
    }
    if has_program("mandoc") {
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-Tlint", "-Wwarning"]).args(&pages);
        let output = mandoc.stdin(Stdio::null()).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stdout).into_owned();
        // A page without a date is the same in each build; clap_mangen breaks lines twice.
        let known = ["missing date", "skipping paragraph macro: br"];
        let new: Vec<&str> = (complaints.lines())
            .filter(|line| !known.iter().any(|known| line.contains(known)))
            .collect();
        assert!(new.is_empty(), "{new:#?}");
    }
}

#[test]
fn the_first_manual_page_has_all_codes_variables_and_settings() {
    let env = TestEnv::new();
    let page = env.line("man").succeeds().stdout().replace("\\-", "-");
    for title in [
        "SYNOPSIS",
        "EXAMPLES",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "SETTINGS",
        "SEE ALSO",
    ] {
        let plain = format!(".SH {title}\n");
        let quoted = format!(".SH \"{title}\"\n");
        assert!(page.contains(&plain) || page.contains(&quoted), "{title}");
    }
    for status in ExitStatus::ALL {
        let tag = format!("\\fB{} ({})\\fR", status.code(), status.word());
        assert!(page.contains(&tag), "{tag}");
    }
    for key in SettingKey::ALL {
        let tag = format!("\\fB{key}, {}\\fR", key.variable());
        assert!(page.contains(&tag), "{tag}");
    }
    let hooks = first_column("hooks", "Variables");
    let is_variable = |text: &str| {
        let starts = ["HF_", "HFDL_", "HUGGING"];
        let name = |c: char| c.is_ascii_uppercase() || c == '_';
        starts.iter().any(|start| text.starts_with(start))
            && text.chars().all(name)
            && !text.starts_with("HFDL_TEST_")
            && !text.ends_with('_')
            && !hooks.contains(&format!("`{text}`"))
    };
    for (path, code) in sources() {
        for name in literals(&code, is_variable) {
            assert!(
                page.contains(&name),
                "{path} reads {name}, which `hfdl man` does not name"
            );
        }
    }
    env.line("man pages").succeeds();
    let add = fs::read_to_string(env.root().join("work/pages/hfdl-models-add.1")).unwrap();
    let add = add.replace("\\-", "-");
    for usage in [
        "[\\fB--revision\\fR \\fIREV\\fR]",
        "[\\fB--include\\fR \\fIGLOB\\fR]...",
        "\\fIREPO\\fR...\n",
    ] {
        assert!(add.contains(usage), "{usage} in {add}");
    }
    assert!(env.root().join("work/pages/hfdl-tutorial.7").exists());
}
