//! A small disk that can be filled, and copies of folders.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::processes;

/// Enough for a database and its write-ahead log, and little more.
const SIZE_MIB: u32 = 600;
const BALLAST: &str = ".ballast";

/// A disk mounted at a folder; unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk, or returns the reason why this machine cannot.
    pub fn mount(path: &Path) -> Result<Self, String> {
        let size = format!("size={SIZE_MIB}m,mode=0755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path);
        let output = mount
            .output()
            .map_err(|failure| format!("`mount` cannot be run: {failure}"))?;
        if output.status.success() {
            Ok(Self {
                path: path.to_owned(),
            })
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("no small disk can be mounted: {}", said.trim()))
        }
    }

    /// Fills the disk.
    pub fn fill(&self) -> anyhow::Result<()> {
        let file = File::create(self.path.join(BALLAST))?;
        let mut at = 0;
        // Repeated with ever smaller pieces, since space may be freed meanwhile.
        for piece in [64 << 20, 4 << 20, 256 << 10, 4 << 10] {
            while statvfs(&self.path)?.f_bavail > 0
                && fallocate(&file, FallocateFlags::empty(), at, piece).is_ok()
            {
                at += piece;
            }
        }
        Ok(())
    }

    /// Frees the space again.
    pub fn relieve(&self) {
        let _ = fs::remove_file(self.path.join(BALLAST));
    }

    /// Unmounts the disk and discards its content.
    pub fn unmount(&self) {
        // Lazily, since the working directory of an ending process may still be on it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Copies a folder, with owners and permissions.
pub async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let from = format!("{}/.", from.display());
    let to = to.display().to_string();
    processes::run(Path::new("cp"), &["-Rp", &from, &to]).await
}

/// Removes the content of a folder. The folder itself may be the root of a disk.
pub fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            crate::scratch::remove(&entry.path());
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
