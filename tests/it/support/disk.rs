//! Small file systems, for tests of full and read-only ones, and of those without links.
//!
//! Only root can mount them; for other users the reason is returned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sound::say;

/// A file system in memory that goes away with the test.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts the file system at a new folder, or returns the reason why that failed.
    pub fn mount(at: PathBuf, mebibytes: usize) -> Result<Self, String> {
        fs::create_dir_all(&at).unwrap();
        let size = format!("size={mebibytes}m,mode=0755");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], &at)?;
        Ok(Self(at))
    }

    /// Limits the number of files.
    pub fn limit_files(&self, n_files: usize) -> Result<(), String> {
        mount(&["-o", &format!("remount,nr_inodes={n_files}")], &self.0)
    }

    /// Has every path that leads through a symbolic link fail; links can still be made.
    pub fn refuse_to_follow_links(&self) -> Result<(), String> {
        mount(&["-o", "remount,nosymfollow"], &self.0)
    }

    pub fn make_read_only(&self) -> Result<(), String> {
        mount(&["-o", "remount,ro"], &self.0)
    }

    pub fn make_writable(&self) -> Result<(), String> {
        mount(&["-o", "remount,rw"], &self.0)
    }

    /// Fills the file system.
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

/// An exFAT file system, as memory cards have it: without links of either kind.
///
/// Needs the packages exfat-fuse and exfatprogs, and a machine with loop devices.
pub struct CardDisk {
    at: PathBuf,
    device: String,
}

impl CardDisk {
    /// Mounts the file system at a new folder, or returns the reason why that failed.
    pub fn mount(at: PathBuf, mebibytes: u64) -> Result<Self, String> {
        fs::create_dir_all(&at).unwrap();
        let image = at.with_extension("image");
        let file = fs::File::create(&image).unwrap();
        file.set_len(mebibytes << 20).unwrap();
        ask(Command::new("mkfs.exfat").arg(&image))?;
        let device = ask(Command::new("losetup").args(["-f", "--show"]).arg(&image))?;
        let device = device.trim().to_owned();
        let disk = Self { at, device };
        ask(Command::new("mount.exfat-fuse")
            .arg(&disk.device)
            .arg(&disk.at))?;
        Ok(disk)
    }
}

impl Drop for CardDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
        let _ = Command::new("losetup").arg("-d").arg(&self.device).output();
    }
}

fn mount(args: &[&str], at: &Path) -> Result<(), String> {
    ask(Command::new("mount").args(args).arg(at)).map(drop)
}

/// Runs a program; returns its stdout, or its stderr when it fails.
fn ask(command: &mut Command) -> Result<String, String> {
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(err) => Err(format!(
            "`{}`: {err}",
            command.get_program().to_string_lossy()
        )),
    }
}

/// A folder with a disk of its own, which can be taken away and brought back.
///
/// Without the right to mount, the folder is moved away instead: an empty mount
/// point on the file system of its parent is left in both cases.
pub struct RemovableDisk {
    at: PathBuf,
    kept: PathBuf,
    disk: Option<SmallDisk>,
}

impl RemovableDisk {
    /// Mounts the disk at a new folder; its files are in `kept` all the time.
    pub fn mount(at: PathBuf, kept: PathBuf) -> Self {
        fs::create_dir_all(&at).unwrap();
        let mounted = SmallDisk::mount(kept.clone(), 64)
            .and_then(|disk| bind(&kept, &at).map(|()| disk))
            .inspect_err(|why| say(&format!("nothing can be mounted ({why}); moved instead")));
        let disk = mounted.ok();
        if disk.is_none() {
            let _ = fs::remove_dir(&kept);
        }
        Self { at, kept, disk }
    }

    /// Tells whether it is a file system of its own.
    pub fn is_mounted(&self) -> bool {
        self.disk.is_some()
    }

    /// Leaves the empty mount point.
    pub fn take_away(&self) {
        match &self.disk {
            Some(_) => drop(ask(Command::new("umount").arg(&self.at)).unwrap()),
            None => {
                fs::rename(&self.at, &self.kept).unwrap();
                fs::create_dir(&self.at).unwrap();
            }
        }
        assert_eq!(self.at.read_dir().unwrap().count(), 0);
    }

    /// Mounts the same disk again; fails if the mount point is not empty.
    pub fn bring_back(&self) {
        assert_eq!(self.at.read_dir().unwrap().count(), 0);
        match &self.disk {
            Some(_) => bind(&self.kept, &self.at).unwrap(),
            None => {
                fs::remove_dir(&self.at).unwrap();
                fs::rename(&self.kept, &self.at).unwrap();
            }
        }
    }
}

impl Drop for RemovableDisk {
    fn drop(&mut self) {
        if self.disk.is_some() {
            let _ = Command::new("umount").arg("-l").arg(&self.at).output();
        }
    }
}

fn bind(from: &Path, at: &Path) -> Result<(), String> {
    let from = from.to_str().ok_or("not UTF-8")?;
    mount(&["--bind", from], at)
}
