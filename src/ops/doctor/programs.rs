//! What settings name outside of us: the programs of hooks, files for others.

use std::path::Path;

use super::abilities::try_out;
use super::finding::Finding;
use crate::domain::alert::HookEvent;
use crate::domain::settings::Settings;
use crate::sys::host::Host;
use crate::sys::paths;
use crate::sys::search_path::find_named;

/// Looks for the program of each hook, as a run would.
pub(super) fn hooks(host: &Host, settings: &Settings) -> Vec<Finding> {
    let check = |event: &HookEvent| {
        let key = event.setting();
        let program = settings.hook(key)?.program();
        Some(match find_named(host, program) {
            Some(path) => Finding::ok("hooks", format!("`{key}`: `{}`", path.display())),
            None => Finding::fail("hooks", format!("`{key}`: there is no program `{program}`"))
                .why(match program.contains('/') {
                    true => "it is missing, or this user may not run it".to_owned(),
                    false => format!("`PATH` is `{}`", host.variable("PATH").unwrap_or_default()),
                })
                .next(format!("write its whole path: `hfdl config set {key} …`")),
        })
    };
    HookEvent::ALL.iter().filter_map(check).collect()
}

/// Looks whether the files for others can be written.
pub(super) fn files(host: &Host, settings: &Settings) -> Vec<Finding> {
    let named = [
        ("metrics-file", settings.metrics_file()),
        ("status-file", settings.status_file()),
    ];
    let check = |(check, path): (&'static str, Option<&str>)| {
        let path = paths::expand(host, path?).ok()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Some(match folder.is_dir() {
            true => match try_out(folder) {
                Ok(_) => Finding::ok(check, format!("`{}`", path.display())),
                Err(err) => Finding::fail(
                    check,
                    format!("nothing can be written to `{}`", folder.display()),
                )
                .why(err.to_string())
                .next("make the directory writable for this user"),
            },
            false => Finding::fail(
                check,
                format!("there is no directory `{}`", folder.display()),
            )
            .next("make it, or name another file"),
        })
    };
    named.into_iter().filter_map(check).collect()
}
