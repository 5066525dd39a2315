//! `hfdl sbom`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::explain::Complaint;
use super::models::named_or_all;
use super::since::present;
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::domain::sbom::BillOfMaterials;
use crate::domain::time::{Timestamp, Toward};
use crate::json;
use crate::ops::sbom::{Moment, collect};
use crate::store::Store;

/// Write a CycloneDX bill of materials of the published models
///
/// Each model is a component with its commit, the licence from its model card, and its files with
/// their hashes. With --at it shows the commits that were published on a day in the past. Facts
/// that are no longer known are left out, and named. The same facts give the same bytes;
/// SOURCE_DATE_EPOCH sets the time. The Hub is not asked.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl sbom --output models.cdx.json
  hfdl sbom org/name
  hfdl sbom --at 2026-11-01")]
pub struct Sbom {
    /// Models to list (default: all)
    #[arg(value_name = "NAME")]
    names: Vec<EntryName>,

    /// The models as they were at the end of a day, such as yesterday, or at a time
    #[arg(long, value_name = "DATE")]
    at: Option<String>,

    /// The file to write, or - for stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

impl Sbom {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let moment = self.moment(context)?;
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let settings = context.settings(Some(&store))?;
        let models = named_or_all(&store, &self.names)?;
        let bill = collect(&store, &settings, &models, moment)?;
        let text = json::render(&json::cyclonedx(&bill));
        context.write_document(&self.output, &text)?;
        tell_unknown(context, &bill);
        Ok(ExitStatus::Ok)
    }

    fn moment(&self, context: &Context) -> Result<Moment> {
        let now = context.now();
        let Some(text) = &self.at else {
            let epoch = context.host.variable("SOURCE_DATE_EPOCH");
            let at = epoch.map(|text| {
                let seconds = text.parse().ok();
                seconds
                    .and_then(|it| Timestamp::from_second(it).ok())
                    .ok_or_else(|| {
                        Complaint::usage(
                            "`SOURCE_DATE_EPOCH` is not a number of seconds since 1970",
                        )
                    })
            });
            return Ok(Moment::Now(at.transpose()?.unwrap_or(now)));
        };
        let present = present(context, Toward::Past);
        let at = match present.end_of_day(text) {
            // Today is not over.
            Some(end) if end > now && present.parse(text)? <= now => now,
            Some(end) => end,
            None => present.parse(text)?,
        };
        if at > now {
            return Err(Complaint::usage(format!("`{text}` is in the future")).into());
        }
        Ok(Moment::Past(at))
    }
}

fn tell_unknown(context: &Context, bill: &BillOfMaterials) {
    for name in &bill.without_commit {
        context.warn(&format!(
            "`{name}` is left out: no published commit is known"
        ));
    }
    for model in &bill.models {
        let unknown = model.unknown();
        if !unknown.is_empty() {
            let (name, commit) = (&model.name, model.commit.short());
            let unknown = unknown.join(", ");
            context.warn(&format!(
                "`{name}` at {commit}: not known any more: {unknown}"
            ));
        }
    }
}
