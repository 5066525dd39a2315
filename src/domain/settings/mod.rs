//! The settings: their keys, what each may be, and where a value came from.
//!
//! One table says everything about a key. A value travels as text until
//! `Settings::resolve` has parsed all of them; after that nobody parses again
//! and nobody asks whether a flag was given.

mod key;
mod resolved;
mod value;

pub use key::{SettingKey, SettingSpec, ValueKind};
pub use resolved::{SettingLayers, Settings};
pub use value::{Origin, SettingError, SettingValue};
