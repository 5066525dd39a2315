//! `hfdl models rollback`

use anyhow::{Error, Result};
use clap::Args;
use serde_json::json;

use super::find::{find, known};
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::lock::take_lock;
use crate::cli::names::texts;
use crate::domain::model::{EntryName, Model};
use crate::domain::outcome::{ExitStatus, Trigger};
use crate::domain::retention::{NoTarget, PublishedRevision};
use crate::domain::run::RunCommand;
use crate::json::document;
use crate::ops;
use crate::ops::rollback::{CannotRollBack, RolledBack};
use crate::ops::views::ViewContext;
use crate::ui::text;

/// Go back to a revision that is still on disk, and hold it
///
/// Points the branch or tag of the model in the cache at an older revision, without the Hub and
/// without a download. From then on runs report `held` and change nothing, until `models release`.
/// A second rollback goes back to where the first began.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models rollback org/name
  hfdl models rollback org/name --to 3f2a91c
  hfdl models release org/name")]
pub struct Rollback {
    /// Name of the model
    name: EntryName,

    /// The commit, or its first 7 or more digits (default: the latest published before the present one)
    #[arg(long, value_name = "COMMIT")]
    to: Option<String>,
}

impl Rollback {
    pub fn run(self, context: &Context) -> Result<()> {
        let (store, _) = find(context, &self.name)?;
        let settings = context.settings(Some(&store))?;
        let _lock = take_lock(context, RunCommand::Models, Trigger::Manual, None)?;
        // A run may have moved the model until the lock was free.
        let model = known(&store, &self.name)?;
        let places = ops::places::Places::load(&store, &settings)?;
        places.check(&model.spec.destination, Some(model.id))?;
        let identity = ops::ownership::identity(&context.host, &context.home, &store)?;
        let cache = ops::ownership::cache_of(&settings, &identity);
        let (repo, place) = (&model.spec.repo, &model.spec.destination);
        ops::ownership::prepare_place(&store, &cache, repo, place);
        let asked = self.to.as_deref();
        let went = ops::rollback::roll_back(&store, &cache, &model, asked, context.now())
            .map_err(|err| explain(context, &model, err))?;
        ops::ownership::note_claims(&store, &cache, [repo]);
        let model = known(&store, &self.name)?;
        let about = ViewContext {
            store: &store,
            cache: &cache,
            run: None,
            now: context.now(),
        };
        // The views of the others follow the ref as well.
        for name in [&self.name].into_iter().chain(&went.others) {
            for failure in ops::views::refresh(about, &known(&store, name)?)? {
                context.warn(&failure.sentence());
            }
        }
        context.out.done(
            || sentence(&model, &went),
            || {
                document(
                    "hfdl.rollback/1",
                    json!({
                        "model": model.spec.name.as_str(),
                        "from": went.from.as_str(),
                        "to": went.to.as_str(),
                        "path": went.path.display().to_string(),
                        "others": texts(&went.others),
                    }),
                )
            },
        )
    }
}

fn sentence(model: &Model, went: &RolledBack) -> String {
    let name = &model.spec.name;
    let to = went.to.short();
    match (went.is_nothing(), &model.state.held_commit) {
        (true, Some(held)) if *held == went.to => format!("`{name}` is held at {to} already"),
        (true, _) => format!("`{name}` is at {to} already; nothing was changed"),
        (false, _) => {
            let others = went
                .others
                .iter()
                .map(|other| format!(", and with it `{other}`"));
            format!(
                "`{name}` went back from {} to {to} and is held there until `hfdl models release {name}`{}",
                went.from.short(),
                others.collect::<String>()
            )
        }
    }
}

/// Explains the refusal and suggests alternatives.
fn explain(context: &Context, model: &Model, err: Error) -> Error {
    let name = &model.spec.name;
    let Some(cannot) = err.downcast_ref::<CannotRollBack>() else {
        return err.context(format!("could not roll back `{name}`"));
    };
    let status = match cannot {
        CannotRollBack::Directory(_) | CannotRollBack::ByCommit => ExitStatus::Usage,
        CannotRollBack::NoTarget { why, .. } if *why != NoTarget::NothingElse => ExitStatus::Usage,
        _ => ExitStatus::Failed,
    };
    let complaint = Complaint::new(status, format!("could not roll back `{name}`"));
    let complaint = complaint.cause(cannot.to_string());
    let complaint = match cannot {
        CannotRollBack::Directory(_) => complaint.next(format!(
            "`hfdl models set {name} --revision COMMIT` and `hfdl download {name}` put an older one there"
        )),
        CannotRollBack::ByCommit => complaint.next(format!(
            "`hfdl models set {name} --revision REV` keeps another revision"
        )),
        CannotRollBack::NeverPublished => {
            complaint.next(format!("`hfdl download {name}` fetches it"))
        }
        CannotRollBack::NoTarget {
            why: NoTarget::NothingElse,
            ..
        } => complaint.next(format!(
            "`hfdl models set {name} --keep-revisions N` keeps more of those to come"
        )),
        CannotRollBack::NoTarget { kept, .. } => {
            complaint.next(format!("choose one of {}", list(context, kept)))
        }
        CannotRollBack::NotWhole { model, commit, .. } => complaint.next(format!(
            "`hfdl download {model} --revision {commit}` completes it, then try again"
        )),
        CannotRollBack::HeldByOther { model, .. } => {
            complaint.next(format!("`hfdl models release {model}` lets it go first"))
        }
    };
    complaint.into()
}

fn list(context: &Context, kept: &[PublishedRevision]) -> String {
    let clock = context.clock();
    text::list(kept.iter().map(|revision| {
        let at = clock.local(revision.published_at);
        format!("{} ({at})", revision.commit.short())
    }))
}
