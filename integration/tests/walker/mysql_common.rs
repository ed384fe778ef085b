//! The same row events by `mysql_common`.

use crate::json;
use crate::ours::{Change, Rows};
use crate::tally::{Tally, Verdict};
use mysql_common::binlog::consts::{BinlogVersion, EventType};
use mysql_common::binlog::events::{Event, EventData, RowsEventData};
use mysql_common::binlog::row::BinlogRow;
use mysql_common::binlog::value::BinlogValue;
use mysql_common::binlog::{BinlogFile, EventStreamReader};
use mysql_common::value::Value as Plain;
use std::io;
use transaction::binlog::{Column, ColumnType, EventKind, Value};

const NEGATIVE_MEDIUMINT: &str = "MEDIUMINT below 0, which it reads without its sign";
const YEAR_ZERO: &str = "YEAR 0, which it reads as 1900";
const NEGATIVE_TIME: &str = "TIME below 0 with 1 or 2 digits, of which it loses the sign";
const PARTIAL: &str = "row events with JSON differences";

/// Compares all row events of a file.
pub(crate) fn compare(file: &[u8], events: &[Rows], tally: &mut Tally) {
    let mut comparison = Comparison { events: events.iter(), tally };
    if let Err(error) = comparison.file(file) {
        comparison.tally.differ(format!("mysql_common cannot read on: {error}"));
    }
    let left = comparison.events.len();
    if left > 0 {
        tally.differ(format!("we read {left} row events more"));
    }
}

struct Comparison<'a> {
    events: std::slice::Iter<'a, Rows>,
    tally: &'a mut Tally,
}

impl Comparison<'_> {
    fn file(&mut self, file: &[u8]) -> io::Result<()> {
        let mut theirs = BinlogFile::new(BinlogVersion::Version4, file)?;
        while let Some(event) = theirs.next() {
            let event = event?;
            if event.header().event_type_raw() != EventType::TRANSACTION_PAYLOAD_EVENT as u8 {
                self.event(&event, theirs.reader())?;
                continue;
            }
            let Some(EventData::TransactionPayloadEvent(payload)) = event.read_data()? else { continue };
            let mut payload = payload.decompressed()?;
            while let Some(event) = theirs.reader_mut().read_decompressed(&mut payload)? {
                self.event(&event, theirs.reader())?;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, reader: &EventStreamReader) -> io::Result<()> {
        let raw = event.header().event_type_raw();
        // What comes besides rows is not theirs to judge: they do not know each event of this server.
        if ![30, 31, 32, 39].contains(&raw) {
            return Ok(());
        }
        let Some(EventData::RowsEvent(found)) = event.read_data()? else {
            return Err(io::Error::other(format!("an event of type {raw} has no rows")));
        };
        let Some(ours) = self.events.next() else {
            return Err(io::Error::other("they read a row event that we do not"));
        };
        let kind = match &found {
            RowsEventData::WriteRowsEvent(_) => EventKind::WriteRows,
            RowsEventData::UpdateRowsEvent(_) => EventKind::UpdateRows,
            RowsEventData::DeleteRowsEvent(_) => EventKind::DeleteRows,
            RowsEventData::PartialUpdateRowsEvent(_) => EventKind::PartialUpdateRows,
            _ => return Err(io::Error::other("an event of an old version")),
        };
        let map =
            reader.get_tme(found.table_id()).ok_or_else(|| io::Error::other("they have no table map"))?;
        let seen = (kind, found.table_id(), map.database_name(), map.table_name());
        let same = (ours.kind, ours.table_id, ours.table.schema.as_str(), ours.table.table.as_str());
        if (seen.0, seen.1, &*seen.2, &*seen.3) != same {
            return Err(io::Error::other(format!("our event is {same:?}, theirs {seen:?}")));
        }
        if ours.is_partial() {
            self.tally.skip(PARTIAL, 1);
            return Ok(());
        }
        let mut count = 0;
        for theirs in found.rows(map) {
            let (before, after) = match theirs {
                Ok(row) => row,
                Err(error) => {
                    self.tally.differ(format!("{}: {error}", ours.table.full_name()));
                    return Ok(());
                }
            };
            let Some(change) = ours.changes.get(count) else {
                self.tally.differ(format!("{}: they read more rows than we", ours.table.full_name()));
                return Ok(());
            };
            self.row(ours, change, before.as_ref(), after.as_ref());
            count += 1;
        }
        if count != ours.changes.len() {
            let what = format!("{} rows of ours, {count} of theirs", ours.changes.len());
            self.tally.differ(format!("{}: {what}", ours.table.full_name()));
        }
        self.tally.events += 1;
        Ok(())
    }

    fn row(&mut self, ours: &Rows, change: &Change, before: Option<&BinlogRow>, after: Option<&BinlogRow>) {
        for (ours_image, theirs) in [(&change.before, before), (&change.after, after)] {
            let (Some(values), Some(theirs)) = (ours_image, theirs) else {
                if ours_image.is_some() != theirs.is_some() {
                    self.tally.differ(format!("{}: an image is not there", ours.table.full_name()));
                }
                continue;
            };
            if ours.columns().count() != theirs.len() {
                let what = format!("{} columns of theirs", theirs.len());
                self.tally.differ(format!("{}: {what}", ours.table.full_name()));
                continue;
            }
            for (at, (place, column)) in ours.columns().enumerate() {
                let named = || format!("{}.{}", ours.table.full_name(), column.name);
                if theirs.columns_ref()[at].name_str() != column.name {
                    self.tally.differ(format!("{} has another name there", named()));
                }
                let verdict = match theirs.as_ref(at) {
                    Some(theirs) => verdict(column, &values[place], theirs),
                    None => Verdict::Differs("a value".to_owned(), "none".to_owned()),
                };
                self.tally.value(verdict, values[place] == Value::Null, named);
            }
        }
        self.tally.rows += 1;
    }
}

fn verdict(column: &Column, ours: &Value, theirs: &BinlogValue<'_>) -> Verdict {
    let same = match (ours, theirs) {
        (Value::Json(ours), BinlogValue::Jsonb(theirs)) => match json::text(theirs) {
            Ok(theirs) if json::same(ours.text(), &theirs) => true,
            Ok(theirs) => return Verdict::Differs(ours.text().to_owned(), theirs),
            Err(error) => return Verdict::Differs(ours.text().to_owned(), error),
        },
        (ours, BinlogValue::Value(theirs)) => same_plain(column, ours, theirs),
        _ => false,
    };
    if same {
        return Verdict::Same;
    }
    match (column.kind, ours, theirs) {
        (ColumnType::Int(3), Value::Int(..0), _) => Verdict::Skipped(NEGATIVE_MEDIUMINT),
        (_, Value::Year(0), BinlogValue::Value(Plain::Bytes(theirs))) if theirs == b"1900" => {
            Verdict::Skipped(YEAR_ZERO)
        }
        (ColumnType::Time(1 | 2), Value::Time(ours), _) if ours.starts_with('-') => {
            Verdict::Skipped(NEGATIVE_TIME)
        }
        _ => Verdict::Differs(ours.full_text(), format!("{theirs:?}")),
    }
}

fn same_plain(column: &Column, ours: &Value, theirs: &Plain) -> bool {
    let fraction = |micros: u32| {
        let digits = match column.kind {
            ColumnType::Time(digits) | ColumnType::DateTime(digits) | ColumnType::Timestamp(digits) => digits,
            _ => 0,
        };
        let all = format!(".{micros:06}");
        if digits == 0 { String::new() } else { all[..=usize::from(digits)].to_owned() }
    };
    match (ours, theirs) {
        (Value::Null, Plain::NULL) => true,
        (Value::Int(ours), theirs) => integer(theirs) == Some(i128::from(*ours)),
        (Value::UInt(ours), theirs) => integer(theirs) == Some(i128::from(*ours)),
        (Value::Enum { ordinal, .. }, theirs) => integer(theirs) == Some(i128::from(*ordinal)),
        (Value::Float(ours), Plain::Float(theirs)) => ours.to_bits() == theirs.to_bits(),
        (Value::Double(ours), Plain::Double(theirs)) => ours.to_bits() == theirs.to_bits(),
        (Value::Decimal(ours), Plain::Bytes(theirs)) => ours.as_bytes() == theirs,
        (Value::Year(ours), Plain::Bytes(theirs)) => ours.to_string().as_bytes() == theirs,
        (Value::Date(ours), Plain::Date(year, month, day, 0, 0, 0, 0)) => {
            *ours == format!("{year:04}-{month:02}-{day:02}")
        }
        (Value::DateTime(ours), Plain::Date(year, month, day, hour, minute, second, micros)) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            *ours == format!("{date} {hour:02}:{minute:02}:{second:02}{}", fraction(*micros))
        }
        (Value::Time(ours), Plain::Time(negative, days, hours, minute, second, micros)) => {
            let (sign, hours) = (if *negative { "-" } else { "" }, days * 24 + u32::from(*hours));
            *ours == format!("{sign}{hours:02}:{minute:02}:{second:02}{}", fraction(*micros))
        }
        (Value::Timestamp(ours), Plain::Bytes(theirs)) => {
            let text = String::from_utf8_lossy(theirs);
            let (seconds, micros) = text.split_once('.').unwrap_or((&text, "0"));
            let micros = micros.parse().unwrap_or(u32::MAX);
            epoch(ours).is_some_and(|(whole, digits)| whole == seconds && digits == fraction(micros))
        }
        (Value::Text(ours), Plain::Bytes(theirs)) => ours.as_bytes() == theirs,
        (Value::Bytes(ours), Plain::Bytes(theirs)) => match column.kind {
            // Ours has the zeros at the end of a BINARY, which the binlog leaves out.
            ColumnType::Char(max) => {
                let mut padded = theirs.clone();
                if column.collation == 63 {
                    padded.resize(theirs.len().max(max.into()), 0);
                }
                *ours == padded
            }
            _ => ours == theirs,
        },
        (Value::Set { mask, .. }, Plain::Bytes(theirs)) => {
            theirs.len() <= 8 && theirs.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) == *mask
        }
        (Value::Bit(bits), Plain::Bytes(theirs)) => {
            theirs.len() <= 8 && theirs.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) == *bits
        }
        _ => false,
    }
}

fn integer(value: &Plain) -> Option<i128> {
    match value {
        Plain::Int(value) => Some((*value).into()),
        Plain::UInt(value) => Some((*value).into()),
        _ => None,
    }
}

/// Seconds since 1970 of a UTC time, and its fraction with the point; 0 for the zero date.
pub(crate) fn epoch(text: &str) -> Option<(String, String)> {
    let (date, time) = text.split_once(' ')?;
    let (time, fraction) = time.split_at_checked(8)?;
    let parts = |text: &str, sign: char| -> Option<[i64; 3]> {
        let parts: Vec<i64> = text.split(sign).map(str::parse).collect::<Result<_, _>>().ok()?;
        parts.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (parts(date, '-')?, parts(time, ':')?);
    if year == 0 {
        return Some(("0".to_owned(), fraction.to_owned()));
    }
    // Counted year by year and month by month, which is slow, plain, and not the way of the code under test.
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    let seconds = (((years + months + day - 1) * 24 + hour) * 60 + minute) * 60 + second;
    Some((seconds.to_string(), fraction.to_owned()))
}
