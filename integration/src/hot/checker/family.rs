//! Parents and children, who lean on each other.

use super::super::ledger::{Image, Transaction};
use super::write::Write;
use super::{Story, Tables};
use std::collections::BTreeSet;

/// What is known of the parents.
pub(super) struct Parents {
    /// Those that somebody deleted, with the region that did.
    deleted: BTreeSet<(String, String)>,
    /// Those that are there at the end.
    there: BTreeSet<String>,
}

impl Parents {
    pub(super) fn of(ledgers: &[Transaction], end: &Tables) -> Self {
        let of_parents = |transaction: &Transaction| {
            let deletes = transaction.changes.iter();
            let deletes = deletes.filter(|change| change.table == "parent" && change.after.is_none());
            deletes.map(|change| (change.key.clone(), transaction.region.clone())).collect::<Vec<_>>()
        };
        Self {
            deleted: ledgers.iter().flat_map(of_parents).collect(),
            there: end.get("parent").into_iter().flat_map(|rows| rows.keys().cloned()).collect(),
        }
    }
}

/// A child is never put back, so its newest write must stand. A parent may have been put back as a region last knew it, right after a
/// delete: only what certainly came after every delete of it overrules what is there.
pub(super) fn judge(story: &Story<'_>, parents: &Parents) -> Vec<String> {
    let Some(end) = story.end else { return gone(story, parents) };
    let mut left = story.that_left(story.end).peekable();
    if left.peek().is_none() {
        return vec!["no write left the row like this".to_owned()];
    }
    let is_child = parent(end).is_some();
    let deletes = || story.that_left(None).filter(|delete| !delete.region.is_empty());
    let counts = |later: &Write<'_>| {
        is_child || (later.after.is_some() && deletes().all(|delete| later.follows(delete)))
    };
    if left.all(|write| story.overruled(write, counts)) {
        return vec![
            "every write that left the row like this was certainly overruled by a later one".to_owned(),
        ];
    }
    match parent(end) {
        Some(parent) if !parents.there.contains(parent) => vec![format!("it has lost its parent {parent}")],
        _ => Vec::new(),
    }
}

fn gone(story: &Story<'_>, parents: &Parents) -> Vec<String> {
    let deleted = story.that_left(None).any(|write| !story.overruled(write, |later| later.after.is_some()));
    let orphaned = |write: &Write<'_>| {
        // In its own region the child would have gone with its parent, and by its own ledger.
        let deleted =
            |parent| parents.deleted.iter().any(|(key, region)| key == parent && region != write.region);
        write.after.and_then(parent).is_some_and(deleted) && !story.overruled(write, |_| true)
    };
    if deleted || story.writes.iter().any(orphaned) {
        return Vec::new();
    }
    vec![
        "the row is gone, though it was written after every delete and no parent of it was deleted"
            .to_owned(),
    ]
}

/// The parent that a row names, if it is a child.
fn parent(image: &Image) -> Option<&String> {
    image.get("parent")?.as_ref()
}
