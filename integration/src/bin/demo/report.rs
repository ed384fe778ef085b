//! What the demo prints at its end.

use crate::Options;
use integration::compare::Difference;
use integration::shop::checker::Verdict;
use integration::shop::probe::{Delays, LOOK_EVERY};
use integration::{Mesh, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// One table in all regions.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) checksums: Vec<String>,
}

/// The transactions of one origin.
pub(crate) struct Transactions {
    pub(crate) origin: String,
    /// By its clients' ledgers.
    pub(crate) committed: u64,
    /// In its log.
    pub(crate) extracted: u64,
    /// Per region; none for itself.
    pub(crate) applied: Vec<Option<u64>>,
}

impl Transactions {
    /// Each committed one is in the log once and applied in each other region once.
    fn exact(&self) -> bool {
        self.extracted == self.committed
            && self.applied.iter().flatten().all(|applied| *applied == self.committed)
    }
}

pub(crate) fn tables(names: &[&str], tables: &[Table]) {
    let mut rows =
        vec![header(&["table", "rows"], names.iter().map(|name| format!("checksum {name}")), &["equal"])];
    for table in tables {
        let equal = table.checksums.windows(2).all(|pair| pair[0] == pair[1]);
        let mut row = vec![table.name.clone(), table.rows.to_string()];
        row.extend(table.checksums.iter().cloned());
        row.push(if equal { "yes" } else { "NO" }.to_owned());
        rows.push(row);
    }
    print("Tables", &rows);
}

pub(crate) fn transactions(names: &[&str], all: &[Transactions]) {
    let applied = names.iter().map(|name| format!("applied in {name}"));
    let mut rows = vec![header(&["origin", "committed by clients", "in its log"], applied, &["each once"])];
    for one in all {
        let mut row = vec![one.origin.clone(), one.committed.to_string(), one.extracted.to_string()];
        row.extend(
            one.applied
                .iter()
                .map(|applied| applied.map_or_else(|| "-".to_owned(), |count| count.to_string())),
        );
        row.push(if one.exact() { "yes" } else { "NO" }.to_owned());
        rows.push(row);
    }
    print("Transactions carried", &rows);
}

pub(crate) fn conflicts(after: &BTreeMap<String, Status>, killed: bool) {
    let mut rows = vec![header(&["seen in", "from", "conflicts", "won by the arriving write"], [], &[])];
    for (region, status) in after {
        for origin in status.origins.iter().filter(|origin| !origin.own) {
            let numbers = [origin.conflicts, origin.conflicts_won].map(|number| number.to_string());
            rows.push([region.clone(), origin.origin.clone()].into_iter().chain(numbers).collect());
        }
    }
    print(if killed { "Conflicts (since each process's last start)" } else { "Conflicts" }, &rows);
}

/// A few conflicts of one region as its journal has them, and the newest explained.
pub(crate) fn journal(mesh: &Mesh) {
    let Some(region) = mesh.regions.first() else { return };
    let id = |lines: &str| {
        let newest: serde_json::Value = serde_json::from_str(lines.lines().last()?).ok()?;
        Some(newest.get("id")?.as_str()?.to_owned())
    };
    let list = region.concord.say(&["conflicts", "list", "--limit", "5"]);
    let newest = region.concord.say(&["conflicts", "list", "--limit", "1", "--json"]);
    match (list, newest) {
        (Ok(list), Ok(json)) => {
            println!(
                "\nThe last conflicts that {} met (concord conflicts list --limit 5)\n\n{}",
                region.name,
                list.trim_end()
            );
            let shown = id(&json).and_then(|id| region.concord.say(&["conflicts", "show", &id]).ok());
            if let Some(shown) = shown {
                println!(
                    "\nThe newest of them, explained (concord conflicts show ID)\n\n{}",
                    shown.trim_end()
                );
            }
        }
        (Err(error), _) | (_, Err(error)) => println!("\nno conflicts can be shown: {error}"),
    }
}

pub(crate) fn delays(names: &[&str], delays: &Delays) {
    let mut rows = vec![header(&["from", "to", "p50", "p99", "longest", "measured"], [], &[])];
    for origin in names {
        for target in names.iter().filter(|target| *target != origin) {
            let found = delays.between(origin, target);
            let times = [found.p50, found.p99, found.max].map(milliseconds);
            let mut row = vec![(*origin).to_owned(), (*target).to_owned()];
            row.extend(times);
            row.push(found.count.to_string());
            rows.push(row);
        }
    }
    let title = format!("Lag, from commit to seen there (asked every {} ms)", LOOK_EVERY.as_millis());
    print(&title, &rows);
}

pub(crate) fn processes(mesh: &Mesh) {
    let mut rows = vec![header(&["process", "resident memory at most"], [], &[])];
    for region in &mesh.regions {
        if let Ok(kib) = region.concord.resident_kib_max() {
            rows.push(vec![format!("concord of {}", region.name), format!("{:.1} MiB", kib as f64 / 1024.0)]);
        }
    }
    print("Processes", &rows);
}

/// Says what the whole means; true if it is good.
pub(crate) fn verdict(
    differences: &[Difference],
    verdict: &Verdict,
    transactions: &[Transactions],
    kills: u64,
    options: &Options,
) -> bool {
    println!();
    for difference in differences.iter().take(20) {
        println!("differs: {difference}");
    }
    for fault in verdict.faults.iter().take(20) {
        println!("fault: {fault}");
    }
    let exact = transactions.iter().all(Transactions::exact);
    let lines = [
        (differences.is_empty(), format!("every table is equal in {} regions, row by row", options.regions)),
        (
            verdict.faults.is_empty(),
            format!(
                "nothing lost, nothing twice: {} rows of one writer and {} rows of all agree with the ledgers",
                verdict.owned_right, verdict.shared_right
            ),
        ),
        (exact, "each transaction went once to each region, none went round".to_owned()),
    ];
    for (good, text) in &lines {
        println!("{} {text}", if *good { "ok  " } else { "FAIL" });
    }
    if kills > 0 {
        println!("     with {kills} times kill -9 of a random concord while clients wrote");
    }
    lines.iter().all(|(good, _)| *good)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn header(before: &[&str], middle: impl IntoIterator<Item = String>, after: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    owned(before).into_iter().chain(middle).chain(owned(after)).collect()
}

/// Prints rows in columns; the first row is the header. Numbers stand to the right.
fn print(title: &str, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column: usize| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    println!("\n{title}");
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::from("  ");
        for (column, width) in widths.iter().enumerate() {
            let text = cell(row, column);
            let below = rows.get(1).map(|row| cell(row, column)).unwrap_or_default();
            let right = below.starts_with(|first: char| first.is_ascii_digit());
            let padding = " ".repeat(width - text.chars().count());
            line.push_str(&if right { format!("{padding}{text}  ") } else { format!("{text}{padding}  ") });
        }
        println!("{}", line.trim_end());
        if index == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("  {}", rule.join("  "));
        }
    }
}
