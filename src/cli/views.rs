//! `hfdl views`

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use crate::domain::model::ModelId;
use crate::domain::outcome::ExitStatus;
use crate::domain::settings::Settings;
use crate::domain::units::ByteSize;
use crate::domain::view::ViewState;
use crate::json::document;
use crate::ops;
use crate::ops::views::{ListedView, ViewContext, settle_and_refresh};
use crate::store::Store;
use crate::ui::table::Column;
use crate::ui::{table, text};

/// See where other programs find the models
///
/// A view shows the published files of a model in the directory of another program, without a second
/// copy. `models set NAME --view KIND=DIR` adds one; each run brings it to the published revision.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl views list")]
pub struct Views {
    #[command(subcommand)]
    command: ViewsSubcommand,
}

#[derive(Debug, Subcommand)]
enum ViewsSubcommand {
    #[command(visible_alias = "ls")]
    List(ListViews),
}

/// List all views, compared with the disk
///
/// States: ok; behind: it shows an older revision; missing: files are gone or it was never made;
/// changed: another program has written to one of its files; conflict: another program's file is in
/// the way.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl views list
  hfdl views list --json")]
struct ListViews {}

impl Views {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let ViewsSubcommand::List(list) = self.command;
        list.run(context)?;
        Ok(ExitStatus::Ok)
    }
}

impl ListViews {
    fn run(self, context: &Context) -> Result<()> {
        let store = context.existing_store()?;
        let listed = match &store {
            Some(store) => ops::views::list(store)?,
            None => Vec::new(),
        };
        context.out.list(
            || listed.iter().map(|view| view.spec.to_string()).collect(),
            |out| {
                if listed.is_empty() {
                    return String::new();
                }
                let titles = [
                    Column::name("MODEL"),
                    Column::kept("KIND"),
                    Column::name("DIRECTORY"),
                    Column::kept("REVISION").least(2),
                    Column::kept("STATE"),
                    Column::kept("MADE BY").least(3),
                    Column::number("SHARED").least(1),
                ];
                table::render(out, &titles, listed.iter().map(row).collect())
            },
            || {
                let views: Vec<Value> = listed.iter().map(view_document).collect();
                document("hfdl.views/1", json!({ "views": views }))
            },
        )?;
        if listed.is_empty() {
            context.say_to_people("no views");
            context.hint("`hfdl models set NAME --view KIND=DIR` adds one");
        }
        for view in listed.iter().filter(|view| view.state != ViewState::Ok) {
            context.say_to_people(&trouble_of(view));
        }
        Ok(())
    }
}

fn row(view: &ListedView) -> Vec<String> {
    let commit = view.commit.as_ref();
    vec![
        view.model.to_string(),
        view.spec.kind.to_string(),
        view.spec.root.display().to_string(),
        commit
            .map_or(text::NOTHING, |commit| commit.short())
            .to_owned(),
        view.state.to_string(),
        text::list(&view.methods),
        ByteSize(view.shared_bytes).render_short(),
    ]
}

/// Returns the document of one view.
pub fn view_document(view: &ListedView) -> Value {
    let methods: Vec<&str> = view.methods.iter().map(|method| method.as_str()).collect();
    let differing = view.differing.iter();
    let differing: Vec<String> = differing.map(|path| path.display().to_string()).collect();
    json!({
        "model": view.model.as_str(),
        "kind": view.spec.kind.as_str(),
        "directory": view.spec.root.display().to_string(),
        "commit": view.commit.as_ref().map(ToString::to_string),
        "revision": view.commit.as_ref().map(ToString::to_string),
        "state": view.state.as_str(),
        "methods": methods,
        "shared_bytes": view.shared_bytes,
        "bytes_shared": view.shared_bytes,
        "files": differing,
        "error": view.failure,
        "failure": view.failure,
    })
}

/// Describes a view that is not as it should be.
pub fn trouble_of(view: &ListedView) -> String {
    format!("`{}`: {}", view.model, view.describe())
}

/// Brings the views of some models up to date after a person has changed them, and
/// removes those that are no more. While a run holds the lock, the next run does it.
pub fn update_views(
    context: &Context,
    store: &Store,
    settings: &Settings,
    models: &[ModelId],
) -> Result<()> {
    let identity = ops::ownership::identity(&context.host, &context.home, store)?;
    let cache = ops::ownership::cache_of(settings, &identity);
    let about = ViewContext {
        store,
        cache: &cache,
        run: None,
        now: context.now(),
    };
    match settle_and_refresh((&context.host, &context.home), about, models)? {
        None => context.say_to_people("a run holds the lock; the next run updates the views"),
        Some((_, failures)) => {
            for failure in &failures {
                context.warn(&failure.sentence());
            }
        }
    }
    Ok(())
}
