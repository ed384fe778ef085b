//! How much memory a `concord` takes for a transaction that no memory would hold: two GiB of small rows.

use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sheet};
use crate::scene::{SERVER_OPTIONS, SOURCE, TARGET};
use integration::wait::{Look, wait_for};
use integration::{Error, MeshPlan, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// Of 430 bytes each in the binlog: 2.1 GB.
const ROWS: u64 = 5_000_000;

/// How long both regions may take for it.
const BOUND: Duration = Duration::from_secs(1500);

/// Runs the group; the highest resident memory of the two, in KiB.
pub async fn run(home: &Path, options: &Options, progress: &Progress, report: &mut Report) -> Result<u64> {
    let rows = if options.quick { ROWS / 10 } else { ROWS };
    let mut plan = MeshPlan::of(&[SOURCE, TARGET])
        .dir(home)
        .schema("CREATE DATABASE wide; CREATE TABLE wide.row (id INT PRIMARY KEY, v VARCHAR(500))");
    for option in SERVER_OPTIONS {
        plan = plan.server_option(option);
    }
    let mut mesh = plan.start().await?;
    mesh.quiet(BOUND).await?;
    let mut sql = mesh.root(SOURCE).await?;
    sql.run(format!("SET SESSION cte_max_recursion_depth = {ROWS}")).await?;
    let began = Instant::now();
    sql.run(format!(
        "INSERT INTO wide.row WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {rows}) \
         SELECT n, CONCAT(REPEAT(CHAR(65 + n % 26), 420), n) FROM r"
    ))
    .await?;
    let written = began.elapsed();
    progress
        .say(format!("memory: one transaction of {rows} rows was written in {:.0} s", written.as_secs_f64()));
    let target = &mut mesh.region(TARGET)?.concord;
    wait_for("the large transaction to arrive", BOUND, async || {
        target.check_running()?;
        let status = target.status().await?;
        Ok(Look::when(status.applied(SOURCE) >= 1, (), status.reasons().join("; ")))
    })
    .await?;
    let arrived = began.elapsed().saturating_sub(written);
    let found = mesh.root(TARGET).await?.number("SELECT COUNT(*) FROM wide.row").await?;
    if found != rows {
        return Err(Error::Unexpected(format!("{found} of {rows} rows arrived; no figure counts")));
    }
    let mut sheet = Sheet::new("memory", "One large transaction", &["resident MiB at most"]);
    let mut highest = 0;
    for region in &mesh.regions {
        let kib = region.concord.resident_kib_max()?;
        sheet.add(&region.name, &[kib as f64 / 1024.0]);
        highest = highest.max(kib);
    }
    progress.say(format!(
        "memory: it arrived {:.0} s later; {:.0} MiB resident at most",
        arrived.as_secs_f64(),
        highest as f64 / 1024.0
    ));
    report.sheet(sheet);
    report.note("memory: rows of the large transaction", rows.to_string());
    drop(sql);
    mesh.stop().await?;
    Ok(highest)
}
