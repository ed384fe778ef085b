//! Whole numbers of any size, from and to the values of integer and DECIMAL columns.

use num_bigint::{BigInt, Sign};
use transaction::binlog::{Column, ColumnType, EventError, Value};

/// Nine digits lie in four bytes; fewer in as many bytes as they need.
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Whether values of the column are such numbers.
pub(crate) fn is_number(column: &Column) -> bool {
    matches!(column.kind, ColumnType::Int(_) | ColumnType::Decimal { .. })
}

/// The number in a value; a DECIMAL's in units of its last digit. `None` for other types.
pub(crate) fn read(column: &Column, bytes: &[u8]) -> Result<Option<BigInt>, EventError> {
    Ok(match Value::decode(column, Some(bytes))? {
        Value::Int(value) => Some(value.into()),
        Value::UInt(value) => Some(value.into()),
        Value::Decimal(text) => text.replace('.', "").parse().ok(),
        _ => None,
    })
}

/// The value as the column has it; `None` if it does not fit.
pub(crate) fn write(column: &Column, number: &BigInt) -> Option<Vec<u8>> {
    if column.unsigned && number.sign() == Sign::Minus {
        return None;
    }
    match column.kind {
        ColumnType::Int(len) => {
            let mut bytes = if column.unsigned {
                u64::try_from(number).ok()?.to_le_bytes().to_vec()
            } else {
                i64::try_from(number).ok()?.to_le_bytes().to_vec()
            };
            let rest = bytes.split_off(usize::from(len).min(8));
            // What is cut off must be the sign and nothing else.
            let negative = !column.unsigned && bytes.last()? & 0x80 != 0;
            let fits = negative == (number.sign() == Sign::Minus) || column.unsigned;
            let filler = if negative { 0xff } else { 0 };
            (fits && rest.iter().all(|byte| *byte == filler)).then_some(bytes)
        }
        ColumnType::Decimal { precision, scale } => decimal(number, precision.into(), scale.into()),
        _ => None,
    }
}

/// The inverse of how the server's `decimal2bin` is read: digits in groups of nine from the point outwards, all bytes
/// inverted for a negative number, the highest bit flipped so that bytes sort as numbers do.
fn decimal(number: &BigInt, precision: usize, scale: usize) -> Option<Vec<u8>> {
    let digits = number.magnitude().to_string();
    if digits.len() > precision {
        // "0" is one digit; DECIMAL has at least one.
        return None;
    }
    let digits = format!("{digits:0>precision$}");
    let (whole, fraction) = digits.split_at(precision - scale);
    let (head, whole) = whole.split_at(whole.len() % 9);
    let mut bytes = Vec::new();
    let mut push = |group: &str| {
        let value = group.bytes().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        bytes.extend_from_slice(&value.to_be_bytes()[4 - DIGIT_BYTES[group.len()]..]);
    };
    push(head);
    for part in [whole, fraction] {
        let mut rest = part;
        while !rest.is_empty() {
            let (group, after) = rest.split_at(rest.len().min(9));
            push(group);
            rest = after;
        }
    }
    if number.sign() == Sign::Minus {
        bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    }
    *bytes.first_mut()? ^= 0x80;
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn column(kind: ColumnType, unsigned: bool) -> Column {
        Column { name: "n".into(), kind, nullable: true, unsigned, collation: 0, members: Vec::new() }
    }

    fn big(text: &str) -> BigInt {
        text.parse().unwrap()
    }

    #[test]
    fn an_integer_fits_exactly_between_the_bounds_of_its_column() {
        for (len, unsigned, min, max) in [
            (1, false, "-128", "127"),
            (1, true, "0", "255"),
            (2, false, "-32768", "32767"),
            (3, false, "-8388608", "8388607"),
            (3, true, "0", "16777215"),
            (4, false, "-2147483648", "2147483647"),
            (8, false, "-9223372036854775808", "9223372036854775807"),
            (8, true, "0", "18446744073709551615"),
        ] {
            let column = column(ColumnType::Int(len), unsigned);
            for inside in [big(min), big(min) + 1, big("0"), big("1"), big(max) - 1, big(max)] {
                let bytes = write(&column, &inside).unwrap();
                assert_eq!(bytes.len(), usize::from(len));
                assert_eq!(read(&column, &bytes).unwrap(), Some(inside), "{column:?}");
            }
            for outside in [big(min) - 1, big(max) + 1, big(min) - big("99999999999999999999")] {
                assert_eq!(write(&column, &outside), None, "{outside} in {column:?}");
            }
        }
    }

    #[test]
    fn a_decimal_is_written_as_the_server_does() {
        let fourteen = column(ColumnType::Decimal { precision: 14, scale: 4 }, false);
        let bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(write(&fourteen, &big("12345678901234")).unwrap(), bytes);
        let inverted: Vec<u8> = bytes.iter().map(|byte| byte ^ 0xff).collect();
        assert_eq!(write(&fourteen, &big("-12345678901234")).unwrap(), inverted);
        assert_eq!(write(&fourteen, &big("123456789012345")), None);
    }

    #[test]
    fn every_decimal_that_fits_is_read_back() {
        for (precision, scale) in
            [(1, 0), (1, 1), (9, 0), (9, 9), (10, 2), (18, 9), (20, 20), (65, 30), (65, 0)]
        {
            let column = column(ColumnType::Decimal { precision, scale }, false);
            let largest = big(&"9".repeat(precision.into()));
            for number in [big("0"), big("1"), big("-1"), big("7"), largest.clone(), -largest.clone()] {
                let bytes = write(&column, &number).unwrap();
                assert_eq!(column.kind.value_len(&bytes), Some((0, bytes.len())));
                assert_eq!(read(&column, &bytes).unwrap(), Some(number), "DECIMAL({precision},{scale})");
            }
            assert_eq!(write(&column, &(largest.clone() + 1)), None);
            assert_eq!(write(&column, &(-largest - 1)), None);
        }
        let unsigned = column(ColumnType::Decimal { precision: 5, scale: 2 }, true);
        assert_eq!(write(&unsigned, &big("-1")), None);
    }
}
