//! The few things that a log store asks of a file system, as a trait, so that tests can pull the plug.
//!
//! [`OsDisk`] is the real one; [`SimulatedDisk`] keeps files in memory, forgets what was not synced when it crashes, and
//! fails on request.

mod os;
mod simulated;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

pub use os::OsDisk;
pub use simulated::SimulatedDisk;

/// A file system. Names of files become durable with [`Disk::sync_dir`], contents with [`DiskFile::sync`].
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Makes a folder and its parents; one that exists is fine.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The entries of a folder, in no order. A folder that does not exist is an error of kind `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes an empty file for writing; one that exists is emptied.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, atomically; a file of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; whoever has the file open can go on reading.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes an exclusive lock on a file, without waiting, until the returned value is dropped or the process ends.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError>;
}

/// An open file. Reads and writes name their offset, so that one handle serves several threads.
pub trait DiskFile: std::fmt::Debug + Send + Sync {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`. After an error, any prefix of them may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// Makes contents and length durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
}

/// A lock that is held as long as this value lives.
pub trait Lock: std::fmt::Debug + Send + Sync {}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Someone else has it: what the file says about the holder.
    Held(String),
    /// The file could not be opened or locked.
    Io(io::Error),
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without its folder. Names that are not UTF-8 are made so, lossily; no file of a store has one.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// The name under which a file is written before it gets its own.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Makes `path` appear with `bytes`, durably, or not at all: written and synced under a temporary name, then renamed.
pub(crate) fn create_durable(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    let unfinished = temporary(path);
    let file = disk.create(&unfinished)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&unfinished, path)?;
    disk.sync_dir(parent(path))?;
    Ok(file)
}

/// Makes `path` appear with `bytes` whole or not at all, but without waiting for the disk: for what can be derived again.
pub(crate) fn create_derived(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = temporary(path);
    disk.create(&unfinished)?.write_all_at(bytes, 0)?;
    disk.rename(&unfinished, path)
}

/// Removes a file, if there is one.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(Error::io("remove", path)),
    }
}

/// Reads a whole small file.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let mut bytes = vec![0; usize::try_from(file.size()?).map_err(io::Error::other)?];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Fills `buffer` from `offset`; a file that ends before that is an error of kind `UnexpectedEof`.
pub(crate) fn read_exact_at(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset)? {
            0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the file ends at offset {offset}"),
                ));
            }
            count => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

/// The folder that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
