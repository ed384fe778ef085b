//! `[[mesh.policy]]` and `mesh.detect_only`: by which rule the conflicts of each table are decided.

mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::Arc;

use conflict::{Columns, Deletes, Halt, LastWriterWins, Policy, RegionOwned};
use filters::Pattern;
use transaction::RegionName;

use super::error::Flaw;
use super::mesh::MeshRegion;

pub(super) use written::WrittenRules;
use written::judge_shadows;

/// The rules of the mesh in the order of the file. The first one with a pattern that matches a table decides there; a
/// table that none matches is decided by last-writer-wins.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    rules: Vec<Rule>,
    otherwise: TablePolicy,
    /// Pairs of regions in shadow mode, the lower name first.
    shadows: BTreeSet<(RegionName, RegionName)>,
}

/// What is to happen at a conflict in one table.
#[derive(Debug, Clone)]
pub(crate) struct TablePolicy {
    /// The rule, with the modifier for deletes around it.
    pub(crate) policy: Arc<dyn Policy>,
    /// Shadow mode: conflicts are reported, and nothing is applied differently because of them.
    pub(crate) detect_only: bool,
}

/// One `[[mesh.policy]]`.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Its place in the file, from 1.
    pub(crate) number: usize,
    /// Which tables it is for, if no earlier rule took them. At least one, in the order of the file.
    pub(crate) patterns: Vec<Pattern>,
    /// The rule.
    pub(crate) decision: Decision,
    /// What becomes of a delete that meets another write.
    pub(crate) deletes: Deletes,
    /// What it gives its tables: both of these together, and whether they are in shadow mode.
    pub(crate) gives: TablePolicy,
}

/// A rule with all that it needs to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Of concurrent writes the newest one gives the whole row.
    LastWriterWins,
    /// Writes of the owner win over concurrent ones of others.
    RegionOwned(RegionOwned),
    /// Each column is decided by itself. No column is in two lists.
    Columns(Columns),
    /// Nothing is decided until a person has acted.
    Halt,
}

impl Policies {
    /// Judges what was written. `shadows` are the pairs of `mesh.detect_only`.
    pub(super) fn new(
        written: WrittenRules,
        shadows: Vec<[RegionName; 2]>,
        regions: &BTreeMap<RegionName, MeshRegion>,
    ) -> Result<Self, Flaw> {
        Ok(Self {
            rules: written.judge(regions)?,
            otherwise: TablePolicy { policy: Arc::new(LastWriterWins), detect_only: false },
            shadows: judge_shadows(shadows, regions)?,
        })
    }

    /// The policy of a table, by its names as the binlog has them. It tries one pattern after the other, so whoever asks
    /// for each row keeps the answer by table.
    pub(crate) fn of(&self, schema: &str, table: &str) -> &TablePolicy {
        self.rule_of(schema, table).map_or(&self.otherwise, |(rule, _)| &rule.gives)
    }

    /// The rule that decides a table, and which of its patterns chose it; `None` where the default does.
    pub(crate) fn rule_of(&self, schema: &str, table: &str) -> Option<(&Rule, &Pattern)> {
        let mut all = self.rules.iter().flat_map(|rule| rule.patterns.iter().map(move |p| (rule, p)));
        all.find(|(_, pattern)| pattern.matches(schema, table))
    }

    /// The rules in the order of the file.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether conflicts between writes of these two regions are only reported.
    pub(crate) fn detect_only_between(&self, one: RegionName, other: RegionName) -> bool {
        self.shadows.contains(&(one.min(other), one.max(other)))
    }

    /// Pairs of regions in shadow mode, sorted, each once.
    pub(crate) fn shadows(&self) -> impl Iterator<Item = (RegionName, RegionName)> {
        self.shadows.iter().copied()
    }

    /// One line per rule in their order, which has a meaning, with every default spelled out; patterns and columns
    /// within a rule are sorted, since their order has none.
    pub(super) fn canonical(&self, text: &mut String) {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        for rule in &self.rules {
            let patterns: Vec<String> = rule.patterns.iter().map(ToString::to_string).collect();
            let mut patterns = sorted(&patterns);
            patterns.dedup();
            let details = match &rule.decision {
                Decision::RegionOwned(RegionOwned::Fixed(owner)) => format!(" owner {owner}"),
                Decision::RegionOwned(RegionOwned::Column(column)) => format!(" owner_column {column:?}"),
                Decision::Columns(columns) => {
                    let lists = column_lists(columns);
                    lists.map(|(key, columns)| format!(" {key} {:?}", sorted(columns))).concat()
                }
                Decision::LastWriterWins | Decision::Halt => String::new(),
            };
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "policy {patterns:?} {}{details}", rule.decision.name());
            let _ = writeln!(
                text,
                " deletes {} detect_only {}",
                written_deletes(rule.deletes),
                rule.gives.detect_only
            );
        }
        let _ = writeln!(text, "policy \"*.*\" last-writer-wins");
        for (one, other) in &self.shadows {
            let _ = writeln!(text, "detect_only {one} {other}");
        }
    }
}

impl fmt::Display for Rule {
    /// As messages name it: `policy 2 (columns)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {} ({})", self.number, self.decision.name())
    }
}

impl Decision {
    /// As it is written in the file.
    pub(crate) fn name(&self) -> &'static str {
        self.policy().name()
    }

    /// What decides by it.
    fn policy(&self) -> Arc<dyn Policy> {
        match self {
            Decision::LastWriterWins => Arc::new(LastWriterWins),
            Decision::RegionOwned(owned) => Arc::new(owned.clone()),
            Decision::Columns(columns) => Arc::new(columns.clone()),
            Decision::Halt => Arc::new(Halt),
        }
    }
}

/// The columns that are merged otherwise than by their last writer, each list with its key.
pub(crate) fn column_lists(columns: &Columns) -> [(&'static str, &[String]); 4] {
    [
        ("counter", &columns.counter),
        ("max", &columns.max),
        ("min", &columns.min),
        ("set_union", &columns.set_union),
    ]
}

/// The modifier as it is written in the file.
fn written_deletes(deletes: Deletes) -> &'static str {
    match deletes {
        Deletes::ByRule => "by-rule",
        Deletes::Win => "win",
        Deletes::Lose => "lose",
    }
}

#[cfg(test)]
mod tests;
