//! The sections of `hfdl.1` that hold for all commands, from the tables of the code.

use crate::domain::outcome::ExitStatus;
use crate::domain::settings::SettingKey;
use crate::manual::roff::{section, tagged};
use crate::ops::notify::HOOK_VARIABLES;

/// The section of the other pages.
pub(super) const EXIT_STATUS_ELSEWHERE: &str =
    "All commands use the same codes;\n.BR hfdl (1)\nlists them.\n";

/// Variables of hfdl itself, beside those of the settings.
const OWN_VARIABLES: &[(&str, &str)] = &[
    (
        "HFDL_HOME",
        "Directory of the database, the logs and the lock, as --home.",
    ),
    ("HFDL_FORMAT", "Format of stdout, as --format."),
    (
        "HFDL_LOG_FORMAT",
        "Form of log lines and errors, as --log-format.",
    ),
    (
        "HFDL_LOG",
        "Filter of the log on stderr, such as debug or hfdl::hub=debug; takes the place of -v.",
    ),
    ("HFDL_YES", "Answers yes to confirmations, as --yes."),
    (
        "HFDL_<KEY>",
        "Value of a setting: its key in capitals with underscores, such as HFDL_DISK_RESERVE. SETTINGS lists all.",
    ),
];

/// Variables of the Hub's programs and of the system that hfdl honours.
const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("HF_ENDPOINT", "Base URL of the Hub or of a mirror."),
    (
        "HF_HOME",
        "Directory of the official client: cache, token, stored tokens.",
    ),
    (
        "HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE",
        "Directory of the Hub cache.",
    ),
    ("HF_TOKEN, HUGGING_FACE_HUB_TOKEN", "Access token."),
    ("HF_TOKEN_PATH", "File of the access token."),
    (
        "HF_OIDC_RESOURCE, HF_OIDC_ID_TOKEN",
        "Exchanged for an access token of short life, in CI.",
    ),
    (
        "HF_DEVICE_CODE_OAUTH_CLIENT_ID",
        "Client id with which a login in a browser is renewed.",
    ),
    (
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        "Sends no token unless one is named.",
    ),
    ("HF_HUB_OFFLINE", "Asks the Hub nothing."),
    (
        "HF_HUB_DISABLE_XET",
        "Does without Xet storage, as download.xet=off.",
    ),
    ("HF_HUB_DISABLE_SYMLINKS", "Makes snapshots of real files."),
    ("HF_HUB_DISABLE_PROGRESS_BARS", "Shows no progress."),
    (
        "HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT",
        "Seconds without an answer before a request fails.",
    ),
    (
        "HF_HUB_VERBOSITY, HF_DEBUG",
        "Level of the log on stderr where -v and -q are not given.",
    ),
    (
        "HF_HUB_USER_AGENT_ORIGIN",
        "Added to the user agent of requests.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "Proxies, also in small letters.",
    ),
    (
        "SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE",
        "File of the certificates that are trusted, in place of the system's.",
    ),
    ("NO_COLOR, CLICOLOR_FORCE, TERM", "Use of colours."),
    ("COLUMNS, LINES", "Size of the terminal."),
    (
        "TZ, TZDIR",
        "Time zone of the machine, and the zones' database.",
    ),
    (
        "XDG_DATA_HOME, XDG_CACHE_HOME",
        "Base directories on Linux.",
    ),
    (
        "SOURCE_DATE_EPOCH",
        "Time that is written into bills of materials.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "~/.local/share/hfdl/",
        "The home: --home or HFDL_HOME name another. On macOS ~/Library/Application Support/hfdl, on Windows %LOCALAPPDATA%\\hfdl.",
    ),
    (
        "HOME/hfdl.db",
        "The database: models, schedules, runs, sessions, settings.",
    ),
    (
        "HOME/run.lock",
        "The lock of a run. It needs no removal after a crash.",
    ),
    ("HOME/logs/", "One file for each run."),
    (
        "HOME/status.json",
        "The output of hfdl status --json as of the last run.",
    ),
    (
        "HOME/progress.json",
        "The progress of a run while it lasts, for hfdl status.",
    ),
    (
        "HOME/failed-tick",
        "The reason of the last tick that failed before its run.",
    ),
    (
        "~/.cache/huggingface/hub/",
        "The Hub cache, where models go unless they have a directory of their own.",
    ),
    (
        "~/.cache/huggingface/token",
        "The token that hf auth login writes. hfdl stores no token of its own.",
    ),
];

pub(super) fn exit_status() -> String {
    let mut text = section("EXIT STATUS");
    for status in ExitStatus::ALL {
        let tag = format!("{} ({})", status.code(), status.word());
        text.push_str(&tagged(&tag, &status.meaning().replace('`', "")));
    }
    text
}

pub(super) fn environment() -> String {
    let mut text = section("ENVIRONMENT");
    for (name, meaning) in OWN_VARIABLES.iter().chain(OTHER_VARIABLES) {
        text.push_str(&tagged(name, meaning));
    }
    text
}

/// Renders the variables that programs of `hooks.*` get.
pub(super) fn hooks() -> String {
    let mut text = section("HOOKS");
    text.push_str("Programs of the settings hooks.* get these variables;\n.BR hfdl\\-hooks (7)\nhas the rest.\n");
    for (name, meaning) in HOOK_VARIABLES {
        text.push_str(&tagged(name, &meaning.replace('`', "")));
    }
    text
}

pub(super) fn files() -> String {
    let mut text = section("FILES");
    for (path, meaning) in FILES {
        text.push_str(&tagged(path, meaning));
    }
    text
}

pub(super) fn settings() -> String {
    let mut text = section("SETTINGS");
    text.push_str(
        "A flag counts first, then the variable, then the value saved by\n.BR hfdl\\-config\\-set (1),\n\
         then the default.\n",
    );
    for key in SettingKey::ALL {
        let spec = key.spec();
        let default = match spec.default {
            Some(default) => format!(" (default: {default})"),
            None => String::new(),
        };
        let tag = format!("{key}, {}", key.variable());
        text.push_str(&tagged(
            &tag,
            &format!("{}{default}", spec.help.replace('`', "")),
        ));
    }
    text
}
