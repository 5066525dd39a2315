//! Bills of materials: the published models, today or on a day in history.
//!
//! The published commit of a day comes from the sessions and from the table of published
//! revisions; its files come from the listing that is kept on disk, or from the sessions
//! after the revision was removed, and its licence from the model card in the snapshot. No
//! network is needed. A fact that is not known any more is left out and named.
//!
//! Deliberately absent: the form of the document (`json::cyclonedx`). Models that were
//! removed since are not listed.

mod card;
mod collect;

pub use collect::{Moment, collect};
