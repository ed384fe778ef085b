//! Names that would be SQL if anyone took them for it: everything that carries, compares, settles or shows rows takes them as names.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::MeshPlan;
use integration::hot::stage::Stage;
use integration::mesh::set;
use integration::wait::{Look, wait_for};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);

// Whoever takes the rest of such a name for a statement drops the table `canary.t`.
const SCHEMA: &str = "s`; DROP TABLE canary.t; -- '\"\\%_?:a ö{}";
const PARENT: &str = "t`'\"\\. :b\n\u{1}#*/ DROP TABLE canary.t /*${c}\t€";
const ID: &str = "k`', 0); DROP TABLE canary.t; --";
const VALUE: &str = "v'\"\\`{}%s ?:d\n.";
const COUNT: &str = "n`\\' = `n";
const UNIQUE: &str = "u`'\"\\.PRIMARY'";
const REFERENCE: &str = "f`'\"\\ FOREIGN KEY";

/// As many characters as a name may have, each of several bytes. A table's name is also a file's, which has room for shorter ones only.
fn longest(character: &str) -> String {
    character.repeat(64)
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The statements of the tests, with the quoted names in place of the words in capitals.
fn named(statement: &str) -> String {
    let (child, long) = (longest("ä"), longest("名"));
    let schema = quoted(SCHEMA);
    let mut out = statement
        .replace("PARENT", &format!("{schema}.{}", quoted(PARENT)))
        .replace("CHILD", &format!("{schema}.{}", quoted(&child)))
        .replace("SCHEMA", &schema);
    for (word, name) in [
        ("<ID>", ID),
        ("<V>", VALUE),
        ("<N>", COUNT),
        ("<UQ>", UNIQUE),
        ("<FK>", REFERENCE),
        ("<LONG>", &long),
    ] {
        out = out.replace(word, &quoted(name));
    }
    out
}

fn schema() -> String {
    named(
        "CREATE DATABASE canary;
CREATE TABLE canary.t (id INT PRIMARY KEY);
CREATE DATABASE SCHEMA;
CREATE TABLE PARENT (<ID> INT PRIMARY KEY, <V> VARCHAR(40), <N> INT, <LONG> VARCHAR(40), UNIQUE KEY <UQ> (<LONG>));
CREATE TABLE CHILD (<ID> INT PRIMARY KEY, <LONG> INT, CONSTRAINT <FK> FOREIGN KEY <LONG> (<LONG>) REFERENCES PARENT (<ID>));
INSERT INTO canary.t VALUES (1);
INSERT INTO PARENT VALUES (1, 'old', 0, NULL), (2, 'old', 0, NULL), (3, 'old', 0, NULL);",
    )
}

fn plan() -> MeshPlan {
    let mut columns = toml::Table::new();
    set(&mut columns, "tables", vec!["s*.t*".to_owned()]);
    set(&mut columns, "policy", "columns");
    set(&mut columns, "counter", vec![COUNT.to_owned()]);
    MeshPlan::of(&["eu", "us"]).edit(move |_, config| {
        set(config, "mesh.ddl", "replicate");
        set(config, "mesh.policy", vec![toml::Value::Table(columns.clone())]);
    })
}

async fn stage() -> Stage {
    Stage::with(plan(), &schema(), "").await.unwrap()
}

/// Runs each statement by a client of its region.
async fn run(stage: &mut Stage, statements: &[(&str, &str)]) {
    for (region, statement) in statements {
        stage.client(region).unwrap().run(named(statement)).await.unwrap();
    }
}

/// The same while nobody applies anything; all is equal afterwards.
async fn apart(stage: &mut Stage, statements: &[(&str, &str)]) {
    stage.hold().await.unwrap();
    run(stage, statements).await;
    stage.release().unwrap();
    stage.settle().await.unwrap();
}

async fn rows(stage: &mut Stage, query: &str) -> Vec<String> {
    stage.rows(&named(query)).await.unwrap()
}

#[tokio::test]
async fn rows_and_conflicts_of_tables_with_hostile_names_are_carried_settled_shown_and_decided_otherwise() {
    let mut stage = stage().await;
    run(
        &mut stage,
        &[
            ("eu", "INSERT INTO PARENT VALUES (4, 'eu', 1, 'four')"),
            ("us", "INSERT INTO PARENT VALUES (5, 'us', 1, 'five')"),
            ("eu", "INSERT INTO CHILD VALUES (1, 1)"),
        ],
    )
    .await;
    stage.settle().await.unwrap();
    run(
        &mut stage,
        &[
            ("us", "UPDATE PARENT SET <V> = 'seen' WHERE <ID> = 4"),
            ("eu", "DELETE FROM PARENT WHERE <ID> = 5"),
        ],
    )
    .await;
    stage.settle().await.unwrap();

    apart(
        &mut stage,
        &[
            ("eu", "UPDATE PARENT SET <V> = 'eu', <N> = <N> + 5 WHERE <ID> = 1"),
            ("us", "UPDATE PARENT SET <V> = 'us', <N> = <N> + 7 WHERE <ID> = 1"),
            // Two rows with one value of the unique key, and a child without its parent.
            ("eu", "INSERT INTO PARENT VALUES (10, 'eu', 0, '.PRIMARY')"),
            ("us", "INSERT INTO PARENT VALUES (11, 'us', 0, '.PRIMARY')"),
            ("eu", "DELETE FROM PARENT WHERE <ID> = 3"),
            ("us", "INSERT INTO CHILD VALUES (2, 3)"),
        ],
    )
    .await;
    assert_eq!(
        rows(&mut stage, "SELECT <ID>, <V>, <N> FROM PARENT ORDER BY <ID>").await,
        ["1,us,12", "2,old,0", "3,old,0", "4,seen,1", "11,us,0"]
    );
    assert_eq!(rows(&mut stage, "SELECT <ID>, <LONG> FROM CHILD ORDER BY <ID>").await, ["1,1", "2,3"]);

    let found = stage.conflicts().unwrap();
    let table = format!("{SCHEMA}.{PARENT}");
    let of = |kind: &str| found.iter().find(|one| one.table == table && one.kind == kind).unwrap();
    assert!(of("unique").policy.contains(UNIQUE), "{found:?}");
    assert!(found.iter().any(|one| one.kind == "foreign-key"), "{found:?}");
    let merged = of("update-update");
    let listed = say(&stage, &["conflicts", "list", "--json", "--table", "s*.t????. :b*"]);
    assert!(listed.contains(&merged.id), "{listed}");
    // A name with a new line in it makes none, and nothing in a name reaches the terminal.
    for said in
        [&["conflicts", "list"][..], &["conflicts", "show", &merged.id], &["log", "list", "--origin", "us"]]
    {
        let said = say(&stage, said);
        assert!(said.contains(r"b\n\u{1}#") && !said.contains("b\n"), "{said}");
    }
    let value = format!("{VALUE}=it's \\ decided");
    say(&stage, &["conflicts", "override", &merged.id, "--set", &value]);
    stage.settle().await.unwrap();
    assert_eq!(rows(&mut stage, "SELECT <V>, <N> FROM PARENT WHERE <ID> = 1").await, ["it's \\ decided,12"]);

    // One table waits, and the others do not.
    say(&stage, &["pause", "--table", &table]);
    run(
        &mut stage,
        &[("us", "UPDATE PARENT SET <V> = 'late' WHERE <ID> = 2"), ("us", "INSERT INTO canary.t VALUES (2)")],
    )
    .await;
    catch_up(&mut stage, "eu", "us").await;
    let mut eu = stage.mesh.root("eu").await.unwrap();
    assert_eq!(eu.value(named("SELECT <V> FROM PARENT WHERE <ID> = 2")).await.unwrap(), "old");
    assert_eq!(eu.number("SELECT COUNT(*) FROM canary.t").await.unwrap(), 2);
    say(&stage, &["resume", "--table", &table]);
    stage.settle().await.unwrap();
    assert_eq!(eu.value(named("SELECT <V> FROM PARENT WHERE <ID> = 2")).await.unwrap(), "late");

    // What is shown of them can be read by programs.
    say(&stage, &["check"]);
    let metrics = stage.mesh.region("eu").unwrap().concord.get("/metrics").await.unwrap().body;
    assert!(metrics.contains("DROP TABLE"), "no name is in there");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
        assert!(line.starts_with("concord_") && value.is_some_and(|value| value.is_ok()), "{line:?}");
    }
}

fn say(stage: &Stage, arguments: &[&str]) -> String {
    let eu = stage.mesh.regions.iter().find(|region| region.name == "eu").unwrap();
    eu.concord.say(arguments).unwrap()
}

/// Lets `region` apply all that `origin` has written by now.
async fn catch_up(stage: &mut Stage, region: &str, origin: &str) {
    let number = stage.written(origin).await.unwrap();
    stage.applied(region, origin, number).await.unwrap();
}

#[tokio::test]
async fn a_schema_change_with_hostile_names_runs_everywhere_in_every_way_of_quoting() {
    let mut stage = stage().await;
    run(
        &mut stage,
        &[
            ("eu", r#"ALTER TABLE PARENT ADD COLUMN `x``'"\;` INT COMMENT 'it''s; \\'' DROP TABLE canary.t; -- '"#),
            ("eu", "CREATE TABLE SCHEMA.`1``.`` (` (a INT PRIMARY KEY)"),
            ("eu", "RENAME TABLE SCHEMA.`1``.`` (` TO canary.`''; --`"),
            ("eu", "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"),
            (
                "eu",
                r#"CREATE TABLE canary."q`""\" ("a`""" INT PRIMARY KEY, b VARCHAR(9) DEFAULT '\', c VARCHAR(9) DEFAULT ''';')"#,
            ),
            ("eu", r#"INSERT INTO canary."q`""\" ("a`""") VALUES (1)"#),
            ("eu", "INSERT INTO canary.`''; --` VALUES (1)"),
            ("eu", r#"UPDATE PARENT SET `x``'"\;` = 7 WHERE <ID> = 1"#),
        ],
    )
    .await;
    catch_up(&mut stage, "us", "eu").await;
    for (query, expected) in [
        (r#"SELECT `x``'"\;` FROM PARENT WHERE <ID> = 1"#, "7"),
        (r#"SELECT CONCAT(`a``"`, b, c) FROM canary.`q``"\`"#, r"1\';"),
        ("SELECT * FROM canary.`''; --`", "1"),
        ("SELECT id FROM canary.t", "1"),
    ] {
        assert_eq!(
            stage.mesh.root("us").await.unwrap().value(named(query)).await.unwrap(),
            expected,
            "{query}"
        );
    }
    run(&mut stage, &[("us", "DROP TABLE canary.`''; --`"), ("us", "DROP DATABASE SCHEMA")]).await;
    catch_up(&mut stage, "eu", "us").await;
    let left = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'canary' ORDER BY 1";
    assert_eq!(rows(&mut stage, left).await, [r#"q`"\"#, "t"]);
}

#[tokio::test]
async fn tables_with_hostile_names_are_told_apart_at_the_first_meeting_and_seeded() {
    let mut mesh = plan().schema(&schema()).build().await.unwrap();
    let other = "UPDATE PARENT SET <V> = 'other' WHERE <ID> = 2";
    mesh.root("us").await.unwrap().run(named(other)).await.unwrap();
    for region in &mut mesh.regions {
        region.concord.spawn().unwrap();
    }
    let concord = &mut mesh.region("us").unwrap().concord;
    let table = format!("{SCHEMA}.{PARENT}");
    wait_for("us to name the table that differs", BOUND, async || {
        concord.check_running()?;
        let reasons = match concord.status().await {
            Ok(status) => status.reasons().join("; "),
            Err(error) => error.to_string(),
        };
        Ok(Look::when(reasons.contains(&format!("{table} holds other rows")), (), reasons))
    })
    .await
    .unwrap();
    concord.stop().await.unwrap();
    concord.say(&["seed", "--from", "eu", "--yes"]).unwrap();
    concord.start().await.unwrap();
    // It looks again by itself.
    let concord = &mesh.region("eu").unwrap().concord;
    wait_for("eu to find the tables equal", BOUND, async || {
        let status = concord.status().await?;
        Ok(Look::when(status.state != "halted", (), status.reasons().join("; ")))
    })
    .await
    .unwrap();
    let tables = ["PARENT", "CHILD", "canary.t"].map(named);
    mesh.expect_equal(&tables.each_ref().map(String::as_str), BOUND).await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    assert_eq!(us.value(named("SELECT <V> FROM PARENT WHERE <ID> = 2")).await.unwrap(), "old");
}
