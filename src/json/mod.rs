//! JSON documents that other programs read, on stdout, in `status.json` and on the
//! stdin of hooks.
//!
//! Each entity has one shape: a model, schedule, run, session, setting, pause or
//! status. Domain values enter through `From` or `new`; a `serde_json::Value` or a
//! text leaves. The field names are the contract: fields are added, never renamed or
//! dropped, and a change of meaning gets a new schema number. Field order is part of
//! the output and stays.
//!
//! `schema/` describes every document with a JSON Schema; the tests hold all output
//! against it.
//!
//! Deliberately absent: printing and YAML (`ui`), the answers of single commands that
//! nothing else shows (`cli`), and formats that only hfdl reads back (`wire.rs` in
//! `store` and `cache`).

mod change_note;
mod cyclonedx;
mod document;
mod fields;
mod gate;
mod hook;
mod model;
mod moved_ref;
mod pause;
mod plan;
mod progress;
mod report;
mod run;
mod schedule;
mod schema;
mod session;
mod setting;
mod status;
mod tag;
mod update;

pub use change_note::ChangeNoteView;
pub use cyclonedx::cyclonedx;
pub use document::{document, error, line, render, write};
pub use gate::{GateDocument, GateFile, gate_line};
pub use hook::hook_line;
pub use model::{ModelView, SizedModel, destination, models};
pub use moved_ref::MovedRefView;
pub use pause::PauseView;
pub use plan::{ForecastView, TotalsView};
pub use progress::{progress_text, read_progress};
pub use report::ReportView;
pub use run::{RunResult, RunSummaryView, RunView, skipped_run, skipped_schedules};
pub use schedule::{DueScheduleView, ScheduleView};
pub use schema::{schema, schema_names};
pub use session::{SessionFileView, SessionView};
pub use setting::SettingView;
pub use status::status;
pub use tag::TagView;
pub use update::{FileDifferenceView, UpdateView};
