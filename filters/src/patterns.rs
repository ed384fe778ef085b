//! The two lists of patterns of a mesh.

use std::fmt;

use crate::{InvalidPattern, Pattern, SYSTEM_SCHEMAS};

/// The include and exclude patterns of a mesh: which tables are carried.
///
/// Order and repetition in the given lists have no meaning; they are kept sorted, each once, so that equal sets are
/// equal values and render alike in every region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// One of the two lists, by the name of its configuration key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternList {
    /// `include`
    Include,
    /// `exclude`
    Exclude,
}

/// Why two lists make no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternsError {
    /// One entry is no pattern.
    #[error("{list}: {source}")]
    Invalid {
        /// The list with the entry.
        list: PatternList,
        /// What is wrong with the entry.
        source: InvalidPattern,
    },
    /// An include that can never match.
    #[error(
        "include: pattern {pattern} names {schema}, a system schema that is never carried: remove the pattern"
    )]
    SystemSchema {
        /// The pattern.
        pattern: Pattern,
        /// The schema it names.
        schema: &'static str,
    },
    /// An empty include list.
    #[error("include has no pattern, so nothing would be carried: write \"*.*\" for every table")]
    NothingIncluded,
}

impl Patterns {
    /// Parses both lists. An include list without entries is an error, an exclude list without entries is the usual case.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, PatternsError> {
        let include = parse(PatternList::Include, include)?;
        let exclude = parse(PatternList::Exclude, exclude)?;
        if include.is_empty() {
            return Err(PatternsError::NothingIncluded);
        }
        for pattern in &include {
            if let Some(schema) = pattern.names_system_schema() {
                return Err(PatternsError::SystemSchema { pattern: pattern.clone(), schema });
            }
        }
        Ok(Self { include, exclude })
    }

    /// Every table of every schema that is no system schema.
    pub fn everything() -> Self {
        Self { include: vec![Pattern::any()], exclude: Vec::new() }
    }

    /// Whether the table is carried. Names are those of the binlog's table map, compared exactly.
    pub fn carries(&self, schema: &str, table: &str) -> bool {
        !SYSTEM_SCHEMAS.contains(&schema)
            && self.include.iter().any(|pattern| pattern.matches(schema, table))
            && !self.exclude.iter().any(|pattern| pattern.matches(schema, table))
    }

    /// The include patterns, sorted, each once.
    pub fn include(&self) -> &[Pattern] {
        &self.include
    }

    /// The exclude patterns, sorted, each once.
    pub fn exclude(&self) -> &[Pattern] {
        &self.exclude
    }
}

fn parse<S: AsRef<str>>(list: PatternList, texts: &[S]) -> Result<Vec<Pattern>, PatternsError> {
    let mut patterns = texts
        .iter()
        .map(|text| Pattern::new(text.as_ref()).map_err(|source| PatternsError::Invalid { list, source }))
        .collect::<Result<Vec<_>, _>>()?;
    patterns.sort();
    patterns.dedup();
    Ok(patterns)
}

impl fmt::Display for PatternList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternList::Include => "include",
            PatternList::Exclude => "exclude",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_carried_when_included_and_not_excluded() {
        let patterns =
            Patterns::new(&["shop.*", "crm_?.customer*"], &["shop.tmp_*", "*.*_gho", "crm_1.customer_log"])
                .unwrap();
        for (schema, table, carried) in [
            ("shop", "orders", true),
            ("shop", "tmp_import", false),
            ("shop", "_orders_gho", false),
            ("Shop", "orders", false),
            ("shop2", "orders", false),
            ("crm_1", "customers", true),
            ("crm_1", "customer_log", false),
            ("crm_2", "customer_log", true),
            ("crm_12", "customers", false),
        ] {
            assert_eq!(patterns.carries(schema, table), carried, "{schema}.{table}");
        }
    }

    #[test]
    fn system_schemas_are_never_carried() {
        for schema in SYSTEM_SCHEMAS {
            assert!(!Patterns::everything().carries(schema, "any"), "{schema}");
            let error = Patterns::new(&[format!("{schema}.user")], &[]).unwrap_err();
            assert!(error.to_string().contains(schema), "{error}");
        }
        assert!(Patterns::everything().carries("shop", "user"));
        assert!(Patterns::everything().carries("mysql_archive", "user"));
        assert!(Patterns::new(&["*.*"], &["mysql.*"]).is_ok());
    }

    #[test]
    fn equal_sets_are_equal_values_whatever_their_order() {
        let one = Patterns::new(&["b.*", "a.*", "b.*"], &["a.y", "a.x"]).unwrap();
        let other = Patterns::new(&["a.*", "b.*"], &["a.x", "a.y", "a.y"]).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn errors_name_the_list_and_the_pattern() {
        let error = Patterns::new(&["shop.*"], &["orders"]).unwrap_err().to_string();
        assert!(error.starts_with("exclude: ") && error.contains("\"orders\""), "{error}");
        assert_eq!(Patterns::new::<&str>(&[], &[]).unwrap_err(), PatternsError::NothingIncluded);
    }
}
