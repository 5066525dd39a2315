//! `hfdlw`: `hfdl` without a console window. See `sys::windowless`.

#![windows_subsystem = "windows"]

fn main() -> std::process::ExitCode {
    hfdl::run_without_console()
}
