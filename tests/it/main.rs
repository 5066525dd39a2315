//! Integration tests: contracts, stories and the real binary.

// Clippy spares test functions only; a helper of tests is no different.
#![allow(clippy::unwrap_used)]

mod cache_accept;
mod cache_local_dir;
mod cache_publish;
mod cache_scan;
mod cache_sweep;
mod support;
