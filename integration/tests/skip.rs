//! `concord skip` on real servers: a transaction that cannot be applied is passed over, and no region ends with other rows.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::hot::stage::Stage;
use integration::wait::Look;
use integration::wait_for;
use std::time::Duration;

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.plain (id INT PRIMARY KEY, v VARCHAR(20), f FLOAT, d DATETIME(3), g GEOMETRY, b VARBINARY(9));
CREATE TABLE s.other (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.plain VALUES (1, 'old', 0.1, '2020-02-29 01:02:03.456', ST_PointFromText('POINT(1 2)'), 0x00ff),
    (2, NULL, NULL, NULL, NULL, NULL), (3, 'old', 3, NULL, NULL, ''), (4, 'old', 4, NULL, NULL, NULL);
INSERT INTO s.other VALUES (1, 'old');
";
const BOUND: Duration = Duration::from_secs(60);

/// Waits until `region` is halted, with this code, at what comes from `origin`; returns the reason.
async fn halted(stage: &mut Stage, region: &str, origin: &str, code: &str) -> String {
    let region = stage.mesh.region(region).unwrap();
    let (mut found, mut shown) = (None, None);
    wait_for(&format!("{} to halt at {origin}", region.name), BOUND, async || {
        let status = region.concord.status().await?;
        let applier = &status.origin(origin).unwrap().applier;
        found.clone_from(&applier.error);
        shown.clone_from(&applier.code);
        Ok(if applier.state == "halted" { Look::Done(()) } else { Look::NotYet(applier.state.clone()) })
    })
    .await
    .unwrap();
    assert_eq!(shown.as_deref(), Some(code), "{found:?}");
    found.unwrap()
}

fn concord(stage: &mut Stage, region: &str, arguments: &[&str]) -> Result<String, String> {
    stage.mesh.region(region).unwrap().concord.say(arguments).map_err(|error| error.to_string())
}

async fn catch_up(stage: &mut Stage, region: &str, origin: &str) {
    let number = stage.written(origin).await.unwrap();
    stage.applied(region, origin, number).await.unwrap();
}

#[tokio::test]
async fn rows_of_a_skipped_transaction_become_everywhere_what_they_are_where_it_was_skipped() {
    let mut stage = Stage::new(&["eu", "us", "ap"], SCHEMA, "").await.unwrap();
    // us takes less than the others do, and has a row that no log tells of.
    let script = "SET sql_log_bin = 0; ALTER TABLE s.plain ADD CHECK (v <> 'too much'); \
                  UPDATE s.plain SET v = 'by hand', f = 1e-7 WHERE id = 3; UPDATE s.plain SET f = 44 WHERE id = 4; SET sql_log_bin = 1";
    stage.play(&[("us", script), ("eu", "INSERT INTO s.other VALUES (2, 'before')")]).await.unwrap();
    let before = stage.written("eu").await.unwrap();
    stage
        .play(&[(
            "eu",
            "BEGIN; UPDATE s.plain SET v = 'too much', f = 9 WHERE id < 4; INSERT INTO s.plain (id, v) VALUES (7, 'too much'); \
             UPDATE s.plain SET f = 44 WHERE id = 4; UPDATE s.other SET v = 'eu' WHERE id = 1; COMMIT",
        )])
        .await
        .unwrap();
    let number = stage.written("eu").await.unwrap();
    assert_eq!(number, before + 1);
    stage.play(&[("eu", "INSERT INTO s.other VALUES (3, 'after')")]).await.unwrap();
    let reason = halted(&mut stage, "us", "eu", "check-violated").await;
    assert!(reason.contains(&format!("up to {number} of eu")), "it names that one alone: {reason}");
    catch_up(&mut stage, "ap", "eu").await;

    // Only the one that is next, named right.
    let wrong = concord(&mut stage, "us", &["skip", "--origin", "eu", "--sequence", "4000"]).unwrap_err();
    assert!(wrong.contains(&format!("which of eu is {number}")), "{wrong}");
    let wrong = concord(&mut stage, "us", &["skip", "--origin", "sa", "--sequence", "1"]).unwrap_err();
    assert!(wrong.contains("no region sa is applied here"), "{wrong}");
    let done =
        concord(&mut stage, "us", &["skip", "--origin", "eu", "--sequence", &number.to_string()]).unwrap();
    assert!(done.contains("6 rows stay as they are here"), "{done}");

    stage.settle().await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, v, f, d, ST_AsText(g), HEX(b) FROM s.plain ORDER BY id").await.unwrap(),
        [
            "1,old,0.1,2020-02-29 01:02:03.456,POINT(1 2),00FF",
            "2,NULL,NULL,NULL,NULL,NULL",
            "3,by hand,0.0000001,NULL,NULL,",
            "4,old,44,NULL,NULL,NULL"
        ]
    );
    assert_eq!(
        stage.rows("SELECT id, v FROM s.other ORDER BY id").await.unwrap(),
        ["1,old", "2,before", "3,after"]
    );

    // It is on record, with both images, and was not done twice by a restart.
    let found = stage.conflicts_of("s.plain", "1").unwrap();
    assert!(found.iter().any(|one| one.kind == "skipped"), "{found:?}");
    let id = found.iter().find(|one| one.kind == "skipped").unwrap().id.clone();
    let told = concord(&mut stage, "us", &["conflicts", "show", &id]).unwrap();
    assert!(told.contains("A person passed over transaction") && told.contains("'too much'"), "{told}");
    stage.mesh.region("us").unwrap().concord.kill();
    stage.mesh.start_concords(&["us"]).await.unwrap();
    stage.play(&[("eu", "UPDATE s.plain SET v = 'later' WHERE id = 1")]).await.unwrap();
    stage.settle().await.unwrap();
    assert_eq!(
        stage.rows("SELECT v FROM s.plain WHERE id < 3 ORDER BY id").await.unwrap(),
        ["later", "NULL"]
    );
}

#[tokio::test]
async fn tables_of_a_transaction_skipped_with_suspend_stand_still_alone_and_catch_up_later() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    let script =
        "SET sql_log_bin = 0; ALTER TABLE s.plain ADD CONSTRAINT less CHECK (v <> 'eu'); SET sql_log_bin = 1";
    stage.play(&[("us", script), ("eu", "UPDATE s.plain SET v = 'eu' WHERE id = 1")]).await.unwrap();
    let number = stage.written("eu").await.unwrap().to_string();
    stage.play(&[("eu", "INSERT INTO s.other VALUES (2, 'goes on')")]).await.unwrap();
    let reason = halted(&mut stage, "us", "eu", "check-violated").await;
    assert!(reason.contains(&format!("up to {number} of eu")) && reason.contains("3819"), "{reason}");
    let shown = concord(&mut stage, "us", &["log", "show", &number, "--origin", "eu", "--json"]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let gtid = shown["gtid"].as_str().unwrap().to_owned();
    let done = concord(&mut stage, "us", &["skip", "--origin", "eu", "--gtid", &gtid, "--suspend"]);
    assert!(
        done.as_ref().is_ok_and(|done| done.contains("held back with all later writes of s.plain")),
        "{done:?}"
    );
    catch_up(&mut stage, "us", "eu").await;
    let other = stage.client("us").unwrap().column("SELECT v FROM s.other ORDER BY id").await.unwrap();
    assert_eq!(other, ["old", "goes on"]);

    stage.play(&[("eu", "UPDATE s.plain SET v = 'eu' WHERE id = 2")]).await.unwrap();
    let script = "SET sql_log_bin = 0; ALTER TABLE s.plain DROP CHECK less; SET sql_log_bin = 1";
    stage.play(&[("us", script)]).await.unwrap();
    concord(&mut stage, "us", &["resume", "--table", "s.plain"]).unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT v FROM s.plain ORDER BY id").await.unwrap(), ["eu", "eu", "old", "old"]);
}
