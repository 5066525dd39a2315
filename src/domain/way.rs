//! The ways to a file's bytes of which one may lead nowhere.

use super::outcome::words;

words! {
    /// What may be of no use with a Hub, while the rest of it is.
    Way {
        /// The Xet storage says what files are made of.
        XetAnswers = "xet-answers",
        /// Chunks come from where the Xet storage says that they are.
        XetChunks = "xet-chunks",
        /// Files come plainly, in ranges.
        PlainFiles = "plain-files",
    }
}
