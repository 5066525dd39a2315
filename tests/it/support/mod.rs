//! Helpers of several test modules: the environment of a test, the test hub's
//! files, small and failing disks, damaged files, stand-ins for programs of the system, a
//! terminal, and checks that must hold after every run.

pub mod cache;
pub mod damage;
pub mod database;
#[cfg(target_os = "linux")]
pub mod disk;
pub mod due;
pub mod env;
pub mod exposition;
#[cfg(all(target_os = "linux", not(target_env = "musl")))]
pub mod faults;
pub mod http_source;
pub mod inbox;
pub mod process;
#[cfg(unix)]
pub mod programs;
pub mod proxy;
pub mod schema;
pub mod sound;
pub mod source;
#[cfg(target_os = "linux")]
pub mod terminal;
pub mod truth_table;
pub mod xet;
