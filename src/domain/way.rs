//! Routes: parts of the Hub that can fail while the others work.

use super::outcome::words;

words! {
    /// A route to file contents that is tracked separately, because it can fail
    /// while the others work.
    Way {
        /// The reconstruction service of Xet storage.
        XetAnswers = "xet-answers",
        /// Chunk downloads from Xet storage.
        XetChunks = "xet-chunks",
        /// Plain downloads with range requests.
        PlainFiles = "plain-files",
    }
}
