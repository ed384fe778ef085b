//! A transaction as the statements that would do it again.

use std::io::Write;

use transaction::RegionName;
use transaction::binlog::{Column, ColumnType, QueryEvent, Value, sql_identifier, utc_text};

use super::show::{Change, Form};
use super::transactions::{Stamps, Written};

/// What the session must be like, so that every value a row can hold is taken as it is: zero and invalid dates, 0 in an
/// auto-increment column, ENUM's empty value, timestamps in UTC.
const SESSION: &str =
    "SET NAMES utf8mb4;\nSET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';";

/// Flags of a rows event.
const NO_FOREIGN_KEY_CHECKS: u16 = 0x2;
const NO_UNIQUE_CHECKS: u16 = 0x4;

/// SQL. Rows of schema `concord` are Concord's own bookkeeping and left out.
#[derive(Default)]
pub(super) struct Sql {
    /// Checks that the session has off at this point.
    flags: u16,
    left_out: u64,
    transaction_open: bool,
}

impl Sql {
    /// Statements commit by themselves, so rows are wrapped only when there are any.
    fn open(&mut self, out: &mut dyn Write) -> Written {
        if std::mem::replace(&mut self.transaction_open, true) { Ok(()) } else { writeln!(out, "BEGIN;") }
    }

    fn close(&mut self, out: &mut dyn Write) -> Written {
        if std::mem::take(&mut self.transaction_open) { writeln!(out, "COMMIT;") } else { Ok(()) }
    }

    fn set_checks(&mut self, flags: u16, out: &mut dyn Write) -> Written {
        for (flag, name) in
            [(NO_FOREIGN_KEY_CHECKS, "foreign_key_checks"), (NO_UNIQUE_CHECKS, "unique_checks")]
        {
            if (self.flags ^ flags) & flag != 0 {
                writeln!(out, "SET {name} = {};", u16::from(flags & flag == 0))?;
            }
        }
        self.flags = flags;
        Ok(())
    }
}

impl Form for Sql {
    fn begin(&mut self, origin: RegionName, stamps: &Stamps, out: &mut dyn Write) -> Written {
        let gtid = stamps.gtid.map_or_else(String::new, |gtid| format!(", GTID {gtid}"));
        writeln!(
            out,
            "-- {} {} of {origin}{gtid}, {} UTC",
            stamps.kind_name(),
            stamps.sequence,
            utc_text(stamps.hlc.0)
        )?;
        writeln!(out, "-- The binlog does not say which columns are generated: leave those out by hand.")?;
        writeln!(out, "{SESSION}")
    }

    fn change(&mut self, change: &Change<'_>, out: &mut dyn Write) -> Written {
        if change.table.schema == "concord" {
            self.left_out += 1;
            return Ok(());
        }
        self.open(out)?;
        self.set_checks(change.flags, out)?;
        let table =
            format!("{}.{}", sql_identifier(&change.table.schema), sql_identifier(&change.table.table));
        let columns = &change.table.columns;
        match (&change.before, &change.after) {
            (None, None) => Ok(()),
            (None, Some(after)) => {
                let names: Vec<String> = columns.iter().map(|column| sql_identifier(&column.name)).collect();
                let values: Vec<String> =
                    columns.iter().zip(after).map(|(c, value)| value.sql_literal(c)).collect();
                writeln!(out, "INSERT INTO {table} ({}) VALUES ({});", names.join(", "), values.join(", "))
            }
            (Some(before), None) => {
                writeln!(out, "DELETE FROM {table} WHERE {} LIMIT 1;", condition(change, before))
            }
            (Some(before), Some(after)) => {
                let changed = columns.iter().zip(after).zip(&change.changed).filter(|(_, changed)| **changed);
                let sets: Vec<String> = changed
                    .map(|((column, value), _)| {
                        format!("{} = {}", sql_identifier(&column.name), value.sql_literal(column))
                    })
                    .collect();
                if sets.is_empty() {
                    return Ok(());
                }
                writeln!(
                    out,
                    "UPDATE {table} SET {} WHERE {} LIMIT 1;",
                    sets.join(", "),
                    condition(change, before)
                )
            }
        }
    }

    fn statement(&mut self, statement: &QueryEvent<'_>, out: &mut dyn Write) -> Written {
        self.close(out)?;
        if !statement.schema.is_empty() {
            writeln!(out, "USE {};", sql_identifier(statement.schema))?;
        }
        // The bytes as they are: they may be in another character set.
        out.write_all(statement.statement)?;
        writeln!(out, ";")
    }

    fn end(&mut self, out: &mut dyn Write) -> Written {
        self.set_checks(0, out)?;
        self.close(out)?;
        match self.left_out {
            0 => Ok(()),
            rows => writeln!(out, "-- left out: {rows} changes of Concord's own tables"),
        }
    }
}

/// What finds the row: its primary key, or all columns that can be compared if it has none.
fn condition(change: &Change<'_>, before: &[Value]) -> String {
    let table = change.table;
    let key =
        table.primary_key.iter().filter_map(|(place, _)| table.columns.get(*place).zip(before.get(*place)));
    let mut terms: Vec<String> = key.map(|(column, value)| term(column, value)).collect();
    if terms.is_empty() {
        let comparable =
            |column: &Column| !matches!(column.kind, ColumnType::Vector(_) | ColumnType::Geometry(_));
        let columns = table.columns.iter().zip(before).filter(|(column, _)| comparable(column));
        terms = columns.map(|(column, value)| term(column, value)).collect();
    }
    terms.join(" AND ")
}

fn term(column: &Column, value: &Value) -> String {
    let name = sql_identifier(&column.name);
    match value {
        Value::Null => format!("{name} IS NULL"),
        _ => format!("{name} = {}", value.sql_literal(column)),
    }
}
