//! The command line of `hfdl report`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{content, html, markdown, text};
use crate::cli::context::{Context, STDOUT};
use crate::cli::explain::Complaint;
use crate::cli::models::known;
use crate::cli::names::distinct;
use crate::cli::since::parse_since;
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::json::{self, ReportView, document};
use crate::ops::report::{ReportRequest, report};
use crate::ops::status::StatusContext;
use crate::store::Store;
use crate::ui::{Clock, Format, yaml};

/// Report the updates, failures, bytes and disk use of a period
///
/// Formats are text (the default), markdown, html, json and yaml. The HTML page is one file
/// without scripts that loads nothing. Times and days are those of the local zone.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl report --since 7d
  hfdl report --since 2026-06-01 --until 2026-07-01 --format markdown
  hfdl report --since 30d --format html --output /var/www/html/hfdl.html
  hfdl report --since 1d org/name")]
pub(in crate::cli) struct ReportCommand {
    /// Start of the period: a time such as 2026-06-01 or yesterday, or a duration before now
    #[arg(long, value_name = "DUR|TIME", default_value = "7d")]
    since: String,

    /// End of the period: a time such as today, or a duration before now [default: now]
    #[arg(long, value_name = "DUR|TIME")]
    until: Option<String>,

    /// Write to this file, which is replaced as a whole, instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Models (default: all)
    #[arg(value_name = "NAME")]
    names: Vec<EntryName>,
}

impl ReportCommand {
    pub(in crate::cli) fn run(self, context: &Context) -> Result<ExitStatus> {
        let since = parse_since(context, &self.since)?;
        // Times are whole seconds: a session of this second belongs to the period.
        let now = context
            .now()
            .saturating_add(jiff::SignedDuration::from_secs(1))?;
        let until = match &self.until {
            Some(text) => parse_since(context, text)?,
            None => now,
        };
        if until <= since {
            let none = Complaint::usage("the period ends before it begins");
            return Err(none
                .next("give a `--since` that is earlier than `--until`")
                .into());
        }
        let store = Store::open_read_only(&context.home.database(), context.now())?;
        let settings = context.settings(Some(&store))?;
        let names = distinct(self.names).into_iter();
        let models = names
            .map(|name| known(&store, &name))
            .collect::<Result<_>>()?;
        let places = StatusContext {
            host: &context.host,
            home: &context.home,
            settings: &settings,
        };
        let request = ReportRequest {
            since,
            until,
            models,
        };
        // All queries see the database at one instant.
        let report = store.reading(|| report(&places, &store, request))?;
        // A report is read later, too.
        let clock = Clock {
            absolute: true,
            ..context.clock()
        };
        let page = || content::page(&report, &clock);
        let value = || document("hfdl.report/1", ReportView::from(&report));
        let stdout = Path::new(STDOUT);
        let output = self.output.as_deref().unwrap_or(stdout);
        let text = match context.out.format {
            Format::Table => text::render(&page(), &context.out, output != stdout),
            Format::Markdown => markdown::render(&page()),
            Format::Html => html::render(&page()),
            Format::Json => json::render(&value()),
            Format::Yaml => yaml::render(&value())?,
        };
        context.write_document(output, &text)?;
        Ok(ExitStatus::Ok)
    }
}
