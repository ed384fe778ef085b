//! Partial JSON updates on their way in: nothing behind the extractor knows of them.

use transaction::binlog::{Event, partial};

use super::{Extractor, Sink};
use crate::error::ExtractError;
use crate::group::{Group, Reading};

impl<S: Sink> Extractor<S> {
    /// Takes in what a partial update says of whole rows.
    pub(super) fn take_in_whole(
        &mut self,
        group: &mut Group,
        event: Event<'_>,
        checksums: bool,
    ) -> Result<(), ExtractError> {
        let whole = partial::complete(event, checksums, &mut self.tables);
        let whole = whole.map_err(|source| group.error(&self.place, source))?;
        let (event, _) =
            Event::split(&whole, checksums).map_err(|source| group.error(&self.place, source))?;
        self.take_in(group, event, &whole, checksums)
    }

    /// A compressed transaction with whole rows in place of its partial updates.
    pub(super) fn whole_payload(
        &mut self,
        group: &Group,
        event: Event<'_>,
        checksums: bool,
    ) -> Result<Vec<u8>, ExtractError> {
        let whole = partial::complete_payload(event, checksums, &mut self.tables);
        let whole = whole.map_err(|source| group.error(&self.place, source))?;
        let (event, _) =
            Event::split(&whole, checksums).map_err(|source| group.error(&self.place, source))?;
        let reading =
            Reading { tables: &mut self.tables, place: &self.place, len_max: self.limits.event_len_max };
        reading.check_len(group, event, || "no one table".into())?;
        Ok(whole)
    }
}
