//! The doors to the operating system; platform differences end here.

pub mod files;
