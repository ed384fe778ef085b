//! Conflicts as a person sees them: listed, explained, counted, and decided otherwise.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::{Mesh, MeshPlan};
use serde_json::Value;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(20), n INT);
INSERT INTO s.t VALUES (1, 'old', 0), (2, 'old', 0), (3, 'old', 0), (4, 'old', 0);
CREATE TABLE s.wide (a INT, b VARBINARY(8), l VARCHAR(20) CHARACTER SET latin1, u VARCHAR(20), f FLOAT, d DOUBLE, m DECIMAL(8,3),
  e ENUM('x', 'ü'), s SET('p', 'q', 'r'), j JSON, ts TIMESTAMP(3) NULL, dt DATETIME(6), da DATE, ti TIME(2), y YEAR, bi BIT(9), bl BLOB,
  g POINT, c CHAR(6), n INT, twice INT AS (n * 2), PRIMARY KEY (a, b));
INSERT INTO s.wide (a, b, n) VALUES (1, x'00ff', 0);
";

/// Runs the statements while no region applies anything, and waits until all are applied.
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
    mesh.expect_equal(&["s.t", "s.wide"], BOUND).await.unwrap();
}

/// What a region's journal has.
fn journal(mesh: &mut Mesh, region: &str, arguments: &[&str]) -> Vec<Value> {
    let all = [&["conflicts", "list", "--json"], arguments].concat();
    let lines = mesh.region(region).unwrap().concord.say(&all).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(entry: &'a Value, pointer: &str) -> &'a str {
    entry.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {entry}"))
}

/// `concord conflicts override`: what it printed, and whether it did it.
fn overridden(mesh: &mut Mesh, region: &str, id: &str, arguments: &[&str]) -> (String, bool) {
    let all = [&["conflicts", "override", id], arguments].concat();
    let output = mesh.region(region).unwrap().concord.command(&all).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (printed, output.status.success())
}

async fn row(mesh: &mut Mesh, region: &str, id: u32) -> Vec<String> {
    let mut rows =
        mesh.root(region).await.unwrap().rows(format!("SELECT v, n FROM s.t WHERE id = {id}")).await.unwrap();
    rows.pop().unwrap_or_default()
}

#[tokio::test]
async fn a_conflict_is_listed_explained_counted_and_decided_otherwise() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    concurrently(
        &mut mesh,
        &[
            ("eu", "UPDATE s.t SET v = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 1"),
            ("us", "DELETE FROM s.t WHERE id = 2"),
            ("eu", "UPDATE s.t SET v = 'it\\'s ü', n = 5 WHERE id = 2"),
        ],
    )
    .await;

    // Each region has found both, under the same ids.
    let eu = journal(&mut mesh, "eu", &[]);
    let us = journal(&mut mesh, "us", &[]);
    let ids = |entries: &[Value]| {
        let mut ids: Vec<String> = entries.iter().map(|entry| text(entry, "/id").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!((eu.len(), ids(&eu)), (2, ids(&us)), "{eu:?}\n{us:?}");
    let of = |entries: &[Value], id: &str| {
        entries.iter().find(|entry| text(entry, "/key/id") == id).unwrap().clone()
    };
    let (first, second) = (of(&eu, "1"), of(&eu, "2"));
    assert_eq!((text(&first, "/kind"), text(&first, "/winner")), ("update-update", "incoming"));
    assert_eq!((text(&first, "/result/v"), text(&first, "/existing/after/v")), ("'us'", "'eu'"));
    assert_eq!((text(&second, "/kind"), text(&second, "/winner")), ("delete-update", "existing"));
    assert_eq!(
        journal(&mut mesh, "eu", &["--kind", "delete-update", "--table", "s.*", "--since", "1h"]).len(),
        1
    );
    assert_eq!(journal(&mut mesh, "eu", &["--until", "1h"]).len(), 0);

    let id = text(&first, "/id").to_owned();
    let shown = mesh.region("eu").unwrap().concord.say(&["conflicts", "show", &id[..10]]).unwrap();
    for part in
        ["The write of us stays, which arrived.", "last-writer-wins", "When us wrote, it had seen", "'eu'"]
    {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let answer = mesh.region("eu").unwrap().concord.get(&format!("/v1/conflicts/{id}")).await.unwrap();
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((text(&answer, "/id"), answer.pointer("/incoming/after")), (id.as_str(), None));
    let metrics = mesh.region("eu").unwrap().concord.get("/metrics").await.unwrap().body;
    assert!(metrics.contains(
        "concord_conflicts_found_total{region=\"eu\",origin=\"us\",table=\"s.t\",kind=\"update-update\","
    ));

    // A look changes nothing; then the other write, in one region, goes everywhere.
    let (printed, done) = overridden(&mut mesh, "eu", &id, &["--with", "existing", "--dry-run"]);
    assert!(done && printed.contains("SET `v` = 'eu', `n` = 0 WHERE `id` = 1;"), "{printed}");
    assert_eq!(row(&mut mesh, "eu", 1).await, ["us", "0"]);
    let (printed, done) = overridden(&mut mesh, "eu", &id, &["--with", "existing"]);
    assert!(done, "{printed}");
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(row(&mut mesh, "us", 1).await, ["eu", "0"]);

    // Now the row has changed since, so that the next one wants to be asked for twice.
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--set", "n=7", "--set", "v=NULL"]);
    assert!(!done && printed.contains("has changed since") && printed.contains("--yes"), "{printed}");
    assert_eq!(row(&mut mesh, "us", 1).await, ["eu", "0"]);
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--set", "n=7", "--set", "v=NULL", "--yes"]);
    assert!(done, "{printed}");
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(row(&mut mesh, "eu", 1).await, ["NULL", "7"]);

    // The delete that lost, then the row that won again; the journal is read while no region runs, too.
    let id = text(&second, "/id").to_owned();
    let (printed, done) = overridden(&mut mesh, "eu", &id, &["--with", "incoming"]);
    assert!(done && printed.contains("DELETE FROM"), "{printed}");
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert!(row(&mut mesh, "us", 2).await.is_empty());
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    let (printed, done) = overridden(&mut mesh, "eu", &id, &["--with", "existing", "--yes"]);
    assert!(done && printed.contains("INSERT INTO"), "{printed}");
    assert_eq!(journal(&mut mesh, "eu", &[]).len(), 2);
    mesh.start_concords(&["eu"]).await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(row(&mut mesh, "us", 2).await, ["it's ü", "5"]);
}

#[tokio::test]
async fn values_of_every_type_are_compared_and_written_back_exactly() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    let one = "UPDATE s.wide SET l = 'É \\\\', u = 'a😀\\'b', f = 0.1, d = 1e-300, m = -12.345, e = 'ü', s = 'p,r', j = '{\"k\": [1, 2.50, \"é\"]}', \
               ts = '2024-02-29 12:34:56.789', dt = '2024-02-29 12:34:56.000001', da = '0001-01-01', ti = '-838:59:59.00', y = 1999, bi = 257, \
               bl = x'0027ff5c', g = ST_GeomFromText('POINT(1 2)'), c = 'x', n = 1 WHERE a = 1";
    let other = "UPDATE s.wide SET l = 'é \\\\', n = 2 WHERE a = 1";
    concurrently(&mut mesh, &[("eu", one), ("us", other)]).await;
    let found = journal(&mut mesh, "us", &[]);
    let id = text(&found[0], "/id").to_owned();
    let everything = "SELECT a, HEX(b), HEX(l), HEX(u), f, d, m, e, s, j, ts, dt, da, ti, y, bi + 0, HEX(bl), HEX(g), c, n, twice FROM s.wide";
    let now = mesh.root("us").await.unwrap().rows(everything).await.unwrap();
    assert_eq!(now[0][19..], ["2", "4"]);
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "incoming"]);
    assert!(done, "the row is as the conflict left it: {printed}");
    mesh.expect_equal(&["s.wide"], BOUND).await.unwrap();

    // The same statement by a client, in the other region, changes nothing: every value is what it was.
    let mut sql = mesh.root("eu").await.unwrap();
    let written = sql.rows(everything).await.unwrap();
    sql.run(one).await.unwrap();
    assert_eq!(sql.rows(everything).await.unwrap(), written);
    assert_eq!(written[0][2], "C9205C");

    // And back. A change of case alone is a change.
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "existing", "--yes"]);
    assert!(done, "{printed}");
    assert_eq!(mesh.root("us").await.unwrap().rows(everything).await.unwrap(), now);
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "existing"]);
    assert!(done && printed.contains("so already"), "{printed}");
    mesh.root("us").await.unwrap().run("UPDATE s.wide SET l = 'É \\\\' WHERE a = 1").await.unwrap();
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "existing"]);
    assert!(!done && printed.contains("has changed since"), "{printed}");
    mesh.expect_equal(&["s.wide"], BOUND).await.unwrap();
}

#[tokio::test]
async fn a_row_that_lost_a_unique_value_is_brought_back_with_another() {
    let schema = "CREATE DATABASE s;\nCREATE TABLE s.mail (id INT PRIMARY KEY, email VARCHAR(20), UNIQUE KEY uq_email (email));";
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(schema).start().await.unwrap();
    for region in &mesh.regions {
        region.concord.say(&["pause"]).unwrap();
    }
    mesh.root("eu").await.unwrap().run("INSERT INTO s.mail VALUES (1, 'a@x')").await.unwrap();
    mesh.root("us").await.unwrap().run("INSERT INTO s.mail VALUES (2, 'a@x')").await.unwrap();
    for region in &mesh.regions {
        region.concord.say(&["resume"]).unwrap();
    }
    mesh.expect_equal(&["s.mail"], BOUND).await.unwrap();
    let left = mesh.root("us").await.unwrap().rows("SELECT id, email FROM s.mail").await.unwrap();
    assert_eq!(left, [["2", "a@x"]], "the newer one");

    let found = journal(&mut mesh, "us", &["--kind", "unique"]);
    assert_eq!((found.len(), text(&found[0], "/key/id")), (1, "1"), "{found:?}");
    assert!(text(&found[0], "/policy").contains("uq_email"), "{found:?}");
    let id = text(&found[0], "/id").to_owned();
    let shown = mesh.region("us").unwrap().concord.say(&["conflicts", "show", &id]).unwrap();
    assert!(shown.contains("afterwards, id = 1: no row"), "{shown}");
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "existing"]);
    assert!(!done && printed.contains("another row"), "that one stays anyway: {printed}");
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "incoming"]);
    assert!(!done && printed.contains("ERROR 1062") && printed.contains("--set"), "{printed}");
    let (printed, done) = overridden(&mut mesh, "us", &id, &["--with", "incoming", "--set", "email=b@x"]);
    assert!(done, "{printed}");
    mesh.expect_equal(&["s.mail"], BOUND).await.unwrap();
    let both = mesh.root("eu").await.unwrap().rows("SELECT id, email FROM s.mail ORDER BY id").await.unwrap();
    assert_eq!(both, [["1", "b@x"], ["2", "a@x"]]);
}

#[tokio::test]
async fn an_override_that_cannot_be_says_why() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    concurrently(
        &mut mesh,
        &[("eu", "UPDATE s.t SET v = 'eu' WHERE id = 1"), ("us", "UPDATE s.t SET v = 'us' WHERE id = 1")],
    )
    .await;
    let id = text(&journal(&mut mesh, "eu", &[])[0], "/id").to_owned();
    let refused = |mesh: &mut Mesh, arguments: &[&str]| {
        let (printed, done) = overridden(mesh, "eu", &id, arguments);
        assert!(!done, "{printed}");
        printed
    };
    assert!(refused(&mut mesh, &["--set", "id=9"]).contains("primary key"));
    assert!(refused(&mut mesh, &["--set", "v=much too long for this column"]).contains("ERROR 1406"));
    assert!(refused(&mut mesh, &["--set", "n=many"]).contains("ERROR 1366"));
    let mut root = mesh.root("eu").await.unwrap();
    root.run("BEGIN").await.unwrap();
    root.run("SELECT * FROM s.t WHERE id = 1 FOR UPDATE").await.unwrap();
    assert!(refused(&mut mesh, &["--set", "n=1"]).contains("a client holds the row"));
    root.run("ROLLBACK").await.unwrap();
    assert_eq!(row(&mut mesh, "eu", 1).await, ["us", "0"]);
    root.run("REVOKE UPDATE ON *.* FROM concord@'%'").await.unwrap();
    let said = refused(&mut mesh, &["--with", "existing"]);
    assert!(said.contains("ERROR 1142") && said.contains("concord grants"), "{said}");
    mesh.region("eu").unwrap().server.kill();
    assert!(refused(&mut mesh, &["--with", "existing"]).contains("[region.mysql]"));
    let unknown = mesh.region("eu").unwrap().concord.command(&["conflicts", "show", "0123456789"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}
