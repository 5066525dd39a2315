//! Integration tests: contracts, stories and the real binary.
// Windows runs a part of the tests, and needs a part of what they share.
#![cfg_attr(windows, allow(unused_imports, dead_code))]
// Clippy spares test functions only; a helper of tests is no different.
#![allow(clippy::unwrap_used)]
// The modules of hfdl and the clock of a test exist with debug assertions only.
#![cfg(debug_assertions)]

// The test hub is a module here, named as the crate that its program is made of.
extern crate self as hfdl_test_hub;
#[allow(dead_code, unused_imports)]
#[path = "../hub/src/lib.rs"]
mod test_hub;
use test_hub::*;

#[cfg(unix)]
mod adopt;
mod allowances;
mod apply_check;
mod apply_env;
mod apply_round_trip;
mod apply_stories;
mod apply_wrong_files;
mod bad_manners;
#[cfg(target_os = "linux")]
mod broken_places;
mod budgets;
mod cache_accept;
mod cache_local_dir;
mod cache_max_size;
mod cache_publish;
mod cache_scan;
mod cache_sweep;
mod change_notes;
mod changelog;
mod checksums;
mod cli_config;
mod cli_database;
mod cli_help;
mod cli_json;
mod cli_logs;
mod cli_models;
mod cli_output;
mod cli_pause;
mod cli_pictures;
mod cli_remove_files;
mod cli_runs;
mod cli_schedules;
mod cli_sessions;
mod cli_status;
mod cli_wrong_lines;
mod completions;
mod contract;
mod contract_flags;
mod cron_examples;
mod dead_ends;
mod delta;
mod delta_chunk_lengths;
mod delta_crash;
mod delta_places;
mod delta_probes;
mod delta_properties;
mod doctor;
mod download;
mod download_crash;
mod download_disk;
mod download_faults;
mod download_hostile;
mod engine;
mod engine_lanes;
mod failing_disk;
#[cfg(target_os = "linux")]
mod first_hour;
mod fnmatch_corpus;
#[cfg(unix)]
mod gate;
#[cfg(unix)]
mod guards;
mod habits;
mod header_corpus;
mod held_updates;
#[cfg(target_os = "linux")]
mod hints;
mod hub_client;
#[cfg(target_os = "linux")]
mod init;
mod install_script;
#[cfg(target_os = "linux")]
mod kills;
mod layers;
mod lock_files;
mod logins;
mod manual;
mod manual_pages;
mod manual_tables;
#[cfg(target_os = "linux")]
mod moved_refs;
#[cfg(target_os = "linux")]
mod nights;
mod notify;
#[cfg(target_os = "linux")]
mod odd_disks;
mod only_copies;
mod outdated;
mod ownership;
mod ownership_audit;
mod ownership_directories;
#[cfg(unix)]
mod ownership_properties;
#[cfg(target_os = "linux")]
mod partial_ends;
mod places;
mod planted_names;
mod policy;
mod progress;
#[cfg(target_os = "linux")]
mod progress_screens;
#[cfg(unix)]
mod proof;
mod prune;
mod read_only_blobs;
mod readme;
#[cfg(unix)]
mod releases;
mod report;
mod retention;
mod reused_from;
mod rollback;
mod run_due;
mod run_due_clock;
mod run_due_crash;
mod run_due_crowd;
mod run_due_limits;
mod run_due_scale;
mod run_due_shards;
mod run_due_truth;
mod run_due_unusable;
mod run_due_waits;
mod sbom;
mod schedule_oracle;
mod schedule_properties;
mod schedule_truth_table;
#[cfg(target_os = "linux")]
mod screens;
mod scrub;
mod selections;
#[cfg(unix)]
mod signals;
mod small_files;
mod start_stop;
mod store_entities;
mod store_file;
mod store_processes;
mod store_properties;
mod store_samples;
mod support;
mod tables;
mod tags;
mod timer_cron_daemon;
mod timer_crontab;
mod timer_database;
mod timer_render;
mod tls;
mod truth_of_output;
mod truth_of_words;
mod updates;
mod verify;
mod verify_memory;
mod verify_xet;
mod views;
mod windows_programs;
mod xet_chunks;
mod xet_client;
