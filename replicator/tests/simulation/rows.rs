//! Row changes of a simulated server: their locks, their constraints, their events.

use std::time::Duration;

use transaction::binlog::RowsKind;

use super::locks::{Resource, Taken, Txn};
use super::schema::{Key, Row, Schema, seal};
use super::server::{Checks, Refusal, Server, State, Undo};
use super::synthetic::rows;

impl Server {
    /// Takes a lock, and waits for it at most `wait_ms`.
    pub(crate) async fn lock(&self, txn: Txn, resource: Resource, wait_ms: u64) -> Result<(), Refusal> {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(wait_ms);
        loop {
            let freed = self.freed.notified();
            let taken = {
                let mut state = self.state.borrow_mut();
                if state.locks.victims.remove(&txn) {
                    return Err(Refusal::Deadlock);
                }
                if !state.open.contains_key(&txn) {
                    return Err(Refusal::Gone);
                }
                state.locks.take(txn, &resource)
            };
            match taken {
                Taken::Mine => return Ok(()),
                Taken::Waits => {}
                Taken::Circle(circle) => {
                    let victim = *self.dice.pick(&circle);
                    self.rollback(victim);
                    if victim == txn {
                        return Err(Refusal::Deadlock);
                    }
                    self.state.borrow_mut().locks.victims.insert(victim);
                    continue;
                }
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                self.state.borrow_mut().locks.stop_waiting(txn);
                return Err(Refusal::Timeout);
            }
        }
    }

    pub(crate) fn unlock(&self, txn: Txn, resource: &Resource) {
        self.state.borrow_mut().locks.unlock(txn, resource);
        self.freed.notify_waiters();
    }

    /// Changes a row: `old` is the key of a row that is there, `new` a row to be there.
    pub(crate) async fn change(
        &self,
        txn: Txn,
        table: usize,
        old: Option<Key>,
        new: Option<Row>,
        checks: Checks,
        wait_ms: u64,
    ) -> Result<u64, Refusal> {
        let layout = &self.schema.tables[table];
        if new.as_ref().is_some_and(|row| !layout.allows(row)) {
            return Err(Refusal::Check);
        }
        let new_key = new.as_ref().map(|row| layout.key(row));
        for key in old.iter().chain(&new_key) {
            self.lock(txn, Resource::Row(table, key.clone()), wait_ms).await?;
        }
        let before = match &old {
            Some(key) => Some(self.row(table, key).ok_or(Refusal::NotFound)?),
            None => None,
        };
        if let Some(key) = &new_key
            && old.as_ref() != Some(key)
            && self.row(table, key).is_some()
        {
            return Err(Refusal::DuplicatePrimary);
        }
        let foreign = self.schema.foreign.iter().filter(|foreign| foreign.child == table);
        for column in layout.unique.iter().copied().chain(foreign.map(|foreign| foreign.column)) {
            let column = &column;
            let value = |row: &Option<Row>| {
                row.as_ref()
                    .and_then(|row| row[*column].as_ref().map(|value| layout.compared(*column, value)))
            };
            let (was, is) = (value(&before), value(&new));
            if was == is {
                continue;
            }
            for value in was.iter().chain(&is) {
                self.lock(txn, Resource::Value(table, *column, value.clone()), wait_ms).await?;
            }
            if let Some(value) = &is
                && layout.unique.contains(column)
                && self.holder(table, *column, value).is_some()
            {
                return Err(Refusal::DuplicateUnique);
            }
        }
        if checks != Checks::None {
            if let Some(row) = &new {
                self.look_for_parents(txn, table, before.as_ref(), row, wait_ms).await?;
            }
            if let Some(key) = old.as_ref().filter(|key| new_key.as_ref() != Some(*key)) {
                self.take_along(txn, table, key, new.is_some(), wait_ms).await?;
            }
        }
        // Waiting for a value took time, but the row was locked all along.
        if before == new {
            return Ok(0);
        }
        let mut state = self.state.borrow_mut();
        if let Some(key) = old {
            put(&mut state, &self.schema, txn, table, key, None);
        }
        if let (Some(key), Some(row)) = (new_key, &new) {
            put(&mut state, &self.schema, txn, table, key, Some(row.clone()));
        }
        let images: Vec<Vec<u8>> = before.iter().chain(&new).map(|row| layout.image(row)).collect();
        let kind = match (&before, &new) {
            (Some(_), Some(_)) => RowsKind::Update,
            (None, _) => RowsKind::Write,
            (_, None) => RowsKind::Delete,
        };
        // No two servers, nor one after a restart, give a table the same number.
        let id = layout.id() + 100 * self.place as u64 + 1_000 * state.epoch;
        let mut changed = rows(kind, id, layout.map.columns.len(), &images);
        if checks != Checks::All {
            unchecked(&mut changed);
        }
        let Some(open) = state.open.get_mut(&txn) else { return Err(Refusal::Gone) };
        open.changes.extend([layout.event_as(id), changed]);
        Ok(1)
    }
}

/// Flags a rows event: whoever replays it looks after no foreign key.
fn unchecked(event: &mut [u8]) {
    const FLAGS: usize = 19 + 6;
    event[FLAGS] |= applier::text::NO_FOREIGN_KEY_CHECKS as u8;
    seal(event);
}

fn put(state: &mut State, schema: &Schema, txn: Txn, table: usize, key: Key, row: Option<Row>) {
    let old = state.rows[table].get(&key).cloned();
    if let Some(open) = state.open.get_mut(&txn) {
        open.undo.push(Undo::Row(table, key.clone(), old));
    }
    set(state, schema, table, &key, row);
}

pub(crate) fn set(state: &mut State, schema: &Schema, table: usize, key: &Key, row: Option<Row>) {
    let layout = &schema.tables[table];
    let old = match &row {
        Some(row) => state.rows[table].insert(key.clone(), row.clone()),
        None => state.rows[table].remove(key),
    };
    for column in &layout.unique {
        let value = |row: &Option<Row>| {
            let value = row.as_ref().and_then(|row| row[*column].as_ref());
            value.map(|value| (table, *column, layout.compared(*column, value)))
        };
        if let Some(value) = value(&old)
            && state.values.get(&value) == Some(key)
        {
            state.values.remove(&value);
        }
        if let Some(value) = value(&row) {
            state.values.insert(value, key.clone());
        }
    }
}
