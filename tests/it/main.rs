//! Integration tests: contracts, stories and the real binary.

mod support;
