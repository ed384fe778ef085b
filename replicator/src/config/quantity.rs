//! Quantities as people write them: `"5s"`, `"3d"`, `"64MiB"`.

use std::fmt;
use std::time::Duration;

/// A span of time: a whole number and one of `us`, `ms`, `s`, `m`, `h`, `d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HumanDuration(pub(crate) Duration);

/// A number of bytes: a whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`. Multiples of 1024 only; `KB` and its
/// kin are refused, since people disagree on what they mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {reason}; write a whole number and one of {units}, for example {example:?}")]
pub(crate) struct InvalidQuantity {
    text: String,
    what: &'static str,
    reason: &'static str,
    units: String,
    example: &'static str,
}

const MICROSECONDS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60 * 1_000_000),
    ("h", 3600 * 1_000_000),
    ("d", 24 * 3600 * 1_000_000),
];

const BYTES: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Splits number from unit and multiplies.
fn scaled(
    text: &str,
    what: &'static str,
    units: &[(&'static str, u64)],
    example: &'static str,
) -> Result<u64, InvalidQuantity> {
    let refuse = |reason| InvalidQuantity {
        text: text.to_owned(),
        what,
        reason,
        units: units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", "),
        example,
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(refuse("it does not begin with a number"));
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(refuse("it has no unit"));
    }
    let (_, factor) =
        units.iter().find(|(name, _)| *name == unit).ok_or_else(|| refuse("the unit is unknown"))?;
    let number: u64 = number.parse().map_err(|_| refuse("the number is too large"))?;
    number.checked_mul(*factor).ok_or_else(|| refuse("the number is too large"))
}

/// The largest unit that divides the value.
fn written(value: u64, units: &[(&'static str, u64)]) -> String {
    let (unit, factor) =
        units.iter().rev().find(|(_, factor)| value.is_multiple_of(*factor)).unwrap_or(&units[0]);
    let (unit, factor) = if value == 0 { units[0] } else { (*unit, *factor) };
    format!("{}{unit}", value / factor)
}

impl HumanDuration {
    /// So many seconds.
    pub(crate) const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// In microseconds, the unit of HLCs; the parser takes nothing that would not fit.
    pub(crate) fn as_micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

impl std::str::FromStr for HumanDuration {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        scaled(text, "span of time", &MICROSECONDS, "5s").map(|us| Self(Duration::from_micros(us)))
    }
}

impl std::str::FromStr for ByteSize {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        scaled(text, "size", &BYTES, "64MiB").map(Self)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&written(self.as_micros(), &MICROSECONDS))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&written(self.0, &BYTES))
    }
}

impl fmt::Debug for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> serde::Deserialize<'de> for HumanDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> serde::Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers_with_a_unit() {
        for (text, us) in
            [("0s", 0), ("250us", 250), ("5s", 5_000_000), ("2m", 120_000_000), ("3d", 259_200_000_000)]
        {
            assert_eq!(text.parse::<HumanDuration>().unwrap().as_micros(), us, "{text}");
        }
        for (text, bytes) in [("1B", 1), ("64MiB", 64 << 20), ("20 GiB", 20 << 30), ("1TiB", 1 << 40)] {
            assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
        }
    }

    #[test]
    fn what_is_ambiguous_or_too_large_is_refused_with_the_units() {
        for (text, reason) in [
            ("", "begin with a number"),
            ("s", "begin with a number"),
            ("-5s", "begin with a number"),
            ("5", "no unit"),
            ("1.5s", "unknown"),
            ("5 weeks", "unknown"),
            ("99999999999999999999s", "too large"),
            ("999999999999999d", "too large"),
        ] {
            let message = text.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(
                message.contains(reason) && message.contains("us, ms, s, m, h, d"),
                "{text:?}: {message}"
            );
        }
        assert!("64MB".parse::<ByteSize>().unwrap_err().to_string().contains("KiB, MiB"));
    }

    #[test]
    fn what_is_written_parses_to_the_same_value() {
        for us in [0, 1, 999, 1000, 60_000_000, 61_000_000, 86_400_000_000] {
            let value = HumanDuration(Duration::from_micros(us));
            assert_eq!(value.to_string().parse::<HumanDuration>().unwrap(), value);
        }
        for bytes in [0, 1, 1023, 1 << 10, 3 << 20, (1 << 30) + 1] {
            assert_eq!(ByteSize(bytes).to_string().parse::<ByteSize>().unwrap(), ByteSize(bytes));
        }
    }
}
