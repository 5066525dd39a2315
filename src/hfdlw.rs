//! `hfdlw`: `hfdl` without a console window. See `hfdl::sys::windowless`.

#![windows_subsystem = "windows"]

fn main() -> std::process::ExitCode {
    hfdl::sys::windowless::run()
}
