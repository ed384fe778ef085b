//! One `schema.table` pattern.

use std::fmt;

use crate::{SYSTEM_SCHEMAS, glob};

/// A pattern for table names: two globs with a dot between them, such as `shop.*` or `shop_?.order*`.
///
/// The first dot divides schema from table; later ones belong to the table. A schema whose name has a dot is
/// reached with `?` in the dot's place. There is no escape: no server lets a name hold nothing but `*` or `?`, and a
/// pattern that matches one name too many can be narrowed by an exclude.
///
/// The order is the byte order of the texts; it serves canonical renderings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    schema: String,
    table: String,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// No dot, so schema and table cannot be told apart.
    #[error(
        "pattern {pattern:?} has no dot: write schema.table, for example \"{pattern}.*\" for a whole schema"
    )]
    NoDot {
        /// The refused text.
        pattern: String,
    },
    /// Nothing before or after the dot.
    #[error("pattern {pattern:?} lacks its {part}: write schema.table, with * for any name")]
    EmptyPart {
        /// The refused text.
        pattern: String,
        /// `schema` or `table`.
        part: &'static str,
    },
    /// A control character, space at an end, or quote: no doubt a slip, and it would never match.
    #[error(
        "pattern {pattern:?} holds {found:?}, which no pattern needs: write the bare name, without quotes and blanks \
         around it"
    )]
    StrayCharacter {
        /// The refused text.
        pattern: String,
        /// The character.
        found: char,
    },
}

impl Pattern {
    /// Parses `schema.table`.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let blank_end =
            text.chars().next().into_iter().chain(text.chars().last()).find(|c| c.is_whitespace());
        let stray = text.chars().find(|c| c.is_control() || matches!(c, '`' | '"' | '\''));
        if let Some(found) = stray.or(blank_end) {
            return Err(InvalidPattern::StrayCharacter { pattern: text.to_owned(), found });
        }
        let Some((schema, table)) = text.split_once('.') else {
            return Err(InvalidPattern::NoDot { pattern: text.to_owned() });
        };
        for (value, part) in [(schema, "schema"), (table, "table")] {
            if value.is_empty() {
                return Err(InvalidPattern::EmptyPart { pattern: text.to_owned(), part });
            }
        }
        Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
    }

    /// `*.*`, every table.
    pub(crate) fn any() -> Self {
        Self { schema: "*".to_owned(), table: "*".to_owned() }
    }

    /// The glob for the schema's name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The glob for the table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether the pattern matches this table; exact as to case.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        glob::matches(&self.schema, schema) && glob::matches(&self.table, table)
    }

    /// The system schema that this pattern names outright, if it does. Such a pattern could never have an effect.
    pub(crate) fn names_system_schema(&self) -> Option<&'static str> {
        SYSTEM_SCHEMAS.into_iter().find(|system| self.schema == *system)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl std::str::FromStr for Pattern {
    type Err = InvalidPattern;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dot_divides_schema_from_table() {
        let pattern = Pattern::new("shop.a.b").unwrap();
        assert_eq!((pattern.schema(), pattern.table()), ("shop", "a.b"));
        assert_eq!(pattern.to_string(), "shop.a.b");
        assert!(pattern.matches("shop", "a.b"));
        assert!(!pattern.matches("shop.a", "b"));
        assert!(Pattern::new("shop?a.b").unwrap().matches("shop.a", "b"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_text_and_a_remedy() {
        for (bad, says) in [
            ("shop", "\"shop\" has no dot"),
            ("", "has no dot"),
            (".orders", "lacks its schema"),
            ("shop.", "lacks its table"),
            ("`shop`.orders", "without quotes"),
            ("shop.orders ", "blanks"),
            ("shop.\u{0}", "\"shop.\\0\""),
        ] {
            let message = Pattern::new(bad).unwrap_err().to_string();
            assert!(message.contains(says), "{bad:?}: {message}");
        }
    }
}
