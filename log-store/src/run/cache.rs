//! Blocks that were read, as long as there is room.

use std::collections::HashMap;
use std::sync::Arc;

use super::block::{BLOCK_LEN, Block};

/// Number of the run, number of the block.
type Id = (u64, u32);

/// At most so many blocks; which one makes room is decided by a clock's hand that passes over those used since it came by last.
#[derive(Debug)]
pub(super) struct Cache {
    places: HashMap<Id, usize>,
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

impl Cache {
    pub(super) fn new(blocks_max: usize) -> Self {
        Self { places: HashMap::new(), slots: Vec::new(), hand: 0, blocks_max: blocks_max.max(1) }
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
