//! Dates and times as the binlog and JSON documents have them (`mysys/my_time.cc` in the server).

/// Microseconds take the lowest 24 bits of a packed time.
const FRACTION_BITS: u32 = 24;

/// Most digits after the point of a second.
pub(super) const DIGITS_MAX: u8 = 6;

fn big_endian(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.div_ceil(2))
}

/// Microseconds from the bytes after the seconds: hundredths, ten-thousandths or millionths by their number.
fn micros(raw: i64, bytes: usize) -> i64 {
    raw * [1_000_000, 10_000, 100, 1][bytes.min(3)]
}

/// `.ffffff`, as many digits as the column has; nothing for none.
fn fraction_text(micros: i64, digits: u8) -> Option<String> {
    if digits > DIGITS_MAX || !(0..1_000_000).contains(&micros) {
        return None;
    }
    Some(if digits == 0 {
        String::new()
    } else {
        format!(".{}", &format!("{micros:06}")[..usize::from(digits)])
    })
}

/// DATE: three bytes, little-endian: 15 bits of year, 4 of month, 5 of day.
pub(super) fn date_text(bytes: &[u8]) -> Option<String> {
    let &[a, b, c] = bytes else { return None };
    let packed = u32::from_le_bytes([a, b, c, 0]);
    ymd_text((packed >> 9).into(), (packed >> 5 & 15).into(), (packed & 31).into())
}

fn ymd_text(year: i64, month: i64, day: i64) -> Option<String> {
    ((0..=9999).contains(&year) && (0..=12).contains(&month) && (0..=31).contains(&day))
        .then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// DATETIME: five bytes, big-endian, with an offset; then the fraction.
pub(super) fn datetime_text(bytes: &[u8], digits: u8) -> Option<String> {
    let (whole, fraction) = bytes.split_first_chunk::<5>()?;
    if fraction.len() != fraction_bytes(digits) {
        return None;
    }
    let whole = big_endian(whole) - 0x80_0000_0000;
    let micros = micros(big_endian(fraction), fraction.len());
    packed_datetime_text(whole.checked_shl(FRACTION_BITS)?.checked_add(micros)?, digits)
}

/// A packed DATETIME: 17 bits of year and month, 5 of day, 5 of hour, 6 of minute, 6 of second, 24 of microsecond.
pub(super) fn packed_datetime_text(packed: i64, digits: u8) -> Option<String> {
    if packed < 0 {
        return None;
    }
    let (whole, micros) = (packed >> FRACTION_BITS, packed & 0xff_ffff);
    let (ymd, hms) = (whole >> 17, whole & 0x1_ffff);
    let (hour, minute, second) = (hms >> 12, hms >> 6 & 63, hms & 63);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = ymd_text((ymd >> 5) / 13, (ymd >> 5) % 13, ymd & 31)?;
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}{}", fraction_text(micros, digits)?))
}

/// The date of a packed DATETIME whose time is of no interest.
pub(super) fn packed_date_text(packed: i64) -> Option<String> {
    packed_datetime_text(packed, 0).map(|text| text.chars().take(10).collect())
}

/// TIME: three bytes, big-endian, with an offset; then the fraction, which runs backwards in negative times.
pub(super) fn time_text(bytes: &[u8], digits: u8) -> Option<String> {
    let (_, fraction) = bytes.split_first_chunk::<3>()?;
    if digits > DIGITS_MAX || fraction.len() != fraction_bytes(digits) {
        return None;
    }
    // Seconds and fraction are one signed number, offset by half its range.
    let fraction_bits = 8 * fraction.len() as u32;
    let raw = big_endian(bytes) - (0x80_0000 << fraction_bits);
    let magnitude = raw.unsigned_abs() as i64;
    let (whole, rest) = (magnitude >> fraction_bits, magnitude & ((1 << fraction_bits) - 1));
    hms_text(raw < 0, whole, micros(rest, fraction.len()), digits)
}

/// A packed TIME: 10 bits of hour, 6 of minute, 6 of second, 24 of microsecond; negative as a whole.
pub(super) fn packed_time_text(packed: i64, digits: u8) -> Option<String> {
    let magnitude = i64::try_from(packed.unsigned_abs()).ok()?;
    hms_text(packed < 0, magnitude >> FRACTION_BITS, magnitude & 0xff_ffff, digits)
}

fn hms_text(negative: bool, hms: i64, micros: i64, digits: u8) -> Option<String> {
    let (hour, minute, second) = (hms >> 12, hms >> 6 & 63, hms & 63);
    if hour > 838 || minute > 59 || second > 59 {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    Some(format!("{sign}{hour:02}:{minute:02}:{second:02}{}", fraction_text(micros, digits)?))
}

/// TIMESTAMP: four bytes of seconds since 1970, big-endian; then the fraction. As UTC; 0 is the zero date.
pub(super) fn timestamp_text(bytes: &[u8], digits: u8) -> Option<String> {
    let (seconds, fraction) = bytes.split_first_chunk::<4>()?;
    if fraction.len() != fraction_bytes(digits) {
        return None;
    }
    let (seconds, micros) = (big_endian(seconds), micros(big_endian(fraction), fraction.len()));
    let fraction = fraction_text(micros, digits)?;
    if seconds == 0 && micros == 0 {
        return Some(format!("0000-00-00 00:00:00{fraction}"));
    }
    Some(format!("{}{fraction}", seconds_text(seconds)))
}

/// `YYYY-MM-DD HH:MM:SS` of seconds since 1970, UTC, years 1970 to 9999.
fn seconds_text(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// `YYYY-MM-DD HH:MM:SS.ffffff` of microseconds since 1970, UTC, as stamps and commit times are shown to people.
pub fn utc_text(us: u64) -> String {
    format!("{}.{:06}", seconds_text((us / 1_000_000) as i64), us % 1_000_000)
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Count from 1 March of year 0, so that a leap day is the last day of its year; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

// What follows is the way back. Each encoder asks its decoder whether it made the very text that it was given, which is
// what refuses numbers out of range, digits too many and minus zero.

/// Reads the digits of a text and the signs between them.
struct Digits<'a>(&'a str);

impl Digits<'_> {
    /// As many digits as there are, at most six: no more are needed, and shifts of it do not overflow.
    fn number(&mut self) -> Option<i64> {
        let len = self.0.bytes().take(6).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        digits.parse().ok()
    }

    /// Numbers, each but the first with `sign` before it.
    fn numbers<const N: usize>(&mut self, sign: char) -> Option<[i64; N]> {
        let mut numbers = [0; N];
        for (at, number) in numbers.iter_mut().enumerate() {
            if at > 0 {
                self.0 = self.0.strip_prefix(sign)?;
            }
            *number = self.number()?;
        }
        Some(numbers)
    }

    /// A fraction of `digits` digits to the end of the text, in the units and bytes of a column.
    fn fraction(&mut self, digits: u8) -> Option<i64> {
        let text = match digits {
            0 => self.0,
            1..=DIGITS_MAX => self.0.strip_prefix('.')?,
            _ => return None,
        };
        if text.len() != usize::from(digits) {
            return None;
        }
        // A byte holds two digits, so an odd number of them is filled up.
        let filled = format!("{text:0<width$}", width = 2 * fraction_bytes(digits));
        if filled.is_empty() { Some(0) } else { Digits(&filled).number() }
    }
}

/// The last `len` bytes of a number, big-endian.
fn low_bytes(value: i64, len: usize) -> Vec<u8> {
    value.to_be_bytes()[8 - len..].to_vec()
}

/// The bytes that [`date_text`] shows as `text`.
pub(super) fn date_bytes(text: &str) -> Option<Vec<u8>> {
    let [year, month, day] = Digits(text).numbers('-')?;
    let packed = year << 9 | month << 5 | day;
    let bytes = packed.to_le_bytes()[..3].to_vec();
    (date_text(&bytes).as_deref() == Some(text)).then_some(bytes)
}

/// The bytes that [`datetime_text`] shows as `text`.
pub(super) fn datetime_bytes(text: &str, digits: u8) -> Option<Vec<u8>> {
    let (ymd, [hour, minute, second], fraction) = datetime_parts(text, digits)?;
    let [year, month, day] = ymd;
    let whole = (year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second;
    let mut bytes = low_bytes(whole + 0x80_0000_0000, 5);
    bytes.extend(low_bytes(fraction, fraction_bytes(digits)));
    (datetime_text(&bytes, digits).as_deref() == Some(text)).then_some(bytes)
}

/// Date, time and fraction of `YYYY-MM-DD HH:MM:SS[.ffffff]`.
fn datetime_parts(text: &str, digits: u8) -> Option<([i64; 3], [i64; 3], i64)> {
    let mut rest = Digits(text);
    let ymd = rest.numbers('-')?;
    rest.0 = rest.0.strip_prefix(' ')?;
    Some((ymd, rest.numbers(':')?, rest.fraction(digits)?))
}

/// The bytes that [`time_text`] shows as `text`.
pub(super) fn time_bytes(text: &str, digits: u8) -> Option<Vec<u8>> {
    let (sign, magnitude) = text.strip_prefix('-').map_or((1, text), |magnitude| (-1, magnitude));
    let mut rest = Digits(magnitude);
    let [hour, minute, second] = rest.numbers(':')?;
    let fraction = rest.fraction(digits)?;
    let fraction_bits = 8 * fraction_bytes(digits);
    let raw = sign * ((hour << 12 | minute << 6 | second) << fraction_bits | fraction);
    let bytes = low_bytes(raw + (0x80_0000 << fraction_bits), 3 + fraction_bytes(digits));
    (time_text(&bytes, digits).as_deref() == Some(text)).then_some(bytes)
}

/// The bytes that [`timestamp_text`] shows as `text`, which is UTC.
pub(super) fn timestamp_bytes(text: &str, digits: u8) -> Option<Vec<u8>> {
    let (ymd, [hour, minute, second], fraction) = datetime_parts(text, digits)?;
    let seconds = if ymd == [0; 3] { 0 } else { days(ymd) * 86_400 + hour * 3600 + minute * 60 + second };
    let mut bytes = low_bytes(seconds, 4);
    bytes.extend(low_bytes(fraction, fraction_bytes(digits)));
    (timestamp_text(&bytes, digits).as_deref() == Some(text)).then_some(bytes)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar: what [`civil`] takes apart.
fn days([year, month, day]: [i64; 3]) -> i64 {
    // As there, the year begins in March.
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_date_and_time_comes_back_from_its_text(
            (year, month, day) in (0i64..=9999, 0i64..=12, 0i64..=31),
            (hour, minute, second) in (0i64..=23, 0i64..=59, 0i64..=59),
            micros in 0i64..1_000_000,
            digits in 0u8..=6,
        ) {
            let date = format!("{year:04}-{month:02}-{day:02}");
            prop_assert_eq!(date_text(&date_bytes(&date).unwrap()), Some(date.clone()));
            let fraction = fraction_text(micros, digits).unwrap();
            let text = format!("{date} {hour:02}:{minute:02}:{second:02}{fraction}");
            prop_assert_eq!(datetime_text(&datetime_bytes(&text, digits).unwrap(), digits), Some(text));
        }

        #[test]
        fn every_time_comes_back_from_its_text(
            negative: bool, hour in 0i64..=838, minute in 0i64..=59, second in 0i64..=59, micros in 0i64..1_000_000,
            digits in 0u8..=6,
        ) {
            let fraction = fraction_text(micros, digits).unwrap();
            let text = format!("{hour:02}:{minute:02}:{second:02}{fraction}");
            let text = if negative { format!("-{text}") } else { text };
            let bytes = time_bytes(&text, digits);
            if text.starts_with('-') && !text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
                prop_assert_eq!(bytes, None);
            } else {
                prop_assert_eq!(time_text(&bytes.unwrap(), digits), Some(text));
            }
        }

        #[test]
        fn every_timestamp_comes_back_from_its_text(seconds in 1u32.., micros in 0i64..1_000_000, digits in 0u8..=6) {
            let mut bytes = seconds.to_be_bytes().to_vec();
            let unit = [1_000_000, 10_000, 100, 1][fraction_bytes(digits)];
            let shown = 10i64.pow(6 - u32::from(digits));
            bytes.extend(low_bytes(micros / shown * shown / unit, fraction_bytes(digits)));
            let text = timestamp_text(&bytes, digits).unwrap();
            prop_assert_eq!(timestamp_bytes(&text, digits), Some(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9:. é]{0,40}", digits: u8) {
            let _ = (date_bytes(&text), time_bytes(&text, digits), datetime_bytes(&text, digits));
            let _ = timestamp_bytes(&text, digits);
        }
    }

    #[test]
    fn texts_out_of_range_or_of_another_form_are_refused() {
        for text in
            ["2024-13-01", "2024-1-01", "10000-01-01", "2024-01-32", "2024-01-01 00:00:00", "", "2024-01"]
        {
            assert_eq!(date_bytes(text), None, "{text}");
        }
        for (text, digits) in [
            ("2024-01-01 24:00:00", 0),
            ("2024-01-01 23:60:00", 0),
            ("2024-01-01 23:00:00.5", 0),
            ("2024-01-01 23:00:00", 1),
            ("2024-01-01 23:00:00.5", 2),
            ("2024-01-01 23:00:00.5x", 2),
            ("2024-01-01", 0),
            ("2024-01-01 00:00:00.0000000", 7),
        ] {
            assert_eq!(datetime_bytes(text, digits), None, "{text}");
            assert_eq!(timestamp_bytes(text, digits), None, "{text}");
        }
        for (text, digits) in [
            ("839:00:00", 0),
            ("00:60:00", 0),
            ("-00:00:00.0", 1),
            ("1:00:00", 0),
            ("999999:99:99.999999", 6),
            ("-9999999:00:00", 0),
            ("--01:00:00", 0),
        ] {
            assert_eq!(time_bytes(text, digits), None, "{text}");
        }
        // Beyond four bytes of seconds, and what would be read as the zero date.
        for text in
            ["1969-12-31 23:59:59", "2106-02-07 06:28:16", "1970-01-01 00:00:00", "2023-02-29 00:00:00"]
        {
            assert_eq!(timestamp_bytes(text, 0), None, "{text}");
        }
        assert_eq!(timestamp_bytes("0000-00-00 00:00:00.0", 1), Some(vec![0; 5]));
        assert_eq!(timestamp_bytes("0000-00-00 00:00:00.1", 1), None);
    }

    #[test]
    fn days_since_1970_become_the_right_dates() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (24_855, (2038, 1, 19)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), want, "day {days}");
        }
        assert_eq!(utc_text(1_709_210_096_000_007), "2024-02-29 12:34:56.000007");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        // A table map has a byte for the number of digits.
        for len in (0..9).chain([3 + 128, 5 + 128]) {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let bytes = vec![byte; len];
                for digits in (0..=8).chain([16, 255]) {
                    let _ = (
                        datetime_text(&bytes, digits),
                        time_text(&bytes, digits),
                        timestamp_text(&bytes, digits),
                    );
                }
                let _ = date_text(&bytes);
            }
        }
        for packed in [i64::MIN, -1, 0, 1, i64::MAX] {
            let _ = (packed_datetime_text(packed, 6), packed_time_text(packed, 6), packed_date_text(packed));
        }
    }
}
