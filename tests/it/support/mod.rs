//! What the tests share.

pub mod cache;
pub mod http_source;
