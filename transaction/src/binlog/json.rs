//! JSON documents as the server stores them (`sql-common/json_binary.h` describes the format).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::decimal::decimal_text;
use super::input::Input;
use super::{literal, temporal};

mod diff;
mod document;
mod path;

pub(super) use diff::apply;
#[cfg(test)]
pub(super) use document::without_gaps;

/// Deepest nesting; the server's own limit.
const DEPTH_MAX: usize = 100;

const SMALL_OBJECT: u8 = 0;
const LARGE_OBJECT: u8 = 1;
const SMALL_ARRAY: u8 = 2;
const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;

/// A JSON document.
#[derive(Debug, Clone, PartialEq)]
pub struct Json {
    text: String,
    /// Set if the text, read again, would become a document of other types.
    expression: Option<String>,
}

impl Json {
    /// The document as the server shows it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An SQL expression for exactly this document.
    ///
    /// JSON text has fewer types than the stored form: a DECIMAL, a date or an unsigned integer in a document would come
    /// back as a double, a string or a signed integer. Where there is such a one, the expression builds the document
    /// with `JSON_OBJECT` and `JSON_ARRAY`. The one thing it does not keep is which of the binary types an opaque
    /// binary value came from.
    pub fn sql_literal(&self) -> String {
        match &self.expression {
            Some(expression) => expression.clone(),
            None => as_json(&literal::introduced(&self.text, "utf8mb4")),
        }
    }
}

fn as_json(expression: &str) -> String {
    format!("CAST({expression} AS JSON)")
}

/// Reads a document; `None` if the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Option<Json> {
    // The server keeps no bytes at all where a statement in non-strict mode left a NOT NULL column without a value.
    let Some((kind, value)) = bytes.split_first() else {
        return Some(Json { text: "null".to_owned(), expression: None });
    };
    let mut text = Writer::new(Form::Text, bytes.len());
    text.value(*kind, value, 0)?;
    let mut expression = None;
    if !text.text_is_exact {
        let mut sql = Writer::new(Form::Sql, bytes.len());
        sql.value(*kind, value, 0)?;
        expression = Some(if *kind > LARGE_ARRAY { as_json(&sql.out) } else { sql.out });
    }
    Some(Json { text: text.out, expression })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Sql,
}

struct Writer {
    form: Form,
    out: String,
    text_is_exact: bool,
    /// What may still be told of the document's bytes: offsets could lead back to the same bytes again and again, which
    /// would make the text of a malformed document grow without bound.
    elements_left: usize,
    string_bytes_left: usize,
}

fn uint(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    Some(bytes.get(at..at.checked_add(len)?)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Whether a value stands in its entry where numbers are of `width` bytes, and not behind an offset.
fn is_inline(kind: u8, width: usize) -> bool {
    matches!(kind, LITERAL | INT16 | UINT16) || width == 4 && matches!(kind, INT32 | UINT32)
}

/// A length of seven bits a byte, lowest first, and the bytes it is for.
fn prefixed(bytes: &[u8]) -> Option<&[u8]> {
    let mut len = 0u64;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        len |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return bytes.get(place + 1..)?.get(..usize::try_from(len).ok()?);
        }
    }
    None
}

impl Writer {
    fn new(form: Form, document_len: usize) -> Self {
        Self {
            form,
            out: String::new(),
            text_is_exact: true,
            elements_left: document_len,
            string_bytes_left: document_len,
        }
    }

    /// Writes the value of type `kind` at the start of `bytes`.
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Option<()> {
        self.elements_left = self.elements_left.checked_sub(1)?;
        let int = |len: usize| {
            Some(((uint(bytes, 0, len)? << (64 - 8 * len)) as i64 >> (64 - 8 * len)).to_string())
        };
        match kind {
            SMALL_OBJECT => self.container(bytes, true, 2, depth)?,
            LARGE_OBJECT => self.container(bytes, true, 4, depth)?,
            SMALL_ARRAY => self.container(bytes, false, 2, depth)?,
            LARGE_ARRAY => self.container(bytes, false, 4, depth)?,
            LITERAL => self.out.push_str(match bytes.first()? {
                0 => "null",
                1 => "true",
                2 => "false",
                _ => return None,
            }),
            INT16 => self.out.push_str(&int(2)?),
            INT32 => self.out.push_str(&int(4)?),
            INT64 => self.out.push_str(&int(8)?),
            UINT16 => self.unsigned(uint(bytes, 0, 2)?),
            UINT32 => self.unsigned(uint(bytes, 0, 4)?),
            UINT64 => self.unsigned(uint(bytes, 0, 8)?),
            DOUBLE => self.double(f64::from_bits(uint(bytes, 0, 8)?))?,
            STRING => self.string(prefixed(bytes)?)?,
            OPAQUE => self.opaque(*bytes.first()?, prefixed(bytes.get(1..)?)?)?,
            _ => return None,
        }
        Some(())
    }

    /// An object or array: count, size, key entries (offset, length of 2), value entries (type, value or offset), keys,
    /// values; offsets count from `bytes`, numbers are of `width` bytes.
    fn container(&mut self, bytes: &[u8], object: bool, width: usize, depth: usize) -> Option<()> {
        if depth >= DEPTH_MAX {
            return None;
        }
        let count = usize::try_from(uint(bytes, 0, width)?).ok()?;
        let size = usize::try_from(uint(bytes, width, width)?).ok()?;
        let bytes = bytes.get(..size)?;
        let (key_entry, value_entry) = (if object { width + 2 } else { 0 }, 1 + width);
        let keys = 2 * width;
        let values = keys.checked_add(count.checked_mul(key_entry)?)?;
        if values.checked_add(count.checked_mul(value_entry)?)? > size {
            return None;
        }
        self.out.push_str(match (self.form, object) {
            (Form::Text, true) => "{",
            (Form::Text, false) => "[",
            (Form::Sql, true) => "JSON_OBJECT(",
            (Form::Sql, false) => "JSON_ARRAY(",
        });
        for place in 0..count {
            if place > 0 {
                self.out.push_str(", ");
            }
            if object {
                let entry = keys + place * key_entry;
                let (at, len) =
                    (uint(bytes, entry, width)? as usize, uint(bytes, entry + width, 2)? as usize);
                self.string(bytes.get(at..at.checked_add(len)?)?)?;
                self.out.push_str(if self.form == Form::Text { ": " } else { ", " });
            }
            let entry = values + place * value_entry;
            let kind = *bytes.get(entry)?;
            let value = if is_inline(kind, width) {
                bytes.get(entry + 1..entry + 1 + width)?
            } else {
                bytes.get(uint(bytes, entry + 1, width)? as usize..)?
            };
            self.value(kind, value, depth + 1)?;
        }
        self.out.push_str(match (self.form, object) {
            (Form::Text, true) => "}",
            (Form::Text, false) => "]",
            (Form::Sql, _) => ")",
        });
        Some(())
    }

    fn unsigned(&mut self, value: u64) {
        // From text, only what is beyond the signed range becomes unsigned again.
        self.text_is_exact &= i64::try_from(value).is_err();
        self.out.push_str(&match self.form {
            Form::Text => value.to_string(),
            Form::Sql => format!("CAST({value} AS UNSIGNED)"),
        });
    }

    fn double(&mut self, value: f64) -> Option<()> {
        if !value.is_finite() {
            return None;
        }
        if self.form == Form::Sql {
            self.out.push_str(&literal::double(value));
            return Some(());
        }
        let text = literal::shortest(&format!("{value:e}"));
        self.out.push_str(&text);
        if !text.contains(['.', 'e']) {
            self.out.push_str(".0");
        }
        Some(())
    }

    fn string(&mut self, bytes: &[u8]) -> Option<()> {
        self.string_bytes_left = self.string_bytes_left.checked_sub(bytes.len())?;
        let text = std::str::from_utf8(bytes).ok()?;
        match self.form {
            Form::Text => self.quoted(text),
            Form::Sql => self.out.push_str(&literal::introduced(text, "utf8mb4")),
        }
        Some(())
    }

    /// A string in double quotes, escaped as the server does.
    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\0'..='\u{1f}' => self.out.push_str(&format!("\\u{:04x}", u32::from(c))),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    /// Bytes of an SQL type that JSON does not have, in lines of 76 characters as the server shows them.
    fn base64(&mut self, kind: u8, bytes: &[u8]) {
        let mut text = format!("base64:type{kind}:");
        for (place, line) in bytes.chunks(57).enumerate() {
            if place > 0 {
                text.push('\n');
            }
            BASE64.encode_string(line, &mut text);
        }
        self.quoted(&text);
    }

    /// A value of an SQL type that JSON does not have, by its type byte (`enum_field_types`).
    fn opaque(&mut self, kind: u8, bytes: &[u8]) -> Option<()> {
        self.string_bytes_left = self.string_bytes_left.checked_sub(bytes.len())?;
        self.text_is_exact = false;
        let packed = || Some(i64::from_le_bytes(bytes.try_into().ok()?));
        let (text, sql) = match kind {
            246 => {
                let mut input = Input::new(bytes, "rows");
                let (precision, scale) = (input.byte().ok()?, input.byte().ok()?);
                self.out.push_str(&decimal_text(input.rest, precision, scale)?);
                return Some(());
            }
            10 => (temporal::packed_date_text(packed()?)?, "DATE"),
            11 => (temporal::packed_time_text(packed()?, 6)?, "TIME(6)"),
            7 | 12 => (temporal::packed_datetime_text(packed()?, 6)?, "DATETIME(6)"),
            _ => {
                match self.form {
                    Form::Text => self.base64(kind, bytes),
                    Form::Sql => self.out.push_str(&literal::hex(bytes)),
                }
                return Some(());
            }
        };
        self.out.push_str(&match self.form {
            Form::Text => format!("\"{text}\""),
            Form::Sql => format!("CAST('{text}' AS {sql})"),
        });
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A document around `value`: an object or array of one element, of small or large layout.
    fn within(kind: u8, value_kind: u8, value: &[u8]) -> Vec<u8> {
        let width = if matches!(kind, LARGE_OBJECT | LARGE_ARRAY) { 4 } else { 2 };
        let object = kind <= LARGE_OBJECT;
        let number = |number: usize, len: usize| number.to_le_bytes()[..len].to_vec();
        let header = 2 * width + if object { width + 2 } else { 0 } + 1 + width;
        let key: &[u8] = if object { b"k" } else { b"" };
        let mut body = [number(1, width), number(header + key.len() + value.len(), width)].concat();
        if object {
            body.extend([number(header, width), number(1, 2)].concat());
        }
        body.push(value_kind);
        body.extend(number(header + key.len(), width));
        body.extend([key, value].concat());
        [&[kind], &body[..]].concat()
    }

    fn text(bytes: &[u8]) -> Option<String> {
        decode(bytes).map(|json| json.text().to_owned())
    }

    #[test]
    fn small_and_large_layouts_read_the_same() {
        for (kind, want) in [(SMALL_OBJECT, r#"{"k": "v"}"#), (SMALL_ARRAY, r#"["v"]"#)] {
            assert_eq!(text(&within(kind, STRING, b"\x01v")).as_deref(), Some(want));
            assert_eq!(text(&within(kind + 1, STRING, b"\x01v")).as_deref(), Some(want));
        }
        // In the large layout an integer of four bytes stands in place of its offset.
        let inline =
            [&[LARGE_ARRAY, 1, 0, 0, 0, 13, 0, 0, 0, INT32][..], &(-70_000i32).to_le_bytes()].concat();
        assert_eq!(text(&inline).as_deref(), Some("[-70000]"));
    }

    #[test]
    fn nesting_beyond_the_servers_limit_is_refused() {
        let nested = |depth: usize| {
            (1..depth)
                .fold(vec![SMALL_ARRAY, 0, 0, 4, 0], |inner, _| within(SMALL_ARRAY, inner[0], &inner[1..]))
        };
        assert_eq!(text(&nested(100)).unwrap(), format!("{}{}", "[".repeat(100), "]".repeat(100)));
        assert_eq!(text(&nested(101)), None);
    }

    #[test]
    fn a_document_that_repeats_itself_is_refused() {
        // An array of two elements which are both the next array, twenty times: a million elements in 200 bytes.
        let mut document = vec![SMALL_ARRAY, 0, 0, 4, 0];
        for _ in 0..20 {
            let size = (document.len() - 1 + 10) as u8;
            let mut outer = vec![SMALL_ARRAY, 2, 0, size, 0];
            outer.extend([SMALL_ARRAY, 10, 0, SMALL_ARRAY, 10, 0]);
            outer.extend(&document[1..]);
            document = outer;
        }
        assert_eq!(text(&document), None);
    }

    #[test]
    fn a_document_is_rebuilt_where_its_text_would_change_its_types() {
        let sql = |bytes: &[u8]| decode(bytes).unwrap().sql_literal();
        assert_eq!(sql(&within(SMALL_OBJECT, STRING, b"\x01v")), r#"CAST(_utf8mb4'{"k": "v"}' AS JSON)"#);
        assert_eq!(sql(&[UINT16, 5, 0]), "CAST(CAST(5 AS UNSIGNED) AS JSON)");
        assert_eq!(
            sql(&[UINT64; 9]),
            format!("CAST(CAST({} AS UNSIGNED) AS JSON)", u64::from_le_bytes([10; 8]))
        );
        assert_eq!(
            sql(&[UINT64, 255, 255, 255, 255, 255, 255, 255, 255]),
            "CAST(_utf8mb4'18446744073709551615' AS JSON)"
        );
        // 1.5 as DECIMAL(2,1).
        let decimal = within(SMALL_OBJECT, OPAQUE, &[246, 4, 2, 1, 0x81, 5]);
        assert_eq!(text(&decimal).as_deref(), Some(r#"{"k": 1.5}"#));
        assert_eq!(sql(&decimal), "JSON_OBJECT(_utf8mb4'k', 1.5)");
    }

    #[test]
    fn no_bytes_at_all_are_the_null_that_the_server_takes_them_for() {
        assert_eq!(text(&[]).as_deref(), Some("null"));
    }
}
