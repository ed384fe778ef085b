//! Rows of one layout for a table of another: column by column, by name.
//!
//! Row events are matched by position: a column that is not where the origin has it would take its neighbour's value without an error.
//! So a row passes as it is only if names, types and order are equal. Else it is built anew, and only if nothing of it is lost: a
//! value must be in the target's type what it was, and a column that the target lacks must be NULL.

use std::borrow::Cow;
use std::sync::Arc;

use transaction::binlog::{Column, ColumnType, TableMap, Value, encode_value, row_image, row_values};

use crate::definitions::{Definition, Drift, describe};

/// How rows of one layout become rows of a table here.
#[derive(Debug)]
pub(crate) struct Fit {
    /// The layout that they get: this table's, without the columns that come from its defaults.
    pub(crate) table: Arc<TableMap>,
    /// Per column of the table here, the column there.
    from: Vec<Option<usize>>,
    /// Columns there that are not here.
    lost: Vec<usize>,
}

impl Fit {
    /// The way from `there`'s layout to the table `here`; an error names the first column that cannot be carried whatever its value.
    pub(crate) fn new(here: &Definition, there: &TableMap) -> Result<Self, Drift> {
        let drift = |difference| Err(Drift { table: there.full_name(), difference });
        here.compare_key(there)?;
        let place_there = |name: &str| {
            let found = there.columns.iter().position(|column| column.name == name);
            found.filter(|place| there.has(*place))
        };
        let mut from = Vec::with_capacity(here.columns.len());
        let mut present = vec![0; here.columns.len().div_ceil(8)];
        for (at, column) in here.columns.iter().enumerate() {
            let found = place_there(&column.name);
            match found {
                Some(place) if !may_become(&there.columns[place], column) => {
                    return drift(format!(
                        "column `{}` is {} here and {} at the origin",
                        column.name,
                        describe(column),
                        describe(&there.columns[place])
                    ));
                }
                Some(_) => present[at / 8] |= 1 << (at % 8),
                None if here.fills(at) => {}
                None => {
                    return drift(format!(
                        "column `{}` is not at the origin, and has no constant default here",
                        column.name
                    ));
                }
            }
            from.push(found);
        }
        let key = here.primary_key.iter().filter_map(|name| here.place(name));
        let prefixes = there.primary_key.iter().map(|(_, prefix)| *prefix);
        let primary_key = key.zip(prefixes).collect();
        let table = TableMap::of(&there.schema, &there.table, here.columns.clone(), primary_key, present);
        let lost = |place: &usize| there.has(*place) && here.place(&there.columns[*place].name).is_none();
        let lost = (0..there.columns.len()).filter(lost).collect();
        Ok(Self { table: Arc::new(table), from, lost })
    }

    /// The row image in the layout of the table here; an error says which value cannot be carried.
    pub(crate) fn image(&self, there: &TableMap, image: &[u8]) -> Result<Vec<u8>, Drift> {
        let drift = |difference| Drift { table: there.full_name(), difference };
        let values = row_values(there, image).map_err(|e| drift(e.to_string()))?;
        if let Some(place) = self.lost.iter().find(|place| values[**place].is_some()) {
            let column = &there.columns[*place];
            return Err(drift(format!(
                "column `{}`, {}, is not here and has a value",
                column.name,
                describe(column)
            )));
        }
        let mut converted: Vec<Option<Cow<'_, [u8]>>> = Vec::with_capacity(self.from.len());
        for (column, from) in self.table.columns.iter().zip(&self.from) {
            let value = from.and_then(|place| values[place].map(|value| (&there.columns[place], value)));
            converted.push(match value {
                None => None,
                Some((origin, value)) => Some(convert(origin, column, value).ok_or_else(|| {
                    let shown = Value::decode(origin, Some(value))
                        .map_or_else(|e| e.to_string(), |value| value.to_string());
                    drift(format!(
                        "column `{}` is {} here, which cannot hold {shown}",
                        column.name,
                        describe(column)
                    ))
                })?),
            });
        }
        let values: Vec<Option<&[u8]>> = converted.iter().map(Option::as_deref).collect();
        row_image(&self.table, &values)
            .ok_or_else(|| drift("a value is too long for its column here".to_owned()))
    }
}

/// Whether values of one column can be values of another, each by itself being looked at.
fn may_become(there: &Column, here: &Column) -> bool {
    use ColumnType::{
        Blob, Char, DateTime, Decimal, Double, Enum, Float, Int, Set, Time, Timestamp, VarChar,
    };
    let same_text = there.collation == here.collation;
    match (there.kind, here.kind) {
        (Int(_), Int(_)) | (Decimal { .. }, Decimal { .. }) | (Float, Double) => true,
        (Time(_), Time(_)) | (DateTime(_), DateTime(_)) | (Timestamp(_), Timestamp(_)) => true,
        (VarChar(_) | Blob(_), VarChar(_) | Blob(_)) | (Char(_), Char(_)) => same_text,
        (Enum(_), Enum(_)) | (Set(_), Set(_)) => {
            let shared = there.members.len().min(here.members.len());
            same_text && there.members[..shared] == here.members[..shared]
        }
        (one, other) => {
            one == other && same_text && there.unsigned == here.unsigned && there.members == here.members
        }
    }
}

/// A value in another type; `None` if it would be another value there.
fn convert<'v>(there: &Column, here: &Column, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
    if there.kind == here.kind && there.unsigned == here.unsigned && there.members.len() <= here.members.len()
    {
        return Some(Cow::Borrowed(value));
    }
    let text = match (Value::decode(there, Some(value)).ok()?, here.kind) {
        // Whether they fit, the layout says.
        (_, ColumnType::VarChar(_) | ColumnType::Char(_) | ColumnType::Blob(_)) => {
            return Some(Cow::Borrowed(value));
        }
        (Value::Float(value), ColumnType::Double) if !(here.unsigned && value < 0.0) => {
            return Some(Cow::Owned(f64::from(value).to_le_bytes().to_vec()));
        }
        (Value::Enum { ordinal: number, .. }, ColumnType::Enum(len)) => {
            return member_number(number, number as usize <= here.members.len(), len);
        }
        (Value::Set { mask, .. }, ColumnType::Set(len)) => {
            return member_number(mask, mask.checked_shr(here.members.len() as u32).unwrap_or(0) == 0, len);
        }
        (Value::Int(number), _) => number.to_string(),
        (Value::UInt(number), _) => number.to_string(),
        (Value::Decimal(text), _) if !(here.unsigned && text.starts_with('-')) => {
            without_zeros(&text).to_owned()
        }
        (Value::Time(text) | Value::DateTime(text) | Value::Timestamp(text), kind) => {
            with_digits(&text, kind)?
        }
        _ => return None,
    };
    encode_value(here, text.as_bytes()).map(Cow::Owned)
}

fn member_number(number: u64, is_known: bool, len: u8) -> Option<Cow<'static, [u8]>> {
    is_known.then(|| Cow::Owned(number.to_le_bytes()[..usize::from(len)].to_vec()))
}

/// A number without zeros at its end after the point.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A time with as many digits after the second as the column has; `None` if some would be lost.
fn with_digits(text: &str, kind: ColumnType) -> Option<String> {
    let (ColumnType::Time(digits) | ColumnType::DateTime(digits) | ColumnType::Timestamp(digits)) = kind
    else {
        return None;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (fraction, digits) = (fraction.trim_end_matches('0'), usize::from(digits));
    Some(match (fraction.len() <= digits, digits) {
        (false, _) => return None,
        (true, 0) => whole.to_owned(),
        (true, _) => format!("{whole}.{fraction:0<digits$}"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use transaction::binlog::full_bitmap;

    fn column(name: &str, kind: ColumnType) -> Column {
        let (nullable, unsigned, members) = (true, false, Vec::new());
        Column { name: name.into(), kind, nullable, unsigned, collation: 0, members }
    }

    fn there(columns: Vec<Column>) -> TableMap {
        let present = full_bitmap(columns.len());
        TableMap::of("s", "t", columns, vec![(0, 0)], present)
    }

    fn here(columns: Vec<Column>, filled: Vec<usize>) -> Definition {
        Definition { primary_key: vec!["id".into()], columns, filled, ..Definition::default() }
    }

    fn id() -> Column {
        column("id", ColumnType::Int(4))
    }

    /// The row with this value in a column of one type, read in a table where that column has another.
    fn carried(from: Column, to: Column, value: &[u8]) -> Result<Vec<u8>, String> {
        let map = there(vec![id(), from]);
        let fit = Fit::new(&here(vec![id(), to], vec![]), &map).map_err(|e| e.difference)?;
        let image = row_image(&map, &[Some(&[7, 0, 0, 0]), Some(value)]).unwrap();
        let image = fit.image(&map, &image).map_err(|e| e.difference)?;
        Ok(row_values(&fit.table, &image).unwrap()[1].unwrap().to_vec())
    }

    #[test]
    fn columns_find_their_places_by_name_and_missing_ones_are_left_to_their_defaults() {
        let map = there(vec![
            id(),
            column("a", ColumnType::Int(1)),
            column("b", ColumnType::Int(1)),
            column("old", ColumnType::Int(1)),
        ]);
        let to = vec![
            column("b", ColumnType::Int(1)),
            column("new", ColumnType::Int(1)),
            id(),
            column("a", ColumnType::Int(1)),
        ];
        let fit = Fit::new(&here(to.clone(), vec![1]), &map).unwrap();
        assert_eq!(
            (fit.table.primary_key.as_slice(), fit.table.present.as_slice()),
            ([(2, 0)].as_slice(), [0b1101].as_slice())
        );
        let row = |old: Option<&[u8]>| {
            row_image(&map, &[Some(&[7, 0, 0, 0]), Some(&[1]), Some(&[2]), old]).unwrap()
        };
        let image = fit.image(&map, &row(None)).unwrap();
        let values = row_values(&fit.table, &image).unwrap();
        assert_eq!(values, [Some([2].as_slice()), None, Some(&[7, 0, 0, 0]), Some(&[1])]);
        // A value that there is no place for is not dropped.
        let lost = fit.image(&map, &row(Some(&[9]))).unwrap_err();
        assert!(
            lost.difference.contains("column `old`") && lost.difference.contains("has a value"),
            "{lost}"
        );
        // Nor is one made up that would differ from region to region.
        let made_up = Fit::new(&here(to, vec![]), &map).unwrap_err();
        assert!(made_up.difference.contains("column `new` is not at the origin"), "{made_up}");
    }

    #[test]
    fn a_value_is_in_another_type_what_it_was_or_is_refused() {
        use ColumnType::{Blob, DateTime, Decimal, Double, Enum, Float, Int, VarChar};
        let c = |kind| column("c", kind);
        assert_eq!(carried(c(Int(2)), c(Int(8)), &(-5i16).to_le_bytes()).unwrap(), (-5i64).to_le_bytes());
        assert_eq!(carried(c(Int(8)), c(Int(1)), &(-5i64).to_le_bytes()).unwrap(), [0xfb]);
        assert!(
            carried(c(Int(8)), c(Int(1)), &300i64.to_le_bytes()).unwrap_err().contains("cannot hold 300")
        );
        let unsigned = Column { unsigned: true, ..c(Int(4)) };
        assert_eq!(carried(c(Int(4)), unsigned.clone(), &[5, 0, 0, 0]).unwrap(), [5, 0, 0, 0]);
        assert!(carried(c(Int(4)), unsigned, &[0xff; 4]).unwrap_err().contains("cannot hold -1"));
        assert_eq!(carried(c(Float), c(Double), &1.5f32.to_le_bytes()).unwrap(), 1.5f64.to_le_bytes());
        assert!(carried(c(Double), c(Float), &1.5f64.to_le_bytes()).is_err());
        assert_eq!(carried(c(VarChar(10)), c(Blob(2)), b"text").unwrap(), b"text");
        assert!(carried(c(VarChar(10)), c(VarChar(3)), b"text").unwrap_err().contains("too long"));
        let other = Column { collation: 8, ..c(VarChar(10)) };
        assert!(carried(c(VarChar(10)), other, b"text").unwrap_err().contains("collation id 8 here"));
        let decimal = |precision, scale| c(Decimal { precision, scale });
        let wide =
            carried(decimal(5, 2), decimal(9, 4), &encode_value(&decimal(5, 2), b"-12.50").unwrap()).unwrap();
        assert_eq!(wide, encode_value(&decimal(9, 4), b"-12.5000").unwrap());
        assert_eq!(
            carried(decimal(9, 4), decimal(5, 2), &wide).unwrap(),
            encode_value(&decimal(5, 2), b"-12.50").unwrap()
        );
        assert!(
            carried(decimal(9, 4), decimal(5, 0), &wide).unwrap_err().contains("cannot hold -12.5"),
            "scale"
        );
        let time = |digits, text: &str| encode_value(&c(DateTime(digits)), text.as_bytes()).unwrap();
        let (short, long) = ("2024-02-29 23:59:59.5", "2024-02-29 23:59:59.500000");
        assert_eq!(carried(c(DateTime(1)), c(DateTime(6)), &time(1, short)).unwrap(), time(6, long));
        assert_eq!(carried(c(DateTime(6)), c(DateTime(1)), &time(6, long)).unwrap(), time(1, short));
        assert!(carried(c(DateTime(6)), c(DateTime(0)), &time(6, long)).is_err());
        let members = |count: usize| {
            let members = (0..count).map(|at| at.to_string().into_bytes()).collect();
            Column { members, ..c(Enum(if count > 255 { 2 } else { 1 })) }
        };
        assert_eq!(carried(members(3), members(300), &[3]).unwrap(), [3, 0]);
        assert_eq!(carried(members(300), members(3), &[3, 0]).unwrap(), [3]);
        assert!(carried(members(300), members(3), &[4, 0]).is_err());
        let renamed = Column { members: vec![b"x".to_vec()], ..c(Enum(1)) };
        assert!(carried(members(3), renamed, &[1]).is_err(), "another member at its place");
    }

    #[test]
    fn a_key_must_be_of_one_type_everywhere() {
        let map = there(vec![id(), column("a", ColumnType::Int(1))]);
        let wider = vec![column("id", ColumnType::Int(8)), column("a", ColumnType::Int(1))];
        let drift = Fit::new(&here(wider, vec![]), &map).unwrap_err();
        assert!(drift.difference.contains("column `id` of the primary key is Int(4)"), "{drift}");
    }
}
