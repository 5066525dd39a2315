//! A child process and its descendants, which are ended together.
//!
//! On Unix they are a process group. On Windows `taskkill` follows the process tree
//! downwards; it does not find descendants of a child that has ended by itself, and
//! those go on.
//!
//! After a `kill -9` of this process the kernel of Linux ends the child, but not the
//! child's own children: its signal at the death of a parent is for one process. Those of a
//! gate are found by their variables and ended by the next run; those of a hook may stay in
//! the background on purpose. macOS has no such signal and shows no environments, and a job
//! object of Windows would also end the processes that a hook leaves; there a child goes on
//! until it ends by itself.

use std::io;
use std::process::{Child, Command, ExitStatus};
#[cfg(unix)]
use std::time::{Duration, Instant};

/// How long the group may take to end after SIGTERM, before SIGKILL. A run that is
/// asked to end has two seconds in all.
#[cfg(unix)]
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct ProcessGroup(Child);

impl ProcessGroup {
    /// Starts a child as the leader of a new process group, so that a Ctrl-C for
    /// this process does not reach it.
    pub fn start(mut command: Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        #[cfg(unix)]
        prepare_child(&mut command);
        command.spawn().map(Self)
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Reaps the child, which has ended or is about to.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}

/// Lets the child receive signals, which the threads of this process block, and on Linux
/// makes the kernel kill it at the end of the thread that starts it, which waits for the
/// child in all other cases.
#[cfg(unix)]
#[allow(unsafe_code)]
fn prepare_child(command: &mut Command) {
    use nix::sys::signal::SigSet;
    #[cfg(target_os = "linux")]
    let parent = Some(rustix::process::getpid());
    let prepare = move || {
        SigSet::empty().thread_set_mask()?;
        #[cfg(target_os = "linux")]
        end_with(parent)?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes few system calls, and allocates nothing.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, prepare);
    }
}

/// Asks the kernel to kill this process when its parent ends.
#[cfg(target_os = "linux")]
fn end_with(parent: Option<rustix::process::Pid>) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the kernel was asked.
    if getppid() == parent {
        Ok(())
    } else {
        Err(io::ErrorKind::NotConnected.into())
    }
}

#[cfg(unix)]
impl ProcessGroup {
    /// Tells whether the child has ended, without reaping it: until it is reaped
    /// its process group id cannot be used again.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Sends SIGTERM to the group, and SIGKILL after the grace period.
    pub fn terminate(&mut self) -> io::Result<ExitStatus> {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let send = |signal| {
            if let Some(group) = group {
                let _ = kill_process_group(group, signal);
            }
        };
        send(Signal::TERM);
        let asked_at = Instant::now();
        while asked_at.elapsed() < GRACE && !self.has_ended().unwrap_or(true) {
            std::thread::sleep(super::child::poll_after(asked_at.elapsed()));
        }
        send(Signal::KILL);
        self.wait()
    }
}

#[cfg(not(unix))]
impl ProcessGroup {
    /// Tells whether the child has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// Ends the process tree.
    pub fn terminate(&mut self) -> io::Result<ExitStatus> {
        #[cfg(windows)]
        end_tree(&self.0);
        // Killing a child that has already ended fails, which does not matter.
        let _ = self.0.kill();
        self.wait()
    }
}

/// The child's id cannot be used again while its handle is open.
#[cfg(windows)]
fn end_tree(child: &Child) {
    use std::path::PathBuf;
    use std::process::Stdio;
    let system = std::env::var_os("SystemRoot").map(PathBuf::from);
    // By its absolute path: on Windows the current directory comes before `PATH`.
    let program = system.map_or_else(
        || PathBuf::from("taskkill.exe"),
        |root| root.join("System32").join("taskkill.exe"),
    );
    let mut command = Command::new(program);
    command
        .args(["/T", "/F", "/PID", &child.id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    super::child::hide_window(&mut command);
    let _ = command.status();
}
