//! What the tests share.

pub mod cache;
