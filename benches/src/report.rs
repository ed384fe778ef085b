//! What came out: figures against their targets, as JSON and as a page.

use integration::{Error, Result};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Only told.
    Reported,
}

impl Target {
    /// Whether a value is as it should be; `None` if nothing is asked of it.
    pub fn met(self, value: f64) -> Option<bool> {
        match self {
            Target::AtLeast(bound) => Some(value >= bound),
            Target::AtMost(bound) => Some(value <= bound),
            Target::Reported => None,
        }
    }

    fn text(self) -> String {
        match self {
            Target::AtLeast(bound) => format!("≥ {bound}"),
            Target::AtMost(bound) => format!("≤ {bound}"),
            Target::Reported => "reported".to_owned(),
        }
    }
}

/// A key of the report, what it means, and its target.
struct Key {
    name: &'static str,
    target: Target,
    meaning: &'static str,
}

const KEYS: &[Key] = &[
    Key {
        name: "drain.ratio_vs_native",
        target: Target::AtLeast(6.0),
        meaning: "time of the native replica (best worker count, relay log fetched) ÷ time of Concord (log received) for the same backlog",
    },
    Key {
        name: "drain.raw_ratio_vs_native",
        target: Target::AtLeast(3.5),
        meaning: "the same with net changes off: every row change is replayed",
    },
    Key {
        name: "drain.ratio_vs_ceiling",
        target: Target::AtLeast(0.7),
        meaning: "rate of Concord's drain ÷ that of a blind replay of the same net changes over the best number of connections, in no order, without looking",
    },
    Key {
        name: "drain.insert_ratio_vs_native",
        target: Target::AtLeast(3.0),
        meaning: "the same for a backlog of inserts only",
    },
    Key {
        name: "walk.ratio_vs_mysql_common",
        target: Target::AtLeast(5.0),
        meaning: "rows a second, keys found and checksums verified ÷ mysql_common's row iteration",
    },
    Key {
        name: "walk.ratio_vs_mysql_cdc",
        target: Target::AtLeast(5.0),
        meaning: "the same ÷ that of mysql_cdc's parser over the same bytes in memory, which verifies no checksums",
    },
    Key {
        name: "walk.ratio_vs_mysql_cdc_from_file",
        target: Target::Reported,
        meaning: "the same ÷ mysql_cdc's reader of a file in the page cache, which asks the system twice an event",
    },
    Key {
        name: "cpu.per_txn_ratio_vs_native",
        target: Target::AtMost(0.8),
        meaning: "CPU seconds of target server and replicator per transaction of the drain, Concord ÷ native, whose coordinator yields in a loop while it waits for workers",
    },
    Key {
        name: "memory.rss_mib_drain",
        target: Target::AtMost(128.0),
        meaning: "highest resident memory of the target's `concord` up to the end of the drain",
    },
    Key {
        name: "memory.rss_mib_max",
        target: Target::AtMost(128.0),
        meaning: "highest resident memory of any `concord` in any group of the run, one transaction of 2 GiB of small rows included",
    },
    Key {
        name: "conflict.check_cost",
        target: Target::AtMost(0.10),
        meaning: "1 − drain rate with conflict detection ÷ without",
    },
    Key {
        name: "drain.ordered_ratio",
        target: Target::Reported,
        meaning: "drain rate with commit order kept ÷ relaxed: batches that have nothing in common commit in any order",
    },
    Key {
        name: "lag.p99_ratio_vs_native",
        target: Target::AtMost(1.0),
        meaning: "p99 from commit at the source to visible at the target under half of the source's maximum, Concord ÷ native with sync_relay_log=1",
    },
    Key {
        name: "lag.p99_ratio_vs_native_default",
        target: Target::Reported,
        meaning: "the same against native with its default sync_relay_log",
    },
    Key {
        name: "lag.p50_ms",
        target: Target::AtMost(3.0),
        meaning: "median of the same for Concord, milliseconds",
    },
    Key {
        name: "lag.p99_ms",
        target: Target::Reported,
        meaning: "p99 of the same for Concord, milliseconds",
    },
    Key {
        name: "lag.native_sync_p50_ms",
        target: Target::Reported,
        meaning: "median for native with sync_relay_log=1",
    },
    Key {
        name: "lag.native_sync_p99_ms",
        target: Target::Reported,
        meaning: "p99 for native with sync_relay_log=1",
    },
    Key {
        name: "lag.native_default_p50_ms",
        target: Target::Reported,
        meaning: "median for native with the default",
    },
    Key {
        name: "lag.native_default_p99_ms",
        target: Target::Reported,
        meaning: "p99 for native with the default",
    },
    Key {
        name: "extract.ratio_vs_mysqlbinlog",
        target: Target::AtLeast(0.8),
        meaning: "binlog bytes a second from server to fsynced, indexed log ÷ `mysqlbinlog --read-from-remote-server --raw`, which does not sync",
    },
    Key {
        name: "skew.hot_1",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which 1 % of the transactions update one and the same row",
    },
    Key {
        name: "skew.hot_10",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which 10 % of the transactions update one and the same row",
    },
    Key {
        name: "skew.hot_100",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which all transactions update one and the same row",
    },
    Key {
        name: "skew.zipf",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which ids are drawn by Zipf's law",
    },
    Key {
        name: "skew.tables_2",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which there are 2 tables",
    },
    Key {
        name: "skew.tables_200",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which there are 200 tables",
    },
    Key {
        name: "skew.large_rows",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which rows have 16 KB",
    },
    Key {
        name: "skew.tiny_rows",
        target: Target::AtLeast(1.0),
        meaning: "time of the native replica ÷ time of Concord for a backlog in which rows have two integers",
    },
    Key {
        name: "log.append_ratio_vs_disk",
        target: Target::AtLeast(0.8),
        meaning: "MB/s of records appended to the log and synced ÷ plain write and fdatasync of the same bytes in the same steps",
    },
    Key {
        name: "log.append_mb_per_s",
        target: Target::Reported,
        meaning: "MB/s of records appended to the log and synced",
    },
    Key {
        name: "log.append_ratio_vs_sled",
        target: Target::Reported,
        meaning: "MB/s of records appended to the log and synced ÷ as many records of as many bytes inserted to sled by their numbers, flushed in the same steps, which it does by sync_file_range",
    },
    Key {
        name: "source.throughput_ratio_vs_native",
        target: Target::AtLeast(1.0),
        meaning: "transactions a second of clients that write at two servers at once, unbounded, with Concord both ways ÷ with native circular replication",
    },
    Key {
        name: "source.until_equal_ratio_vs_native",
        target: Target::Reported,
        meaning: "the same over all the time until both servers have everything: who falls behind leaves the machine to the clients meanwhile",
    },
    Key {
        name: "mesh.cpu_us_per_txn_2",
        target: Target::Reported,
        meaning: "CPU µs of a region's `concord` per transaction that it extracted or applied, mean of the regions of a mesh of 2",
    },
    Key {
        name: "mesh.cpu_us_per_txn_3",
        target: Target::Reported,
        meaning: "CPU µs of a region's `concord` per transaction that it extracted or applied, mean of the regions of a mesh of 3",
    },
    Key {
        name: "mesh.cpu_us_per_txn_5",
        target: Target::Reported,
        meaning: "CPU µs of a region's `concord` per transaction that it extracted or applied, mean of the regions of a mesh of 5",
    },
    Key {
        name: "mesh.cpu_growth",
        target: Target::AtMost(1.0),
        meaning: "the same with 5 regions ÷ with 2, ÷ 5/2: 1 is as much more as there are more regions, 0.4 is no more at all",
    },
    Key {
        name: "mesh.rss_mib_2",
        target: Target::Reported,
        meaning: "highest resident memory of a `concord` in a mesh of 2 regions, of that region which has most",
    },
    Key {
        name: "mesh.rss_mib_3",
        target: Target::Reported,
        meaning: "highest resident memory of a `concord` in a mesh of 3 regions, of that region which has most",
    },
    Key {
        name: "mesh.rss_mib_5",
        target: Target::Reported,
        meaning: "highest resident memory of a `concord` in a mesh of 5 regions, of that region which has most",
    },
    Key {
        name: "mesh.rss_growth",
        target: Target::AtMost(1.0),
        meaning: "the same with 5 regions ÷ with 2, ÷ 5/2",
    },
    Key {
        name: "wan.added_ms_p99",
        target: Target::AtMost(20.0),
        meaning: "p99 from commit in a region to visible in another, less the 50 ms of the way, under steady loads in both, the worse direction, milliseconds",
    },
    Key {
        name: "wan.added_ms_p99_with_loss",
        target: Target::AtMost(120.0),
        meaning: "the same while 0.1 % of the packets are lost, each way",
    },
];

/// What the rounds gave.
#[derive(Debug, Clone)]
pub struct Sample {
    rounds: Vec<f64>,
}

impl Sample {
    /// One value a round.
    pub fn of(rounds: Vec<f64>) -> Self {
        Self { rounds }
    }

    /// The middle value, of two the mean; `None` without a round.
    pub fn median(&self) -> Option<f64> {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            even if even % 2 == 0 => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
            _ => Some(sorted[middle]),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn spread(&self) -> Option<(f64, f64)> {
        let sorted = self.sorted();
        Some((*sorted.first()?, *sorted.last()?))
    }
}

/// A table of raw measurements: a row per way of doing it, a sample per column.
#[derive(Debug)]
pub struct Sheet {
    name: String,
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Sample>)>,
}

impl Sheet {
    /// An empty one; `name` is its key in the JSON.
    pub fn new(name: &str, title: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { name: name.to_owned(), title: title.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a round of a row.
    pub fn add(&mut self, row: &str, values: &[f64]) {
        let columns = self.columns.len();
        let index = match self.rows.iter().position(|(name, _)| name == row) {
            Some(index) => index,
            None => {
                self.rows.push((row.to_owned(), vec![Sample::of(Vec::new()); columns]));
                self.rows.len() - 1
            }
        };
        for (sample, value) in self.rows[index].1.iter_mut().zip(values) {
            sample.rounds.push(*value);
        }
    }

    fn json(&self) -> Value {
        let row = |(name, samples): &(String, Vec<Sample>)| {
            let cells = self.columns.iter().zip(samples);
            let cells: Map<String, Value> = cells
                .map(|(column, sample)| {
                    (column.clone(), json!({ "median": sample.median(), "rounds": sample.rounds }))
                })
                .collect();
            (name.clone(), Value::Object(cells))
        };
        Value::Object(self.rows.iter().map(row).collect())
    }

    fn page(&self, out: &mut String) {
        let _ = writeln!(out, "\n## {}\n\n| | {} | rounds |", self.title, self.columns.join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(self.columns.len() + 1));
        for (name, samples) in &self.rows {
            let cells: Vec<String> = samples.iter().map(cell).collect();
            let rounds = samples.first().map_or(0, |sample| sample.rounds.len());
            let _ = writeln!(out, "| {name} | {} | {rounds} |", cells.join(" | "));
        }
    }
}

/// The report of a run.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<(String, Sample)>,
    gaps: Vec<(String, String)>,
    notes: Vec<(String, String)>,
    cautions: Vec<String>,
    sheets: Vec<Sheet>,
}

impl Report {
    /// A figure of one of the known keys.
    pub fn figure(&mut self, key: &str, sample: Sample) {
        self.figures.push((key.to_owned(), sample));
    }

    /// A key that was not measured, and why.
    pub fn gap(&mut self, key: &str, reason: &str) {
        self.gaps.push((key.to_owned(), reason.to_owned()));
    }

    /// A fact of the run: settings, workload, machine. A later one of the same name replaces it.
    pub fn note(&mut self, name: &str, value: impl Into<String>) {
        self.notes.retain(|(other, _)| other != name);
        self.notes.push((name.to_owned(), value.into()));
    }

    /// Something that a reader must know before any figure.
    pub fn caution(&mut self, text: String) {
        self.cautions.push(text);
    }

    /// Raw measurements.
    pub fn sheet(&mut self, sheet: Sheet) {
        self.sheets.push(sheet);
    }

    /// Everything as JSON.
    pub fn json(&self) -> Value {
        let mut figures = Map::new();
        for (name, sample) in &self.figures {
            let key = key(name);
            let target = key.map_or(Target::Reported, |key| key.target);
            let median = sample.median();
            figures.insert(
                name.clone(),
                json!({
                    "value": median,
                    "rounds": sample.rounds,
                    "low": sample.spread().map(|(low, _)| low),
                    "high": sample.spread().map(|(_, high)| high),
                    "target": target.text(),
                    "met": median.and_then(|value| target.met(value)),
                    "meaning": key.map_or("", |key| key.meaning),
                }),
            );
        }
        for (name, reason) in &self.gaps {
            let target = key(name).map_or(Target::Reported, |key| key.target).text();
            figures.insert(
                name.clone(),
                json!({ "value": null, "met": null, "target": target, "not_measured": reason }),
            );
        }
        let notes: Map<String, Value> =
            self.notes.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        let sheets: Map<String, Value> =
            self.sheets.iter().map(|sheet| (sheet.name.clone(), sheet.json())).collect();
        json!({ "cautions": self.cautions, "run": notes, "figures": figures, "measurements": sheets })
    }

    /// Everything as a page.
    pub fn page(&self) -> String {
        let mut out = String::from("# Concord beside MySQL's own replication\n\n");
        out.push_str("Medians of rounds taken in turn, lowest and highest round in parentheses. Both sides are durable and keep commit order.\n");
        for caution in &self.cautions {
            let _ = writeln!(out, "\n**Caution:** {caution}.");
        }
        out.push_str("\n| key | value | target | met | what |\n|---|---|---|---|---|\n");
        for (name, sample) in &self.figures {
            let key = key(name);
            let target = key.map_or(Target::Reported, |key| key.target);
            let met = match sample.median().and_then(|value| target.met(value)) {
                Some(true) => "yes",
                Some(false) => "**missed**",
                None => "–",
            };
            let meaning = key.map_or("", |key| key.meaning);
            let _ = writeln!(out, "| `{name}` | {} | {} | {met} | {meaning} |", cell(sample), target.text());
        }
        for (name, reason) in &self.gaps {
            let target = key(name).map_or(Target::Reported, |key| key.target).text();
            let _ = writeln!(out, "| `{name}` | not measured | {target} | – | {reason} |");
        }
        for sheet in &self.sheets {
            sheet.page(&mut out);
        }
        out.push_str("\n## The run\n\n| | |\n|---|---|\n");
        for (name, value) in &self.notes {
            let _ = writeln!(out, "| {name} | {value} |");
        }
        out
    }

    /// Writes `report.json` and `report.md` into this folder.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let json = format!("{:#}\n", self.json());
        for (name, text) in [("report.json", json), ("report.md", self.page())] {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
        }
        Ok(())
    }
}

fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn cell(sample: &Sample) -> String {
    let (Some(median), Some((low, high))) = (sample.median(), sample.spread()) else {
        return "–".to_owned();
    };
    if sample.rounds.len() == 1 {
        return number(median);
    }
    format!("{} ({} to {})", number(median), number(low), number(high))
}

/// About three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small < 0.1 && small > 0.0 => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_said_to_be_missed_in_both_files() {
        let mut report = Report::default();
        report.figure("drain.ratio_vs_native", Sample::of(vec![7.0, 5.9, 2.0]));
        report.figure("lag.p50_ms", Sample::of(vec![3.0]));
        report.gap("conflict.check_cost", "no switch");
        report.caution("busy".to_owned());
        let json = report.json();
        assert_eq!(json["figures"]["drain.ratio_vs_native"]["value"], 5.9);
        assert_eq!(json["figures"]["drain.ratio_vs_native"]["met"], false);
        assert_eq!(json["figures"]["lag.p50_ms"]["met"], true);
        assert_eq!(json["figures"]["conflict.check_cost"]["met"], Value::Null);
        let page = report.page();
        assert!(page.contains("**Caution:** busy."), "{page}");
        assert!(
            page.contains("| `drain.ratio_vs_native` | 5.90 (2.00 to 7.00) | ≥ 6 | **missed** |"),
            "{page}"
        );
        assert!(page.contains("| `lag.p50_ms` | 3.00 | ≤ 3 | yes |"), "{page}");
        assert!(page.contains("| `conflict.check_cost` | not measured | ≤ 0.1 | – | no switch |"), "{page}");
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(Sample::of(vec![9.0, 1.0, 4.0, 2.0]).median(), Some(3.0));
        assert_eq!(Sample::of(vec![]).median(), None);
    }

    #[test]
    fn a_sheet_gathers_the_rounds_of_a_row() {
        let mut sheet = Sheet::new("s", "S", &["a"]);
        sheet.add("x", &[1.0]);
        sheet.add("y", &[5.0]);
        sheet.add("x", &[3.0]);
        assert_eq!(sheet.json()["x"]["a"]["rounds"], json!([1.0, 3.0]));
        assert_eq!(sheet.json()["x"]["a"]["median"], 2.0);
        assert_eq!(sheet.json()["y"]["a"]["median"], 5.0);
    }
}
