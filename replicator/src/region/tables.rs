//! What the carried tables are and hold, to compare two regions before they replicate to each other.

use std::collections::BTreeMap;

use applier::Shared;
use applier::definitions::{self, Definition};
use applier::effect::Carries;
use filters::{Filters, Pattern};
use mysql_async::Conn;

use super::checksum;

/// Per table, `schema.table`: a text of its definition, and its checksum.
pub(crate) type Digest = BTreeMap<String, TableDigest>;

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct TableDigest {
    /// Columns and key, as text.
    pub(crate) definition: String,
    /// See [`checksum::of_rows`].
    pub(crate) checksum: Option<u64>,
}

/// Definitions of the carried tables, by (schema, table).
pub(crate) async fn carried(
    conn: &mut Conn,
    shared: &Shared,
    carries: &Carries,
) -> Result<BTreeMap<(String, String), Definition>, String> {
    let weights = shared.weights.read().clone();
    let all =
        definitions::read_all(conn, &weights).await.map_err(|e| format!("definitions of tables: {e}"))?;
    Ok(all.into_iter().filter(|((schema, table), _)| carries(schema, table)).collect())
}

/// Reads every carried table.
pub(crate) async fn digest(conn: &mut Conn, shared: &Shared, carries: &Carries) -> Result<Digest, String> {
    let mut digest = Digest::new();
    for ((schema, table), definition) in carried(conn, shared, carries).await? {
        let failed = |e| format!("checksum of {schema}.{table}: {e}");
        let checksum = checksum::of_rows(conn, &schema, &table).await.map_err(failed)?;
        let mut text = format!("{:?} key {:?}", definition.columns, definition.primary_key);
        // One side's checksum would be of another kind than the other's.
        if checksum::is_multi_valued(conn, &schema, &table).await.map_err(failed)? {
            text.push_str(" with a multi-valued index");
        }
        digest.insert(format!("{schema}.{table}"), TableDigest { definition: text, checksum });
    }
    Ok(digest)
}

/// Without the tables that filters make, by their names here: they are not what another region has.
pub(crate) fn unfiltered_here(mut digest: Digest, filters: &Filters) -> Digest {
    digest.retain(|name, _| {
        let (schema, table) = name.split_once('.').unwrap_or((name, ""));
        filters.making(schema, table).is_none()
    });
    digest
}

/// Without the tables that another region sees through filters.
pub(crate) fn unfiltered_there(mut digest: Digest, patterns: &[String]) -> Digest {
    let patterns: Vec<Pattern> = patterns.iter().filter_map(|pattern| pattern.parse().ok()).collect();
    digest.retain(|name, _| {
        let (schema, table) = name.split_once('.').unwrap_or((name, ""));
        !patterns.iter().any(|pattern| pattern.matches(schema, table))
    });
    digest
}

/// The patterns of tables, by the names that they have elsewhere, that are seen through filters.
pub(crate) fn filtered(filters: &Filters) -> Vec<String> {
    filters.0.iter().flat_map(|filter| filter.tables.iter().map(ToString::to_string)).collect()
}

/// The tables in which two regions differ, and how; empty if they are equal.
pub(crate) fn differences(here: &Digest, there: &Digest) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (here.get(name), there.get(name)) {
            (Some(_), None) => Some(format!("{name} exists only here")),
            (None, Some(_)) => Some(format!("{name} exists only there")),
            (Some(here), Some(there)) if here.definition != there.definition => {
                Some(format!("{name} is defined differently"))
            }
            (Some(here), Some(there)) if here.checksum != there.checksum => {
                Some(format!("{name} holds other rows"))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_named() {
        let table = |definition: &str, checksum| TableDigest { definition: definition.into(), checksum };
        let here: Digest =
            [("s.a", table("x", Some(1))), ("s.b", table("x", Some(1))), ("s.c", table("x", Some(1)))]
                .map(|(name, digest)| (name.to_owned(), digest))
                .into();
        let there: Digest =
            [("s.b", table("y", Some(1))), ("s.c", table("x", Some(2))), ("s.d", table("x", None))]
                .map(|(name, digest)| (name.to_owned(), digest))
                .into();
        assert_eq!(
            differences(&here, &there),
            [
                "s.a exists only here",
                "s.b is defined differently",
                "s.c holds other rows",
                "s.d exists only there"
            ]
        );
        assert!(differences(&here, &here).is_empty());
    }
}
