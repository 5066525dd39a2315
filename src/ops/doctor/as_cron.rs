//! The same checks in the environment of a timer: the variables of cron, and the
//! variables that `start --env` has put into the entry.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::ops::timer_record::TimerRecord;
use crate::store::Store;
use crate::sys::child::{self, Ended};
use crate::sys::host::Host;
use crate::sys::paths::{self, Home};
use crate::sys::program;

/// The environment of cron, which the other timers have at least.
const SHELL: &str = "/bin/sh";
const SEARCH_PATH: &str = "/usr/bin:/bin";

/// Variables without which no program starts on Windows.
const OF_THE_ACCOUNT: [&str; 3] = ["SystemRoot", "USERPROFILE", "LOCALAPPDATA"];

/// Starts this program once more as cron would, and returns its exit code.
pub fn examine_as_cron(host: &Host, home: &Home) -> Result<u8> {
    let program = program::path(host)?;
    let directory = paths::user_home(host)?;
    let arguments = arguments(&host.arguments()[1..], home);
    let mut environment = environment(host)?;
    environment.extend(carried(host, home));
    let ended = child::run_in_environment(&program, &arguments, &environment, &directory)
        .with_context(|| format!("cannot start `{}` again", program.display()))?;
    Ok(match ended {
        Ended::Code(code) => u8::try_from(code).unwrap_or(1),
        Ended::Signal(_) | Ended::TimedOut | Ended::Stopped => 1,
    })
}

/// Returns the arguments without `--as-cron`, and with the home as a timer's entry
/// names it.
fn arguments(given: &[OsString], home: &Home) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--home".into(), home.path().into()];
    let mut given = given.iter();
    while let Some(argument) = given.next() {
        let text = argument.to_string_lossy();
        match text.as_ref() {
            "--as-cron" => {}
            "--home" => {
                given.next();
            }
            text if text.starts_with("--home=") => {}
            _ => arguments.push(argument.clone()),
        }
    }
    arguments
}

fn environment(host: &Host) -> Result<Vec<(String, String)>> {
    let home = paths::user_home(host)?.to_string_lossy().into_owned();
    let name = host.variable("LOGNAME").or(host.variable("USER"));
    let mut variables = vec![
        ("HOME".to_owned(), home),
        ("SHELL".to_owned(), SHELL.to_owned()),
        ("PATH".to_owned(), SEARCH_PATH.to_owned()),
    ];
    variables.extend(name.map(|name| ("LOGNAME".to_owned(), name.to_owned())));
    if cfg!(windows) {
        let kept = OF_THE_ACCOUNT.iter();
        let kept =
            kept.filter_map(|name| Some(((*name).to_owned(), host.variable(name)?.to_owned())));
        variables.extend(kept);
    }
    let doors = host.test_variables();
    variables.extend(doors.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(variables)
}

/// Returns the variables that the installed entry sets. The checks themselves
/// report a database that cannot be read.
fn carried(host: &Host, home: &Home) -> Vec<(String, String)> {
    let path = home.database();
    if !path.exists() {
        return Vec::new();
    }
    let store = Store::open_read_only(&path, host.now()).ok();
    let record = store.and_then(|store| TimerRecord::load(&store).ok().flatten());
    record.map_or_else(Vec::new, |record| record.variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_named_once_and_the_rest_stays() {
        let host = Host::from_process();
        let home = Home::find(&host, Some(std::path::Path::new("/h"))).unwrap();
        let given = [
            "--home",
            "/x",
            "-v",
            "doctor",
            "--as-cron",
            "--fix",
            "--home=/y",
        ];
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let shown = |arguments: &[OsString]| {
            let words: Vec<String> = arguments
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            words.join(" ")
        };
        let expected = format!("--home {} -v doctor --fix", home.path().display());
        assert_eq!(shown(&arguments(&given, &home)), expected);
    }
}
