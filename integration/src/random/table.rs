//! Tables: columns, keys, references, partitions.

use super::column::{Column, Kind};
use super::key;
use crate::shop::dice::Dice;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Places of the primary key's columns; empty if the server makes a hidden one.
    pub(super) primary: Vec<usize>,
    /// The statements that make it.
    definition: Vec<String>,
    /// Whether others may refer to its key, which then is one INT.
    referable: bool,
}

const ID: Kind = Kind::Int { name: "INT", bits: 32, unsigned: false };

/// The tables of one case; later ones may refer to earlier ones.
pub(super) fn some(dice: &mut Dice) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for number in 0..=(1 + dice.below(3)) {
        let table = Table::some(dice, number, &tables);
        tables.push(table);
    }
    tables
}

impl Table {
    fn some(dice: &mut Dice, number: u64, others: &[Self]) -> Self {
        let name = format!("t{number}");
        let (mut columns, primary_line, hidden, referable) = primary(dice);
        let primary: Vec<usize> = (0..columns.len()).collect();
        let mut lines = Vec::new();
        for place in 0..1 + dice.below(9) as usize {
            columns.push(Column::some(dice, place));
        }
        for place in 0..dice.below(3) as usize {
            let made =
                dice.pick(&columns).cloned().filter(|from| from.generated.is_none() && !from.auto_increment);
            columns.extend(made.and_then(|from| Column::generated(dice, place, &from)));
        }
        let parent = dice.pick(others).filter(|other| other.referable && dice.below(2) == 0);
        if let Some(parent) = parent {
            let action = ["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"];
            let [delete, update] = [0; 2].map(|_| dice.pick(&action).copied().unwrap_or("RESTRICT"));
            let mut column = Column::of_key("parent".to_owned(), ID);
            column.set_nullable();
            columns.push(column);
            lines.push("KEY parent (parent)".to_owned());
            lines.push(format!(
                "CONSTRAINT fk_{name} FOREIGN KEY (parent) REFERENCES {} (id) ON DELETE {delete} ON UPDATE {update}",
                parent.name
            ));
        }
        // MySQL 9.7.4 checks no reference of a row that is NULL in another column of an index with the referring one.
        let owned = columns.iter().skip(primary.len()).filter(|column| column.name != "parent");
        let mut keys = key::some(dice, &owned.cloned().collect::<Vec<_>>());
        if hidden {
            // Where a unique key is never NULL, the server takes that for the table's key and makes none.
            keys.iter_mut().for_each(|key| *key = key.replacen("UNIQUE KEY", "KEY", 1));
            // MySQL 9.7.4 cannot apply row events to a table with a hidden key and an index over an expression.
            keys.retain(|key| !key.contains("(("));
        }
        let plain = keys.iter().all(|key| key.starts_with("KEY")) && parent.is_none();
        lines.extend(primary_line);
        lines.extend(keys);
        let definitions: Vec<String> = columns.iter().map(Column::definition).chain(lines).collect();
        let partitions = match dice.below(8) {
            0 if plain && !hidden && !primary.is_empty() => " PARTITION BY KEY () PARTITIONS 3",
            _ => "",
        };
        let format = match dice.below(14) {
            // In these two, a key's column has fewer bytes.
            0 => " ROW_FORMAT=REDUNDANT",
            1 => " ROW_FORMAT=COMPACT",
            2 | 3 => " ROW_FORMAT=COMPRESSED",
            _ => "",
        };
        let create = format!("CREATE TABLE {name} ({}){format}{partitions}", definitions.join(", "));
        let definition = if hidden {
            vec![
                "SET SESSION sql_generate_invisible_primary_key = ON".to_owned(),
                create,
                "SET SESSION sql_generate_invisible_primary_key = OFF".to_owned(),
            ]
        } else {
            vec![create]
        };
        // The partition of a row cannot be referred to.
        let referable = referable && partitions.is_empty();
        Self { name, columns, primary, definition, referable }
    }

    /// The statements that make it.
    pub(super) fn definition(&self) -> Vec<String> {
        self.definition.clone()
    }

    /// The columns that a statement may set, and whether each is of the primary key.
    pub(super) fn settable(&self) -> impl Iterator<Item = (&Column, bool)> {
        let primary = |place| self.primary.contains(&place);
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.generated.is_none())
            .map(move |(place, column)| (column, primary(place)))
    }

    /// The columns of the primary key.
    pub(super) fn key(&self) -> impl Iterator<Item = &Column> {
        self.primary.iter().filter_map(|place| self.columns.get(*place))
    }
}

/// The columns of a primary key, its line, whether the server makes it instead, and whether it is one INT with the name `id`.
fn primary(dice: &mut Dice) -> (Vec<Column>, Option<String>, bool, bool) {
    let id = || "id".to_owned();
    match dice.below(20) {
        0..=7 => (vec![Column::counting(id(), ID)], Some("PRIMARY KEY (id)".to_owned()), false, true),
        8..=10 => (vec![Column::of_key(id(), ID)], Some("PRIMARY KEY (id DESC)".to_owned()), false, true),
        11..=14 => {
            let column = Column::of_key(id(), Kind::of_key(dice));
            (vec![column], Some("PRIMARY KEY (id)".to_owned()), false, false)
        }
        15..=17 => {
            let columns: Vec<Column> = (0..2 + dice.below(2))
                .map(|at| Column::of_key(format!("id{at}"), Kind::of_key(dice)))
                .collect();
            let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            if dice.below(2) == 0 {
                names.reverse();
            }
            let line = format!("PRIMARY KEY ({})", names.join(", "));
            (columns, Some(line), false, false)
        }
        18 => {
            let kind = loop {
                let kind = Kind::some(dice);
                if kind.needs_prefix() && kind.has_utf8_letters() {
                    break kind;
                }
            };
            (vec![Column::of_key(id(), kind)], Some("PRIMARY KEY (id(3))".to_owned()), false, false)
        }
        _ => (Vec::new(), None, true, false),
    }
}
