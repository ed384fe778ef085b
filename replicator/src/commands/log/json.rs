//! A transaction as JSON, for programs.

use std::io::{self, Write};

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use transaction::binlog::{Column, QueryEvent, Value, utc_text};
use transaction::{Context, RegionName, RepairPlace, WriteId};

use super::show::{Change, Form};
use super::transactions::{Stamps, Written};

/// Writes a value on one line.
pub(super) fn write(value: &impl Serialize, out: &mut dyn Write) -> Written {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)
}

/// A context as an object: region to sequence number.
pub(super) fn context<S: Serializer>(context: &&Context, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(context.iter().map(|(region, sequence)| (region.to_string(), sequence.0)))
}

/// One object: the stamps, then the changes one a line, then their number, which is known only then.
#[derive(Default)]
pub(super) struct Json {
    changes: u64,
}

#[derive(Serialize)]
struct Head<'a> {
    origin: RegionName,
    kind: &'static str,
    sequence: Option<u64>,
    record: u64,
    first_record: u64,
    incarnation: u32,
    epoch: u32,
    time: String,
    hlc: u64,
    commit_us: Option<u64>,
    gtid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xid: Option<&'a str>,
    #[serde(serialize_with = "context")]
    context: &'a Context,
}

#[derive(Serialize)]
struct Said<'a> {
    index: u32,
    action: &'static str,
    schema: &'a str,
    table: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stands_after: Option<Root>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Row<'a>>,
}

/// The write that a repair comes after, by so many repairs.
#[derive(Serialize)]
struct Root {
    origin: RegionName,
    sequence: u64,
    index: u32,
    hlc: u64,
    level: u8,
}

impl Root {
    fn of(place: RepairPlace) -> Self {
        let WriteId { hlc, origin, sequence, index } = place.root;
        Self { origin, sequence: sequence.0, index, hlc: hlc.0, level: place.level }
    }
}

#[derive(Serialize)]
struct Statement<'a> {
    action: &'static str,
    schema: &'a str,
    statement: std::borrow::Cow<'a, str>,
}

/// A row as an object, in the order of its columns.
struct Row<'a>(&'a [Column], &'a [Value]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, value) in self.0.iter().zip(self.1) {
            map.serialize_entry(&column.name, &Cell(value))?;
        }
        map.end()
    }
}

/// A value: numbers where JSON's are exact enough, else text; bytes as `{"hex": …}`; a SET as an array of its members;
/// a JSON document as its text, since reading and writing it again could change it.
struct Cell<'a>(&'a Value);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_none(),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::UInt(value) | Value::Bit(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f32(*value),
            Value::Double(value) => serializer.serialize_f64(*value),
            Value::Year(value) => serializer.serialize_u16(*value),
            Value::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                map.serialize_entry("hex", &hex)?;
                map.end()
            }
            Value::Set { labels, .. } => {
                let mut seq = serializer.serialize_seq(Some(labels.len()))?;
                labels.iter().try_for_each(|label| seq.serialize_element(label))?;
                seq.end()
            }
            Value::Decimal(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::DateTime(_)
            | Value::Timestamp(_)
            | Value::Text(_)
            | Value::Enum { .. }
            | Value::Json(_) => serializer.serialize_str(&self.0.full_text()),
        }
    }
}

impl Json {
    fn push(&mut self, value: &impl Serialize, out: &mut dyn Write) -> Written {
        out.write_all(if self.changes == 0 { b"\n" } else { b",\n" })?;
        self.changes += 1;
        write(value, out)
    }
}

impl Form for Json {
    fn begin(&mut self, origin: RegionName, stamps: &Stamps, out: &mut dyn Write) -> Written {
        let head = Head {
            origin,
            kind: stamps.kind_name(),
            sequence: (stamps.sequence.0 > 0).then_some(stamps.sequence.0),
            record: stamps.record.0,
            first_record: stamps.first_record().0,
            incarnation: stamps.incarnation,
            epoch: stamps.epoch,
            time: utc_text(stamps.hlc.0),
            hlc: stamps.hlc.0,
            commit_us: stamps.commit_us,
            gtid: stamps.gtid.map(|gtid| gtid.to_string()),
            xid: stamps.xid.as_deref(),
            context: &stamps.context,
        };
        let head = serde_json::to_string(&head)?;
        write!(out, "{},\"changes\":[", head.strip_suffix('}').unwrap_or(&head))
    }

    fn change(&mut self, change: &Change<'_>, out: &mut dyn Write) -> Written {
        let columns = &change.table.columns;
        let action = match (&change.before, &change.after) {
            (None, _) => "insert",
            (_, None) => "delete",
            _ => "update",
        };
        let said = Said {
            index: change.index,
            action,
            schema: &change.table.schema,
            table: &change.table.table,
            stands_after: change.repair.map(Root::of),
            before: change.before.as_deref().map(|row| Row(columns, row)),
            after: change.after.as_deref().map(|row| Row(columns, row)),
        };
        self.push(&said, out)
    }

    fn statement(&mut self, statement: &QueryEvent<'_>, out: &mut dyn Write) -> Written {
        let text = String::from_utf8_lossy(statement.statement);
        self.push(&Statement { action: "statement", schema: statement.schema, statement: text }, out)
    }

    fn end(&mut self, out: &mut dyn Write) -> Written {
        writeln!(out, "\n]}}")
    }
}
