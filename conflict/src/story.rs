//! A history as plain data.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::Write;

/// The history of one key, or as much of it as matters to a fold and to whoever reports a conflict.
///
/// Left out are writes before the start which every write after the start, and every write of the batch, covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The writes in fold order; never empty.
    pub writes: Vec<Chapter>,
    /// Where a fold may start: the newest write that covers all before it, so that it is taken as it is.
    pub start: usize,
}

/// One write of a [`Story`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// The write.
    pub write: Write,
    /// Whether it is one of the batch that is being applied.
    pub from_batch: bool,
    /// The earlier writes that it is concurrent with. Some may be before the start.
    pub concurrent: Concurrent,
}

impl Story {
    /// The newest write in fold order.
    pub fn newest(&self) -> Option<&Write> {
        self.writes.last().map(|chapter| &chapter.write)
    }
}

/// Places in [`Story::writes`], ascending.
///
/// Two regions that wrote a row all through an outage have a million pairs of concurrent writes for a thousand writes each. So
/// it is kept as stretches of lists that all chapters share, one list per region.
#[derive(Clone, Default)]
pub struct Concurrent {
    stretches: SmallVec<[Stretch; 1]>,
}

#[derive(Clone)]
struct Stretch {
    list: Arc<[usize]>,
    from: usize,
    to: usize,
}

impl Concurrent {
    /// Adds a stretch of an ascending list; no place may be in two stretches.
    pub(crate) fn push(&mut self, list: &Arc<[usize]>, from: usize, to: usize) {
        if from < to {
            self.stretches.push(Stretch { list: list.clone(), from, to });
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.to - stretch.from).sum()
    }

    /// Whether `place` is among them.
    pub fn contains(&self, place: usize) -> bool {
        self.stretches
            .iter()
            .any(|stretch| stretch.list[stretch.from..stretch.to].binary_search(&place).is_ok())
    }

    /// The places, ascending.
    pub fn iter(&self) -> Places<'_> {
        Places {
            left: self.stretches.iter().map(|stretch| &stretch.list[stretch.from..stretch.to]).collect(),
        }
    }
}

/// Iterator over a [`Concurrent`].
#[derive(Debug, Clone)]
pub struct Places<'a> {
    /// What is left of each stretch, none of them empty.
    left: SmallVec<[&'a [usize]; 2]>,
}

impl<'a> Iterator for Places<'a> {
    type Item = &'a usize;

    fn next(&mut self) -> Option<&'a usize> {
        let heads = self.left.iter().enumerate().filter_map(|(at, list)| Some((list.first()?, at)));
        let (_, at) = heads.min()?;
        let (head, rest) = self.left[at].split_first()?;
        match rest {
            [] => drop(self.left.remove(at)),
            _ => self.left[at] = rest,
        }
        Some(head)
    }
}

impl<'a> IntoIterator for &'a Concurrent {
    type Item = &'a usize;
    type IntoIter = Places<'a>;

    fn into_iter(self) -> Places<'a> {
        self.iter()
    }
}

impl FromIterator<usize> for Concurrent {
    /// From ascending places.
    fn from_iter<T: IntoIterator<Item = usize>>(places: T) -> Self {
        let list: Arc<[usize]> = places.into_iter().collect();
        let mut concurrent = Self::default();
        concurrent.push(&list, 0, list.len());
        concurrent
    }
}

impl PartialEq for Concurrent {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Concurrent {}

impl fmt::Debug for Concurrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_told_as_one_ascending_list() {
        let lists: [Arc<[usize]>; 3] = [[0, 3, 4, 9].into(), [1, 2, 8].into(), [5].into()];
        let mut concurrent = Concurrent::default();
        assert!(concurrent.is_empty() && concurrent.iter().next().is_none());
        concurrent.push(&lists[0], 1, 4);
        concurrent.push(&lists[1], 2, 2);
        concurrent.push(&lists[1], 0, 2);
        concurrent.push(&lists[2], 0, 1);
        assert_eq!(concurrent, [1, 2, 3, 4, 5, 9].into_iter().collect());
        assert_eq!((concurrent.len(), format!("{concurrent:?}").as_str()), (6, "[1, 2, 3, 4, 5, 9]"));
    }
}
