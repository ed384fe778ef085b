//! Logs that reach their quota, since a region is away or paused, and what becomes of them when it is back.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::mesh::set;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
const QUOTA: u64 = 8 * MIB;
const TABLES: [&str; 1] = ["s.log"];
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.log (id INT AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(4), v LONGBLOB);
";

async fn mesh(names: &[&str]) -> Mesh {
    let plan = MeshPlan::of(names).schema(SCHEMA).edit(|_, config| {
        set(config, "region.log.segment_size", "1MiB");
        set(config, "region.log.keep_bytes", "1MiB");
        set(config, "region.log.quota", "8MiB");
    });
    plan.start().await.unwrap()
}

/// Clients of a region write so many MiB, in transactions of a quarter of one.
async fn write(mesh: &mut Mesh, name: &str, mib: u64) {
    let mut sql = mesh.root(name).await.unwrap();
    for _ in 0..4 * mib {
        let insert =
            format!("INSERT INTO s.log (origin, v) VALUES ('{name}', REPEAT(RANDOM_BYTES(1024), 256))");
        sql.run(insert).await.unwrap();
    }
}

/// Waits until a region says that its extractor waits since its log has reached the quota, for this reason.
async fn stopped(mesh: &mut Mesh, name: &str, why: &str) {
    let concord = &mesh.region(name).unwrap().concord;
    wait_for(&format!("{name} to stop at its quota"), BOUND, async || {
        let status = concord.status().await?;
        let reason = status.extractor.waiting_for.clone().unwrap_or_default();
        let wanted = reason.contains("[region.log] quota is 8 MiB") && reason.contains(why);
        Ok(Look::when(wanted, (), format!("{status:?}")))
    })
    .await
    .unwrap();
}

/// Bytes of the log of `origin` on the disk of `region`.
fn length(mesh: &Mesh, region: &str, origin: &str) -> u64 {
    let folder = mesh.dir().join(region).join("concord").join(origin);
    let files = std::fs::read_dir(folder).unwrap();
    // One that has gone since it was listed takes nothing.
    files.filter_map(|file| Some(file.unwrap().metadata().ok()?.len())).sum()
}

/// Everything arrives everywhere, and the logs become short again by themselves.
async fn heals(mesh: &mut Mesh) {
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    let names = mesh.names();
    let mesh = &*mesh;
    wait_for("the logs to become short", BOUND, async || {
        let pairs = names.iter().flat_map(|region| names.iter().map(move |origin| (region, origin)));
        let lengths: Vec<u64> = pairs.map(|(region, origin)| length(mesh, region, origin)).collect();
        Ok(Look::when(lengths.iter().all(|len| *len < 4 * MIB), (), format!("{lengths:?}")))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_region_that_is_away_costs_the_others_no_more_disk_than_the_quota_and_they_go_on_when_it_is_back() {
    let mut mesh = mesh(&["eu", "us", "ap"]).await;
    mesh.region("ap").unwrap().concord.kill();
    for name in ["eu", "us"] {
        write(&mut mesh, name, 9).await;
    }
    for name in ["eu", "us"] {
        stopped(&mut mesh, name, "region ap is away").await;
    }
    // What clients write now stays in the binlog, and each has work of the other behind it.
    for name in ["eu", "us"] {
        write(&mut mesh, name, 5).await;
    }
    for name in ["eu", "us"] {
        for origin in ["eu", "us"] {
            let bytes = length(&mesh, name, origin);
            assert!(bytes < QUOTA + 3 * MIB, "the log of {origin} takes {bytes} bytes in {name}");
        }
        let concord = &mesh.region(name).unwrap().concord;
        let said = concord.say(&["status"]).unwrap();
        assert!(said.contains(&format!("log of {name} filling")), "{said}");
        let metrics = concord.get("/metrics").await.unwrap().body;
        assert!(metrics.contains(&format!("concord_log_quota_bytes{{region=\"{name}\"")), "{metrics}");
    }
    mesh.region("ap").unwrap().concord.start().await.unwrap();
    heals(&mut mesh).await;
}

#[tokio::test]
async fn a_region_that_is_paused_counts_as_away() {
    let mut mesh = mesh(&["eu", "us"]).await;
    mesh.region("us").unwrap().concord.say(&["pause"]).unwrap();
    write(&mut mesh, "eu", 13).await;
    stopped(&mut mesh, "eu", "in region us something stands still").await;
    mesh.region("us").unwrap().concord.say(&["resume"]).unwrap();
    heals(&mut mesh).await;
}
