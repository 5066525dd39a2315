//! The programs and files that settings name: hooks, metrics and status files.

use std::path::Path;

use super::abilities::try_out;
use super::check_result::CheckResult;
use crate::domain::alert::HookEvent;
use crate::domain::settings::{SettingKey, Settings};
use crate::sys::host::Host;
use crate::sys::paths;
use crate::sys::search_path::find_named;

/// Searches the programs of the hooks and of the gate in the way of a run.
pub(super) fn hooks(host: &Host, settings: &Settings) -> Vec<CheckResult> {
    let check = |key: SettingKey| {
        let program = settings.hook(key)?.program();
        Some(match find_named(host, program) {
            Some(path) => CheckResult::ok("hooks", format!("`{key}`: `{}`", path.display())),
            None => CheckResult::fail("hooks", format!("`{key}`: there is no program `{program}`"))
                .why(if program.contains('/') {
                    "it is missing, or this user may not run it".to_owned()
                } else {
                    format!("`PATH` is `{}`", host.variable("PATH").unwrap_or_default())
                })
                .next(format!("write its whole path: `hfdl config set {key} …`")),
        })
    };
    let keys = HookEvent::ALL.iter().map(|event| event.setting());
    let keys = keys.chain([SettingKey::HooksGate]);
    keys.filter_map(check).collect()
}

/// Checks that the metrics file and the status file can be written.
pub(super) fn files(host: &Host, settings: &Settings) -> Vec<CheckResult> {
    let named = [
        ("metrics-file", settings.metrics_file()),
        ("status-file", settings.status_file()),
    ];
    let check = |(check, path): (&'static str, Option<&str>)| {
        let path = paths::expand(host, path?).ok()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let what = format!("there is no directory `{}`", folder.display());
            return Some(CheckResult::fail(check, what).next("make it, or name another file"));
        }
        Some(match try_out(folder) {
            Ok(_) => CheckResult::ok(check, format!("`{}`", path.display())),
            Err(err) => CheckResult::fail(
                check,
                format!("nothing can be written to `{}`", folder.display()),
            )
            .why(err.to_string())
            .next("make the directory writable for this user"),
        })
    };
    named.into_iter().filter_map(check).collect()
}
