//! Definitions that differ between the regions: rows are carried by the names of their columns, or their table waits alone.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::hot::stage::Stage;

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.grown (id INT PRIMARY KEY, a INT NOT NULL, t VARCHAR(10), d DECIMAL(6,2), e ENUM('x','y'), w DATETIME,
    g GEOMETRY, j JSON, UNIQUE KEY (t));
CREATE TABLE s.strict (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.other (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.grown VALUES (1, 1, 'one', 1.25, 'x', '2024-01-02 03:04:05', ST_PointFromText('POINT(1 2)'), '{\"k\": [1, 2.5]}'),
    (2, 2, 'two', NULL, NULL, NULL, NULL, NULL), (3, 3, 'three', 3, 'y', NULL, NULL, 'null');
INSERT INTO s.strict VALUES (1, 'old'), (2, 'old');
INSERT INTO s.other VALUES (1, 'old');
";

fn unlogged(statements: &str) -> String {
    format!("SET sql_log_bin = 0; {statements}; SET sql_log_bin = 1")
}

async fn catch_up(stage: &mut Stage, region: &str, origin: &str) {
    let number = stage.written(origin).await.unwrap();
    stage.applied(region, origin, number).await.unwrap();
}

/// The suspended tables of a region with their reasons.
async fn suspended(stage: &mut Stage, region: &str) -> Vec<(String, String)> {
    let concord = &stage.mesh.region(region).unwrap().concord;
    let status: serde_json::Value =
        serde_json::from_str(&concord.get("/v1/status").await.unwrap().body).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let tables = status["suspended_tables"].as_array().unwrap();
    tables.iter().map(|table| (text(&table["table"]), text(&table["reason"]))).collect()
}

#[tokio::test]
async fn rows_are_carried_by_name_where_columns_are_more_wider_or_in_another_order() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    let change = "ALTER TABLE s.grown MODIFY d DECIMAL(12,4) FIRST, MODIFY a BIGINT NOT NULL AFTER t, MODIFY t VARCHAR(300), \
                  MODIFY e ENUM('x','y','z'), MODIFY w DATETIME(6), ADD COLUMN note VARCHAR(20) AFTER e; \
                  ALTER TABLE s.other ADD COLUMN twice VARCHAR(60) AS (CONCAT(v, v)) VIRTUAL FIRST";
    stage
        .play(&[
            ("us", &unlogged(change)),
            ("eu", "UPDATE s.grown SET a = 10, d = 99.99, j = JSON_SET(j, '$.n', 7), w = '2025-06-07 08:09:10' WHERE id = 1"),
            ("eu", "INSERT INTO s.grown VALUES (4, -4, 'four', -0.5, 'y', NULL, ST_PointFromText('POINT(3 4)'), '[]')"),
            ("eu", "DELETE FROM s.grown WHERE id = 2"),
            ("eu", "UPDATE s.other SET v = 'new' WHERE id = 1"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    stage
        .play(&[
            ("us", "UPDATE s.grown SET a = 33, t = 'drei' WHERE id = 3"),
            ("us", "INSERT INTO s.grown (id, a, t, d, e, w) VALUES (5, 5, 'five', 5.5, 'x', '2024-01-02 03:04:05')"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "eu", "us").await;
    let query = "SELECT id, a + 0, t, d + 0.0000, e, w + INTERVAL 0 MICROSECOND, ST_AsText(g), j FROM s.grown ORDER BY id";
    let eu = stage.client("eu").unwrap().rows(query).await.unwrap();
    let us = stage.client("us").unwrap().rows(query).await.unwrap();
    let plain = |rows: Vec<Vec<String>>| -> Vec<String> {
        rows.into_iter().map(|row| row.join("|").replace(".000000", "")).collect()
    };
    let (eu, us) = (plain(eu), plain(us));
    assert_eq!(eu, us);
    assert_eq!(
        us,
        [
            "1|10|one|99.9900|x|2025-06-07 08:09:10|POINT(1 2)|{\"k\": [1, 2.5], \"n\": 7}",
            "3|33|drei|3.0000|y|NULL|NULL|null",
            "4|-4|four|-0.5000|y|NULL|POINT(3 4)|[]",
            "5|5|five|5.5000|x|2024-01-02 03:04:05|NULL|NULL"
        ]
    );
    let twice = stage.client("us").unwrap().column("SELECT twice FROM s.other").await.unwrap();
    assert_eq!(twice, ["newnew"]);
    assert!(suspended(&mut stage, "eu").await.is_empty() && suspended(&mut stage, "us").await.is_empty());
}

#[tokio::test]
async fn a_table_without_a_primary_key_waits_alone() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    let keyless = "CREATE TABLE s.keyless (v VARCHAR(20))";
    stage
        .play(&[
            ("us", &unlogged(keyless)),
            ("eu", &unlogged(keyless)),
            ("eu", "BEGIN; INSERT INTO s.keyless VALUES ('x'), ('x'); UPDATE s.other SET v = 'with it' WHERE id = 1; COMMIT"),
            ("eu", "UPDATE s.strict SET v = 'after' WHERE id = 1"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    let held = suspended(&mut stage, "us").await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(
        held[0].0 == "s.keyless" && held[0].1.contains("no primary key") && held[0].1.contains("GTID"),
        "{held:?}"
    );
    assert_eq!(stage.rows("SELECT v FROM s.other").await.unwrap(), ["with it"]);
    assert_eq!(stage.rows("SELECT v FROM s.strict WHERE id = 1").await.unwrap(), ["after"]);
    // Also from a log that is read again at a start.
    stage.mesh.region("eu").unwrap().concord.kill();
    stage.mesh.start_concords(&["eu"]).await.unwrap();
    stage.play(&[("us", "UPDATE s.strict SET v = 'us' WHERE id = 2")]).await.unwrap();
    catch_up(&mut stage, "eu", "us").await;
}

#[tokio::test]
async fn a_hidden_key_beside_a_functional_index_which_mysql_cannot_apply_waits_alone() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    let hidden = "SET SESSION sql_generate_invisible_primary_key = ON; CREATE TABLE s.hidden (n INT, KEY f ((ABS(n))))";
    stage
        .play(&[
            ("us", &unlogged(hidden)),
            ("eu", &unlogged(hidden)),
            ("eu", "INSERT INTO s.hidden VALUES (-3)"),
            ("eu", "UPDATE s.other SET v = 'after' WHERE id = 1"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    let held = suspended(&mut stage, "us").await;
    assert!(held.len() == 1 && held[0].0 == "s.hidden" && held[0].1.contains("functional index"), "{held:?}");
    let dropped = unlogged("DROP INDEX f ON s.hidden");
    stage.play(&[("us", &dropped), ("eu", &dropped)]).await.unwrap();
    stage.mesh.region("us").unwrap().concord.say(&["resume", "--table", "s.hidden"]).unwrap();
    assert_eq!(stage.rows("SELECT n FROM s.hidden").await.unwrap(), ["-3"]);
}

#[tokio::test]
async fn what_has_no_place_here_holds_its_table_back_alone_until_the_definitions_are_equal() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    let change = "ALTER TABLE s.strict ADD COLUMN n INT NOT NULL DEFAULT 5, MODIFY v VARCHAR(30)";
    stage
        .play(&[
            ("us", &unlogged(change)),
            // This way there is a default, which is the same everywhere.
            ("eu", "INSERT INTO s.strict VALUES (3, 'eu')"),
            ("us", "UPDATE s.strict SET v = 'us' WHERE id = 1"),
            ("us", "INSERT INTO s.other VALUES (2, 'goes on')"),
            ("us", "INSERT INTO s.strict VALUES (4, 'too long for the other region', 44)"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    catch_up(&mut stage, "eu", "us").await;
    let held = suspended(&mut stage, "eu").await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0].0, "s.strict");
    assert!(held[0].1.starts_with("transaction ") && held[0].1.contains("of us (GTID "), "{held:?}");
    assert!(held[0].1.contains("column `n`") && held[0].1.contains("resume --table s.strict"), "{held:?}");
    let rows = stage.client("eu").unwrap().column("SELECT v FROM s.other ORDER BY id").await.unwrap();
    assert_eq!(rows, ["old", "goes on"]);
    let rows =
        stage.client("us").unwrap().column("SELECT CONCAT(v, n) FROM s.strict ORDER BY id").await.unwrap();
    assert_eq!(rows, ["us5", "old5", "eu5", "too long for the other region44"]);

    stage.play(&[("eu", &unlogged(change))]).await.unwrap();
    stage.mesh.region("eu").unwrap().concord.say(&["resume", "--table", "s.strict"]).unwrap();
    stage.settle().await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, v, n FROM s.strict ORDER BY id").await.unwrap(),
        ["1,us,5", "2,old,5", "3,eu,5", "4,too long for the other region,44"]
    );
}

#[tokio::test]
async fn a_table_that_is_missing_holds_back_itself_alone() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    stage
        .play(&[
            ("us", &unlogged("RENAME TABLE s.strict TO s.elsewhere")),
            ("eu", "BEGIN; UPDATE s.strict SET v = 'eu' WHERE id = 1; UPDATE s.other SET v = 'eu' WHERE id = 1; COMMIT"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    let held = suspended(&mut stage, "us").await;
    assert!(held.len() == 1 && held[0].1.contains("does not exist in this region"), "{held:?}");
    let rows = stage.client("us").unwrap().column("SELECT v FROM s.other").await.unwrap();
    assert_eq!(rows, ["eu"]);
    stage.play(&[("us", &unlogged("RENAME TABLE s.elsewhere TO s.strict"))]).await.unwrap();
    stage.mesh.region("us").unwrap().concord.say(&["resume", "--table", "s.strict"]).unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT v FROM s.strict ORDER BY id").await.unwrap(), ["eu", "old"]);
}
