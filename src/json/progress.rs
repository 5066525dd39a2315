//! The progress of a run: in the status, and as the file with which the run tells it to
//! `hfdl status` of other processes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::progress::{FileProgress, RunProgress, RunWait, Share, SomeModels};
use crate::domain::run::RunProcess;
use crate::domain::time::{Timestamp, render_utc};

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct ProgressView {
    models: ShareView,
    unfinished: SomeModelsView,
    checking: SomeModelsView,
    files: ShareView,
    files_read: ShareView,
    bytes: ShareView,
    bytes_read: ShareView,
    bytes_copied: u64,
    bytes_per_second: Option<u64>,
    seconds_left: Option<u64>,
    active: Vec<FileProgressView>,
    waits: Vec<WaitView>,
    stalled_seconds: Option<u64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct ShareView {
    done: u64,
    total: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct SomeModelsView {
    first: Option<String>,
    more: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct FileProgressView {
    name: String,
    bytes: ShareView,
}

#[derive(Debug, Deserialize, Serialize)]
struct WaitView {
    file: Option<String>,
    message: String,
    /// Seconds until the next attempt.
    seconds_left: Option<u64>,
}

/// The file of a run in progress.
#[derive(Deserialize, Serialize)]
struct ProgressFile {
    host: String,
    pid: u32,
    at: String,
    progress: ProgressView,
}

/// Renders the file with which a process tells its progress.
pub fn progress_text(process: &RunProcess, at: Timestamp, progress: &RunProgress) -> String {
    let file = ProgressFile {
        host: process.host.clone(),
        pid: process.pid,
        at: render_utc(at),
        progress: ProgressView::from(progress),
    };
    // Structs with text keys, which cannot fail.
    serde_json::to_string(&file).unwrap_or_default()
}

/// Reads the progress of a process as of now; `None` for the file of another process, or of
/// one before `since`.
pub fn read_progress(
    text: &str,
    process: &RunProcess,
    since: Timestamp,
    now: Timestamp,
) -> Option<RunProgress> {
    let file: ProgressFile = serde_json::from_str(text).ok()?;
    let at: Timestamp = file.at.parse().ok()?;
    let is_its = file.host == process.host && file.pid == process.pid && at >= since;
    is_its.then(|| RunProgress::from(file.progress).after(at, now))
}

impl From<&RunProgress> for ProgressView {
    fn from(progress: &RunProgress) -> Self {
        Self {
            models: progress.models.into(),
            unfinished: SomeModelsView::from(&progress.unfinished),
            checking: SomeModelsView::from(&progress.checking),
            files: progress.files.into(),
            files_read: progress.files_read.into(),
            bytes: progress.fetched.into(),
            bytes_read: progress.read.into(),
            bytes_copied: progress.bytes_copied,
            bytes_per_second: progress.bytes_per_second,
            seconds_left: progress.seconds_left,
            active: (progress.active.iter())
                .map(|file| FileProgressView {
                    name: file.name.clone(),
                    bytes: file.bytes.into(),
                })
                .collect(),
            waits: progress.waits.iter().map(WaitView::from).collect(),
            stalled_seconds: progress.stalled_for.map(|span| span.as_secs()),
        }
    }
}

impl From<ProgressView> for RunProgress {
    fn from(view: ProgressView) -> Self {
        Self {
            models: view.models.into(),
            unfinished: view.unfinished.into(),
            checking: view.checking.into(),
            files: view.files.into(),
            files_read: view.files_read.into(),
            fetched: view.bytes.into(),
            read: view.bytes_read.into(),
            bytes_copied: view.bytes_copied,
            bytes_per_second: view.bytes_per_second,
            seconds_left: view.seconds_left,
            active: (view.active.into_iter())
                .map(|file| FileProgress {
                    name: file.name,
                    bytes: file.bytes.into(),
                })
                .collect(),
            waits: view.waits.into_iter().map(RunWait::from).collect(),
            stalled_for: view.stalled_seconds.map(Duration::from_secs),
        }
    }
}

impl From<Share> for ShareView {
    fn from(Share { done, total }: Share) -> Self {
        Self { done, total }
    }
}

impl From<ShareView> for Share {
    fn from(ShareView { done, total }: ShareView) -> Self {
        Self { done, total }
    }
}

impl From<&SomeModels> for SomeModelsView {
    fn from(models: &SomeModels) -> Self {
        Self {
            first: models.first.clone(),
            more: models.n_more,
        }
    }
}

impl From<SomeModelsView> for SomeModels {
    fn from(view: SomeModelsView) -> Self {
        Self {
            first: view.first,
            n_more: view.more,
        }
    }
}

impl From<&RunWait> for WaitView {
    fn from(wait: &RunWait) -> Self {
        let seconds = |left: Duration| left.as_millis().div_ceil(1000) as u64;
        Self {
            file: wait.file.clone(),
            message: wait.message.clone(),
            seconds_left: wait.left.map(seconds),
        }
    }
}

impl From<WaitView> for RunWait {
    fn from(view: WaitView) -> Self {
        Self {
            file: view.file,
            message: view.message,
            left: view.seconds_left.map(Duration::from_secs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> RunProcess {
        RunProcess {
            host: "h".to_owned(),
            pid,
            boot_id: None,
            process_start: None,
            version: "0".to_owned(),
        }
    }

    #[test]
    fn a_progress_is_read_as_it_was_told_and_only_of_its_own_process() {
        let models = |name: &str| SomeModels {
            first: Some(name.to_owned()),
            n_more: 2,
        };
        let progress = RunProgress {
            unfinished: models("acme/a"),
            checking: models("acme/b"),
            models: Share { done: 1, total: 4 },
            files: Share { done: 2, total: 5 },
            files_read: Share { done: 3, total: 6 },
            fetched: Share { done: 4, total: 7 },
            read: Share { done: 5, total: 8 },
            bytes_copied: 6,
            bytes_per_second: Some(7),
            seconds_left: Some(8),
            active: vec![FileProgress {
                name: "m.bin".to_owned(),
                bytes: Share { done: 6, total: 9 },
            }],
            waits: vec![RunWait {
                file: Some("m.bin".to_owned()),
                message: "rate limited".to_owned(),
                left: Some(Duration::from_secs(9)),
            }],
            stalled_for: Some(Duration::from_secs(10)),
        };
        let at = Timestamp::from_second(100).unwrap();
        let text = progress_text(&process(1), at, &progress);
        let read = |pid, since| read_progress(&text, &process(pid), since, at);
        assert_eq!(read(1, at), Some(progress));
        assert_eq!(read(2, at), None);
        assert_eq!(read(1, Timestamp::from_second(101).unwrap()), None);
        assert_eq!(read_progress("{", &process(1), at, at), None);
    }
}
