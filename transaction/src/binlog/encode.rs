//! The way back: row images and their values from what the server answers to a query.
//!
//! A row that is read by SQL becomes the bytes that an event about it would carry, so that both are compared and hashed by
//! the same code.

use super::charset::{BINARY, charset_name};
use super::column::{Column, ColumnType};
use super::decimal::decimal_bytes;
use super::table_map::TableMap;
use super::temporal;

/// The row image of `values` in column order, without their length fields, `None` for NULL: what
/// [`row_values`](super::row_values) takes apart. Bits of the null bitmap beyond the last column are 0, as servers from
/// 8.0 on write them.
///
/// `None` if there is not one value per column, if a value is not as long as its column's type has it, or if there is a
/// value for a column that the table's images lack. That a column may be NULL is not asked.
pub fn row_image(table: &TableMap, values: &[Option<&[u8]>]) -> Option<Vec<u8>> {
    if values.len() != table.columns.len() {
        return None;
    }
    let mut image = vec![0; table.nulls_len()];
    let mut bit = 0;
    for (place, (column, value)) in table.columns.iter().zip(values).enumerate() {
        if !table.has(place) {
            if value.is_some() {
                return None;
            }
            continue;
        }
        match value {
            Some(value) => push_value(&mut image, column.kind, value)?,
            None => image[bit / 8] |= 1 << (bit % 8),
        }
        bit += 1;
    }
    Some(image)
}

/// Appends a value with its length field.
fn push_value(image: &mut Vec<u8>, kind: ColumnType, value: &[u8]) -> Option<()> {
    let prefix = match kind {
        ColumnType::Char(max) | ColumnType::VarChar(max) => {
            if value.len() > usize::from(max) {
                return None;
            }
            if max > 255 { 2 } else { 1 }
        }
        ColumnType::Blob(prefix)
        | ColumnType::Json(prefix)
        | ColumnType::Geometry(prefix)
        | ColumnType::Vector(prefix) => usize::from(prefix),
        _ => 0,
    };
    let start = image.len();
    image.extend_from_slice((value.len() as u64).to_le_bytes().get(..prefix)?);
    image.extend_from_slice(value);
    // The reader of images is asked, so that the two cannot disagree. A length cut off by its field is found here too.
    (kind.value_len(&image[start..]) == Some((prefix, value.len()))).then_some(())
}

/// The bytes of a value in a row image, without its length field, from the value in the server's text protocol.
///
/// The session must have `character_set_results = NULL`, so that texts come in the column's own character set,
/// `time_zone = '+00:00'`, and no `PAD_CHAR_TO_FULL_LENGTH` in its `sql_mode`. A FLOAT must be asked for as
/// `CAST(x AS DOUBLE)`: its own text has six digits, too few to tell all values apart.
///
/// An empty ENUM text is the member that is empty if there is one, or else ordinal 0, which a wrong insert left.
///
/// `None` for text that the server does not send for such a column, and for JSON, whose text does not tell its opaque values
/// from strings.
pub fn encode_value(column: &Column, text: &[u8]) -> Option<Vec<u8>> {
    match column.kind {
        ColumnType::Int(len) => integer(text, len, column.unsigned),
        ColumnType::Float => {
            let value = ascii(text)?.parse::<f32>().ok()?;
            value.is_finite().then(|| value.to_le_bytes().to_vec())
        }
        ColumnType::Double => {
            let value = ascii(text)?.parse::<f64>().ok()?;
            value.is_finite().then(|| value.to_le_bytes().to_vec())
        }
        ColumnType::Decimal { precision, scale } => decimal_bytes(text, precision, scale),
        ColumnType::Year => match ascii(text)?.parse::<u16>().ok()? {
            0 => Some(vec![0]),
            year @ 1901..=2155 => Some(vec![(year - 1900) as u8]),
            _ => None,
        },
        ColumnType::Date => temporal::date_bytes(ascii(text)?),
        ColumnType::Time(digits) => temporal::time_bytes(ascii(text)?, digits),
        ColumnType::DateTime(digits) => temporal::datetime_bytes(ascii(text)?, digits),
        ColumnType::Timestamp(digits) => temporal::timestamp_bytes(ascii(text)?, digits),
        // The zeros that fill a BINARY(n) are sent, but not in the binlog.
        ColumnType::Char(_) if column.collation == BINARY => {
            let len = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            Some(text[..len].to_vec())
        }
        ColumnType::Char(_) | ColumnType::VarChar(_) | ColumnType::Blob(_) => Some(text.to_vec()),
        ColumnType::Enum(len) => {
            let ordinal = match member(column, text) {
                Some(place) => place + 1,
                None if text.is_empty() => 0,
                None => return None,
            };
            unsigned(ordinal as u64, len)
        }
        ColumnType::Set(len) => unsigned(mask(column, text)?, len),
        ColumnType::Bit(bits) => {
            let len = usize::from(bits.div_ceil(8));
            let unused = (8 * len) as u32 - u32::from(bits);
            (text.len() == len && text.first()?.leading_zeros() >= unused).then(|| text.to_vec())
        }
        // Sent as they are stored.
        ColumnType::Geometry(_) | ColumnType::Vector(_) => Some(text.to_vec()),
        ColumnType::Json(_) => None,
    }
}

fn ascii(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text).ok().filter(|text| text.is_ascii())
}

fn integer(text: &[u8], len: u8, is_unsigned: bool) -> Option<Vec<u8>> {
    if is_unsigned {
        return unsigned(ascii(text)?.parse().ok()?, len);
    }
    let value = ascii(text)?.parse::<i64>().ok()?;
    let unused = 64u32.checked_sub(8 * u32::from(len)).filter(|unused| *unused < 64)?;
    (value << unused >> unused == value).then(|| value.to_le_bytes()[..usize::from(len)].to_vec())
}

/// `value` in `len` bytes, little-endian; `None` if it needs more.
fn unsigned(value: u64, len: u8) -> Option<Vec<u8>> {
    let bytes = value.to_le_bytes();
    let (kept, cut) = bytes.split_at_checked(len.into())?;
    (!kept.is_empty() && cut.iter().all(|byte| *byte == 0)).then(|| kept.to_vec())
}

/// The place of a member; the server sends the text that stands in the column's definition.
fn member(column: &Column, text: &[u8]) -> Option<usize> {
    column.members.iter().position(|member| member == text)
}

/// The bit mask of a SET. No member has a comma in it.
fn mask(column: &Column, text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let comma: &[u8] = match charset_name(column.collation) {
        Some("ucs2" | "utf16") => &[0, b','],
        Some("utf16le") => &[b',', 0],
        Some("utf32") => &[0, 0, 0, b','],
        _ => b",",
    };
    let (mut mask, mut start) = (0u64, 0);
    for (at, unit) in text.chunks(comma.len()).enumerate() {
        if unit == comma {
            mask |= 1u64.checked_shl(member(column, &text[start..at * comma.len()])? as u32)?;
            start = (at + 1) * comma.len();
        }
    }
    Some(mask | 1u64.checked_shl(member(column, &text[start..])? as u32)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn column(kind: ColumnType, unsigned: bool, collation: u16, members: &[&[u8]]) -> Column {
        let members = members.iter().map(|member| member.to_vec()).collect();
        Column { name: "c".into(), kind, nullable: true, unsigned, collation, members }
    }

    fn encoded(kind: ColumnType, text: &str) -> Option<Vec<u8>> {
        encode_value(&column(kind, false, 0, &[]), text.as_bytes())
    }

    #[test]
    fn numbers_beyond_their_column_are_refused() {
        let int = |len, text: &str| encoded(ColumnType::Int(len), text);
        assert_eq!(int(1, "-128"), Some(vec![0x80]));
        assert_eq!(int(1, "127"), Some(vec![0x7f]));
        assert_eq!(int(4, "0000000005"), Some(vec![5, 0, 0, 0]), "ZEROFILL");
        assert_eq!(int(8, "-9223372036854775808"), Some(i64::MIN.to_le_bytes().to_vec()));
        for (len, text) in [(1, "128"), (1, "-129"), (3, "8388608"), (8, "9223372036854775808"), (4, "1.0")] {
            assert_eq!(int(len, text), None, "{text} in {len} bytes");
        }
        let uint =
            |len, text: &str| encode_value(&column(ColumnType::Int(len), true, 0, &[]), text.as_bytes());
        assert_eq!(uint(1, "255"), Some(vec![0xff]));
        assert_eq!(uint(8, "18446744073709551615"), Some(vec![0xff; 8]));
        for (len, text) in [(1, "256"), (3, "16777216"), (8, "18446744073709551616"), (4, "-1"), (9, "1")] {
            assert_eq!(uint(len, text), None, "{text} in {len} bytes");
        }
        for text in ["inf", "nan", "1e999", ""] {
            assert_eq!(encoded(ColumnType::Double, text), None, "{text}");
            assert_eq!(encoded(ColumnType::Float, text), None, "{text}");
        }
        assert_eq!(encoded(ColumnType::Year, "0000"), Some(vec![0]));
        assert_eq!(encoded(ColumnType::Year, "2155"), Some(vec![255]));
        assert_eq!((encoded(ColumnType::Year, "1900"), encoded(ColumnType::Year, "2156")), (None, None));
    }

    #[test]
    fn members_are_found_by_their_bytes_and_an_unknown_one_is_refused() {
        let members: &[&[u8]] = &[b"x", b"it's", b"\xe9"];
        let found = |kind, text: &[u8]| encode_value(&column(kind, false, 8, members), text);
        assert_eq!(found(ColumnType::Enum(1), b"\xe9"), Some(vec![3]));
        assert_eq!(found(ColumnType::Enum(2), b"x"), Some(vec![1, 0]));
        assert_eq!(found(ColumnType::Enum(1), b""), Some(vec![0]));
        assert_eq!(found(ColumnType::Enum(1), b"X"), None);
        assert_eq!(found(ColumnType::Set(1), b"x,\xe9"), Some(vec![5]));
        assert_eq!(found(ColumnType::Set(8), b""), Some(vec![0; 8]));
        assert_eq!(found(ColumnType::Set(1), b"x,y"), None);
        let with_empty = column(ColumnType::Enum(1), false, 8, &[b"x", b""]);
        assert_eq!(encode_value(&with_empty, b""), Some(vec![2]));
        // U+2C61 holds the byte of a comma, but is none.
        let utf16 = column(ColumnType::Set(1), false, 54, &[b"\0a", b"\x2c\x61", b"\0\x2c\x61\0"]);
        assert_eq!(encode_value(&utf16, b"\0a\0,\x2c\x61"), Some(vec![3]));
        let names: Vec<Vec<u8>> = (0..64).map(|place: u8| format!("m{place}").into_bytes()).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let wide = column(ColumnType::Set(8), false, 8, &names);
        assert_eq!(encode_value(&wide, b"m0,m63"), Some(vec![1, 0, 0, 0, 0, 0, 0, 0x80]));
    }

    #[test]
    fn bits_and_binary_strings_are_bytes_already() {
        let bit = |bits, text: &[u8]| encode_value(&column(ColumnType::Bit(bits), false, 0, &[]), text);
        assert_eq!(bit(13, &[0x15, 0x55]), Some(vec![0x15, 0x55]));
        assert_eq!(bit(64, &[0xff; 8]), Some(vec![0xff; 8]));
        assert_eq!((bit(13, &[0x20, 0]), bit(13, &[1]), bit(1, &[])), (None, None, None));
        let binary = |text: &[u8]| encode_value(&column(ColumnType::Char(4), false, BINARY, &[]), text);
        assert_eq!(binary(b"a\0b\0"), Some(b"a\0b".to_vec()));
        assert_eq!(binary(&[0; 4]), Some(Vec::new()));
        for kind in [ColumnType::Geometry(4), ColumnType::Vector(4)] {
            assert_eq!(encoded(kind, "\0\u{1}"), Some(vec![0, 1]));
        }
        assert_eq!(encoded(ColumnType::Json(4), "{}"), None);
    }

    fn table(kinds: &[ColumnType]) -> TableMap {
        TableMap {
            table_id: 1,
            schema: "s".into(),
            table: "t".into(),
            columns: kinds.iter().map(|kind| column(*kind, false, BINARY, &[])).collect(),
            primary_key: Vec::new(),
            present: super::super::full_bitmap(kinds.len()),
            body_after_id: Vec::new(),
        }
    }

    #[test]
    fn an_image_holds_only_values_that_fit() {
        let fits = |kind, len: usize| row_image(&table(&[kind]), &[Some(&vec![7; len])]).is_some();
        for (kind, len, want) in [
            (ColumnType::Int(4), 4, true),
            (ColumnType::Int(4), 3, false),
            (ColumnType::Int(4), 5, false),
            (ColumnType::Decimal { precision: 65, scale: 30 }, 30, true),
            (ColumnType::Decimal { precision: 65, scale: 30 }, 29, false),
            (ColumnType::VarChar(255), 255, true),
            (ColumnType::VarChar(255), 256, false),
            (ColumnType::VarChar(256), 256, true),
            (ColumnType::VarChar(300), 300, true),
            (ColumnType::Char(10), 11, false),
            (ColumnType::Blob(1), 255, true),
            (ColumnType::Blob(1), 256, false),
            (ColumnType::Blob(2), 65_535, true),
            (ColumnType::Blob(2), 65_536, false),
            (ColumnType::Blob(9), 0, false),
        ] {
            assert_eq!(fits(kind, len), want, "{kind:?}, {len} bytes");
        }
        let mut two = table(&[ColumnType::Int(1), ColumnType::Blob(1)]);
        assert_eq!(row_image(&two, &[None, Some(b"a")]), Some(vec![1, 1, b'a']));
        assert_eq!(row_image(&two, &[Some(b"a")]), None);
        two.present = vec![2];
        assert_eq!(row_image(&two, &[None, Some(b"a")]), Some(vec![0, 1, b'a']));
        assert_eq!(row_image(&two, &[Some(b"a"), Some(b"a")]), None);
    }
}
