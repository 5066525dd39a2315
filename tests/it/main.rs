//! Integration tests: contracts, stories and the real binary.

mod cache_accept;
mod cache_local_dir;
mod cache_publish;
mod cache_scan;
mod cache_sweep;
mod support;
