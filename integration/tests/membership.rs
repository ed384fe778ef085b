//! A region joins a running mesh, and a region that lost everything comes back.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(90);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(4), v TEXT);
CREATE TABLE s.empty (id INT PRIMARY KEY);
CREATE TABLE s.`odd name` (a VARCHAR(10), b INT, j JSON, PRIMARY KEY (b, a));
CREATE TABLE s.indexed (id INT PRIMARY KEY, doc JSON, f FLOAT, KEY nums ((CAST(doc->'$.nums' AS UNSIGNED ARRAY))));
INSERT INTO s.indexed VALUES (1, '{\"nums\": [3, 1, 2]}', 1.1), (2, '{\"nums\": 2}', NULL), (3, NULL, -0.1);
";
const TABLES: [&str; 3] = ["s.t", "s.empty", "s.`odd name`"];

async fn write(mesh: &mut Mesh, name: &str, rows: u32) {
    let mut sql = mesh.root(name).await.unwrap();
    for n in 0..rows {
        sql.run(format!("INSERT INTO s.t (origin, v) VALUES ('{name}', 'row {n}')")).await.unwrap();
    }
}

#[tokio::test]
async fn a_third_region_joins_the_running_two_by_seed() {
    let mut mesh = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA).build().await.unwrap();
    mesh.root("ap").await.unwrap().run("DROP DATABASE s").await.unwrap();
    mesh.start_without_the_rest(&["eu", "us"]).await.unwrap();
    write(&mut mesh, "eu", 50).await;
    write(&mut mesh, "us", 50).await;
    mesh.root("eu")
        .await
        .unwrap()
        .run("INSERT INTO s.`odd name` VALUES ('x', 1, '{\"a\": 1.0}')")
        .await
        .unwrap();
    // Seeds while the others go on writing.
    let concord = &mesh.region("ap").unwrap().concord;
    let (config, binary) = (concord.config().to_owned(), integration::binary::concord().unwrap());
    let seed = tokio::task::spawn_blocking(move || {
        std::process::Command::new(binary)
            .arg("--config")
            .arg(config)
            .args(["seed", "--from", "eu", "--yes"])
            .output()
    });
    while !seed.is_finished() {
        write(&mut mesh, "eu", 2).await;
        write(&mut mesh, "us", 1).await;
    }
    let seeded = seed.await.unwrap().unwrap();
    assert!(seeded.status.success(), "seed failed:\n{}", String::from_utf8_lossy(&seeded.stderr));
    write(&mut mesh, "us", 20).await;
    mesh.start_concords(&["ap"]).await.unwrap();
    write(&mut mesh, "ap", 20).await;
    write(&mut mesh, "eu", 20).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    // `CHECKSUM TABLE` says nothing of a table with a multi-valued index.
    let indexed = "SELECT id, doc, f FROM s.indexed WHERE 2 MEMBER OF (doc->'$.nums') OR id = 3 ORDER BY id";
    let [eu, ap] = [
        mesh.root("eu").await.unwrap().rows(indexed).await.unwrap(),
        mesh.root("ap").await.unwrap().rows(indexed).await.unwrap(),
    ];
    assert_eq!((eu.len(), eu), (3, ap));
    assert_eq!(
        mesh.root("us").await.unwrap().number("SELECT COUNT(*) FROM s.t WHERE origin = 'ap'").await.unwrap(),
        20
    );
}

#[tokio::test]
async fn a_region_whose_server_and_data_directory_were_wiped_rejoins() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    write(&mut mesh, "eu", 50).await;
    write(&mut mesh, "us", 50).await;
    mesh.quiet(BOUND).await.unwrap();
    let region = mesh.region("us").unwrap();
    region.concord.kill();
    region.server.wipe().unwrap();
    std::fs::remove_dir_all(region.concord.config().with_file_name("concord")).unwrap();
    region.server.start().await.unwrap();
    let config = region.concord.config().to_owned();
    let mut sql = region.server.root().await.unwrap();
    integration::account::create(&mut sql, &config).await.unwrap();
    write(&mut mesh, "eu", 20).await;
    let region = mesh.region("us").unwrap();
    region.concord.say(&["seed", "--from", "eu", "--yes"]).unwrap();
    region.concord.start().await.unwrap();
    write(&mut mesh, "us", 20).await;
    write(&mut mesh, "eu", 20).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(
        mesh.root("eu").await.unwrap().number("SELECT COUNT(*) FROM s.t WHERE origin = 'us'").await.unwrap(),
        70
    );
}

#[tokio::test]
async fn a_region_that_lost_only_its_logs_takes_them_back_from_its_peer() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    write(&mut mesh, "eu", 30).await;
    write(&mut mesh, "us", 30).await;
    mesh.quiet(BOUND).await.unwrap();
    let region = mesh.region("us").unwrap();
    region.concord.stop().await.unwrap();
    std::fs::remove_dir_all(region.concord.config().with_file_name("concord")).unwrap();
    write(&mut mesh, "eu", 30).await;
    write(&mut mesh, "us", 30).await;
    mesh.start_concords(&["us"]).await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(mesh.root("eu").await.unwrap().number("SELECT COUNT(*) FROM s.t").await.unwrap(), 120);
}
