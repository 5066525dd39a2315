//! Integration tests: contracts, stories and the real binary.

mod schedule_oracle;
mod schedule_properties;
mod schedule_truth_table;
mod hub_client;
mod store_entities;
mod store_file;
mod store_processes;
mod store_properties;
mod store_samples;
mod cache_accept;
mod cache_local_dir;
mod cache_publish;
mod cache_scan;
mod cache_sweep;
mod engine;
mod support;
