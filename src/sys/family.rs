//! A child and what it has started in its turn, which can be ended together.
//!
//! On Unix they are a process group. On Windows the system's own `taskkill`
//! follows the tree downwards; what a child left behind when it ended by itself
//! is not found by it, and goes on.

use std::io;
use std::process::{Child, Command, ExitStatus};
#[cfg(unix)]
use std::time::{Duration, Instant};

/// How long a family has to end after it was asked to.
#[cfg(unix)]
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Family(Child);

impl Family {
    /// Starts a child that is the first of its family; a Ctrl-C for us is none for it.
    pub fn start(mut command: Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().map(Self)
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Waits for the child, which has ended or is about to.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}

#[cfg(unix)]
impl Family {
    /// Tells whether the child has ended. Its status is not taken: as long as
    /// it lies there, the number of the group cannot become another one's.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Asks the family to end, and makes it.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let tell = |signal| {
            if let Some(group) = group {
                let _ = kill_process_group(group, signal);
            }
        };
        tell(Signal::TERM);
        let asked_at = Instant::now();
        while asked_at.elapsed() < GRACE && !self.has_ended().unwrap_or(true) {
            std::thread::sleep(super::child::poll_after(asked_at.elapsed()));
        }
        tell(Signal::KILL);
        self.wait()
    }
}

#[cfg(not(unix))]
impl Family {
    /// Tells whether the child has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// Ends the family.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        #[cfg(windows)]
        end_tree(&self.0);
        // What has ended by now answers with an error, which is no trouble.
        let _ = self.0.kill();
        self.wait()
    }
}

/// Its own number cannot be another process's: the child's handle is open.
#[cfg(windows)]
fn end_tree(child: &Child) {
    use std::path::PathBuf;
    use std::process::Stdio;
    let system = std::env::var_os("SystemRoot").map(PathBuf::from);
    // By its whole path: the current directory comes before `PATH` here.
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
