//! The referee of the cases: tables of one schema on two servers, value by value.
//!
//! It asks the servers themselves and nothing else, so it knows no event and no replicator.

use super::play::REGIONS;
use crate::{Result, Sql, compare};
use std::collections::{BTreeMap, BTreeSet};

/// A value of more bytes is compared by its SHA-256, and by its length.
const VALUE_BYTES_MAX: usize = 4096;
/// How much of a value a message shows, in characters.
const SHOWN_MAX: usize = 120;

/// The base tables of one server, by schema and name, with their columns.
#[derive(Debug, Default)]
pub struct Catalogue {
    schemas: BTreeMap<String, BTreeMap<String, Vec<Column>>>,
    /// Schema and name of the tables for which `CHECKSUM TABLE` says nothing: with an index over the members of a JSON
    /// array it differs between a table and its copy on one and the same server (seen on 9.7.4).
    without_checksum: BTreeSet<(String, String)>,
}

/// A column as `information_schema` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    kind: String,
    full: String,
}

impl Catalogue {
    /// Reads all of a server's schemas at once, which is much faster than one at a time.
    pub async fn read(sql: &mut Sql) -> Result<Self> {
        let rows = sql
            .rows(
                "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, \
                 CONCAT_WS(' ', c.column_type, c.extra, c.collation_name, c.srs_id) \
                 FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
                 WHERE t.table_type = 'BASE TABLE' \
                 AND c.table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', 'concord') \
                 ORDER BY c.table_schema, c.table_name, c.ordinal_position",
            )
            .await?;
        let mut found = Self::default();
        for row in rows {
            if let [schema, table, name, kind, full] = row.as_slice() {
                let tables = found.schemas.entry(schema.clone()).or_default();
                let column = Column { name: name.clone(), kind: kind.clone(), full: full.clone() };
                tables.entry(table.clone()).or_default().push(column);
            }
        }
        let arrays = "SELECT DISTINCT table_schema, table_name FROM information_schema.statistics WHERE expression LIKE '% array)%'";
        for row in sql.rows(arrays).await? {
            if let [schema, table] = row.as_slice() {
                found.without_checksum.insert((schema.clone(), table.clone()));
            }
        }
        Ok(found)
    }
}

/// What a look at one schema found.
#[derive(Debug, Default)]
pub struct Finding {
    /// One message for each table that is not the same.
    pub differences: Vec<String>,
    /// How many rows its tables have on the first server.
    pub rows: usize,
}

/// Compares all tables of `schema`: definitions, indexes, checksums and rows.
pub async fn compare(sides: &mut [Sql; 2], catalogues: &[Catalogue; 2], schema: &str) -> Result<Finding> {
    let mut finding = Finding::default();
    let nothing = BTreeMap::new();
    let [here, there] = catalogues.each_ref().map(|side| side.schemas.get(schema).unwrap_or(&nothing));
    if here != there {
        finding.differences.push(format!("the tables are defined as {here:?} in eu and {there:?} in us"));
        return Ok(finding);
    }
    for (table, columns) in here {
        let place = format!("`{schema}`.`{}`", table.replace('`', "``"));
        let mut checksums = Vec::new();
        let mut rows = Vec::new();
        for (region, sql) in REGIONS.iter().zip(sides.iter_mut()) {
            // Generated columns and functional indexes are not in the events: each server makes them by itself.
            for line in sql.rows(format!("CHECK TABLE {place}")).await? {
                if line.get(2).is_some_and(|kind| kind != "status")
                    || line.get(3).is_none_or(|text| text != "OK")
                {
                    finding.differences.push(format!("table {table}: CHECK TABLE in {region} says {line:?}"));
                }
            }
            if !catalogues[0].without_checksum.contains(&(schema.to_owned(), table.clone())) {
                checksums.push(compare::checksum(sql, &place).await?);
            }
            let values: Vec<String> = columns.iter().map(exact).collect();
            let mut all = sql.rows(format!("SELECT {} FROM {place}", values.join(", "))).await?;
            all.sort();
            rows.push(all);
        }
        finding.rows += rows[0].len();
        if let Some(difference) = first_difference(columns, &rows[0], &rows[1]) {
            finding.differences.push(format!("table {table}: {difference}"));
        } else if let [eu, us] = checksums.as_slice()
            && eu != us
        {
            finding.differences.push(format!("table {table}: CHECKSUM TABLE is {eu} in eu and {us} in us"));
        }
    }
    Ok(finding)
}

/// The first rows, in order, of which the other side has none the same.
fn first_difference(columns: &[Column], here: &[Vec<String>], there: &[Vec<String>]) -> Option<String> {
    let only = |mine: &[Vec<String>], other: &[Vec<String>]| {
        let mut rest: BTreeMap<&Vec<String>, usize> = BTreeMap::new();
        for row in other {
            *rest.entry(row).or_default() += 1;
        }
        let absent = |row: &&Vec<String>| match rest.get_mut(*row) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        mine.iter().filter(absent).cloned().collect::<Vec<_>>()
    };
    let (mine, other) = (only(here, there), only(there, here));
    if mine.is_empty() && other.is_empty() {
        return None;
    }
    let (left, right) = (mine.first(), other.first());
    let shown = |row: Option<&Vec<String>>, against: Option<&Vec<String>>| {
        let Some(row) = row else { return "no such row".to_owned() };
        let differs = |at: usize| at == 0 || against.is_none_or(|other| other.get(at) != row.get(at));
        let values = columns.iter().zip(row).enumerate().filter(|(at, _)| differs(*at));
        let values = values.map(|(_, (column, value))| {
            let start: String = value.chars().take(SHOWN_MAX).collect();
            let more = if start.len() < value.len() { "…" } else { "" };
            format!("{} = {start}{more}", column.name)
        });
        values.collect::<Vec<_>>().join(", ")
    };
    Some(format!(
        "{} rows only in eu, {} only in us; the first in hex:\n    eu: {}\n    us: {}",
        mine.len(),
        other.len(),
        shown(left, right),
        shown(right, left)
    ))
}

/// An expression that is the same for two values only if they are the same to the last bit.
fn exact(column: &Column) -> String {
    let name = format!("`{}`", column.name.replace('`', "``"));
    let bytes = match column.kind.as_str() {
        // As they are, in the column's own character set.
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "binary" | "varbinary"
        | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" | "geometry" | "point"
        | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon" | "geomcollection"
        | "geometrycollection" => name,
        // The ordinal and the bit mask count: members can look alike.
        "enum" | "set" => format!("CONCAT({name} + 0, ':', HEX({name}))"),
        "bit" => format!("CAST({name} AS BINARY)"),
        // A FLOAT's own text is rounded; the DOUBLE of the same value has a text that is exact.
        "float" | "double" => format!("CAST(CAST({name} AS DOUBLE) AS CHAR)"),
        // The text of 1.5 is the same for a DECIMAL and a DOUBLE member, the size of what is stored is not. The column's
        // own size would count the gaps that a partial update leaves.
        "json" => {
            // A document of the greatest depth does not fit into another.
            let size = format!("IF(JSON_DEPTH({name}) < 100, JSON_STORAGE_SIZE(JSON_ARRAY({name})), 0)");
            format!("CONCAT(JSON_TYPE({name}), {size}, CAST({name} AS CHAR))")
        }
        _ => format!("CAST({name} AS CHAR)"),
    };
    format!(
        "IFNULL(IF(LENGTH({bytes}) > {VALUE_BYTES_MAX}, CONCAT(LENGTH({bytes}), ':', SHA2({bytes}, 256)), HEX({bytes})), 'NULL')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_differs_is_shown_with_its_key_and_what_differs() {
        let column =
            |name: &str| Column { name: name.to_owned(), kind: "int".to_owned(), full: "int".to_owned() };
        let columns = [column("id"), column("a"), column("b")];
        let row = |values: [&str; 3]| values.map(str::to_owned).to_vec();
        let here = [row(["1", "2", "3"]), row(["2", "2", "3"])];
        let there = [row(["1", "2", "3"]), row(["2", "2", "4"])];
        assert_eq!(first_difference(&columns, &here, &here), None);
        let seen = first_difference(&columns, &here, &there).unwrap_or_default();
        assert!(seen.contains("eu: id = 2, b = 3\n    us: id = 2, b = 4"), "{seen}");
        let twice = [row(["1", "2", "3"]), row(["1", "2", "3"])];
        assert!(first_difference(&columns, &twice, &twice[..1]).is_some(), "a row too many was not seen");
    }
}
