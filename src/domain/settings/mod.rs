//! Settings: their keys, their values, and the source of each value.
//!
//! One row in `table` defines everything about a key: its kind, default and
//! description. Texts come from flags, environment variables, the database and
//! the defaults of the machine; they are collected in `SettingLayers`.
//! `Settings::resolve` parses all of them once at the start of a process and
//! takes the first source that has a value. No later code parses a setting or
//! asks whether a flag was given.
//!
//! Deliberately absent: reading the environment and the database (`ops`), and
//! settings of single models or schedules, which are fields of their entities.

mod key;
mod kind;
mod resolved;
mod table;
mod url;
mod value;

pub use key::SettingKey;
pub use kind::ValueKind;
pub use resolved::{SettingLayers, Settings};
pub use table::SettingSpec;
pub use value::{SettingError, SettingSource, SettingValue};
