//! The identity of a row, as one region's index knows it.

use std::collections::HashMap;

use crate::binlog::{Column, ColumnType, EventError, KeyValues, RowChange, TableMap, key_values};

/// 128-bit hash of a table and a primary key as the server compares it.
///
/// Region-local: never sent, since servers of different versions may weigh text differently. 128 bits, because a
/// collision would fold two rows into one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// Hashes the canonical bytes of a key: the table's name and its key columns, each already made unambiguous.
    pub fn of(canonical: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(canonical))
    }
}

/// Why a row has no key hash yet, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Ask the server for the weight of this text, give it to [`Weights::learn`], and try again.
    #[error("the weight of a text under collation {} is not known yet", .0.collation)]
    Need(Need),
    /// The table has no primary key.
    #[error(
        "table {table} has no primary key, so its rows have no identity; add one, or exclude the table in [mesh]"
    )]
    NoPrimaryKey {
        /// Schema and table.
        table: String,
    },
    /// A collation that the server did not list.
    #[error(
        "table {table}: collation {collation} is not known to this server; upgrade it, or exclude the table in [mesh]"
    )]
    UnknownCollation {
        /// Schema and table.
        table: String,
        /// Collation id.
        collation: u16,
    },
    /// A prefix key in a character set whose characters differ in length and are not UTF-8.
    #[error(
        "table {table}: a primary key on a prefix of a {charset} column is not supported; index the whole column"
    )]
    Prefix {
        /// Schema and table.
        table: String,
        /// Character set.
        charset: String,
    },
    /// A key on a column that is not in the row images, as those of a delete have no virtual columns.
    #[error("row images of table {table} lack column {column}, so no key on it can be compared")]
    Absent {
        /// Schema and table.
        table: String,
        /// The column.
        column: String,
    },
    /// The row image cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl KeyError {
    /// Whether rows of that table can never be told apart, whatever they hold.
    pub fn is_of_table(&self) -> bool {
        matches!(self, Self::NoPrimaryKey { .. } | Self::UnknownCollation { .. } | Self::Prefix { .. })
    }
}

/// A text whose weight only the server knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Need {
    /// Collation id.
    pub collation: u16,
    /// The text in the collation's character set, trailing spaces removed where the collation ignores them.
    pub text: Vec<u8>,
}

/// What `information_schema.COLLATIONS` says of a collation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collation {
    /// Its id.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its character set.
    pub charset: String,
    /// Whether trailing spaces are ignored (`PAD SPACE`).
    pub pad_space: bool,
}

impl Collation {
    fn is_binary(&self) -> bool {
        self.name == "binary" || self.name.ends_with("_bin")
    }

    /// A space in its character set.
    fn space(&self) -> &'static [u8] {
        match self.charset.as_str() {
            "ucs2" | "utf16" => &[0, b' '],
            "utf16le" => &[b' ', 0],
            "utf32" => &[0, 0, 0, b' '],
            _ => b" ",
        }
    }
}

/// Characters whose weights may be put together locally.
pub const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Collations under which the weight of a plain ASCII text is the weights of its characters in a row. Each is compared
/// with the server before use ([`Weights::learn_alphabet`]); texts with any other character are always asked for.
pub const LOCAL_COLLATIONS: &[&str] = &[
    "utf8mb4_0900_ai_ci",
    "utf8mb4_general_ci",
    "utf8mb3_general_ci",
    "latin1_swedish_ci",
    "ascii_general_ci",
];

/// Most bytes of texts and weights that are kept; beyond it the cache starts anew.
const CACHE_LEN_MAX: usize = 8 << 20;

/// How the server weighs text: its collations, and the weights that it has told so far.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    collations: HashMap<u16, Collation>,
    alphabets: HashMap<u16, Vec<Option<Box<[u8]>>>>,
    known: HashMap<Need, Box<[u8]>>,
    known_len: usize,
}

impl Weights {
    /// Weights of a server with these collations.
    pub fn new(collations: impl IntoIterator<Item = Collation>) -> Self {
        Self { collations: collations.into_iter().map(|c| (c.id, c)).collect(), ..Self::default() }
    }

    /// The collation with this id.
    pub fn collation(&self, id: u16) -> Option<&Collation> {
        self.collations.get(&id)
    }

    /// The collation of this name.
    pub fn collation_named(&self, name: &str) -> Option<&Collation> {
        self.collations.values().find(|collation| collation.name == name)
    }

    /// Takes the weights of the characters of [`ALPHABET`], in order, and the server's weight of the alphabet as one
    /// text. Returns whether they agree; only then are texts weighed locally.
    pub fn learn_alphabet(&mut self, collation: u16, each: &[Vec<u8>], whole: &[u8]) -> bool {
        let agree = each.len() == ALPHABET.len() && each.concat() == whole;
        if agree {
            let mut table = vec![None; 128];
            for (character, weight) in ALPHABET.iter().zip(each) {
                table[usize::from(*character)] = Some(weight.clone().into_boxed_slice());
            }
            self.alphabets.insert(collation, table);
        }
        agree
    }

    /// Takes the server's answers to what one transaction needs, in one call, so that they are there together.
    pub fn learn(&mut self, answers: Vec<(Need, Vec<u8>)>) {
        if self.known_len > CACHE_LEN_MAX {
            self.known.clear();
            self.known_len = 0;
        }
        for (need, weight) in answers {
            self.known_len += need.text.len() + weight.len() + 96;
            self.known.insert(need, weight.into_boxed_slice());
        }
    }

    fn weigh(&self, table: &TableMap, id: u16, text: &[u8], out: &mut Vec<u8>) -> Result<(), KeyError> {
        let unknown = || KeyError::UnknownCollation { table: table.full_name(), collation: id };
        let collation = self.collations.get(&id).ok_or_else(unknown)?;
        let text = if collation.pad_space { trim_end(text, collation.space()) } else { text };
        if collation.is_binary() {
            out.extend_from_slice(text);
            return Ok(());
        }
        if let Some(alphabet) = self.alphabets.get(&id) {
            let start = out.len();
            let local = text.iter().all(|byte| match alphabet.get(usize::from(*byte)) {
                Some(Some(weight)) => {
                    out.extend_from_slice(weight);
                    true
                }
                _ => false,
            });
            if local {
                return Ok(());
            }
            out.truncate(start);
        }
        let need = Need { collation: id, text: text.to_vec() };
        match self.known.get(&need) {
            Some(weight) => {
                out.extend_from_slice(weight);
                Ok(())
            }
            None => Err(KeyError::Need(need)),
        }
    }
}

fn trim_end<'a>(mut text: &'a [u8], pad: &[u8]) -> &'a [u8] {
    while let Some(rest) = text.strip_suffix(pad) {
        text = rest;
    }
    text
}

/// Identity of the row in an image, by its table's primary key. `scratch` is room for the canonical bytes, reused from call
/// to call.
pub fn key_of(
    table: &TableMap,
    image: &[u8],
    weights: &Weights,
    scratch: &mut Vec<u8>,
) -> Result<KeyHash, KeyError> {
    if table.primary_key.is_empty() {
        return Err(KeyError::NoPrimaryKey { table: table.full_name() });
    }
    let null =
        || KeyError::Event(EventError::Malformed { event: "rows", what: "a primary key column is NULL" });
    key_of_columns(table, image, &table.primary_key, weights, scratch)?.ok_or_else(null)
}

/// The hash of any columns of a row image, compared as a key of the table compares them; `None` if one of them is NULL,
/// since such a row is equal to no other.
///
/// `columns` are places in key order, each with its prefix length in characters (0: whole). Under the columns of the
/// primary key it is [`key_of`]. Another key of the table may have the same hash for other rows, if its types are alike:
/// hashes of one key only can be compared.
pub fn key_of_columns(
    table: &TableMap,
    image: &[u8],
    columns: &[(usize, u32)],
    weights: &Weights,
    scratch: &mut Vec<u8>,
) -> Result<Option<KeyHash>, KeyError> {
    key_of_columns_named((&table.schema, &table.table), table, image, columns, weights, scratch)
}

/// As [`key_of_columns`], but under the name (schema, table) of another table: the key that a child's row refers to.
///
/// `table` and `image` are the child's, and `columns` those of its foreign key in the order in which the parent's key has
/// the columns that they refer to. Where that key is the parent's primary key, the hash is [`key_of`] of the parent's row.
///
/// Both must weigh alike: integers of any width but one sign, texts of one collation (CHAR and VARCHAR may be mixed), other
/// types with the same precision. A server demands that of a foreign key, but lets BINARY refer to VARBINARY, where zeros at
/// the end are part of the one and not of the other.
pub fn key_of_columns_named(
    (schema, name): (&str, &str),
    table: &TableMap,
    image: &[u8],
    columns: &[(usize, u32)],
    weights: &Weights,
    scratch: &mut Vec<u8>,
) -> Result<Option<KeyHash>, KeyError> {
    scratch.clear();
    for name in [schema, name] {
        scratch.extend_from_slice(name.as_bytes());
        scratch.push(0);
    }
    let mut room = KeyValues::default();
    let values = key_values(table, image, columns, &mut room)?;
    let mut null = false;
    for ((place, _), value) in columns.iter().zip(values) {
        let unknown = || EventError::Malformed { event: "Table_map", what: "it lacks a column of a key" };
        let column = table.columns.get(*place).ok_or_else(unknown)?;
        if !table.has(*place) {
            return Err(KeyError::Absent { table: table.full_name(), column: column.name.clone() });
        }
        null |= value.is_none();
    }
    if null {
        return Ok(None);
    }
    for ((place, prefix), value) in columns.iter().zip(values) {
        let (column, value) = (&table.columns[*place], value.unwrap_or_default());
        let start = scratch.len();
        scratch.extend_from_slice(&[0; 4]);
        weigh_column(table, column, value, *prefix, weights, scratch)?;
        let len = (scratch.len() - start - 4) as u32;
        scratch[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }
    Ok(Some(KeyHash::of(scratch)))
}

/// Appends a value such that two are the same bytes if the server holds them for equal.
fn weigh_column(
    table: &TableMap,
    column: &Column,
    value: &[u8],
    prefix: u32,
    weights: &Weights,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    match column.kind {
        ColumnType::Int(_) => out.extend_from_slice(&widen(value, column.unsigned)),
        // Stored at full width, so cutting the padding loses nothing, and the server may have cut it already. A key on
        // a prefix may end in padding too, though the value does not.
        ColumnType::Char(_) if column.collation == BINARY => {
            let value = cut(table, weights, BINARY, value, prefix)?;
            out.extend_from_slice(trim_end(value, &[0]));
        }
        ColumnType::Char(_) => {
            let space = weights.collation(column.collation).map_or(&b" "[..], Collation::space);
            let value = cut(table, weights, column.collation, value, prefix)?;
            weights.weigh(table, column.collation, trim_end(value, space), out)?;
        }
        ColumnType::VarChar(_) | ColumnType::Blob(_) => {
            let value = cut(table, weights, column.collation, value, prefix)?;
            weights.weigh(table, column.collation, value, out)?;
        }
        // Minus zero and zero are one key.
        ColumnType::Float if value == (-0f32).to_le_bytes() => out.extend_from_slice(&[0; 4]),
        ColumnType::Double if value == (-0f64).to_le_bytes() => out.extend_from_slice(&[0; 8]),
        _ => out.extend_from_slice(value),
    }
    Ok(())
}

/// The keys of a row change: of the row before, and of the row after. Texts whose weights are missing are added to
/// `needs`, and their key is `None`: what comes of it then is not to be used.
pub fn keys_of_change(
    table: &TableMap,
    change: &RowChange<'_>,
    weights: &Weights,
    scratch: &mut Vec<u8>,
    needs: &mut Vec<Need>,
) -> Result<(Option<KeyHash>, Option<KeyHash>), KeyError> {
    let mut key =
        |image: Option<&[u8]>| match image.map(|image| key_of(table, image, weights, scratch)).transpose() {
            Err(KeyError::Need(need)) => {
                needs.push(need);
                Ok(None)
            }
            found => found,
        };
    let before = key(change.before)?;
    // Most updates leave the key as it was, and then it need not be weighed and hashed again.
    if let (Some(_), Some(one), Some(other)) = (before, change.before, change.after) {
        let mut room = [KeyValues::default(); 2];
        let [left, right] = &mut room;
        if key_values(table, one, &table.primary_key, left)?
            == key_values(table, other, &table.primary_key, right)?
        {
            return Ok((before, before));
        }
    }
    Ok((before, key(change.after)?))
}

/// Collation id of `binary`.
const BINARY: u16 = 63;

/// An integer key as eight bytes, so that its width does not matter.
fn widen(value: &[u8], unsigned: bool) -> [u8; 8] {
    let negative = !unsigned && value.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    for (to, from) in wide.iter_mut().zip(value) {
        *to = *from;
    }
    wide
}

/// The first `prefix` characters of a text; 0 is all.
fn cut<'a>(
    table: &TableMap,
    weights: &Weights,
    id: u16,
    text: &'a [u8],
    prefix: u32,
) -> Result<&'a [u8], KeyError> {
    let prefix = prefix as usize;
    if prefix == 0 {
        return Ok(text);
    }
    let charset = weights.collation(id).map_or("", |collation| collation.charset.as_str());
    match charset {
        "utf8mb4" | "utf8mb3" => {
            let mut starts =
                text.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80).map(|(at, _)| at);
            Ok(&text[..starts.nth(prefix).unwrap_or(text.len())])
        }
        "binary" | "latin1" | "ascii" => Ok(&text[..prefix.min(text.len())]),
        _ => Err(KeyError::Prefix { table: table.full_name(), charset: charset.to_owned() }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::binlog::Column;

    fn table(kind: ColumnType, collation: u16) -> TableMap {
        let column = Column {
            name: "id".into(),
            kind,
            nullable: false,
            unsigned: false,
            collation,
            members: Vec::new(),
        };
        TableMap {
            table_id: 1,
            schema: "s".into(),
            table: "t".into(),
            columns: vec![column],
            primary_key: vec![(0, 0)],
            present: vec![1],
            body_after_id: Vec::new(),
        }
    }

    fn weights() -> Weights {
        let collation = |id, name: &str, charset: &str, pad_space| Collation {
            id,
            name: name.into(),
            charset: charset.into(),
            pad_space,
        };
        let mut weights = Weights::new([
            collation(255, "utf8mb4_0900_ai_ci", "utf8mb4", false),
            collation(46, "utf8mb4_bin", "utf8mb4", true),
            collation(BINARY, "binary", "binary", false),
        ]);
        let each: Vec<Vec<u8>> = ALPHABET.iter().map(|c| vec![7, c.to_ascii_uppercase()]).collect();
        let whole = each.concat();
        assert!(weights.learn_alphabet(255, &each, &whole));
        weights
    }

    fn text(value: &str) -> Vec<u8> {
        let mut image = vec![0, value.len() as u8];
        image.extend_from_slice(value.as_bytes());
        image
    }

    #[test]
    fn keys_that_differ_only_in_case_are_one_key_under_a_case_insensitive_collation() {
        let (weights, mut scratch) = (weights(), Vec::new());
        let ci = table(ColumnType::VarChar(200), 255);
        let mut key = |table: &TableMap, value: &str| key_of(table, &text(value), &weights, &mut scratch);
        assert_eq!(key(&ci, "abc").unwrap(), key(&ci, "ABC").unwrap());
        assert_ne!(key(&ci, "abc").unwrap(), key(&ci, "abd").unwrap());
        let bin = table(ColumnType::VarChar(200), 46);
        assert_ne!(key(&bin, "abc").unwrap(), key(&bin, "ABC").unwrap());
        assert_eq!(key(&bin, "abc  ").unwrap(), key(&bin, "abc").unwrap());
    }

    #[test]
    fn text_beyond_plain_ascii_is_asked_for_and_then_known() {
        let (mut weights, mut scratch) = (weights(), Vec::new());
        let ci = table(ColumnType::VarChar(200), 255);
        let Err(KeyError::Need(need)) = key_of(&ci, &text("ß"), &weights, &mut scratch) else { panic!() };
        weights.learn(vec![(need, vec![7, b'S', 7, b'S'])]);
        let sharp = key_of(&ci, &text("ß"), &weights, &mut scratch).unwrap();
        assert_eq!(sharp, key_of(&ci, &text("ss"), &weights, &mut scratch).unwrap());
    }

    #[test]
    fn trailing_spaces_are_ignored_in_characters_of_two_and_four_bytes_too() {
        let collation = |id, name: &str, charset: &str| Collation {
            id,
            name: name.into(),
            charset: charset.into(),
            pad_space: true,
        };
        let weights = Weights::new([
            collation(54, "utf16_general_ci", "utf16"),
            collation(55, "utf16_bin", "utf16"),
            collation(61, "utf32_bin", "utf32"),
        ]);
        let mut scratch = Vec::new();
        let mut key = |id, kind, bytes: &[u8]| {
            let image = [&[0, bytes.len() as u8][..], bytes].concat();
            key_of(&table(kind, id), &image, &weights, &mut scratch)
        };
        for kind in [ColumnType::VarChar(200), ColumnType::Char(200)] {
            let a = key(55, kind, b"\0a").unwrap();
            assert_eq!(a, key(55, kind, b"\0a\0 \0 ").unwrap());
            // U+2020 is no two spaces, and U+0120 does not end in one.
            assert_ne!(key(55, kind, b"").unwrap(), key(55, kind, b"  ").unwrap());
            assert_ne!(key(55, kind, b"\0a\x01 ").unwrap(), a);
            let wide = key(61, kind, b"\0\0\0a").unwrap();
            assert_eq!(wide, key(61, kind, b"\0\0\0a\0\0\0 ").unwrap());
            // What the server is asked to weigh is whole characters.
            let Err(KeyError::Need(need)) = key(54, kind, b"\0a\0 ") else { panic!() };
            assert_eq!(need.text, b"\0a");
        }
    }

    #[test]
    fn a_key_on_a_prefix_is_only_that_prefix_whatever_the_type() {
        let (weights, mut scratch) = (weights(), Vec::new());
        for kind in [ColumnType::Char(200), ColumnType::VarChar(200)] {
            let mut prefixed = table(kind, 255);
            prefixed.primary_key = vec![(0, 3)];
            let mut key = |value: &str| key_of(&prefixed, &text(value), &weights, &mut scratch).unwrap();
            assert_eq!(key("abcdef"), key("abcxyz"));
            assert_ne!(key("abcdef"), key("abxdef"));
        }
        let mut binary = table(ColumnType::Char(8), BINARY);
        binary.primary_key = vec![(0, 3)];
        let mut key = |value: &str| key_of(&binary, &text(value), &weights, &mut scratch).unwrap();
        assert_eq!(key("abc1"), key("abc2"));
        assert_eq!(key("a\0\0x"), key("a"));
        assert_ne!(key("abc"), key("abd"));
    }

    #[test]
    fn an_integer_key_does_not_depend_on_its_width() {
        let (weights, mut scratch) = (weights(), Vec::new());
        let narrow = key_of(&table(ColumnType::Int(2), 0), &[0, 0xfe, 0xff], &weights, &mut scratch).unwrap();
        let wide =
            key_of(&table(ColumnType::Int(4), 0), &[0, 0xfe, 0xff, 0xff, 0xff], &weights, &mut scratch)
                .unwrap();
        assert_eq!(narrow, wide);
    }

    /// A table of several columns, without a primary key.
    fn wide(name: &str, kinds: &[(ColumnType, u16)]) -> TableMap {
        let mut map = table(kinds[0].0, kinds[0].1);
        map.table = name.into();
        map.columns = kinds.iter().flat_map(|(kind, collation)| table(*kind, *collation).columns).collect();
        map.present = crate::binlog::full_bitmap(map.columns.len());
        map.primary_key.clear();
        map
    }

    fn image(table: &TableMap, values: &[Option<&[u8]>]) -> Vec<u8> {
        crate::binlog::row_image(table, values).unwrap()
    }

    #[test]
    fn the_hash_of_a_primary_key_is_what_it_has_always_been() {
        // Canonical bytes: names, each closed by a zero, then per column a length of four bytes and the value.
        let (weights, mut scratch) = (weights(), Vec::new());
        let mut parent = wide("t", &[(ColumnType::VarChar(20), 255), (ColumnType::Int(2), 0)]);
        parent.primary_key = vec![(1, 0), (0, 2)];
        let row = image(&parent, &[Some(b"abc"), Some(&[0xfe, 0xff])]);
        let canonical = b"s\0t\0\x08\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\x04\0\0\0\x07A\x07B";
        assert_eq!(key_of(&parent, &row, &weights, &mut scratch), Ok(KeyHash::of(canonical)));
        let columns = parent.primary_key.clone();
        assert_eq!(
            key_of_columns(&parent, &row, &columns, &weights, &mut scratch),
            Ok(Some(KeyHash::of(canonical)))
        );
    }

    #[test]
    fn a_row_with_a_null_in_a_key_has_no_hash_under_it() {
        let (weights, mut scratch) = (weights(), Vec::new());
        let mut map = wide("t", &[(ColumnType::VarChar(200), 255), (ColumnType::Int(4), 0)]);
        // The server is not asked for the weight of a text that no hash comes of.
        let row = image(&map, &[Some("ß".as_bytes()), None]);
        let mut hash = |map: &TableMap, columns: &[(usize, u32)]| {
            key_of_columns(map, &row, columns, &weights, &mut scratch)
        };
        assert_eq!(hash(&map, &[(0, 0), (1, 0)]), Ok(None));
        assert!(matches!(hash(&map, &[(0, 0)]), Err(KeyError::Need(_))));
        assert!(matches!(hash(&map, &[(2, 0)]), Err(KeyError::Event(EventError::Malformed { .. }))));
        // No value is not NULL.
        let mut narrow = map.clone();
        narrow.present = vec![1];
        let column = String::from("id");
        assert_eq!(hash(&narrow, &[(1, 0)]), Err(KeyError::Absent { table: "s.t".into(), column }));
        map.primary_key = vec![(1, 0)];
        assert!(matches!(
            key_of(&map, &row, &weights, &mut scratch),
            Err(KeyError::Event(EventError::Malformed { .. }))
        ));
    }

    #[test]
    fn values_of_a_unique_key_that_the_server_holds_for_equal_have_one_hash() {
        let (weights, mut scratch) = (weights(), Vec::new());
        let map = wide("t", &[(ColumnType::Int(4), 0), (ColumnType::VarChar(200), 255)]);
        let mut hash = |id: u8, value: &str, columns: &[(usize, u32)]| {
            let row = image(&map, &[Some(&[id, 0, 0, 0]), Some(value.as_bytes())]);
            key_of_columns(&map, &row, columns, &weights, &mut scratch).unwrap().unwrap()
        };
        assert_eq!(hash(1, "abc", &[(1, 0)]), hash(2, "ABC", &[(1, 0)]));
        assert_ne!(hash(1, "abc", &[(1, 0)]), hash(1, "abd", &[(1, 0)]));
        assert_eq!(hash(1, "abc", &[(1, 2)]), hash(2, "abd", &[(1, 2)]));
        assert_ne!(hash(1, "abc", &[(0, 0), (1, 0)]), hash(2, "abc", &[(0, 0), (1, 0)]));
        assert_ne!(hash(1, "abc", &[(0, 0), (1, 0)]), hash(1, "abc", &[(1, 0), (0, 0)]));
    }

    #[test]
    fn a_child_has_the_hash_of_the_parent_that_it_refers_to() {
        let (weights, mut scratch) = (weights(), Vec::new());
        let mut parent = wide("parent", &[(ColumnType::Int(4), 0), (ColumnType::Char(40), 255)]);
        parent.primary_key = vec![(1, 0), (0, 0)];
        // Other places, other widths, VARCHAR in place of CHAR, another letter case.
        let child = wide(
            "child",
            &[(ColumnType::Int(8), 0), (ColumnType::VarChar(300), 255), (ColumnType::Int(8), 0)],
        );
        let of_parent = image(&parent, &[Some(&(-7i32).to_le_bytes()), Some(b"Smith")]);
        let of_child = image(&child, &[Some(&[1; 8]), Some(b"smith"), Some(&(-7i64).to_le_bytes())]);
        let key = key_of(&parent, &of_parent, &weights, &mut scratch).unwrap();
        let columns = [(1, 0), (2, 0)];
        let mut referred = |name| {
            key_of_columns_named(("s", name), &child, &of_child, &columns, &weights, &mut scratch).unwrap()
        };
        assert_eq!(referred("parent"), Some(key));
        assert_ne!(referred("child"), Some(key));
        let orphan = image(&child, &[Some(&[1; 8]), Some(b"smith"), None]);
        assert_eq!(
            key_of_columns_named(("s", "parent"), &child, &orphan, &columns, &weights, &mut scratch),
            Ok(None)
        );
    }

    /// A table of `count` INTs, with this primary key.
    fn of_integers(count: usize, primary_key: Vec<(usize, u32)>) -> TableMap {
        let mut table = table(ColumnType::Int(4), 0);
        table.columns = vec![table.columns[0].clone(); count];
        table.present = crate::binlog::full_bitmap(count);
        table.primary_key = primary_key;
        table
    }

    fn row(values: &[u32]) -> Vec<u8> {
        let mut image = vec![0; values.len().div_ceil(8)];
        image.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        image
    }

    #[test]
    fn an_update_has_one_key_unless_it_changes_a_column_of_it() {
        let (weights, mut scratch, mut needs) = (weights(), Vec::new(), Vec::new());
        let table = of_integers(4, vec![(2, 0), (0, 0)]);
        let before = row(&[1, 2, 3, 4]);
        for (after, same) in [([1, 9, 3, 9], true), ([9, 2, 3, 4], false), ([1, 2, 9, 4], false)] {
            let after = row(&after);
            let change = RowChange { before: Some(&before), after: Some(&after) };
            let keys = keys_of_change(&table, &change, &weights, &mut scratch, &mut needs).unwrap();
            let mut alone = |image| Some(key_of(&table, image, &weights, &mut scratch).unwrap());
            assert_eq!(keys, (alone(&before), alone(&after)));
            assert_eq!(keys.0 == keys.1, same);
        }
        assert_eq!(needs, []);
    }

    #[test]
    fn a_key_has_at_most_sixteen_columns() {
        let (weights, mut scratch) = (weights(), Vec::new());
        let key = |count| (0..count).map(|place| (place, 0)).collect();
        let mut of =
            |count| key_of(&of_integers(20, key(count)), &row(&[7; 20]), &weights, &mut scratch).map(drop);
        assert_eq!(of(16), Ok(()));
        let what = "a key has more than 16 columns";
        assert_eq!(of(17), Err(KeyError::Event(EventError::Malformed { event: "Table_map", what })));
    }
}
