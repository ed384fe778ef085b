//! The referee for equal tables: the server's own checksum, and every value of every row on each side.

use crate::{Error, Result, Sql};
use std::collections::BTreeMap;
use std::fmt;

/// How long a value may be before its hash is compared in its place, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// One row that is not the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table, as `schema.table`.
    pub table: String,
    /// Per region how the row looks there; empty where it is absent.
    pub sides: Vec<(String, String)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.table)?;
        for (region, row) in &self.sides {
            write!(out, "\n  {region:>8}: {}", if row.is_empty() { "(no such row)" } else { row })?;
        }
        Ok(())
    }
}

/// `CHECKSUM TABLE` of `schema.table`.
pub async fn checksum(sql: &mut Sql, table: &str) -> Result<String> {
    let rows = sql.rows(format!("CHECKSUM TABLE {table}")).await?;
    match rows.into_iter().next().and_then(|row| row.into_iter().nth(1)) {
        Some(value) if value != "NULL" => Ok(value),
        _ => Err(Error::Unexpected(format!("no checksum of {table}; does it exist?"))),
    }
}

/// Compares a table (`schema.table`) in all regions: its columns, the server's checksums, and each row. Empty if equal.
pub async fn compare_tables(regions: &mut [(String, Sql)], table: &str) -> Result<Vec<Difference>> {
    let mut columns = Vec::new();
    let mut checksums = Vec::new();
    let mut rows: Vec<BTreeMap<String, Vec<String>>> = Vec::new();
    for (name, sql) in regions.iter_mut() {
        let shape = Shape::read(sql, table).await?;
        checksums.push((name.clone(), checksum(sql, table).await?));
        rows.push(shape.rows(sql, table).await?);
        columns.push((name.clone(), shape.description));
    }
    let mut found = Vec::new();
    for sides in [&columns, &checksums] {
        if sides.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            found.push(Difference { table: table.to_owned(), sides: sides.clone() });
        }
    }
    let mut keys: Vec<&String> = rows.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let sides: Vec<Option<&Vec<String>>> = rows.iter().map(|rows| rows.get(key)).collect();
        if sides.windows(2).any(|pair| pair[0] != pair[1]) {
            let sides = regions.iter().zip(sides).map(|((name, _), side)| {
                (name.clone(), side.map(|rows| rows.join(" and ")).unwrap_or_default())
            });
            found.push(Difference { table: table.to_owned(), sides: sides.collect() });
        }
    }
    Ok(found)
}

/// How a table's rows are read so that no difference is lost.
struct Shape {
    /// The columns with their types.
    description: String,
    /// The expression of the primary key; of the whole row if it has none.
    key: String,
    /// The expression of the row.
    row: String,
}

impl Shape {
    async fn read(sql: &mut Sql, table: &str) -> Result<Self> {
        let (schema, name) =
            names(table).ok_or_else(|| Error::Unexpected(format!("{table} is no schema.table")))?;
        let literal = |name: &str| name.replace('\\', "\\\\").replace('\'', "''");
        let (schema, name) = (literal(&schema), literal(&name));
        let columns = sql
            .rows(format!(
                "SELECT column_name, data_type, column_type, column_key FROM information_schema.columns \
                 WHERE table_schema = '{schema}' AND table_name = '{name}' ORDER BY ordinal_position"
            ))
            .await?;
        if columns.is_empty() {
            return Err(Error::Unexpected(format!("there is no table {table}")));
        }
        let mut all = Vec::new();
        let mut key = Vec::new();
        let mut description = Vec::new();
        for column in &columns {
            let [name, kind, full, role] = column.as_slice() else {
                return Err(Error::Unexpected("information_schema.columns answers strangely".to_owned()));
            };
            let exact = exact(name, kind);
            if role == "PRI" {
                key.push(exact.clone());
            }
            all.push(exact);
            description.push(format!("{name} {full}"));
        }
        if key.is_empty() {
            key.clone_from(&all);
        }
        Ok(Self {
            description: description.join(", "),
            key: format!("CONCAT_WS(',', {})", key.join(", ")),
            row: format!("CONCAT_WS(',', {})", all.join(", ")),
        })
    }

    async fn rows(&self, sql: &mut Sql, table: &str) -> Result<BTreeMap<String, Vec<String>>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sql.rows(format!("SELECT {}, {} FROM {table}", self.key, self.row)).await? {
            if let [key, row] = row.as_slice() {
                found.entry(key.clone()).or_default().push(row.clone());
            }
        }
        for rows in found.values_mut() {
            rows.sort();
        }
        Ok(found)
    }
}

/// The names of schema and table, each of which may stand in backquotes.
fn names(table: &str) -> Option<(String, String)> {
    let mut quoted = false;
    let dot = table.find(|c| {
        quoted ^= c == '`';
        c == '.' && !quoted
    })?;
    let plain = |name: &str| {
        let inner = name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        inner.map_or_else(|| name.to_owned(), |inner| inner.replace("``", "`"))
    };
    Some((plain(&table[..dot]), plain(&table[dot + 1..])))
}

/// An expression which is the same for two values only if they are the same to the last bit.
fn exact(column: &str, kind: &str) -> String {
    let quoted = format!("`{}`", column.replace('`', "``"));
    let value = match kind {
        // As bytes in the column's own character set, and as they are.
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "binary" | "varbinary"
        | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" => format!("HEX({quoted})"),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geomcollection" | "geometrycollection" => format!("HEX({quoted})"),
        "bit" => format!("HEX({quoted} + 0)"),
        // The ordinal and the bitmask count, the name is for people.
        "enum" | "set" => format!("CONCAT({quoted} + 0, ':', {quoted})"),
        // A FLOAT's shortest text is rounded; as DOUBLE it is exact.
        "float" | "double" => format!("CAST(CAST({quoted} AS DOUBLE) AS CHAR)"),
        // The type of each member counts too, or 1 and 1.0 and "1" would look the same.
        "json" => format!("CONCAT(JSON_TYPE({quoted}), HEX(CAST({quoted} AS CHAR)))"),
        _ => format!("CAST({quoted} AS CHAR)"),
    };
    format!("IFNULL(IF(LENGTH({value}) > {VALUE_BYTES_MAX}, SHA2({value}, 256), {value}), 'NULL')")
}
