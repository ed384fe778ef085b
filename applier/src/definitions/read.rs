//! Reading the definitions of tables from the server.

use std::collections::HashMap;

use mysql_async::prelude::*;
use mysql_async::{Conn, Error, Row};
use transaction::Weights;
use transaction::binlog::{Column, ColumnType};

use super::Definition;

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
        all.insert(name, Definition { engine, ..Definition::default() });
    }
    let columns: Vec<Row> = conn
        .exec(
            format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME,
                        CAST(CHARACTER_OCTET_LENGTH AS CHAR), CAST(NUMERIC_PRECISION AS CHAR), CAST(NUMERIC_SCALE AS CHAR),
                        CAST(DATETIME_PRECISION AS CHAR), EXTRA, COLUMN_DEFAULT IS NOT NULL
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
        let (extra, nullable) = (text(row, 11).unwrap_or_default(), text(row, 5).as_deref() == Some("YES"));
        let has_default = row.get::<Option<bool>, _>(12).flatten() == Some(true);
        let place = definition.columns.len();
        definition.computes |= extra.contains("GENERATED");
        if extra.contains("VIRTUAL GENERATED") {
            definition.virtual_columns.push(place);
        }
        // An expression, a counter or a clock gives each region another value.
        let same_everywhere =
            !["GENERATED", "auto_increment", "on update"].iter().any(|word| extra.contains(word));
        if same_everywhere && (nullable || has_default) {
            definition.filled.push(place);
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
        // Strings without a collation are strings of bytes, those of an ENUM too.
        let bytes = matches!(
            kind,
            ColumnType::Char(_)
                | ColumnType::VarChar(_)
                | ColumnType::Blob(_)
                | ColumnType::Enum(_)
                | ColumnType::Set(_)
        );
        definition.columns.push(Column {
            name: column,
            kind,
            nullable,
            // YEAR is unsigned in a table map, though its type does not say so (seen on 9.7.4).
            unsigned: column_type.contains("unsigned") || kind == ColumnType::Year,
            collation: collation.unwrap_or(if bytes { 63 } else { 0 }),
            members: shape.members(),
        });
    }
    let keys: Vec<Row> = conn
        .exec(
            format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, INDEX_NAME = 'PRIMARY' FROM information_schema.STATISTICS
                 WHERE (INDEX_NAME = 'PRIMARY' OR EXPRESSION IS NOT NULL) AND {condition}
                 ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX"
            ),
            parameters,
        )
        .await?;
    for row in &keys {
        let name = (text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default());
        if let Some(definition) = all.get_mut(&name) {
            match row.get::<Option<bool>, _>(3).flatten() {
                Some(true) => definition.primary_key.extend(text(row, 2)),
                _ => (definition.computes, definition.functional) = (true, true),
            }
        }
    }
    encode_members(conn, weights, &mut all).await?;
    Ok(all)
}

/// Turns the members of ENUM and SET columns, which `information_schema` says in UTF-8, into the bytes that a table map has: those of
/// the column's own character set.
async fn encode_members(
    conn: &mut Conn,
    weights: &Weights,
    all: &mut HashMap<(String, String), Definition>,
) -> Result<(), Error> {
    const AT_A_TIME: usize = 500;
    let columns = all.values_mut().flat_map(|definition| &mut definition.columns);
    let mut members: Vec<(&mut Vec<u8>, &str)> = Vec::new();
    for column in columns {
        let Some(collation) = weights.collation(column.collation) else { continue };
        if !matches!(collation.charset.as_str(), "utf8mb4" | "utf8mb3" | "ascii" | "binary") {
            members.extend(column.members.iter_mut().map(|member| (member, collation.charset.as_str())));
        }
    }
    for some in members.chunks_mut(AT_A_TIME) {
        let asked = some.iter().map(|(member, charset)| {
            let hex: String = member.iter().map(|byte| format!("{byte:02x}")).collect();
            // What the session makes of its results must not matter.
            format!("HEX(CONVERT(_utf8mb4 x'{hex}' USING {charset}))")
        });
        let question = format!("SELECT {}", asked.collect::<Vec<_>>().join(", "));
        let row: Option<Row> = conn.query_first(question).await?;
        let answers = row.map(Row::unwrap).unwrap_or_default();
        if answers.len() != some.len() {
            return Err(Error::Other(
                "the server did not say all members of its ENUM and SET columns".into(),
            ));
        }
        for ((member, charset), answer) in some.iter_mut().zip(answers) {
            let bytes = match &answer {
                mysql_async::Value::Bytes(hex) => from_hex(hex),
                _ => None,
            };
            **member = bytes.ok_or_else(|| {
                Error::Other(format!("the server did not say a member of an ENUM or SET in {charset}").into())
            })?;
        }
    }
    Ok(())
}

fn from_hex(hex: &[u8]) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.len().is_multiple_of(2).then(|| hex.chunks(2).map(digits).collect::<Option<_>>())?
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

    /// The members of `enum('a','b')`. The server doubles quotes inside, and escapes what a line cannot hold (seen on 9.7.4).
    fn members(&self) -> Vec<Vec<u8>> {
        let mut members: Vec<Vec<u8>> = Vec::new();
        if !matches!(self.data_type, "enum" | "set") {
            return members;
        }
        let mut text = self.column_type.bytes().peekable();
        let mut open: Option<Vec<u8>> = None;
        while let Some(byte) = text.next() {
            match (&mut open, byte) {
                (None, b'\'') => open = Some(Vec::new()),
                (None, _) => {}
                (Some(member), b'\'') if text.next_if_eq(&b'\'').is_some() => member.push(b'\''),
                (Some(_), b'\'') => members.extend(open.take()),
                (Some(member), b'\\') => member.push(match text.next() {
                    Some(b'0') => 0,
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(other) => other,
                    None => b'\\',
                }),
                (Some(member), other) => member.push(other),
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_past_quotes_commas_and_escapes() {
        let members = |column_type| {
            let (octets, precision, scale, fraction) = (None, None, None, None);
            Shape { data_type: "enum", column_type, octets, precision, scale, fraction }.members()
        };
        assert_eq!(members("enum('a','b')"), [b"a", b"b"]);
        assert_eq!(members("enum('it''s','','),(','é')"), ["it's", "", "),(", "é"].map(str::as_bytes));
        let escaped = r"enum('back\\slash','new\nline\0','\\''')";
        assert_eq!(members(escaped), ["back\\slash", "new\nline\0", "\\'"].map(str::as_bytes));
    }
}
