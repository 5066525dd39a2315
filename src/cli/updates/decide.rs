//! `hfdl updates approve`, `reject` and `retry`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::download::beginning_of_commit;
use crate::cli::explain::Complaint;
use crate::cli::models::{known, open_for};
use crate::cli::names::Names;
use crate::domain::hold::Decision;
use crate::domain::model::EntryName;
use crate::domain::repo::CommitSha;
use crate::json::document;
use crate::ops::updates::{DecisionRequest, ask_gate_again, decide};
use crate::store::Store;

/// Publish held or delayed updates with the next run, despite their findings
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl updates approve org/name
  hfdl updates approve org/name --commit 3f2a91c --note 'read the diff'
  hfdl download org/name                          publish it now")]
pub(super) struct Approve {
    #[command(flatten)]
    names: Names,

    /// The commit, or its first 7 or more digits: refused if a different one is held by now
    #[arg(long, value_name = "COMMIT", value_parser = beginning_of_commit)]
    commit: Option<String>,

    /// Text to keep with the decision
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Keep held or delayed updates back without further notices; the next commit upstream is a new update
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  hfdl updates reject org/name --note 'the licence has changed'")]
pub(super) struct Reject {
    #[command(flatten)]
    names: Names,

    /// Text to keep with the decision
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Approve {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let names = self.names.distinct();
        if self.commit.is_some() && names.len() > 1 {
            let complaint = Complaint::usage("`--commit` is for one model");
            return Err(complaint.next("approve each with its own commit").into());
        }
        let request = DecisionRequest {
            decision: Decision::Approved,
            commit: self.commit.as_deref(),
            note: self.note.as_deref(),
        };
        record(context, &names, &request)
    }
}

impl Reject {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let request = DecisionRequest {
            decision: Decision::Rejected,
            commit: None,
            note: self.note.as_deref(),
        };
        record(context, &self.names.distinct(), &request)
    }
}

fn record(context: &Context, names: &[EntryName], request: &DecisionRequest<'_>) -> Result<()> {
    let store = open(context, names)?;
    let decided = decide(&store, names, request, context.now())?;
    let word = request.decision;
    let sentence = |(name, commit): &(EntryName, CommitSha)| {
        let commit = commit.short();
        match word {
            Decision::Rejected => {
                format!("{commit} of `{name}` was rejected; the next commit is a new update")
            }
            _ => format!(
                "{commit} of `{name}` was approved; the next run publishes it, `hfdl download {name}` now"
            ),
        }
    };
    show(context, &decided, word.as_str(), request.note, &sentence)
}

/// Lets the gate check held commits again.
pub(super) fn retry(context: &Context, names: &[EntryName]) -> Result<()> {
    let store = open(context, names)?;
    let asked = ask_gate_again(&store, names)?;
    let word = Decision::Waiting.as_str();
    let sentence = |(name, commit): &(EntryName, CommitSha)| {
        let commit = commit.short();
        format!("the gate checks {commit} of `{name}` again at the next run")
    };
    show(context, &asked, word, None, &sentence)
}

/// Opens the database for models that must be there.
fn open(context: &Context, names: &[EntryName]) -> Result<Store> {
    let first = names.first().expect("the command line requires a name");
    let store = open_for(context, first)?;
    for name in names {
        known(&store, name)?;
    }
    Ok(store)
}

fn show(
    context: &Context,
    updates: &[(EntryName, CommitSha)],
    decision: &str,
    note: Option<&str>,
    sentence: &dyn Fn(&(EntryName, CommitSha)) -> String,
) -> Result<()> {
    context.out.done(
        || updates.iter().map(sentence).collect::<Vec<_>>().join("\n"),
        || {
            let updates = updates.iter().map(|(name, commit)| {
                json!({
                    "model": name.as_str(),
                    "commit": commit.as_str(),
                    "decision": decision,
                    "note": note,
                })
            });
            let updates: Vec<_> = updates.collect();
            document("hfdl.decisions/1", json!({ "updates": updates }))
        },
    )
}
