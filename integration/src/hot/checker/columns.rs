//! Rows whose columns are decided one by one.

use super::Story;
use super::write::Write;

/// The columns of the last writer each.
pub(super) fn judge(story: &Story<'_>) -> Vec<String> {
    let Some(end) = story.end else {
        let mut deletes = story.that_left(None).peekable();
        if deletes.peek().is_none() {
            return vec!["the row is gone, and nobody deleted it".to_owned()];
        }
        let stands = |delete: &Write<'_>| !story.overruled(delete, |write| write.after.is_some());
        if deletes.any(stands) {
            return Vec::new();
        }
        return vec!["the row is gone, but every delete of it was certainly followed by a write".to_owned()];
    };
    story.table.columns[1..]
        .iter()
        .filter_map(|column| last_writer(story, column, end.get(*column)?))
        .collect()
}

/// What is wrong with one column of a row that is there, if it is of the last writer.
pub(super) fn last_writer(story: &Story<'_>, column: &str, end: &Option<String>) -> Option<String> {
    let mut brought = story.writes.iter().filter(|write| brings(story, write, column, end)).peekable();
    if brought.peek().is_none() {
        return Some(format!("no write brought {column} = {end:?}"));
    }
    let stands = |write: &Write<'_>| {
        !story.writes.iter().any(|later| touches(later, column) && follows(later, write, column))
    };
    if brought.any(stands) {
        return None;
    }
    Some(format!("every write that brought {column} = {end:?} was certainly followed by one that changed it"))
}

/// Whether the column may have got this value from the write. A write that did not change the column brings its value only where it
/// makes the row anew, after a delete that it had not seen.
fn brings(story: &Story<'_>, write: &Write<'_>, column: &str, end: &Option<String>) -> bool {
    let anew = || {
        let deletes = story.that_left(None).filter(|delete| !delete.region.is_empty());
        deletes.into_iter().any(|delete| delete.region != write.region && !delete.follows(write))
    };
    value(write.after, column) == Some(end) && (touches(write, column) || anew())
}

/// Whether the write changes this column, makes the row or deletes it.
fn touches(write: &Write<'_>, column: &str) -> bool {
    value(write.before, column) != value(write.after, column)
}

/// Like [`Write::follows`], where a merged row may show one write's value in this column only.
fn follows(later: &Write<'_>, earlier: &Write<'_>, column: &str) -> bool {
    let found = value(later.before, column);
    let saw_it = found.is_some() && touches(earlier, column) && found == value(earlier.after, column);
    later.follows(earlier) || (later.is_certain() && !later.is(earlier) && saw_it)
}

fn value<'a>(image: Option<&'a super::super::ledger::Image>, column: &str) -> Option<&'a Option<String>> {
    image.and_then(|image| image.get(column))
}
