//! The target's tables, held against the table maps of incoming rows.
//!
//! Row events are matched by position: a column that is not where the origin has it would take its neighbour's value
//! without an error. So names, types and order must be equal before any row passes.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::prelude::*;
use mysql_async::{Conn, Error, Row};
use transaction::Weights;
use transaction::binlog::{Column, ColumnType, TableMap, full_bitmap};
use transaction::key::{ALPHABET, Collation, LOCAL_COLLATIONS, Need};

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

/// Reads the definition of one table; `None` if it does not exist.
pub async fn read(
    conn: &mut Conn,
    weights: &Weights,
    schema: &str,
    table: &str,
) -> Result<Option<Definition>, Error> {
    let mut all = read_where(conn, weights, "TABLE_SCHEMA = ? AND TABLE_NAME = ?", (schema, table)).await?;
    Ok(all.remove(&(schema.to_owned(), table.to_owned())))
}

/// Reads the definitions of all base tables outside the server's own schemas, by (schema, table).
pub async fn read_all(
    conn: &mut Conn,
    weights: &Weights,
) -> Result<HashMap<(String, String), Definition>, Error> {
    let condition = "TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'concord') AND ? = ?";
    read_where(conn, weights, condition, (1, 1)).await
}

async fn read_where(
    conn: &mut Conn,
    weights: &Weights,
    condition: &str,
    parameters: impl Into<mysql_async::Params> + Send + Clone,
) -> Result<HashMap<(String, String), Definition>, Error> {
    let text = |row: &Row, at: usize| row.get::<Option<String>, _>(at).flatten();
    let mut all = HashMap::new();
    let tables: Vec<Row> = conn
        .exec(
            format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
                 WHERE TABLE_TYPE = 'BASE TABLE' AND {condition}"
            ),
            parameters.clone(),
        )
        .await?;
    for row in &tables {
        let name = (text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default());
        let engine = text(row, 2).unwrap_or_default();
        all.insert(
            name,
            Definition { columns: Vec::new(), primary_key: Vec::new(), engine, virtual_columns: Vec::new() },
        );
    }
    let columns: Vec<Row> = conn
        .exec(
            format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME,
                        CAST(CHARACTER_OCTET_LENGTH AS CHAR), CAST(NUMERIC_PRECISION AS CHAR), CAST(NUMERIC_SCALE AS CHAR),
                        CAST(DATETIME_PRECISION AS CHAR), EXTRA
                 FROM information_schema.COLUMNS WHERE {condition} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
            ),
            parameters.clone(),
        )
        .await?;
    for row in &columns {
        let name = (text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default());
        let Some(definition) = all.get_mut(&name) else { continue };
        let number = |at| text(row, at).and_then(|digits| digits.parse::<u64>().ok());
        let column_type = text(row, 4).unwrap_or_default();
        let shape = Shape {
            data_type: &text(row, 3).unwrap_or_default(),
            column_type: &column_type,
            octets: number(7),
            precision: number(8),
            scale: number(9),
            fraction: number(10),
        };
        let column = text(row, 2).unwrap_or_default();
        if text(row, 11).is_some_and(|extra| extra.contains("VIRTUAL GENERATED")) {
            definition.virtual_columns.push(definition.columns.len());
        }
        let kind = shape.kind().ok_or_else(|| {
            Error::Other(
                format!(
                    "column {}.{}.{column} has type {column_type}, which Concord does not know",
                    name.0, name.1
                )
                .into(),
            )
        })?;
        let collation = text(row, 6).and_then(|name| weights.collation_named(&name).map(|c| c.id));
        let bytes = matches!(kind, ColumnType::Char(_) | ColumnType::VarChar(_) | ColumnType::Blob(_));
        definition.columns.push(Column {
            name: column,
            kind,
            nullable: text(row, 5).as_deref() == Some("YES"),
            // YEAR is unsigned in a table map, though its type does not say so (seen on 9.7.4).
            unsigned: column_type.contains("unsigned") || kind == ColumnType::Year,
            collation: collation.unwrap_or(if bytes { 63 } else { 0 }),
            members: shape.members(),
        });
    }
    let keys: Vec<Row> = conn
        .exec(
            format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS
                 WHERE INDEX_NAME = 'PRIMARY' AND {condition} ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX"
            ),
            parameters,
        )
        .await?;
    for row in &keys {
        let name = (text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default());
        if let Some(definition) = all.get_mut(&name) {
            definition.primary_key.extend(text(row, 2));
        }
    }
    Ok(all)
}

/// A column's type as `information_schema.COLUMNS` says it.
struct Shape<'a> {
    data_type: &'a str,
    column_type: &'a str,
    octets: Option<u64>,
    precision: Option<u64>,
    scale: Option<u64>,
    fraction: Option<u64>,
}

impl Shape<'_> {
    /// The same type as the binlog's table map says it.
    fn kind(&self) -> Option<ColumnType> {
        let fraction = self.fraction.unwrap_or(0) as u8;
        let octets = || self.octets.and_then(|octets| u16::try_from(octets).ok());
        Some(match self.data_type {
            "tinyint" => ColumnType::Int(1),
            "smallint" => ColumnType::Int(2),
            "mediumint" => ColumnType::Int(3),
            "int" => ColumnType::Int(4),
            "bigint" => ColumnType::Int(8),
            "float" => ColumnType::Float,
            "double" => ColumnType::Double,
            "decimal" => ColumnType::Decimal { precision: self.precision? as u8, scale: self.scale? as u8 },
            "year" => ColumnType::Year,
            "date" => ColumnType::Date,
            "time" => ColumnType::Time(fraction),
            "datetime" => ColumnType::DateTime(fraction),
            "timestamp" => ColumnType::Timestamp(fraction),
            "char" | "binary" => ColumnType::Char(octets()?),
            "varchar" | "varbinary" => ColumnType::VarChar(octets()?),
            "tinytext" | "tinyblob" => ColumnType::Blob(1),
            "text" | "blob" => ColumnType::Blob(2),
            "mediumtext" | "mediumblob" => ColumnType::Blob(3),
            "longtext" | "longblob" => ColumnType::Blob(4),
            "json" => ColumnType::Json(4),
            "vector" => ColumnType::Vector(4),
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geomcollection" | "geometrycollection" => ColumnType::Geometry(4),
            "enum" => ColumnType::Enum(if self.members().len() > 255 { 2 } else { 1 }),
            "set" => ColumnType::Set(match self.members().len() {
                0..=8 => 1,
                9..=16 => 2,
                17..=24 => 3,
                25..=32 => 4,
                _ => 8,
            }),
            "bit" => ColumnType::Bit(self.precision? as u8),
            _ => return None,
        })
    }

    /// The members of `enum('a','b')`, quotes doubled inside.
    fn members(&self) -> Vec<Vec<u8>> {
        if !matches!(self.data_type, "enum" | "set") {
            return Vec::new();
        }
        let inner = self.column_type.split_once('(').map_or("", |(_, rest)| rest);
        let mut members = Vec::new();
        let mut rest = inner;
        while let Some(start) = rest.find('\'') {
            let mut member = String::new();
            let mut tail = &rest[start + 1..];
            while let Some(end) = tail.find('\'') {
                member.push_str(&tail[..end]);
                tail = &tail[end + 1..];
                match tail.strip_prefix('\'') {
                    Some(more) => {
                        member.push('\'');
                        tail = more;
                    }
                    None => break,
                }
            }
            members.push(member.into_bytes());
            rest = tail;
        }
        members
    }
}

/// Reads the server's collations, and compares for each of [`LOCAL_COLLATIONS`] its weight of the alphabet with the
/// weights of the letters.
pub async fn read_weights(conn: &mut Conn) -> Result<Weights, Error> {
    let rows: Vec<(u64, String, String, String)> = conn
        .query(
            "SELECT ID, COLLATION_NAME, CHARACTER_SET_NAME, PAD_ATTRIBUTE FROM information_schema.COLLATIONS",
        )
        .await?;
    let mut weights = Weights::new(rows.into_iter().map(|(id, name, charset, pad)| Collation {
        id: id as u16,
        name,
        charset,
        pad_space: pad == "PAD SPACE",
    }));
    for name in LOCAL_COLLATIONS {
        let Some(collation) = weights.collation_named(name).cloned() else { continue };
        let mut texts: Vec<Vec<u8>> = ALPHABET.iter().map(|character| vec![*character]).collect();
        texts.push(ALPHABET.to_vec());
        let needs: Vec<Need> = texts.into_iter().map(|text| Need { collation: collation.id, text }).collect();
        let question = weight_question(&weights, &needs);
        let mut answers = ask_weights(conn, &question, &needs).await?;
        if let Some((_, whole)) = answers.pop() {
            let each: Vec<Vec<u8>> = answers.into_iter().map(|(_, weight)| weight).collect();
            weights.learn_alphabet(collation.id, &each, &whole);
        }
    }
    Ok(weights)
}

/// The statement that asks for the weights of texts; empty if there are none.
pub fn weight_question(weights: &Weights, needs: &[Need]) -> String {
    let columns: Vec<String> = needs
        .iter()
        .filter_map(|need| {
            let collation = weights.collation(need.collation)?;
            let hex: String = need.text.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("WEIGHT_STRING(_{} x'{hex}' COLLATE {})", collation.charset, collation.name))
        })
        .collect();
    if columns.is_empty() { String::new() } else { format!("SELECT {}", columns.join(", ")) }
}

/// Asks [`weight_question`]; the answers come in the order of `needs`.
pub async fn ask_weights(
    conn: &mut Conn,
    question: &str,
    needs: &[Need],
) -> Result<Vec<(Need, Vec<u8>)>, Error> {
    if question.is_empty() {
        return Ok(Vec::new());
    }
    let row: Option<Row> = conn.query_first(question).await?;
    let values = row.map(Row::unwrap).unwrap_or_default();
    if values.len() != needs.len() {
        let reason = format!("the server gave {} weights for {} texts", values.len(), needs.len());
        return Err(Error::Other(reason.into()));
    }
    needs
        .iter()
        .zip(values)
        .map(|(need, value)| match value {
            mysql_async::Value::Bytes(weight) => Ok((need.clone(), weight)),
            _ => Err(Error::Other(
                format!("the server gave no weight for a text under collation {}", need.collation).into(),
            )),
        })
        .collect()
}

/// Asks the server for the weights of texts, and keeps them in `shared`.
pub async fn learn(conn: &mut Conn, shared: &Shared, needs: Vec<Need>) -> Result<(), Error> {
    const AT_A_TIME: usize = 500;
    let mut answers = Vec::with_capacity(needs.len());
    for some in needs.chunks(AT_A_TIME) {
        let question = weight_question(&shared.weights.read(), some);
        answers.extend(ask_weights(conn, &question, some).await?);
    }
    shared.weights.write().learn(answers);
    Ok(())
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
