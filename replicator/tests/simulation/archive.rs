//! Every durable record of every origin, kept for ever: what the oracle reads, and what copies are held against.

use std::collections::BTreeMap;
use std::sync::Arc;

use log_store::Log;
use transaction::{RecordKind, RecordNumber};

/// One origin's records by number.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    pub(crate) records: BTreeMap<u64, Vec<u8>>,
}

impl Archive {
    /// Takes what is new and durable.
    pub(crate) fn take(&mut self, log: &Arc<Log>) -> Result<(), String> {
        self.compare(log, RecordNumber(self.records.len() as u64 + 1))
    }

    /// Takes what is durable from a record on; the error names one that is not what it was.
    ///
    /// An unfinished chain of chunks is left out: a restart drops it.
    pub(crate) fn compare(&mut self, log: &Arc<Log>, from: RecordNumber) -> Result<(), String> {
        let from = from.max(log.first());
        if log.durable() < from || from.0 == 0 {
            return Ok(());
        }
        let mut chain = Vec::new();
        let mut reader = log.read_from(from).map_err(|e| e.to_string())?;
        while let Some(record) = reader.next_record().map_err(|e| e.to_string())? {
            chain.push((record.header.number.0, record.bytes.to_vec()));
            if record.header.kind == RecordKind::Chunk {
                continue;
            }
            for (number, bytes) in chain.drain(..) {
                let known = self.records.entry(number).or_insert_with(|| bytes.clone());
                if *known != bytes {
                    return Err(format!(
                        "record {number} of {} is not what it was elsewhere or before",
                        log.origin()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether there is no hole.
    pub(crate) fn is_dense(&self) -> bool {
        self.records.keys().copied().eq(1..=self.records.len() as u64)
    }
}
