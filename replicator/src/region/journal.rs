//! The conflict journal of this region: entries of the applier, as JSON in the journal of `log-store`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hasher;
use std::sync::Arc;

use applier::code::INTERNAL_ERROR;
use applier::journal::Entry;
use log_store::{EntryId, Found, JournalOptions, JournalReader, JournalRetention, Store};
use transaction::{Halt, RegionName, Sequence};

use super::RegionError;
use super::clock::now_us;
use super::retention::Keep;
use crate::conflicts;
use crate::metrics::ConflictCounts;

/// Longer values are cut in the journal: it is for people, and the logs have the rest.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// How many of the newest entries are looked at when a region starts: more than one target transaction can have.
const IN_FLIGHT_MAX: usize = 20_000;

/// Where the applier writes conflicts down, durably, and where they are counted.
#[derive(Debug)]
pub(crate) struct ConflictJournal {
    journal: log_store::Journal,
    counts: Arc<ConflictCounts>,
}

impl ConflictJournal {
    /// Opens the journal in the store's folder.
    pub(crate) fn open(store: &Store) -> Result<Self, log_store::Error> {
        let journal = store.journal(JournalOptions::default())?;
        Ok(Self { journal, counts: Arc::default() })
    }

    /// How many were written since the process began.
    pub(crate) fn counts(&self) -> &Arc<ConflictCounts> {
        &self.counts
    }

    /// What stands in it, newest first.
    pub(crate) fn read(&self) -> Result<JournalReader, log_store::Error> {
        self.journal.read()
    }

    /// Withdraws what a process that died had written down and not committed: the newest entries whose incoming write is
    /// beyond what the markers say was applied. Called once, at start, before anything is applied.
    ///
    /// Returns how many. An origin without a marker is left alone, for then nothing is known.
    pub(crate) fn settle(&self, applied: &[(RegionName, Sequence)]) -> Result<usize, RegionError> {
        let failed = |e: &dyn std::fmt::Display| RegionError::new(e.to_string());
        let mut reader = self.journal.read().map_err(|e| failed(&e))?;
        let mut uncommitted = Vec::new();
        for _ in 0..IN_FLIGHT_MAX {
            let Some(standing) = reader.next_older().map_err(|e| failed(&e))? else { break };
            let entry = conflicts::decode(&standing).map_err(|e| failed(&e))?;
            let marker = applied.iter().find(|(origin, _)| *origin == entry.incoming.origin);
            if marker.is_some_and(|(_, applied)| entry.incoming.sequence > *applied) {
                uncommitted.push(standing.id);
            }
        }
        self.journal.withdraw(&uncommitted, now_us()).map_err(|e| failed(&e))?;
        if !uncommitted.is_empty() {
            tracing::info!(
                "withdrew {} conflicts that were written down and not committed when the process ended",
                uncommitted.len()
            );
        }
        Ok(uncommitted.len())
    }

    /// Deletes what is older than `keep` says, or too much.
    pub(crate) fn retain(&self, keep: Keep) {
        let policy = JournalRetention {
            time_floor_us: Some(now_us().saturating_sub(keep.age_us)),
            bytes_max: Some(keep.bytes),
        };
        match self.journal.retain(policy) {
            Ok(deleted) => deleted.iter().for_each(|path| {
                tracing::info!("retention: {} is gone, its conflicts are past keep_age", path.display());
            }),
            Err(error) => tracing::warn!("retention of the conflict journal: {error}"),
        }
    }
}

impl applier::journal::Journal for ConflictJournal {
    fn write(&self, entries: &[Entry]) -> Result<(), Halt> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut encoded = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut entry = Cow::Borrowed(entry);
            if entry.is_longer_than(VALUE_BYTES_MAX) {
                entry.to_mut().shorten(VALUE_BYTES_MAX);
            }
            let payload = encode(&entry)?;
            encoded.push((parse_id(&entry.id)?, entry.found_us, payload, digest(entry.into_owned())?));
        }
        let found: Vec<_> = encoded
            .iter()
            .map(|(id, time_us, payload, digest)| Found {
                id: *id,
                time_us: *time_us,
                payload,
                digest: *digest,
            })
            .collect();
        let new: HashSet<_> = self.journal.write(&found)?.into_iter().collect();
        for ((id, ..), entry) in encoded.iter().zip(entries) {
            if new.contains(id) {
                self.counts.note(entry);
            }
        }
        Ok(())
    }

    fn withdraw(&self, ids: &[String]) -> Result<(), Halt> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.iter().map(|id| parse_id(id)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.journal.withdraw(&ids, now_us())?)
    }
}

fn encode(entry: &Entry) -> Result<Vec<u8>, Halt> {
    serde_json::to_vec(entry).map_err(|e| {
        let id = &entry.id;
        INTERNAL_ERROR.halt(format_args!("conflict {id} cannot be written down: {e}; please report this"))
    })
}

/// The same for entries that differ in nothing but when they were found: a target transaction that runs again finds its
/// conflicts again.
fn digest(entry: Entry) -> Result<u64, Halt> {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(&encode(&Entry { found_us: 0, ..entry })?);
    Ok(hasher.finish())
}

fn parse_id(text: &str) -> Result<EntryId, Halt> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    number.map(u128::to_be_bytes).ok_or_else(|| {
        INTERNAL_ERROR.halt(format_args!(
            "{text:?} is no id of a conflict, which has 32 hexadecimal digits; please report this"
        ))
    })
}
