//! The large, the random and the slow: `make test-long`.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::MeshPlan;
use integration::wait::{Look, wait_for};
use std::process::Command;
use std::time::Duration;

/// The bound of resident memory in a process, in KiB, for rows that are small.
const RESIDENT_KIB_MAX: u64 = 128 * 1024;

#[tokio::test]
async fn a_transaction_of_200_mb_goes_through_in_bounded_memory() {
    let schema = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v VARBINARY(1000));";
    let mut mesh = MeshPlan::of(&["eu", "us"])
        .schema(schema)
        .server_option("--innodb-redo-log-capacity=512M")
        .server_option("--innodb-buffer-pool-size=256M")
        .start()
        .await
        .unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("SET SESSION cte_max_recursion_depth = 1000000").await.unwrap();
    eu.run(
        "INSERT INTO s.t WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 210000) \
         SELECT n, REPEAT(UNHEX(SHA2(n, 256)), 31) FROM r",
    )
    .await
    .unwrap();
    let mut us = mesh.root("us").await.unwrap();
    wait_for("200 MB in us", Duration::from_secs(600), async || {
        let there = us.number("SELECT COUNT(*) FROM s.t").await?;
        Ok(Look::when(there == 210_000, (), there))
    })
    .await
    .unwrap();
    mesh.expect_equal(&["s.t"], Duration::from_secs(300)).await.unwrap();
    us.run("UPDATE s.t SET v = REVERSE(v) WHERE id % 2 = 0").await.unwrap();
    us.run("INSERT INTO s.t VALUES (1000000, 'last')").await.unwrap();
    mesh.expect_equal(&["s.t"], Duration::from_secs(600)).await.unwrap();
    let mut peaks = Vec::new();
    for region in &mesh.regions {
        let kib = region.concord.resident_kib_max().unwrap();
        println!("concord of {}: {kib} KiB resident at most", region.name);
        peaks.push(kib);
    }
    assert!(
        peaks.iter().all(|kib| *kib <= RESIDENT_KIB_MAX),
        "{peaks:?} KiB resident, but {RESIDENT_KIB_MAX} are the bound"
    );
}

/// Runs the demo's binary; its verdict counts.
fn demo(arguments: &[&str]) {
    let concord = integration::binary::concord().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(concord.with_file_name("demo"))
        .args(arguments)
        .arg("--dir")
        .arg(dir.path().join("demo"))
        .status()
        .unwrap();
    assert!(status.success(), "demo {arguments:?}");
}

#[test]
fn ten_kills_lose_nothing_and_repeat_nothing() {
    demo(&["--regions", "2", "--duration", "60", "--kills", "10", "--shared", "40", "--seed", "7"]);
}

#[test]
fn three_regions_with_kills_become_equal() {
    demo(&["--regions", "3", "--duration", "60", "--kills", "6", "--shared", "40", "--seed", "11"]);
}

#[test]
fn four_regions_become_equal() {
    demo(&["--regions", "4", "--duration", "40", "--rate", "30", "--seed", "13"]);
}

#[test]
fn clients_at_full_speed_on_few_rows_become_equal() {
    demo(&[
        "--regions",
        "2",
        "--duration",
        "40",
        "--rate",
        "0",
        "--writers",
        "4",
        "--shared",
        "90",
        "--seed",
        "17",
    ]);
}
