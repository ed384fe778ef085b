//! Which transactions of each origin a transaction had before it.

use smallvec::SmallVec;

use crate::{RegionName, Sequence};

/// For each region, the highest sequence number committed here before this transaction, read off the binlog order.
///
/// Absent means 0. Entries are sorted by name and never 0, so equal contexts compare equal. A context normally has no
/// entry for its own region; while a lost tail is still away from the primary, it has one (see FORMAT.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Context(SmallVec<[(RegionName, Sequence); 2]>);

impl Context {
    /// The empty context.
    pub fn new() -> Self {
        Self::default()
    }

    /// The highest sequence number of `origin` that is covered; 0 if none.
    pub fn get(&self, origin: RegionName) -> Sequence {
        self.entry(origin).unwrap_or_default()
    }

    /// The entry of `origin`, if there is one.
    pub fn entry(&self, origin: RegionName) -> Option<Sequence> {
        self.0.iter().find(|(name, _)| *name == origin).map(|(_, sequence)| *sequence)
    }

    /// Sets the entry of `origin`; 0 removes it.
    pub fn set(&mut self, origin: RegionName, sequence: Sequence) {
        match self.0.binary_search_by(|(name, _)| name.cmp(&origin)) {
            Ok(at) if sequence == Sequence(0) => {
                self.0.remove(at);
            }
            Ok(at) => self.0[at].1 = sequence,
            Err(_) if sequence == Sequence(0) => {}
            Err(at) => self.0.insert(at, (origin, sequence)),
        }
    }

    /// Raises the entry of `origin` to `sequence` if it is lower.
    pub fn raise(&mut self, origin: RegionName, sequence: Sequence) {
        if sequence > self.get(origin) {
            self.set(origin, sequence);
        }
    }

    /// The same without an entry for `origin`.
    pub fn without(&self, origin: RegionName) -> Self {
        self.iter().filter(|(name, _)| *name != origin).collect()
    }

    /// Whether transaction `sequence` of `origin` was here before.
    pub fn covers(&self, origin: RegionName, sequence: Sequence) -> bool {
        self.get(origin) >= sequence
    }

    /// Whether every entry of `other` is covered.
    pub fn covers_all(&self, other: &Context) -> bool {
        other.iter().all(|(origin, sequence)| self.covers(origin, sequence))
    }

    /// The entries, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (RegionName, Sequence)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(RegionName, Sequence)> for Context {
    fn from_iter<T: IntoIterator<Item = (RegionName, Sequence)>>(entries: T) -> Self {
        let mut context = Self::new();
        for (origin, sequence) in entries {
            context.set(origin, sequence);
        }
        context
    }
}

impl std::fmt::Display for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (origin, sequence)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{origin}:{sequence}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn equal_whatever_the_order_of_setting_and_zero_is_absent() {
        let (a, b) = (RegionName::new("a").unwrap(), RegionName::new("b").unwrap());
        let one: Context = [(a, Sequence(1)), (b, Sequence(2))].into_iter().collect();
        let mut two: Context = [(b, Sequence(2)), (a, Sequence(1))].into_iter().collect();
        assert_eq!(one, two);
        assert_eq!(one.to_string(), "a:1,b:2");
        assert!(one.covers(b, Sequence(2)) && !one.covers(b, Sequence(3)));
        two.set(a, Sequence(0));
        assert_eq!(two.entry(a), None);
        assert!(one.covers_all(&two) && !two.covers_all(&one));
    }
}
