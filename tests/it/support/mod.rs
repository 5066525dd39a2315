//! What the tests share.

pub mod cache;
pub mod env;
pub mod http_source;
pub mod proxy;
pub mod sound;
pub mod source;
