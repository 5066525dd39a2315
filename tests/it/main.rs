//! Integration tests: contracts, stories and the real binary.

mod schedule_oracle;
mod schedule_properties;
mod schedule_truth_table;
mod hub_client;
mod support;
