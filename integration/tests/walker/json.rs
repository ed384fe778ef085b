//! JSON documents as text: `mysql_common`'s written out, and two texts compared.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mysql_common::binlog::jsonb::{
    ComplexValue, JsonDom, JsonNumber, JsonScalar, Object, StorageFormat, Value,
};
use std::fmt::Write;

/// How many letters of base64 the server writes in a line.
const BASE64_LINE_LEN: usize = 76;

/// The document as the server shows it, but that doubles are written in Rust's way.
pub(crate) fn text(value: &Value<'_>) -> Result<String, String> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value<'_>, out: &mut String) -> Result<(), String> {
    match value {
        Value::SmallArray(array) => write_array(array.iter(), out),
        Value::LargeArray(array) => write_array(array.iter(), out),
        Value::SmallObject(object) => write_object(object, out),
        Value::LargeObject(object) => write_object(object, out),
        Value::String(text) => {
            quoted(std::str::from_utf8(text.str_raw()).map_err(|error| error.to_string())?, out);
            Ok(())
        }
        Value::Opaque(opaque) => write_opaque(value, opaque.value_type() as u8, opaque.data_raw(), out),
        scalar => {
            match scalar.clone().parse().map_err(|error| error.to_string())? {
                JsonDom::Scalar(JsonScalar::Null) => out.push_str("null"),
                JsonDom::Scalar(JsonScalar::Boolean(value)) => out.push_str(&value.to_string()),
                JsonDom::Scalar(JsonScalar::Number(JsonNumber::Int(value))) => {
                    out.push_str(&value.to_string());
                }
                JsonDom::Scalar(JsonScalar::Number(JsonNumber::Uint(value))) => {
                    out.push_str(&value.to_string());
                }
                JsonDom::Scalar(JsonScalar::Number(JsonNumber::Double(value))) => {
                    let _ = write!(out, "{value:?}");
                }
                other => return Err(format!("a scalar is {other:?}")),
            }
            Ok(())
        }
    }
}

fn write_array<'a>(
    members: impl Iterator<Item = std::io::Result<Value<'a>>>,
    out: &mut String,
) -> Result<(), String> {
    out.push('[');
    for (at, member) in members.enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write(&member.map_err(|error| error.to_string())?, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_object<T: StorageFormat>(
    object: &ComplexValue<'_, T, Object>,
    out: &mut String,
) -> Result<(), String> {
    out.push('{');
    for (at, member) in object.iter().enumerate() {
        let (key, member) = member.map_err(|error| error.to_string())?;
        if at > 0 {
            out.push_str(", ");
        }
        quoted(&key.value(), out);
        out.push_str(": ");
        write(&member, out)?;
    }
    out.push('}');
    Ok(())
}

/// DECIMALs and times are printed; of the others the server shows type and bytes.
fn write_opaque(value: &Value<'_>, kind: u8, data: &[u8], out: &mut String) -> Result<(), String> {
    match value.clone().parse().map_err(|error| error.to_string())? {
        JsonDom::Scalar(JsonScalar::Number(JsonNumber::Decimal(decimal))) => {
            out.push_str(&decimal.to_string());
        }
        JsonDom::Scalar(JsonScalar::DateTime(time)) => {
            let _ = write!(out, "\"{time:.6}\"");
        }
        _ => {
            let _ = write!(out, "\"base64:type{kind}:");
            // The server breaks the line after so many letters, and shows the break as JSON does.
            for (at, letter) in STANDARD.encode(data).chars().enumerate() {
                if at > 0 && at % BASE64_LINE_LEN == 0 {
                    out.push_str("\\n");
                }
                out.push(letter);
            }
            out.push('"');
        }
    }
    Ok(())
}

/// A string as the server quotes it.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            low if u32::from(low) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(low));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Whether two documents' texts are the same but for how a double is written: its digits must give the same bits.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (Tokens(left), Tokens(right));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(left), Some(right)) if left == right => {}
            (Some(left), Some(right)) => {
                let double = |text: &str| {
                    let marked = text.contains(['.', 'e', 'E']);
                    text.parse::<f64>().ok().filter(|_| marked).map(f64::to_bits)
                };
                if double(left).is_none() || double(left) != double(right) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Strings, numbers (and words), and signs.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = match bytes.first()? {
            b'"' => {
                let mut at = 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                (at + 1).min(bytes.len())
            }
            byte if word(byte) => bytes.iter().take_while(|byte| word(byte)).count(),
            _ => 1,
        };
        let (token, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(token)
    }
}
