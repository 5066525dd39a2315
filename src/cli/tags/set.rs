//! `hfdl tags set`

use anyhow::Result;
use clap::Args;

use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::domain::model::Tag;
use crate::domain::tag::TagSpec;
use crate::json::{TagView, document};
use crate::ui::text;

/// Set the defaults that a tag gives to its models
///
/// Fields without a flag stay. A model that has its own value keeps it. If a model has several
/// tags, the strictest rule counts: pin before approve before follow, the longest delay, and the
/// guards of all; a version must match the patterns of all.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl tags set production --policy approve
  hfdl tags set nightly --delay 7d
  hfdl tags set production --no-delay")]
pub(super) struct SetTag {
    /// Name of the tag
    name: Tag,

    #[command(flatten)]
    flags: FieldFlags<TagSpec, true>,
}

impl SetTag {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        if self.flags.is_empty() {
            return Err(Complaint::usage("nothing to change")
                .cause("no flag was given")
                .next("`hfdl tags set --help` lists the flags")
                .into());
        }
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let mut tag = TagSpec::new(self.name);
        if let Some(store) = &existing {
            tag = store.find_tag(&tag.name)?.unwrap_or(tag);
        }
        self.flags.read_into(context, &settings, &mut tag)?;
        let store = match existing {
            Some(store) => store,
            None => context.store()?,
        };
        store.save_tag(&tag, context.now())?;
        let counts = store.tags_in_use()?;
        let n_models = counts.get(&tag.name).copied().unwrap_or(0);
        if n_models == 0 {
            context.warn(&format!("no model has the tag `{}` yet", tag.name));
        }
        context.out.done(
            || {
                let models = match n_models {
                    0 => "(no models)".to_owned(),
                    n => format!("of {}", text::count(n, "model", "models")),
                };
                format!("changed the tag `{}` {models}", tag.name)
            },
            || document("hfdl.tag/1", TagView::new(&tag, n_models)),
        )
    }
}
