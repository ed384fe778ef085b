//! The policies as they stand in the file, and whether they make sense.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use conflict::{Columns, Deletes, RegionOwned};
use filters::{Pattern, SYSTEM_SCHEMAS};
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use transaction::RegionName;

use super::{Decision, Rule, TablePolicy, column_lists};
use crate::config::error::Flaw;
use crate::config::mesh::MeshRegion;
use crate::config::pattern::WrittenPattern;

/// `[[mesh.policy]]` as it stands in the file, one after the other.
#[derive(Debug, Default)]
pub(crate) struct WrittenRules(Vec<WrittenRule>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    tables: Vec<WrittenPattern>,
    policy: Name,
    owner: Option<RegionName>,
    owner_column: Option<String>,
    #[serde(default)]
    counter: Vec<String>,
    #[serde(default)]
    max: Vec<String>,
    #[serde(default)]
    min: Vec<String>,
    #[serde(default)]
    set_union: Vec<String>,
    #[serde(default, with = "WrittenDeletes")]
    deletes: Deletes,
    #[serde(default)]
    detect_only: bool,
}

/// The values of key `policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    LastWriterWins,
    RegionOwned,
    Columns,
    Halt,
}

/// The values of key `deletes`.
#[derive(Deserialize)]
#[serde(remote = "Deletes", rename_all = "kebab-case")]
enum WrittenDeletes {
    ByRule,
    Win,
    Lose,
}

impl<'de> Deserialize<'de> for WrittenRules {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rules;
        impl<'de> Visitor<'de> for Rules {
            type Value = WrittenRules;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[[mesh.policy]] in double brackets, once for each policy")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut rules: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(rule) = rules.next_element()? {
                    all.push(rule);
                }
                Ok(WrittenRules(all))
            }
        }
        deserializer.deserialize_seq(Rules)
    }
}

/// The pairs of `mesh.detect_only`, the lower name of each first.
pub(super) fn judge_shadows(
    written: Vec<[RegionName; 2]>,
    regions: &BTreeMap<RegionName, MeshRegion>,
) -> Result<BTreeSet<(RegionName, RegionName)>, Flaw> {
    for (at, pair) in written.iter().enumerate() {
        let place = (at + 1).to_string();
        let key = ["mesh", "detect_only", place.as_str()];
        if let Some(stranger) = pair.iter().find(|region| !regions.contains_key(region)) {
            return Err(not_in_the_mesh(&key, *stranger, regions));
        }
        if pair[0] == pair[1] {
            return Err(Flaw::new(
                &key,
                format!("region {} has no conflicts with itself", pair[0]),
                "name two regions, or remove the pair".to_owned(),
            ));
        }
    }
    Ok(written.into_iter().map(|[one, other]| (one.min(other), one.max(other))).collect())
}

fn not_in_the_mesh(key: &[&str], stranger: RegionName, regions: &BTreeMap<RegionName, MeshRegion>) -> Flaw {
    let known: Vec<_> = regions.keys().map(RegionName::as_str).collect();
    Flaw::new(
        key,
        format!("region {stranger} is not in the mesh, which has {}", known.join(", ")),
        "name one of these".to_owned(),
    )
}

impl WrittenRules {
    /// The rules, judged; the first flaw is told.
    pub(super) fn judge(self, regions: &BTreeMap<RegionName, MeshRegion>) -> Result<Vec<Rule>, Flaw> {
        self.0.into_iter().zip(1..).map(|(rule, number)| rule.judge(number, regions)).collect()
    }
}

impl WrittenRule {
    fn judge(self, number: usize, regions: &BTreeMap<RegionName, MeshRegion>) -> Result<Rule, Flaw> {
        let place = number.to_string();
        let refuse = |key: &str, reason: String, remedy: &str| {
            Err(Flaw::new(&["mesh", "policy", &place, key], reason, remedy.to_owned()))
        };
        let name = self.policy;
        if self.tables.is_empty() {
            return refuse(
                "tables",
                "the list is empty, so the policy is for no table".to_owned(),
                "name tables as \"schema.table\", with * and ?, or remove the policy",
            );
        }
        let patterns: Vec<Pattern> = self.tables.into_iter().map(|written| written.0).collect();
        if let Some(system) = patterns.iter().find(|p| SYSTEM_SCHEMAS.contains(&p.schema())) {
            return refuse(
                "tables",
                format!("pattern {system} names a system schema, which is never carried"),
                "remove the pattern",
            );
        }
        let lists =
            Columns { counter: self.counter, max: self.max, min: self.min, set_union: self.set_union };
        if let Some((key, _)) = column_lists(&lists).into_iter().find(|(_, columns)| !columns.is_empty())
            && name != Name::Columns
        {
            return refuse(
                key,
                format!("policy {} merges no columns", name.as_str()),
                "remove the key, or write policy = \"columns\"",
            );
        }
        let owner_key = if self.owner.is_some() { "owner" } else { "owner_column" };
        if (self.owner.is_some() || self.owner_column.is_some()) && name != Name::RegionOwned {
            return refuse(
                owner_key,
                format!("policy {} knows no owner", name.as_str()),
                "remove the key, or write policy = \"region-owned\"",
            );
        }
        let decision = match (name, self.owner, self.owner_column) {
            (Name::LastWriterWins, ..) => Decision::LastWriterWins,
            (Name::Halt, ..) => Decision::Halt,
            (Name::Columns, ..) => {
                judge_columns(&lists, &place)?;
                Decision::Columns(lists)
            }
            (Name::RegionOwned, Some(owner), None) => match regions.get(&owner) {
                None => {
                    return Err(not_in_the_mesh(&["mesh", "policy", &place, "owner"], owner, regions));
                }
                Some(region) if !region.writes => {
                    return refuse(
                        "owner",
                        format!("region {owner} has writes = false, so no write is ever the owner's"),
                        "name a region where clients write",
                    );
                }
                Some(_) => Decision::RegionOwned(RegionOwned::Fixed(owner)),
            },
            (Name::RegionOwned, None, Some(column)) if column.is_empty() => {
                return refuse("owner_column", "the name is empty".to_owned(), "name a column");
            }
            (Name::RegionOwned, None, Some(column)) => Decision::RegionOwned(RegionOwned::Column(column)),
            (Name::RegionOwned, None, None) => {
                return refuse(
                    "policy",
                    "region-owned lacks its owner".to_owned(),
                    "add owner = \"region\", or owner_column = \"the column that holds the region's name\"",
                );
            }
            (Name::RegionOwned, Some(_), Some(_)) => {
                return refuse(
                    "owner_column",
                    "owner and owner_column are both given".to_owned(),
                    "keep one of them",
                );
            }
        };
        let gives =
            TablePolicy { policy: self.deletes.around(decision.policy()), detect_only: self.detect_only };
        Ok(Rule { number, patterns, decision, deletes: self.deletes, gives })
    }
}

/// No column can be merged by two rules.
fn judge_columns(lists: &Columns, place: &str) -> Result<(), Flaw> {
    // The server takes names of columns that differ in case only for one.
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (key, columns) in column_lists(lists) {
        for column in columns {
            let key_path = ["mesh", "policy", place, key];
            if column.is_empty() {
                let reason = "the name of a column is empty".to_owned();
                return Err(Flaw::new(&key_path, reason, "name a column".to_owned()));
            }
            if let Some(earlier) = seen.insert(column.to_lowercase(), key) {
                let reason = if earlier == key {
                    format!("column {column} is named twice")
                } else {
                    format!("column {column} is in {earlier} already, and can be merged by one rule only")
                };
                return Err(Flaw::new(&key_path, reason, "name each column once".to_owned()));
            }
        }
    }
    Ok(())
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Name::LastWriterWins => "last-writer-wins",
            Name::RegionOwned => "region-owned",
            Name::Columns => "columns",
            Name::Halt => "halt",
        }
    }
}
