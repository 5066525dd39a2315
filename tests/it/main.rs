//! Integration tests: contracts, stories and the real binary.

mod engine;
mod support;
