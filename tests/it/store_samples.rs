//! A home for a real database file, and entries to put into it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use hfdl::domain::content::ContentId;
use hfdl::domain::filter::Filter;
use hfdl::domain::guard::Guards;
use hfdl::domain::hold::HoldReason;
use hfdl::domain::model::{Destination, EntryName, ModelSpec, Priority};
use hfdl::domain::origin::{OriginKind, Reused};
use hfdl::domain::outcome::{ErrorKind, Outcome, RunOutcome, Trigger};
use hfdl::domain::policy::UpdateRules;
use hfdl::domain::proof::ProofStamp;
use hfdl::domain::repo::{Repo, RepoType, Revision};
use hfdl::domain::run::{RunCommand, RunEnd, RunId, RunProcess, RunStart};
use hfdl::domain::schedule::{
    Cadence, CadenceKind, CatchUp, ScheduleSpec, ScheduleState, Selection, Windows,
};
use hfdl::domain::session::{
    ByteCounts, FileCounts, FileResult, FileSource, SessionEnd, SessionFile, SessionProgress,
    SessionStart, Trouble,
};
use hfdl::domain::time::Timestamp;
use hfdl::domain::units::{ByteSize, Seconds};
use hfdl::store::{Store, StoreError};

/// A directory that does not exist yet, in one that disappears with the test.
pub struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("hfdl.db")
    }

    pub fn open(&self) -> Store {
        Store::open(&self.database(), at(0)).unwrap()
    }

    /// Opens the file behind the store's back, once the store has made it.
    pub fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).unwrap()
    }

    /// Fails to open, and returns the typed reason.
    pub fn refused(&self) -> StoreError {
        let err = Store::open(&self.database(), at(0)).unwrap_err();
        assert!(format!("{err:#}").contains("hfdl.db"), "{err:#}");
        err.downcast::<StoreError>().unwrap()
    }
}

/// An instant, counted from an arbitrary one.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

pub fn name(text: &str) -> EntryName {
    text.parse().unwrap()
}

pub fn names(texts: &[&str]) -> BTreeSet<EntryName> {
    texts.iter().map(|text| name(text)).collect()
}

pub fn commit(digit: char) -> hfdl::domain::repo::CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

pub fn content(digit: char) -> ContentId {
    ContentId::from_etag(&digit.to_string().repeat(64)).unwrap()
}

/// A model in the cache whose repository is named like itself.
pub fn model(text: &str) -> ModelSpec {
    ModelSpec {
        name: name(text),
        repo: Repo::new(RepoType::Model, text.parse().unwrap()),
        revision: Revision::main(),
        filter: Filter::default(),
        destination: Destination::Cache,
        priority: Priority::default(),
        keep_revisions: None,
        enabled: true,
        tags: BTreeSet::new(),
        token_name: None,
        views: BTreeSet::new(),
        view_map: BTreeSet::new(),
        view_copy: false,
        checksums: false,
        update: UpdateRules::default(),
    }
}

const SAMPLE_VIEW: &str = if cfg!(windows) {
    "dir=C:\\srv\\a, 'b'"
} else {
    "dir=/srv/a, \"b\""
};

/// A model with every field set to something else than its default.
pub fn rich_model(text: &str) -> ModelSpec {
    ModelSpec {
        repo: Repo::new(RepoType::Dataset, "acme/rich".parse().unwrap()),
        revision: "refs/pr/7".parse().unwrap(),
        filter: Filter {
            include: Some(vec![
                "*.json".to_owned(),
                "a \"quoted\", ünïcode\n".to_owned(),
            ]),
            exclude: vec!["*.bin".to_owned()],
            ..Filter::default()
        },
        destination: Destination::Directory(PathBuf::from("/srv/data/rich files")),
        priority: "99".parse().unwrap(),
        keep_revisions: Some(3),
        enabled: false,
        tags: names(&["llm", "night"]),
        token_name: Some("Büro: work".parse().unwrap()),
        views: [SAMPLE_VIEW.parse().unwrap()].into(),
        view_map: ["a.bin=vae/ünï.bin".parse().unwrap()].into(),
        view_copy: true,
        checksums: true,
        update: UpdateRules {
            policy: "pin@0123abc".parse().ok(),
            delay: Some(Seconds(604_800)),
            follow_tags: "v*".parse().ok(),
            guards: Some(Guards([HoldReason::NoFiles].into())),
        },
        ..model(text)
    }
}

pub fn schedule(text: &str) -> ScheduleSpec {
    ScheduleSpec {
        name: name(text),
        cadence: Cadence::parse(CadenceKind::Daily, "02:30").unwrap(),
        time_zone: "Europe/Berlin".to_owned(),
        windows: Windows::parse(["22:00-07:00"]).unwrap(),
        catch_up: CatchUp::default(),
        jitter: Seconds(0),
        limit_rate: None,
        max_duration: None,
        max_transfer: None,
        limit_daily: None,
        limit_monthly: None,
        priority: Priority::default(),
        enabled: true,
        selection: Selection {
            all: true,
            ..Selection::default()
        },
    }
}

/// A schedule with every field set to something else than its default.
pub fn rich_schedule(text: &str) -> ScheduleSpec {
    ScheduleSpec {
        cadence: Cadence::parse(CadenceKind::Interval, "6h").unwrap(),
        windows: Windows::parse(["22:00-07:00", "Sat@10:00-12:00"]).unwrap(),
        catch_up: CatchUp::Once {
            within: Some(Seconds(7_200)),
        },
        jitter: Seconds(600),
        limit_rate: Some("08:00,512K 19:00,10M 23:00,off".parse().unwrap()),
        max_duration: Some(Seconds(14_400)),
        max_transfer: Some(ByteSize(1 << 40)),
        limit_daily: Some(ByteSize(1 << 31)),
        limit_monthly: Some(ByteSize(1 << 36)),
        priority: "7".parse().unwrap(),
        enabled: false,
        selection: Selection::default(),
        ..schedule(text)
    }
}

/// A schedule that waits for an instant.
pub fn waiting_until(next_due_at: Timestamp) -> ScheduleState {
    ScheduleState {
        anchor_at: at(0),
        not_before_at: at(0),
        next_due_at: Some(next_due_at),
        last_slot_at: None,
        open_slot_at: None,
        retry_at: None,
        retry_count: 0,
    }
}

pub fn run_at(started_at: Timestamp) -> RunStart {
    RunStart {
        command: RunCommand::RunDue,
        trigger: Trigger::Timer,
        process: RunProcess {
            host: "machine".to_owned(),
            pid: u32::MAX,
            boot_id: Some("boot".to_owned()),
            process_start: None,
            version: "0.1.0".to_owned(),
        },
        at: started_at,
    }
}

pub fn run_end(ended_at: Timestamp) -> RunEnd {
    RunEnd {
        at: ended_at,
        outcome: RunOutcome::Ok,
        exit_code: Some(0),
    }
}

/// A session of a repository that is not registered.
pub fn session(run: &RunId, started_at: Timestamp) -> SessionStart {
    SessionStart {
        run_id: run.clone(),
        model_id: None,
        model_name: None,
        repo: Repo::new(RepoType::Model, "acme/tiny".parse().unwrap()),
        revision: Revision::main(),
        destination: Destination::Cache,
        schedule_id: None,
        schedule_name: None,
        slot_at: None,
        trigger: Trigger::Timer,
        old_commit: None,
        at: started_at,
    }
}

pub fn progress() -> SessionProgress {
    SessionProgress {
        new_commit: Some(commit('b')),
        path: Some(PathBuf::from("/cache/snapshots/b")),
        files: FileCounts {
            total: 4,
            fetched: 2,
            reused: 1,
            deleted: 1,
        },
        bytes: ByteCounts {
            total: 1 << 42,
            fetched: 700,
            reused: 300,
            left: 24,
        },
        reused_from: vec![
            Reused {
                kind: OriginKind::Adopted,
                repo: Some(Repo::new(RepoType::Dataset, "acme/rich".parse().unwrap())),
                folder: Some("/old/a \"quoted\" name".into()),
                n_files: 1,
                bytes: 250,
            },
            Reused {
                kind: OriginKind::Others,
                repo: None,
                folder: None,
                n_files: 3,
                bytes: 40,
            },
        ],
        retries: 5,
    }
}

pub fn ended(outcome: Outcome, ended_at: Timestamp) -> SessionEnd {
    SessionEnd {
        at: ended_at,
        outcome,
        verify_outcome: None,
        trouble: None,
    }
}

pub fn trouble() -> Trouble {
    Trouble {
        kind: ErrorKind::RateLimit,
        message: "the Hub asked to wait".to_owned(),
        hint: Some("set a token".to_owned()),
    }
}

/// The stamp of a file of some size.
pub fn stamp(size_bytes: u64) -> ProofStamp {
    ProofStamp {
        size_bytes,
        modified_ns: 1_790_000_000_123_456_789,
        inode: Some(u64::MAX - 41),
    }
}

pub fn file(path: &str) -> SessionFile {
    SessionFile {
        path: path.parse().unwrap(),
        content: content('c'),
        size_bytes: 1000,
        bytes_fetched: 700,
        bytes_reused: 300,
        source: Some(FileSource::Xet),
        retries: 2,
        result: FileResult::Verified,
        found_bad: true,
    }
}
