//! Rows on their way from one region's tables into another's, value by value and without loss.

use mysql_async::Value;

/// Appends a value: a tag, and its bytes; all integers little-endian.
pub(crate) fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::NULL => out.push(0),
        Value::Bytes(bytes) => {
            out.push(1);
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Value::Int(number) => {
            out.push(2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::UInt(number) => {
            out.push(3);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Float(number) => {
            out.push(4);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Double(number) => {
            out.push(5);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Date(year, month, day, hour, minute, second, micros) => {
            out.push(6);
            out.extend_from_slice(&year.to_le_bytes());
            out.extend_from_slice(&[*month, *day, *hour, *minute, *second]);
            out.extend_from_slice(&micros.to_le_bytes());
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            out.push(7);
            out.push(u8::from(*negative));
            out.extend_from_slice(&days.to_le_bytes());
            out.extend_from_slice(&[*hours, *minutes, *seconds]);
            out.extend_from_slice(&micros.to_le_bytes());
        }
    }
}

/// Takes a value off the front of `input`; `None` if it is malformed.
pub(crate) fn take(input: &mut &[u8]) -> Option<Value> {
    let [tag] = array::<1>(input)?;
    Some(match tag {
        0 => Value::NULL,
        1 => {
            let len = u32::from_le_bytes(array(input)?) as usize;
            let (bytes, rest) = input.split_at_checked(len)?;
            *input = rest;
            Value::Bytes(bytes.to_vec())
        }
        2 => Value::Int(i64::from_le_bytes(array(input)?)),
        3 => Value::UInt(u64::from_le_bytes(array(input)?)),
        4 => Value::Float(f32::from_le_bytes(array(input)?)),
        5 => Value::Double(f64::from_le_bytes(array(input)?)),
        6 => {
            let year = u16::from_le_bytes(array(input)?);
            let [month, day, hour, minute, second] = array(input)?;
            Value::Date(year, month, day, hour, minute, second, u32::from_le_bytes(array(input)?))
        }
        7 => {
            let [negative] = array(input)?;
            let days = u32::from_le_bytes(array(input)?);
            let [hours, minutes, seconds] = array(input)?;
            Value::Time(negative != 0, days, hours, minutes, seconds, u32::from_le_bytes(array(input)?))
        }
        _ => return None,
    })
}

fn array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_went_and_no_prefix_of_it_does() {
        let values = [
            Value::NULL,
            Value::Bytes(b"\x00\xffabc".to_vec()),
            Value::Int(-5),
            Value::UInt(u64::MAX),
            Value::Float(1.1),
            Value::Double(-0.0),
            Value::Date(0, 0, 0, 0, 0, 0, 0),
            Value::Date(2026, 1, 31, 23, 59, 59, 999_999),
            Value::Time(true, 34, 22, 59, 59, 999_999),
        ];
        for value in values {
            let mut bytes = Vec::new();
            put(&mut bytes, &value);
            assert_eq!(take(&mut bytes.as_slice()), Some(value));
            for len in 0..bytes.len() {
                assert_eq!(take(&mut &bytes[..len]), None);
            }
        }
    }
}
