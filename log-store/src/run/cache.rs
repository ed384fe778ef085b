//! Blocks that were read, as long as there is room.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::block::{BLOCK_LEN, Block};

/// Number of the run, number of the block.
type Id = (u64, u32);

/// At most so many blocks; which one makes room is decided by a clock's hand that passes over those used since it came by last.
#[derive(Debug)]
pub(super) struct Cache {
    places: HashMap<Id, usize, BuildHasherDefault<IdHasher>>,
    slots: Vec<Slot>,
    hand: usize,
    blocks_max: usize,
}

#[derive(Debug)]
struct Slot {
    id: Id,
    block: Arc<Block>,
    used: bool,
}

/// The ids are this process's own, so no one can choose them to collide.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The table takes the lowest bits and the highest; products are weak in the lowest.
        self.0 ^ self.0 >> 32
    }
}

impl Cache {
    pub(super) fn new(blocks_max: usize) -> Self {
        Self { places: HashMap::default(), slots: Vec::new(), hand: 0, blocks_max: blocks_max.max(1) }
    }

    pub(super) fn get(&mut self, id: Id) -> Option<Arc<Block>> {
        let slot = &mut self.slots[*self.places.get(&id)?];
        slot.used = true;
        Some(slot.block.clone())
    }

    pub(super) fn put(&mut self, id: Id, block: Arc<Block>) {
        if self.places.contains_key(&id) {
            // Another reader was quicker.
            return;
        }
        let slot = Slot { id, block, used: false };
        if self.slots.len() < self.blocks_max {
            self.places.insert(id, self.slots.len());
            self.slots.push(slot);
            return;
        }
        while std::mem::take(&mut self.slots[self.hand].used) {
            self.hand = (self.hand + 1) % self.slots.len();
        }
        self.places.remove(&self.slots[self.hand].id);
        self.places.insert(id, self.hand);
        self.slots[self.hand] = slot;
        self.hand = (self.hand + 1) % self.slots.len();
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * (BLOCK_LEN + size_of::<Slot>()) + self.places.capacity() * size_of::<(Id, usize)>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::block::seal;
    use super::*;

    fn block(number: u32) -> Arc<Block> {
        let mut bytes = vec![0; BLOCK_LEN].into_boxed_slice();
        seal(&mut bytes, 1, number, 24);
        Arc::new(Block::verified(bytes, 1, number).unwrap())
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_makes_room() {
        let mut cache = Cache::new(3);
        for number in 0..3 {
            cache.put((1, number), block(number));
        }
        for number in 3..100 {
            assert!(cache.get((1, 0)).is_some(), "it is asked for all the time");
            cache.put((1, number), block(number));
            assert!(cache.places.contains_key(&(1, number)) && cache.slots.len() == 3);
        }
        assert!(cache.get((1, 1)).is_none());
    }
}
