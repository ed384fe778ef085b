//! `concord conflicts show`.

use std::io::{self, Write};

use applier::journal::{Columns, Entry, Found, Kind, Side};
use transaction::binlog::utc_text;

use super::list::key;
use super::{grid, why};
use crate::cli::ConflictsShowArgs;

/// Explains one conflict.
pub(super) fn show(entry: &Entry, args: &ConflictsShowArgs, out: &mut dyn Write) -> io::Result<()> {
    if args.json {
        serde_json::to_writer_pretty(&mut *out, entry)?;
        return out.write_all(b"\n");
    }
    head(entry, out)?;
    writeln!(out, "\nThe two writes")?;
    grid::print(&writes(entry), 2, out)?;
    writeln!(out, "\nWhy they conflict")?;
    paragraph(&why::concurrent(entry), out)?;
    writeln!(out, "\nWhat was decided, and why")?;
    paragraph(&why::decided(entry), out)?;
    if matches!(entry.kind, Kind::Unique | Kind::ForeignKey) {
        writeln!(out, "\nThe rows")?;
        rows(entry, out)?;
    } else {
        writeln!(out, "\nThe row")?;
        row(entry, out)?;
    }
    writeln!(
        out,
        "\nTo decide otherwise: concord conflicts override {} --with incoming|existing",
        short(&entry.id)
    )
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn head(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "conflict {}", entry.id)?;
    let found = match entry.found {
        Found::FirstLook => "in the row's history, before anything was written",
        Found::UnderLock => "when the row was locked: a client had just written it",
        Found::Constraint => "by a constraint of the table",
    };
    let lines = [
        ("row", format!("{}.{}, {}", entry.schema, entry.table, key(entry))),
        ("kind", entry.kind.to_string()),
        ("found", format!("{} UTC in {}, {found}", utc_text(entry.found_us), entry.region)),
        ("rule", entry.policy.clone()),
    ];
    grid::print(&lines.map(|(name, value)| vec![name.to_owned(), value]), 2, out)
}

/// What is known of the two writes, side by side.
fn writes(entry: &Entry) -> Vec<Vec<String>> {
    let both = |name: &str, value: &dyn Fn(&Side) -> String| {
        vec![name.to_owned(), value(&entry.incoming), value(&entry.existing)]
    };
    let seen = |side: &Side| {
        let seen: Vec<_> = side.context.iter().map(|(region, last)| format!("{region} to {last}")).collect();
        if seen.is_empty() { "nothing of other regions".to_owned() } else { seen.join(", ") }
    };
    vec![
        vec![String::new(), "ARRIVED".to_owned(), "WAS HERE".to_owned()],
        both("written in", &|side| side.origin.to_string()),
        both("transaction", &|side| format!("{}, change {}", side.sequence, side.index)),
        both("GTID", &|side| if side.gtid.is_empty() { "not known".to_owned() } else { side.gtid.clone() }),
        both("committed", &|side| format!("{} UTC", utc_text(side.commit_us))),
        both("stamp (HLC)", &|side| format!("{} UTC", utc_text(side.hlc.0))),
        both("had seen", &seen),
        both("did", &|side| did(side)),
    ]
}

/// What a write did to its row.
fn did(side: &Side) -> String {
    let did = match (&side.before, &side.after) {
        (None, Some(_)) => "inserted the row",
        (Some(_), Some(_)) => "updated the row",
        (_, None) => "deleted the row",
    };
    if side.repair { format!("{did} (a repair)") } else { did.to_owned() }
}

/// The columns in which anything differs, side by side; the key is in the head already.
fn row(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let (incoming, existing) = (&entry.incoming, &entry.existing);
    let mut images: Vec<(String, Option<&Columns>)> = Vec::new();
    let same_before = incoming.before == existing.before;
    if same_before {
        images.push(("BEFORE BOTH".to_owned(), incoming.before.as_ref()));
    } else {
        images.push((format!("BEFORE {}'s", incoming.origin), incoming.before.as_ref()));
    }
    images.push((format!("{}'s (ARRIVED)", incoming.origin), incoming.after.as_ref()));
    if !same_before {
        images.push((format!("BEFORE {}'s", existing.origin), existing.before.as_ref()));
    }
    images.push((format!("{}'s (WAS HERE)", existing.origin), existing.after.as_ref()));
    images.push(("AFTERWARDS".to_owned(), entry.result.as_ref()));

    let mut names: Vec<&str> = Vec::new();
    for (name, _) in images.iter().filter_map(|(_, image)| *image).flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut rows = vec![vec!["COLUMN".to_owned()]];
    rows[0].extend(images.iter().map(|(title, _)| title.clone()));
    let mut alike = 0;
    for name in names {
        let values: Vec<Option<Option<&str>>> = images.iter().map(|(_, image)| value(*image, name)).collect();
        let mut there = values.iter().flatten();
        let first = there.next();
        if there.all(|value| Some(value) == first) && values.iter().all(Option::is_some) {
            alike += 1;
            continue;
        }
        let mut row = vec![name.to_owned()];
        row.extend(values.into_iter().map(|value| value.map_or("no row".to_owned(), grid::shown)));
        rows.push(row);
    }
    if rows.len() > 1 {
        grid::print(&rows, 2, out)?;
    }
    match (alike, rows.len()) {
        (0, 1) => writeln!(out, "  there is no row, and neither write left one"),
        (0, _) => Ok(()),
        (alike, 1) => writeln!(out, "  alike in all {alike} columns"),
        (1, _) => writeln!(out, "  1 more column is alike everywhere"),
        (alike, _) => writeln!(out, "  {alike} more columns are alike everywhere"),
    }
}

/// The rows of both writes, which are two, and perhaps of two tables; then what became of the one that lost.
fn rows(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    for (side, which) in [(&entry.incoming, "ARRIVED"), (&entry.existing, "WAS HERE")] {
        writeln!(out, "  {}'s ({which})", side.origin)?;
        let mut rows = vec![["COLUMN", "BEFORE", "AFTER"].map(str::to_owned).to_vec()];
        for (name, _) in side.after.as_ref().or(side.before.as_ref()).into_iter().flatten() {
            let cell = |image: &Option<Columns>| {
                value(image.as_ref(), name).map_or("no row".to_owned(), grid::shown)
            };
            rows.push(vec![name.clone(), cell(&side.before), cell(&side.after)]);
        }
        grid::print(&rows, 4, out)?;
    }
    match &entry.result {
        None => writeln!(out, "  afterwards, {}: no row", key(entry)),
        Some(result) => {
            writeln!(out, "  afterwards, {}", key(entry))?;
            let cells =
                |(name, value): &(String, Option<String>)| vec![name.clone(), grid::shown(value.as_deref())];
            grid::print(&result.iter().map(cells).collect::<Vec<_>>(), 4, out)
        }
    }
}

/// The value of a column; `None` where there is no row.
fn value<'a>(image: Option<&'a Columns>, name: &str) -> Option<Option<&'a str>> {
    let (_, value) = image?.iter().find(|(column, _)| column == name)?;
    Some(value.as_deref())
}

/// Sentences, one a line.
fn paragraph(sentences: &[String], out: &mut dyn Write) -> io::Result<()> {
    sentences.iter().try_for_each(|sentence| writeln!(out, "  {sentence}"))
}
