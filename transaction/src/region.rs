//! The name of a region.

use std::fmt;

/// Longest region name, in bytes: the length limit of a GTID tag, which a region name doubles as.
pub const NAME_MAX: usize = 32;

/// The name of a region: `[a-z_][a-z0-9_]{0,31}`, since it serves as the tag of applied work's GTIDs.
///
/// Stored inline, so it is `Copy`; the order is the byte order of the names and is part of the fold order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionName([u8; NAME_MAX]);

/// Why a text is no region name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "region name {name:?} is not valid: use 1 to 32 of the characters a-z, 0-9 and _, not starting with a digit \
     (it doubles as a GTID tag; write eu_west_1 for eu-west-1)"
)]
pub struct InvalidRegionName {
    /// The refused text.
    pub name: String,
}

impl RegionName {
    /// Parses a name.
    pub fn new(name: &str) -> Result<Self, InvalidRegionName> {
        let bytes = name.as_bytes();
        let valid = !bytes.is_empty()
            && bytes.len() <= NAME_MAX
            && !bytes[0].is_ascii_digit()
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
        if !valid {
            return Err(InvalidRegionName { name: name.to_owned() });
        }
        let mut inline = [0; NAME_MAX];
        inline[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(inline))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|b| *b == 0).unwrap_or(NAME_MAX);
        std::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for RegionName {
    type Err = InvalidRegionName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl serde::Serialize for RegionName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for RegionName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_of_gtid_tags() {
        for good in ["eu", "_a", "us_east_1", "a2345678901234567890123456789012"] {
            assert_eq!(RegionName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "eu-west-1", "1eu", "EU", "é", "a23456789012345678901234567890123"] {
            assert!(RegionName::new(bad).is_err(), "{bad}");
        }
    }
}
