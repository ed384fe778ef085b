//! Writes that were read back lately.
//!
//! A row that several regions fight over while one of them is away has a long history, and each write that arrives folds all of it: the
//! same images again and again. What a log holds under a number never changes, so nothing here can be out of date.

use std::collections::HashMap;
use std::sync::Arc;

use conflict::Image;
use transaction::binlog::TableMap;
use transaction::{KeyHash, WriteId};

use super::Recalled;

/// So much is kept, bytes, in two halves.
const BYTES_MAX: usize = 16 << 20;
/// So many layouts are shared among the images.
const LAYOUTS_MAX: usize = 64;

type Key = (WriteId, KeyHash);

/// Those that were asked for last. When the younger half is full, the older one is forgotten.
#[derive(Debug, Default)]
pub struct Lately {
    young: HashMap<Key, Recalled>,
    young_bytes: usize,
    old: HashMap<Key, Recalled>,
    /// Each image is read with a layout of its own; equal ones are kept once.
    layouts: Vec<Arc<TableMap>>,
}

impl Lately {
    /// The write `id` of the row `key`, if it is still known.
    pub(crate) fn get(&mut self, id: WriteId, key: KeyHash) -> Option<Recalled> {
        if let Some(known) = self.young.get(&(id, key)) {
            return Some(known.clone());
        }
        let known = self.old.remove(&(id, key))?;
        self.keep((id, key), known.clone());
        Some(known)
    }

    /// Takes note of a write that was read back.
    pub(crate) fn put(&mut self, id: WriteId, key: KeyHash, mut recalled: Recalled) {
        for image in [&mut recalled.before, &mut recalled.after].into_iter().flatten() {
            image.table = self.layout(&image.table);
        }
        self.keep((id, key), recalled);
    }

    fn keep(&mut self, key: Key, recalled: Recalled) {
        let bytes = len(&recalled);
        if bytes > BYTES_MAX / 8 {
            return;
        }
        if self.young_bytes + bytes > BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, recalled);
    }

    fn layout(&mut self, table: &Arc<TableMap>) -> Arc<TableMap> {
        if let Some(known) = self.layouts.iter().find(|known| **known == *table) {
            return known.clone();
        }
        if self.layouts.len() == LAYOUTS_MAX {
            self.layouts.clear();
        }
        self.layouts.push(table.clone());
        table.clone()
    }
}

/// What it takes in memory, about.
fn len(recalled: &Recalled) -> usize {
    let images = [&recalled.before, &recalled.after];
    let bytes: usize = images.into_iter().flatten().map(|image: &Image| image.bytes.capacity()).sum();
    bytes + 2 * (size_of::<Key>() + size_of::<Recalled>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use transaction::{Context, Gtid, Hlc, Sequence};

    use super::*;

    fn id(sequence: u64) -> WriteId {
        WriteId { hlc: Hlc(sequence), origin: "eu".parse().unwrap(), sequence: Sequence(sequence), index: 0 }
    }

    fn recalled(len: usize) -> Recalled {
        let table = Arc::new(TableMap {
            table_id: 1,
            schema: "s".to_owned(),
            table: "t".to_owned(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            present: Vec::new(),
            body_after_id: Vec::new(),
        });
        let after = Some(Image { table, bytes: vec![7; len] });
        Recalled { before: None, after, context: Context::new(), gtid: Gtid::default(), commit_us: 1 }
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes_before_the_bound() {
        let (mut lately, len_each, key) = (Lately::default(), 64 << 10, KeyHash(1));
        lately.put(id(0), key, recalled(len_each));
        for sequence in 1..=1000 {
            lately.put(id(sequence), key, recalled(len_each));
            assert!(lately.get(id(0), key).is_some(), "after {sequence}");
            let held: usize = lately.young.values().chain(lately.old.values()).map(len).sum();
            assert!(held <= BYTES_MAX, "{held} bytes after {sequence}");
        }
        assert!(lately.get(id(1), key).is_none());
        assert!(lately.get(id(1000), KeyHash(2)).is_none(), "another row's");
        assert_eq!(lately.layouts.len(), 1);
    }

    #[test]
    fn a_large_row_is_not_kept() {
        let mut lately = Lately::default();
        lately.put(id(1), KeyHash(1), recalled(BYTES_MAX / 8));
        assert!(lately.get(id(1), KeyHash(1)).is_none());
    }
}
