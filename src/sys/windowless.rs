//! Starts `hfdl` without a console window, for the Windows Task Scheduler.
//!
//! A console program that a task starts for a logged-on user opens a window at
//! every tick and takes the keyboard focus. A program of the windows subsystem
//! opens none, and can start a console program without one. `conhost --headless`
//! does the same, but only on new versions of Windows.

use std::process::{Command, ExitCode, Stdio};

/// Runs the `hfdl` beside this program with the same arguments and returns its code.
pub fn run() -> ExitCode {
    // Output is invisible here; a task shows only the exit code.
    const CANNOT_START: u8 = 1;
    let Ok(own) = std::env::current_exe() else {
        return ExitCode::from(CANNOT_START);
    };
    let mut command =
        Command::new(own.with_file_name(if cfg!(windows) { "hfdl.exe" } else { "hfdl" }));
    command
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::null());
    super::child::hide_window(&mut command);
    let code = command.status().ok().and_then(|status| status.code());
    ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(CANNOT_START),
    )
}
