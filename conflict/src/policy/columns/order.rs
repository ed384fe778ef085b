//! The order of values whose order does not depend on a collation.

use std::cmp::Ordering;

use transaction::binlog::{Column, ColumnType, EventError, Value};

/// Whether values of the column have such an order.
pub(super) fn is_ordered(column: &Column) -> bool {
    matches!(
        column.kind,
        ColumnType::Int(_)
            | ColumnType::Float
            | ColumnType::Double
            | ColumnType::Decimal { .. }
            | ColumnType::Year
            | ColumnType::Date
            | ColumnType::Time(_)
            | ColumnType::DateTime(_)
            | ColumnType::Timestamp(_)
    )
}

/// Compares two values of the column, neither NULL. Values of types without such an order are equal.
pub(super) fn compare(column: &Column, one: &[u8], other: &[u8]) -> Result<Ordering, EventError> {
    let values = (Value::decode(column, Some(one))?, Value::decode(column, Some(other))?);
    Ok(match values {
        (Value::Int(one), Value::Int(other)) => one.cmp(&other),
        (Value::UInt(one), Value::UInt(other)) => one.cmp(&other),
        (Value::Float(one), Value::Float(other)) => one.total_cmp(&other),
        (Value::Double(one), Value::Double(other)) => one.total_cmp(&other),
        (Value::Year(one), Value::Year(other)) => one.cmp(&other),
        // Year first, all digits there.
        (Value::Date(one), Value::Date(other)) => one.cmp(&other),
        // The server stores these so that their bytes sort as the values do.
        (Value::Decimal(_), Value::Decimal(_))
        | (Value::Time(_), Value::Time(_))
        | (Value::DateTime(_), Value::DateTime(_))
        | (Value::Timestamp(_), Value::Timestamp(_)) => one.cmp(other),
        _ => Ordering::Equal,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ascending(kind: ColumnType, unsigned: bool, values: &[&[u8]]) {
        let column =
            Column { name: "c".into(), kind, nullable: true, unsigned, collation: 0, members: Vec::new() };
        assert!(is_ordered(&column));
        for (at, one) in values.iter().enumerate() {
            for (place, other) in values.iter().enumerate() {
                assert_eq!(
                    compare(&column, one, other).unwrap(),
                    at.cmp(&place),
                    "{kind:?} {one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn values_are_ordered_as_the_server_orders_them() {
        ascending(ColumnType::Int(2), false, &[&[0, 0x80], &[0xff, 0xff], &[0, 0], &[1, 0], &[0, 1]]);
        ascending(ColumnType::Int(2), true, &[&[0, 0], &[1, 0], &[0, 1], &[0, 0x80], &[0xff, 0xff]]);
        let doubles = [-1e300, -1.5, 0.0, 1e-9, 2.0].map(f64::to_le_bytes);
        ascending(ColumnType::Double, false, &doubles.each_ref().map(|bytes| &bytes[..]));
        let floats = [-1e30f32, -1.5, 0.0, 1e-9, 2.0].map(f32::to_le_bytes);
        ascending(ColumnType::Float, false, &floats.each_ref().map(|bytes| &bytes[..]));
        // -9.9, -0.1, 0.0, 0.1, 9.9
        let decimal = ColumnType::Decimal { precision: 2, scale: 1 };
        ascending(decimal, false, &[&[0x76, 0xf6], &[0x7f, 0xfe], &[0x80, 0], &[0x80, 1], &[0x89, 9]]);
        ascending(ColumnType::Year, false, &[&[0], &[1], &[155], &[255]]);
        // 0000-00-00, 2024-01-31, 2024-02-01, 2025-01-01: little-endian, so that bytes alone do not sort.
        let date = |y: u32, m: u32, d: u32| {
            let bytes = (y << 9 | m << 5 | d).to_le_bytes();
            [bytes[0], bytes[1], bytes[2]]
        };
        let dates = [date(0, 0, 0), date(2024, 1, 31), date(2024, 2, 1), date(2025, 1, 1)];
        ascending(ColumnType::Date, false, &dates.each_ref().map(|bytes| &bytes[..]));
        // -00:00:01, -00:00:00.01, 00:00:00.00, 00:00:00.01, 00:00:01.00
        let times: [&[u8]; 5] = [
            &[0x7f, 0xff, 0xff, 0],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0x80, 0, 0, 0],
            &[0x80, 0, 0, 1],
            &[0x80, 0, 1, 0],
        ];
        ascending(ColumnType::Time(2), false, &times);
        let stamps: [&[u8]; 3] = [&[0, 0, 0, 0, 0], &[0x60, 0, 0, 0, 99], &[0x60, 0, 0, 1, 0]];
        ascending(ColumnType::Timestamp(2), false, &stamps);
    }
}
