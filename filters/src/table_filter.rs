//! What one filter does to the tables that it is for.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use transaction::binlog::{
    Column, ColumnType, EventError, RowChange, SeenChange, TableMap, TableView, Value, View, charset_name,
    encode_value, row_image, row_values,
};

use crate::{Condition, Pattern};

/// What becomes of a masked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// NULL.
    Null,
    /// SHA-256 of the value's bytes in small hexadecimal digits, as many as the column holds. Of text and binary columns
    /// only. Equal values stay equal; whoever can guess a value can find out.
    Hash,
    /// Always this text, number or date; NULL stays NULL.
    Constant(String),
}

/// A filter: for which tables it is, and how they are seen.
///
/// In this order: the row conditions judge the row as it is at the origin, then columns are masked, then dropped, then the
/// table takes its new name. Names in `tables` are the origin's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableFilter {
    /// For which tables.
    pub tables: Vec<Pattern>,
    /// The schema that they have here; `None`: the same.
    pub schema: Option<String>,
    /// The table's name here; `None`: the same.
    pub table: Option<String>,
    /// Columns that are left out.
    pub drop: Vec<String>,
    /// Columns that get other values.
    pub mask: Vec<(String, Mask)>,
    /// What a row must fulfil to be here. An update that makes a row fulfil them inserts it, one that makes it fail them
    /// deletes it.
    pub rows: Vec<Condition>,
}

/// The filters of a region, in the order of the file: the first one with a pattern that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters(pub Vec<TableFilter>);

impl TableFilter {
    /// Whether rows are other than at the origin, or some are missing: then this region must not write to the table.
    pub fn is_lossy(&self) -> bool {
        !self.drop.is_empty() || !self.mask.is_empty() || !self.rows.is_empty()
    }

    /// The filter's way with one table; the error is why there is none.
    pub fn seen(&self, there: &TableMap) -> Result<SeenTable, String> {
        let place = |name: &String| there.columns.iter().position(|column| column.name == *name);
        let is_key = |place: usize| there.primary_key.iter().any(|(key, _)| *key == place);
        let key_refused = |name: &str, what| {
            Err(format!(
                "it would {what} column `{name}` of the primary key, by which rows are known; leave it as it is"
            ))
        };
        let mut masks = vec![None; there.columns.len()];
        for (name, mask) in &self.mask {
            let Some(place) = place(name) else { continue };
            if is_key(place) {
                return key_refused(name, "mask");
            }
            masks[place] = Some(Masked::new(&there.columns[place], mask)?);
        }
        let mut kept = Vec::new();
        for at in 0..there.columns.len() {
            let name = &there.columns[at].name;
            if !self.drop.contains(name) {
                kept.push(at);
            } else if is_key(at) {
                return key_refused(name, "drop");
            }
        }
        let mut conditions = Vec::new();
        for condition in &self.rows {
            let found = place(&condition.column().to_owned()).filter(|place| there.has(*place));
            let Some(place) = found else {
                return Err(format!("its condition {condition} is on a column that the table has not"));
            };
            conditions.push((place, condition.clone()));
        }
        let columns: Vec<Column> = kept.iter().map(|at| there.columns[*at].clone()).collect();
        let new_place = |old: usize| kept.iter().position(|at| *at == old);
        let primary_key =
            there.primary_key.iter().filter_map(|(at, prefix)| Some((new_place(*at)?, *prefix))).collect();
        let mut present = vec![0; columns.len().div_ceil(8)];
        for (at, old) in kept.iter().enumerate().filter(|(_, old)| there.has(**old)) {
            present[at / 8] |= u8::from(there.has(*old)) << (at % 8);
        }
        let schema = self.schema.as_ref().unwrap_or(&there.schema);
        let table = self.table.as_ref().unwrap_or(&there.table);
        let seen = TableMap::of(schema, table, columns, primary_key, present);
        Ok(SeenTable { there: Arc::new(there.clone()), seen: Arc::new(seen), kept, masks, conditions })
    }
}

impl Filters {
    /// The filter of a table, by the origin's names.
    pub fn of(&self, schema: &str, table: &str) -> Option<&TableFilter> {
        self.0.iter().find(|filter| filter.tables.iter().any(|pattern| pattern.matches(schema, table)))
    }

    /// The filter that makes a table, by the names that it has here.
    pub fn making(&self, schema: &str, table: &str) -> Option<&TableFilter> {
        self.0.iter().find(|filter| {
            let fits = |own: &Option<String>, name: &str| own.as_ref().is_none_or(|own| own == name);
            fits(&filter.schema, schema)
                && fits(&filter.table, table)
                && filter.tables.iter().any(|pattern| {
                    // A name that is replaced may have been any.
                    let schema = filter.schema.as_ref().map_or(schema, |_| pattern.schema());
                    let table = filter.table.as_ref().map_or(table, |_| pattern.table());
                    pattern.matches(schema, table)
                })
        })
    }
}

impl View for Filters {
    fn of(&self, table: &TableMap) -> Result<Option<Arc<dyn TableView>>, EventError> {
        let Some(filter) = Filters::of(self, &table.schema, &table.table) else { return Ok(None) };
        match filter.seen(table) {
            Ok(seen) => Ok(Some(Arc::new(seen))),
            Err(reason) => Err(EventError::Filter { table: table.full_name(), reason }),
        }
    }
}

/// A mask that fits its column.
#[derive(Debug, Clone)]
enum Masked {
    Null,
    /// How many digits the column holds.
    Hash(usize),
    Constant(Vec<u8>),
}

impl Masked {
    fn new(column: &Column, mask: &Mask) -> Result<Self, String> {
        let name = &column.name;
        match mask {
            Mask::Null if column.nullable => Ok(Self::Null),
            Mask::Null => Err(format!("column `{name}` is NOT NULL: mask it with \"hash\" or a constant")),
            Mask::Hash => hash_len(column).map(Self::Hash).ok_or_else(|| {
                format!("column `{name}` cannot hold a hash: only text in an ASCII-like character set and binary strings can")
            }),
            Mask::Constant(text) => encode_value(column, text.as_bytes())
                .filter(|_| longest(column).is_none_or(|longest| text.chars().count() <= longest))
                .map(Self::Constant)
                .ok_or_else(|| format!("column `{name}` cannot hold the constant {text:?}")),
        }
    }
}

/// How many characters a CHAR or VARCHAR column holds; `None` for other types.
fn longest(column: &Column) -> Option<usize> {
    let (ColumnType::Char(bytes) | ColumnType::VarChar(bytes)) = column.kind else { return None };
    // The layout counts bytes, of the longest characters.
    let width = match charset_name(column.collation) {
        Some("utf8mb4" | "gb18030" | "utf16" | "utf16le" | "utf32") => 4,
        Some("utf8mb3" | "ujis" | "eucjpms") => 3,
        Some("big5" | "cp932" | "euckr" | "gb2312" | "gbk" | "sjis" | "ucs2") => 2,
        _ => 1,
    };
    Some(usize::from(bytes) / width)
}

/// How many hexadecimal digits fit a column; `None` if it is no place for them.
fn hash_len(column: &Column) -> Option<usize> {
    const DIGITS: usize = 64;
    let is_like_ascii =
        !matches!(charset_name(column.collation)?, "ucs2" | "utf16" | "utf16le" | "utf32" | "swe7");
    let fits = match column.kind {
        ColumnType::Blob(_) => DIGITS,
        _ => longest(column)?.min(DIGITS),
    };
    (is_like_ascii && fits > 0).then_some(fits)
}

/// How a filter shows one table.
#[derive(Debug)]
pub struct SeenTable {
    there: Arc<TableMap>,
    seen: Arc<TableMap>,
    /// Places at the origin of the columns that are seen.
    kept: Vec<usize>,
    /// By place at the origin.
    masks: Vec<Option<Masked>>,
    conditions: Vec<(usize, Condition)>,
}

impl SeenTable {
    fn image(&self, image: &[u8]) -> Result<Option<Vec<u8>>, EventError> {
        let unfit = |reason| EventError::Filter { table: self.there.full_name(), reason };
        let values = row_values(&self.there, image)?;
        for (place, condition) in &self.conditions {
            let column = &self.there.columns[*place];
            let value = Value::decode(column, values[*place])?;
            let holds = condition.holds(&value);
            let holds = holds.map_err(|_| {
                unfit(format!("its condition {condition} does not fit a column of that type"))
            })?;
            if !holds {
                return Ok(None);
            }
        }
        let mut hashes = vec![Vec::new(); values.len()];
        for (at, mask) in self.masks.iter().enumerate() {
            if let (Some(Masked::Hash(len)), Some(value)) = (mask, values[at]) {
                let digits: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
                hashes[at] = digits.as_bytes()[..*len].to_vec();
            }
        }
        let shown = |at: usize| match (&self.masks[at], values[at]) {
            (_, None) | (Some(Masked::Null), _) => None,
            (Some(Masked::Hash(_)), Some(_)) => Some(hashes[at].as_slice()),
            (Some(Masked::Constant(bytes)), Some(_)) => Some(bytes.as_slice()),
            (None, value) => value,
        };
        let values: Vec<Option<&[u8]>> = self.kept.iter().map(|at| shown(*at)).collect();
        row_image(&self.seen, &values)
            .map(Some)
            .ok_or_else(|| unfit("a masked value is too long for its column".to_owned()))
    }
}

impl TableView for SeenTable {
    fn table(&self) -> &Arc<TableMap> {
        &self.seen
    }

    fn change(&self, change: &RowChange<'_>) -> Result<SeenChange, EventError> {
        let seen = |image: Option<&[u8]>| match image {
            Some(image) => self.image(image),
            None => Ok(None),
        };
        Ok((seen(change.before)?, seen(change.after)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
