//! XA transactions on real servers: what is prepared arrives when it commits, whatever dies in between.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::Sql;
use integration::hot::stage::Stage;

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(2000));
INSERT INTO s.t VALUES (1, 'old'), (2, 'old'), (3, 'old');
";

async fn another_client(stage: &mut Stage, region: &str) -> Sql {
    stage.mesh.root(region).await.unwrap()
}

#[tokio::test]
async fn what_is_prepared_arrives_when_it_commits_and_conflicts_count_from_there() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    stage
        .play(&[
            ("eu", "XA START 'one'; UPDATE s.t SET v = 'one phase' WHERE id = 1; XA END 'one'; XA COMMIT 'one' ONE PHASE"),
            ("eu", "XA START 'two'; UPDATE s.t SET v = 'prepared' WHERE id = 2; SAVEPOINT a; INSERT INTO s.t VALUES (8, 'undone'); \
                    ROLLBACK TO a; INSERT INTO s.t VALUES (4, 'prepared'); XA END 'two'; XA PREPARE 'two'"),
        ])
        .await
        .unwrap();
    let mut other = another_client(&mut stage, "eu").await;
    other
        .script("XA START 'gone', 'b', 7; DELETE FROM s.t WHERE id = 3; XA END 'gone', 'b', 7; XA PREPARE 'gone', 'b', 7")
        .await
        .unwrap();
    // Written elsewhere between PREPARE and COMMIT, seen by neither: the later stamp is the commit's.
    stage.hold().await.unwrap();
    stage.play(&[("us", "UPDATE s.t SET v = 'us, before the commit' WHERE id = 2")]).await.unwrap();
    let before = stage.written("us").await.unwrap();
    stage
        .play(&[
            ("eu", "XA COMMIT 'two'"),
            ("eu", "XA ROLLBACK 'gone', 'b', 7"),
            ("eu", "UPDATE s.t SET v = 'after' WHERE id = 3"),
        ])
        .await
        .unwrap();
    assert!(before > 0);
    stage.release().unwrap();
    stage.settle().await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, v FROM s.t ORDER BY id").await.unwrap(),
        ["1,one phase", "2,prepared", "3,after", "4,prepared"]
    );
    let found = stage.conflicts_of("s.t", "2").unwrap();
    assert_eq!(found.len(), 2, "each region tells of it: {found:?}");
    assert!(found.iter().all(|one| one.id == found[0].id && one.kind == "update-update"), "{found:?}");
}

#[tokio::test]
async fn what_is_prepared_outlives_kills_of_concord_and_of_the_server() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    // Larger than what is held in memory of one transaction, and of all together.
    let large = "INSERT INTO s.t WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1900) \
                 SELECT i, REPEAT('x', 2000) FROM n";
    let mut other = another_client(&mut stage, "eu").await;
    other.script(&format!("XA START 'large'; {large}; XA END 'large'; XA PREPARE 'large'")).await.unwrap();
    stage
        .play(&[(
            "eu",
            "XA START 'small'; UPDATE s.t SET v = 'small' WHERE id = 1; XA END 'small'; XA PREPARE 'small'",
        )])
        .await
        .unwrap();
    let mut third = another_client(&mut stage, "eu").await;
    third.run("UPDATE s.t SET v = 'between' WHERE id = 2").await.unwrap();
    let number = stage.written("eu").await.unwrap();
    stage.applied("us", "eu", number).await.unwrap();

    stage.mesh.region("eu").unwrap().concord.kill();
    stage.mesh.start_concords(&["eu"]).await.unwrap();
    third.run("FLUSH BINARY LOGS").await.unwrap();
    third.run("UPDATE s.t SET v = 'between, again' WHERE id = 2").await.unwrap();
    let number = stage.written("eu").await.unwrap();
    stage.applied("us", "eu", number).await.unwrap();
    let rows = stage
        .client("us")
        .unwrap()
        .value("SELECT COUNT(*) FROM s.t WHERE v IN ('small') OR id > 99")
        .await
        .unwrap();
    assert_eq!(rows, "0", "nothing of it is visible before it commits");

    let region = stage.mesh.region("eu").unwrap();
    region.concord.kill();
    region.server.kill();
    region.server.start().await.unwrap();
    stage.mesh.start_concords(&["eu"]).await.unwrap();
    let mut fourth = another_client(&mut stage, "eu").await;
    fourth.run("XA COMMIT 'large'").await.unwrap();
    fourth.run("XA COMMIT 'small'").await.unwrap();
    stage.settle().await.unwrap();
    for region in ["eu", "us"] {
        let mut client = another_client(&mut stage, region).await;
        let found = client.rows("SELECT COUNT(*), SUM(LENGTH(v)) FROM s.t WHERE id > 99").await.unwrap();
        assert_eq!(found, [["901", "1802000"]], "{region}");
        let found = client.column("SELECT v FROM s.t WHERE id < 4 ORDER BY id").await.unwrap();
        assert_eq!(found, ["small", "between, again", "old"], "{region}");
    }
}
