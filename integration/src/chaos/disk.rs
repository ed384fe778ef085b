//! A disk of a region's own: a file system in a file, which can lose power, be full, or turn read-only.
//!
//! It takes root, since the kernel lets nobody else mount ext4. What is mounted is seen by this process and those it starts, and is gone with
//! them ([`Disks::begin`]).

use crate::{Error, Result};
use nix::sched::{CloneFlags, unshare};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The proof that the calling thread, and what it starts from now on, has a table of mounts of its own.
#[derive(Debug, Clone, Copy)]
pub struct Disks(());

impl Disks {
    /// Gives the calling thread a table of mounts of its own, before it starts other threads, and tries a mount. The error says what
    /// this machine or this account does not allow.
    pub fn begin() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|errno| Error::io("have mounts of one's own (as root)")(errno.into()))?;
        command("mount", &["--make-rprivate", "/"])?;
        let folder = tempfile::Builder::new().prefix("concord-disk-").tempdir();
        let folder = folder.map_err(Error::io("create a temporary folder"))?;
        let at = folder.path().join("at");
        std::fs::create_dir(&at).map_err(Error::io("create a folder"))?;
        drop(Disk::make(Self(()), &folder.path().join("image"), &at, 8)?);
        Ok(Self(()))
    }
}

/// A disk. Gone when dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// A new one of so many MiB in the file `image`, mounted at the folder `at`. The file takes only what is written.
    pub fn make(_: Disks, image: &Path, at: &Path, mib: u64) -> Result<Self> {
        let file = std::fs::File::create(image).map_err(Error::io(format!("create {}", image.display())))?;
        file.set_len(mib << 20).map_err(Error::io(format!("size {}", image.display())))?;
        command("mkfs.ext4", &["-q", "-F", &text(image)])?;
        let disk = Self { image: image.to_owned(), at: at.to_owned() };
        disk.mount()?;
        Ok(disk)
    }

    /// What the disk has by now, as a power loss would leave it: what the file system has not written there is not in it. The
    /// file system goes on; [`Disk::go_back`] puts this in its place.
    pub fn snapshot(&self) -> Result<()> {
        command("cp", &["--sparse=always", &text(&self.image), &text(&self.other())])
    }

    /// Makes the last snapshot the disk. Nobody may have a file of it open.
    pub fn go_back(&self) -> Result<()> {
        self.unmount()?;
        std::fs::rename(self.other(), &self.image)
            .map_err(Error::io(format!("replace {}", self.image.display())))?;
        self.mount()
    }

    /// Fills it to the last block.
    pub fn fill(&self) -> Result<()> {
        let path = self.ballast();
        let mut file =
            std::fs::File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
        for len in [1 << 20, 4096] {
            let piece = vec![1; len];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(Error::io(format!("fill {}", path.display()))(error)),
                }
            }
        }
        Ok(())
    }

    /// Takes away what [`Disk::fill`] put there, for good: a power loss is not to bring it back.
    pub fn make_room(&self) -> Result<()> {
        let path = self.ballast();
        std::fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
        command("sync", &["--file-system", &text(&self.at)])
    }

    /// Makes it read-only from one moment to the next, as ext4 does at an error of the disk.
    pub fn abort(&self) -> Result<()> {
        command("mount", &["-o", "remount,abort", &text(&self.at)])
    }

    /// Makes it writable again after [`Disk::abort`]. Nobody may have a file of it open.
    pub fn mount_anew(&self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&self) -> Result<()> {
        // Only a sync writes its journal, so that a snapshot is not taken while that is under way.
        command("mount", &["-o", "loop,commit=600", &text(&self.image), &text(&self.at)])
    }

    fn unmount(&self) -> Result<()> {
        command("umount", &[&text(&self.at)])
    }

    fn other(&self) -> PathBuf {
        self.image.with_extension("snapshot")
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has a file open keeps it, and the folder is free at once.
        let _ = command("umount", &["-l", &text(&self.at)]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(Error::io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: format!("{program} {}", arguments.join(" ")),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
