//! Other processes: their identity, termination, and whether a program runs.

use super::host::Host;
use crate::domain::outcome::ExitStatus;

/// Ends this process at once, whatever its other threads do.
pub fn exit(status: ExitStatus) -> ! {
    super::live_lines::clear_at_exit();
    std::process::exit(status.code().into())
}

/// Ends this process as `kill -9` does, without running any of its code.
#[cfg(unix)]
pub(super) fn kill_this() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}

/// Ends this process as `kill -9` does, without running any of its code. An abort would
/// start the debugger that the machine has for crashes.
#[cfg(windows)]
#[allow(unsafe_code)]
pub(super) fn kill_this() -> ! {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
    const KILLED: u32 = 128 + 9;
    // SAFETY: the handle of the current process is a constant that is always valid.
    unsafe { TerminateProcess(GetCurrentProcess(), KILLED) };
    std::process::abort();
}

/// Returns the start time of a process in the platform's own unit; `None` when
/// there is no such process or the platform does not tell.
///
/// A process id may be used again; the pair of id and start time is unique.
pub fn start_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_in_stat(&stat)
}

/// Finds field 22. The second field is the program's name in brackets, which
/// may itself hold spaces and brackets.
fn start_in_stat(stat: &str) -> Option<String> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

/// Sends SIGTERM to a process if it is still the one with this start time; tells
/// whether it was sent.
#[cfg(unix)]
pub fn terminate(pid: u32, start: &str) -> bool {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // An open pidfd keeps the id from being used again between the check and the
    // signal.
    #[cfg(target_os = "linux")]
    if let Ok(process) = rustix::process::pidfd_open(target, rustix::process::PidfdFlags::empty()) {
        return start_of(pid).as_deref() == Some(start)
            && rustix::process::pidfd_send_signal(process, Signal::TERM).is_ok();
    }
    start_of(pid).as_deref() == Some(start) && kill_process(target, Signal::TERM).is_ok()
}

/// A signal cannot reach a process on another console; that process reads the stop
/// request from the database.
#[cfg(not(unix))]
pub fn terminate(_pid: u32, _start: &str) -> bool {
    false
}

/// Kills the other processes that have all these variables in their environment, and
/// returns their number. Only Linux shows the environment of a process.
pub fn kill_with_variables(variables: &[(&str, &str)]) -> usize {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
        let wanted: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let kill = |entry: std::fs::DirEntry| {
            let id = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            // An open pidfd keeps the id from being used again before the signal.
            let process = pidfd_open(id, PidfdFlags::empty()).ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let entries: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
            let is_meant = wanted.iter().all(|one| entries.contains(&one.as_bytes()));
            (is_meant && id != getpid()).then(|| pidfd_send_signal(process, Signal::KILL))
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.filter_map(kill).flatten().count()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = variables;
        0
    }
}

/// Tells whether a program with one of these names runs; `None` where the
/// platform has no list to read.
pub fn is_running(host: &Host, names: &[&str]) -> Option<bool> {
    let list = host.test_variable("HFDL_TEST_PROCESSES").unwrap_or("/proc");
    let mut has_seen_any = false;
    for entry in std::fs::read_dir(list).ok()?.flatten() {
        if let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) {
            has_seen_any = true;
            if names.contains(&name.trim_end()) {
                return Some(true);
            }
        }
    }
    has_seen_any.then_some(false)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a ) (b) S {}", fields.join(" "));
        assert_eq!(start_in_stat(&stat).as_deref(), Some("22"));
        assert_eq!(start_in_stat("7 (cut"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_process_with_the_same_start_time_gets_the_signal() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let start = start_of(child.id()).expect("it runs");
        assert!(!terminate(child.id(), "1"));
        assert!(child.try_wait().unwrap().is_none());
        assert!(terminate(child.id(), &start));
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert!(!terminate(child.id(), &start));
    }
}
