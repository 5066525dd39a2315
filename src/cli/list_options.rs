//! Options that lists of what happened have in common.

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::since::parse_since;
use crate::domain::time::Timestamp;
use crate::ui::Format;

#[derive(Debug, Args)]
pub struct ListOptions {
    /// Only those that began since then: so long ago, or a time
    #[arg(long, value_name = "DUR|TIME")]
    since: Option<String>,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

impl ListOptions {
    pub fn since(&self, context: &Context) -> Result<Option<Timestamp>> {
        let since = self.since.as_deref();
        since.map(|text| parse_since(context, text)).transpose()
    }

    /// Returns how many to ask for: one more tells whether there are more.
    pub fn to_ask_for(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// Cuts what was found to what is to be shown; tells whether there is more.
    pub fn cut<T>(&self, found: &mut Vec<T>) -> bool {
        let has_more = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        has_more
    }

    /// Says that a list was cut, to a person who looks at it.
    pub fn hint_at_more(&self, context: &Context, has_more: bool) {
        let looks = context.host.stderr_is_terminal() && !context.out.quiet;
        if has_more && looks && context.out.format == Format::Table {
            let limit = self.limit;
            let say = format!("these are the newest {limit}; `--limit` shows more");
            context.out.say(&say);
        }
    }
}
