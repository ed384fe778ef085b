//! What an override writes: which values the row gets, and the statements for it. Pure.

use applier::journal::{Entry, Kind, Winner, is_cut};
use transaction::binlog::sql_identifier;

use crate::cli::Which;

/// A column of the table as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// `DATA_TYPE` of `information_schema.COLUMNS`: `int`, `varchar`, …
    pub(super) kind: String,
    /// Character set of a text column.
    pub(super) charset: Option<String>,
    /// Whether the server computes it.
    pub(super) generated: bool,
}

/// What the row is to become: values of columns, as SQL literals, the key not among them; `None`: no row.
pub(super) type Wanted = Option<Vec<(String, String)>>;

/// What the operator asks for, or why it cannot be.
pub(super) fn wanted(
    entry: &Entry,
    with: Option<Which>,
    set: &[(String, String)],
    columns: &[Column],
) -> Result<Wanted, String> {
    let mut values = match with {
        None => Some(Vec::new()),
        Some(which) => image(entry, which, columns)?,
    };
    if values.is_none() && !set.is_empty() {
        return Err("that write left no row, so --set has nothing to change; leave --with out".to_owned());
    }
    for (name, value) in set {
        let column = column(columns, name)
            .ok_or_else(|| format!("{}.{} has no column {name}", entry.schema, entry.table))?;
        if entry.key.iter().any(|(key, _)| *key == column.name) {
            return Err(format!("{name} is part of the primary key, which an override does not change"));
        }
        if column.generated {
            return Err(format!("{name} is computed by the server; set the columns that it is made of"));
        }
        let literal = literal(column, value);
        let values = values.get_or_insert_default();
        values.retain(|(other, _)| *other != column.name);
        values.push((column.name.clone(), literal));
    }
    Ok(values)
}

/// The row as one of the two writes left it.
fn image(entry: &Entry, which: Which, columns: &[Column]) -> Result<Wanted, String> {
    let side = match which {
        Which::Incoming => &entry.incoming,
        Which::Existing => &entry.existing,
    };
    let another = |key: &str| {
        format!(
            "the write of {} is of another row ({key}), not of the one that the conflict was decided against; take the other \
             write, or --set",
            side.origin
        )
    };
    // Of two rows that one constraint cannot hold, the entry is about the one that lost.
    let of_winner = match entry.winner {
        Winner::Incoming => which == Which::Incoming,
        Winner::Existing => which == Which::Existing,
        Winner::Merged | Winner::Halted => false,
    };
    if of_winner && matches!(entry.kind, Kind::Unique | Kind::ForeignKey) {
        return Err(another("the one that stays"));
    }
    let Some(image) = &side.after else { return Ok(None) };
    let mut values = Vec::new();
    for (name, value) in image {
        if value.as_deref().is_some_and(is_cut) {
            return Err(format!(
                "the value of {name} is too long for the journal; `concord log show {} --origin {} --sql` has it whole",
                side.sequence, side.origin
            ));
        }
        let value = value.as_deref().unwrap_or("NULL");
        if let Some((_, key)) = entry.key.iter().find(|(key, _)| key == name) {
            if key != value {
                return Err(another(&format!("{name} = {value}")));
            }
            continue;
        }
        let known = column(columns, name).ok_or_else(|| {
            format!(
                "{}.{} has no column {name} any more; write the others with --set",
                entry.schema, entry.table
            )
        })?;
        if !known.generated {
            values.push((known.name.clone(), value.to_owned()));
        }
    }
    Ok(Some(values))
}

/// Names of columns are alike whatever their case.
fn column<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase())
}

/// A value from the command line as SQL: `NULL`, `'quoted'`, `x'00ff'`, `0xff` and `b'01'` as SQL has them; all else is text,
/// which the server converts to the column's type.
fn literal(column: &Column, value: &str) -> String {
    let trimmed = value.trim();
    let within = |start: &str| {
        let rest = trimmed.get(start.len()..).filter(|_| trimmed.to_ascii_lowercase().starts_with(start));
        rest.and_then(|rest| rest.strip_suffix('\'')).filter(|_| trimmed.len() > start.len())
    };
    let quoted = within("'").filter(|inner| !inner.replace("''", "").contains('\''));
    let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
    let hex = within("x'").filter(|digits| is_hex(digits) && digits.len() % 2 == 0);
    let number = trimmed.strip_prefix("0x").filter(|digits| is_hex(digits) && !digits.is_empty());
    let bits = within("b'").filter(|bits| bits.bytes().all(|b| matches!(b, b'0' | b'1')));
    if trimmed == "NULL" || hex.or(number).or(bits).is_some() {
        return trimmed.to_owned();
    }
    // Text in a BIT column would be its bytes.
    if column.kind == "bit" && !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return trimmed.to_owned();
    }
    let text = quoted.map(|inner| inner.replace("''", "'"));
    let text = text.as_deref().unwrap_or(value);
    if text.contains('\\') || text.contains(char::is_control) {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("_utf8mb4 x'{hex}'")
    } else {
        format!("_utf8mb4'{}'", text.replace('\'', "''"))
    }
}

/// Full name of the entry's table.
pub(super) fn table(entry: &Entry) -> String {
    format!("{}.{}", sql_identifier(&entry.schema), sql_identifier(&entry.table))
}

/// The condition that finds the entry's row.
fn condition(entry: &Entry) -> String {
    let term = |(column, literal): &(String, String)| format!("{} = {literal}", sql_identifier(column));
    entry.key.iter().map(term).collect::<Vec<_>>().join(" AND ")
}

/// The statement that makes the row what is wanted; `None` if there is nothing to do.
pub(super) fn statement(entry: &Entry, wanted: &Wanted, present: bool) -> Option<String> {
    let table = table(entry);
    match (wanted, present) {
        (None, false) => None,
        (None, true) => Some(format!("DELETE FROM {table} WHERE {}", condition(entry))),
        (Some(values), true) if values.is_empty() => None,
        (Some(values), true) => {
            let set: Vec<_> =
                values.iter().map(|(name, value)| format!("{} = {value}", sql_identifier(name))).collect();
            Some(format!("UPDATE {table} SET {} WHERE {}", set.join(", "), condition(entry)))
        }
        (Some(values), false) => {
            let all = || entry.key.iter().chain(values);
            let names: Vec<_> = all().map(|(name, _)| sql_identifier(name)).collect();
            let literals: Vec<_> = all().map(|(_, literal)| literal.as_str()).collect();
            Some(format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), literals.join(", ")))
        }
    }
}

/// The query that locks the row and says of each column how it reads, and whether it is still as the conflict left it (NULL
/// if that cannot be compared). Two columns of the answer for each of the table.
pub(super) fn look(entry: &Entry, columns: &[Column]) -> String {
    let mut asked = Vec::new();
    for column in columns {
        let left = entry.result.iter().flatten().find(|(name, _)| *name == column.name);
        let same = left.and_then(|(_, literal)| same(column, literal.as_deref()));
        asked.push(shown(column));
        asked.push(same.unwrap_or_else(|| "NULL".to_owned()));
    }
    format!("SELECT {} FROM {} WHERE {} FOR UPDATE", asked.join(", "), table(entry), condition(entry))
}

/// The column as people read it.
fn shown(column: &Column) -> String {
    let name = sql_identifier(&column.name);
    match class(column) {
        Class::Bytes | Class::Incomparable => format!("LEFT(CONCAT('x''', LOWER(HEX({name})), ''''), 200)"),
        Class::Number if column.kind == "bit" => format!("CAST({name} + 0 AS CHAR)"),
        Class::Number => format!("CAST({name} AS CHAR)"),
        Class::Text | Class::Quoted => {
            format!("CONCAT('''', LEFT(CONVERT({name} USING utf8mb4), 200), '''')")
        }
    }
}

/// Whether the column has exactly this value. Text is compared byte by byte, since a collation takes much for the same.
fn same(column: &Column, literal: Option<&str>) -> Option<String> {
    let name = sql_identifier(&column.name);
    match (literal, class(column), &column.charset) {
        (None, ..) => Some(format!("{name} IS NULL")),
        (Some(literal), ..) if is_cut(literal) => None,
        (_, Class::Incomparable, _) => None,
        (Some(literal), Class::Text, Some(charset)) => {
            Some(format!("CAST({name} AS BINARY) <=> CAST(CONVERT({literal} USING {charset}) AS BINARY)"))
        }
        (Some(literal), ..) => Some(format!("{name} <=> {literal}")),
    }
}

enum Class {
    Number,
    Text,
    /// Dates, times, ENUM, SET, JSON: read as text, compared as themselves.
    Quoted,
    Bytes,
    /// The server compares no two of them.
    Incomparable,
}

fn class(column: &Column) -> Class {
    match column.kind.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double" | "bit"
        | "year" => Class::Number,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Class::Text,
        "date" | "time" | "datetime" | "timestamp" | "enum" | "set" | "json" => Class::Quoted,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Class::Bytes,
        _ => Class::Incomparable,
    }
}
