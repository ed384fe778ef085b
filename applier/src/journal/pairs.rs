//! Pairs in JSON: an object, in the order of the pairs, since that of the columns means something to people.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes pairs as an object.
pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
    pairs: &[(K, V)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// Reads an object as pairs.
pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<Vec<(K, V)>, D::Error>
where
    K: Deserialize<'de>,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Pairs<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
        type Value = Vec<(K, V)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Pairs(PhantomData))
}

/// The same for pairs that may be absent.
pub(super) mod optional {
    use super::super::Columns;
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Present(#[serde(with = "super")] Columns);

    /// Writes an object, or null.
    pub(in super::super) fn serialize<S: Serializer>(
        columns: &Option<Columns>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match columns {
            Some(columns) => super::serialize(columns, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads an object, or null.
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Columns>, D::Error> {
        Ok(Option::<Present>::deserialize(deserializer)?.map(|Present(columns)| columns))
    }
}
