//! Headers of weights: the formats, and the finding about a header that does not fit.

use std::io::{Read, Seek};

use super::{gguf, safetensors};
use crate::domain::hold::{Finding, HoldReason};
use crate::domain::repo::RepoPath;

/// A format of weights with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    Safetensors,
    Gguf,
}

impl HeaderKind {
    /// Returns the format of a file by its name.
    pub fn of(path: &RepoPath) -> Option<Self> {
        let (_, ending) = path.as_str().rsplit_once('.')?;
        match ending {
            "safetensors" => Some(Self::Safetensors),
            "gguf" => Some(Self::Gguf),
            _ => None,
        }
    }
}

/// Checks that the header of a file fits the file; the error is the reason why it does
/// not. Reads headers only, with memory that no file can raise without limit.
pub fn check_header(
    kind: HeaderKind,
    file: impl Read + Seek,
    size_bytes: u64,
) -> Result<(), String> {
    match kind {
        HeaderKind::Safetensors => safetensors::check(file, size_bytes),
        HeaderKind::Gguf => gguf::check(file, size_bytes),
    }
}

pub fn header_finding(path: &RepoPath, reason: &str) -> Finding {
    Finding {
        reason: HoldReason::BadHeader,
        detail: format!("the header of `{path}` does not fit the file: {reason}"),
    }
}
