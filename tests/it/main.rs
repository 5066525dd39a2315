//! Integration tests: contracts, stories and the real binary.

mod hub_client;
mod support;
