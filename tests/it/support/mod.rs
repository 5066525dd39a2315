//! What the tests share.

pub mod cache;
#[cfg(target_os = "linux")]
pub mod disk;
pub mod env;
pub mod exposition;
pub mod http_source;
pub mod inbox;
#[cfg(unix)]
pub mod programs;
pub mod proxy;
pub mod sound;
pub mod source;
