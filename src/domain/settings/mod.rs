//! Settings: their keys, their values, and the source of each value.
//!
//! One table defines everything about a key. A value is text until
//! `Settings::resolve` has parsed all of them; no later code parses a setting
//! or asks whether a flag was given.

mod key;
mod resolved;
mod value;

pub use key::{SettingKey, SettingSpec, ValueKind};
pub use resolved::{SettingLayers, Settings};
pub use value::{SettingError, SettingSource, SettingValue};
