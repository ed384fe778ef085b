//! The values by which rows meet, as hashes that compare as the server does.

use std::sync::Arc;

use conflict::Image;
use transaction::binlog::{TableMap, row_image, row_values};
use transaction::key::{KeyError, key_of_columns_named};
use transaction::{KeyHash, Weights, key_of};

use super::settle::{Claim, Reference};
use crate::attempt::Attempt;
use crate::code;
use crate::relations::{Action, ForeignKey, UniqueKey};
use crate::session::SqlFailure;
use crate::target::Target;

/// Hashes something whose text weights may have to be asked for first.
async fn hashed<T: Target, H>(
    attempt: &mut Attempt<'_, T>,
    of: impl Fn(&Weights, &mut Vec<u8>) -> Result<H, KeyError>,
) -> Result<H, SqlFailure> {
    loop {
        let hashed = of(&attempt.setup.shared.weights.read(), &mut Vec::new());
        match hashed {
            Ok(hash) => return Ok(hash),
            Err(KeyError::Need(need)) => {
                attempt.target.weigh(&attempt.setup.shared, vec![need]).await?;
            }
            Err(other) => return Err(code::of_key(other).into()),
        }
    }
}

/// The key of a row.
pub(super) async fn hash_key<T: Target>(
    attempt: &mut Attempt<'_, T>,
    image: &Image,
) -> Result<KeyHash, SqlFailure> {
    hashed(attempt, |weights, scratch| key_of(&image.table, &image.bytes, weights, scratch)).await
}

/// The hash of some columns' values under a name of their own; `None` if one of them is NULL.
async fn values<T: Target>(
    attempt: &mut Attempt<'_, T>,
    scope: (&str, &str),
    image: &Image,
    columns: &[(&String, u32)],
) -> Result<Option<KeyHash>, SqlFailure> {
    let places = columns
        .iter()
        .map(|(name, prefix)| {
            let place = image.table.columns.iter().position(|column| column.name == **name);
            place.map(|place| (place, *prefix)).ok_or_else(|| {
                code::ROW_UNREADABLE.halt(format_args!(
                    "column `{name}` of a key of {} is missing in a row of the log",
                    image.table.full_name()
                ))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    hashed(attempt, |weights, scratch| {
        key_of_columns_named(scope, &image.table, &image.bytes, &places, weights, scratch)
    })
    .await
}

/// The value that a row holds in a unique key; `None` if a part of it is NULL.
pub(super) async fn claim<T: Target>(
    attempt: &mut Attempt<'_, T>,
    unique: &UniqueKey,
    image: &Image,
) -> Result<Option<Claim>, SqlFailure> {
    let columns: Vec<(&String, u32)> = unique.columns.iter().map(|(name, prefix)| (name, *prefix)).collect();
    // Two keys of one table may have one value.
    let scope = format!("{}\u{1}{}", image.table.table, unique.name);
    let value = values(attempt, (&image.table.schema, &scope), image, &columns).await?;
    Ok(value.map(|value| Claim {
        value,
        name: unique.name.clone(),
        columns: unique.columns.iter().map(|(name, _)| name.clone()).collect(),
    }))
}

/// What a parent's row offers to a foreign key; `None` if a part of it is NULL.
pub(super) async fn offer<T: Target>(
    attempt: &mut Attempt<'_, T>,
    foreign: &ForeignKey,
    image: &Image,
) -> Result<Option<KeyHash>, SqlFailure> {
    let columns: Vec<(&String, u32)> = foreign.parent_columns.iter().map(|name| (name, 0)).collect();
    values(attempt, (&foreign.child.0, &foreign.name), image, &columns).await
}

/// What a child's row refers to by a foreign key; `None` if a part of it is NULL.
pub(super) async fn refer<T: Target>(
    attempt: &mut Attempt<'_, T>,
    foreign: &ForeignKey,
    image: &Image,
) -> Result<Option<Reference>, SqlFailure> {
    let columns: Vec<(&String, u32)> = foreign.child_columns.iter().map(|name| (name, 0)).collect();
    let value = values(attempt, (&foreign.child.0, &foreign.name), image, &columns).await?;
    Ok(value.map(|value| Reference {
        value,
        name: foreign.name.clone(),
        columns: foreign.child_columns.clone(),
        set_null: foreign.on_delete == Action::SetNull,
        outside: false,
    }))
}

/// An image of the parent of a row, of which only the primary key is filled in; `None` if the foreign key refers to
/// other columns, so that no one can tell it.
pub(super) fn absent_parent(
    foreign: &ForeignKey,
    layout: &Arc<TableMap>,
    child: &Image,
) -> Result<Option<Image>, SqlFailure> {
    let of_child = row_values(&child.table, &child.bytes).map_err(code::of_event)?;
    let mut values: Vec<Option<&[u8]>> = vec![None; layout.columns.len()];
    for (place, _) in &layout.primary_key {
        let name = &layout.columns[*place].name;
        let Some(at) = foreign.parent_columns.iter().position(|column| column == name) else {
            return Ok(None);
        };
        let referring = &foreign.child_columns[at];
        let from = child.table.columns.iter().position(|column| column.name == *referring);
        let Some(value) = from.and_then(|from| of_child[from]) else { return Ok(None) };
        values[*place] = Some(value);
    }
    Ok(row_image(layout, &values).map(|bytes| Image { table: layout.clone(), bytes }))
}
