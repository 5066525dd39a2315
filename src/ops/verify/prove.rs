//! Hashes files on all cores, with one small buffer for each core.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::witness::{Claims, HashFinding, Note};
use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::xet::XetHash;
use crate::download::{WholeRead, prove_content};
use crate::sys::stop::StopFlag;
use crate::xet::{FileHasher, sidecar};

/// A file to read.
pub struct Job {
    pub name: Arc<str>,
    pub path: PathBuf,
    pub content: ContentId,
    pub size_bytes: u64,
    /// The Xet hash that the listing gives.
    pub xet_hash: Option<XetHash>,
    /// The path of the file's sidecar.
    pub sidecar: PathBuf,
}

/// The result of reading one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashResult {
    /// With the file's stamp, unless the file changed while it was read.
    Good(HashFinding, Option<ProofStamp>),
    Bad(HashFinding),
    Unreadable(String),
}

/// The progress of the hashing; `job` is the index in the list of jobs.
pub enum HashEvent {
    Started { job: usize },
    Read { job: usize, bytes: u64 },
    Ended { job: usize, proof: HashResult },
}

/// Reads the chosen jobs in order; after a stop the rest has no `Ended` event. Events
/// arrive on the calling thread.
pub fn prove_all(
    jobs: &[Job],
    chosen: &[usize],
    threads: usize,
    stop: &StopFlag,
    on: &mut dyn FnMut(HashEvent),
) {
    let next = AtomicUsize::new(0);
    let (events, inbox) = sync_channel(64);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(chosen.len()) {
            let (events, next) = (events.clone(), &next);
            scope.spawn(move || {
                while !stop.is_raised() {
                    let Some(&job) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    prove(job, &jobs[job], stop, &events);
                }
            });
        }
        drop(events);
        inbox.iter().for_each(on);
    });
}

fn prove(index: usize, job: &Job, stop: &StopFlag, events: &SyncSender<HashEvent>) {
    const TELL_EVERY: u64 = 4 << 20;
    // The listener outlives the threads, so a send cannot fail.
    let tell = |event| drop(events.send(event));
    tell(HashEvent::Started { job: index });
    let claims = claims(job);
    let mut xet = claims.is_any().then(FileHasher::new);
    let mut untold = 0;
    let result = prove_content(&job.path, &job.content, &mut |bytes| {
        if let Some(xet) = &mut xet {
            xet.update(bytes);
        }
        untold += bytes.len() as u64;
        if untold >= TELL_EVERY {
            tell(HashEvent::Read {
                job: index,
                bytes: std::mem::take(&mut untold),
            });
        }
        if stop.is_raised() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    tell(HashEvent::Read {
        job: index,
        bytes: untold,
    });
    let proof = match result {
        Ok(Some(WholeRead { has_content, stamp })) => {
            let found = xet.map(FileHasher::finish);
            let finding = HashFinding::new(has_content, &claims, found);
            match finding.is_good(&job.content) {
                true => HashResult::Good(finding, stamp),
                false => HashResult::Bad(finding),
            }
        }
        Ok(None) => return,
        Err(err) => HashResult::Unreadable(err.to_string()),
    };
    tell(HashEvent::Ended { job: index, proof });
}

fn claims(job: &Job) -> Claims {
    let read = sidecar::read(&job.sidecar, &job.content, job.size_bytes);
    Claims {
        listed: job.xet_hash,
        sidecar: match read {
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
    fn jobs(dir: &std::path::Path) -> Vec<Job> {
        let empty = "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let other = "git:b45ef6fec89518d314f546fd6c3025367b721684";
        let job = |(name, content): (&str, &str)| {
            let path = dir.join(name);
            if name != "gone" {
                std::fs::write(&path, "").unwrap();
            }
            Job {
                name: name.into(),
                path,
                content: content.parse().unwrap(),
                size_bytes: 0,
                xet_hash: None,
                sidecar: dir.join("none.xet"),
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
            if let HashEvent::Ended { job, proof } = event {
                ended.push((job, proof));
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
