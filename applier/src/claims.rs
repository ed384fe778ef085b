//! What a batch lays hold on: its rows, and the unique and foreign-key values in them. Pure.
//!
//! Of two batches that have a claim in common, the later one sends those rows only when the earlier one has committed. The claims of
//! rows are exact, and with them the order of each row's changes is kept. Those of values are hints: bytes are compared, not what a
//! collation makes of them. One that is missed makes the server refuse a row, or wait for the earlier batch, and the later one runs again
//! in its turn.

use std::collections::HashSet;

use transaction::KeyHash;
use transaction::binlog::{TableMap, row_values};

use crate::effect::Part;
use crate::net::RowChange;
use crate::relations::Relations;

/// What a batch lays hold on.
#[derive(Debug, Default)]
pub(crate) struct Claims(HashSet<KeyHash>);

impl Claims {
    /// Those of all that `part` does.
    pub(crate) fn of(part: &Part, relations: &Relations) -> Self {
        let mut all: HashSet<KeyHash> = HashSet::with_capacity(part.effects.len());
        let mut values = Vec::new();
        for effect in &part.effects {
            all.insert(effect.key);
            for image in [part.before(effect), part.after(effect)].into_iter().flatten() {
                claim_values(&effect.table, image, relations, &mut values);
            }
            all.extend(values.drain(..));
        }
        Self(all)
    }

    fn has_one_of(&self, claims: &[KeyHash]) -> bool {
        claims.iter().any(|claim| self.0.contains(claim))
    }
}

/// Tells the changes that may be sent while the batches of `before` are on their way from those that wait for them, each in their order.
/// `None` among `before`: it is not known yet what that one lays hold on.
pub(crate) fn part_free<'c, 'p>(
    changes: &'c [RowChange<'p>],
    before: &[Option<&Claims>],
    relations: &Relations,
) -> (Vec<&'c RowChange<'p>>, Vec<&'c RowChange<'p>>) {
    // What waits holds back what would have come after it.
    let mut held = Claims::default();
    let mut own = Vec::new();
    changes.iter().partition(|change| {
        own.clear();
        own.push(change.key);
        for image in [change.before, change.after].into_iter().flatten() {
            claim_values(change.table, image, relations, &mut own);
        }
        let meets = |claims: &Option<&Claims>| claims.is_none_or(|claims| claims.has_one_of(&own));
        let waits = before.iter().any(meets) || held.has_one_of(&own);
        if waits {
            held.0.extend(own.iter().copied());
        }
        !waits
    })
}

/// Adds the claims of a row's unique and foreign-key values.
fn claim_values(map: &TableMap, image: &[u8], relations: &Relations, claims: &mut Vec<KeyHash>) {
    let Some(related) = relations.of(&map.schema, &map.table) else { return };
    // What cannot be read claims nothing here, and is named when it is sent.
    let Ok(values) = row_values(map, image) else { return };
    let own = (map.schema.as_str(), map.table.as_str());
    let mut claim =
        |(schema, table): (&str, &str), kept_by: &[&str], columns: &mut dyn Iterator<Item = &str>| {
            let mut bytes = Vec::with_capacity(64);
            for name in [schema, table].into_iter().chain(kept_by.iter().copied()) {
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(0);
            }
            for name in columns {
                let place = map.columns.iter().position(|column| column.name == name);
                let Some(value) = place.and_then(|place| values[place]) else { return };
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
                bytes.extend_from_slice(value);
            }
            claims.push(KeyHash::of(&bytes));
        };
    for key in &related.unique {
        // Of a prefix or an expression, any value may be the same.
        let whole = !key.functional && key.columns.iter().all(|(_, prefix)| *prefix == 0);
        let mut columns = key.columns.iter().map(|(name, _)| name.as_str()).filter(|_| whole);
        claim(own, &[&key.name], &mut columns);
    }
    for key in &related.parents {
        let parent = (key.parent.0.as_str(), key.parent.1.as_str());
        let kept_by: Vec<&str> = key.parent_columns.iter().map(String::as_str).collect();
        claim(parent, &kept_by, &mut key.child_columns.iter().map(String::as_str));
    }
    for key in &related.children {
        let kept_by: Vec<&str> = key.parent_columns.iter().map(String::as_str).collect();
        claim(own, &kept_by, &mut key.parent_columns.iter().map(String::as_str));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use transaction::binlog::{Column, ColumnType, full_bitmap, row_image};

    use super::*;
    use crate::relations::{Action, ForeignKey, UniqueKey};

    fn column(name: &str) -> Column {
        let (name, kind, members) = (name.to_owned(), ColumnType::Int(4), Vec::new());
        Column { name, kind, nullable: true, unsigned: false, collation: 0, members }
    }

    fn table(name: &str) -> Arc<TableMap> {
        let columns = vec![column("id"), column("v")];
        Arc::new(TableMap::of("s", name, columns, vec![(0, 0)], full_bitmap(2)))
    }

    fn row(table: &TableMap, id: i32, v: i32) -> Vec<u8> {
        row_image(table, &[Some(&id.to_le_bytes()), Some(&v.to_le_bytes())]).unwrap()
    }

    fn insert<'p>(table: &'p Arc<TableMap>, id: i32, image: &'p [u8]) -> RowChange<'p> {
        let key = KeyHash::of(format!("{} {id}", table.table).as_bytes());
        RowChange { key, table, flags: 0, timestamp: 0, session: None, before: None, after: Some(image) }
    }

    /// What an earlier batch with this insert lays hold on.
    fn claims(change: &RowChange<'_>, relations: &Relations) -> Claims {
        let mut all = vec![change.key];
        claim_values(change.table, change.after.unwrap(), relations, &mut all);
        Claims(all.into_iter().collect())
    }

    fn name(table: &str) -> (String, String) {
        ("s".to_owned(), table.to_owned())
    }

    /// `v` is unique in `one`; `child` refers by `v` to the `id` of `one`.
    fn relations() -> Relations {
        let mut relations = Relations::default();
        let columns = vec![("v".to_owned(), 0)];
        relations.add_unique(&name("one"), UniqueKey { name: "v".to_owned(), columns, functional: false });
        relations.add_foreign(ForeignKey {
            name: "up".to_owned(),
            child: name("child"),
            child_columns: vec!["v".to_owned()],
            parent: name("one"),
            parent_columns: vec!["id".to_owned()],
            on_delete: Action::Restrict,
            on_update: Action::Restrict,
        });
        relations
    }

    #[test]
    fn a_change_waits_for_an_earlier_batch_with_its_row_its_value_or_its_parent() {
        let (relations, one, child) = (relations(), table("one"), table("child"));
        let earlier_row = row(&one, 1, 100);
        let earlier = claims(&insert(&one, 1, &earlier_row), &relations);
        for (table, id, v, waits) in [
            (&one, 1, 7, true),
            (&one, 2, 100, true),
            (&one, 2, 7, false),
            (&child, 5, 1, true),
            (&child, 5, 2, false),
            (&child, 1, 100, false),
        ] {
            let image = row(table, id, v);
            let changes = [insert(table, id, &image)];
            let (free, held) = part_free(&changes, &[Some(&earlier)], &relations);
            assert_eq!(
                (free.len(), held.len()),
                if waits { (0, 1) } else { (1, 0) },
                "{} {id} {v}",
                table.table
            );
        }
    }

    #[test]
    fn what_waits_holds_back_what_comes_after_it_and_an_unknown_batch_holds_back_all() {
        let (relations, one) = (relations(), table("one"));
        let images = [row(&one, 1, 5), row(&one, 2, 5), row(&one, 2, 6), row(&one, 3, 7)];
        let changes: Vec<RowChange<'_>> =
            images.iter().zip([1, 2, 2, 3]).map(|(image, id)| insert(&one, id, image)).collect();
        let earlier = claims(&changes[0], &Relations::default());
        let ids = |some: Vec<&RowChange<'_>>| some.iter().map(|change| change.key).collect::<Vec<_>>();
        let all = ids(changes.iter().collect());
        let (free, held) = part_free(&changes, &[Some(&earlier)], &relations);
        assert_eq!((ids(free), ids(held)), (all[3..].to_vec(), all[..3].to_vec()));
        let (free, held) = part_free(&changes, &[None], &relations);
        assert_eq!((free.len(), held.len()), (0, 4));
    }
}
