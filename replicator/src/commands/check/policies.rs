//! The policies of the mesh, held against this server's tables.

use std::collections::BTreeMap;

use conflict::{Columns, Policy, RegionOwned};
use filters::Pattern;
use transaction::RegionName;

use super::columns::ColumnFacts;
use super::facts::TableFacts;
use super::tables::{backquoted, some_of};
use super::{Check, ServerFacts};
use crate::config::{Config, Decision, Rule, column_lists, nearest};

/// The name of these checks.
pub(super) const NAME: &str = "policies";

/// Whether a policy names columns, so that they must be asked for.
pub(super) fn name_columns(config: &Config) -> bool {
    config.mesh.policies.rules().iter().any(|rule| !uses(&rule.decision).is_empty())
}

pub(super) fn judge(server: &ServerFacts, config: &Config) -> Vec<Check> {
    let mut checks = rules(server, config);
    checks.extend(shadows(config));
    checks.push(functional_keys(server, config));
    checks
}

/// A column that a policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use<'a> {
    /// The key that names it, as it is written in the file.
    key: &'static str,
    /// Its name, as it is written there.
    column: &'a str,
}

const OWNER: &str = "owner_column";

/// The columns that a rule names, in the order of the keys.
fn uses(decision: &Decision) -> Vec<Use<'_>> {
    match decision {
        Decision::RegionOwned(RegionOwned::Column(column)) => vec![Use { key: OWNER, column }],
        Decision::Columns(columns) => column_lists(columns)
            .into_iter()
            .flat_map(|(key, names)| names.iter().map(move |column| Use { key, column }))
            .collect(),
        Decision::LastWriterWins | Decision::RegionOwned(RegionOwned::Fixed(_)) | Decision::Halt => {
            Vec::new()
        }
    }
}

fn rules(server: &ServerFacts, config: &Config) -> Vec<Check> {
    let rules = config.mesh.policies.rules();
    if rules.is_empty() {
        return vec![Check::ok(NAME, "last-writer-wins for every table")];
    }
    let carried: Vec<&TableFacts> =
        server.tables.iter().filter(|table| config.mesh.tables.carries(&table.schema, &table.name)).collect();
    if carried.is_empty() {
        return vec![Check::warn(
            NAME,
            format!("no table is there to hold {} policies against", rules.len()),
            "create the tables, or take them over with concord seed; then check again",
        )];
    }
    let mut checks = Vec::new();
    for rule in rules {
        for pattern in &rule.patterns {
            checks.extend(one_pattern(server, config, &carried, rule, pattern));
        }
    }
    if checks.is_empty() {
        let each: Vec<String> = rules.iter().map(in_words).collect();
        checks.push(Check::ok(NAME, format!("{}; other tables: last-writer-wins", each.join("; "))));
    }
    checks
}

/// A rule in one phrase: `shop.stock, shop.*_count: columns (counter quantity)`.
fn in_words(rule: &Rule) -> String {
    let details: Vec<String> = match &rule.decision {
        Decision::RegionOwned(RegionOwned::Fixed(owner)) => vec![format!("owner {owner}")],
        decision => uses(decision).iter().map(|named| format!("{} {}", named.key, named.column)).collect(),
    };
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    format!("{}: {}{details}", patterns(rule), rule.decision.name())
}

fn patterns(rule: &Rule) -> String {
    rule.patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is wrong between one pattern and the tables.
fn one_pattern(
    server: &ServerFacts,
    config: &Config,
    carried: &[&TableFacts],
    rule: &Rule,
    pattern: &Pattern,
) -> Vec<Check> {
    let full = |table: &TableFacts| format!("{}.{}", table.schema, table.name);
    let fits = |table: &&TableFacts| pattern.matches(&table.schema, &table.name);
    let matched: Vec<&TableFacts> = carried.iter().copied().filter(fits).collect();
    let place = format!("{rule}: pattern {pattern}");
    if matched.is_empty() {
        let left_out: Vec<String> = server.tables.iter().filter(fits).map(full).collect();
        return vec![if left_out.is_empty() {
            let names: Vec<String> = carried.iter().map(|table| full(table)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let meant = nearest(&pattern.to_string(), &names);
            Check::refuse(
                NAME,
                format!("{place} matches no table"),
                format!(
                    "correct it ({}), create the table, or remove the pattern",
                    meant.map_or("names count with their case".to_owned(), |name| format!("{name} is there"))
                ),
            )
        } else {
            Check::refuse(
                NAME,
                format!("{place} matches only tables that are not carried: {}", some_of(&left_out)),
                "carry them (include and exclude in [mesh]), or remove the pattern",
            )
        }];
    }
    let decides = |table: &&TableFacts| {
        let by = config.mesh.policies.rule_of(&table.schema, &table.name);
        by.is_some_and(|(r, p)| r.number == rule.number && p == pattern)
    };
    let decided: Vec<&TableFacts> = matched.into_iter().filter(decides).collect();
    if decided.is_empty() {
        return vec![Check::warn(
            NAME,
            format!("{place} decides nothing: every table that it matches is an earlier pattern's"),
            "the first match wins: put the narrower pattern first, or remove this one",
        )];
    }
    let mut checks = Vec::new();
    let without_key: Vec<String> =
        decided.iter().filter(|table| !table.primary_key).map(|table| full(table)).collect();
    if let Some(first) = without_key.first() {
        checks.push(Check::refuse(
            NAME,
            format!(
                "{place}: table {} has no primary key, so no row can be told from another",
                some_of(&without_key)
            ),
            format!(
                "ALTER TABLE {} ADD PRIMARY KEY (...), or exclude = [\"{first}\"] in [mesh]",
                backquoted(first)
            ),
        ));
    }
    checks.extend(columns(server, config, rule, &place, &decided));
    checks
}

/// What is wrong between the columns that a rule names and those that its tables have.
fn columns(
    server: &ServerFacts,
    config: &Config,
    rule: &Rule,
    place: &str,
    decided: &[&TableFacts],
) -> Vec<Check> {
    let uses = uses(&rule.decision);
    if uses.is_empty() {
        return Vec::new();
    }
    let known = match &server.columns {
        Some(Ok(known)) => known,
        Some(Err(reason)) => {
            return vec![Check::refuse(
                NAME,
                format!("{place}: the columns could not be read: {reason}"),
                "see the reason; a table that is not to be carried must go out of the server's sight or change",
            )];
        }
        None => return Vec::new(),
    };
    // The same flaw in many tables is one line.
    let mut flaws: BTreeMap<(usize, Flaw), Vec<String>> = BTreeMap::new();
    for table in decided {
        let Some(columns) = known.get(&(table.schema.clone(), table.name.clone())) else { continue };
        for (at, named) in uses.iter().enumerate() {
            if let Some(flaw) = flaw(*named, columns, config) {
                flaws.entry((at, flaw)).or_default().push(format!("{}.{}", table.schema, table.name));
            }
        }
    }
    let check = |((at, flaw), tables): ((usize, Flaw), Vec<String>)| {
        let Use { key, column } = uses[at];
        let detail = format!("{place}: table {}: {key} {column}: {}", some_of(&tables), flaw.reason);
        Check::refuse(NAME, detail, flaw.remedy)
    };
    flaws.into_iter().map(check).collect()
}

/// Why a column cannot be used as a policy wants it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flaw {
    reason: String,
    remedy: String,
}

fn flaw(named: Use<'_>, columns: &[ColumnFacts], config: &Config) -> Option<Flaw> {
    let refuse = |reason: String, remedy: String| Some(Flaw { reason, remedy });
    // As the server compares names of columns, and the policies do.
    let called = |facts: &&ColumnFacts| facts.column.name.to_lowercase() == named.column.to_lowercase();
    let Some(found) = columns.iter().find(called) else {
        let names: Vec<&str> = columns.iter().map(|facts| facts.column.name.as_str()).collect();
        let remedy = match nearest(named.column, &names) {
            Some(meant) => format!("did you mean {meant}? There are {}", names.join(", ")),
            None => format!("name one of {}", names.join(", ")),
        };
        return refuse("there is no such column".to_owned(), remedy);
    };
    if found.generated {
        let remedy = if named.key == OWNER {
            "name a column that is stored as written"
        } else {
            "name the columns that it is computed from"
        };
        return refuse("the server computes this column from others".to_owned(), remedy.to_owned());
    }
    if found.in_primary_key && named.key != OWNER {
        return refuse(
            "it is part of the primary key, so another value is another row".to_owned(),
            format!("remove it from {}", named.key),
        );
    }
    if alone(named).check(std::slice::from_ref(&found.column)).is_err() {
        let (cannot, fitting) = types(named.key);
        return refuse(
            format!("it is {}, {cannot}", found.sql_type),
            format!("name {fitting}, or remove it from the policy"),
        );
    }
    no_region_named(named, found, config)
}

/// The policy that names this column only, so that its own judgement of types can be asked.
fn alone(named: Use<'_>) -> Box<dyn Policy> {
    let (list, none) = (vec![named.column.to_owned()], Columns::default());
    match named.key {
        "counter" => Box::new(Columns { counter: list, ..none }),
        "max" => Box::new(Columns { max: list, ..none }),
        "min" => Box::new(Columns { min: list, ..none }),
        "set_union" => Box::new(Columns { set_union: list, ..none }),
        _ => Box::new(RegionOwned::Column(named.column.to_owned())),
    }
}

/// What is wrong with a type that a key cannot use, and which it can.
fn types(key: &str) -> (&'static str, &'static str) {
    match key {
        "counter" => {
            ("of which differences cannot be added up exactly", "a column of whole numbers or DECIMAL")
        }
        "max" | "min" => {
            ("which has no order that is the same everywhere", "a column of numbers, dates or times")
        }
        "set_union" => ("which has no members to gather", "a SET column"),
        _ => ("which cannot hold a region's name", "a text or ENUM column"),
    }
}

/// An ENUM none of whose members is a region would leave every row without an owner.
fn no_region_named(named: Use<'_>, facts: &ColumnFacts, config: &Config) -> Option<Flaw> {
    let regions: Vec<&str> = config.mesh.regions.keys().map(RegionName::as_str).collect();
    let is_region =
        |member: &Vec<u8>| regions.iter().any(|region| member.eq_ignore_ascii_case(region.as_bytes()));
    let members = &facts.column.members;
    if named.key != OWNER || members.is_empty() || members.iter().any(is_region) {
        return None;
    }
    Some(Flaw {
        reason: format!("it is {}, and no member names a region", facts.sql_type),
        remedy: format!("give it the regions as members: {}", regions.join(", ")),
    })
}

/// Shadow mode, which a mesh should not forget about.
fn shadows(config: &Config) -> Vec<Check> {
    let policies = &config.mesh.policies;
    let tables = policies
        .rules()
        .iter()
        .filter(|rule| rule.gives.detect_only)
        .map(|rule| format!("{rule}, {}", patterns(rule)));
    let pairs = policies.shadows().map(|(one, other)| format!("between {one} and {other}"));
    let warn = |whose: String| {
        Check::warn(
            "detect_only",
            format!("{whose}: conflicts are reported, not resolved: regions may differ"),
            "to have them resolved, take detect_only out of [mesh] everywhere, and seed where tables differ by then",
        )
    };
    tables.chain(pairs).map(warn).collect()
}

/// A value that only the server can compute cannot be looked for among the rows that a write may clash with.
fn functional_keys(server: &ServerFacts, config: &Config) -> Check {
    let name = "functional unique keys";
    let found: Vec<String> = server
        .functional_keys
        .iter()
        .filter(|(schema, table, _)| config.mesh.tables.carries(schema, table))
        .map(|(schema, table, key)| format!("{schema}.{table} ({key})"))
        .collect();
    if found.is_empty() {
        return Check::ok(name, "none");
    }
    if config.mesh.writers().count() < 2 {
        return Check::ok(name, format!("{}; one region writes, so none can clash", some_of(&found)));
    }
    Check::warn(
        name,
        format!("{}: rows of two regions that clash there halt the origin", some_of(&found)),
        "make the key one over a stored generated column, or write such rows in one region only",
    )
}

#[cfg(test)]
mod tests;
