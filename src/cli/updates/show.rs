//! `hfdl updates show`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::change_note;
use crate::cli::context::Context;
use crate::cli::explain::Explanation;
use crate::cli::models::find;
use crate::cli::policy_text::{self, rules_in_force};
use crate::domain::hold::{HoldReason, summed_up};
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::domain::policy::UpdateWait;
use crate::domain::units::ByteSize;
use crate::domain::update::{FileDifference, UpdateState};
use crate::json::{ChangeNoteView, FileDifferenceView, UpdateView, document};
use crate::ops::services::Services;
use crate::ops::updates::{UpdateDetails, details};
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

/// Show the update of a model that waits: the findings, and the files that change
///
/// If no update waits, the last one is shown. The Hub is asked for the list of files if it is not
/// stored here.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl updates show org/name")]
pub(super) struct ShowUpdate {
    /// Name of the model
    name: EntryName,
}

impl ShowUpdate {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let (store, model) = find(context, &self.name)?;
        let settings = context.settings(Some(&store))?;
        let services = Services::read_only(&context.host, &context.home, settings, store);
        let rules = rules_in_force(&services.store, context, &model)?.rules;
        let details = details(&services, model)?;
        let delayed_until = details.update.waits_until.map(|until| {
            let commit = details.update.commit.clone();
            policy_text::until(&UpdateWait { commit, until }, &rules, &context.clock())
        });
        if let Err(err) = &details.files {
            context.show_note(&Explanation {
                headline: format!("the changed files of `{}` are unknown", self.name),
                cause: Some(format!("{err:#}")),
                next: None,
                status: ExitStatus::Ok,
            });
        }
        context.out.result(
            |out| show_text(context, out, &details, delayed_until),
            || show_document(&details),
        )
    }
}

fn show_text(
    context: &Context,
    out: &Output,
    details: &UpdateDetails,
    delayed_until: Option<String>,
) -> String {
    let (update, clock) = (&details.update, &context.clock());
    let spec = &details.model.spec;
    let mut facts = vec![
        ("model", spec.name.to_string()),
        ("repository", format!("{} ({})", spec.repo, spec.repo.kind)),
        ("revision", spec.revision.to_string()),
        ("state", update.state().to_string()),
        ("new commit", update.commit.to_string()),
        ("old commit", text::or_nothing(update.old_commit.as_ref())),
        ("found", clock.past_in_full(update.found_at)),
        ("decided", clock.past_in_full(update.decided_at)),
        ("note", text::or_nothing(update.note.as_ref())),
        ("published", clock.past_in_full(update.published_at)),
    ];
    if let Some(until) = delayed_until {
        facts.push(("delayed until", until));
    }
    let findings = summed_up(&update.findings);
    // The line above tells the end of a delay.
    for finding in findings.iter().filter(|it| it.reason != HoldReason::Delay) {
        let detail = clock.told(&finding.detail);
        facts.push(("finding", format!("{}: {detail}", finding.reason)));
    }
    if let Some(note) = &details.note {
        facts.push(("changes", note.summary()));
        let commits = change_note::commit_lines(note, clock, change_note::MOST_LINES);
        facts.extend((!commits.is_empty()).then(|| ("commits", commits.join("\n"))));
    }
    let mut shown = table::facts(out, &facts);
    if let Ok(files) = &details.files
        && !files.is_empty()
    {
        shown.push('\n');
        shown.push_str(&files_text(out, files));
    }
    let name = &spec.name;
    if update.state() == UpdateState::Delayed {
        let next = format!(
            "`hfdl updates approve {name}` publishes it with the next run, whatever guards would \
             find, and `hfdl updates reject {name}` keeps it back"
        );
        shown.push_str(&format!("\n{}", text::paragraph(out, &next, 0)));
    }
    if update.state() == UpdateState::Waiting {
        let next = format!(
            "`hfdl updates approve {name}` publishes it with the next run, and \
             `hfdl updates reject {name}` keeps it back"
        );
        shown.push_str(&format!("\n{}", text::paragraph(out, &next, 0)));
    }
    shown
}

fn files_text(out: &Output, files: &[FileDifference]) -> String {
    let size = |bytes: Option<u64>| {
        bytes.map_or(text::NOTHING.to_owned(), |bytes| {
            ByteSize(bytes).render_short()
        })
    };
    let rows = files.iter().map(|file| {
        vec![
            file.path.to_string(),
            file.change.to_string(),
            size(file.old_bytes),
            size(file.new_bytes),
        ]
    });
    table::render(
        out,
        &[
            Column::name("FILE"),
            Column::kept("CHANGE"),
            Column::number("BEFORE"),
            Column::number("AFTER"),
        ],
        rows.collect(),
    )
}

fn show_document(details: &UpdateDetails) -> Value {
    let spec = &details.model.spec;
    let files = details.files.as_ref().ok();
    let files: Option<Vec<FileDifferenceView>> =
        files.map(|files| files.iter().map(FileDifferenceView::from).collect());
    let mut shown = document("hfdl.update/1", UpdateView::from(&details.update));
    if let Value::Object(fields) = &mut shown {
        fields.insert("repo".to_owned(), json!(spec.repo.to_string()));
        fields.insert("repo_type".to_owned(), json!(spec.repo.kind.as_str()));
        fields.insert("revision".to_owned(), json!(spec.revision.to_string()));
        fields.insert("files".to_owned(), json!(files));
        let note = details.note.as_ref();
        let note = note.map(|note| ChangeNoteView::new(note, usize::MAX));
        fields.insert("change_note".to_owned(), json!(note));
    }
    shown
}
