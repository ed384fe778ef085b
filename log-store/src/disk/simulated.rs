//! A file system in memory that forgets what was not synced when it crashes. For tests and simulations.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Access, DirEntry, Disk, DiskFile, Lock, LockError, parent};

/// Files in memory, each with the contents that survive a crash.
///
/// The model of a crash: the names in a folder go back to its last sync plus any of the changes since; the contents of a
/// file go back to its last sync plus any prefix of what was appended since, the rest being absent, zero or garbled.
/// Folders themselves are durable at once. What it does not model: later pages of an unsynced tail that survive while
/// earlier ones do not, and sectors that rot.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending: Vec<Change>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    changes: u64,
    changes_allowed: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Change {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn dir(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename(_, path) => parent(path),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

/// A small generator (SplitMix64), so that a crash is a function of its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of `0..=max`.
    fn up_to(&mut self, max: usize) -> usize {
        (self.next() % (max as u64 + 1)) as usize
    }
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many changes (writes, syncs, names) were made so far.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Lets `count` more changes pass; every later one fails as a full disk does, a write after half of its bytes.
    pub fn fail_after(&self, count: u64) {
        let mut inner = self.0.lock();
        inner.changes_allowed = Some(inner.changes + count);
    }

    /// Ends what [`SimulatedDisk::fail_after`] began.
    pub fn heal(&self) {
        self.0.lock().changes_allowed = None;
    }

    /// The disk as another machine would find it after the power failed now; `seed` decides what of the unsynced survived.
    pub fn crash(&self, seed: u64) -> Self {
        let inner = self.0.lock();
        let mut dice = Dice(seed);
        let mut names = inner.durable_names.clone();
        for change in &inner.pending {
            if dice.up_to(1) == 0 {
                change.apply(&mut names);
            }
        }
        let nodes = inner.nodes.iter().map(|node| {
            let bytes = survivor(node, &mut dice);
            Node { synced: bytes.clone(), bytes }
        });
        Self(Arc::new(Mutex::new(Inner {
            nodes: nodes.collect(),
            durable_names: names.clone(),
            names,
            dirs: inner.dirs.clone(),
            ..Inner::default()
        })))
    }

    /// The present contents of a file.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.0.lock();
        inner.names.get(path).map(|node| inner.nodes[*node].bytes.clone())
    }

    /// Sets the contents of a file, durably, as if they had always been so.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let mut inner = self.0.lock();
        let fresh = inner.nodes.len();
        let node = *inner.names.entry(path.to_owned()).or_insert(fresh);
        inner.durable_names.insert(path.to_owned(), node);
        let value = Node { synced: bytes.clone(), bytes };
        if node == fresh {
            inner.nodes.push(value);
        } else {
            inner.nodes[node] = value;
        }
    }

    /// Every file, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }
}

fn survivor(node: &Node, dice: &mut Dice) -> Vec<u8> {
    let Some(tail) = node.bytes.strip_prefix(node.synced.as_slice()) else {
        // A cut that was not synced: either it reached the disk or it did not.
        return if dice.up_to(1) == 0 { node.bytes.clone() } else { node.synced.clone() };
    };
    let kept = dice.up_to(tail.len());
    let mut bytes = node.synced.clone();
    bytes.extend_from_slice(&tail[..kept]);
    let lost = dice.up_to(tail.len() - kept);
    match dice.up_to(3) {
        0 => bytes.extend(std::iter::repeat_n(0, lost)),
        1 => bytes.extend((0..lost).map(|_| dice.next() as u8)),
        2 => bytes.extend(tail[kept..].iter().map(|byte| byte ^ (dice.next() as u8 | 1))),
        _ => {}
    }
    bytes
}

impl Inner {
    fn change(&mut self) -> io::Result<()> {
        if self.changes_allowed.is_some_and(|allowed| self.changes >= allowed) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left (simulated)"));
        }
        self.changes += 1;
        Ok(())
    }

    fn rename_in(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {} (simulated)", path.display()))
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let inner = self.0.lock();
        if !inner.dirs.contains(dir) {
            return Err(not_found(dir));
        }
        let entry = |path: &PathBuf, is_dir| {
            let inside = path.parent() == Some(dir);
            let name = path.file_name().filter(|_| inside)?.to_string_lossy().into_owned();
            Some(DirEntry { name, is_dir })
        };
        let files = inner.names.keys().filter_map(|path| entry(path, false));
        Ok(files.chain(inner.dirs.iter().filter_map(|path| entry(path, true))).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.0.lock();
        inner.change()?;
        let node = inner.nodes.len();
        inner.nodes.push(Node::default());
        inner.rename_in(Change::Link(path.to_owned(), node));
        Ok(Arc::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Arc<dyn DiskFile>> {
        let node = *self.0.lock().names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.change()?;
        if !inner.names.contains_key(from) {
            return Err(not_found(from));
        }
        inner.rename_in(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.change()?;
        if !inner.names.contains_key(path) {
            return Err(not_found(path));
        }
        inner.rename_in(Change::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.change()?;
        let (now, later) =
            std::mem::take(&mut inner.pending).into_iter().partition(|change| change.dir() == dir);
        inner.pending = later;
        let changes: Vec<Change> = now;
        for change in changes {
            change.apply(&mut inner.durable_names);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        if !self.0.lock().locked.insert(path.to_owned()) {
            return Err(LockError::Held("simulated".to_owned()));
        }
        Ok(Box::new(SimulatedLock { disk: self.clone(), path: path.to_owned() }))
    }
}

#[derive(Debug)]
struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl Lock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.disk.0.lock().locked.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().nodes[self.node].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.0.lock();
        let rest = inner.nodes[self.node].bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        let allowed = inner.change();
        let bytes = if allowed.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let contents = &mut inner.nodes[self.node].bytes;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[start..end].copy_from_slice(bytes);
        allowed
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.change()?;
        inner.nodes[self.node].bytes.truncate(size as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.change()?;
        let node = &mut inner.nodes[self.node];
        node.synced.clone_from(&node.bytes);
        Ok(())
    }
}
