//! Hashes files on all cores, with one small buffer for each core.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::witness::{Claims, HashFinding, Note};
use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::xet::{FileMap, XetHash};
use crate::download::{WholeRead, prove_content};
use crate::ops::parallel::{HashEvent, read_all};
use crate::sys::stop::StopFlag;
use crate::xet::{ChunkedFile, FileHasher, sidecar};

/// A file to read.
pub struct ProofJob {
    pub name: Arc<str>,
    pub path: PathBuf,
    pub content: ContentId,
    pub size_bytes: u64,
    /// The Xet hash that the listing gives.
    pub xet_hash: Option<XetHash>,
    /// The path of the file's sidecar.
    pub sidecar: PathBuf,
    /// The chunk lengths are recorded there for the next delta.
    pub records_chunks: bool,
}

/// The result of reading one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashResult {
    /// With the file's stamp, unless the file changed while it was read.
    Good(HashFinding, Option<ProofStamp>),
    Bad(HashFinding),
    Unreadable(String),
}

/// Reads the chosen jobs in order; after a stop the rest has no `Ended` event. Events
/// arrive on the calling thread.
pub fn prove_all(
    jobs: &[ProofJob],
    chosen: &[usize],
    threads: usize,
    stop: &StopFlag,
    on: &mut dyn FnMut(HashEvent<HashResult>),
) {
    read_all(
        chosen,
        threads,
        stop,
        |job, on_read| prove(&jobs[job], on_read),
        on,
    );
}

fn prove(job: &ProofJob, on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Option<HashResult> {
    let claims = claims(job);
    let mut xet = claims.is_any().then(FileHasher::new);
    let result = prove_content(&job.path, &job.content, &mut |bytes| {
        if let Some(xet) = &mut xet {
            xet.update(bytes);
        }
        on_read(bytes)
    });
    Some(match result {
        Ok(Some(WholeRead { has_content, stamp })) => {
            let chunks = xet.map(FileHasher::finish);
            let found = chunks.as_ref().map(|chunks| chunks.hash);
            let finding = HashFinding::new(has_content, &claims, found);
            if let Some(chunks) = chunks.filter(|chunks| {
                job.records_chunks && finding.has_content && job.xet_hash == Some(chunks.hash)
            }) {
                record_chunks(job, chunks);
            }
            if finding.is_good(&job.content) {
                HashResult::Good(finding, stamp)
            } else {
                HashResult::Bad(finding)
            }
        }
        Ok(None) => return None,
        Err(err) => HashResult::Unreadable(err.to_string()),
    })
}

fn record_chunks(job: &ProofJob, chunks: ChunkedFile) {
    let path = &job.sidecar;
    let map = FileMap::of_lengths(chunks.hash, chunks.chunk_lengths);
    if let Err(err) = sidecar::write_lengths(path, &job.content, job.size_bytes, &map) {
        log::debug!("cannot write `{}`: {err}", path.display());
    }
}

fn claims(job: &ProofJob) -> Claims {
    let read = sidecar::read(&job.sidecar, &job.content, job.size_bytes);
    Claims {
        listed: job.xet_hash,
        sidecar: match read {
            Ok(Some(map)) if map.has_only_lengths() => Note::None,
            Ok(Some(map)) => Note::Hash(map.hash),
            Ok(None) if job.sidecar.exists() => Note::Unsound,
            Ok(None) | Err(_) => Note::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::stop::StopReason;

    /// Three empty files, two of which should be something else.
    fn jobs(dir: &std::path::Path) -> Vec<ProofJob> {
        let empty = "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let other = "git:b45ef6fec89518d314f546fd6c3025367b721684";
        let job = |(name, content): (&str, &str)| {
            let path = dir.join(name);
            if name != "gone" {
                std::fs::write(&path, "").unwrap();
            }
            ProofJob {
                name: name.into(),
                path,
                content: content.parse().unwrap(),
                size_bytes: 0,
                xet_hash: None,
                sidecar: dir.join("none.xet"),
                records_chunks: false,
            }
        };
        [("good", empty), ("bad", other), ("gone", empty)]
            .map(job)
            .into()
    }

    fn ended(stop: &StopFlag) -> Vec<(usize, HashResult)> {
        let dir = tempfile::tempdir().unwrap();
        let mut ended = Vec::new();
        prove_all(&jobs(dir.path()), &[0, 1, 2], 2, stop, &mut |event| {
            if let HashEvent::Ended { job, result } = event {
                ended.push((job, result));
            }
        });
        ended.sort_by_key(|(job, _)| *job);
        ended
    }

    #[test]
    fn each_file_has_its_own_end() {
        let ended = ended(&StopFlag::new());
        let found = |has_content| HashFinding::new(has_content, &Claims::default(), None);
        let is_good = |proof: &HashResult| matches!(proof, HashResult::Good(good, Some(_)) if *good == found(true));
        assert!(ended[0].0 == 0 && is_good(&ended[0].1), "{:?}", ended[0]);
        assert_eq!(ended[1], (1, HashResult::Bad(found(false))));
        assert!(
            matches!(ended[2], (2, HashResult::Unreadable(_))),
            "{:?}",
            ended[2]
        );
    }

    #[test]
    fn a_stop_leaves_the_rest_without_an_end() {
        let stop = StopFlag::new();
        stop.raise(StopReason::Interrupted);
        assert!(ended(&stop).is_empty());
    }
}
