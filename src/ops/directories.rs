//! Checks of directories for plain files: refused places, and two names of one place.
//!
//! Links are resolved in the part of a path that exists, because the place counts and
//! not its spelling.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::login::token_path;
use crate::cache::LocalDir;
use crate::domain::model::{Destination, Model};
use crate::domain::repo::Repo;
use crate::sys::host::Host;
use crate::sys::paths::{self, Home, real_place};

/// Places with other files than models, where a directory of plain files is refused.
#[derive(Clone, Debug, Default)]
pub struct Reserved {
    /// The home of Hugging Face programs, the Hub's cache, and the home of hfdl.
    folders: Vec<(PathBuf, &'static str)>,
    token: Option<PathBuf>,
}

impl Reserved {
    /// Finds these places. The default home counts even if a variable names another one,
    /// because a timer may lack the variable.
    pub fn find(host: &Host, home: &Home, cache_dir: &Path) -> Result<Self> {
        const HOME: &str = "the home of Hugging Face programs (HF_HOME)";
        let mut folders = vec![(real_place(&paths::hugging_face_home(host)?), HOME)];
        if let Ok(user) = paths::user_home(host) {
            folders.push((real_place(&user.join(".cache/huggingface")), HOME));
        }
        if !cache_dir.as_os_str().is_empty() {
            folders.push((real_place(cache_dir), "the Hub's cache"));
        }
        folders.push((real_place(home.path()), "the home of hfdl (HFDL_HOME)"));
        let token = token_path(host).ok().map(|path| real_place(&path));
        Ok(Self { folders, token })
    }

    /// Returns the reason why a directory is refused, if there is one.
    pub fn objection(&self, dir: &Path) -> Option<String> {
        let dir = real_place(dir);
        let records = real_place(&dir.join(LocalDir::RECORDS));
        for (folder, name) in &self.folders {
            if is_below(&dir, folder) {
                return Some(format!("it lies inside {name}"));
            }
            if is_below(&records, folder) || is_below(folder, &records) {
                return Some(format!(
                    "its folder of records, `{}`, would be in the way of {name}",
                    records.display()
                ));
            }
        }
        let holds_token = |token: &PathBuf| is_below(token, &records);
        self.token
            .as_ref()
            .filter(|it| holds_token(it))
            .map(|token| {
                format!(
                    "its folder of records would hold the access token, `{}`",
                    token.display()
                )
            })
    }
}

/// Tells whether two names stand for one directory.
pub fn is_same_place(a: &Path, b: &Path) -> bool {
    a == b || fold(&real_place(a)) == fold(&real_place(b))
}

/// Returns the model of another repository that uses a directory, under any of its names.
pub fn used_by_another<'m>(models: &'m [Model], repo: &Repo, dir: &Path) -> Option<&'m Model> {
    models.iter().find(|model| match &model.spec.destination {
        Destination::Directory(used) => model.spec.repo != *repo && is_same_place(used, dir),
        Destination::Cache => false,
    })
}

fn is_below(path: &Path, folder: &Path) -> bool {
    fold(path).starts_with(fold(folder))
}

/// Ignores the case of letters where file systems usually do.
fn fold(path: &Path) -> PathBuf {
    if cfg!(any(windows, target_os = "macos")) {
        path.to_string_lossy().to_lowercase().into()
    } else {
        path.to_path_buf()
    }
}
