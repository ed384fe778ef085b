//! Values by number, in pages, so that growth neither copies nor doubles what is there.

/// The number that names nothing.
pub(crate) const NONE: u32 = u32::MAX;

const PAGE_BITS: u32 = 9;
const PAGE_LEN: usize = 1 << PAGE_BITS;

/// Values numbered from 0; a number is used again once its value was taken out.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pages: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
    len_max: usize,
}

impl<T> Slab<T> {
    /// A slab for at most `len_max` values.
    pub(crate) fn new(len_max: u32) -> Self {
        Self { pages: Vec::new(), free: Vec::new(), len: 0, len_max: len_max as usize }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Stores a value and returns its number, or `None` when all numbers are taken.
    pub(crate) fn insert(&mut self, value: T) -> Option<u32> {
        if self.len >= self.len_max {
            return None;
        }
        self.len += 1;
        if let Some(number) = self.free.pop() {
            self[number] = value;
            return Some(number);
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE_LEN) {
            self.pages.push(Vec::with_capacity(PAGE_LEN));
        }
        let pages = self.pages.len();
        let page = self.pages.last_mut()?;
        page.push(value);
        Some((((pages - 1) << PAGE_BITS) + page.len() - 1) as u32)
    }

    /// Gives a number back. Its value stays where it is until the number is used again, and must not be read.
    pub(crate) fn remove(&mut self, number: u32) {
        self.len -= 1;
        if self.len == 0 {
            // The one moment when pages can be given back without moving a value that has a number.
            self.pages.truncate(1);
            self.pages.iter_mut().for_each(Vec::clear);
            self.free = Vec::new();
        } else {
            self.free.push(number);
        }
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        let page = PAGE_LEN * size_of::<T>();
        self.pages.len() * page
            + self.pages.capacity() * size_of::<Vec<T>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, number: u32) -> &T {
        &self.pages[(number >> PAGE_BITS) as usize][number as usize & (PAGE_LEN - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pages[(number >> PAGE_BITS) as usize][number as usize & (PAGE_LEN - 1)]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_an_empty_slab_gives_its_pages_back() {
        let mut slab = Slab::new(NONE);
        let numbers: Vec<u32> = (0..2_000).map(|value| slab.insert(value).unwrap()).collect();
        assert!(numbers.iter().enumerate().all(|(value, number)| slab[*number] == value));
        slab.remove(numbers[7]);
        assert_eq!(slab.insert(7), Some(numbers[7]));
        let full = slab.bytes();
        numbers.iter().for_each(|number| slab.remove(*number));
        assert!(slab.len() == 0 && slab.bytes() < full / 3);
    }

    #[test]
    fn a_full_slab_says_so() {
        let mut slab = Slab::new(2);
        assert!(slab.insert('a').is_some() && slab.insert('b').is_some());
        assert_eq!(slab.insert('c'), None);
    }
}
