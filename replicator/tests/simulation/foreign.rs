//! Foreign keys of a simulated server: what a client's statement must find, and what it takes along.
//!
//! As a server from 9.6 on does it: rows that go along are in the binlog, before the parent, flagged so that a replica does not
//! look after foreign keys again. (Clients and lanes lock the parent exclusively, where a real server shares it.)

use std::future::Future;
use std::pin::Pin;

use applier::relations::{Action, ForeignKey};

use super::locks::{Resource, Txn};
use super::schema::{Key, NAME, Row, Schema};
use super::server::{Checks, Refusal, Server};

/// A foreign key to the primary key of another table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) child: usize,
    pub(crate) column: usize,
    pub(crate) parent: usize,
    pub(crate) on_delete: Action,
}

impl Foreign {
    pub(crate) fn relation(&self, schema: &Schema) -> ForeignKey {
        let name = |table: usize| (NAME.to_owned(), schema.tables[table].name.to_owned());
        ForeignKey {
            name: self.name.to_owned(),
            child: name(self.child),
            child_columns: vec![schema.tables[self.child].map.columns[self.column].name.clone()],
            parent: name(self.parent),
            parent_columns: vec!["id".to_owned()],
            on_delete: self.on_delete,
            on_update: Action::Restrict,
        }
    }
}

impl Server {
    /// Takes the locks on what a row refers to, and refuses a row without its parents.
    pub(crate) async fn look_for_parents(
        &self,
        txn: Txn,
        table: usize,
        before: Option<&Row>,
        after: &Row,
        wait_ms: u64,
    ) -> Result<(), Refusal> {
        for foreign in self.schema.foreign.iter().filter(|foreign| foreign.child == table) {
            let Some(parent) = &after[foreign.column] else { continue };
            if before.is_some_and(|before| before[foreign.column].as_ref() == Some(parent)) {
                continue;
            }
            self.lock(txn, Resource::Row(foreign.parent, parent.clone()), wait_ms).await?;
            if self.row(foreign.parent, parent).is_none() {
                return Err(Refusal::NoParent);
            }
        }
        Ok(())
    }

    /// Does what the foreign keys say when the row `key` goes; with `changes`, it goes by changing its key.
    pub(crate) fn take_along<'a>(
        &'a self,
        txn: Txn,
        table: usize,
        key: &'a Key,
        changes: bool,
        wait_ms: u64,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + 'a>> {
        Box::pin(async move {
            for foreign in self.schema.foreign.iter().filter(|foreign| foreign.parent == table) {
                for child in self.referring(txn, foreign, key, wait_ms).await? {
                    if changes || foreign.on_delete == Action::Restrict {
                        return Err(Refusal::HasChildren);
                    }
                    self.lock(txn, Resource::Row(foreign.child, child.clone()), wait_ms).await?;
                    let after = match foreign.on_delete {
                        Action::SetNull => self.row(foreign.child, &child).map(|mut row| {
                            row[foreign.column] = None;
                            row
                        }),
                        _ => None,
                    };
                    self.change(txn, foreign.child, Some(child), after, Checks::Along, wait_ms).await?;
                }
            }
            Ok(())
        })
    }

    /// Rows that refer to `key`; no other can come to do so.
    pub(crate) async fn referring(
        &self,
        txn: Txn,
        foreign: &Foreign,
        key: &Key,
        wait_ms: u64,
    ) -> Result<Vec<Key>, Refusal> {
        self.lock(txn, Resource::Value(foreign.child, foreign.column, key.clone()), wait_ms).await?;
        let rows = self.rows();
        let refer = rows[foreign.child].iter().filter(|(_, row)| row[foreign.column].as_ref() == Some(key));
        Ok(refer.map(|(child, _)| child.clone()).collect())
    }
}
