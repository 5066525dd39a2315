//! `hfdl sessions show`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::change_note;
use super::context::Context;
use super::explain::Complaint;
use super::sessions::outcome;
use crate::domain::changes::FileChange;
use crate::domain::origin::{OriginKind, Reused};
use crate::domain::outcome::Outcome;
use crate::domain::session::{FileResult, Session, SessionFile, SessionId};
use crate::domain::units::ByteSize;
use crate::json::{ChangeNoteView, SessionFileView, SessionView, document};
use crate::ops;
use crate::ops::sessions::SessionDetails;
use crate::store::{Store, StoreError};
use crate::ui::table::Column;
use crate::ui::{Clock, Output, table, text};

/// Show a session and its files
///
/// Added, changed and removed files are known as long as hfdl keeps the listing of the previous
/// commit.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl sessions show 12")]
pub(super) struct SessionsShow {
    /// Number of the session
    id: i64,
}

impl SessionsShow {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let session = store.session(SessionId(self.id)).map_err(|err| match err {
            StoreError::NotFound { .. } => {
                let none = Complaint::usage(format!("there is no session {}", self.id));
                none.next("`hfdl sessions list` shows those that are kept")
                    .into()
            }
            other => anyhow::Error::from(other),
        })?;
        let settings = context.settings(Some(&store))?;
        let crashed = ops::status::unfinished(&store, &context.home)?.1;
        let outcome = outcome(&session, &crashed);
        let details = ops::sessions::details(&store, &settings, session)?;
        context.out.result(
            |out| show_text(context, out, &details, outcome),
            || show_document(&details),
        )
    }
}

fn show_text(context: &Context, out: &Output, details: &SessionDetails, outcome: &str) -> String {
    let (session, clock) = (&details.session, context.clock());
    let mut facts = start_facts(session, &clock);
    facts.push(("outcome", outcome.to_owned()));
    facts.extend(result_facts(session, &clock));
    if let Some(note) = &details.note {
        facts.extend(change_note::facts(note, &clock));
    }
    let files = files_text(out, details);
    if files.is_empty() {
        return table::facts(out, &facts);
    }
    format!("{}\n{files}", table::facts(out, &facts))
}

fn start_facts(session: &Session, clock: &Clock) -> Vec<(&'static str, String)> {
    let start = &session.start;
    let ended_at = session.end.as_ref().map(|end| end.at);
    vec![
        ("session", session.id.0.to_string()),
        ("model", text::or_nothing(start.model_name.as_ref())),
        (
            "repository",
            format!("{} ({})", start.repo, start.repo.kind),
        ),
        ("revision", start.revision.to_string()),
        ("run", start.run_id.to_string()),
        ("started by", start.trigger.to_string()),
        ("schedule", text::or_nothing(start.schedule_name.as_ref())),
        ("slot", clock.past_in_full(start.slot_at)),
        ("started", clock.past_in_full(start.at)),
        ("ended", clock.past_in_full(ended_at)),
        ("took", text::took(start.at, ended_at)),
    ]
}

fn result_facts(session: &Session, clock: &Clock) -> Vec<(&'static str, String)> {
    let (start, progress) = (&session.start, &session.progress);
    let (files, bytes) = (progress.files, progress.bytes);
    let size = |bytes: u64| ByteSize(bytes).render_short();
    let mut facts = Vec::new();
    if let Some(end) = &session.end
        && let Some(trouble) = &end.trouble
    {
        let message = clock.told(&trouble.message);
        facts.push(match end.outcome {
            // A hold is no error, and has no kind of one.
            Outcome::Held => ("held because", message),
            _ => ("error", format!("{message} ({})", trouble.kind)),
        });
        facts.push(("next", text::or_nothing(trouble.hint.as_ref())));
    }
    let path = progress.path.as_ref().map(|path| path.display());
    facts.extend([
        ("old commit", text::or_nothing(start.old_commit.as_ref())),
        ("new commit", text::or_nothing(progress.new_commit.as_ref())),
        ("path", text::or_nothing(path)),
        (
            "files",
            format!(
                "{}: {} fetched, {} there already, {} deleted",
                files.total, files.fetched, files.reused, files.deleted
            ),
        ),
        (
            "bytes",
            format!(
                "{}: {} fetched, {} there already, {} left",
                size(bytes.total),
                size(bytes.fetched),
                size(bytes.reused),
                size(bytes.left)
            ),
        ),
    ]);
    let from: Vec<String> = progress.all_reused().iter().map(origin_text).collect();
    if !from.is_empty() {
        facts.push(("reused", from.join("\n")));
    }
    facts.push(("retries", progress.retries.to_string()));
    facts
}

/// Renders the origin of reused bytes: size, number of files, and repository.
fn origin_text(reused: &Reused) -> String {
    let size = ByteSize(reused.bytes).render_short();
    let files = text::count(reused.n_files, "file", "files");
    let repo = reused.repo.as_ref();
    let of_repo = repo.map_or_else(String::new, |repo| format!(" of `{repo}`"));
    match reused.kind {
        OriginKind::InPlace => format!("{size} in place"),
        OriginKind::OtherRun => format!("{size} of {files} that another run had begun"),
        OriginKind::SameContent => format!("{size} of {files} with the same content{of_repo}"),
        OriginKind::Adopted => {
            let folder = reused.folder.as_ref();
            let folder = folder.map_or_else(String::new, |it| format!(" in `{}`", it.display()));
            format!("{size} of {files} adopted{folder}")
        }
        OriginKind::OldFile => format!("{size} of {files} copied from old files"),
        OriginKind::Others => {
            let others = text::count(reused.n_files, "other", "others");
            format!("{size} from {others}")
        }
        OriginKind::Unknown => format!("{size} of unknown origin"),
    }
}

fn files_text(out: &Output, details: &SessionDetails) -> String {
    let columns = [
        Column::name("FILE"),
        Column::kept("CHANGE").least(2).if_any(),
        Column::number("SIZE"),
        Column::number("FETCHED").least(1),
        Column::number("REUSED").least(4),
        Column::kept("SOURCE").least(5).if_any(),
        Column::number("RETRIES").least(3).if_any(),
        Column::kept("RESULT"),
        Column::name("HASH").least(6),
    ];
    let size = |bytes: u64| ByteSize(bytes).render_short();
    let touched = details.files.iter().zip(&details.changes);
    let mut rows: Vec<Vec<String>> = touched
        .map(|(file, change)| {
            vec![
                file.path.to_string(),
                text::or_nothing(*change),
                size(file.size_bytes),
                size(file.bytes_fetched),
                size(file.bytes_reused),
                text::or_nothing(file.source),
                text::count_or_nothing(file.retries),
                result_word(file),
                file.content.to_string(),
            ]
        })
        .collect();
    rows.extend(details.gone.iter().map(|path| {
        let mut row = vec![text::NOTHING.to_owned(); columns.len()];
        row[0] = path.to_string();
        row[1] = FileChange::Removed.to_string();
        row
    }));
    if rows.is_empty() {
        return String::new();
    }
    table::render(out, &columns, rows)
}

fn result_word(file: &SessionFile) -> String {
    if file.found_bad && file.result == FileResult::Verified {
        return "replaced".to_owned();
    }
    file.result.to_string()
}

fn show_document(details: &SessionDetails) -> Value {
    let mut value = document("hfdl.session/1", SessionView::from(&details.session));
    let touched = details.files.iter().zip(&details.changes);
    let views: Vec<SessionFileView> = touched
        .map(|(file, change)| SessionFileView::new(file, *change))
        .collect();
    let paths = |wanted: FileChange| -> Vec<&str> {
        let touched = details.files.iter().zip(&details.changes);
        let found = touched.filter(|(_, change)| **change == Some(wanted));
        let mut paths: Vec<&str> = found.map(|(file, _)| file.path.as_str()).collect();
        if wanted == FileChange::Removed {
            paths.extend(details.gone.iter().map(|path| path.as_str()));
        }
        paths
    };
    value["changes"] = json!({
        "added": paths(FileChange::Added),
        "changed": paths(FileChange::Changed),
        "removed": paths(FileChange::Removed),
    });
    value["file_list"] = json!(views);
    let note = details.note.as_ref();
    value["change_note"] = json!(note.map(|note| ChangeNoteView::new(note, usize::MAX)));
    value
}
