//! `hfdl config`

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use crate::domain::outcome::ExitStatus;
use crate::domain::schedule::RateTable;
use crate::domain::settings::{SettingKey, SettingSource, Settings, ValueKind};
use crate::json::{SettingView, document};
use crate::ops::schedules::warnings_about_tick;
use crate::store::Store;
use crate::sys::paths;
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// Show and change settings
///
/// Each setting is found in this order: flag (`--set KEY=VALUE`), environment, saved value, default.
/// `HF_HUB_DOWNLOAD_TIMEOUT` replaces the default of `download.stall_after` for silent connections.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl config list
  hfdl config set download.connections 32
  hfdl config set hooks.on_update '[\"systemctl\", \"--user\", \"restart\", \"vllm\"]'
  hfdl config set download.limit_rate \"08:00,512K 19:00,10M 23:00,off\"
  hfdl config unset download.connections")]
pub struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// List all settings with their values
    #[command(visible_alias = "ls")]
    #[command(after_long_help = "Examples:
  hfdl config list
  hfdl config list --origin")]
    List {
        /// Show where each value came from and what it is for
        #[arg(long)]
        origin: bool,
    },
    /// Print the value of a setting
    #[command(after_long_help = "Example:
  hfdl config get cache.dir")]
    Get {
        /// The setting, such as download.connections
        key: String,
    },
    /// Save a value
    ///
    /// `hfdl config list --origin` shows all keys with their values and purposes.
    #[command(after_long_help = "Example:
  hfdl config set download.limit_rate 10M")]
    Set {
        /// The setting, such as download.connections
        key: String,
        /// The value, such as 32
        value: String,
    },
    /// Remove a saved value, so that the default applies again
    #[command(after_long_help = "Example:
  hfdl config unset download.limit_rate")]
    Unset {
        /// The setting, such as download.connections
        key: String,
    },
    /// Print the path of the database, where settings are saved
    #[command(after_long_help = "Example:
  sqlite3 \"$(hfdl config path)\" .schema")]
    Path,
}

impl Config {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            ConfigCommand::List { origin } => list(context, origin),
            ConfigCommand::Get { key } => get(context, &key),
            ConfigCommand::Set { key, value } => set(context, &key, &value),
            ConfigCommand::Unset { key } => unset(context, &key),
            ConfigCommand::Path => path(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}

fn list(context: &Context, origin: bool) -> Result<()> {
    let store = context.existing_store()?;
    let settings = context.settings(store.as_ref())?;
    let views: Vec<SettingView> = SettingKey::ALL
        .iter()
        .map(|key| SettingView::new(*key, &settings))
        .collect();
    context.out.result(
        |out| {
            if origin {
                return origins_text(out, &settings, &views);
            }
            let rows = views.iter().map(|view| {
                let value = text::or_nothing(view.value.as_ref());
                vec![view.key.to_owned(), value]
            });
            let columns = [Column::kept("SETTING"), Column::name("VALUE")];
            table::render(out, &columns, rows.collect())
        },
        || document("hfdl.config/1", json!({ "settings": views })),
    )
}

/// Renders settings with their origin and description. On a terminal the description
/// stands below its setting, because it is longer than a column.
fn origins_text(out: &Output, settings: &Settings, views: &[SettingView]) -> String {
    let from = |key: &SettingKey| {
        let found = settings.get(*key);
        found.map_or(&SettingSource::Default, |(_, origin)| origin)
    };
    let settings = SettingKey::ALL.iter().zip(views);
    let rows = settings.map(|(key, view)| {
        let value = text::or_nothing(view.value.as_ref());
        [
            key.to_string(),
            value,
            from(key).to_string(),
            view.help.to_owned(),
        ]
    });
    let Some(width) = out.width else {
        let columns = ["SETTING", "VALUE", "FROM", "WHAT IT IS"].map(Column::kept);
        return table::render(out, &columns, rows.map(Vec::from).collect());
    };
    let room = usize::from(width).saturating_sub(4);
    let entries = rows.map(|[key, value, from, help]| {
        let value = text::clean(&format!("{key} = {value}"));
        let help = text::folded(&format!("{from}: {help}"), room, 0);
        let lines = text::folded(&value, room, 0).into_iter().chain(help);
        lines.collect::<Vec<String>>().join("\n    ")
    });
    entries.collect::<Vec<String>>().join("\n")
}

fn get(context: &Context, key: &str) -> Result<()> {
    let key = SettingKey::find(key)?;
    let store = context.existing_store()?;
    let settings = context.settings(store.as_ref())?;
    let mut view = SettingView::new(key, &settings);
    // A single requested value is not masked.
    view.value = settings.get(key).map(|(value, _)| value.to_string());
    context.out.result(
        |_| format!("{}\n", view.value.as_deref().unwrap_or_default()),
        || document("hfdl.setting/1", &view),
    )
}

fn set(context: &Context, key: &str, value: &str) -> Result<()> {
    let key = SettingKey::find(key)?;
    let mut value = key.check(value)?.to_string();
    let is_path = matches!(key.spec().kind, ValueKind::Path | ValueKind::File);
    if is_path && !key.is_off(&value) {
        // A relative path would depend on the current directory of each caller.
        value = paths::text(&paths::expand(&context.host, &value)?)?;
    }
    let store = context.store()?;
    store.set_setting(key.as_str(), &value, context.now())?;
    let value = key.shown(&value);
    let mut warnings = impossible_schedules(context, &store, key)?;
    if key == SettingKey::LimitRate {
        warnings.extend(
            value
                .parse()
                .ok()
                .and_then(|table: RateTable| table.warning()),
        );
    }
    context.out.done(
        || format!("{key} = {value}"),
        || {
            document(
                "hfdl.setting-change/1",
                json!({ "key": key.as_str(), "value": value, "warnings": warnings }),
            )
        },
    )?;
    warnings.iter().for_each(|warning| context.warn(warning));
    Ok(())
}

/// Returns warnings about schedules that a period of the timer makes impossible.
fn impossible_schedules(context: &Context, store: &Store, key: SettingKey) -> Result<Vec<String>> {
    if key != SettingKey::TimerEvery {
        return Ok(Vec::new());
    }
    let tick = context.settings(Some(store))?.timer_every();
    warnings_about_tick(store, tick, context.now())
}

fn unset(context: &Context, key: &str) -> Result<()> {
    // A saved key of a newer version can be removed, although this version does not know it.
    let mut warnings = Vec::new();
    let name = match context.existing_store()? {
        Some(store) if store.setting(key)?.is_some() => {
            store.unset_setting(key)?;
            if let Ok(key) = SettingKey::find(key) {
                warnings = impossible_schedules(context, &store, key)?;
            }
            key.to_owned()
        }
        _ => SettingKey::find(key)?.to_string(),
    };
    context.out.done(
        || format!("{name} is no longer saved"),
        || {
            document(
                "hfdl.setting-change/1",
                json!({ "key": name, "value": null, "warnings": warnings }),
            )
        },
    )?;
    warnings.iter().for_each(|warning| context.warn(warning));
    Ok(())
}

fn path(context: &Context) -> Result<()> {
    let path = context.home.database();
    context.out.result(
        |_| format!("{}\n", path.display()),
        || document("hfdl.path/1", json!({ "path": path.display().to_string() })),
    )
}
