//! What the tests share.

pub mod cache;
pub mod env;
pub mod http_source;
pub mod sound;
pub mod source;
