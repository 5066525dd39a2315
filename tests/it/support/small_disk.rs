//! File systems in memory that tests fill, where the system lets them.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory that goes away with the test.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at a new folder; says why not.
    pub fn mount(at: PathBuf, mebibytes: usize) -> Result<Self, String> {
        fs::create_dir_all(&at).unwrap();
        let size = format!("size={mebibytes}m,mode=0755");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], &at)?;
        Ok(Self(at))
    }

    /// Lets it hold no more than so many files.
    pub fn limit_files(&self, n_files: usize) -> Result<(), String> {
        mount(&["-o", &format!("remount,nr_inodes={n_files}")], &self.0)
    }

    pub fn make_read_only(&self) -> Result<(), String> {
        mount(&["-o", "remount,ro"], &self.0)
    }

    pub fn make_writable(&self) -> Result<(), String> {
        mount(&["-o", "remount,rw"], &self.0)
    }

    /// Takes all the space that is left.
    pub fn fill(at: &Path) {
        let mut file = fs::File::create(at.join("filler")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let piece = vec![1; size];
            while std::io::Write::write_all(&mut file, &piece).is_ok() {}
        }
    }

    pub fn give_back(at: &Path) {
        fs::remove_file(at.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], at: &Path) -> Result<(), String> {
    let tried = Command::new("mount").args(args).arg(at).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(err) => Err(err.to_string()),
    }
}
