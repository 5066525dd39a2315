//! Pure values and decisions: no file, no socket, no clock.
//!
//! Values enter by parsing and are valid from then on; no later code checks
//! them again. Decisions are functions of plain values, with the current time
//! and random numbers as arguments, and return a plan or a verdict that `ops`
//! carries out. Nothing here derives serde: JSON shapes are separate structs in
//! `json` and the `wire` modules. Deliberately absent: SQL, HTTP, paths of
//! the cache, and any text layout for the terminal.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | model | a registered entry: a repository (model, dataset, space or kernel) at a revision, with filters and a destination |
//! | sibling | another model of the cache at the same repository and revision; both share one ref |
//! | quantisation | one form of a GGUF model, such as `Q4_K_M`, with its projector and small files |
//! | target | one repository at one revision to synchronise, registered or given on the command line |
//! | destination | the place of the files: the shared Hub cache, or a plain directory |
//! | snapshot | the files of a repository at one commit; *published* when readers of the destination see it |
//! | hold | an update that waits for a person, with its findings |
//! | finding | one reason to hold an update, with a sentence for a person |
//! | guard | a check of updates that compares two commits, or reads a header, and returns findings |
//! | gate | a program of the user that checks each new commit before it is published |
//! | tag | a word that models share, with defaults for them; a tag of a repository is always named so |
//! | policy | the treatment of new commits: follow, approve or pin; with a delay and tags to follow |
//! | pin | the commit that a model stays at |
//! | schedule | a cadence with windows and limits, and the selection of models it includes |
//! | cadence | the calendar rule of a schedule: interval, daily, weekly, monthly, cron or once |
//! | slot | one planned instant of a cadence |
//! | tick | one start of `hfdl run-due` by the timer of the operating system |
//! | due | a slot has come, is not served, its window is open, and no retry time is pending |
//! | served | no further work is needed for a slot: its models have final results, or it was skipped |
//! | window | hours in which bytes may flow; its end is the *deadline* |
//! | budget | a limit of a run or a schedule: bytes, duration, rate or connections |
//! | allowance | bytes per day or month, over many runs: of the home, a schedule or a tag |
//! | forecast | the time at which a model is expected to be whole, with its range |
//! | jitter | the fixed delay of a schedule on one host |
//! | shard | one of N parts of the models, when several machines share the work |
//! | run | one process of `hfdl` with work, as recorded in the database |
//! | session | one attempt at one target within a run, with a record for each file |
//! | outcome | the result word of a session |
//! | change note | the changes of an update: its commits, files, and bytes |
//! | report | the figures and updates of a period, by day and by model |
//! | plan | the action for each file of a target: keep, link, resume, fetch or delete |
//! | partial file | the unfinished bytes of a download, kept so that a later run can resume |
//! | segment | a byte range of a large file that one connection downloads |
//! | journal | the record beside a partial file of the ranges that are on disk |
//! | only copy | a published commit on disk that the Hub has no more |
//! | moved ref | a ref of the cache that names another commit than the published one |
//! | route | one way to get the bytes of a file: the CDN, Xet chunks, a mirror |
//! | delta | a new file built from ranges of old files and fetched ranges |
//! | chunk_search | the bytes to ask about where the terms of a new file are too long for a delta |
//! | proof | a record that a file was read whole and had its hash; valid while the file is unchanged |
//! | scrub | the reading of published files again, a part each night, so that damage on disk is found |
//! | claim | the record, written before the first byte, that a run is working on a slot |
//! | adopted file | a file of another program that was hashed once, so that downloads can use its bytes |
//! | view | the files of a model where another program looks for them, made of links (`ModelView` and the like in `json` are shapes of output) |
//! | lock file | `hfdl.lock`: the commit and the files of each model, to be reproduced elsewhere |
//! | home | the directory with the database, logs and locks of one installation |

pub mod adopt;
pub mod alert;
pub mod allowance;
pub mod argv;
pub mod changes;
pub mod checksums;
mod chunk_index;
pub mod chunk_search;
pub mod content;
pub mod deletion;
pub mod delta;
pub mod field;
pub mod filter;
pub mod forecast;
pub mod gate;
pub mod guard;
pub mod health;
pub mod hold;
pub mod invalid_value;
pub mod licence;
pub mod lock_file;
pub mod login;
pub mod model;
pub mod moved_ref;
pub mod nearest;
pub mod origin;
pub mod outcome;
pub mod pause;
pub mod place;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod proof;
pub mod quantisation;
pub mod queue_order;
pub mod ranges;
pub mod repo;
pub mod repo_arg;
pub mod report;
pub mod retention;
pub mod retry;
pub mod run;
pub mod sample;
pub mod sbom;
pub mod schedule;
pub mod scrub;
pub mod session;
pub mod settings;
pub mod shard;
pub mod snapshot;
pub mod status;
pub mod tag;
pub mod time;
pub mod timer;
pub mod units;
pub mod update;
pub mod view;
pub mod way;
pub mod xet;
pub mod yaml;
