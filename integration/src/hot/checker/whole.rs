//! Rows that are decided as a whole.

use super::super::ledger::Image;
use super::super::schema::OWNER;
use super::Story;
use super::write::Write;
use std::collections::BTreeSet;

const NOBODY: &str = "no write left the row like this";
const OVERRULED: &str = "every write that left the row like this was certainly overruled by a later one";

/// The newest write gives the row.
pub(super) fn last_writer(story: &Story<'_>) -> Vec<String> {
    standing(story, story.end, |_| true).err().into_iter().collect()
}

/// The writes that left the row as `image` and that none of those that `count` certainly follows; or what is wrong.
fn standing<'s, 'a>(
    story: &'s Story<'a>,
    image: Option<&'a Image>,
    count: impl Fn(&Write<'a>) -> bool + Copy,
) -> Result<Vec<&'s Write<'a>>, String> {
    let left: Vec<&Write<'a>> = story.that_left(image).collect();
    if left.is_empty() {
        return Err(NOBODY.to_owned());
    }
    let standing: Vec<&Write<'a>> = left.into_iter().filter(|write| !story.overruled(write, count)).collect();
    if standing.is_empty() { Err(OVERRULED.to_owned()) } else { Ok(standing) }
}

/// The newest write gives the row, or the row made way for another with the same unique value. True if it made way.
pub(super) fn unique(story: &Story<'_>, table: &[Story<'_>]) -> (Vec<String>, bool) {
    let fault = match standing(story, story.end, |_| true) {
        Ok(_) => return (Vec::new(), false),
        Err(fault) => fault,
    };
    if story.end.is_some() {
        return (vec![fault], false);
    }
    // Not deleted by its newest write. So one of those that may be the newest has lost to a row of the same value.
    let newest = story.writes.iter().filter(|write| !story.overruled(write, |_| true));
    let mut rivals = newest.filter(|write| {
        let others = table.iter().filter(|other| other.key != story.key).flat_map(|other| &other.writes);
        others.into_iter().any(|other| {
            let lost = write.after.zip(other.after).is_some_and(|(mine, theirs)| share_a_value(mine, theirs));
            // Within one region the server's own unique key has kept them apart.
            lost && other.region != write.region && !write.is_later_by_the_clock(other)
        })
    });
    match rivals.next() {
        Some(_) => (Vec::new(), true),
        None => (
            vec!["the row is gone, though nobody deleted it and no other row can have beaten it".to_owned()],
            false,
        ),
    }
}

fn share_a_value(one: &Image, other: &Image) -> bool {
    ["a", "b"].into_iter().any(|column| {
        let value = one.get(column).cloned().flatten();
        value.is_some() && value == other.get(column).cloned().flatten()
    })
}

/// What writers found: under the last writer a region's row never goes back to an older write. (A row that is gone is left out where
/// unique values may have taken it away.)
pub(super) fn found_before(story: &Story<'_>) -> Vec<String> {
    let may_make_way = story.table.rule == super::Rule::Unique;
    let mut faults = Vec::new();
    for write in story.writes.iter().skip(1) {
        if write.before.is_none() && may_make_way {
            continue;
        }
        let mut explanations = story.that_left(write.before).filter(|left| {
            let in_time = write.acknowledged_us.is_none_or(|acknowledged| left.sent_us <= acknowledged);
            // What this region had seen of its own clients must not have been newer already.
            let gone_back = story
                .writes
                .iter()
                .any(|own| own.region == write.region && own.ticket < write.ticket && own.follows(left));
            let turned_round = left.region == write.region && left.ticket >= write.ticket;
            in_time && !turned_round && !gone_back
        });
        if explanations.next().is_none() {
            let word =
                if story.that_left(write.before).next().is_some() { "an outdated" } else { "an unheard-of" };
            faults.push(format!("#{} found {word} row", write.ticket));
        }
    }
    faults
}

/// A delete wins against what is concurrent: after a write the row is as that write left it or gone.
pub(super) fn delete_wins(story: &Story<'_>) -> Vec<String> {
    if story.end.is_some() {
        return last_writer(story);
    }
    let deletes: Vec<&Write<'_>> = story.that_left(None).collect();
    if deletes.is_empty() {
        return vec!["the row is gone, and nobody deleted it".to_owned()];
    }
    // A write that had seen every delete cannot have lost to one.
    let saw_all = |write: &&Write<'_>| {
        write.is_certain() && write.after.is_some() && deletes.iter().all(|delete| saw(story, write, delete))
    };
    match story.writes.iter().find(saw_all) {
        Some(write) => {
            vec![format!("the row is gone, but #{} had seen every delete and put it there", write.ticket)]
        }
        None => Vec::new(),
    }
}

/// A delete loses against what is concurrent: a live write is always taken, a delete need not be.
pub(super) fn update_wins(story: &Story<'_>) -> Vec<String> {
    standing(story, story.end, |write| write.after.is_some()).err().into_iter().collect()
}

/// The owner's writes stay against what is concurrent with them.
pub(super) fn owned(story: &Story<'_>) -> Vec<String> {
    let of_owner = |write: &&Write<'_>| write.region == OWNER;
    let Some(last) = story.writes.iter().rev().filter(of_owner).find(|write| write.is_certain()) else {
        return match story.writes.iter().find(of_owner) {
            None => last_writer(story),
            // Whether it happened decides whom the others had to give way to.
            Some(_) if story.that_left(story.end).next().is_some() => Vec::new(),
            Some(_) => vec![NOBODY.to_owned()],
        };
    };
    // Those of the owner after the last certain one are in doubt: each may be the last.
    let lasts: Vec<&Write<'_>> =
        story.writes.iter().filter(of_owner).filter(|write| write.ticket >= last.ticket).collect();
    // What had certainly seen all of the owner's writes was certainly taken, so it overrules what it follows.
    let newest = lasts.last().copied().unwrap_or(last);
    let taken = |write: &Write<'_>| write.is(last) || (write.region != OWNER && saw(story, write, newest));
    let left: Vec<&Write<'_>> = story.that_left(story.end).collect();
    if left.is_empty() {
        return vec![NOBODY.to_owned()];
    }
    let may_stand = |write: &&&Write<'_>| {
        let by_rule = lasts
            .iter()
            .any(|last| write.is(last) || (write.region != OWNER && may_have_seen(story, write, last)));
        by_rule && !story.overruled(write, taken)
    };
    if left.iter().any(|write| may_stand(&write)) {
        return Vec::new();
    }
    vec![format!(
        "the row is neither as the owner's last write (#{}) nor as a write that had seen it",
        last.ticket
    )]
}

/// Whether it is certain that `write` had seen `other`: back over the images that were found, one is in the other's region and not before it.
fn saw(story: &Story<'_>, write: &Write<'_>, other: &Write<'_>) -> bool {
    trace(story, write, |step| {
        step.region == other.region && step.ticket >= other.ticket || other.region.is_empty()
    })
    .unwrap_or(false)
}

/// Whether `write` may have seen `other`: false if what it found, and what that one had found, shows that it had not.
fn may_have_seen(story: &Story<'_>, write: &Write<'_>, other: &Write<'_>) -> bool {
    let seen = trace(story, write, |step| {
        step.region == other.region && step.ticket >= other.ticket || other.region.is_empty()
    });
    // Back at a row that was not there, the trace is lost: nobody knows which delete was found.
    seen.unwrap_or(true) && !other.is_later_by_the_clock(write)
}

/// Follows what was found back to whoever left it, until `is_it` says yes. `None` if the trace is lost at an absent row.
fn trace(story: &Story<'_>, write: &Write<'_>, is_it: impl Fn(&Write<'_>) -> bool) -> Option<bool> {
    let mut passed = BTreeSet::new();
    let mut step = write;
    loop {
        if is_it(step) {
            return Some(true);
        }
        if step.region.is_empty() || !passed.insert(step.ticket) {
            return Some(false);
        }
        let found = step.before?;
        step = story.writes.iter().find(|left| left.after == Some(found))?;
    }
}
