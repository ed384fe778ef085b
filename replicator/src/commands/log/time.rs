//! Points in time as people type them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::failure::Failure;
use crate::config::HumanDuration;

/// Microseconds since 1970 of a UTC time (`2026-01-31T12:00:00Z`, `2026-01-31 12:00`, `2026-01-31`) or of a span before
/// now (`15m`).
pub(crate) fn parse(text: &str) -> Result<u64, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    parse_at(text, u64::try_from(now).unwrap_or(u64::MAX))
}

fn parse_at(text: &str, now_us: u64) -> Result<u64, Failure> {
    if let Ok(span) = text.parse::<HumanDuration>() {
        return Ok(now_us.saturating_sub(span.as_micros()));
    }
    parse_utc(text).ok_or_else(|| {
        Failure::Argument(format!(
            "{text:?} is no time: write it in UTC, such as 2026-01-31T12:00:00Z, or a span such as 15m for that long ago"
        ))
    })
}

fn parse_utc(text: &str) -> Option<u64> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (date, clock) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00"));
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let (hour, minute, second) = match numbers(clock, ':')?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let in_range = (1970..=9999).contains(&year) && (1..=days_in_month).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 59 || fraction.len() > 6 {
        return None;
    }
    let micros: u64 = format!("{fraction:0<6}").parse().ok()?;
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

fn numbers(text: &str, separator: char) -> Option<Vec<u64>> {
    // `parse` alone would take a sign.
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?;
    text.split(separator).map(number).collect()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March here, so that a leap day ends its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use transaction::binlog::utc_text;

    use super::*;

    #[test]
    fn times_are_read_as_they_are_shown() {
        for us in [0, 1, 951_782_400_000_000, 1_709_210_096_000_007, 4_102_444_799_999_999] {
            assert_eq!(parse(&utc_text(us)).unwrap(), us, "{}", utc_text(us));
        }
        assert_eq!(parse("2024-02-29T12:34:56Z").unwrap(), 1_709_210_096_000_000);
        assert_eq!(parse("2024-02-29 12:34").unwrap(), 1_709_210_040_000_000);
        assert_eq!(parse("2024-02-29").unwrap(), 1_709_164_800_000_000);
        assert_eq!(parse("2024-02-29T00:00:00.5Z").unwrap(), 1_709_164_800_500_000);
    }

    #[test]
    fn a_span_is_that_long_ago() {
        assert_eq!(parse_at("1h", 3_600_000_005).unwrap(), 5);
        assert_eq!(parse_at("1d", 5).unwrap(), 0);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "yesterday", "2023-02-29", "2024-13-01", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00+01:00"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
