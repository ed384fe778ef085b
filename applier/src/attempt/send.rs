//! Sending row changes. What no one contests goes as net changes under backlog, and as it came otherwise; what is contested, `put.rs` sends.

use std::sync::Arc;

use conflict::Image;
use transaction::binlog::{RowsKind, SessionState, TableMap, row_values};

use super::{Attempt, TEXT_LEN};
use crate::claims::{Claims, part_free};
use crate::code;
use crate::effect::{Part, rows_kind};
use crate::lane::Place;
use crate::net::{Nature, RowChange, as_it_came, net_changes};
use crate::relations::Relations;
use crate::session::SqlFailure;
use crate::target::Target;
use crate::text::NO_FOREIGN_KEY_CHECKS;

/// Only what is measured against this is built with it: what depends on no earlier batch commits without waiting for its turn.
const RELAXED: bool = cfg!(feature = "relaxed");

impl<T: Target> Attempt<'_, T> {
    /// Sends what no one contests.
    pub(crate) async fn write(&mut self, part: &Part) -> Result<(), SqlFailure> {
        let changes = self.changes(part);
        self.send(&mut changes.iter()).await
    }

    /// Locks what is contested and sends the rest, in the batch's turn. Before that, sends what no earlier batch lays hold on.
    pub(crate) async fn write_in_place(&mut self, part: &Part, place: &mut Place) -> Result<(), SqlFailure> {
        // Whoever comes later may ask from here on.
        let _ = place.own.set(Claims::of(part, &self.relations));
        if place.is_turn() {
            self.lock().await?;
            return self.write(part).await;
        }
        let changes = self.changes(part);
        let (free, others) = part_free(&changes, &place.before(), &self.relations);
        if !free.is_empty() {
            self.send(&mut free.into_iter()).await?;
        }
        if RELAXED && others.is_empty() && self.contests.is_empty() {
            return Ok(());
        }
        place.turn().await?;
        self.lock().await?;
        self.send(&mut others.into_iter()).await
    }

    /// What is sent of a part, in order: what no one contests.
    fn changes<'p>(&self, part: &'p Part) -> Vec<RowChange<'p>> {
        let contests = &self.contests;
        let effects = part.effects.iter().filter(|effect| !contests.contains(effect.key));
        if part.transactions.len() > 1 && !self.lessons.as_it_came {
            let nature = |table: &TableMap| Nature {
                folds: (self.setup.folds)(&table.schema, &table.table),
                computes: self.definitions.computes(table),
            };
            net_changes(part, effects, nature, &self.relations)
        } else {
            effects.map(|effect| as_it_came(part, effect, true)).collect()
        }
    }

    async fn send<'c, 'p: 'c>(
        &mut self,
        changes: &mut dyn Iterator<Item = &'c RowChange<'p>>,
    ) -> Result<(), SqlFailure> {
        for change in changes {
            self.push_change(change).await?;
            if self.text.len() >= TEXT_LEN {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    async fn push_change(&mut self, change: &RowChange<'_>) -> Result<(), SqlFailure> {
        let &RowChange { table, mut flags, timestamp, session, before, after, .. } = change;
        if let Some(before) = before
            && leaves(&self.relations, table, before, after)?
        {
            flags |= NO_FOREIGN_KEY_CHECKS;
            self.leaving.push(Image { table: table.clone(), bytes: before.to_vec() });
        }
        let Some(kind) = rows_kind(before.is_some(), after.is_some()) else { return Ok(()) };
        self.push(table, kind, flags, timestamp, session, [before, after]).await?;
        // No one contests the row, so it is as the origin had it. What has changed is a column that it has not here.
        if kind == RowsKind::Update && before == after {
            self.text.last_logs_nothing();
        }
        Ok(())
    }

    /// Adds a row change to what is sent next, in the layout that the table has here.
    pub(super) async fn push(
        &mut self,
        table: &Arc<TableMap>,
        kind: RowsKind,
        flags: u16,
        timestamp: u32,
        session: Option<&Arc<SessionState>>,
        images: [Option<&[u8]>; 2],
    ) -> Result<(), SqlFailure> {
        let images = images.into_iter().flatten();
        let fitting = self.definitions.fit(self.target, &self.setup.shared, table).await?;
        // What the server computes of the row, it computes by the session's variables, whatever the event says (seen).
        let session = session.filter(|_| fitting.computes);
        if self.session.as_ref() != session {
            if !self.text.is_empty() {
                self.flush().await?;
            }
            self.session = session.cloned();
        }
        match fitting.fit {
            None => {
                let images: Vec<&[u8]> = images.collect();
                self.text.push(table, kind, flags, timestamp, &images);
            }
            Some(fit) => {
                let fitted: Result<Vec<Vec<u8>>, _> = images.map(|image| fit.image(table, image)).collect();
                let fitted = fitted.map_err(|drift| drift.failure(table))?;
                let images: Vec<&[u8]> = fitted.iter().map(Vec::as_slice).collect();
                self.text.push(&fit.table, kind, flags, timestamp, &images);
            }
        }
        Ok(())
    }

    /// Whether rows of this layout are built anew for the table here.
    pub(super) async fn is_fitted(&mut self, table: &Arc<TableMap>) -> Result<bool, SqlFailure> {
        Ok(self.definitions.fit(self.target, &self.setup.shared, table).await?.fit.is_some())
    }

    /// Sends what was collected; the first text of the attempt begins the transaction and changes the marker.
    pub(super) async fn flush(&mut self) -> Result<(), SqlFailure> {
        let (statement, changes) = if self.text.is_empty() {
            (None, 0)
        } else {
            let (statement, changes) = self.text.take_statement();
            (Some(statement), changes)
        };
        let session = self.session.take();
        let first = statement.as_deref().filter(|_| session.is_none());
        if !self.begun {
            self.begun = true;
            // With contested rows, also the gaps of those that are not there are to be locked.
            self.target.begin(&self.marker, !self.contests.is_empty(), first).await?;
        } else if let Some(statement) = first {
            self.target.send(statement).await?;
        }
        if let (Some(session), Some(statement)) = (session, statement) {
            self.target.send_as(&statement, &session).await?;
        }
        self.tally.row_changes += changes;
        Ok(())
    }
}

/// Whether a change takes something away that rows of another table may refer to, where the server would act on those.
pub(super) fn leaves(
    relations: &Relations,
    table: &TableMap,
    before: &[u8],
    after: Option<&[u8]>,
) -> Result<bool, SqlFailure> {
    let Some(related) = relations.of(&table.schema, &table.table).filter(|related| related.cascades()) else {
        return Ok(false);
    };
    let Some(after) = after else { return Ok(true) };
    let values = |image| row_values(table, image).map_err(code::of_event);
    let (before, after) = (values(before)?, values(after)?);
    let referenced = |name: &String| related.children.iter().any(|key| key.parent_columns.contains(name));
    let columns = table.columns.iter().zip(before.iter().zip(&after));
    Ok(columns.into_iter().any(|(column, (before, after))| before != after && referenced(&column.name)))
}
