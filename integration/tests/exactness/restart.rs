//! A restart while histories are unstable, after retention was at work.

use integration::hot::stage::Stage;
use integration::mesh::set;
use integration::wait::{Look, wait_for};
use integration::{MeshPlan, Sql};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(90);
const FILLED: &str = "
CREATE DATABASE s;
CREATE TABLE s.n (id INT PRIMARY KEY, n INT, v VARCHAR(20));
CREATE TABLE s.log (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB);
INSERT INTO s.n VALUES (1, 0, 'old'), (2, 0, 'old'), (3, 0, 'old');
";
const COUNTED: &str = "[[policy]]\ntables = [\"s.n\"]\npolicy = \"columns\"\ncounter = [\"n\"]\n";

/// The segments of eu's log that a region holds.
fn segments(config: &Path) -> integration::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(config.with_file_name("concord").join("eu"))
        .map_err(integration::Error::io("read the folder of eu's log"))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    Ok(paths)
}

/// Transactions of which no two fit into a segment.
async fn fill(sql: &mut Sql, transactions: u32) {
    for _ in 0..transactions {
        sql.run("INSERT INTO s.log (v) VALUES (REPEAT(RANDOM_BYTES(1000), 700))").await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_amid_unstable_histories_finds_all_that_retention_had_to_leave() {
    let plan = MeshPlan::of(&["eu", "us", "ap"]).edit(|_, table| {
        set(table, "region.log.segment_size", "1MiB");
        set(table, "region.log.keep_age", "1ms");
    });
    let mut stage = Stage::with(plan, FILLED, COUNTED).await.unwrap();
    stage.play(&[("eu", "UPDATE s.n SET n = n + 1, v = 'seen by all' WHERE id < 3")]).await.unwrap();
    let eu = stage.mesh.region("eu").unwrap().concord.config().to_owned();
    // Segments that retention may take, and has not taken yet.
    let first = loop {
        fill(stage.client("eu").unwrap(), 4).await;
        stage.settle().await.unwrap();
        let held = segments(&eu).unwrap();
        if held.len() > 3 {
            break held[0].clone();
        }
    };
    // Equal tables do not say that the regions have told each other: what is not stable before the pauses stays so.
    wait_for("all that was written to become stable", BOUND, async || {
        let status = stage.mesh.region("eu")?.concord.status().await?;
        Ok(Look::when(status.stable_everywhere, (), "eu is not stable everywhere"))
    })
    .await
    .unwrap();
    // From here on ap applies nothing, so nothing that eu and us write becomes stable; and what ap writes, nobody applies.
    for (region, origin) in [("ap", "eu"), ("ap", "us"), ("eu", "ap"), ("us", "ap")] {
        stage.hold_one(region, origin).await.unwrap();
    }
    stage
        .play(&[
            ("ap", "UPDATE s.n SET n = n + 100 WHERE id = 1"),
            ("us", "UPDATE s.n SET n = n + 10, v = 'us' WHERE id = 1"),
            ("eu", "UPDATE s.n SET n = n + 1 WHERE id = 1"),
            ("eu", "DELETE FROM s.n WHERE id = 3"),
            ("ap", "UPDATE s.n SET v = 'ap' WHERE id = 3"),
        ])
        .await
        .unwrap();
    fill(stage.client("eu").unwrap(), 4).await;
    stage
        .play(&[
            ("us", "UPDATE s.n SET n = n + 10 WHERE id = 2"),
            ("ap", "UPDATE s.n SET n = n + 100 WHERE id = 2"),
        ])
        .await
        .unwrap();
    for (region, origin) in [("us", "eu"), ("eu", "us")] {
        let written = stage.written(origin).await.unwrap();
        stage.applied(region, origin, written).await.unwrap();
    }
    // Retention has been at work: the segment of before is gone, those of the unstable writes are not.
    wait_for("retention to take the first segment", BOUND, async || {
        let held = segments(&eu)?;
        Ok(Look::when(!held.contains(&first), (), format!("{held:?}")))
    })
    .await
    .unwrap();
    for region in &mut stage.mesh.regions {
        region.concord.kill();
    }
    // A restart ends every pause, so the three meet right after their indexes were rebuilt.
    stage.mesh.start_concords(&["eu", "us", "ap"]).await.unwrap();
    stage.settle().await.unwrap();
    let rows = stage.rows("SELECT id, n, v FROM s.n ORDER BY id").await.unwrap();
    assert_eq!(rows, ["1,112,us", "2,111,seen by all", "3,0,ap"]);
}
