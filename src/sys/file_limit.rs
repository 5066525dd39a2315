//! The limit on open files of this process.
//!
//! The default is low (256 on macOS, 1024 on Linux), and a process may raise it.
//! Windows has no relevant limit.

use std::io;

/// The hint for a user when the limit is reached.
pub const ADVICE: &str = "allow more open files (`ulimit -n`), or set `download.connections` lower";

/// Raises the limit as far as the system allows; called once, at the start.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // More than any run needs. macOS refuses a limit above its own maximum,
    // although it reports the limit as infinite.
    const ENOUGH: u64 = 10_240;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    let is_less = limit.current.is_some_and(|current| current < most);
    if is_less {
        let raised = Rlimit {
            current: Some(most),
            ..limit
        };
        // On failure there are fewer connections, see `connections_within`.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

#[cfg(not(unix))]
pub fn raise() {}

/// Returns the limit on open files, where there is one.
pub fn current() -> Option<u64> {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit = None;
    limit
}

/// Returns the wanted number of connections, reduced to fit a limit on open files.
/// Each connection may also have a file, its journal and its lock open, and the
/// rest of the program needs some.
pub fn connections_within(wanted: usize, limit: Option<u64>) -> usize {
    const FILES_PER_CONNECTION: u64 = 4;
    const OTHER_FILES: u64 = 40;
    let room = limit.map_or(u64::MAX, |limit| {
        limit.saturating_sub(OTHER_FILES) / FILES_PER_CONNECTION
    });
    wanted
        .min(usize::try_from(room).unwrap_or(usize::MAX))
        .max(1)
}

/// Tells whether an open failed because too many files are open.
pub fn is_reached(error: &io::Error) -> bool {
    match error.raw_os_error() {
        // The limit of this process, or of the whole system.
        #[cfg(unix)]
        Some(code) => {
            use rustix::io::Errno;
            code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error()
        }
        // ERROR_TOO_MANY_OPEN_FILES
        #[cfg(not(unix))]
        Some(code) => code == 4,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_open_files_mean_few_connections() {
        assert_eq!(connections_within(16, None), 16);
        assert_eq!(connections_within(16, Some(1_024)), 16);
        assert_eq!(connections_within(16, Some(80)), 10);
        assert_eq!(connections_within(16, Some(20)), 1);
        assert_eq!(connections_within(256, Some(10_240)), 256);
    }
}
