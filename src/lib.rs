//! Keeps Hugging Face repositories on disk, verified and current, from cron.

pub mod domain;
pub mod download;
pub mod sys;

pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
