//! Which transactions have writes in runs, one bit each.

use std::collections::BTreeMap;

const WORDS: usize = 16;
const PER_CHUNK: u64 = WORDS as u64 * 64;

/// A set of sequence numbers. Dense ones take little more than a bit each.
#[derive(Debug, Default)]
pub(crate) struct Known {
    chunks: BTreeMap<u64, [u64; WORDS]>,
    len: usize,
}

impl Known {
    pub(crate) fn insert(&mut self, sequence: u64) {
        let chunk = self.chunks.entry(sequence / PER_CHUNK).or_default();
        let (word, bit) = place(sequence);
        self.len += usize::from(chunk[word] & bit == 0);
        chunk[word] |= bit;
    }

    pub(crate) fn contains(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.chunks.get(&(sequence / PER_CHUNK)).is_some_and(|chunk| chunk[word] & bit != 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The highest number below `end`.
    pub(crate) fn last_before(&self, end: u64) -> Option<u64> {
        let last = end.checked_sub(1)?;
        for (number, chunk) in self.chunks.range(..=last / PER_CHUNK).rev() {
            for (word, bits) in chunk.iter().enumerate().rev() {
                let first = number * PER_CHUNK + word as u64 * 64;
                let bits = match last.checked_sub(first) {
                    None => 0,
                    Some(over) if over < 63 => bits & ((2 << over) - 1),
                    Some(_) => *bits,
                };
                if bits != 0 {
                    return Some(first + 63 - u64::from(bits.leading_zeros()));
                }
            }
        }
        None
    }

    /// Forgets the numbers up to `last`.
    pub(crate) fn forget(&mut self, last: u64) {
        while let Some(mut entry) = self.chunks.first_entry() {
            let first = entry.key() * PER_CHUNK;
            if first > last {
                break;
            }
            let before = count(entry.get());
            if first + (PER_CHUNK - 1) <= last {
                entry.remove();
                self.len -= before;
                continue;
            }
            let chunk = entry.get_mut();
            let (word, bit) = place(last);
            chunk[..word].fill(0);
            chunk[word] &= !(bit | (bit - 1));
            let after = count(chunk);
            if after == 0 {
                entry.remove();
            }
            self.len -= before - after;
            break;
        }
    }

    /// Bytes of memory held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * (size_of::<[u64; WORDS]>() + 2 * size_of::<u64>())
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let within = sequence % PER_CHUNK;
    ((within / 64) as usize, 1 << (within % 64))
}

fn count(chunk: &[u64; WORDS]) -> usize {
    chunk.iter().map(|word| word.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set_of_numbers() {
        let (mut known, mut plain) = (Known::default(), BTreeSet::new());
        let mut state = 7_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 33) % 5_000;
            match state >> 60 {
                0 if number.is_multiple_of(97) => {
                    known.forget(number);
                    plain = plain.split_off(&(number + 1));
                }
                0..8 => {
                    known.insert(number);
                    plain.insert(number);
                }
                8..12 => assert_eq!(known.last_before(number), plain.range(..number).last().copied()),
                _ => assert_eq!(known.contains(number), plain.contains(&number)),
            }
            assert_eq!(known.len(), plain.len());
        }
        known.forget(5_000);
        assert_eq!((known.len(), known.bytes(), known.last_before(u64::MAX)), (0, 0, None));
    }
}
