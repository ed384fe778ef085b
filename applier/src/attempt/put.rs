//! Making the rows what they become.

use conflict::Image;
use transaction::KeyHash;
use transaction::binlog::RowsKind;

use super::send::leaves;
use super::{Attempt, TEXT_LEN};
use crate::contest::{Desired, Here, same_layout, same_row};
use crate::repair::{Repair, statements};
use crate::session::SqlFailure;
use crate::target::Target;
use crate::text::NO_FOREIGN_KEY_CHECKS;

impl<T: Target> Attempt<'_, T> {
    /// Makes the rows what they become. Deletes come first, and rows with further unique keys are taken out before
    /// they are put back where keys are settled, so that no order of theirs can clash.
    pub(super) async fn put(&mut self, desired: &[Desired]) -> Result<(), SqlFailure> {
        let mut later: Vec<(&Desired, &Image, bool)> = Vec::new();
        for row in desired {
            match self.change_of(row) {
                Change::Nothing => {}
                Change::Out => {
                    let flags = self.flags_of(row, &row.stand_in.bytes, None)?;
                    self.push_out(row, flags).await?;
                }
                // In between, no one may take the row for gone.
                Change::OutAndIn(wanted) => {
                    self.must_be_whole(row, wanted).await?;
                    self.push_out(row, row.flags | NO_FOREIGN_KEY_CHECKS).await?;
                    later.push((row, wanted, false));
                }
                Change::In(wanted) => later.push((row, wanted, false)),
                Change::Update(wanted) => later.push((row, wanted, true)),
            }
        }
        later.sort_by_key(|(_, _, present)| !present);
        for (row, wanted, present) in later {
            if row.merged {
                self.flush().await?;
            }
            if present {
                // The server finds the row by its key; two layouts must not share an event.
                let before = match &row.here {
                    Here::Known(here) if same_layout(here, wanted) => here,
                    _ => wanted,
                };
                let flags = self.flags_of(row, &before.bytes, Some(&wanted.bytes))?;
                let images = [Some(before.bytes.as_slice()), Some(wanted.bytes.as_slice())];
                self.push(
                    &wanted.table,
                    RowsKind::Update,
                    flags,
                    row.timestamp,
                    row.session.as_ref(),
                    images,
                )
                .await?;
            } else {
                let flags = row.flags | if self.lessons.constraints { NO_FOREIGN_KEY_CHECKS } else { 0 };
                let images = [Some(wanted.bytes.as_slice()), None];
                self.push(&wanted.table, RowsKind::Write, flags, row.timestamp, row.session.as_ref(), images)
                    .await?;
            }
            if row.merged {
                let key = row.key;
                let sent = self.flush().await;
                sent.map_err(|failure| self.refused(key, failure))?;
            } else if self.text.len() >= TEXT_LEN {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    /// How a row gets from what it is to what it becomes, such that the number of changes logged is certain: a change that
    /// leaves the row as it is would log nothing.
    fn change_of<'r>(&self, row: &'r Desired) -> Change<'r> {
        // A row that was only looked at stays untouched.
        if row.outsider && row.wanted == row.folded {
            return Change::Nothing;
        }
        let Some(wanted) = &row.wanted else {
            return if row.here == Here::Absent { Change::Nothing } else { Change::Out };
        };
        let (schema, table) = (&row.table.schema, &row.table.table);
        let has_unique = self.relations.of(schema, table).is_some_and(|related| !related.unique.is_empty());
        let takes_out = self.lessons.constraints && has_unique;
        // Nothing is certain if it may be the row already.
        let differs = |here: &Image| same_row(here, wanted) == Some(false);
        match &row.here {
            Here::Absent => Change::In(wanted),
            Here::Known(here) if same_row(here, wanted) == Some(true) => Change::Nothing,
            Here::Known(here) if !takes_out && differs(here) => Change::Update(wanted),
            Here::OneOf(images) if !takes_out && !images.is_empty() && images.iter().all(differs) => {
                Change::Update(wanted)
            }
            Here::Known(_) | Here::OneOf(_) => Change::OutAndIn(wanted),
        }
    }

    async fn push_out(&mut self, row: &Desired, flags: u16) -> Result<(), SqlFailure> {
        let images = [Some(row.stand_in.bytes.as_slice()), None];
        self.push(&row.stand_in.table, RowsKind::Delete, flags, row.timestamp, None, images).await
    }

    /// A row that goes and comes again must come with all that it had: not with the defaults of columns that only this region has.
    async fn must_be_whole(&mut self, row: &Desired, wanted: &Image) -> Result<(), SqlFailure> {
        if !self.is_fitted(&wanted.table).await? {
            return Ok(());
        }
        let (schema, table) = (row.table.schema.clone(), row.table.table.clone());
        let reason = format!(
            "table {schema}.{table} differs between the regions, and a row of it cannot be settled until the definitions are equal; then \
             `concord resume --table {schema}.{table}`"
        );
        Err(SqlFailure::Table { schema, table, reason })
    }

    /// Flags for a change of a row. The server is kept from acting on rows that refer to it: those are looked for.
    fn flags_of(&mut self, row: &Desired, before: &[u8], after: Option<&[u8]>) -> Result<u16, SqlFailure> {
        if self.lessons.constraints {
            return Ok(row.flags | NO_FOREIGN_KEY_CHECKS);
        }
        if leaves(&self.relations, &row.stand_in.table, before, after)? {
            let image = match &row.here {
                Here::Known(image) => image.clone(),
                _ => row.stand_in.clone(),
            };
            self.leaving.push(image);
            return Ok(row.flags | NO_FOREIGN_KEY_CHECKS);
        }
        Ok(row.flags)
    }

    /// Sends the repairs, for the extractor to find.
    pub(super) async fn repair(&mut self, desired: &[Desired]) -> Result<(), SqlFailure> {
        let mut repairs = Vec::new();
        for row in desired {
            let Some(repair) = Repair::of(row)? else { continue };
            let (schema, table) = (row.table.schema.clone(), row.table.table.clone());
            if self.setup.logs.is_lossy(&schema, &table) {
                // Others would take the row for whole.
                let reason = "a row clashes here at a unique key, a foreign key or by hand, and a region that sees the table through a \
                              filter cannot write what it becomes. Remove what differs from the other regions, then resume";
                return Err(SqlFailure::Table { schema, table, reason: reason.into() });
            }
            repairs.push(repair);
        }
        for statement in statements(&repairs) {
            self.target.send(&statement).await?;
        }
        Ok(())
    }

    /// A merge that the server refuses is replaced by the newest whole image at the next try.
    fn refused(&mut self, key: KeyHash, failure: SqlFailure) -> SqlFailure {
        match failure {
            SqlFailure::Check(reason) => {
                self.lessons.refused.insert(key);
                SqlFailure::Contested(reason)
            }
            other => other,
        }
    }
}

/// How a row gets from what it is to what it becomes.
enum Change<'r> {
    Nothing,
    /// It goes.
    Out,
    /// It comes.
    In(&'r Image),
    /// It is there and changes for certain.
    Update(&'r Image),
    /// It goes and comes again: two changes, whatever it was.
    OutAndIn(&'r Image),
}
