//! What ties rows of the target to each other: unique secondary keys and foreign keys.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::prelude::*;
use mysql_async::{Conn, Error, Row};

/// Schema and table.
pub type TableName = (String, String);

/// A unique key beside the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueKey {
    /// Its name.
    pub name: String,
    /// Its columns in key order, each with its prefix length in characters (0: whole).
    pub columns: Vec<(String, u32)>,
    /// Whether a part of it is an expression: then the row that holds a value cannot be looked for.
    pub functional: bool,
}

/// What a foreign key does when its parent goes or changes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `RESTRICT`, `NO ACTION`: the parent stays.
    Restrict,
    /// `CASCADE`: the child goes along.
    Cascade,
    /// `SET NULL`: the child loses its parent.
    SetNull,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// The table that refers.
    pub child: TableName,
    /// Its columns.
    pub child_columns: Vec<String>,
    /// The table referred to.
    pub parent: TableName,
    /// Its columns, in the same order.
    pub parent_columns: Vec<String>,
    /// What happens when the parent is deleted.
    pub on_delete: Action,
    /// What happens when the parent's columns change.
    pub on_update: Action,
}

impl ForeignKey {
    /// Whether the server would change children by itself.
    pub fn acts(&self) -> bool {
        self.on_delete != Action::Restrict || self.on_update != Action::Restrict
    }
}

/// The keys and foreign keys of one table.
#[derive(Debug, Clone, Default)]
pub struct Related {
    /// Unique secondary keys.
    pub unique: Vec<UniqueKey>,
    /// Foreign keys in which it is the child.
    pub parents: Vec<Arc<ForeignKey>>,
    /// Foreign keys in which it is the parent.
    pub children: Vec<Arc<ForeignKey>>,
}

impl Related {
    /// Whether a delete or a change of a referenced column would make the server change rows of other tables.
    pub fn cascades(&self) -> bool {
        self.children.iter().any(|key| key.acts())
    }
}

/// The keys and foreign keys of all tables.
#[derive(Debug, Clone, Default)]
pub struct Relations {
    tables: HashMap<String, HashMap<String, Related>>,
}

impl Relations {
    /// Those of one table; `None` if it has neither unique secondary keys nor foreign keys.
    pub fn of(&self, schema: &str, table: &str) -> Option<&Related> {
        self.tables.get(schema)?.get(table)
    }

    /// Adds a unique secondary key of `table`.
    pub fn add_unique(&mut self, table: &TableName, key: UniqueKey) {
        self.entry(table).unique.push(key);
    }

    /// Adds a foreign key.
    pub fn add_foreign(&mut self, key: ForeignKey) {
        let key = Arc::new(key);
        self.entry(&key.child).parents.push(key.clone());
        self.entry(&key.parent).children.push(key);
    }

    /// The table and all that foreign keys join to it, directly or through others; sorted.
    pub fn joined(&self, schema: &str, table: &str) -> Vec<TableName> {
        let mut found = vec![(schema.to_owned(), table.to_owned())];
        let mut at = 0;
        while at < found.len() {
            if let Some(related) = self.of(&found[at].0, &found[at].1) {
                let ends = related.parents.iter().map(|key| &key.parent);
                let ends = ends.chain(related.children.iter().map(|key| &key.child));
                let new: Vec<TableName> = ends.filter(|name| !found.contains(name)).cloned().collect();
                found.extend(new);
            }
            at += 1;
        }
        found.sort();
        found.dedup();
        found
    }

    fn entry(&mut self, (schema, table): &TableName) -> &mut Related {
        self.tables.entry(schema.clone()).or_default().entry(table.clone()).or_default()
    }

    /// Reads them from the server.
    pub async fn read(conn: &mut Conn) -> Result<Self, Error> {
        const SYSTEM: &str = "('mysql', 'sys', 'information_schema', 'performance_schema', 'concord')";
        let text = |row: &Row, at: usize| row.get::<Option<String>, _>(at).flatten().unwrap_or_default();
        let mut relations = Self::default();
        let keys: Vec<Row> = conn
            .query(format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, CAST(SUB_PART AS CHAR)
                 FROM information_schema.STATISTICS
                 WHERE NON_UNIQUE = 0 AND INDEX_NAME <> 'PRIMARY' AND TABLE_SCHEMA NOT IN {SYSTEM}
                 ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
            ))
            .await?;
        for row in &keys {
            let (name, column) = (text(row, 2), text(row, 3));
            let unique = &mut relations.entry(&(text(row, 0), text(row, 1))).unique;
            if unique.last().is_none_or(|key| key.name != name) {
                unique.push(UniqueKey { name, columns: Vec::new(), functional: false });
            }
            if let Some(key) = unique.last_mut() {
                // An expression has no column name.
                key.functional |= column.is_empty();
                key.columns.push((column, text(row, 4).parse().unwrap_or(0)));
            }
        }
        let foreign: Vec<Row> = conn
            .query(format!(
                "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA,
                        k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE
                 FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
                   ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
                  AND r.TABLE_NAME = k.TABLE_NAME
                 WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND k.TABLE_SCHEMA NOT IN {SYSTEM}
                 ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION"
            ))
            .await?;
        let mut found: Vec<ForeignKey> = Vec::new();
        for row in &foreign {
            let (child, name) = ((text(row, 0), text(row, 1)), text(row, 2));
            if found.last().is_none_or(|key| (&key.child, &key.name) != (&child, &name)) {
                found.push(ForeignKey {
                    name,
                    child,
                    child_columns: Vec::new(),
                    parent: (text(row, 4), text(row, 5)),
                    parent_columns: Vec::new(),
                    on_delete: action(&text(row, 7)),
                    on_update: action(&text(row, 8)),
                });
            }
            if let Some(key) = found.last_mut() {
                key.child_columns.push(text(row, 3));
                key.parent_columns.push(text(row, 6));
            }
        }
        for key in found {
            relations.add_foreign(key);
        }
        Ok(relations)
    }
}

fn action(rule: &str) -> Action {
    match rule {
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        // SET DEFAULT is refused by InnoDB.
        _ => Action::Restrict,
    }
}
