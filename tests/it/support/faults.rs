//! Failures of a disk: a library is preloaded into hfdl and makes one of its
//! calls fail. Linux only; compiled by the system's C compiler. A static program, as with
//! musl, takes no library.
//!
//! Direct system calls are not intercepted: `fallocate`, `copy_file_range` and
//! reflinks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::env::{Ran, TestEnv};

/// The call that fails, and the error that it returns.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// The prefix of the paths of these calls; with `$` at its end, the path of one file.
    pub below: &'a Path,
    /// Names of calls; empty for all.
    pub calls: &'a [&'a str],
    /// The number of the call among those, from 1.
    pub at: usize,
    /// `EIO`, `ENOSPC`, `EDQUOT` or `short`.
    pub how: &'a str,
    /// Whether all later calls fail, too.
    pub stays: bool,
}

impl TestEnv {
    /// Runs hfdl with this failure.
    pub fn hfdl_with_fault(&self, fault: &Fault<'_>, args: &[&str]) -> Ran {
        let names = [
            "LD_PRELOAD",
            "FAULT_BELOW",
            "FAULT_AT",
            "FAULT_HOW",
            "FAULT_CALLS",
            "FAULT_STAYS",
        ];
        self.set(names[0], &library().to_string_lossy());
        self.set(names[1], &fault.below.to_string_lossy());
        self.set(names[2], &fault.at.to_string());
        self.set(names[3], fault.how);
        if !fault.calls.is_empty() {
            self.set(names[4], &format!(",{},", fault.calls.join(",")));
        }
        if fault.stays {
            self.set(names[5], "1");
        }
        let ran = self.hfdl(args);
        for name in names {
            self.unset(name);
        }
        ran
    }

    /// Returns the calls below a path that a run without failures makes, in order.
    pub fn disk_calls(&self, below: &Path, args: &[&str]) -> Vec<String> {
        let log = self.root().join("outside/calls");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        self.set("FAULT_LOG", &log.to_string_lossy());
        let none = Fault {
            below,
            calls: &[],
            at: 0,
            how: "EIO",
            stays: false,
        };
        self.hfdl_with_fault(&none, args).succeeds();
        self.unset("FAULT_LOG");
        let text = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// Returns the library, compiled once for all tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (library, aside) = (
            folder.join("faults.so"),
            folder.join(format!("faults-{}.so", std::process::id())),
        );
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/faults.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let built = cc.arg(&aside).arg(source).arg("-ldl").output();
        let built = built.expect("the tests of failing disks need a C compiler");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        // Another test process may have it loaded.
        fs::rename(aside, &library).unwrap();
        library
    })
}
