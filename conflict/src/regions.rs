//! Regions as small numbers, and contexts as rows of numbers.

use std::sync::Arc;

use smallvec::SmallVec;
use transaction::{Context, RegionName};

use crate::Error;

/// Number of a region: its place among the sorted names, so that numbers order as names do.
pub(crate) type Origin = u8;

/// In a [`Seen`], the entry of the writer's own region when its context has none: own order decides.
pub(crate) const OWN_ORDER: u64 = u64::MAX;

/// A context with one number per region, in the order of the regions.
pub(crate) type Seen = SmallVec<[u64; 6]>;

/// The regions of the mesh, sorted by name.
#[derive(Debug, Clone)]
pub(crate) struct Regions {
    names: Arc<[RegionName]>,
}

impl Regions {
    pub(crate) fn new(regions: &[RegionName], own: RegionName) -> Result<Self, Error> {
        let mut names = regions.to_vec();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::RepeatedRegion { name: pair[0] });
        }
        if names.len() > usize::from(Origin::MAX) {
            return Err(Error::TooManyRegions { count: names.len() });
        }
        // Nothing else depends on which region asks: a history means the same everywhere.
        names.binary_search(&own).map_err(|_| Error::UnknownRegion { name: own })?;
        Ok(Self { names: names.into() })
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name(&self, origin: Origin) -> RegionName {
        self.names[usize::from(origin)]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Origin, RegionName)> + '_ {
        self.names.iter().enumerate().map(|(at, name)| (at as Origin, *name))
    }

    pub(crate) fn origin(&self, name: RegionName) -> Result<Origin, Error> {
        let at = self.names.iter().position(|known| *known == name).ok_or(Error::UnknownRegion { name })?;
        Ok(at as Origin)
    }

    /// What a transaction of `origin` with this context had seen, or has claimed to have: an entry for the origin itself says that its
    /// primary lacked some of that, and the claim stands all the same (SEMANTICS.md, "Failover").
    pub(crate) fn seen(&self, origin: Origin, context: &Context) -> Result<Seen, Error> {
        let mut seen = Seen::from_elem(0, self.names.len());
        seen[usize::from(origin)] = OWN_ORDER;
        for (name, sequence) in context.iter().filter(|(name, _)| *name != self.name(origin)) {
            seen[usize::from(self.origin(name)?)] = sequence.0;
        }
        Ok(seen)
    }
}
