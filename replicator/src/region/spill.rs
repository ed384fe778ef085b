//! Where the history index puts what outgrows memory: sorted runs of the log store.

use std::sync::Arc;

use conflict::{RunPlace, SpillLimits, Visit};
use log_store::{RunOptions, Store};
use transaction::KeyHash;

// What the index writes must fit into a run.
const _: () = assert!(conflict::RECORD_BYTES_MAX <= log_store::RUN_RECORD_BYTES_MAX);

/// A place for runs in the store's folder, and the limits of an index that may take so many bytes.
///
/// Blocks that were read take a quarter of that, and filters as much again: some 25 million writes in runs have one.
pub(crate) fn open(
    store: &Store,
    history_memory: u64,
) -> Result<(Arc<dyn conflict::Runs>, SpillLimits), log_store::Error> {
    let bytes = usize::try_from(history_memory).unwrap_or(usize::MAX);
    let options = RunOptions { cache_bytes: bytes / 4, filter_bytes_max: bytes };
    Ok((Arc::new(Runs(log_store::Runs::open(store, options)?)), SpillLimits::within(bytes)))
}

#[derive(Debug)]
struct Runs(log_store::Runs);

#[derive(Debug)]
struct Writer(log_store::RunWriter);

#[derive(Debug)]
struct Run(log_store::Run);

fn unreadable(run: &Run, error: log_store::Error) -> conflict::Error {
    conflict::Error::Run { file: run.0.path().display().to_string(), reason: error.to_string() }
}

fn unwritable(error: log_store::Error) -> conflict::Error {
    conflict::Error::Run { file: "a new run".to_owned(), reason: error.to_string() }
}

impl conflict::Runs for Runs {
    fn begin(&self, records_max: u64) -> Result<Box<dyn conflict::RunWriter>, conflict::Error> {
        Ok(Box::new(Writer(self.0.begin(records_max).map_err(unwritable)?)))
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl conflict::RunWriter for Writer {
    fn push(&mut self, key: KeyHash, record: &[u8]) -> Result<(), conflict::Error> {
        self.0.push(key.0, record).map_err(unwritable)
    }

    fn finish(self: Box<Self>) -> Result<Arc<dyn conflict::Run>, conflict::Error> {
        Ok(Arc::new(Run(self.0.finish().map_err(unwritable)?)))
    }
}

impl conflict::Run for Run {
    fn find(&self, key: KeyHash) -> Result<Option<RunPlace>, conflict::Error> {
        Ok(self.0.find(key.0).map_err(|error| unreadable(self, error))?.map(RunPlace))
    }

    fn read(&self, from: RunPlace, visit: &mut Visit<'_>) -> Result<(), conflict::Error> {
        self.0
            .read(from.0, &mut |next, key, record| visit(RunPlace(next), KeyHash(key), record))
            .map_err(|error| unreadable(self, error))
    }

    fn name(&self) -> String {
        self.0.path().display().to_string()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn disk_bytes(&self) -> u64 {
        self.0.file_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use conflict::Index;
    use log_store::{Identity, Options};
    use transaction::{Context, Hlc, RegionName, Sequence};

    use super::*;

    fn key(number: u64) -> KeyHash {
        KeyHash::of(&number.to_le_bytes())
    }

    fn files(dir: &Path) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(dir.join("history-runs")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn an_index_goes_to_files_that_are_found_again_named_when_damaged_and_deleted_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let [eu, us] = ["eu", "us"].map(|name| name.parse::<RegionName>().unwrap());
        let identity = Identity { mesh: "shop".to_owned(), region: eu };
        let store = Store::open(dir.path(), identity, Options::default()).unwrap();
        let (runs, limits) = open(&store, 4 << 20).unwrap();
        let mut index = Index::new(&[eu, us], eu).unwrap().spilling(runs, limits);
        let none = Context::new();
        for sequence in 1..=20_000 {
            let writes = (0..4).map(|at| (key(4 * sequence + at), at as u32, true));
            index.insert(eu, Sequence(sequence), Hlc(sequence), &none, &[], writes).unwrap();
        }
        assert!(index.stats().runs > 0 && files(dir.path()).len() == index.stats().runs);
        let look = |index: &Index, number| {
            let mut batch = index.batch();
            let mut transaction = batch.transaction(us, Sequence(1), Hlc(1), &none, &[]).unwrap();
            transaction.resolve(index, key(number), 0, true)
        };
        assert!((4..80_000).step_by(7).all(|number| look(&index, number).unwrap().conflict));
        assert!(!look(&index, 1).unwrap().conflict);

        for file in files(dir.path()) {
            let mut bytes = std::fs::read(&file).unwrap();
            bytes.iter_mut().step_by(1_000).for_each(|byte| *byte ^= 1);
            std::fs::write(&file, bytes).unwrap();
        }
        let (cold, failed) = (4..80_000)
            .find_map(|number| look(&index, number).err().map(|error| (number, error.to_string())))
            .expect("more was written than is cached");
        assert!(failed.contains("/history-runs/") && failed.contains("checksum"), "{cold}: {failed}");
        drop(index);
        assert!(files(dir.path()).is_empty());
    }
}
