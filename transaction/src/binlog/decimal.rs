//! DECIMAL as the binlog has it (`decimal2bin` in the server's `strings/decimal.cc`).

/// Nine digits lie in four bytes; fewer in as many bytes as they need.
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Reads groups of digits; every byte is inverted if the number is negative.
struct Groups<'a> {
    rest: &'a [u8],
    mask: u8,
    text: String,
}

impl Groups<'_> {
    /// Appends a group of `digits` digits (at most 9), with its leading zeros.
    fn push(&mut self, digits: usize) -> Option<()> {
        let (group, rest) = self.rest.split_at_checked(DIGIT_BYTES[digits])?;
        self.rest = rest;
        let value = group.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(byte ^ self.mask));
        if value >= 10u32.pow(digits as u32) {
            return None;
        }
        if digits > 0 {
            self.text.push_str(&format!("{value:0digits$}"));
        }
        Some(())
    }
}

/// The number as the server prints it: no leading zeros, all digits after the point. `None` if `bytes` are no such number.
pub(super) fn decimal_text(bytes: &[u8], precision: u8, scale: u8) -> Option<String> {
    let (whole, scale) = (usize::from(precision.checked_sub(scale)?), usize::from(scale));
    // The highest bit is set for numbers that are not negative, so that bytes sort as numbers do.
    let mut bytes = bytes.to_vec();
    let negative = bytes.first()? & 0x80 == 0;
    bytes[0] ^= 0x80;
    let mut groups = Groups { rest: &bytes, mask: if negative { 0xff } else { 0 }, text: String::new() };
    groups.push(whole % 9)?;
    for _ in 0..whole / 9 {
        groups.push(9)?;
    }
    let point = groups.text.len();
    for _ in 0..scale / 9 {
        groups.push(9)?;
    }
    groups.push(scale % 9)?;
    if !groups.rest.is_empty() {
        return None;
    }
    let (whole, fraction) = groups.text.split_at(point);
    let whole = whole.trim_start_matches('0');
    let sign = if negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_as_the_server_prints_them() {
        // The example of the server's own comment: 1234567890.1234 as DECIMAL(14,4).
        let bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(decimal_text(&bytes, 14, 4).as_deref(), Some("1234567890.1234"));
        let negative: Vec<u8> = bytes.iter().map(|byte| byte ^ 0xff).collect();
        assert_eq!(decimal_text(&negative, 14, 4).as_deref(), Some("-1234567890.1234"));
        assert_eq!(decimal_text(&[0x80, 5], 3, 1).as_deref(), Some("0.5"));
        assert_eq!(decimal_text(&[0x80], 2, 0).as_deref(), Some("0"));
        assert_eq!(decimal_text(&[0x85], 2, 2).as_deref(), Some("0.05"));
    }

    #[test]
    fn bytes_that_are_no_decimal_are_refused() {
        assert_eq!(decimal_text(&[], 2, 0), None);
        assert_eq!(decimal_text(&[0x80, 0], 2, 0), None);
        assert_eq!(decimal_text(&[0xff], 2, 0), None, "127 has three digits");
        assert_eq!(decimal_text(&[0x80], 1, 2), None);
    }
}
