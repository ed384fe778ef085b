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

/// The bytes of a number as the server prints it; leading zeros (ZEROFILL) are let in. `None` if it is no number or has more
/// digits than the column before or after its point.
pub(super) fn decimal_bytes(text: &[u8], precision: u8, scale: u8) -> Option<Vec<u8>> {
    let (whole_len, scale) = (usize::from(precision.checked_sub(scale)?), usize::from(scale));
    let (negative, number) = match text {
        [b'-', number @ ..] => (true, number),
        number => (false, number),
    };
    let point = number.iter().position(|byte| *byte == b'.').unwrap_or(number.len());
    let (whole, fraction) = (&number[..point], number.get(point + 1..).unwrap_or_default());
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = &whole[whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len())..];
    let mut digits = vec![b'0'; whole_len.checked_sub(whole.len())?];
    digits.extend_from_slice(whole);
    digits.extend_from_slice(fraction);
    digits.resize(digits.len() + scale.checked_sub(fraction.len())?, b'0');

    let mut bytes = Vec::new();
    let (whole, fraction) = digits.split_at(whole_len);
    let (first, groups) = whole.split_at(whole_len % 9);
    for group in [first].into_iter().chain(groups.chunks(9)).chain(fraction.chunks(9)) {
        let value = group.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        bytes.extend_from_slice(&value.to_be_bytes()[4 - DIGIT_BYTES[group.len()]..]);
    }
    // There is one zero only, without a sign.
    if negative && digits.iter().any(|digit| *digit != b'0') {
        bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    }
    *bytes.first_mut()? ^= 0x80;
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_decimal_comes_back_from_its_bytes(
            (precision, scale) in (1u8..=65).prop_flat_map(|p| (Just(p), 0..=p.min(30))),
            digits in "[0-9]{65}",
            zeros in 0usize..66,
            negative: bool,
        ) {
            let digits = format!("{}{}", "0".repeat(zeros.min(65)), &digits[zeros.min(65)..]);
            let (whole, fraction) = digits[65 - usize::from(precision)..].split_at(usize::from(precision - scale));
            let trimmed = whole.trim_start_matches('0');
            let mut text = if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() };
            if scale > 0 {
                text = format!("{text}.{fraction}");
            }
            if negative && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
                text.insert(0, '-');
            }
            let bytes = decimal_bytes(text.as_bytes(), precision, scale).unwrap();
            prop_assert_eq!(decimal_text(&bytes, precision, scale), Some(text));
        }

        #[test]
        fn decimals_sort_as_their_bytes_do(a in -9_999_999_999_999i64.., b in -9_999_999_999_999i64..) {
            let bytes = |value: i64| decimal_bytes((value % 10_000_000_000_000).to_string().as_bytes(), 15, 2).unwrap();
            prop_assert_eq!(
                bytes(a).cmp(&bytes(b)),
                (a % 10_000_000_000_000).cmp(&(b % 10_000_000_000_000))
            );
        }
    }

    #[test]
    fn text_that_is_no_decimal_of_the_column_is_refused() {
        assert_eq!(
            decimal_bytes(b"1234567890.1234", 14, 4),
            Some(vec![0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2])
        );
        assert_eq!(decimal_bytes(b"0005", 2, 0), Some(vec![0x85]), "ZEROFILL");
        assert_eq!(decimal_bytes(b"-0.00", 4, 2), decimal_bytes(b"0.00", 4, 2));
        for text in ["", "-", ".", "1e3", "--1", "1.2.3", "+1", "100.0", "1.234", "\u{661}"] {
            assert_eq!(decimal_bytes(text.as_bytes(), 4, 2), None, "{text}");
        }
        assert_eq!(decimal_bytes(b"0", 1, 2), None);
        assert_eq!(decimal_bytes(b"0", 0, 0), None);
    }

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
