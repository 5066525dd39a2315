//! Integration tests: contracts, stories and the real binary.

// Clippy spares test functions only; a helper of tests is no different.
#![allow(clippy::unwrap_used)]

mod apply_env;
mod apply_round_trip;
mod apply_stories;
mod apply_wrong_files;
mod cache_accept;
mod cache_local_dir;
mod cache_publish;
mod cache_scan;
mod cache_sweep;
mod changelog;
mod cli_config;
mod cli_database;
mod cli_help;
mod cli_json;
mod cli_logs;
mod cli_models;
mod cli_output;
mod cli_pictures;
mod cli_remove_files;
mod cli_schedules;
mod cli_wrong_lines;
mod download;
mod download_crash;
mod download_disk;
mod download_faults;
mod download_hostile;
mod engine;
mod engine_lanes;
mod fnmatch_corpus;
mod hub_client;
mod layers;
mod outdated;
mod readme;
mod run_due_crash;
mod run_due_crowd;
mod run_due_scale;
mod run_due_truth;
mod schedule_oracle;
mod schedule_properties;
mod schedule_truth_table;
mod store_entities;
mod store_file;
mod store_processes;
mod store_properties;
mod store_samples;
mod support;
mod verify;
