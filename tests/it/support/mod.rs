//! What the tests share.

pub mod cache;
pub mod env;
pub mod http_source;
#[cfg(unix)]
pub mod programs;
pub mod proxy;
pub mod sound;
pub mod source;
