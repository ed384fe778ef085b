//! One number for the rows of a table, the same in two regions if they hold the same rows.

use mysql_async::prelude::*;
use mysql_async::{Conn, Error};
use transaction::binlog::sql_identifier;

/// The number for `schema.table` as the session's read view has it; `None` if there is no such table.
///
/// It is `CHECKSUM TABLE`, but where a table has a multi-valued index. That counts the hidden column behind such an index in, whose
/// bytes are not the same in two tables of the same rows (seen on 9.7.4): there, the server hashes the columns that can be seen.
pub(crate) async fn of_rows(conn: &mut Conn, schema: &str, table: &str) -> Result<Option<u64>, Error> {
    let name = format!("{}.{}", sql_identifier(schema), sql_identifier(table));
    if !is_multi_valued(conn, schema, table).await? {
        let row: Option<(Vec<u8>, Option<u64>)> = conn.query_first(format!("CHECKSUM TABLE {name}")).await?;
        return Ok(row.and_then(|(_, checksum)| checksum));
    }
    let columns: Vec<(Vec<u8>, Vec<u8>)> = conn
        .exec(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
            (schema, table),
        )
        .await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, data_type)| hashed(&text(name), &text(data_type).to_lowercase()))
        .collect();
    conn.query_first(hash_of_all(&name, &columns)).await
}

/// Whether the table has an index over the members of JSON arrays.
pub(crate) async fn is_multi_valued(conn: &mut Conn, schema: &str, table: &str) -> Result<bool, Error> {
    let found: Option<u64> = conn
        .exec_first(
            "SELECT COUNT(*) FROM information_schema.STATISTICS
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND EXPRESSION LIKE '% array)%'",
            (schema, table),
        )
        .await?;
    Ok(found.unwrap_or(0) > 0)
}

/// The sum of the rows' hashes, modulo 2^64: in any order of rows, and two equal rows are not none.
///
/// The session's own settings for how values look are out of the way while it runs. The mode named has nothing to do with that: the
/// hint takes no empty one.
fn hash_of_all(name: &str, columns: &[String]) -> String {
    format!(
        "SELECT /*+ SET_VAR(time_zone = '+00:00') SET_VAR(sql_mode = 'NO_ENGINE_SUBSTITUTION') */ \
         CAST(MOD(COALESCE(SUM(CAST(CONV(LEFT(SHA2(CONCAT({}), 256), 16), 16, 10) AS UNSIGNED)), 0), \
         18446744073709551616) AS UNSIGNED) FROM {name}",
        columns.join(", ")
    )
}

/// The hash of a column's value, or `-` for NULL, which no hash has in it.
fn hashed(column: &str, data_type: &str) -> String {
    let name = sql_identifier(column);
    let value = match data_type {
        // A label may stand for two members.
        "enum" | "set" | "bit" => format!("CAST({name} AS UNSIGNED)"),
        // Its own text has six digits.
        "float" => format!("CAST({name} AS DOUBLE)"),
        _ => name,
    };
    format!("COALESCE(SHA2({value}, 256), '-')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_hashed_by_what_tells_its_values_apart() {
        assert_eq!(hashed("a`b", "json"), "COALESCE(SHA2(`a``b`, 256), '-')");
        assert_eq!(hashed("e", "enum"), "COALESCE(SHA2(CAST(`e` AS UNSIGNED), 256), '-')");
        assert_eq!(hashed("f", "float"), "COALESCE(SHA2(CAST(`f` AS DOUBLE), 256), '-')");
    }
}
