//! The two programs of Windows: `hfdl`, which saves its state when the console asks it to
//! end, and `hfdlw`, which opens no console.

#![cfg(windows)]

use std::fs;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hfdl_test_hub::Api;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP;

use crate::support::env::TestEnv;
use crate::support::process::Victim;
use crate::support::sound::{open_runs, open_sessions};

const MIB: u64 = 1 << 20;

/// Returns the subsystem in the header of a program: 2 for windows, 3 for the console.
fn subsystem(program: &str) -> u16 {
    let bytes = fs::read(program).unwrap();
    let number = |at: usize, n_bytes: usize| {
        let bytes = bytes[at..at + n_bytes].iter().rev();
        bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let header = number(0x3c, 4);
    assert_eq!(&bytes[header..header + 4], b"PE\0\0");
    u16::try_from(number(header + 24 + 68, 2)).unwrap()
}

#[test]
fn only_hfdl_is_a_program_of_the_console() {
    assert_eq!(subsystem(env!("CARGO_BIN_EXE_hfdl")), 3);
    assert_eq!(subsystem(env!("CARGO_BIN_EXE_hfdlw")), 2);
}

#[test]
fn hfdlw_runs_hfdl_with_its_arguments_and_returns_its_code() {
    let env = TestEnv::new();
    let beside = Path::new(env!("CARGO_BIN_EXE_hfdlw")).with_file_name("hfdl.exe");
    assert_eq!(beside, Path::new(env!("CARGO_BIN_EXE_hfdl")));
    for line in [
        "models add acme/tiny --no-check",
        "models list",
        "models show acme/none",
    ] {
        let hfdl = env.command(line.split(' '));
        let mut windowless = Command::new(env!("CARGO_BIN_EXE_hfdlw"));
        windowless.args(hfdl.get_args()).env_clear();
        windowless.envs(
            hfdl.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let code = windowless.stdin(Stdio::null()).status().unwrap().code();
        let expected = if line.contains("add") {
            Some(0)
        } else {
            env.line(line).code()
        };
        assert_eq!(code, expected, "{line}");
    }
}

/// Ctrl-C cannot be sent to one process; the program treats both alike.
#[test]
#[allow(unsafe_code)]
fn ctrl_break_saves_the_state_and_the_next_download_goes_on() {
    const SIZE: u64 = 24 * MIB;
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.lfs_generated("model.safetensors", SIZE, 7).publish();
    let mut command = env.command(["download", "acme/tiny", "--limit-rate", "8M", "-q"]);
    command.args(["-c", "download.connections=1"]);
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    let mut running = Victim::start(command);
    env.hub().wait_until("bytes flow", |requests| {
        let cdn = requests.iter().filter(|request| request.api == Api::Cdn);
        cdn.map(|request| request.bytes_sent).sum::<u64>() >= 12 * MIB
    });
    // SAFETY: the call takes two numbers; the process group is that of the running child.
    let sent = unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, running.id()) };
    assert!(sent != 0, "{}", std::io::Error::last_os_error());
    let until = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = running.has_ended() {
            break status;
        }
        assert!(Instant::now() < until, "the program goes on");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0));
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    let session = &ran.succeeds().json()["sessions"][0];
    let n_bytes = |name: &str| session["bytes"][name].as_u64().unwrap();
    assert_eq!(n_bytes("fetched") + n_bytes("reused"), SIZE);
    assert!(n_bytes("reused") > 0, "{}", ran.report());
}
