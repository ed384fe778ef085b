//! Rows that are always there, with counters whose sums must come out to the last unit.

use super::super::ledger::Image;
use super::Story;
use super::columns;
use super::write::Write;
use std::collections::BTreeSet;

/// Of so many increments in doubt every subset is tried; of more, only the smallest and the largest sum.
const SUBSETS_MAX: usize = 16;

/// Counters, maximum, minimum, set and the columns of the last writer.
pub(super) fn judge(story: &Story<'_>) -> Vec<String> {
    let Some(end) = story.end else {
        return vec!["the row is lost; nobody ever deletes one here".to_owned()];
    };
    let mut faults = Vec::new();
    for column in ["n", "price"] {
        faults.extend(counter(story, end, column));
    }
    faults.extend(extreme(story, end, "high", 1));
    faults.extend(extreme(story, end, "low", -1));
    faults.extend(set(story, end, "tags"));
    for column in ["fore", "aft"] {
        faults.extend(end.get(column).and_then(|value| columns::last_writer(story, column, value)));
    }
    faults
}

fn counter(story: &Story<'_>, end: &Image, column: &str) -> Option<String> {
    let found = number(Some(end), column)?;
    let by = |write: &Write<'_>| {
        number(write.after, column).unwrap_or(0) - number(write.before, column).unwrap_or(0)
    };
    let certain: i128 = story.writes.iter().filter(|write| write.is_certain()).map(by).sum();
    let doubtful: Vec<i128> =
        story.writes.iter().filter(|write| !write.is_certain()).map(by).filter(|by| *by != 0).collect();
    let difference = found - certain;
    let explained = if doubtful.len() <= SUBSETS_MAX {
        (0_u32..1 << doubtful.len()).any(|subset| {
            let of_it = doubtful.iter().enumerate().filter(|(index, _)| subset & (1 << index) != 0);
            of_it.map(|(_, by)| by).sum::<i128>() == difference
        })
    } else {
        let least: i128 = doubtful.iter().filter(|by| **by < 0).sum();
        let most: i128 = doubtful.iter().filter(|by| **by > 0).sum();
        (least..=most).contains(&difference)
    };
    if explained {
        return None;
    }
    let one = story.writes.iter().skip(1).find(|write| by(write) == difference || by(write) == -difference);
    let hint = match one {
        Some(write) if by(write) == difference => format!("; #{} counts twice", write.ticket),
        Some(write) => format!("; #{} is lost", write.ticket),
        None => String::new(),
    };
    Some(format!(
        "{column} is {found}, but the increments sum up to {certain} ({} in doubt){hint}",
        doubtful.len()
    ))
}

/// The largest number ever written, or the smallest with `sign` -1.
fn extreme(story: &Story<'_>, end: &Image, column: &str, sign: i128) -> Option<String> {
    let found = sign * number(Some(end), column)?;
    let written = |certain: bool| {
        let writes = story.writes.iter().filter(move |write| write.is_certain() == certain);
        writes.filter_map(|write| number(write.after, column)).map(move |value| sign * value)
    };
    let certain = written(true).max()?;
    let explained = found == certain || (found > certain && written(false).any(|value| value == found));
    let message = || format!("{column} is {}, but {} was written", sign * found, sign * certain);
    (!explained).then(message)
}

/// The union of all that was added.
fn set(story: &Story<'_>, end: &Image, column: &str) -> Option<String> {
    let members = |image: Option<&Image>| -> BTreeSet<String> {
        let value = image.and_then(|image| image.get(column)).cloned().flatten().unwrap_or_default();
        value.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect()
    };
    let added = |certain: bool| -> BTreeSet<String> {
        let writes = story.writes.iter().filter(|write| write.is_certain() == certain);
        writes.flat_map(|write| &members(write.after) - &members(write.before)).collect()
    };
    let (found, must, may) = (members(Some(end)), added(true), added(false));
    let lost = &must - &found;
    let invented = &found - &(&must | &may);
    if lost.is_empty() && invented.is_empty() {
        return None;
    }
    Some(format!("{column} is {found:?}: {lost:?} were added and are lost, {invented:?} were not"))
}

/// A number in units of its last digit; a decimal always has the same number of digits behind its point.
fn number(image: Option<&Image>, column: &str) -> Option<i128> {
    let text = image?.get(column)?.as_deref()?;
    text.replace('.', "").parse().ok()
}
