//! Drains whose transactions crowd on few rows, or go to few or many tables, or have large or tiny rows: a round of each.

use crate::drain::{COLUMNS, cells, concord, fastest, fetch, natives, tell, wanted};
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::sbtest::{Ids, MANY_TABLES, TABLES, Tables, Workload};
use crate::scene::Scene;
use integration::{Error, Result};

/// Worker counts of the native replica. With one it does best where all transactions wait for each other.
const WORKERS: [u64; 2] = [16, 1];

/// Transactions of each backlog.
const TRANSACTIONS: u64 = 20_000;
/// Of large rows: some 100 KB of binlog each.
const TRANSACTIONS_LARGE: u64 = 2_000;

const fn skewed(name: &'static str, tables: Tables, ids: Ids, hot_percent: u64) -> Workload {
    Workload { name, tables, ids, hot_percent, ..Workload::WRITE_ONLY }
}

const EIGHT: Tables = Tables::Sysbench(TABLES);

/// Keys of the report, and what they measure.
const CASES: [(&str, Workload); 8] = [
    ("skew.hot_1", skewed("1 % of transactions on one row", EIGHT, Ids::Special, 1)),
    ("skew.hot_10", skewed("10 % of transactions on one row", EIGHT, Ids::Special, 10)),
    ("skew.hot_100", skewed("100 % of transactions on one row", EIGHT, Ids::Special, 100)),
    ("skew.zipf", skewed("ids by Zipf's law", EIGHT, Ids::Zipf, 0)),
    ("skew.tables_2", skewed("2 tables", Tables::Sysbench(2), Ids::Special, 0)),
    ("skew.tables_200", skewed("200 tables", Tables::Sysbench(MANY_TABLES), Ids::Special, 0)),
    ("skew.large_rows", skewed("rows of 16 KB", Tables::Large, Ids::Special, 0)),
    ("skew.tiny_rows", skewed("rows of two integers", Tables::Tiny, Ids::Special, 0)),
];

/// Runs the group.
pub async fn run(
    scene: &mut Scene,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let mut sheet = Sheet::new("skew", "Skewed drains, a round of each", &COLUMNS);
    for (key, workload) in CASES {
        let most = if workload.tables == Tables::Large { TRANSACTIONS_LARGE } else { TRANSACTIONS };
        let transactions = options.transactions().min(most);
        let backlog = scene.load(workload, transactions, options, progress).await?;
        fetch(scene, &backlog).await?;
        let wanted = wanted(scene, workload).await?;
        let ended = natives(scene, &backlog, &WORKERS, &wanted, workload.name, progress, report).await?;
        let (count, native) = fastest(&ended)
            .ok_or_else(|| Error::Unexpected(format!("no native replica drained {}", workload.name)))?;
        let (drained, _) = concord(scene, &backlog, &wanted).await?;
        tell(progress, &format!("{}: Concord", workload.name), &drained);
        sheet.add(&format!("{}: native replica, workers {count}", workload.name), &cells(&native));
        sheet.add(&format!("{}: Concord", workload.name), &cells(&drained));
        report.figure(key, Sample::of(vec![native.seconds / drained.seconds]));
    }
    report.sheet(sheet);
    Ok(())
}
