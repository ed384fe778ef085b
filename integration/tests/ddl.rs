//! DDL is a barrier in its origin's order, runs once in every region, and meets what had not seen it with the table suspended.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use integration::hot::stage::Stage;
use integration::mesh::set;
use integration::wait::{Look, wait_for};
use integration::{MeshPlan, Sql};

const BOUND: Duration = Duration::from_secs(60);

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE USER app@localhost;
GRANT ALL ON s.* TO app@localhost;
CREATE TABLE s.a (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.b (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.a VALUES (1, 'one'), (2, 'two');
INSERT INTO s.b VALUES (1, 'one'), (2, 'two');
";

async fn stage(schema: &str, edit: impl Fn(&mut toml::Table) + 'static) -> Stage {
    let plan = MeshPlan::of(&["eu", "us"])
        .server_option("--log-bin-trust-function-creators=ON")
        .server_option("--event-scheduler=ON")
        .edit(move |_, config| {
            set(config, "mesh.ddl", "replicate");
            edit(config);
        });
    Stage::with(plan, schema, "").await.unwrap()
}

async fn catch_up(stage: &mut Stage, region: &str, origin: &str) {
    let number = stage.written(origin).await.unwrap();
    stage.applied(region, origin, number).await.unwrap();
}

async fn catch_up_both(stage: &mut Stage) {
    catch_up(stage, "us", "eu").await;
    catch_up(stage, "eu", "us").await;
}

/// Every definition and every row of schemas that begin with `s`.
async fn everything(sql: &mut Sql) -> Vec<String> {
    let mut all = Vec::new();
    let mut tables = Vec::new();
    for row in sql
        .rows("SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema LIKE 's%' \
               AND table_schema <> 'sys' ORDER BY 1, 2")
        .await
        .unwrap()
    {
        let kind = if row[2] == "VIEW" { "VIEW" } else { "TABLE" };
        let name = format!("`{}`.`{}`", row[0], row[1].replace('`', "``"));
        let shown = sql.rows(format!("SHOW CREATE {kind} {name}")).await.unwrap();
        // The counter goes by each region's own steps.
        let text = shown[0][1].split(" AUTO_INCREMENT=").next().unwrap().to_owned();
        all.push(format!("{}.{}: {text}", row[0], row[1]));
        tables.push(name);
    }
    for name in tables {
        let mut rows: Vec<String> = sql
            .rows(format!("SELECT * FROM {name}"))
            .await
            .unwrap()
            .into_iter()
            .map(|row| format!("{name}: {}", row.join("|")))
            .collect();
        rows.sort();
        all.extend(rows);
    }
    for query in [
        "SELECT schema_name, default_collation_name FROM information_schema.schemata WHERE schema_name LIKE 's%' ORDER BY 1",
        "SELECT trigger_name, event_object_table, action_statement, definer FROM information_schema.triggers \
         WHERE trigger_schema LIKE 's%' AND trigger_schema <> 'sys' ORDER BY 1",
        "SELECT routine_name, routine_type, routine_definition, sql_mode, definer FROM information_schema.routines \
         WHERE routine_schema LIKE 's%' AND routine_schema <> 'sys' ORDER BY 1",
        "SELECT event_name, event_definition, interval_value FROM information_schema.events WHERE event_schema LIKE 's%' ORDER BY 1",
    ] {
        all.extend(sql.rows(query).await.unwrap().into_iter().map(|row| row.join("|")));
    }
    all
}

async fn expect_the_same(stage: &mut Stage) {
    // New connections: what SHOW CREATE says depends on the default schema.
    let eu = everything(&mut stage.mesh.root("eu").await.unwrap()).await;
    let us = everything(&mut stage.mesh.root("us").await.unwrap()).await;
    for (eu, us) in eu.iter().zip(&us) {
        assert_eq!(eu, us);
    }
    assert_eq!(eu.len(), us.len(), "{eu:#?} {us:#?}");
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

async fn names(stage: &mut Stage, region: &str) -> Vec<String> {
    suspended(stage, region).await.into_iter().map(|(table, _)| table).collect()
}

/// Waits until `region` has halted `origin`; returns the reason.
async fn halted(stage: &mut Stage, region: &str, origin: &str) -> String {
    let concord = &stage.mesh.region(region).unwrap().concord;
    wait_for(&format!("{region} to halt {origin}"), BOUND, async || {
        let status = concord.status().await?;
        let applier = status.origin(origin).map(|entry| entry.applier.clone());
        let halted = applier.as_ref().is_some_and(|applier| applier.state == "halted");
        Ok(Look::when(halted, status.reasons().join("; "), format!("{applier:?}")))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn statements_of_every_kind_arrive_between_the_rows_around_them_and_do_not_come_back() {
    let mut stage = stage(SCHEMA, |_| {}).await;
    let before = stage.written("us").await.unwrap();
    stage
        .client("eu")
        .unwrap()
        .script(
            "CREATE DATABASE s2 CHARACTER SET latin1;
             CREATE TABLE s2.`odd ``name` (id INT AUTO_INCREMENT PRIMARY KEY, t TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), c CHAR(3));
             INSERT INTO s2.`odd ``name` (c) VALUES ('x'), ('y');
             USE s;
             CREATE TABLE made (PRIMARY KEY (id)) SELECT id, v, id * 2 AS twice FROM a;
             INSERT INTO made VALUES (3, 'three', 6);
             CREATE TABLE twin LIKE a;
             INSERT INTO twin SELECT * FROM a;
             ALTER TABLE a ADD COLUMN at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) FIRST, ADD INDEX by_v (v);
             UPDATE a SET v = 'ONE' WHERE id = 1;
             ALTER TABLE a MODIFY v VARCHAR(40), ALGORITHM = COPY;
             ALTER TABLE a DROP COLUMN at;
             INSERT INTO a VALUES (3, 'a much longer text than before');
             CREATE UNIQUE INDEX one_v ON b (v);
             RENAME TABLE b TO c;
             INSERT INTO c VALUES (3, 'three');
             CREATE TABLE parts (id INT PRIMARY KEY, n INT) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (10), PARTITION q VALUES LESS THAN (20));
             INSERT INTO parts VALUES (1, 1), (11, 11);
             ALTER TABLE parts ADD PARTITION (PARTITION r VALUES LESS THAN (30));
             ALTER TABLE parts TRUNCATE PARTITION p;
             INSERT INTO parts VALUES (2, 2), (22, 22);
             CREATE DEFINER = app@localhost VIEW seen AS SELECT id, v FROM a WHERE id > 1;
             CREATE DEFINER = app@localhost TRIGGER before_c BEFORE INSERT ON c FOR EACH ROW SET NEW.v = UPPER(NEW.v);
             INSERT INTO c VALUES (4, 'four');
             CREATE DEFINER = app@localhost FUNCTION plus(n INT) RETURNS INT DETERMINISTIC RETURN n + 1;
             CREATE DEFINER = app@localhost PROCEDURE none() SELECT 1;
             CREATE DEFINER = app@localhost EVENT tick ON SCHEDULE EVERY 1 HOUR DO INSERT INTO s.c VALUES (99, 'tick');
             ALTER DEFINER = app@localhost EVENT tick ON SCHEDULE EVERY 2 HOUR;
             DROP PROCEDURE none;
             TRUNCATE TABLE twin;
             INSERT INTO twin VALUES (7, 'after');
             CREATE TABLE gone (id INT PRIMARY KEY);
             DROP TABLE gone;
             SET foreign_key_checks = 0;
             CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id));
             SET foreign_key_checks = 1;
             CREATE TABLE parent (id INT PRIMARY KEY);
             INSERT INTO parent VALUES (1);
             INSERT INTO child VALUES (1, 1);
             SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES';
             CREATE TABLE \"quoted\" (\"id\" INT PRIMARY KEY, v CHAR(9) DEFAULT '\\');
             INSERT INTO \"quoted\" (id) VALUES (1);
             SET sql_mode = DEFAULT",
        )
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    expect_the_same(&mut stage).await;
    let status =
        stage.client("us").unwrap().column("SELECT status FROM information_schema.events").await.unwrap();
    assert_eq!(status, ["REPLICA_SIDE_DISABLED"], "an event runs where it was made");

    // What us does next has seen all that, and it comes back to eu; what was applied does not.
    stage
        .play(&[
            ("us", "DROP TRIGGER s.before_c"),
            ("us", "ALTER TABLE s.c DROP COLUMN v"),
            ("us", "INSERT INTO s.c VALUES (6)"),
            ("us", "DROP VIEW s.seen"),
            ("us", "DROP DATABASE s2"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "eu", "us").await;
    expect_the_same(&mut stage).await;
    assert_eq!(stage.written("us").await.unwrap(), before + 5);
    for region in ["eu", "us"] {
        assert!(suspended(&mut stage, region).await.is_empty(), "{region}");
    }
}

#[tokio::test]
async fn a_statement_runs_once_whatever_dies_meanwhile() {
    let mut stage = stage(SCHEMA, |_| {}).await;
    // Long enough to be killed in its middle: copied row by row.
    stage
        .client("eu")
        .unwrap()
        .script(
            "SET SESSION cte_max_recursion_depth = 1000000;
             INSERT INTO s.a WITH RECURSIVE r (n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM r WHERE n < 120000) SELECT n, 'row' FROM r",
        )
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    for round in 0..6 {
        let alter = format!("ALTER TABLE s.a ADD COLUMN c{round} INT DEFAULT {round}, ALGORITHM = COPY");
        stage
            .play(&[("eu", &alter), ("eu", &format!("INSERT INTO s.b VALUES ({}, 'after')", round + 10))])
            .await
            .unwrap();
        let mut us = stage.mesh.root("us").await.unwrap();
        if round < 4 {
            wait_for("the statement to run in us", BOUND, async || {
                let running = us
                    .number("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'ALTER TABLE s.a%'")
                    .await?;
                let ran = us
                    .number(format!("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 's' AND column_name = 'c{round}'"))
                    .await?;
                Ok(Look::when(running + ran > 0, (), running))
            })
            .await
            .unwrap();
        } else {
            // Between the statement and its marker, or soon after.
            wait_for("the statement to have run in us", BOUND, async || {
                let ran = us
                    .number(format!("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 's' AND column_name = 'c{round}'"))
                    .await?;
                Ok(Look::when(ran > 0, (), ran))
            })
            .await
            .unwrap();
        }
        let region = stage.mesh.region("us").unwrap();
        if round % 2 == 0 {
            region.concord.kill();
            region.concord.start().await.unwrap();
        } else {
            region.server.kill();
            region.server.start().await.unwrap();
        }
        let number = stage.written("eu").await.unwrap();
        stage.applied("us", "eu", number).await.unwrap();
    }
    let columns =
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 's' AND table_name = 'a'";
    assert_eq!(stage.mesh.root("us").await.unwrap().number(columns).await.unwrap(), 8);
    // Clients in us see the columns, and what they write comes back.
    let mut us = stage.mesh.root("us").await.unwrap();
    us.run("UPDATE s.a SET c0 = 77, c5 = 78 WHERE id = 1").await.unwrap();
    let number = stage.written("us").await.unwrap();
    stage.applied("eu", "us", number).await.unwrap();
    stage.settle().await.unwrap();
}

#[tokio::test]
async fn a_write_that_meets_truncate_suspends_the_table_in_both_regions_and_nothing_else() {
    let mut stage = stage(SCHEMA, |_| {}).await;
    stage.hold().await.unwrap();
    stage
        .play(&[
            ("eu", "TRUNCATE TABLE s.a"),
            ("us", "INSERT INTO s.a VALUES (3, 'us')"),
            ("eu", "INSERT INTO s.b VALUES (4, 'eu')"),
            ("us", "INSERT INTO s.b VALUES (5, 'us')"),
        ])
        .await
        .unwrap();
    stage.release().unwrap();
    catch_up_both(&mut stage).await;
    for region in ["eu", "us"] {
        let tables = suspended(&mut stage, region).await;
        assert_eq!(tables.len(), 1, "{region}: {tables:?}");
        let (table, reason) = &tables[0];
        assert_eq!(table, "s.a", "{region}");
        assert!(
            reason.contains("TRUNCATE TABLE s.a") && reason.contains("of us") && reason.contains("of eu"),
            "{region}: {reason}"
        );
    }
    assert_eq!(
        stage.rows("SELECT id, v FROM s.b ORDER BY id").await.unwrap(),
        ["1,one", "2,two", "4,eu", "5,us"]
    );
    // Nothing was lost so far: us has its rows, eu has none.
    assert_eq!(stage.client("us").unwrap().number("SELECT COUNT(*) FROM s.a").await.unwrap(), 3);
    // The person decides: the table is to be empty but for what comes after.
    stage.play(&[("eu", "INSERT INTO s.a VALUES (7, 'later')")]).await.unwrap();
    for region in ["us", "eu"] {
        stage.mesh.region(region).unwrap().concord.say(&["resume", "--table", "s.a"]).unwrap();
    }
    catch_up_both(&mut stage).await;
    assert_eq!(stage.client("us").unwrap().column("SELECT id FROM s.a ORDER BY id").await.unwrap(), ["7"]);
    assert_eq!(
        stage.client("eu").unwrap().column("SELECT id FROM s.a ORDER BY id").await.unwrap(),
        ["3", "7"]
    );
    stage.play(&[("eu", "DELETE FROM s.a WHERE id = 3")]).await.unwrap();
    catch_up_both(&mut stage).await;
    for region in ["eu", "us"] {
        assert!(suspended(&mut stage, region).await.is_empty(), "{region}");
    }
    stage.settle().await.unwrap();
}

#[tokio::test]
async fn only_statements_that_neither_lose_nor_had_seen_each_other_clash() {
    let mut stage = stage(SCHEMA, |_| {}).await;
    stage.hold().await.unwrap();
    // A column more loses nothing: the write of us goes by the names of columns.
    stage
        .play(&[
            ("eu", "ALTER TABLE s.a ADD COLUMN more INT DEFAULT 5 FIRST"),
            ("us", "INSERT INTO s.a VALUES (3, 'us')"),
            ("eu", "INSERT INTO s.a VALUES (6, 4, 'eu')"),
        ])
        .await
        .unwrap();
    stage.release().unwrap();
    catch_up_both(&mut stage).await;
    stage.settle().await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, more, v FROM s.a ORDER BY id").await.unwrap(),
        ["1,5,one", "2,5,two", "3,5,us", "4,6,eu"]
    );
    // Two that change the same table do.
    stage.hold().await.unwrap();
    stage
        .play(&[("eu", "ALTER TABLE s.b ADD COLUMN x INT"), ("us", "ALTER TABLE s.b ADD COLUMN y INT")])
        .await
        .unwrap();
    stage.release().unwrap();
    catch_up_both(&mut stage).await;
    for region in ["eu", "us"] {
        let tables = suspended(&mut stage, region).await;
        assert_eq!(tables.len(), 1, "{region}: {tables:?}");
        assert!(tables[0].1.contains("ADD COLUMN x") && tables[0].1.contains("ADD COLUMN y"), "{tables:?}");
    }
    for region in ["eu", "us"] {
        stage.mesh.region(region).unwrap().concord.say(&["resume", "--table", "s.b"]).unwrap();
    }
    stage
        .play(&[("eu", "UPDATE s.b SET x = 1"), ("us", "UPDATE s.a SET more = 1 WHERE id = 1")])
        .await
        .unwrap();
    catch_up_both(&mut stage).await;
    assert_eq!(
        stage.rows("SELECT id, v, x, y FROM s.b ORDER BY id").await.unwrap(),
        ["1,one,1,NULL", "2,two,1,NULL"]
    );
}

#[tokio::test]
async fn the_tables_of_an_online_schema_change_are_cut_over_in_every_region() {
    let mut stage = stage(SCHEMA, |_| {}).await;
    // As gh-ost does it: a shadow table, its rows in pieces, changes meanwhile, an atomic rename.
    stage
        .client("eu")
        .unwrap()
        .script(
            "CREATE TABLE s._a_gho LIKE s.a;
             ALTER TABLE s._a_gho MODIFY v VARCHAR(200) NOT NULL DEFAULT '', ADD COLUMN n BIGINT;
             INSERT IGNORE INTO s._a_gho (id, v) SELECT id, v FROM s.a WHERE id = 1 LOCK IN SHARE MODE;
             UPDATE s.a SET v = 'changed' WHERE id = 2;
             REPLACE INTO s._a_gho (id, v) VALUES (2, 'changed');
             RENAME TABLE s.a TO s._a_del, s._a_gho TO s.a;
             INSERT INTO s.a VALUES (3, 'after', 33);
             DROP TABLE s._a_del",
        )
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    expect_the_same(&mut stage).await;
    stage.play(&[("us", "UPDATE s.a SET n = 1 WHERE id = 3")]).await.unwrap();
    catch_up(&mut stage, "eu", "us").await;
    expect_the_same(&mut stage).await;
    for region in ["eu", "us"] {
        assert!(suspended(&mut stage, region).await.is_empty(), "{region}");
    }

    // As pt-online-schema-change does it: triggers keep the shadow table up to date. They fire in eu alone: the rows that they
    // write come by themselves.
    stage
        .client("eu")
        .unwrap()
        .script(
            "CREATE TABLE s._b_new LIKE s.b;
             ALTER TABLE s._b_new ADD COLUMN n BIGINT DEFAULT 1;
             CREATE DEFINER = app@localhost TRIGGER s.pt_del AFTER DELETE ON s.b FOR EACH ROW DELETE IGNORE FROM s._b_new WHERE id <=> OLD.id;
             CREATE DEFINER = app@localhost TRIGGER s.pt_upd AFTER UPDATE ON s.b FOR EACH ROW REPLACE INTO s._b_new (id, v) VALUES (NEW.id, NEW.v);
             CREATE DEFINER = app@localhost TRIGGER s.pt_ins AFTER INSERT ON s.b FOR EACH ROW REPLACE INTO s._b_new (id, v) VALUES (NEW.id, NEW.v);
             INSERT INTO s.b VALUES (3, 'three'), (4, 'four');
             INSERT IGNORE INTO s._b_new (id, v) SELECT id, v FROM s.b FORCE INDEX (PRIMARY) WHERE id < 3 LOCK IN SHARE MODE;
             UPDATE s.b SET v = 'changed' WHERE id = 2;
             DELETE FROM s.b WHERE id = 4;
             ANALYZE TABLE s._b_new;
             RENAME TABLE s.b TO s._b_old, s._b_new TO s.b;
             DROP TABLE IF EXISTS s._b_old;
             DROP TRIGGER IF EXISTS s.pt_del;
             DROP TRIGGER IF EXISTS s.pt_upd;
             DROP TRIGGER IF EXISTS s.pt_ins;
             INSERT INTO s.b (id, v) VALUES (5, 'after');
             DELETE FROM s.b WHERE id > 2;
             ALTER TABLE s.b DROP COLUMN n",
        )
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    expect_the_same(&mut stage).await;

    // A client of us that writes to the table meanwhile: the rename stops before it, with all its tables.
    stage.hold().await.unwrap();
    stage
        .play(&[
            ("eu", "CREATE TABLE s._b_gho LIKE s.b"),
            ("eu", "INSERT INTO s._b_gho SELECT * FROM s.b"),
            ("eu", "RENAME TABLE s.b TO s._b_del, s._b_gho TO s.b"),
            ("us", "UPDATE s.b SET v = 'us' WHERE id = 2"),
        ])
        .await
        .unwrap();
    stage.release().unwrap();
    catch_up_both(&mut stage).await;
    assert_eq!(names(&mut stage, "us").await, ["s._b_del", "s._b_gho", "s.b"]);
    assert_eq!(names(&mut stage, "eu").await, ["s.b"]);
    stage.mesh.region("us").unwrap().concord.say(&["resume", "--table", "s.b"]).unwrap();
    stage.mesh.region("eu").unwrap().concord.say(&["resume", "--table", "s.b"]).unwrap();
    stage.play(&[("us", "UPDATE s.b SET v = 'again' WHERE id = 2")]).await.unwrap();
    catch_up_both(&mut stage).await;
    assert!(names(&mut stage, "us").await.is_empty());
    assert_eq!(stage.rows("SELECT id, v FROM s.b ORDER BY id").await.unwrap(), ["1,one", "2,again"]);
}

#[tokio::test]
async fn each_object_has_its_policy_and_what_cannot_be_run_halts_and_can_be_skipped() {
    let mut stage = stage(SCHEMA, |config| {
        let text = "[[ddl_policy]]\nobjects = [\"s.tmp_*\", \"*.scratch\"]\nddl = \"ignore\"\n\
                    [[ddl_policy]]\nobjects = [\"s.b\"]\nddl = \"halt\"\n";
        let rules: toml::Table = text.parse().unwrap();
        set(config, "mesh.ddl_policy", rules["ddl_policy"].clone());
    })
    .await;
    stage
        .play(&[
            ("eu", "CREATE TABLE s.tmp_1 (id INT PRIMARY KEY)"),
            ("eu", "DROP TABLE s.tmp_1"),
            ("eu", "CREATE TABLE s.new (id INT PRIMARY KEY)"),
            ("eu", "INSERT INTO s.new VALUES (1)"),
            ("eu", "ALTER TABLE s.b ADD COLUMN x INT"),
            ("eu", "INSERT INTO s.b VALUES (8, 'eight', 8)"),
        ])
        .await
        .unwrap();
    let reason = halted(&mut stage, "us", "eu").await;
    assert!(reason.contains("table s.b") && reason.contains("ADD COLUMN x"), "{reason}");
    let mut us = stage.mesh.root("us").await.unwrap();
    assert_eq!(us.number("SELECT COUNT(*) FROM s.new").await.unwrap(), 1);
    us.script("SET sql_log_bin = 0; ALTER TABLE s.b ADD COLUMN x INT; SET sql_log_bin = 1").await.unwrap();
    skip_next(&mut stage).await;
    catch_up(&mut stage, "us", "eu").await;
    assert_eq!(us.value("SELECT v FROM s.b WHERE x = 8").await.unwrap(), "eight");

    // One that fails here: the table is there already.
    us.script("SET sql_log_bin = 0; CREATE TABLE s.clash (id INT); SET sql_log_bin = 1").await.unwrap();
    stage
        .play(&[
            ("eu", "CREATE TABLE s.clash (id INT PRIMARY KEY)"),
            ("eu", "INSERT INTO s.a VALUES (9, 'nine')"),
        ])
        .await
        .unwrap();
    let reason = halted(&mut stage, "us", "eu").await;
    assert!(reason.contains("1050") && reason.contains("CREATE TABLE s.clash"), "{reason}");
    us.script("SET sql_log_bin = 0; DROP TABLE s.clash; SET sql_log_bin = 1").await.unwrap();
    stage.release_one("us", "eu").unwrap();
    catch_up(&mut stage, "us", "eu").await;

    // One whose definer is unknown here.
    stage
        .play(&[
            ("eu", "CREATE DEFINER = 'nobody'@'%' VIEW s.theirs AS SELECT * FROM s.a"),
            ("eu", "INSERT INTO s.a VALUES (10, 'ten')"),
        ])
        .await
        .unwrap();
    let reason = halted(&mut stage, "us", "eu").await;
    assert!(reason.contains("nobody"), "{reason}");
    skip_next(&mut stage).await;
    catch_up(&mut stage, "us", "eu").await;
    stage.settle().await.unwrap();
}

/// Passes over the next transaction of eu in us.
async fn skip_next(stage: &mut Stage) {
    let region = stage.mesh.region("us").unwrap();
    let next = region.concord.status().await.unwrap().applied("eu") + 1;
    region.concord.say(&["skip", "--origin", "eu", "--sequence", &next.to_string()]).unwrap();
}
