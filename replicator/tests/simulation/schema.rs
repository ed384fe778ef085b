//! The tables of the simulated servers.

use std::sync::Arc;

use applier::definitions::Definition;
use applier::policies::TablePolicy;
use applier::relations::{Action, Relations, UniqueKey};
use conflict::{Columns, Deletes, LastWriterWins, Policy, RegionOwned};
use transaction::binlog::{Event, TableMap, row_image, row_values};
use transaction::key::{Collation, Need};
use transaction::{RegionName, Weights};

use super::foreign::Foreign;
use super::synthetic::{Col, table_map};

/// The values of a row, without length fields.
pub(crate) type Row = Vec<Option<Vec<u8>>>;
/// A row's primary key as the server compares it.
pub(crate) type Key = Vec<u8>;

/// A collation that holds upper and lower case for equal.
const FOLDING: u8 = 255;

/// How conflicts are decided; told once for the product and once for the oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    LastWriter,
    /// The first region owns every row.
    Owned,
    /// Column `n` counts.
    Columns,
    DeleteWins,
    UpdateWins,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) rule: Rule,
    /// The Table_map event.
    event: Vec<u8>,
    pub(crate) map: Arc<TableMap>,
    /// Places of the columns that have a unique key each.
    pub(crate) unique: Vec<usize>,
    /// Clients only ever add to `n` of rows that are there from the beginning.
    pub(crate) tally: bool,
    /// A CHECK refuses rows whose `n` is negative.
    pub(crate) checked: bool,
}

#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) tables: Vec<Table>,
    pub(crate) foreign: Vec<Foreign>,
}

pub(crate) const NAME: &str = "s";

impl Schema {
    pub(crate) fn new() -> Self {
        use Col::{Int, Text};
        let plain = [("id", Int), ("a", Int), ("b", Int)];
        let counted = [("id", Int), ("a", Int), ("b", Int), ("n", Int)];
        let unique = [("id", Int), ("u", Int), ("b", Int)];
        let twice = [("id", Int), ("u", Int), ("w", Int), ("n", Int)];
        let text = [("id", Text(FOLDING)), ("u", Text(FOLDING)), ("b", Int)];
        let child = [("id", Int), ("p", Int), ("b", Int)];
        let tables = vec![
            Table::new(1, "newest", Rule::LastWriter, &plain, &[]),
            Table::new(2, "owned", Rule::Owned, &plain, &[]),
            Table::new(3, "columns", Rule::Columns, &counted, &[]),
            Table::new(4, "deletes", Rule::DeleteWins, &plain, &[]),
            Table::new(5, "updates", Rule::UpdateWins, &counted, &[]),
            Table::new(6, "one_unique", Rule::LastWriter, &unique, &[1]),
            Table::new(7, "two_unique", Rule::Columns, &twice, &[1, 2]),
            Table::new(8, "texts", Rule::LastWriter, &text, &[1]),
            Table { tally: true, ..Table::new(9, "tally", Rule::Columns, &[("id", Int), ("n", Int)], &[]) },
            Table { checked: true, ..Table::new(10, "checked", Rule::Columns, &counted, &[]) },
            Table::new(11, "parents", Rule::LastWriter, &plain, &[]),
            Table::new(12, "cascaded", Rule::LastWriter, &child, &[]),
            Table::new(13, "nulled", Rule::LastWriter, &child, &[]),
            Table::new(14, "restricted", Rule::LastWriter, &child, &[]),
            Table::new(15, "grandchildren", Rule::LastWriter, &child, &[]),
            Table::new(16, "grandnulled", Rule::LastWriter, &child, &[]),
        ];
        let key = |name, child, parent, on_delete| Foreign { name, child, column: 1, parent, on_delete };
        let foreign = vec![
            key("fk_cascaded", 11, 10, Action::Cascade),
            key("fk_nulled", 12, 10, Action::SetNull),
            key("fk_restricted", 13, 10, Action::Restrict),
            key("fk_grandchildren", 14, 11, Action::Cascade),
            key("fk_grandnulled", 15, 11, Action::SetNull),
        ];
        Self { tables, foreign }
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.name == name)
    }

    pub(crate) fn relations(&self) -> Relations {
        let mut relations = Relations::default();
        for table in &self.tables {
            for place in &table.unique {
                let column = table.map.columns[*place].name.clone();
                let key =
                    UniqueKey { name: format!("uq_{column}"), columns: vec![(column, 0)], functional: false };
                relations.add_unique(&(NAME.to_owned(), table.name.to_owned()), key);
            }
        }
        for foreign in &self.foreign {
            relations.add_foreign(foreign.relation(self));
        }
        relations
    }
}

impl Table {
    fn new(id: u64, name: &'static str, rule: Rule, columns: &[(&str, Col)], unique: &[usize]) -> Self {
        let event = table_map(id, NAME, name, columns);
        let map = Arc::new(TableMap::decode(Event::split(&event, true).unwrap().0.body).unwrap());
        Self { name, rule, event, map, unique: unique.to_vec(), tally: false, checked: false }
    }

    pub(crate) fn id(&self) -> u64 {
        self.map.table_id
    }

    /// The Table_map event under a number.
    pub(crate) fn event_as(&self, id: u64) -> Vec<u8> {
        const ID: std::ops::Range<usize> = 19..25;
        let mut event = self.event.clone();
        event[ID].copy_from_slice(&id.to_le_bytes()[..6]);
        seal(&mut event);
        event
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.map.columns.iter().position(|column| column.name == name)
    }

    /// A value as the server compares it.
    pub(crate) fn compared(&self, place: usize, value: &[u8]) -> Vec<u8> {
        if self.map.columns[place].collation == u16::from(FOLDING) {
            fold_case(value)
        } else {
            value.to_vec()
        }
    }

    pub(crate) fn key(&self, row: &Row) -> Key {
        self.compared(0, row[0].as_ref().unwrap())
    }

    pub(crate) fn image(&self, row: &Row) -> Vec<u8> {
        let values: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
        row_image(&self.map, &values).unwrap()
    }

    pub(crate) fn row(&self, image: &[u8]) -> Row {
        row_values(&self.map, image).unwrap().into_iter().map(|value| value.map(<[u8]>::to_vec)).collect()
    }

    /// Whether its CHECK, if it has one, allows a row.
    pub(crate) fn allows(&self, row: &Row) -> bool {
        !self.checked || self.column("n").is_none_or(|n| read_int(&row[n]) >= 0)
    }

    pub(crate) fn definition(&self) -> Definition {
        Definition {
            columns: self.map.columns.clone(),
            primary_key: vec!["id".to_owned()],
            engine: "InnoDB".to_owned(),
            ..Definition::default()
        }
    }
}

/// Makes an event's checksum right again.
pub(crate) fn seal(event: &mut [u8]) {
    let end = event.len() - 4;
    let sum = crc32fast::hash(&event[..end]);
    event[end..].copy_from_slice(&sum.to_le_bytes());
}

fn fold_case(value: &[u8]) -> Vec<u8> {
    value.to_ascii_lowercase()
}

/// What every server knows of collations.
pub(crate) fn weights() -> Weights {
    let collation = |id, name: &str, charset: &str| Collation {
        id,
        name: name.to_owned(),
        charset: charset.to_owned(),
        pad_space: false,
    };
    Weights::new([
        collation(63, "binary", "binary"),
        collation(65, "ascii_bin", "ascii"),
        collation(u16::from(FOLDING), "utf8mb4_0900_ai_ci", "utf8mb4"),
    ])
}

/// A server's answer about texts.
pub(crate) fn weigh(needs: Vec<Need>) -> Vec<(Need, Vec<u8>)> {
    needs.into_iter().map(|need| (need.clone(), fold_case(&need.text))).collect()
}

/// The policy of a table; `owner` is the first region.
pub(crate) fn policy(schema: &Schema, table: &str, owner: RegionName) -> TablePolicy {
    let newest: Arc<dyn Policy> = Arc::new(LastWriterWins);
    let rule = schema.place(table).map(|place| schema.tables[place].rule);
    let policy: Arc<dyn Policy> = match rule {
        Some(Rule::Owned) => Arc::new(RegionOwned::Fixed(owner)),
        Some(Rule::Columns) => Arc::new(Columns { counter: vec!["n".to_owned()], ..Columns::default() }),
        Some(Rule::DeleteWins) => Deletes::Win.around(newest),
        Some(Rule::UpdateWins) => Deletes::Lose.around(newest),
        _ => newest,
    };
    TablePolicy { policy, detect_only: false }
}

pub(crate) fn int(value: i64) -> Option<Vec<u8>> {
    Some((value as i32).to_le_bytes().to_vec())
}

pub(crate) fn read_int(value: &Option<Vec<u8>>) -> i64 {
    value.as_ref().map_or(0, |bytes| i64::from(i32::from_le_bytes(bytes[..4].try_into().unwrap())))
}
