//! Processes that run beside a test and are killed with it.

use std::fs;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// A process that is killed when the test ends, also when it fails.
pub struct Victim(Option<Child>);

impl Victim {
    /// Starts a process without its output.
    pub fn start(mut command: Command) -> Self {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(Some(quiet.spawn().unwrap()))
    }

    /// Starts a process and keeps its output.
    pub fn heard(mut command: Command) -> Self {
        let heard = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(heard.spawn().unwrap()))
    }

    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.as_mut().unwrap().try_wait().unwrap()
    }

    /// Kills the process, as `kill -9` does.
    pub fn kill(&mut self) -> ExitStatus {
        let child = self.0.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap()
    }

    /// Waits for the end of the process and returns its output.
    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal; the program `kill` is not on every machine.
#[cfg(unix)]
pub fn send(process: u32, signal: rustix::process::Signal) {
    let process = rustix::process::Pid::from_raw(process.try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, signal).unwrap();
}

/// Waits until a process has a file of that name open, where the system tells.
pub fn wait_for_open_file(process: u32, name: &str) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let files = format!("/proc/{process}/fd");
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let entries = fs::read_dir(&files).into_iter().flatten().flatten();
        let mut paths = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        if paths.any(|path| path.ends_with(name)) {
            return;
        }
        assert!(
            Instant::now() < end,
            "process {process} never opened `{name}`"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn was_killed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        std::os::unix::process::ExitStatusExt::signal(&status).is_some()
    }
    #[cfg(not(unix))]
    {
        !status.success()
    }
}

/// Pseudo-random numbers, the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
