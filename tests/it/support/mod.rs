//! What the tests share.

pub mod cache;
pub mod env;
pub mod exposition;
pub mod http_source;
pub mod inbox;
pub mod sound;
pub mod source;
