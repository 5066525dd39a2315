//! The `hfdl` program: one call into the library.

fn main() -> std::process::ExitCode {
    hfdl::run()
}
