//! Patterns of tables as they stand in the file.

use filters::Pattern;
use serde::Deserialize;

/// A pattern that is judged where it stands, so that a complaint has its line.
#[derive(Debug, Clone)]
pub(super) struct WrittenPattern(pub(super) Pattern);

impl<'de> Deserialize<'de> for WrittenPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}
