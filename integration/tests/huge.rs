//! The largest transactions and values that are carried, and the first that is not.
#![cfg(feature = "long")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};

const BOUND: Duration = Duration::from_secs(1500);

async fn pair() -> Mesh {
    let schema = "CREATE DATABASE s; CREATE TABLE s.wide (id INT PRIMARY KEY, v VARCHAR(500));
        CREATE TABLE s.one (id INT PRIMARY KEY, v LONGBLOB); CREATE TABLE s.small (id INT PRIMARY KEY);";
    MeshPlan::of(&["eu", "us"]).schema(schema).start().await.unwrap()
}

#[tokio::test]
async fn a_transaction_of_five_million_rows_and_two_gib_arrives_within_the_bound_of_memory() {
    const ROWS: u64 = 5_000_000;
    let mut mesh = pair().await;
    let (mut eu, mut us) = (mesh.root("eu").await.unwrap(), mesh.root("us").await.unwrap());
    eu.run("SET SESSION cte_max_recursion_depth = 10000000").await.unwrap();
    let began = Instant::now();
    // 430 bytes a row: 2.1 GB of events.
    eu.run(format!(
        "INSERT INTO s.wide WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {ROWS}) \
         SELECT n, CONCAT(REPEAT(CHAR(65 + n % 26), 420), n) FROM r"
    ))
    .await
    .unwrap();
    println!("written after {:?}", began.elapsed());
    let region = mesh.region("us").unwrap();
    wait_for("it to arrive in us", BOUND, async || {
        region.concord.check_running()?;
        let status = region.concord.status().await?;
        Ok(Look::when(status.applied("eu") >= 1, (), status.reasons().join("; ")))
    })
    .await
    .unwrap();
    println!("applied after {:?}", began.elapsed());
    assert_eq!(us.number("SELECT COUNT(*) FROM s.wide").await.unwrap(), ROWS);
    let peaks: Vec<u64> =
        mesh.regions.iter().map(|region| region.concord.resident_kib_max().unwrap()).collect();
    println!("{peaks:?} KiB at most");
    assert!(peaks.iter().all(|kib| *kib <= 128 * 1024), "{peaks:?}");
    // And back: what us changes of it has seen it.
    us.run("UPDATE s.wide SET v = 'us' WHERE id = 4999999").await.unwrap();
    eu.run("INSERT INTO s.small VALUES (1)").await.unwrap();
    mesh.expect_equal(&["s.wide", "s.small"], BOUND).await.unwrap();
}

#[tokio::test]
async fn a_row_event_beyond_700_mib_halts_with_its_table_and_a_smaller_one_passes() {
    let mut mesh = pair().await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.one VALUES (1, REPEAT('x', 400 * 1024 * 1024))").await.unwrap();
    mesh.expect_equal(&["s.one"], BOUND).await.unwrap();
    eu.run("INSERT INTO s.one VALUES (2, REPEAT('y', 701 * 1024 * 1024))").await.unwrap();
    let region = mesh.region("eu").unwrap();
    let reason = wait_for("the extractor of eu to halt", BOUND, async || {
        let status = region.concord.status().await?;
        let halted = status.extractor.state == "halted";
        Ok(Look::when(halted, status.extractor.error.clone(), status.extractor.state))
    })
    .await
    .unwrap()
    .unwrap_or_default();
    assert!(reason.contains("s.one"), "{reason}");
}
