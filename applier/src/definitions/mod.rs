//! The target's tables, held against the table maps of incoming rows.
//!
//! Row events are matched by position: a column that is not where the origin has it would take its neighbour's value
//! without an error. So names, types and order must be equal before any row passes.

mod read;
mod weights;

use std::collections::HashMap;
use std::sync::Arc;

pub use read::{read, read_all};
use transaction::binlog::{Column, TableMap, full_bitmap};
pub use weights::{ask_weights, learn, read_weights, weight_question};

use crate::relations::Relations;
use crate::session::SqlFailure;
use crate::shared::Shared;
use crate::target::Target;

/// A table as `information_schema` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Definition {
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Names of the primary key's columns, in key order.
    pub primary_key: Vec<String>,
    /// Storage engine.
    pub engine: String,
    /// Places of the virtual generated columns, which row images may lack.
    pub virtual_columns: Vec<usize>,
}

/// How the target's table differs from the origin's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table} differs between the regions: {difference}; make the definitions equal, then resume")]
pub struct Drift {
    /// Schema and table.
    pub table: String,
    /// The first difference, with both sides.
    pub difference: String,
}

impl Definition {
    /// Whether rows under `map` fit this table, column by column.
    pub fn compare(&self, map: &TableMap) -> Result<(), Drift> {
        let drift = |difference| Err(Drift { table: map.full_name(), difference });
        for (at, (here, there)) in self.columns.iter().zip(&map.columns).enumerate() {
            if here.name != there.name {
                return drift(format!(
                    "column {} is `{}` here and `{}` at the origin",
                    at + 1,
                    here.name,
                    there.name
                ));
            }
            let same = here.kind == there.kind
                && here.unsigned == there.unsigned
                && here.collation == there.collation
                && here.members == there.members;
            if !same {
                return drift(format!(
                    "column `{}` is {} here and {} at the origin",
                    here.name,
                    describe(here),
                    describe(there)
                ));
            }
        }
        for (at, column) in map.columns.iter().enumerate() {
            if !map.has(at) && !self.virtual_columns.contains(&at) {
                return drift(format!(
                    "column `{}` is not in the origin's row images, and no virtual one here (or a session there wrote \
                     with binlog_row_image other than FULL)",
                    column.name
                ));
            }
        }
        if self.columns.len() != map.columns.len() {
            return drift(format!(
                "{} columns here, {} at the origin",
                self.columns.len(),
                map.columns.len()
            ));
        }
        let key: Vec<&str> = map.primary_key.iter().map(|(at, _)| map.columns[*at].name.as_str()).collect();
        if self.primary_key != key {
            return drift(format!(
                "primary key is ({}) here and ({}) at the origin",
                self.primary_key.join(", "),
                key.join(", ")
            ));
        }
        Ok(())
    }
}

impl Definition {
    /// Columns and primary key as a table map has them.
    fn layout(&self, schema: &str, table: &str) -> TableMap {
        let place = |name: &String| self.columns.iter().position(|column| column.name == *name);
        TableMap {
            table_id: 0,
            schema: schema.to_owned(),
            table: table.to_owned(),
            columns: self.columns.clone(),
            primary_key: self.primary_key.iter().filter_map(place).map(|place| (place, 0)).collect(),
            present: full_bitmap(self.columns.len()),
            body_after_id: Vec::new(),
        }
    }
}

fn describe(column: &Column) -> String {
    let sign = if column.unsigned { " unsigned" } else { "" };
    let members = match column.members.len() {
        0 => String::new(),
        _ => format!(
            " of ({})",
            column
                .members
                .iter()
                .map(|m| String::from_utf8_lossy(m).into_owned())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    format!("{:?}{sign} with collation id {}{members}", column.kind, column.collation)
}

/// The tables whose definitions were held against the target's.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    version: u64,
    equal: HashMap<(String, String), Arc<TableMap>>,
    last: Option<Arc<TableMap>>,
    relations: Option<Arc<Relations>>,
    layouts: HashMap<(String, String), Option<Arc<TableMap>>>,
}

impl Definitions {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self { version: self.version, ..Self::default() };
    }

    /// What ties rows to each other; as of the last [`Definitions::refresh`].
    pub(crate) fn relations(&self) -> Arc<Relations> {
        self.relations.clone().unwrap_or_default()
    }

    /// The layout of a table here, without what is only needed to send rows; `None` if it does not exist.
    pub(crate) async fn layout(
        &mut self,
        target: &mut impl Target,
        shared: &Shared,
        schema: &str,
        table: &str,
    ) -> Result<Option<Arc<TableMap>>, SqlFailure> {
        let name = (schema.to_owned(), table.to_owned());
        if let Some(known) = self.layouts.get(&name) {
            return Ok(known.clone());
        }
        let weights = shared.weights.read().clone();
        let definition = target.definition(&weights, schema, table).await?;
        let layout = definition.map(|definition| Arc::new(definition.layout(schema, table)));
        self.layouts.insert(name, layout.clone());
        Ok(layout)
    }

    /// Forgets everything if a definition may have changed since, and reads what ties rows to each other.
    pub(crate) async fn refresh(&mut self, target: &mut impl Target, version: u64) -> Result<(), SqlFailure> {
        if version != self.version {
            self.clear();
            self.version = version;
        }
        if self.relations.is_none() {
            self.relations = Some(Arc::new(target.relations().await?));
        }
        Ok(())
    }

    /// Makes sure that rows under `map` fit the target's table.
    pub(crate) async fn check(
        &mut self,
        target: &mut impl Target,
        shared: &Shared,
        map: &Arc<TableMap>,
    ) -> Result<(), SqlFailure> {
        if self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, map)) {
            return Ok(());
        }
        let name = (map.schema.clone(), map.table.clone());
        if self
            .equal
            .get(&name)
            .is_none_or(|known| (&known.body_after_id, &known.present) != (&map.body_after_id, &map.present))
        {
            let definition = {
                let weights = shared.weights.read().clone();
                target.definition(&weights, &map.schema, &map.table).await?
            };
            let Some(definition) = definition else {
                return Err(SqlFailure::Halt(format!(
                    "table {} does not exist in this region; create it as it is at the origin, then resume",
                    map.full_name()
                )));
            };
            definition.compare(map).map_err(|drift| SqlFailure::Halt(drift.to_string()))?;
            self.equal.insert(name, map.clone());
        }
        self.last = Some(map.clone());
        Ok(())
    }
}
