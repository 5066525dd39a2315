//! Keeps Hugging Face repositories on disk, verified and current, from cron.

pub mod cache;
pub mod domain;
pub mod hub;
pub mod store;
pub mod download;
pub mod sys;

pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
