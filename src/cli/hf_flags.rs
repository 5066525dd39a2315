//! Flags of `hf download` on `hfdl download`.

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::settings::{SettingKey, Settings};
use crate::ops::places::{PlaceError, Places};
use crate::ops::sync::Target;
use crate::store::Store;
use crate::sys::paths;

#[derive(Debug, Args)]
pub struct HfFlags {
    /// A directory of plain files, as in `hf download`; the same as `--to DIR`
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    local_dir: Option<String>,

    /// The Hub cache, for this command only (default: cache.dir)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["to", "local_dir"])]
    cache_dir: Option<String>,

    /// Connections, and large files in progress, for this command only (default:
    /// download.connections and download.files)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    max_workers: Option<u32>,
}

impl HfFlags {
    /// Returns the directory as `--to` takes it, where the word `cache` is the Hub's cache.
    pub fn local_dir(&self) -> Option<String> {
        let dir = self.local_dir.as_ref()?;
        Some(if dir == "cache" {
            format!("./{dir}")
        } else {
            dir.clone()
        })
    }

    /// Returns the context with the settings that the flags stand for.
    pub fn apply(&self, context: &Context) -> Result<Context> {
        let mut context = context.clone();
        if let Some(dir) = &self.cache_dir {
            let path = paths::expand_home(&context.host, dir)?;
            let text = paths::text(&path)?;
            SettingKey::CacheDir.check(&text)?;
            context.flags.insert(SettingKey::CacheDir, text);
        }
        if let Some(workers) = self.max_workers {
            for key in [SettingKey::Connections, SettingKey::Files] {
                context.flags.insert(key, workers.to_string());
            }
        }
        Ok(context)
    }

    /// Refuses `--cache-dir` for a model that is published in another cache. A run would record
    /// a failure of the model.
    pub fn refuse_other_cache(
        &self,
        store: &Store,
        settings: &Settings,
        targets: &[Target],
    ) -> Result<()> {
        if self.cache_dir.is_none() {
            return Ok(());
        }
        let places = Places::load(store, settings)?;
        for target in targets {
            let model = target.model.as_ref().map(|(id, _)| *id);
            let checked = places.check(&target.destination, model);
            if let Err(error @ PlaceError::Elsewhere { .. }) = checked {
                let (cache, label) = (settings.cache_dir(), target.label());
                return Err(Complaint::usage(error.to_string())
                    .next(format!(
                        "leave `--cache-dir` out; to move all models to the other cache: \
                         `hfdl config set cache.dir '{cache}'`, then \
                         `hfdl download {label} --new-place`"
                    ))
                    .into());
            }
        }
        Ok(())
    }
}
