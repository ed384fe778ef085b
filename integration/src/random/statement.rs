//! Single statements that change rows.

use super::column::{Column, Kind};
use super::literal;
use super::table::Table;
use crate::shop::dice::Dice;

/// What makes a statement about a table; the other tables are those of the schema.
type Make = fn(&mut Dice, &Table, &[Table]) -> String;

/// Every kind of statement, and how often it comes.
const KINDS: &[(u64, Make)] = &[
    (22, insert),
    (4, insert_select),
    (6, upsert),
    (6, replace),
    (22, update),
    (6, update_key),
    (4, update_two),
    (10, delete),
    (2, delete_two),
];

/// A statement of any kind about any of these tables.
pub(super) fn some(dice: &mut Dice, tables: &[Table]) -> String {
    let Some(table) = dice.pick(tables) else { return "DO 0".to_owned() };
    let mut throw = dice.below(KINDS.iter().map(|(weight, _)| weight).sum());
    for (weight, make) in KINDS {
        if throw < *weight {
            return make(dice, table, tables);
        }
        throw -= weight;
    }
    "DO 0".to_owned()
}

fn insert(dice: &mut Dice, table: &Table, _: &[Table]) -> String {
    let ignore = if dice.below(8) == 0 { " IGNORE" } else { "" };
    format!("INSERT{ignore} INTO {}", rows(dice, table))
}

fn replace(dice: &mut Dice, table: &Table, _: &[Table]) -> String {
    format!("REPLACE INTO {}", rows(dice, table))
}

fn upsert(dice: &mut Dice, table: &Table, _: &[Table]) -> String {
    let rows = rows(dice, table);
    let set: Vec<String> = changed(dice, table)
        .iter()
        .map(|column| match dice.below(3) {
            0 => assignment(dice, column),
            _ => format!("{0} = VALUES({0})", column.name),
        })
        .collect();
    format!("INSERT INTO {rows} ON DUPLICATE KEY UPDATE {}", set.join(", "))
}

fn insert_select(dice: &mut Dice, table: &Table, _: &[Table]) -> String {
    let columns: Vec<(&Column, bool)> =
        table.settable().filter(|(column, _)| !column.auto_increment).collect();
    let names: Vec<&str> = columns.iter().map(|(column, _)| column.name.as_str()).collect();
    let values: Vec<String> = columns
        .iter()
        .map(|(column, key)| if *key { key_value(dice, column) } else { column.name.clone() })
        .collect();
    // Where a key is given, two rows would have the same.
    let limit = if names.len() < table.settable().count() { 1 + dice.below(6) } else { 1 };
    if names.is_empty() {
        return format!("INSERT INTO {} () VALUES ()", table.name);
    }
    format!(
        "INSERT INTO {0} ({1}) SELECT {2} FROM {0} ORDER BY RAND() LIMIT {limit}",
        table.name,
        names.join(", "),
        values.join(", ")
    )
}

fn update(dice: &mut Dice, table: &Table, _: &[Table]) -> String {
    let ignore = if dice.below(12) == 0 { " IGNORE" } else { "" };
    let set: Vec<String> = changed(dice, table).iter().map(|column| assignment(dice, column)).collect();
    format!("UPDATE{ignore} {} SET {}{}", table.name, set.join(", "), condition(dice, table))
}

/// Moves rows to other keys.
fn update_key(dice: &mut Dice, table: &Table, tables: &[Table]) -> String {
    let keys: Vec<&Column> = table.key().collect();
    let Some(column) = dice.pick(&keys) else { return update(dice, table, tables) };
    let value = match column.kind {
        Kind::Int { .. } => match dice.below(3) {
            0 => key_value(dice, column),
            _ => format!("{} + {}", column.name, 1 + dice.below(70)),
        },
        _ => key_value(dice, column),
    };
    let order = if dice.below(2) == 0 { format!(" ORDER BY {} DESC", column.name) } else { String::new() };
    format!(
        "UPDATE {} SET {} = {value}{}{order} LIMIT {}",
        table.name,
        column.name,
        filter(dice, table),
        1 + dice.below(4)
    )
}

fn update_two(dice: &mut Dice, table: &Table, tables: &[Table]) -> String {
    let Some(other) = dice.pick(tables).filter(|other| other.name != table.name) else {
        return update(dice, table, tables);
    };
    let mut set = Vec::new();
    for (alias, table) in [("a", table), ("b", other)] {
        let columns = changed(dice, table);
        for column in columns {
            set.push(format!("{alias}.{} = {}", column.name, literal::some(&column.kind, dice)));
        }
    }
    format!(
        "UPDATE {} a JOIN {} b ON a.{} SET {}",
        table.name,
        other.name,
        joined(dice, table, other),
        set.join(", ")
    )
}

fn delete(dice: &mut Dice, table: &Table, _: &[Table]) -> String {
    let condition = match condition(dice, table) {
        all if all.is_empty() => " LIMIT 2".to_owned(),
        some => some,
    };
    format!("DELETE FROM {}{condition}", table.name)
}

fn delete_two(dice: &mut Dice, table: &Table, tables: &[Table]) -> String {
    let Some(other) = dice.pick(tables).filter(|other| other.name != table.name) else {
        return delete(dice, table, tables);
    };
    format!("DELETE a, b FROM {} a JOIN {} b ON a.{}", table.name, other.name, joined(dice, table, other))
}

/// Conditions that find a row or two of each of two tables; begins with a column of `a`.
fn joined(dice: &mut Dice, table: &Table, other: &Table) -> String {
    let found = |dice: &mut Dice, table: &Table| match table.key().next() {
        Some(column) => format!("{} = {}", column.name, literal::of_key(&column.kind, dice)),
        None => format!(
            "{} IS NOT NULL",
            table.columns.first().map_or("my_row_id", |column| column.name.as_str())
        ),
    };
    format!("{} AND b.{}", found(dice, table), found(dice, other))
}

/// Table, columns and some rows of an INSERT or REPLACE.
fn rows(dice: &mut Dice, table: &Table) -> String {
    // A column that is left out gets its default.
    let columns: Vec<(&Column, bool)> = table
        .settable()
        .filter(|(column, key)| {
            let may_be_absent = column.auto_increment || column.nullable && !*key;
            !(may_be_absent && dice.below(4) == 0)
        })
        .collect();
    let names: Vec<&str> = columns.iter().map(|(column, _)| column.name.as_str()).collect();
    let count = if dice.below(3) == 0 { 2 + dice.below(6) } else { 1 };
    let rows: Vec<String> = (0..count)
        .map(|_| {
            let values: Vec<String> = columns.iter().map(|(column, key)| value(dice, column, *key)).collect();
            format!("({})", values.join(", "))
        })
        .collect();
    format!("{} ({}) VALUES {}", table.name, names.join(", "), rows.join(", "))
}

fn value(dice: &mut Dice, column: &Column, key: bool) -> String {
    if column.auto_increment && dice.below(2) == 0 {
        return "NULL".to_owned();
    }
    if key || column.name == "parent" {
        return key_value(dice, column);
    }
    match dice.below(8) {
        0 if column.nullable => "NULL".to_owned(),
        _ => literal::some(&column.kind, dice),
    }
}

/// A value that other rows, or references, may have as well.
fn key_value(dice: &mut Dice, column: &Column) -> String {
    if column.name == "parent" {
        return if dice.below(2) == 0 { "NULL".to_owned() } else { literal::of_key(&column.kind, dice) };
    }
    match dice.below(12) {
        0 if column.nullable => "NULL".to_owned(),
        0..=5 => literal::some(&column.kind, dice),
        _ => literal::of_key(&column.kind, dice),
    }
}

/// One to three columns that are not of the primary key; a key's column if there is no other.
fn changed<'a>(dice: &mut Dice, table: &'a Table) -> Vec<&'a Column> {
    let all: Vec<&Column> = table.settable().filter(|(_, key)| !key).map(|(column, _)| column).collect();
    let mut chosen: Vec<&Column> = Vec::new();
    for _ in 0..=dice.below(3) {
        if let Some(column) = dice.pick(&all)
            && !chosen.iter().any(|known| known.name == column.name)
        {
            chosen.push(column);
        }
    }
    chosen
}

/// `column = …`, made of the old value now and then.
fn assignment(dice: &mut Dice, column: &Column) -> String {
    let name = &column.name;
    let value = match (dice.below(3), column.kind) {
        _ if name == "parent" => key_value(dice, column),
        (0, Kind::Int { .. } | Kind::Decimal { .. } | Kind::Double | Kind::Float) => format!("{name} + 1"),
        (0, Kind::VarChar { .. } | Kind::Text { .. }) => format!("CONCAT({name}, 'x')"),
        (0, Kind::VarBinary(_) | Kind::Blob(_)) => format!("CONCAT({name}, x'00')"),
        (0, Kind::Json) => {
            let path = ["$.a", "$.b", "$.name", "$[0]", "$.a[1]"];
            let path = dice.pick(&path).copied().unwrap_or("$.a");
            match dice.below(3) {
                0 => format!("JSON_REMOVE({name}, '{path}')"),
                1 => format!("JSON_REPLACE({name}, '{path}', {})", dice.below(1000)),
                _ => format!("JSON_SET({name}, '{path}', {})", literal::some(&column.kind, dice)),
            }
        }
        (0, _) if column.nullable => "NULL".to_owned(),
        _ => literal::some(&column.kind, dice),
    };
    format!("{name} = {value}")
}

/// A WHERE, and perhaps a limit; or neither.
fn condition(dice: &mut Dice, table: &Table) -> String {
    let limit = match dice.below(3) {
        0 => format!(" ORDER BY RAND() LIMIT {}", 1 + dice.below(5)),
        _ => String::new(),
    };
    match dice.below(12) {
        0 => limit,
        _ => format!("{}{limit}", filter(dice, table)),
    }
}

/// A WHERE.
fn filter(dice: &mut Dice, table: &Table) -> String {
    let any = dice.pick(&table.columns).map(|column| column.name.clone());
    let keys: Vec<&Column> = table.key().collect();
    let Some(column) = dice.pick(&keys) else {
        return format!(" WHERE my_row_id = {}", 1 + dice.below(40));
    };
    let name = &column.name;
    let value = literal::of_key(&column.kind, dice);
    match (dice.below(6), any) {
        (0, Some(any)) => format!(" WHERE {any} IS NULL"),
        (1, _) => format!(" WHERE {name} > {value}"),
        (2, _) => format!(" WHERE {name} IN ({value}, {})", literal::of_key(&column.kind, dice)),
        (3, _) => format!(" WHERE {name} <= {value}"),
        _ => format!(" WHERE {name} = {value}"),
    }
}
