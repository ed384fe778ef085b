//! The target's tables, held against the table maps of incoming rows.
//!
//! Row events are matched by position: a column that is not where the origin has it would take its neighbour's value
//! without an error. So a row passes as it is only if names, types and order are equal; else it is built anew (`fit.rs`).

mod read;
mod weights;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
pub use read::{read, read_all};
use transaction::binlog::{Column, TableMap, full_bitmap};
pub use weights::{ask_weights, learn, read_weights, weight_question};

use crate::fit::Fit;
use crate::relations::Relations;
use crate::session::SqlFailure;
use crate::shared::Shared;
use crate::target::Target;

/// A table as `information_schema` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Definition {
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Names of the primary key's columns, in key order.
    pub primary_key: Vec<String>,
    /// Storage engine.
    pub engine: String,
    /// Places of the virtual generated columns, which row images may lack.
    pub virtual_columns: Vec<usize>,
    /// Places of the columns that get the same value in every region if a row comes without them: by a constant default, or NULL.
    pub filled: Vec<usize>,
    /// Whether the server computes something of each row: a generated column or the key of a functional index.
    pub computes: bool,
    /// Whether it has a functional index.
    pub functional: bool,
}

/// How the target's table differs from the origin's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "table {table} differs between the regions: {difference}; make the definitions equal, then `concord resume --table {table}`"
)]
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
            if !same_type(here, there) {
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
        self.compare_key(map)
    }

    /// Whether rows are told apart by the same values.
    pub(crate) fn compare_key(&self, map: &TableMap) -> Result<(), Drift> {
        let key: Vec<&str> = map.primary_key.iter().map(|(at, _)| map.columns[*at].name.as_str()).collect();
        let types_differ = |(at, _): &&(usize, u32)| {
            let there = &map.columns[*at];
            self.place(&there.name).is_none_or(|at| !same_type(&self.columns[at], there))
        };
        let difference = if self.primary_key != key {
            let here = self.primary_key.join(", ");
            format!("primary key is ({here}) here and ({}) at the origin", key.join(", "))
        } else if let Some((at, _)) = map.primary_key.iter().find(types_differ) {
            let there = &map.columns[*at];
            format!("column `{}` of the primary key is {} at the origin", there.name, describe(there))
        } else {
            return Ok(());
        };
        Err(Drift { table: map.full_name(), difference })
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether a row may come without a column.
    pub(crate) fn fills(&self, place: usize) -> bool {
        self.filled.contains(&place) || self.virtual_columns.contains(&place)
    }
}

fn same_type(one: &Column, other: &Column) -> bool {
    one.kind == other.kind
        && one.unsigned == other.unsigned
        && one.collation == other.collation
        && one.members == other.members
}

impl Definition {
    /// Columns and primary key as a table map has them.
    fn layout(&self, schema: &str, table: &str) -> TableMap {
        let key = self.primary_key.iter().filter_map(|name| self.place(name));
        let primary_key = key.map(|place| (place, 0)).collect();
        TableMap::of(schema, table, self.columns.clone(), primary_key, full_bitmap(self.columns.len()))
    }
}

pub(crate) fn describe(column: &Column) -> String {
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

/// The tables whose definitions were held against the target's; one value for all lanes of a region, whichever of them asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Definitions(Arc<Mutex<Cache>>);

#[derive(Debug, Default)]
struct Cache {
    version: u64,
    fits: HashMap<(String, String), Vec<Known>>,
    last: Option<Known>,
    relations: Option<Arc<Relations>>,
    layouts: HashMap<(String, String), Option<Arc<TableMap>>>,
}

impl Cache {
    fn clear(&mut self) {
        *self = Self { version: self.version, ..Self::default() };
    }
}

impl Definitions {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Keeps what was read of the server, unless definitions may have changed since `version`.
    fn keep(&self, version: u64, keep: impl FnOnce(&mut Cache)) {
        let mut cache = self.0.lock();
        if cache.version == version {
            keep(&mut cache);
        }
    }

    fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// What ties rows to each other; as of the last [`Definitions::refresh`].
    pub(crate) fn relations(&self) -> Arc<Relations> {
        self.0.lock().relations.clone().unwrap_or_default()
    }

    /// The layout of a table here; `None` if it does not exist.
    pub(crate) async fn layout(
        &self,
        target: &mut impl Target,
        shared: &Shared,
        schema: &str,
        table: &str,
    ) -> Result<Option<Arc<TableMap>>, SqlFailure> {
        let name = (schema.to_owned(), table.to_owned());
        if let Some(known) = self.0.lock().layouts.get(&name) {
            return Ok(known.clone());
        }
        let version = self.version();
        let weights = shared.weights.read().clone();
        let definition = target.definition(&weights, schema, table).await?;
        let layout = definition.map(|definition| Arc::new(definition.layout(schema, table)));
        self.keep(version, |cache| drop(cache.layouts.insert(name, layout.clone())));
        Ok(layout)
    }

    /// Forgets everything if a definition may have changed since, and reads what ties rows to each other.
    pub(crate) async fn refresh(&self, target: &mut impl Target, version: u64) -> Result<(), SqlFailure> {
        {
            let mut cache = self.0.lock();
            if version > cache.version {
                cache.clear();
                cache.version = version;
            }
            if cache.relations.is_some() {
                return Ok(());
            }
        }
        let relations = Arc::new(target.relations().await?);
        self.keep(version, |cache| cache.relations = Some(relations));
        Ok(())
    }

    /// Whether the server computes something of each row of a table, as far as that is known: true if it is not.
    pub(crate) fn computes(&self, map: &TableMap) -> bool {
        let cache = self.0.lock();
        let known = cache.fits.get(&(map.schema.clone(), map.table.clone()));
        known.and_then(|known| known.first()).is_none_or(|(_, fitting)| fitting.computes)
    }

    /// How rows under `map` come into the target's table.
    pub(crate) async fn fit(
        &self,
        target: &mut impl Target,
        shared: &Shared,
        map: &Arc<TableMap>,
    ) -> Result<Fitting, SqlFailure> {
        let version = {
            let mut cache = self.0.lock();
            if let Some(fitting) = cache.known(map) {
                return Ok(fitting);
            }
            cache.version
        };
        let weights = shared.weights.read().clone();
        let definition = target.definition(&weights, &map.schema, &map.table).await?;
        let fitting = fitting_of(definition, map)?;
        self.keep(version, |cache| {
            let known = cache.fits.entry((map.schema.clone(), map.table.clone())).or_default();
            // Layouts of one table follow each other; no more than a few are in the logs at once.
            known.truncate(LAYOUTS_KEPT - 1);
            known.insert(0, (map.clone(), fitting.clone()));
        });
        Ok(fitting)
    }
}

impl Cache {
    fn known(&mut self, map: &Arc<TableMap>) -> Option<Fitting> {
        if let Some((_, fitting)) = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, map)) {
            return Some(fitting.clone());
        }
        let known = self.fits.get(&(map.schema.clone(), map.table.clone()))?;
        let same = |(known, _): &&Known| {
            (&known.body_after_id, &known.present) == (&map.body_after_id, &map.present)
        };
        let (_, fitting) = known.iter().find(same)?;
        self.last = Some((map.clone(), fitting.clone()));
        self.last.as_ref().map(|(_, fitting)| fitting.clone())
    }
}

/// How many layouts of one table are known at once.
const LAYOUTS_KEPT: usize = 8;

/// A layout whose rows were held against the table here.
type Known = (Arc<TableMap>, Fitting);

/// How rows of a layout come into the table here.
#[derive(Debug, Clone)]
pub(crate) struct Fitting {
    /// `None`: they pass as they are.
    pub(crate) fit: Option<Arc<Fit>>,
    /// See [`Definition::computes`].
    pub(crate) computes: bool,
}

fn fitting_of(definition: Option<Definition>, map: &TableMap) -> Result<Fitting, SqlFailure> {
    let Some(definition) = definition else {
        let reason = format!(
            "table {} does not exist in this region; create it as it is at the origin, then `concord resume --table {0}`",
            map.full_name()
        );
        let (schema, table) = (map.schema.clone(), map.table.clone());
        return Err(SqlFailure::Table { schema, table, reason });
    };
    if definition.functional && definition.primary_key == ["my_row_id"] {
        let difference = "MySQL cannot apply row events to a table with a hidden key (`my_row_id`) and a functional index (error 1105, seen on 9.7.4): rename \
                          the key's column, or drop the index, in every region";
        return Err(Drift { table: map.full_name(), difference: difference.to_owned() }.failure(map));
    }
    let fit = match definition.compare(map) {
        Ok(()) => None,
        Err(_) => Some(Arc::new(Fit::new(&definition, map).map_err(|drift| drift.failure(map))?)),
    };
    Ok(Fitting { fit, computes: definition.computes })
}

impl Drift {
    /// It holds that table back, and no other.
    pub(crate) fn failure(self, map: &TableMap) -> SqlFailure {
        SqlFailure::Table { schema: map.schema.clone(), table: map.table.clone(), reason: self.to_string() }
    }
}
