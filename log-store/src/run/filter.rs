//! Which keys a run does not have.

/// Bits per key. With them one key in a hundred that the run does not have is taken for one that it may have.
const BITS_PER_KEY: u64 = 10;

/// Bits set per key.
const PROBES: u32 = 6;

/// A group of bits as long as a line of the processor's cache: a look touches one.
type Line = [u64; 8];

const LINE_BITS: u64 = 512;

/// A Bloom filter whose bits for one key are all in one line.
#[derive(Debug)]
pub(super) struct Filter {
    lines: Vec<Line>,
    count: usize,
}

impl Filter {
    /// A filter for so many keys, without its bits.
    pub(super) fn sized(keys_max: u64) -> Self {
        let count = (keys_max * BITS_PER_KEY).div_ceil(LINE_BITS).max(1);
        // Four leading digits are enough, so that it can be halved if there come to be fewer keys.
        let step = 1 << count.ilog2().saturating_sub(3);
        Self { lines: Vec::new(), count: count.next_multiple_of(step) as usize }
    }

    pub(super) fn allocate(&mut self) {
        self.lines = vec![[0; 8]; self.count];
    }

    /// Gives memory back if it was given no more than so many keys. Two lines become one, as if it had been half as long from
    /// the start: the line of a key is the same fraction of the whole.
    pub(super) fn shrink(&mut self, keys: u64) {
        while self.count.is_multiple_of(2) && self.count as u64 / 2 * LINE_BITS >= keys * BITS_PER_KEY {
            self.count /= 2;
            for line in 0..self.count {
                let (one, other) = (self.lines[2 * line], self.lines[2 * line + 1]);
                self.lines[line] = std::array::from_fn(|word| one[word] | other[word]);
            }
        }
        self.lines.truncate(self.count);
        self.lines.shrink_to_fit();
    }

    pub(super) fn insert(&mut self, key: u128) {
        let (line, bits) = self.place(key);
        for (word, bits) in self.lines[line].iter_mut().zip(bits) {
            *word |= bits;
        }
    }

    pub(super) fn may_hold(&self, key: u128) -> bool {
        let (line, bits) = self.place(key);
        self.lines[line].iter().zip(bits).all(|(word, bits)| word & bits == bits)
    }

    pub(super) fn bytes(&self) -> usize {
        self.count * size_of::<Line>()
    }

    /// The line of a key and its bits there.
    fn place(&self, key: u128) -> (usize, Line) {
        let line = mix(key as u64 ^ mix((key >> 64) as u64));
        let mut bits = [0; 8];
        let mut probes = mix(line);
        for _ in 0..PROBES {
            bits[(probes & 7) as usize] |= 1 << (probes >> 3 & 63);
            probes >>= 9;
        }
        (((u128::from(line) * self.count as u128) >> 64) as usize, bits)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input reaches every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_every_key_it_was_given_and_few_others() {
        // Keys that differ in few bits, as no hash would make them.
        const COUNT: u64 = 20_000;
        let mut filter = Filter::sized(COUNT);
        filter.allocate();
        for key in 0..COUNT {
            filter.insert(u128::from(key) << 64);
        }
        assert!((0..COUNT).all(|key| filter.may_hold(u128::from(key) << 64)));
        let others = (0..COUNT).filter(|key| filter.may_hold(u128::from(*key))).count() as u64;
        assert!(others < COUNT / 40, "{others} of {COUNT}");
        // A sixteenth of the keys takes a sixteenth of the memory, and is as exact.
        let mut few = Filter::sized(COUNT);
        few.allocate();
        for key in 0..COUNT / 16 {
            few.insert(u128::from(key) << 64);
        }
        few.shrink(COUNT / 16);
        assert!(few.bytes() <= filter.bytes() / 16 && few.lines.len() * 64 == few.bytes());
        assert!((0..COUNT / 16).all(|key| few.may_hold(u128::from(key) << 64)));
        let others = (0..COUNT).filter(|key| few.may_hold(u128::from(*key))).count() as u64;
        assert!(others < COUNT / 40, "{others} of {COUNT}");
        let lines = (COUNT * 10).div_ceil(512);
        assert!((lines * 64..lines * 64 * 9 / 8).contains(&(filter.bytes() as u64)), "{}", filter.bytes());
    }
}
