//! `mesh.ddl` and `[[mesh.ddl_policy]]`: what to do with DDL of which objects.

use std::fmt::Write;

use applier::ddl::DdlPolicy;
use filters::Pattern;
use serde::Deserialize;

use super::error::Flaw;

/// The policies of the mesh in the order of the file. The first one with a pattern that matches decides; `mesh.ddl` does
/// for what none matches.
#[derive(Debug, Clone)]
pub(crate) struct DdlRules {
    rules: Vec<(Vec<Pattern>, DdlPolicy)>,
    /// Default `halt`, since a change of schema that arrives unasked surprises.
    otherwise: DdlPolicy,
}

/// The values of key `ddl`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WrittenDdl {
    #[default]
    Halt,
    Ignore,
    Replicate,
}

/// `[[mesh.ddl_policy]]` as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDdlRule {
    objects: Vec<String>,
    ddl: WrittenDdl,
}

impl DdlRules {
    /// Judges what was written.
    pub(super) fn new(otherwise: WrittenDdl, written: Vec<WrittenDdlRule>) -> Result<Self, Flaw> {
        let mut rules = Vec::new();
        for (rule, number) in written.into_iter().zip(1..) {
            let number: String = i32::to_string(&number);
            let key = ["mesh", "ddl_policy", number.as_str(), "objects"];
            let mut patterns = Vec::new();
            for pattern in &rule.objects {
                let pattern: Pattern = pattern.parse().map_err(|error: filters::InvalidPattern| {
                    Flaw::new(&key, error.to_string(), "correct it in every region's file".to_owned())
                })?;
                patterns.push(pattern);
            }
            if patterns.is_empty() {
                return Err(Flaw::new(
                    &key,
                    "without a pattern it is for nothing".to_owned(),
                    "name objects, such as \"shop.tmp_*\", or remove it".to_owned(),
                ));
            }
            rules.push((patterns, rule.ddl.into()));
        }
        Ok(Self { rules, otherwise: otherwise.into() })
    }

    /// What to do with DDL of an object; `*` is the name of a whole schema.
    pub(crate) fn of(&self, schema: &str, name: &str) -> DdlPolicy {
        let mut rules = self.rules.iter();
        let found = rules.find(|(patterns, _)| patterns.iter().any(|pattern| pattern.matches(schema, name)));
        found.map_or(self.otherwise, |(_, policy)| *policy)
    }

    /// Whether DDL of anything is run here.
    pub(crate) fn replicates(&self) -> bool {
        let mut all = self.rules.iter().map(|(_, policy)| *policy).chain([self.otherwise]);
        all.any(|policy| policy == DdlPolicy::Replicate)
    }

    /// One line per rule, with every default spelled out.
    pub(super) fn canonical(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "ddl {}", in_file(self.otherwise));
        for (patterns, policy) in &self.rules {
            let mut patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            patterns.sort();
            patterns.dedup();
            let _ = writeln!(text, "ddl policy {} {patterns:?}", in_file(*policy));
        }
    }
}

fn in_file(policy: DdlPolicy) -> &'static str {
    match policy {
        DdlPolicy::Halt => "halt",
        DdlPolicy::Ignore => "ignore",
        DdlPolicy::Replicate => "replicate",
    }
}

impl From<WrittenDdl> for DdlPolicy {
    fn from(written: WrittenDdl) -> Self {
        match written {
            WrittenDdl::Halt => Self::Halt,
            WrittenDdl::Ignore => Self::Ignore,
            WrittenDdl::Replicate => Self::Replicate,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(objects: &[&str], ddl: WrittenDdl) -> WrittenDdlRule {
        WrittenDdlRule { objects: objects.iter().map(|text| (*text).to_owned()).collect(), ddl }
    }

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let written = vec![
            rule(&["shop.tmp_*", "shop.own"], WrittenDdl::Ignore),
            rule(&["shop.*"], WrittenDdl::Replicate),
        ];
        let rules = DdlRules::new(WrittenDdl::Halt, written).unwrap();
        assert_eq!(rules.of("shop", "tmp_1"), DdlPolicy::Ignore);
        assert_eq!(rules.of("shop", "orders"), DdlPolicy::Replicate);
        assert_eq!(rules.of("shop", "*"), DdlPolicy::Replicate);
        assert_eq!(rules.of("other", "orders"), DdlPolicy::Halt);
        assert!(rules.replicates());
        assert!(!DdlRules::new(WrittenDdl::Halt, Vec::new()).unwrap().replicates());
        assert!(DdlRules::new(WrittenDdl::Halt, vec![rule(&[], WrittenDdl::Ignore)]).is_err());
        let mut text = String::new();
        rules.canonical(&mut text);
        assert_eq!(
            text,
            "ddl halt\nddl policy ignore [\"shop.own\", \"shop.tmp_*\"]\nddl policy replicate [\"shop.*\"]\n"
        );
    }
}
