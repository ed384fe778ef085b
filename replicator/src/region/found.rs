//! The writes of one transaction on their way into the history index: in memory, and in a file when they are many.

use std::path::{Path, PathBuf};

use extractor::Spool;
use transaction::{Halt, KeyHash};

use super::spool::SpoolFile;

/// Key, index, and whether the row lives.
pub(crate) type Write = (KeyHash, u32, bool);

/// So many are in memory at most between two chunks of a transaction, some 4 MiB.
const IN_MEMORY_MAX: usize = 1 << 17;

/// Bytes of one in the file.
const WRITE_LEN: usize = 16 + 4 + 1;

/// Writes in order.
#[derive(Debug, Default)]
pub(crate) struct FoundWrites {
    /// The newest ones.
    pub(crate) recent: Vec<Write>,
    /// The others.
    file: Option<SpoolFile>,
    /// Where a file may be made; `None`: all stay in memory.
    dir: Option<PathBuf>,
}

impl FoundWrites {
    /// None yet; what does not fit in memory goes into a file in `dir`.
    pub(crate) fn spilling(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_owned), ..Self::default() }
    }

    /// Makes room in memory if there are many.
    pub(crate) fn spill(&mut self) -> Result<(), Halt> {
        let Some(dir) = self.dir.as_ref().filter(|_| self.recent.len() > IN_MEMORY_MAX) else {
            return Ok(());
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(SpoolFile::create(dir)?),
        };
        let mut bytes = Vec::with_capacity(IN_MEMORY_MAX * WRITE_LEN);
        for part in self.recent.chunks(IN_MEMORY_MAX) {
            bytes.clear();
            for (key, index, live) in part {
                bytes.extend_from_slice(&key.0.to_le_bytes());
                bytes.extend_from_slice(&index.to_le_bytes());
                bytes.push(u8::from(*live));
            }
            file.push(&bytes)?;
        }
        self.recent.clear();
        Ok(())
    }

    /// Takes all out, in order. If the file cannot be read, the writes end early, and `failed` is the reason.
    pub(crate) fn take<'a>(&mut self, failed: &'a mut Option<Halt>) -> impl Iterator<Item = Write> + use<'a> {
        let recent = std::mem::take(&mut self.recent);
        let mut file = self.file.take();
        let parts = std::iter::from_fn(move || match file.as_mut()?.next() {
            Ok(part) => part,
            Err(halt) => {
                *failed = Some(halt);
                None
            }
        });
        parts.flat_map(|part| part.chunks_exact(WRITE_LEN).map(decode).collect::<Vec<Write>>()).chain(recent)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.file = None;
    }
}

fn decode(bytes: &[u8]) -> Write {
    let (mut key, mut index) = ([0; 16], [0; 4]);
    key.copy_from_slice(&bytes[..16]);
    index.copy_from_slice(&bytes[16..20]);
    (KeyHash(u128::from_le_bytes(key)), u32::from_le_bytes(index), bytes[20] != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn many_writes_come_out_of_the_file_as_they_went_in() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<Write> =
            (0..400_000u32).map(|n| (KeyHash(u128::from(n) << 70 | 7), n, n % 3 == 0)).collect();
        let mut found = FoundWrites::spilling(Some(dir.path()));
        for chunk in all.chunks(150_000) {
            found.recent.extend_from_slice(chunk);
            found.spill().unwrap();
        }
        assert!(found.recent.len() <= IN_MEMORY_MAX);
        let mut failed = None;
        assert!(found.take(&mut failed).eq(all.iter().copied()));
        assert_eq!(failed, None);
        assert_eq!(found.take(&mut None).count(), 0);
        // Without a folder they stay where they are.
        let mut found = FoundWrites { recent: all.clone(), ..FoundWrites::default() };
        found.spill().unwrap();
        assert_eq!(found.recent.len(), all.len());
    }
}
