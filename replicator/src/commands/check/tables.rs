//! The tables that the mesh carries: engine, primary key, auto-increment, cascades.

use super::facts::TableFacts;
use super::{Check, ServerFacts};
use crate::config::Config;

/// How many names a message lists before it counts the rest.
const NAMES_MAX: usize = 10;

/// The first release whose binlog holds the child rows of a foreign key's cascade.
const CASCADES_LOGGED_SINCE: (u32, u32) = (9, 6);

pub(super) fn judge(server: &ServerFacts, config: &Config) -> Vec<Check> {
    let carried: Vec<&TableFacts> =
        server.tables.iter().filter(|table| config.mesh.tables.carries(&table.schema, &table.name)).collect();
    vec![
        count(&carried),
        letters(server, config),
        engines(&carried),
        primary_keys(&carried),
        cascades(server, config),
        auto_increment(server, &carried, config),
    ]
}

/// The first few of a list, and how many more there are.
pub(super) fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn named(tables: &[&TableFacts], which: impl Fn(&TableFacts) -> bool) -> Vec<String> {
    tables
        .iter()
        .filter(|table| which(table))
        .map(|table| format!("{}.{}", table.schema, table.name))
        .collect()
}

fn count(carried: &[&TableFacts]) -> Check {
    let name = "tables";
    match carried.len() {
        0 => Check::warn(
            name,
            "none is carried: none exists yet, no pattern fits, or the account may not see them",
            "see include and exclude in [mesh], and concord grants",
        ),
        n => Check::ok(name, format!("{n} carried")),
    }
}

/// Patterns are held against names as the server writes them.
fn letters(server: &ServerFacts, config: &Config) -> Check {
    let name = "lower_case_table_names";
    let capital = |pattern: &&filters::Pattern| pattern.to_string().chars().any(char::is_uppercase);
    let tables = &config.mesh.tables;
    match (server.number(name), tables.include().iter().chain(tables.exclude()).find(capital)) {
        (Some(1), Some(pattern)) => Check::refuse(
            name,
            format!("1: the server writes small letters, so pattern {pattern} never fits"),
            "write the patterns in small letters, in every region",
        ),
        (Some(2), _) => Check::warn(
            name,
            "2: names keep their letters on this server only",
            "use 0 or 1, chosen when a server is initialised",
        ),
        (found, _) => Check::ok(name, found.map_or("unknown".to_owned(), |n| n.to_string())),
    }
}

fn engines(carried: &[&TableFacts]) -> Check {
    let name = "engines";
    let others = named(carried, |table| !table.engine.eq_ignore_ascii_case("InnoDB"));
    if others.is_empty() {
        return Check::ok(name, "InnoDB");
    }
    let first = others[0].clone();
    Check::refuse(
        name,
        format!("{}: not InnoDB, so rows and marker cannot commit together", some_of(&others)),
        format!("ALTER TABLE {} ENGINE = InnoDB, or exclude = [\"{first}\"] in [mesh]", backquoted(&first)),
    )
}

fn primary_keys(carried: &[&TableFacts]) -> Check {
    let name = "primary keys";
    let without = named(carried, |table| !table.primary_key);
    if without.is_empty() {
        return Check::ok(name, "every carried table has one");
    }
    let first = without[0].clone();
    Check::warn(
        name,
        format!(
            "{}: no primary key, so rows cannot be told apart; no region applies what is written there",
            some_of(&without)
        ),
        format!(
            "ALTER TABLE {} ADD PRIMARY KEY (...), or exclude = [\"{first}\"] in [mesh]",
            backquoted(&first)
        ),
    )
}

pub(super) fn backquoted(table: &str) -> String {
    let (schema, table) = table.split_once('.').unwrap_or(("", table));
    format!("{}.{}", crate::commands::grants::quoted(schema), crate::commands::grants::quoted(table))
}

fn cascades(server: &ServerFacts, config: &Config) -> Check {
    let name = "cascades";
    let found: Vec<String> = server
        .cascades
        .iter()
        .filter(|(schema, table, _)| config.mesh.tables.carries(schema, table))
        .map(|(schema, table, constraint)| format!("{schema}.{table} ({constraint})"))
        .collect();
    if found.is_empty() {
        return Check::ok(name, "no foreign key changes child rows by itself");
    }
    if config.mesh.writers().count() < 2 || server.version().is_some_and(|v| v >= CASCADES_LOGGED_SINCE) {
        return Check::ok(
            name,
            format!("{} foreign keys change child rows, as the binlog shows", found.len()),
        );
    }
    Check::refuse(
        name,
        format!("{}: this server's binlog does not show what a cascade does to child rows", some_of(&found)),
        "install MySQL 9.6 or later, or make the foreign keys RESTRICT",
    )
}

fn auto_increment(server: &ServerFacts, carried: &[&TableFacts], config: &Config) -> Check {
    let name = "auto-increment";
    let writers: Vec<_> = config.mesh.writers().collect();
    let tables = named(carried, |table| table.auto_increment);
    let Some(place) = writers.iter().position(|writer| *writer == config.region.name) else {
        return Check::ok(name, "no clients write in this region");
    };
    if writers.len() < 2 {
        return Check::ok(name, "one region writes");
    }
    let (step, offset) = (
        server.number("auto_increment_increment").unwrap_or(1),
        server.number("auto_increment_offset").unwrap_or(1),
    );
    let fix = format!(
        "SET PERSIST auto_increment_increment = {}; SET PERSIST auto_increment_offset = {}",
        writers.len().max(usize::try_from(step).unwrap_or(usize::MAX)),
        place + 1
    );
    let enough = u64::try_from(writers.len()).is_ok_and(|writers| step >= writers);
    // Which offsets the others have is their own check's business; counting regions by name gives each its own.
    let agreed = u64::try_from(place + 1).is_ok_and(|place| offset == place);
    let found = format!("increment {step}, offset {offset}");
    match (tables.is_empty(), enough && agreed) {
        (_, true) => Check::ok(name, found),
        (true, false) => Check::ok(name, format!("{found}; no carried table uses it")),
        (false, false) if enough => Check::warn(
            name,
            format!("{found}: make sure that no other region has this offset ({})", some_of(&tables)),
            fix,
        ),
        (false, false) => Check::warn(
            name,
            format!(
                "{found}, but {} regions write: they give the same keys to different rows, and one of each two is lost ({})",
                writers.len(),
                some_of(&tables)
            ),
            fix,
        ),
    }
}
