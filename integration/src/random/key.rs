//! Keys of a table beside its primary key.

use super::column::Column;
use crate::shop::dice::Dice;

/// The most bytes that an index may have of a row, with some room.
const KEY_BYTES_MAX: u64 = 2900;

/// One part of a key: a column, and how much of it.
pub(super) fn part(dice: &mut Dice, column: &Column) -> Option<(String, u64)> {
    if column.kind.has_no_key() {
        return None;
    }
    let prefix = (column.kind.needs_prefix() || column.kind.takes_prefix() && dice.below(4) == 0)
        .then(|| 1 + dice.below(4));
    // A prefix longer than the column is refused.
    let prefix =
        prefix.filter(|prefix| column.kind.needs_prefix() || column.kind.key_bytes(None) > *prefix * 4);
    let order = if dice.below(4) == 0 { " DESC" } else { "" };
    let length = prefix.map_or_else(String::new, |prefix| format!("({prefix})"));
    Some((format!("{}{length}{order}", column.name), column.kind.key_bytes(prefix)))
}

/// Keys over some of these columns, as lines of a `CREATE TABLE`.
pub(super) fn some(dice: &mut Dice, columns: &[Column]) -> Vec<String> {
    let mut keys = Vec::new();
    for number in 0..dice.below(4) {
        let unique = if dice.below(3) == 0 { "UNIQUE KEY" } else { "KEY" };
        let (mut parts, mut bytes) = (Vec::new(), 0);
        let mut used = Vec::new();
        for _ in 0..=dice.below(3) {
            let Some(column) = dice.pick(columns) else { continue };
            if used.contains(&&column.name) {
                continue;
            }
            if let Some((part, len)) = part(dice, column)
                && bytes + len <= KEY_BYTES_MAX
            {
                used.push(&column.name);
                bytes += len;
                parts.push(part);
            }
        }
        if !parts.is_empty() {
            keys.push(format!("{unique} k{number} ({})", parts.join(", ")));
        }
    }
    keys.extend(special(dice, columns));
    keys
}

/// A key over an expression, the members of an array, or words.
fn special(dice: &mut Dice, columns: &[Column]) -> Option<String> {
    use super::column::Kind;
    if dice.below(3) > 0 {
        return None;
    }
    let column = dice.pick(columns)?;
    let name = &column.name;
    match column.kind {
        Kind::Int { .. } => Some(format!("UNIQUE KEY f ((ABS({name} MOD 100000)), ({name} IS NULL))")),
        Kind::VarChar { len: 1..=200, .. } => Some(format!("KEY f ((UPPER({name})))")),
        Kind::Json => Some(format!("KEY m ((CAST(JSON_EXTRACT({name}, '$.a') AS CHAR(20) ARRAY)))")),
        Kind::Text { letters, .. } if letters.charset == "utf8mb4" && column.generated.is_none() => {
            Some(format!("FULLTEXT KEY w ({name})"))
        }
        _ => None,
    }
}
