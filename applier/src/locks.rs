//! The locking reads of a target transaction: rows by their key, rows that hold a unique value, parents and children.

use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::*;
use transaction::Halt;
use transaction::binlog::{
    Column, ColumnType, TableMap, Value, encode_value, row_image, row_values, sql_identifier,
};

use crate::code;
use crate::relations::{ForeignKey, UniqueKey};
use crate::session::SqlFailure;
use crate::target::KeyImage;

/// How many reads are sent in one text.
const AT_A_TIME: usize = 128;

const FOR_UPDATE: &str = " FOR UPDATE";

/// Locks rows by their primary key; tells of each whether it is there. Where gaps are locked, the key of one that is not
/// there is locked all the same.
pub(crate) async fn rows(conn: &mut Conn, rows: &[(&Arc<TableMap>, &[u8])]) -> Result<Vec<bool>, SqlFailure> {
    let mut there = Vec::with_capacity(rows.len());
    for some in rows.chunks(AT_A_TIME) {
        let mut text = String::new();
        for (table, image) in some {
            let values = row_values(table, image).map_err(code::of_event)?;
            let conditions = table
                .primary_key
                .iter()
                .map(|(place, _)| condition(&table.columns[*place], 0, values[*place]))
                .collect::<Result<Vec<_>, _>>()?;
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&select("1", &table.schema, &table.table, &conditions));
        }
        #[cfg(feature = "canary")]
        if canary::makes(canary::Mistake::UnlockedKeys) {
            text = text.replace(FOR_UPDATE, "");
        }
        let mut result = conn.query_iter(text).await?;
        for _ in some {
            let found: Vec<u8> = result.collect().await?;
            there.push(!found.is_empty());
        }
        result.drop_result().await?;
    }
    Ok(there)
}

/// The row that holds the values which `image` has in `unique`, locked; `None` if there is none, or one of them is NULL.
pub(crate) async fn holder(
    conn: &mut Conn,
    table: &TableMap,
    unique: &UniqueKey,
    image: &[u8],
) -> Result<Option<KeyImage>, SqlFailure> {
    let Some(conditions) = conditions(table, &unique.columns, image)? else { return Ok(None) };
    Ok(keys(conn, table, &conditions, 1).await?.pop())
}

/// The rows of `child` that refer by `key` to what `image`, a row of the parent, has in the referenced columns; locked.
pub(crate) async fn children(
    conn: &mut Conn,
    key: &ForeignKey,
    child: &TableMap,
    parent: &TableMap,
    image: &[u8],
    rows_max: usize,
) -> Result<Vec<KeyImage>, SqlFailure> {
    let referenced: Vec<(String, u32)> = key.parent_columns.iter().map(|c| (c.clone(), 0)).collect();
    let Some(values) = values_of(parent, &referenced, image)? else { return Ok(Vec::new()) };
    let conditions = key
        .child_columns
        .iter()
        .zip(values)
        .map(|(name, (column, value))| Ok(format!("{} = {}", sql_identifier(name), literal(column, value)?)))
        .collect::<Result<Vec<_>, SqlFailure>>()?;
    keys(conn, child, &conditions, rows_max).await
}

/// The row of `parent` to which `image`, a row of the child, refers by `key`; locked.
pub(crate) async fn parent(
    conn: &mut Conn,
    key: &ForeignKey,
    parent: &TableMap,
    child: &TableMap,
    image: &[u8],
) -> Result<Option<KeyImage>, SqlFailure> {
    let referring: Vec<(String, u32)> = key.child_columns.iter().map(|c| (c.clone(), 0)).collect();
    let Some(values) = values_of(child, &referring, image)? else { return Ok(None) };
    let conditions = key
        .parent_columns
        .iter()
        .zip(values)
        .map(|(name, (column, value))| Ok(format!("{} = {}", sql_identifier(name), literal(column, value)?)))
        .collect::<Result<Vec<_>, SqlFailure>>()?;
    Ok(keys(conn, parent, &conditions, 1).await?.pop())
}

/// The row with the primary key of `image`, locked, as a row event would have it; `None` if it is not there.
pub(crate) async fn row(
    conn: &mut Conn,
    table: &TableMap,
    image: &[u8],
) -> Result<Option<Vec<u8>>, SqlFailure> {
    let values = row_values(table, image).map_err(code::of_event)?;
    let key = table.primary_key.iter();
    let conditions = key
        .map(|(place, _)| condition(&table.columns[*place], 0, values[*place]))
        .collect::<Result<Vec<_>, _>>()?;
    let columns: Vec<(usize, &Column)> =
        table.columns.iter().enumerate().filter(|(place, _)| table.has(*place)).collect();
    let names: Vec<String> = columns.iter().map(|(_, column)| asked_for(column)).collect();
    let text = select(&names.join(", "), &table.schema, &table.table, &conditions);
    let Some(row) = conn.query_first::<mysql_async::Row, _>(text).await? else { return Ok(None) };
    image_of(table, &columns, row).map(Some)
}

/// A column as its text tells the whole value.
fn asked_for(column: &Column) -> String {
    let name = sql_identifier(&column.name);
    match column.kind {
        ColumnType::Float => format!("CAST({name} AS DOUBLE)"),
        _ => name,
    }
}

/// The image of a row that was asked for by some columns; the others are NULL.
fn image_of(
    table: &TableMap,
    columns: &[(usize, &Column)],
    row: mysql_async::Row,
) -> Result<Vec<u8>, SqlFailure> {
    let mut values: Vec<Option<Vec<u8>>> = vec![None; table.columns.len()];
    for ((place, column), value) in columns.iter().zip(row.unwrap()) {
        let encoded = match &value {
            mysql_async::Value::NULL => continue,
            mysql_async::Value::Bytes(bytes) => encode_value(column, bytes),
            _ => None,
        };
        values[*place] = Some(encoded.ok_or_else(|| {
            code::ROW_UNREADABLE.halt(format_args!(
                "column `{}` of {} has a value that cannot be read back from the server",
                column.name,
                table.full_name()
            ))
        })?);
    }
    let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
    row_image(table, &values).ok_or_else(|| misfit(table).into())
}

/// Primary keys of at most `rows_max` rows of `table` under `conditions`, locked.
async fn keys(
    conn: &mut Conn,
    table: &TableMap,
    conditions: &[String],
    rows_max: usize,
) -> Result<Vec<KeyImage>, SqlFailure> {
    let columns: Vec<(usize, &Column)> =
        table.primary_key.iter().map(|(place, _)| (*place, &table.columns[*place])).collect();
    let names: Vec<String> = columns.iter().map(|(_, column)| asked_for(column)).collect();
    let mut text = select(&names.join(", "), &table.schema, &table.table, conditions);
    // The limit stands before the locking clause.
    text.truncate(text.len() - FOR_UPDATE.len());
    text.push_str(&format!(" LIMIT {rows_max}{FOR_UPDATE}"));
    let rows: Vec<mysql_async::Row> = conn.query(text).await?;
    rows.into_iter().map(|row| image_of(table, &columns, row)).collect()
}

/// A row that has other columns than its table.
pub(crate) fn misfit(table: &TableMap) -> Halt {
    code::ROW_UNREADABLE.halt(format_args!("a row of {} does not fit its columns", table.full_name()))
}

/// A column and its value in a row image.
type Valued<'a> = (&'a Column, &'a [u8]);

/// Columns by name and prefix, with their values in `image`; `None` if one of them is NULL.
fn values_of<'a>(
    table: &'a TableMap,
    columns: &[(String, u32)],
    image: &'a [u8],
) -> Result<Option<Vec<Valued<'a>>>, SqlFailure> {
    let values = row_values(table, image).map_err(code::of_event)?;
    let mut found = Vec::with_capacity(columns.len());
    for (name, _) in columns {
        let Some(place) = table.columns.iter().position(|column| column.name == *name) else {
            let absent = format!("table {} has no column `{name}` at the origin", table.full_name());
            return Err(code::TABLE_UNFIT.halt(absent).into());
        };
        let Some(value) = values[place] else { return Ok(None) };
        found.push((&table.columns[place], value));
    }
    Ok(Some(found))
}

/// Conditions by which `columns` have what `image` has in them; `None` if one of its values is NULL.
fn conditions(
    table: &TableMap,
    columns: &[(String, u32)],
    image: &[u8],
) -> Result<Option<Vec<String>>, SqlFailure> {
    let Some(values) = values_of(table, columns, image)? else { return Ok(None) };
    let texts = columns.iter().zip(values);
    let texts = texts.map(|((_, prefix), (column, value))| condition(column, *prefix, Some(value)));
    texts.collect::<Result<Vec<_>, _>>().map(Some)
}

fn literal(column: &Column, value: &[u8]) -> Result<String, SqlFailure> {
    Ok(Value::decode(column, Some(value)).map_err(code::of_event)?.sql_literal(column))
}

fn condition(column: &Column, prefix: u32, value: Option<&[u8]>) -> Result<String, SqlFailure> {
    let name = sql_identifier(&column.name);
    let literal = Value::decode(column, value).map_err(code::of_event)?.sql_literal(column);
    Ok(match prefix {
        0 => format!("{name} = {literal}"),
        characters => format!("LEFT({name}, {characters}) = LEFT({literal}, {characters})"),
    })
}

fn select(what: &str, schema: &str, table: &str, conditions: &[String]) -> String {
    format!(
        "SELECT {what} FROM {}.{} WHERE {}{FOR_UPDATE}",
        sql_identifier(schema),
        sql_identifier(table),
        conditions.join(" AND ")
    )
}
