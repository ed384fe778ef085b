//! A column's value, decoded for people and for SQL.
//!
//! Replication itself never comes by here: rows travel as the bytes that the server wrote. This is for what reads them
//! (`concord log`), names a row in a message, or asks the server about a key.

use std::fmt;

use super::charset::{self, BINARY};
use super::column::{Column, ColumnType};
use super::decimal::decimal_text;
use super::json::{self, Json};
use super::{EventError, literal, temporal};

/// Longest text that `Display` shows before it cuts, in characters.
const SHOWN_CHARS_MAX: usize = 96;

/// One value of a row image.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// FLOAT; always finite.
    Float(f32),
    /// DOUBLE; always finite.
    Double(f64),
    /// DECIMAL with all digits of its scale.
    Decimal(String),
    /// YEAR: 0 or 1901 to 2155.
    Year(u16),
    /// `YYYY-MM-DD`, zero and partly zero dates included.
    Date(String),
    /// `[-]HH:MM:SS[.ffffff]`, up to 838 hours, with the column's number of fractional digits.
    Time(String),
    /// `YYYY-MM-DD HH:MM:SS[.ffffff]`, likewise.
    DateTime(String),
    /// As `DateTime`, in UTC; `0000-00-00 00:00:00` is the zero date.
    Timestamp(String),
    /// Text in a character set that is UTF-8, or of which only ASCII occurs.
    Text(String),
    /// Binary strings (BINARY padded to its length), text in other character sets, GEOMETRY with its SRID, VECTOR.
    Bytes(Vec<u8>),
    /// A member of an ENUM.
    Enum {
        /// Its place, from 1; 0 is the empty value that a wrong insert left.
        ordinal: u64,
        /// Its text; hexadecimal if that cannot be shown, empty for ordinal 0.
        label: String,
    },
    /// Members of a SET.
    Set {
        /// Bit 0 is the first member.
        mask: u64,
        /// Their texts, in the order of the definition.
        labels: Vec<String>,
    },
    /// BIT.
    Bit(u64),
    /// JSON.
    Json(Json),
}

impl Value {
    /// Decodes the bytes of one value, without their length field, as [`row_values`](super::row_values) yields them;
    /// `None` is NULL.
    ///
    /// Bytes that the server cannot have written for such a column are an error.
    pub fn decode(column: &Column, bytes: Option<&[u8]>) -> Result<Self, EventError> {
        let Some(bytes) = bytes else { return Ok(Self::Null) };
        decode(column, bytes).ok_or(EventError::Malformed { event: "rows", what: malformed(column.kind) })
    }

    /// The value as an SQL literal that the server reads as exactly this stored value, whatever the session's character
    /// set and whether backslashes escape or not.
    ///
    /// What the session must still provide: `time_zone = '+00:00'` for TIMESTAMP; a `sql_mode` that lets in the zero or
    /// invalid dates and the ENUM ordinal 0 that a row may hold. The types inside a JSON document are kept (see
    /// [`Json::sql_literal`]); the literal is ASCII unless a text in it is not.
    ///
    /// `column = literal` finds the row too, but for NULL, for a VECTOR (the server compares none) and for a SET whose
    /// 64th member is in it (the server compares masks as signed numbers).
    pub fn sql_literal(&self, column: &Column) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::UInt(value) | Self::Bit(value) => value.to_string(),
            Self::Float(value) => literal::double(f64::from(*value)),
            Self::Double(value) => literal::double(*value),
            // A number with a point and no exponent is an exact DECIMAL in SQL.
            Self::Decimal(text) => text.clone(),
            Self::Year(year) => year.to_string(),
            Self::Date(text) | Self::Time(text) | Self::DateTime(text) | Self::Timestamp(text) => {
                format!("'{text}'")
            }
            Self::Text(text) => literal::text(text, charset::charset_name(column.collation)),
            Self::Bytes(bytes) => {
                match (column.kind.has_collation(), charset::charset_name(column.collation)) {
                    (true, Some(name)) if name != "binary" && !name.starts_with("utf8") => {
                        format!("_{name} {}", literal::hex(bytes))
                    }
                    _ => literal::hex(bytes),
                }
            }
            Self::Enum { ordinal, .. } => ordinal.to_string(),
            Self::Set { mask, .. } => mask.to_string(),
            Self::Json(json) => json.sql_literal(),
        }
    }

    /// The whole value as people read it: texts bare, bytes as `x'…'`, labels joined by commas.
    pub fn full_text(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::UInt(value) => value.to_string(),
            Self::Float(value) => literal::shortest(&format!("{value:e}")),
            Self::Double(value) => literal::shortest(&format!("{value:e}")),
            Self::Decimal(text) | Self::Text(text) => text.clone(),
            Self::Date(text) | Self::Time(text) | Self::DateTime(text) | Self::Timestamp(text) => {
                text.clone()
            }
            Self::Year(year) => format!("{year:04}"),
            Self::Bytes(bytes) => literal::hex(bytes),
            Self::Enum { label, .. } => label.clone(),
            Self::Set { labels, .. } => labels.join(","),
            Self::Bit(bits) => format!("b'{bits:b}'"),
            Self::Json(json) => json.text().to_owned(),
        }
    }
}

fn decode(column: &Column, bytes: &[u8]) -> Option<Value> {
    Some(match column.kind {
        ColumnType::Int(len) => {
            let raw = uint(bytes, len)?;
            let unused = 64 - 8 * u32::from(len);
            if column.unsigned { Value::UInt(raw) } else { Value::Int((raw << unused) as i64 >> unused) }
        }
        ColumnType::Float => {
            Value::Float(Some(f32::from_le_bytes(bytes.try_into().ok()?)).filter(|f| f.is_finite())?)
        }
        ColumnType::Double => {
            Value::Double(Some(f64::from_le_bytes(bytes.try_into().ok()?)).filter(|f| f.is_finite())?)
        }
        ColumnType::Decimal { precision, scale } => Value::Decimal(decimal_text(bytes, precision, scale)?),
        ColumnType::Year => match bytes {
            [0] => Value::Year(0),
            [years] => Value::Year(1900 + u16::from(*years)),
            _ => return None,
        },
        ColumnType::Date => Value::Date(temporal::date_text(bytes)?),
        ColumnType::Time(digits) => Value::Time(temporal::time_text(bytes, digits)?),
        ColumnType::DateTime(digits) => Value::DateTime(temporal::datetime_text(bytes, digits)?),
        ColumnType::Timestamp(digits) => Value::Timestamp(temporal::timestamp_text(bytes, digits)?),
        ColumnType::Char(max) if column.collation == BINARY => {
            // The binlog leaves out the zeros at the end of a BINARY(n), which are part of the value.
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len().max(max.into()), 0);
            Value::Bytes(padded)
        }
        ColumnType::Char(_) | ColumnType::VarChar(_) | ColumnType::Blob(_) => {
            match charset::text(bytes, column.collation) {
                Some(text) => Value::Text(text.to_owned()),
                None => Value::Bytes(bytes.to_vec()),
            }
        }
        ColumnType::Geometry(_) | ColumnType::Vector(_) => Value::Bytes(bytes.to_vec()),
        ColumnType::Json(_) => Value::Json(json::decode(bytes)?),
        ColumnType::Enum(len) => {
            let ordinal = uint(bytes, len)?;
            let place = ordinal.checked_sub(1).and_then(|place| usize::try_from(place).ok());
            let label = place.and_then(|place| label(column, place)).unwrap_or_default();
            Value::Enum { ordinal, label }
        }
        ColumnType::Set(len) => {
            let mask = uint(bytes, len)?;
            let labels = (0..64).filter(|place| mask >> place & 1 == 1);
            Value::Set { mask, labels: labels.filter_map(|place| label(column, place)).collect() }
        }
        ColumnType::Bit(bits) => {
            let len = bits.div_ceil(8);
            let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
            Value::Bit(uint(&reversed, len)?)
        }
    })
}

/// A little-endian integer of exactly `len` bytes, 1 to 8.
fn uint(bytes: &[u8], len: u8) -> Option<u64> {
    ((1..=8).contains(&len) && bytes.len() == usize::from(len))
        .then(|| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn label(column: &Column, place: usize) -> Option<String> {
    let member = column.members.get(place)?;
    Some(charset::text(member, column.collation).map_or_else(|| literal::hex(member), str::to_owned))
}

fn malformed(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Int(_) => "an integer has the wrong length",
        ColumnType::Float => "a FLOAT has the wrong length or is not finite",
        ColumnType::Double => "a DOUBLE has the wrong length or is not finite",
        ColumnType::Decimal { .. } => "a DECIMAL has the wrong length or a digit beyond 9",
        ColumnType::Year => "a YEAR has the wrong length",
        ColumnType::Date => "a DATE has the wrong length or is out of range",
        ColumnType::Time(_) => "a TIME has the wrong length or is out of range",
        ColumnType::DateTime(_) => "a DATETIME has the wrong length or is out of range",
        ColumnType::Timestamp(_) => "a TIMESTAMP has the wrong length or is out of range",
        ColumnType::Enum(_) => "an ENUM has the wrong length",
        ColumnType::Set(_) => "a SET has the wrong length",
        ColumnType::Bit(_) => "a BIT value has the wrong length",
        ColumnType::Json(_) => "a JSON document is cut short, nested too deeply or of an unknown form",
        ColumnType::Char(_) | ColumnType::VarChar(_) | ColumnType::Blob(_) => "a string is malformed",
        ColumnType::Geometry(_) | ColumnType::Vector(_) => "a binary value is malformed",
    }
}

/// For people: texts in quotes, long values cut (their length said), control characters escaped.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = matches!(self, Self::Text(_) | Self::Enum { .. } | Self::Set { .. });
        let text = match self {
            // Only as many bytes as will be shown are turned into text.
            Self::Bytes(bytes) => literal::hex(&bytes[..bytes.len().min(SHOWN_CHARS_MAX)]),
            _ => self.full_text(),
        };
        let (mut shown, mut cut) = (String::new(), None);
        for (count, (at, c)) in text.char_indices().enumerate() {
            if count == SHOWN_CHARS_MAX {
                cut = Some(at);
                break;
            }
            if literal::is_unprintable(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
        }
        let mark = if quote { "'" } else { "" };
        write!(f, "{mark}{shown}{mark}")?;
        let len = if let Self::Bytes(bytes) = self { bytes.len() } else { text.len() };
        if cut.is_some() { write!(f, "… ({len} bytes)") } else { Ok(()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn column(kind: ColumnType, collation: u16) -> Column {
        let members = ["x", "it's"].map(|member| member.as_bytes().to_vec()).to_vec();
        Column { name: "c".into(), kind, nullable: true, unsigned: false, collation, members }
    }

    /// Display and literal of the bytes of a value.
    fn shown(kind: ColumnType, collation: u16, bytes: &[u8]) -> (String, String) {
        let column = column(kind, collation);
        let value = Value::decode(&column, Some(bytes)).unwrap();
        (value.to_string(), value.sql_literal(&column))
    }

    #[test]
    fn literals_name_a_character_set_unless_every_session_reads_them_alike() {
        let (utf8mb4, utf8mb3, latin1, utf16) = (255, 33, 8, 54);
        let text = ColumnType::VarChar(100);
        for (collation, bytes, want) in [
            (utf8mb4, "abc-1".as_bytes(), "'abc-1'"),
            (utf8mb4, b"", "''"),
            (utf8mb4, b"it's", "_utf8mb4'it''s'"),
            (utf8mb4, b"a@b", "_utf8mb4'a@b'"),
            (utf8mb4, "ü😀".as_bytes(), "_utf8mb4'ü😀'"),
            (utf8mb3, "ü".as_bytes(), "_utf8mb3'ü'"),
            (utf8mb4, b"a\\", "_utf8mb4 x'615c'"),
            (utf8mb4, b"a\x1b[1m", "_utf8mb4 x'611b5b316d'"),
            (utf8mb4, b"\xff", "x'ff'"),
            (latin1, b"abc", "'abc'"),
            (latin1, b"\xe9", "_latin1 x'e9'"),
            (utf16, b"\0a", "_utf16 x'0061'"),
            (BINARY, b"abc", "x'616263'"),
            (9999, b"abc", "x'616263'"),
        ] {
            assert_eq!(shown(text, collation, bytes).1, want, "{bytes:?} in collation {collation}");
        }
    }

    #[test]
    fn numbers_keep_every_bit_in_their_literals() {
        let float = |value: f32| shown(ColumnType::Float, 0, &value.to_le_bytes());
        assert_eq!(float(0.1), ("0.1".into(), "1.0000000149011612e-1".into()));
        assert_eq!(float(-2.5), ("-2.5".into(), "-2.5e0".into()));
        let double = |value: f64| shown(ColumnType::Double, 0, &value.to_le_bytes());
        assert_eq!(double(0.1), ("0.1".into(), "1e-1".into()));
        assert_eq!(double(1e300), ("1e300".into(), "1e300".into()));
        assert_eq!(shown(ColumnType::Int(3), 0, &[0xff, 0xff, 0xff]).1, "-1");
        assert_eq!(shown(ColumnType::Int(8), 0, &[0, 0, 0, 0, 0, 0, 0, 0x80]).1, "-9223372036854775808");
        assert_eq!(shown(ColumnType::Bit(13), 0, &[0x15, 0x55]), ("b'1010101010101'".into(), "5461".into()));
        assert_eq!(shown(ColumnType::Enum(1), 255, &[2]), ("'it's'".into(), "2".into()));
        assert_eq!(shown(ColumnType::Set(1), 255, &[3]), ("'x,it's'".into(), "3".into()));
        assert_eq!(shown(ColumnType::Year, 0, &[0]), ("0000".into(), "0".into()));
    }

    #[test]
    fn binary_is_padded_as_the_column_is_and_text_is_not() {
        assert_eq!(shown(ColumnType::Char(3), BINARY, b"a").1, "x'610000'");
        assert_eq!(shown(ColumnType::Char(3), 255, b"a").1, "'a'");
    }

    #[test]
    fn people_see_the_start_of_a_long_value_and_no_control_characters() {
        let (shown_text, _) = shown(ColumnType::Blob(4), 255, "ä\n".repeat(1000).as_bytes());
        assert!(
            shown_text.starts_with("'ä\\nä\\n") && shown_text.ends_with("'… (3000 bytes)"),
            "{shown_text}"
        );
        let (shown_bytes, _) = shown(ColumnType::Blob(4), BINARY, &[0xab; 500]);
        assert!(shown_bytes.starts_with("x'abab") && shown_bytes.ends_with("… (500 bytes)"), "{shown_bytes}");
        assert_eq!(Value::decode(&column(ColumnType::Year, 0), None).unwrap().to_string(), "NULL");
    }

    #[test]
    fn bytes_of_another_length_or_range_are_refused() {
        for (kind, bytes) in [
            (ColumnType::Int(4), &[0; 3][..]),
            (ColumnType::Double, &f64::NAN.to_le_bytes()),
            (ColumnType::Date, &[0xff; 3]),
            (ColumnType::Time(0), &[0xff, 0xff, 0xff]),
            (ColumnType::Year, &[]),
            (ColumnType::Json(4), &[99]),
        ] {
            let error = Value::decode(&column(kind, 0), Some(bytes)).unwrap_err();
            assert!(matches!(error, EventError::Malformed { event: "rows", .. }), "{error}");
        }
    }
}
