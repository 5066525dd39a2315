//! Paths: the home directory of hfdl, the Hub's cache and token.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use etcetera::BaseStrategy;
use thiserror::Error;

use super::host::Host;

/// The state directory of hfdl and the paths in it.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

/// The state directory cannot be placed.
#[derive(Debug, thiserror::Error)]
#[error("cannot place the state directory: no home directory is known")]
pub struct UnknownUserHome;

impl Home {
    /// Uses the requested directory, or the platform's data directory.
    pub fn find(host: &Host, requested: Option<&Path>) -> Result<Self> {
        if let Some(path) = requested {
            return Ok(Self(absolute(host, path)?));
        }
        #[cfg(windows)]
        let base = host.variable("LOCALAPPDATA").map(PathBuf::from);
        #[cfg(target_os = "macos")]
        let base = user_home(host)
            .ok()
            .map(|home| home.join("Library/Application Support"));
        #[cfg(not(any(windows, target_os = "macos")))]
        let base = host
            .variable("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| user_home(host).ok().map(|home| home.join(".local/share")));
        let base = base.ok_or(UnknownUserHome)?;
        Ok(Self(base.join("hfdl")))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("hfdl.db")
    }

    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("run.lock")
    }

    /// Returns incomplete copies of the database that a killed process left. Recent
    /// ones are skipped: a process that holds no lock may still be writing them.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        const UNFINISHED: [&str; 2] = ["hfdl.db.new-", "hfdl.db.copy-"];
        const YOUNG_SECONDS: u64 = 3_600;
        let is_left = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let age = path
                .symlink_metadata()
                .and_then(|found| found.modified())
                .ok()
                .and_then(|at| at.elapsed().ok());
            UNFINISHED.iter().any(|start| name.starts_with(start))
                && age.is_some_and(|age| age.as_secs() >= YOUNG_SECONDS)
        };
        let entries = std::fs::read_dir(&self.0).into_iter().flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(is_left).collect()
    }

    /// Returns the file in which each run leaves the output of `hfdl status`.
    pub fn status_file(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// Returns the file that records a tick which failed before its run.
    pub fn failed_tick(&self) -> PathBuf {
        self.0.join("failed-tick")
    }
}

/// Returns the user's home directory.
pub fn user_home(host: &Host) -> Result<PathBuf> {
    if let Some(home) = host.variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" }) {
        return Ok(PathBuf::from(home));
    }
    etcetera::choose_base_strategy()
        .map(|strategy| strategy.home_dir().to_path_buf())
        .map_err(|err| anyhow!("cannot find the home directory: {err}"))
}

/// Makes a path absolute without accessing the disk, so that links stay as typed.
pub fn absolute(host: &Host, path: &Path) -> Result<PathBuf> {
    let path = if path.is_absolute() {
        path.to_path_buf()
    } else {
        host.current_dir()?.join(path)
    };
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            // `a/..` is kept: if `a` is a link, only the system can resolve it.
            other => clean.push(other),
        }
    }
    Ok(clean)
}

/// Resolves the links in the existing part of a path, so that two spellings of one
/// location become equal even before it exists.
pub fn resolved(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(real) = existing.canonicalize() {
            return missing.iter().rev().fold(real, |at, name| at.join(name));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                existing = parent;
            }
            _ => return path.to_path_buf(),
        }
    }
}

/// Resolves all links and `..` of a path, also if its end does not exist, so that
/// two spellings of one location become equal.
pub fn real_place(path: &Path) -> PathBuf {
    resolve_links(path, 40)
}

fn resolve_links(path: &Path, links_left: u32) -> PathBuf {
    let mut at = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            // Correct because `at` contains no link any more.
            at.pop();
            continue;
        }
        let folder = at.clone();
        at.push(part);
        if let Ok(real) = at.canonicalize() {
            at = real;
        } else if let Ok(target) = std::fs::read_link(&at)
            && links_left > 0
        {
            // A dangling link.
            at = resolve_links(&folder.join(target), links_left - 1);
        }
    }
    at
}

/// Returns `$HF_HOME`, by default `~/.cache/huggingface` or its XDG form.
pub fn hugging_face_home(host: &Host) -> Result<PathBuf> {
    if let Some(path) = host.variable("HF_HOME") {
        return expand(host, path);
    }
    if let Some(base) = host.variable("XDG_CACHE_HOME") {
        return Ok(expand(host, base)?.join("huggingface"));
    }
    Ok(user_home(host)?.join(".cache").join("huggingface"))
}

/// Returns the Hub cache set in the environment, and the variable's name.
pub fn hub_cache_from_environment(host: &Host) -> Result<Option<(PathBuf, &'static str)>> {
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
        if let Some(path) = host.variable(name) {
            return Ok(Some((expand(host, path)?, name)));
        }
    }
    if host.variable("HF_HOME").is_some() {
        return Ok(Some((hugging_face_home(host)?.join("hub"), "HF_HOME")));
    }
    Ok(None)
}

/// Returns a path as text, as the database and the settings store it.
pub fn text(path: &Path) -> Result<String, PathNotUtf8> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| PathNotUtf8(path.to_owned()))
}

/// A path that cannot be stored as text.
#[derive(Debug, Error)]
#[error("the path `{}` holds bytes that are not UTF-8", .0.display())]
pub struct PathNotUtf8(PathBuf);

/// Expands `~` and `$NAME` as the official client does.
pub fn expand(host: &Host, text: &str) -> Result<PathBuf> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let behind = &rest[dollar + 1..];
        let braced = behind
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let word_end = behind
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(behind.len());
        let (name, tail, literal) = match braced {
            Some((name, tail)) => (name, tail, &rest[dollar..rest.len() - tail.len()]),
            None => (
                &behind[..word_end],
                &behind[word_end..],
                &rest[dollar..dollar + 1 + word_end],
            ),
        };
        // An unknown variable stays unexpanded, as in Python's `expandvars`.
        expanded.push_str(
            host.variable(name)
                .filter(|_| !name.is_empty())
                .unwrap_or(literal),
        );
        rest = tail;
    }
    expanded.push_str(rest);
    expand_home(host, &expanded)
}

/// Expands a leading `~`; a shell leaves it in `--to=~/models`.
pub fn expand_home(host: &Host, text: &str) -> Result<PathBuf> {
    let path = match text.strip_prefix('~') {
        Some("") => user_home(host)?,
        Some(tail) if tail.starts_with(['/', '\\']) => user_home(host)?.join(&tail[1..]),
        _ => PathBuf::from(text),
    };
    absolute(host, &path)
}
