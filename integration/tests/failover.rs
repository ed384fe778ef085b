//! A region's primary dies, and a standby that was behind takes its place.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::mesh::set;
use integration::standby::Standby;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan, ServerPlan, Sql, Status};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(90);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.stock (id INT PRIMARY KEY, n INT, note VARCHAR(20));
CREATE TABLE s.page (id INT PRIMARY KEY, text VARCHAR(20));
CREATE TABLE s.log (id INT AUTO_INCREMENT PRIMARY KEY, region VARCHAR(4), n INT);
CREATE TABLE s.name (id INT PRIMARY KEY, name VARCHAR(20) UNIQUE);
CREATE TABLE s.parent (id INT PRIMARY KEY);
CREATE TABLE s.child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES s.parent (id));
INSERT INTO s.stock VALUES (1, 0, 'old'), (2, 0, 'old'), (3, 0, 'old');
INSERT INTO s.page VALUES (1, 'old'), (2, 'old'), (3, 'old');
";
const TABLES: [&str; 6] = ["s.stock", "s.page", "s.log", "s.name", "s.parent", "s.child"];

async fn mesh() -> (Mesh, Standby) {
    mesh_of(&["eu", "us"]).await
}

async fn mesh_of(names: &[&str]) -> (Mesh, Standby) {
    let plan = MeshPlan::of(names).schema(SCHEMA).edit(|_, config| {
        let columns =
            "tables = [\"s.stock\"]\npolicy = \"columns\"\ncounter = [\"n\"]".parse::<toml::Table>().unwrap();
        set(config, "mesh.ddl", "replicate");
        set(config, "mesh.policy", vec![toml::Value::Table(columns)]);
    });
    let mut mesh = plan.start().await.unwrap();
    let dir = mesh.dir().join("standby");
    let plan = ServerPlan::new("standby", 11).auto_increment(names.len() as u32, 1);
    let standby = Standby::of(mesh.region("eu").unwrap(), plan, &dir).await.unwrap();
    (mesh, standby)
}

async fn run(mesh: &mut Mesh, name: &str, statements: &[&str]) {
    let mut sql = mesh.root(name).await.unwrap();
    for statement in statements {
        sql.run(statement).await.unwrap_or_else(|error| panic!("{name}: {statement}: {error}"));
    }
}

/// Waits until a region's status is as `wanted` says.
async fn until(mesh: &mut Mesh, name: &str, what: &str, wanted: impl Fn(&Status) -> bool) {
    let concord = &mesh.region(name).unwrap().concord;
    wait_for(what, BOUND, async || {
        Ok(match concord.status().await {
            Ok(status) => Look::when(wanted(&status), (), format!("{status:?}")),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
}

/// Everything is everywhere, and no history is kept any more.
async fn forget_all(mesh: &mut Mesh) {
    mesh.quiet(BOUND).await.unwrap();
    for name in mesh.names() {
        until(mesh, &name, "every history to be stable", |status| status.stable_everywhere).await;
    }
}

/// What clients do in both regions and the standby does not get; all of it is applied everywhere and forgotten.
async fn lose(mesh: &mut Mesh, standby: &Standby) {
    standby.fall_behind().await.unwrap();
    run(
        mesh,
        "eu",
        &[
            "UPDATE s.stock SET n = n + 5 WHERE id = 1",
            "UPDATE s.page SET text = 'tail' WHERE id = 1",
            "INSERT INTO s.log (region, n) VALUES ('eu', 1), ('eu', 2)",
            "INSERT INTO s.name VALUES (1, 'taken')",
            "INSERT INTO s.parent VALUES (1)",
            "DELETE FROM s.page WHERE id = 3",
        ],
    )
    .await;
    forget_all(mesh).await;
    // Has seen the tail.
    run(
        mesh,
        "us",
        &[
            "UPDATE s.stock SET n = n + 70 WHERE id = 1",
            "UPDATE s.stock SET n = n + 70, note = 'us' WHERE id = 2",
            "UPDATE s.page SET text = 'us' WHERE id = 2",
            "INSERT INTO s.log (region, n) VALUES ('us', 1)",
            "INSERT INTO s.child VALUES (1, 1)",
        ],
    )
    .await;
    forget_all(mesh).await;
    run(
        mesh,
        "eu",
        &["UPDATE s.stock SET n = n + 1 WHERE id = 1", "CREATE TABLE s.late (id INT PRIMARY KEY)"],
    )
    .await;
    forget_all(mesh).await;
}

async fn values(mesh: &mut Mesh, query: &str) -> Vec<String> {
    mesh.root("us").await.unwrap().rows(query).await.unwrap().iter().map(|row| row.join(" ")).collect()
}

async fn expect_incarnation(mesh: &mut Mesh, expected: u32) {
    let status = mesh.region("eu").unwrap().concord.status().await.unwrap();
    assert_eq!(status.extractor.incarnation, expected);
}

#[tokio::test]
async fn a_lost_tail_comes_back_from_the_log_while_concord_goes_on() {
    let (mut mesh, standby) = mesh().await;
    lose(&mut mesh, &standby).await;
    standby.take_over(mesh.region("eu").unwrap()).await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(
        values(&mut mesh, "SELECT n, note FROM s.stock ORDER BY id").await,
        ["76 old", "70 us", "0 old"]
    );
    assert_eq!(values(&mut mesh, "SELECT text FROM s.page ORDER BY id").await, ["tail", "us"]);
    assert_eq!(values(&mut mesh, "SELECT COUNT(*) FROM s.log").await, ["3"]);
    // The next local transaction is of the new incarnation.
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 100 WHERE id = 1"]).await;
    run(&mut mesh, "us", &["UPDATE s.stock SET n = n + 1000 WHERE id = 1"]).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(values(&mut mesh, "SELECT n FROM s.stock WHERE id = 1").await, ["1176"]);
    expect_incarnation(&mut mesh, 2).await;
}

#[tokio::test]
async fn what_clients_wrote_before_the_tail_was_back_is_brought_together_with_it() {
    let (mut mesh, standby) = mesh().await;
    lose(&mut mesh, &standby).await;
    mesh.region("eu").unwrap().concord.kill();
    standby.take_over(mesh.region("eu").unwrap()).await.unwrap();
    run(
        &mut mesh,
        "eu",
        &[
            "UPDATE s.stock SET n = n + 200 WHERE id = 1",
            "UPDATE s.stock SET n = n + 200, note = 'new' WHERE id = 2",
            "UPDATE s.stock SET n = n + 200 WHERE id = 3",
            "UPDATE s.page SET text = 'new' WHERE id IN (1, 2)",
            "UPDATE s.page SET text = 'again' WHERE id = 3",
            "INSERT INTO s.name VALUES (2, 'taken')",
            "INSERT INTO s.log (region, n) VALUES ('new', 1)",
        ],
    )
    .await;
    mesh.region("eu").unwrap().concord.start().await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(
        values(&mut mesh, "SELECT n, note FROM s.stock ORDER BY id").await,
        ["276 old", "270 new", "200 old"]
    );
    // By the last writer, and the newer one is the newer one.
    assert_eq!(values(&mut mesh, "SELECT text FROM s.page ORDER BY id").await, ["new", "new", "again"]);
    assert_eq!(values(&mut mesh, "SELECT id FROM s.name").await, ["2"]);
    assert_eq!(values(&mut mesh, "SELECT id, parent FROM s.child").await, ["1 1"]);
    // The new primary gave out a number that the old one had given out: one of the two rows had to give way, and is on record.
    let lost = values(&mut mesh, "SELECT COUNT(*) FROM s.log WHERE region = 'new'").await;
    assert_eq!(lost, ["1"]);
    let listed = mesh.region("eu").unwrap().concord.say(&["conflicts", "list", "--json"]).unwrap();
    for table in ["stock", "page", "log"] {
        assert!(listed.contains(table), "no conflict of {table} is on record:\n{listed}");
    }
    expect_incarnation(&mut mesh, 2).await;
}

#[tokio::test]
async fn a_standby_that_has_everything_takes_over_without_a_new_incarnation() {
    let (mut mesh, standby) = mesh().await;
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 5 WHERE id = 1"]).await;
    run(&mut mesh, "us", &["UPDATE s.stock SET n = n + 70 WHERE id = 2"]).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    // The standby gets what Concord has not read.
    mesh.region("eu").unwrap().concord.kill();
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 7 WHERE id = 3"]).await;
    standby.catch_up(mesh.region("eu").unwrap()).await.unwrap();
    standby.take_over(mesh.region("eu").unwrap()).await.unwrap();
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 1 WHERE id = 3"]).await;
    mesh.region("eu").unwrap().concord.start().await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(values(&mut mesh, "SELECT n FROM s.stock ORDER BY id").await, ["5", "70", "8"]);
    expect_incarnation(&mut mesh, 1).await;
}

/// Region eu knows of its standby beforehand.
async fn list_standby(mesh: &mut Mesh, standby: &Standby) {
    let listed = format!("127.0.0.1:{}", standby.server().port());
    let eu = mesh.region("eu").unwrap();
    eu.concord.stop().await.unwrap();
    eu.concord.configure("region.mysql.standbys", vec![toml::Value::from(listed)]).unwrap();
    eu.concord.start().await.unwrap();
}

#[tokio::test]
async fn promote_lets_clients_in_once_the_tail_is_back() {
    let (mut mesh, standby) = mesh().await;
    list_standby(&mut mesh, &standby).await;
    run(&mut mesh, "eu", &["CREATE USER client", "GRANT ALL ON s.* TO client"]).await;
    standby.catch_up(mesh.region("eu").unwrap()).await.unwrap();
    lose(&mut mesh, &standby).await;
    let said = standby.take_over_by_command(mesh.region("eu").unwrap()).await.unwrap();
    assert!(said.contains("clients are let in"), "{said}");
    // All of the tail is there with the first client, and none of its writes met it.
    let port = mesh.region("eu").unwrap().server.port();
    let mut client = Sql::connect(port, "client", None).await.unwrap();
    assert_eq!(client.value("SELECT n FROM s.stock WHERE id = 1").await.unwrap(), "76");
    client.run("UPDATE s.stock SET n = n + 100 WHERE id = 1").await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(values(&mut mesh, "SELECT n FROM s.stock WHERE id = 1").await, ["176"]);
    expect_incarnation(&mut mesh, 2).await;
    let listed = mesh.region("eu").unwrap().concord.say(&["conflicts", "list", "--json"]).unwrap();
    assert_eq!(listed.trim(), "", "the tail met something");
    let mut eu = mesh.root("eu").await.unwrap();
    let rights = "SELECT COUNT(*) FROM information_schema.user_privileges WHERE grantee LIKE \"'concord'%\" AND privilege_type = 'CONNECTION_ADMIN'";
    assert_eq!(eu.value(rights).await.unwrap(), "0");
}

#[tokio::test]
async fn of_several_servers_the_one_that_takes_writes_is_the_regions() {
    let (mut mesh, standby) = mesh().await;
    list_standby(&mut mesh, &standby).await;
    lose(&mut mesh, &standby).await;
    standby.take_over_elsewhere(mesh.region("eu").unwrap()).await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 100 WHERE id = 1"]).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(values(&mut mesh, "SELECT n FROM s.stock WHERE id = 1").await, ["176"]);
    expect_incarnation(&mut mesh, 2).await;
}

#[tokio::test]
async fn what_three_regions_had_counted_and_forgotten_is_counted_once_by_a_primary_that_lacks_it() {
    let (mut mesh, standby) = mesh_of(&["eu", "us", "ap"]).await;
    lose(&mut mesh, &standby).await;
    run(&mut mesh, "ap", &["UPDATE s.stock SET n = n + 700 WHERE id IN (1, 2)"]).await;
    forget_all(&mut mesh).await;
    // Its context covers ap's, which nobody keeps any more.
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 2 WHERE id = 2"]).await;
    forget_all(&mut mesh).await;
    mesh.region("eu").unwrap().concord.kill();
    standby.take_over(mesh.region("eu").unwrap()).await.unwrap();
    run(&mut mesh, "eu", &["UPDATE s.stock SET n = n + 200"]).await;
    mesh.region("eu").unwrap().concord.start().await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    let query = "SELECT n FROM s.stock ORDER BY id";
    assert_eq!(values(&mut mesh, query).await, ["976", "972", "200"]);
    for (name, n) in [("eu", 1000), ("us", 10_000), ("ap", 100_000)] {
        run(&mut mesh, name, &[&format!("UPDATE s.stock SET n = n + {n}")]).await;
    }
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(values(&mut mesh, query).await, ["111976", "111972", "111200"]);
    expect_incarnation(&mut mesh, 2).await;
}

/// The statement of the RUNBOOK that lists what only the old primary had.
fn statement_of_the_runbook() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/RUNBOOK.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find("SELECT REGEXP_REPLACE(GTID_SUBTRACT(").expect("the RUNBOOK has the statement");
    text[start..].split_once(';').unwrap().0.to_owned()
}

#[tokio::test]
async fn what_the_old_primary_alone_had_is_listed_when_it_is_back() {
    let (mut mesh, standby) = mesh().await;
    list_standby(&mut mesh, &standby).await;
    lose(&mut mesh, &standby).await;
    let eu = mesh.region("eu").unwrap();
    eu.concord.kill();
    let mut root = eu.server.root().await.unwrap();
    let executed = "SELECT @@GLOBAL.gtid_executed";
    let before = root.value(executed).await.unwrap();
    for id in [2, 3] {
        root.run(format!("UPDATE s.stock SET n = n + 9 WHERE id = {id}")).await.unwrap();
    }
    let lost = root.value(format!("SELECT GTID_SUBTRACT(@@GLOBAL.gtid_executed, '{before}')")).await.unwrap();
    let mut old = standby.take_over_elsewhere(eu).await.unwrap();
    eu.concord.start().await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(values(&mut mesh, "SELECT n FROM s.stock ORDER BY id").await, ["76", "70", "0"]);

    old.set_options(&["--super-read-only"]);
    old.start().await.unwrap();
    let held = old.root().await.unwrap().value(executed).await.unwrap();
    let list = ["log", "list", "--origin", "eu", "--limit", "100000", "--json"];
    let log = mesh.region("eu").unwrap().concord.say(&list).unwrap();
    let gtid = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["gtid"].clone();
    let log: Vec<String> = log.lines().filter_map(|line| gtid(line).as_str().map(str::to_owned)).collect();
    let statement = statement_of_the_runbook();
    for word in ["'OLD'", "'LOG'", "(eu|us|_concord)"] {
        assert!(statement.contains(word), "{statement}");
    }
    let statement =
        statement.replace("'OLD'", &format!("'{held}'")).replace("'LOG'", &format!("'{}'", log.join(",")));
    assert_eq!(mesh.root("eu").await.unwrap().value(statement).await.unwrap(), lost);
}
