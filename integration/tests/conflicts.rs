//! Writes of two regions to one row while neither has seen the other's.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.t VALUES (1, 'old'), (2, 'old'), (3, 'old'), (4, 'old'), (5, 'old');
";

/// Runs the statements while no region applies anything, each region's in the given order, so that all are concurrent; the
/// order of the list is the order of time.
async fn concurrently(mesh: &mut Mesh, statements: &[(&str, &str)]) {
    for region in &mesh.regions {
        region.concord.say(&["pause"]).unwrap();
    }
    for (name, statement) in statements {
        mesh.root(name).await.unwrap().run(statement).await.unwrap();
    }
    for region in &mesh.regions {
        region.concord.say(&["resume"]).unwrap();
    }
}

async fn value(mesh: &mut Mesh, id: u32) -> Option<String> {
    let mut sql = mesh.root("eu").await.unwrap();
    sql.column(format!("SELECT v FROM s.t WHERE id = {id}")).await.unwrap().pop()
}

#[tokio::test]
async fn the_last_writer_wins_in_every_region() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    concurrently(
        &mut mesh,
        &[
            ("eu", "UPDATE s.t SET v = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 1"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 2"),
            ("eu", "UPDATE s.t SET v = 'eu' WHERE id = 2"),
            ("eu", "DELETE FROM s.t WHERE id = 3"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 3"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 4"),
            ("eu", "DELETE FROM s.t WHERE id = 4"),
            ("us", "DELETE FROM s.t WHERE id = 5"),
            ("eu", "DELETE FROM s.t WHERE id = 5"),
            ("eu", "INSERT INTO s.t VALUES (6, 'eu')"),
            ("us", "INSERT INTO s.t VALUES (6, 'us')"),
            ("us", "INSERT INTO s.t VALUES (7, 'us')"),
            ("eu", "INSERT INTO s.t VALUES (7, 'eu')"),
        ],
    )
    .await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let expected = [
        (1, Some("us")),
        (2, Some("eu")),
        (3, Some("us")),
        (4, None),
        (5, None),
        (6, Some("us")),
        (7, Some("eu")),
    ];
    for (id, expected) in expected {
        assert_eq!(value(&mut mesh, id).await.as_deref(), expected, "row {id}");
    }
    let mut conflicts = 0;
    for region in &mesh.regions {
        conflicts +=
            region.concord.status().await.unwrap().origins.iter().map(|origin| origin.conflicts).sum::<u64>();
    }
    assert!(conflicts >= 7, "only {conflicts} conflicts were counted");
}

#[tokio::test]
async fn a_change_back_to_the_old_value_is_a_write_like_any_other() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    // A replicator that compares values would not see that eu has written at all.
    concurrently(
        &mut mesh,
        &[
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 1"),
            ("eu", "UPDATE s.t SET v = 'eu' WHERE id = 1"),
            ("eu", "UPDATE s.t SET v = 'old' WHERE id = 1"),
        ],
    )
    .await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(value(&mut mesh, 1).await.as_deref(), Some("old"));
}

#[tokio::test]
async fn a_write_that_saw_the_other_is_no_conflict() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    for round in 0..5 {
        for name in ["eu", "us"] {
            let statement = format!("UPDATE s.t SET v = '{name} {round}' WHERE id = 1");
            mesh.root(name).await.unwrap().run(statement).await.unwrap();
            mesh.quiet(BOUND).await.unwrap();
        }
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(value(&mut mesh, 1).await.as_deref(), Some("us 4"));
    for region in &mesh.regions {
        let status = region.concord.status().await.unwrap();
        assert!(status.origins.iter().all(|origin| origin.conflicts == 0), "{status:?}");
    }
}

#[tokio::test]
async fn conflicts_of_three_regions_end_equal() {
    let mut mesh = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA).start().await.unwrap();
    let names = ["eu", "us", "ap"];
    for round in 0..6 {
        let statements: Vec<(&str, String)> = (0..6)
            .map(|step| {
                let name = names[(round + step) % 3];
                let id = 1 + step % 3;
                let statement = match (round + step) % 4 {
                    0 => format!("DELETE FROM s.t WHERE id = {id}"),
                    1 => format!("REPLACE INTO s.t VALUES ({id}, '{name} {round}')"),
                    _ => format!("UPDATE s.t SET v = '{name} {round} {step}' WHERE id = {id}"),
                };
                (name, statement)
            })
            .collect();
        let borrowed: Vec<(&str, &str)> =
            statements.iter().map(|(name, statement)| (*name, statement.as_str())).collect();
        concurrently(&mut mesh, &borrowed).await;
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
}

#[tokio::test]
async fn concurrent_partial_updates_of_a_document_are_decided_on_whole_rows() {
    const DOCUMENTS: &str = "
        CREATE DATABASE s;
        CREATE TABLE s.d (id INT PRIMARY KEY, j JSON);
        INSERT INTO s.d SELECT n, JSON_OBJECT('a', 'old', 'b', 'old', 'pad', REPEAT('p', 300))
          FROM (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) AS x;
    ";
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(DOCUMENTS).start().await.unwrap();
    for name in ["eu", "us"] {
        mesh.root(name)
            .await
            .unwrap()
            .run("SET GLOBAL binlog_row_value_options = PARTIAL_JSON")
            .await
            .unwrap();
    }
    concurrently(
        &mut mesh,
        &[
            ("eu", "UPDATE s.d SET j = JSON_SET(j, '$.a', 'eu') WHERE id IN (1, 3)"),
            ("us", "UPDATE s.d SET j = JSON_SET(j, '$.b', 'us') WHERE id IN (1, 2)"),
            ("eu", "UPDATE s.d SET j = JSON_REMOVE(JSON_SET(j, '$.c', 'eu'), '$.b') WHERE id = 2"),
        ],
    )
    .await;
    mesh.expect_equal(&["s.d"], BOUND).await.unwrap();
    let documents = "SELECT JSON_REMOVE(j, '$.pad') FROM s.d ORDER BY id";
    assert_eq!(
        mesh.root("us").await.unwrap().column(documents).await.unwrap(),
        [r#"{"a": "old", "b": "us"}"#, r#"{"a": "old", "c": "eu"}"#, r#"{"a": "eu", "b": "old"}"#]
    );
}
