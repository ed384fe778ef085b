//! A write as a record of a run.

use crate::regions::Seen;
use crate::write::{Root, Standing};

const LIVE: u8 = 1;
const COVERS: u8 = 2;
const REPAIR: u8 = 4;

/// A write outside memory, with what its transaction had seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Standing,
    pub(crate) hlc: u64,
    pub(crate) live: bool,
    /// It covers every older write of its key in its run.
    pub(crate) covers: bool,
    pub(crate) seen: Seen,
}

impl Entry {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Standing { root, origin, sequence, index } = self.place;
        let flag = |set, flag| if set { flag } else { 0 };
        let repair = root.level > 0;
        out.push(flag(self.live, LIVE) | flag(self.covers, COVERS) | flag(repair, REPAIR));
        out.push(origin);
        put(out, self.hlc);
        put(out, sequence);
        put(out, index.into());
        if repair {
            out.extend([root.level, root.origin]);
            put(out, root.hlc);
            put(out, root.sequence);
            put(out, root.index.into());
        }
        for seen in &self.seen {
            // Own order, the highest number of all, is the most frequent.
            put(out, seen.wrapping_add(1));
        }
    }

    /// `None` if these bytes are no entry of a mesh of so many regions.
    pub(crate) fn decode(bytes: &[u8], regions: usize) -> Option<Self> {
        let mut input = Input(bytes);
        let (flags, origin) = (input.byte()?, input.byte()?);
        let (hlc, sequence) = (input.take()?, input.take()?);
        let index = u32::try_from(input.take()?).ok()?;
        let mut root = Root { hlc, origin, sequence, index, level: 0 };
        if flags & REPAIR != 0 {
            (root.level, root.origin) = (input.byte()?, input.byte()?);
            (root.hlc, root.sequence) = (input.take()?, input.take()?);
            root.index = u32::try_from(input.take()?).ok()?;
        }
        let mut seen = Seen::with_capacity(regions);
        for _ in 0..regions {
            seen.push(input.take()?.wrapping_sub(1));
        }
        let fits = input.0.is_empty() && usize::from(origin) < regions && usize::from(root.origin) < regions;
        let place = Standing { root, origin, sequence, index };
        fits.then_some(Self { place, hlc, live: flags & LIVE != 0, covers: flags & COVERS != 0, seen })
    }
}

/// Seven bits a byte, lowest first; the highest bit says that more come.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn take(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::regions::OWN_ORDER;
    use crate::spill::RECORD_BYTES_MAX;

    fn entry(level: u8, seen: &[u64]) -> Entry {
        let root = Root { hlc: 1_700_000_000_000_000, origin: 1, sequence: 700, index: 3, level };
        let (place, hlc) = if level > 0 {
            (Standing { root, origin: 0, sequence: 900, index: u32::MAX }, root.hlc + 5)
        } else {
            (Standing { root, origin: 1, sequence: 700, index: 3 }, root.hlc)
        };
        Entry { place, hlc, live: level == 0, covers: level == 2, seen: Seen::from_slice(seen) }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        for level in [0, 1, 2, 255] {
            for seen in [&[OWN_ORDER, 0, 127][..], &[u64::MAX - 1, 128, OWN_ORDER], &[0, 1 << 35, 5]] {
                let (entry, mut bytes) = (entry(level, seen), Vec::new());
                entry.encode(&mut bytes);
                assert_eq!(Entry::decode(&bytes, 3), Some(entry));
                for len in 0..bytes.len() {
                    assert_eq!(Entry::decode(&bytes[..len], 3), None, "cut short at {len}");
                }
                assert_eq!(Entry::decode(&bytes, 2), None, "another mesh");
            }
        }
    }

    #[test]
    fn no_mesh_is_so_large_that_an_entry_does_not_fit() {
        let mut bytes = Vec::new();
        entry(255, &[u64::MAX - 1; 255]).encode(&mut bytes);
        assert!(bytes.len() <= RECORD_BYTES_MAX, "{}", bytes.len());
    }
}
