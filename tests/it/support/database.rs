//! Queries on the database of a test, and changes that no command makes.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::env::TestEnv;

/// Returns the rows of a query as text, cells joined by ` | `; NULL is `-`.
pub fn ask(env: &TestEnv, sql: &str) -> Vec<String> {
    ask_file(&env.database(), sql)
}

/// As `ask`, of the database of another home.
pub fn ask_file(path: &Path, sql: &str) -> Vec<String> {
    let connection = open(path);
    let mut statement = connection.prepare(sql).unwrap();
    let n_columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells: Vec<String> = (0..n_columns)
            .map(|column| match row.get(column).unwrap() {
                Value::Null => "-".to_owned(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                Value::Text(text) => text,
                Value::Blob(bytes) => format!("{bytes:?}"),
            })
            .collect();
        Ok(cells.join(" | "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Returns the only cell of the only row.
pub fn cell(env: &TestEnv, sql: &str) -> String {
    let mut rows = ask(env, sql);
    assert_eq!(rows.len(), 1, "{sql}");
    rows.remove(0)
}

/// Returns the only cell of the only row, a number.
pub fn number(env: &TestEnv, sql: &str) -> i64 {
    cell(env, sql).parse().unwrap()
}

/// Runs statements, for states that no command brings about.
pub fn change(env: &TestEnv, sql: &str) {
    open(&env.database()).execute_batch(sql).unwrap();
}

/// Adds models and overwrites all pages but the first two: opening finds no damage.
pub fn damage_behind_the_first_pages(env: &TestEnv) {
    for number in 0..60 {
        let name = "x".repeat(80);
        let line = format!("models add acme/{name}{number} --no-check");
        env.line(&line).succeeds();
    }
    let mut bytes = fs::read(env.database()).unwrap();
    bytes[4096 * 2..].fill(0xaa);
    fs::write(env.database(), &bytes).unwrap();
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    let patience = std::time::Duration::from_secs(10);
    connection.busy_timeout(patience).unwrap();
    connection
}
