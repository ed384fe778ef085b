//! Which conflicts are asked for.

use applier::journal::{Entry, Kind};
use filters::Pattern;
use transaction::RegionName;

/// How far a clock may have been set back so that nothing is missed, microseconds: an hour.
const SET_BACK_MAX_US: u64 = 3_600_000_000;

/// What an entry must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Its table.
    pub(crate) table: Option<Pattern>,
    /// What met what.
    pub(crate) kind: Option<Kind>,
    /// Found at this time or later, microseconds since 1970.
    pub(crate) since_us: Option<u64>,
    /// Found before this time.
    pub(crate) until_us: Option<u64>,
    /// Origin of one of the two writes.
    pub(crate) region: Option<RegionName>,
    /// How many at most, the newest.
    pub(crate) limit: usize,
}

impl Filter {
    /// The last `limit` of all.
    #[cfg(test)]
    pub(crate) fn last(limit: usize) -> Self {
        Self { table: None, kind: None, since_us: None, until_us: None, region: None, limit }
    }

    /// Whether the time is before all that is asked for.
    pub(super) fn is_before(&self, time_us: u64) -> bool {
        self.since_us.is_some_and(|since| time_us < since)
    }

    /// Whether it is so long before that no clock was set back so far.
    pub(super) fn is_long_before(&self, time_us: u64) -> bool {
        self.is_before(time_us.saturating_add(SET_BACK_MAX_US))
    }

    pub(super) fn takes(&self, entry: &Entry) -> bool {
        let by_table = self.table.as_ref().is_none_or(|table| table.matches(&entry.schema, &entry.table));
        let by_kind = self.kind.is_none_or(|kind| kind == entry.kind);
        let by_time =
            !self.is_before(entry.found_us) && self.until_us.is_none_or(|until| entry.found_us < until);
        let by_region =
            self.region.is_none_or(|region| [entry.incoming.origin, entry.existing.origin].contains(&region));
        by_table && by_kind && by_time && by_region
    }
}

/// A kind by its name.
pub(crate) fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("{text:?} is no kind of conflict; these are: {}", names.join(", "))
    })
}
