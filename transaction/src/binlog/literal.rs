//! Pieces of SQL text that mean the same under every `sql_mode` and character set of the session.

use std::fmt::Write;

/// A name in backticks, those in it doubled. Names that are not ASCII need a session with `SET NAMES utf8mb4`.
pub fn sql_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `x'…'`, a binary string.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text.push('\'');
    text
}

/// A text literal in a character set (`None` for an unknown one, then as bytes).
///
/// Bare quotes only around characters that every character set of a client has in the same place; an introducer before
/// all others, since it keeps the server from converting them.
pub(super) fn text(text: &str, charset: Option<&str>) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || " !#$%&()*+,-./:;<=>?_".contains(c);
    match charset {
        None => hex(text.as_bytes()),
        Some(_) if text.chars().all(bare) => format!("'{text}'"),
        Some(charset) => introduced(text, charset),
    }
}

/// A text literal that always names its character set, for where the session's would be kept (JSON).
///
/// A backslash escapes or not by `sql_mode`, so a text with one is given as hexadecimal, and so is one that a terminal
/// would not show as it is.
pub(super) fn introduced(text: &str, charset: &str) -> String {
    if text.contains('\\') || text.contains(is_unprintable) {
        format!("_{charset} {}", hex(text.as_bytes()))
    } else {
        format!("_{charset}'{}'", text.replace('\'', "''"))
    }
}

/// Whether a terminal would act on the character or hide it, so that it must not be printed as it is.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text as it may be printed: what a terminal would act on or hide is written as an escape. Names may hold it as well as values.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A DOUBLE literal: the exponent keeps it from being read as a DECIMAL, and the shortest digits are read back exactly.
///
/// A FLOAT is given as the double that equals it, so that it is found again by `=` too.
pub(super) fn double(value: f64) -> String {
    format!("{value:e}")
}

/// A number as the server prints a DOUBLE (`my_gcvt` in its `strings/dtoa.cc`), from Rust's `{:e}` form of it.
pub(super) fn shortest(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    // Digits before the point, if there were no exponent.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let mut out = sign.to_owned();
    let integral = i32::try_from(digits.len()).is_ok_and(|len| len <= point);
    if point < -14 || point > 15 && integral {
        // Writing to a String cannot fail.
        let _ = write!(out, "{mantissa}e{exponent}");
    } else if point <= 0 {
        let _ = write!(out, "0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    } else if integral {
        let _ = write!(out, "{digits}{}", "0".repeat(point as usize - digits.len()));
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        let _ = write!(out, "{whole}.{fraction}");
    }
    out
}
