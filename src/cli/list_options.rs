//! Common options of `runs list` and `sessions list`.

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::since::parse_since;
use crate::domain::time::Timestamp;
use crate::ui::Format;

#[derive(Debug, Args)]
pub struct ListOptions {
    /// Show only those that started since a time, such as yesterday or "mon 08:00", or within a
    /// duration before now
    #[arg(long, value_name = "DUR|TIME")]
    since: Option<String>,

    /// Maximum number of entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

impl ListOptions {
    pub fn since(&self, context: &Context) -> Result<Option<Timestamp>> {
        let since = self.since.as_deref();
        since.map(|text| parse_since(context, text)).transpose()
    }

    /// Returns the limit of the query: one row more shows that there are more.
    pub fn query_limit(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// Cuts the rows to the limit; returns whether there are more.
    pub fn cut<T>(&self, found: &mut Vec<T>) -> bool {
        let has_more = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        has_more
    }

    /// Writes a note that a list was cut, if stderr is a terminal.
    pub fn hint_at_more(&self, context: &Context, has_more: bool) {
        let is_watched = context.host.stderr_is_terminal() && !context.out.quiet;
        if has_more && is_watched && context.out.format == Format::Table {
            let limit = self.limit;
            let say = format!("these are the newest {limit}; `--limit` shows more");
            context.out.say(&say);
        }
    }
}
