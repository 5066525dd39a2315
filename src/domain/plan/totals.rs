//! The totals of a plan in files and bytes.

use super::Action;

/// Consistent counts: files are fetched or reused; bytes are fetched, reused,
/// taken from partial files or copied from old files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub files: u64,
    pub files_to_fetch: u64,
    pub files_reused: u64,
    pub bytes: u64,
    pub bytes_to_fetch: u64,
    pub bytes_reused: u64,
    pub bytes_from_partials: u64,
    /// Bytes to copy out of old files.
    pub bytes_copied: u64,
}

impl Totals {
    /// Counts the bytes that need no download.
    pub fn bytes_here(&self) -> u64 {
        [
            self.bytes_reused,
            self.bytes_from_partials,
            self.bytes_copied,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    pub(super) fn add(&mut self, size_bytes: u64, action: &Action) {
        // Saturating, because the sizes come from the Hub unchecked.
        let plus = |total: &mut u64, bytes: u64| *total = total.saturating_add(bytes);
        self.files += 1;
        plus(&mut self.bytes, size_bytes);
        match action {
            Action::Keep | Action::Link(_) | Action::LinkToFetched => {
                self.files_reused += 1;
                plus(&mut self.bytes_reused, size_bytes);
            }
            Action::Resume { have_bytes } => {
                self.files_to_fetch += 1;
                plus(&mut self.bytes_from_partials, *have_bytes);
                plus(&mut self.bytes_to_fetch, size_bytes - have_bytes);
            }
            Action::Fetch => {
                self.files_to_fetch += 1;
                plus(&mut self.bytes_to_fetch, size_bytes);
            }
        }
    }
}
