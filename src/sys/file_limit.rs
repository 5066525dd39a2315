//! How many files this process may have open.
//!
//! Systems give a process few by default (256 on macOS, 1024 on Linux) and let
//! it ask for more. Windows has no such limit that matters here.

use std::io;

/// What a person does when there are too few.
pub const ADVICE: &str = "allow more open files (`ulimit -n`), or set `download.connections` lower";

/// Takes as many open files as the system grants; called once, at the start.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // More than any run needs. macOS refuses what is above its own maximum,
    // although it calls the limit infinite.
    const ENOUGH: u64 = 10_240;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    let is_less = limit.current.is_some_and(|current| current < most);
    if is_less {
        let raised = Rlimit {
            current: Some(most),
            ..limit
        };
        // Without it there are fewer connections, see `connections_within`.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

#[cfg(not(unix))]
pub fn raise() {}

/// Returns how many files may be open at a time, where that is limited.
pub fn current() -> Option<u64> {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit = None;
    limit
}

/// Returns as many of the wanted connections as a limit of open files leaves
/// room for. Each may have a file, its journal and its lock open beside it;
/// the rest of the program has some as well.
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

/// Tells whether a file could not be opened because too many are open already.
pub fn is_reached(error: &io::Error) -> bool {
    match error.raw_os_error() {
        // Of this process, or of the whole system.
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
