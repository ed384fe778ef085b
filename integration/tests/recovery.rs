//! Processes and servers die, and nothing is lost or done twice.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(90);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.counter (id INT PRIMARY KEY, n INT);
CREATE TABLE s.log (id INT AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(4), n INT);
INSERT INTO s.counter VALUES (1, 0), (2, 0);
";
const TABLES: [&str; 2] = ["s.counter", "s.log"];

async fn pair() -> Mesh {
    MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap()
}

/// Transactions `from..to` of a region, each of which counts once and appends once.
async fn count(mesh: &mut Mesh, name: &str, from: u32, to: u32) {
    let row = if name == "eu" { 1 } else { 2 };
    let mut sql = mesh.root(name).await.unwrap();
    for n in from..to {
        sql.run("BEGIN").await.unwrap();
        sql.run(format!("UPDATE s.counter SET n = n + 1 WHERE id = {row}")).await.unwrap();
        sql.run(format!("INSERT INTO s.log (origin, n) VALUES ('{name}', {n})")).await.unwrap();
        sql.run("COMMIT").await.unwrap();
    }
}

async fn expect_counted(mesh: &mut Mesh, eu: u64, us: u64) {
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    let mut sql = mesh.root("us").await.unwrap();
    for (id, name, expected) in [(1, "eu", eu), (2, "us", us)] {
        assert_eq!(sql.number(format!("SELECT n FROM s.counter WHERE id = {id}")).await.unwrap(), expected);
        let distinct = format!("SELECT COUNT(*) FROM s.log WHERE origin = '{name}'");
        assert_eq!(sql.number(distinct).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_killed_concord_goes_on_where_it_was() {
    let mut mesh = pair().await;
    for round in 0..4 {
        count(&mut mesh, "eu", round * 40, round * 40 + 20).await;
        count(&mut mesh, "us", round * 40, round * 40 + 20).await;
        let victim = if round % 2 == 0 { "us" } else { "eu" };
        mesh.region(victim).unwrap().concord.kill();
        count(&mut mesh, "eu", round * 40 + 20, round * 40 + 40).await;
        count(&mut mesh, "us", round * 40 + 20, round * 40 + 40).await;
        mesh.region(victim).unwrap().concord.start().await.unwrap();
    }
    expect_counted(&mut mesh, 160, 160).await;
}

#[tokio::test]
async fn sigterm_ends_it_within_seconds_and_it_goes_on_after() {
    let mut mesh = pair().await;
    count(&mut mesh, "eu", 0, 20).await;
    for name in ["eu", "us"] {
        mesh.region(name).unwrap().concord.stop().await.unwrap();
    }
    count(&mut mesh, "eu", 20, 40).await;
    count(&mut mesh, "us", 0, 40).await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    expect_counted(&mut mesh, 40, 40).await;
}

#[tokio::test]
async fn a_server_that_dies_is_waited_for() {
    let mut mesh = pair().await;
    count(&mut mesh, "eu", 0, 20).await;
    let region = mesh.region("us").unwrap();
    region.server.kill();
    wait_for("the status of us to say that its server is away", BOUND, async || {
        let status = region.concord.status().await?;
        let away = status.state == "waiting" && status.extractor.state == "connecting";
        Ok(Look::when(away && !status.reasons().is_empty(), (), format!("{status:?}")))
    })
    .await
    .unwrap();
    assert_eq!(region.concord.get("/healthz").await.unwrap().code, 200, "a server away is no failure");
    assert_eq!(region.concord.get("/readyz").await.unwrap().code, 503);
    count(&mut mesh, "eu", 20, 40).await;
    mesh.region("us").unwrap().server.start().await.unwrap();
    count(&mut mesh, "us", 0, 20).await;
    expect_counted(&mut mesh, 40, 20).await;
}

#[tokio::test]
async fn a_server_that_restarts_with_a_new_binlog_file_is_read_on() {
    let mut mesh = pair().await;
    for round in 0..3 {
        count(&mut mesh, "eu", round * 20, round * 20 + 10).await;
        mesh.root("eu").await.unwrap().run("FLUSH BINARY LOGS").await.unwrap();
        count(&mut mesh, "eu", round * 20 + 10, round * 20 + 20).await;
        let region = mesh.region("eu").unwrap();
        region.server.stop().await.unwrap();
        region.server.start().await.unwrap();
    }
    expect_counted(&mut mesh, 60, 0).await;
}

#[tokio::test]
async fn a_peer_that_hangs_does_not_stop_the_others() {
    let mut mesh = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA).start().await.unwrap();
    mesh.region("ap").unwrap().concord.signal(Signal::SIGSTOP).unwrap();
    count(&mut mesh, "eu", 0, 30).await;
    let mut us = mesh.root("us").await.unwrap();
    wait_for("eu's rows in us", BOUND, async || {
        let there = us.number("SELECT COUNT(*) FROM s.log").await?;
        Ok(Look::when(there == 30, (), there))
    })
    .await
    .unwrap();
    mesh.region("ap").unwrap().concord.signal(Signal::SIGCONT).unwrap();
    expect_counted(&mut mesh, 30, 0).await;
}

#[tokio::test]
async fn a_transaction_of_many_rows_survives_a_kill_in_its_middle() {
    let mut mesh = pair().await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("SET SESSION cte_max_recursion_depth = 1000000").await.unwrap();
    eu.run(
        "INSERT INTO s.log (origin, n) WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 60000) \
         SELECT 'big', n FROM r",
    )
    .await
    .unwrap();
    // Killed as soon as it begins to arrive, which is as close to its middle as can be had without a sleep.
    let region = mesh.region("us").unwrap();
    let before =
        region.concord.status().await.unwrap().origin("eu").map_or(0, |origin| origin.durable_record);
    wait_for("the first records of it in us", BOUND, async || {
        let now = region.concord.status().await?.origin("eu").map_or(0, |origin| origin.durable_record);
        Ok(Look::when(now > before, (), now))
    })
    .await
    .unwrap();
    region.concord.kill();
    region.concord.start().await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(mesh.root("us").await.unwrap().number("SELECT COUNT(*) FROM s.log").await.unwrap(), 60_000);
}

#[tokio::test]
async fn a_stop_takes_seconds_even_while_peers_and_servers_are_away() {
    let mut mesh = pair().await;
    mesh.region("us").unwrap().concord.kill();
    mesh.region("us").unwrap().server.kill();
    mesh.region("eu").unwrap().server.kill();
    let region = mesh.region("eu").unwrap();
    wait_for("eu to notice", BOUND, async || {
        let status = region.concord.status().await?;
        Ok(Look::when(status.extractor.state == "connecting", (), status.extractor.state))
    })
    .await
    .unwrap();
    let start = Instant::now();
    region.concord.stop().await.unwrap();
    assert!(start.elapsed() < integration::concord::STOP_BOUND);
}

/// us has applied what eu wrote, and loses its copy of eu's log. Until that is back, us does not know that what ap then writes to the same row
/// has not seen it.
#[tokio::test]
async fn a_region_that_lost_its_copy_of_a_log_takes_nothing_for_a_successor_of_what_it_forgot() {
    let mut mesh = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA).start().await.unwrap();
    mesh.quiet(BOUND).await.unwrap();
    mesh.region("ap").unwrap().concord.stop().await.unwrap();
    let set = "UPDATE s.counter SET n = {} WHERE id = 1";
    mesh.root("ap").await.unwrap().run(set.replace("{}", "100")).await.unwrap();
    mesh.root("eu").await.unwrap().run(set.replace("{}", "200")).await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    wait_for("eu's write in us", BOUND, async || {
        let n = us.number("SELECT n FROM s.counter WHERE id = 1").await?;
        Ok(Look::when(n == 200, (), n))
    })
    .await
    .unwrap();
    for name in ["us", "eu"] {
        mesh.region(name).unwrap().concord.stop().await.unwrap();
    }
    std::fs::remove_dir_all(mesh.dir().join("us").join("concord").join("eu")).unwrap();
    mesh.region("us").unwrap().concord.spawn().unwrap();
    mesh.region("ap").unwrap().concord.start().await.unwrap();
    let concord = &mut mesh.region("us").unwrap().concord;
    concord.tells(&["the copy of its log ends with"], BOUND).await.unwrap();
    mesh.region("eu").unwrap().concord.start().await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(us.number("SELECT n FROM s.counter WHERE id = 1").await.unwrap(), 200);
}
