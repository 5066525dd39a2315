//! Screens of a real terminal: a row of a table is one line at any width.

use crate::support::env::TestEnv;
use crate::support::terminal::Terminal;

#[test]
fn a_long_name_is_cut_in_the_middle_and_a_hint_follows_an_empty_list() {
    let env = TestEnv::new();
    let Some(terminal) = Terminal::open(&env, 60, 24) else {
        return;
    };
    let empty = terminal.run("hfdl models list");
    assert!(
        empty.contains("`hfdl models add org/name` keeps one"),
        "{empty}"
    );
    let name = "organisation/a-model-with-a-long-name-of-fifty-letters";
    let add = format!("models add {name} --tag a-tag-with-a-long-name --no-check");
    env.line(&add).succeeds();
    terminal.resize(60, 30);
    let listed = terminal.run("hfdl models list");
    let row = listed.lines().find(|line| line.starts_with("organisation"));
    let row = row.unwrap_or_else(|| panic!("{listed}"));
    assert!(
        row.contains('…') && row.contains("never-downloaded"),
        "{listed}"
    );
    assert!(row.chars().count() <= 60, "{listed}");
}
