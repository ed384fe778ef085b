//! What is written down of a conflict before the row that it decided is committed.
//!
//! Plain data. The applier builds an [`Entry`] for each conflict that it finds, hands the entries of a target transaction
//! to a [`Journal`] before COMMIT, and withdraws them if that transaction came to nothing. Where entries are kept, for how
//! long, and how they are shown, is the business of whoever implements the trait.
//!
//! Values are text: SQL literals as they would be written in a statement (`42`, `'abc'`, `0xFF`), `None` for NULL. So an
//! entry can be read without the table's definition of that time, and after the logs that it came from are gone.

mod pairs;

use std::fmt;

use serde::{Deserialize, Serialize};
use transaction::{Halt, Hlc, RegionName, Sequence};
use xxhash_rust::xxh3::xxh3_128;

/// Columns of a row in the order of the table: name, and SQL literal; `None` is NULL.
pub type Columns = Vec<(String, Option<String>)>;

/// One conflict: two writes of a row, neither of which had seen the other, or two rows that one constraint cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 32 hexadecimal digits, from [`id_of`]: the same conflict met twice, or in two regions, has the same id.
    pub id: String,
    /// Wall clock of the region that found it, microseconds since 1970.
    pub found_us: u64,
    /// Where it was found.
    pub region: RegionName,
    /// Schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Columns of the primary key, in key order: name and SQL literal.
    #[serde(with = "pairs")]
    pub key: Vec<(String, String)>,
    /// What met what.
    pub kind: Kind,
    /// When in the target transaction it was found.
    pub found: Found,
    /// The rule that decided, such as `last-writer-wins`, `columns + delete-wins` or `unique key uq_email`.
    pub policy: String,
    /// The write that was being applied.
    pub incoming: Side,
    /// The write that was here already: of its concurrent ones, the newest in fold order.
    pub existing: Side,
    /// What was decided.
    pub winner: Winner,
    /// The row afterwards; `None` if there is none.
    #[serde(with = "pairs::optional")]
    pub result: Option<Columns>,
    /// How many repairs were written because of it.
    pub repairs: u32,
    /// Whether the conflict was only reported: the incoming write was taken as it is, and regions may differ.
    pub detect_only: bool,
}

/// One of the two writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Where it first committed.
    pub origin: RegionName,
    /// Its transaction in that origin's log.
    pub sequence: Sequence,
    /// Stamp of its transaction.
    pub hlc: Hlc,
    /// Place of the row change in its transaction, from 0.
    pub index: u32,
    /// When it committed at its origin, by that server's clock, microseconds since 1970.
    pub commit_us: u64,
    /// GTID under which the origin committed it; empty if it is not known.
    pub gtid: String,
    /// What it had seen: per region, the highest sequence number that was committed at its origin before it.
    #[serde(with = "pairs")]
    pub context: Vec<(RegionName, Sequence)>,
    /// The row before it; `None` for an insert, or if the image is not at hand.
    #[serde(with = "pairs::optional")]
    pub before: Option<Columns>,
    /// The row as it left it; `None` for a delete.
    #[serde(with = "pairs::optional")]
    pub after: Option<Columns>,
    /// Whether it is a repair: a write of Concord itself.
    pub repair: bool,
}

/// What met what: the incoming write first, then the one that was here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The names say it.
pub enum Kind {
    InsertInsert,
    InsertUpdate,
    InsertDelete,
    UpdateInsert,
    UpdateUpdate,
    UpdateDelete,
    DeleteInsert,
    DeleteUpdate,
    DeleteDelete,
    /// Two rows with one value of a unique secondary key.
    Unique,
    /// A row whose parent is gone, or a parent that goes while it has children.
    ForeignKey,
    /// A write that a person passed over; its row stayed as it was.
    Skipped,
}

/// What a write did to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It made the row.
    Insert,
    /// It changed the row.
    Update,
    /// It removed the row.
    Delete,
}

/// When in the target transaction a conflict was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// In the history, before anything was sent to the server.
    FirstLook,
    /// When the row was locked: a client had just written it.
    UnderLock,
    /// By a unique key or a foreign key.
    Constraint,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Winner {
    /// The row is as the incoming write left it.
    Incoming,
    /// The row is as it was.
    Existing,
    /// The row has something of both.
    Merged,
    /// Nothing: a person must decide, and the origin waits.
    Halted,
}

/// Where one write stands: its origin, its transaction there, and its place in that transaction.
pub type Position = (RegionName, Sequence, u32);

/// Where conflicts are written down.
pub trait Journal: Send + Sync {
    /// Writes entries down; returns when they are durable. Called before COMMIT of the target transaction that they are of.
    ///
    /// An entry whose id stands there already is not written again. An error means that nothing may be committed: its text
    /// names the thing, the reason and the remedy.
    fn write(&self, entries: &[Entry]) -> Result<(), Halt>;

    /// The target transaction of these entries was rolled back, or its commit found not to have happened.
    fn withdraw(&self, ids: &[String]) -> Result<(), Halt>;
}

/// The id of a conflict between two writes: XXH3-128 of table, key and the two positions, whichever of them was here first.
///
/// So the regions that find the same conflict give it the same id, and so does a region that finds it again.
pub fn id_of(schema: &str, table: &str, key: &[(String, String)], one: Position, other: Position) -> String {
    let mut bytes = Vec::with_capacity(256);
    // The length first, so that no two lists of texts run together to the same bytes.
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    text(&mut bytes, schema);
    text(&mut bytes, table);
    for (column, literal) in key {
        text(&mut bytes, column);
        text(&mut bytes, literal);
    }
    for (origin, sequence, index) in [one.min(other), one.max(other)] {
        text(&mut bytes, origin.as_str());
        bytes.extend_from_slice(&sequence.0.to_le_bytes());
        bytes.extend_from_slice(&index.to_le_bytes());
    }
    format!("{:032x}", xxh3_128(&bytes))
}

/// What a literal that was cut ends with; no whole one does.
const CUT: &str = "… (cut)";

/// Whether a literal was cut when it was written down, so that it no longer says the whole value.
pub fn is_cut(literal: &str) -> bool {
    literal.ends_with(CUT)
}

impl Entry {
    /// Whether any value is longer than `bytes_max`.
    pub fn is_longer_than(&self, bytes_max: usize) -> bool {
        let long = |literal: &String| literal.len() > bytes_max;
        let columns = |columns: &Columns| columns.iter().filter_map(|(_, value)| value.as_ref()).any(long);
        self.key.iter().any(|(_, literal)| long(literal)) || self.images().into_iter().flatten().any(columns)
    }

    /// Cuts every value to at most `bytes_max` bytes and a mark ([`is_cut`]): a journal is no place for large objects,
    /// which stand in the logs.
    pub fn shorten(&mut self, bytes_max: usize) {
        let cut = |literal: &mut String| {
            if literal.len() > bytes_max {
                let whole = (0..=bytes_max).rev().find(|at| literal.is_char_boundary(*at));
                literal.truncate(whole.unwrap_or(0));
                literal.push_str(CUT);
            }
        };
        self.key.iter_mut().for_each(|(_, literal)| cut(literal));
        let (incoming, existing) = (&mut self.incoming, &mut self.existing);
        let images = [
            &mut incoming.before,
            &mut incoming.after,
            &mut existing.before,
            &mut existing.after,
            &mut self.result,
        ];
        for (_, value) in images.into_iter().flatten().flatten() {
            value.iter_mut().for_each(cut);
        }
    }

    fn images(&self) -> [Option<&Columns>; 5] {
        let (incoming, existing) = (&self.incoming, &self.existing);
        [&incoming.before, &incoming.after, &existing.before, &existing.after, &self.result]
            .map(Option::as_ref)
    }
}

impl Side {
    /// Where the write stands.
    pub fn position(&self) -> Position {
        (self.origin, self.sequence, self.index)
    }

    /// The transaction numbers of `origin` that it had seen go up to this one.
    pub fn seen(&self, origin: RegionName) -> Sequence {
        let entry = self.context.iter().find(|(name, _)| *name == origin);
        entry.map(|(_, sequence)| *sequence).unwrap_or_default()
    }
}

impl Kind {
    /// The kind of a conflict that is of one row.
    pub fn of(incoming: Verb, existing: Verb) -> Self {
        match (incoming, existing) {
            (Verb::Insert, Verb::Insert) => Self::InsertInsert,
            (Verb::Insert, Verb::Update) => Self::InsertUpdate,
            (Verb::Insert, Verb::Delete) => Self::InsertDelete,
            (Verb::Update, Verb::Insert) => Self::UpdateInsert,
            (Verb::Update, Verb::Update) => Self::UpdateUpdate,
            (Verb::Update, Verb::Delete) => Self::UpdateDelete,
            (Verb::Delete, Verb::Insert) => Self::DeleteInsert,
            (Verb::Delete, Verb::Update) => Self::DeleteUpdate,
            (Verb::Delete, Verb::Delete) => Self::DeleteDelete,
        }
    }

    /// All there are.
    pub const ALL: [Self; 12] = [
        Self::InsertInsert,
        Self::InsertUpdate,
        Self::InsertDelete,
        Self::UpdateInsert,
        Self::UpdateUpdate,
        Self::UpdateDelete,
        Self::DeleteInsert,
        Self::DeleteUpdate,
        Self::DeleteDelete,
        Self::Unique,
        Self::ForeignKey,
        Self::Skipped,
    ];

    /// The name, as it stands in the journal and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::InsertInsert => "insert-insert",
            Self::InsertUpdate => "insert-update",
            Self::InsertDelete => "insert-delete",
            Self::UpdateInsert => "update-insert",
            Self::UpdateUpdate => "update-update",
            Self::UpdateDelete => "update-delete",
            Self::DeleteInsert => "delete-insert",
            Self::DeleteUpdate => "delete-update",
            Self::DeleteDelete => "delete-delete",
            Self::Unique => "unique",
            Self::ForeignKey => "foreign-key",
            Self::Skipped => "skipped",
        }
    }
}

impl Winner {
    /// The name, as it stands in the journal and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Existing => "existing",
            Self::Merged => "merged",
            Self::Halted => "halted",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Winner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(origin: &str, sequence: u64, index: u32) -> Position {
        (origin.parse().unwrap(), Sequence(sequence), index)
    }

    fn key(literal: &str) -> Vec<(String, String)> {
        vec![("id".to_owned(), literal.to_owned())]
    }

    #[test]
    fn the_same_two_writes_have_one_id_whichever_was_here_first() {
        let id = id_of("shop", "orders", &key("7"), at("eu", 5, 0), at("us", 3, 1));
        assert_eq!(id, id_of("shop", "orders", &key("7"), at("us", 3, 1), at("eu", 5, 0)));
        assert_eq!(id, "b75e5313e464f34a617501faac417c5f");
    }

    #[test]
    fn another_row_or_another_write_is_another_conflict() {
        let id = |schema, table, literal, sequence, index| {
            id_of(schema, table, &key(literal), at("eu", 5, 0), at("us", sequence, index))
        };
        let ids = [
            id("shop", "orders", "7", 3, 1),
            id("shop", "orders", "8", 3, 1),
            id("shop", "orders", "7", 4, 1),
            id("shop", "orders", "7", 3, 2),
            id("shopo", "rders", "7", 3, 1),
            id("shop", "stock", "7", 3, 1),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    fn side(origin: &str, sequence: u64, qty: &str) -> Side {
        let row = |qty: &str| {
            Some(vec![("id".to_owned(), Some("7".to_owned())), ("a qty".to_owned(), Some(qty.to_owned()))])
        };
        Side {
            origin: origin.parse().unwrap(),
            sequence: Sequence(sequence),
            hlc: Hlc(1_000_000 + sequence),
            index: 0,
            commit_us: 1_000_000,
            gtid: String::new(),
            context: vec![("us".parse().unwrap(), Sequence(2))],
            before: row("1"),
            after: row(qty),
            repair: false,
        }
    }

    fn entry() -> Entry {
        let (incoming, existing) = (side("us", 3, "2"), side("eu", 5, "3"));
        Entry {
            id: id_of("shop", "stock", &key("7"), incoming.position(), existing.position()),
            found_us: 2_000_000,
            region: "eu".parse().unwrap(),
            schema: "shop".to_owned(),
            table: "stock".to_owned(),
            key: key("7"),
            kind: Kind::of(Verb::Update, Verb::Update),
            found: Found::FirstLook,
            policy: "last-writer-wins".to_owned(),
            winner: Winner::Incoming,
            result: incoming.after.clone(),
            incoming,
            existing,
            repairs: 0,
            detect_only: false,
        }
    }

    #[test]
    fn an_entry_survives_the_way_to_the_journal_and_back_with_its_columns_in_order() {
        let mut entry = entry();
        entry.existing.after = None;
        let text = serde_json::to_string(&entry).unwrap();
        assert!(text.contains(r#""result":{"id":"7","a qty":"2"}"#), "{text}");
        assert!(text.contains(r#""context":{"us":2}"#) && text.contains(r#""after":null"#), "{text}");
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let mut entry = entry();
        entry.result = Some(vec![("note".to_owned(), Some(format!("'{}'", "ü".repeat(50))))]);
        assert!(entry.is_longer_than(100) && !entry.is_longer_than(102));
        let whole = entry.clone();
        entry.shorten(102);
        assert_eq!(entry, whole);
        entry.shorten(100);
        assert!(!entry.is_longer_than(100 + CUT.len()));
        let note = entry.result.unwrap()[0].1.clone().unwrap();
        assert!(note.starts_with("'üü") && is_cut(&note), "{note}");
    }

    #[test]
    fn names_in_the_journal_are_the_names_in_labels() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for winner in [Winner::Incoming, Winner::Existing, Winner::Merged, Winner::Halted] {
            assert_eq!(serde_json::to_value(winner).unwrap(), winner.name());
        }
    }
}
