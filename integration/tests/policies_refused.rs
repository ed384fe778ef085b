//! A policy that does not fit the server's tables is refused by `check` and by `run`, before anything is written.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::mesh::{set, write_config};
use integration::{Concord, Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.stock (
    id INT PRIMARY KEY, Quantity INT NOT NULL DEFAULT 0, price DECIMAL(10,2), seen_at DATETIME(6), tags SET('a', 'b'),
    home ENUM('eu', 'us'), colour ENUM('red', 'blue'), note VARCHAR(20), raw VARBINARY(20),
    total DECIMAL(20,2) AS (Quantity * price) STORED, half INT AS (Quantity DIV 2) VIRTUAL
);
CREATE TABLE s.orders (id INT PRIMARY KEY, home VARCHAR(32) CHARACTER SET latin1, v INT);
CREATE TABLE s.tmp_load (id INT PRIMARY KEY);
SET sql_require_primary_key = OFF;
CREATE TABLE s.log (v INT);
";

async fn built() -> Mesh {
    let plan = MeshPlan::of(&["eu", "us"]).schema(SCHEMA);
    plan.edit(|_, config| set(config, "mesh.exclude", vec!["s.tmp_*", "s.log"])).build().await.unwrap()
}

/// Gives a region these policies, `[[policy]]` and other keys of `[mesh]` as TOML.
fn give(concord: &Concord, keys: &str) {
    let text = std::fs::read_to_string(concord.config()).unwrap();
    let mut config: toml::Table = toml::from_str(&text).unwrap();
    let mesh = config["mesh"].as_table_mut().unwrap();
    mesh.remove("policy");
    mesh.extend(toml::from_str::<toml::Table>(keys).unwrap());
    write_config(concord.config(), &config).unwrap();
}

/// One policy for tables that match `pattern`.
fn policy(pattern: &str, rest: &str) -> String {
    format!("[[policy]]\ntables = [\"{pattern}\"]\n{rest}\n")
}

fn columns(key: &str, column: &str) -> String {
    policy("s.st*", &format!("policy = \"columns\"\n{key} = [\"{column}\"]"))
}

fn owned_by(column: &str) -> String {
    policy("s.st*", &format!("policy = \"region-owned\"\nowner_column = \"{column}\""))
}

/// What `check` says, and its exit code.
fn check(concord: &Concord) -> (String, Option<i32>) {
    let output = concord.command(&["check"]).unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (said, output.status.code())
}

/// The lines of the report that begin so.
fn lines<'a>(said: &'a str, start: &str) -> Vec<&'a str> {
    said.lines().filter(|line| line.starts_with(start)).collect()
}

#[tokio::test]
async fn a_policy_that_does_not_fit_is_refused_with_pattern_table_and_column() {
    let mut mesh = built().await;
    let cases = [
        (owned_by("hme"), "pattern s.st*: table s.stock: owner_column hme: there is no such column"),
        (owned_by("price"), "pattern s.st*: table s.stock: owner_column price: it is decimal(10,2)"),
        (owned_by("raw"), "pattern s.st*: table s.stock: owner_column raw: it is varbinary(20)"),
        (owned_by("colour"), "owner_column colour: it is enum('red','blue'), and no member names a region"),
        (columns("counter", "note"), "pattern s.st*: table s.stock: counter note: it is varchar(20)"),
        (columns("counter", "total"), "table s.stock: counter total: the server computes this column"),
        (columns("counter", "half"), "table s.stock: counter half: the server computes this column"),
        (columns("counter", "id"), "table s.stock: counter id: it is part of the primary key"),
        (columns("max", "note"), "pattern s.st*: table s.stock: max note: it is varchar(20)"),
        (columns("min", "colour"), "pattern s.st*: table s.stock: min colour: it is enum("),
        (columns("set_union", "home"), "pattern s.st*: table s.stock: set_union home: it is enum("),
        (policy("s.stok", "policy = \"halt\""), "pattern s.stok matches no table"),
        (policy("s.tmp_*", "policy = \"halt\""), "pattern s.tmp_* matches only tables that are not carried"),
        (policy("s.orders", "policy = \"region-owned\"\nowner = \"ap\""), "region ap is not in the mesh"),
        (policy("s.orders", "policy = \"region-owned\""), "region-owned lacks its owner"),
        (policy("s.orders", "policy = \"lww\""), "unknown variant `lww`"),
        (policy("s.orders", "policy = \"columns\"\ncuonter = [\"v\"]"), "did you mean `counter`?"),
        ("detect_only = [[\"eu\", \"mars\"]]".to_owned(), "region mars is not in the mesh"),
    ];
    for (keys, reason) in cases {
        let region = mesh.region("eu").unwrap();
        give(&region.concord, &keys);
        let (said, code) = check(&region.concord);
        assert!(
            code == Some(1) && said.contains(reason),
            "check with\n{keys}ended with {code:?} and said:\n{said}"
        );
        let said = region.concord.refused(BOUND).await.unwrap();
        assert!(said.contains(reason), "run with\n{keys}said:\n{said}");
    }
    // No refusal comes too late: not even the marker's schema was made.
    let mut eu = mesh.root("eu").await.unwrap();
    let made = eu.column("SHOW DATABASES LIKE 'concord'").await.unwrap();
    assert!(made.is_empty(), "schema concord was made");
}

#[tokio::test]
async fn a_table_without_a_primary_key_is_refused_under_a_policy_by_pattern_and_table() {
    let mut mesh = built().await;
    let region = mesh.region("eu").unwrap();
    give(&region.concord, &format!("exclude = []\n{}", policy("s.l*", "policy = \"columns\"")));
    let (said, code) = check(&region.concord);
    assert_eq!(code, Some(1), "{said}");
    let refused = lines(&said, "NO   policies");
    assert_eq!(refused.len(), 1, "{said}");
    assert!(refused[0].contains("pattern s.l*: table s.log has no primary key"), "{said}");
    assert!(refused[0].contains("ALTER TABLE `s`.`log` ADD PRIMARY KEY"), "{said}");
    let said = region.concord.refused(BOUND).await.unwrap();
    assert!(said.contains("pattern s.l*: table s.log has no primary key"), "{said}");
}

#[tokio::test]
async fn policies_that_fit_pass_and_shadow_mode_and_functional_keys_are_warned_about() {
    let mut mesh = built().await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("CREATE UNIQUE INDEX uq_note ON s.stock ((LOWER(note)))").await.unwrap();
    let concord = &mesh.region("eu").unwrap().concord;
    let all = policy(
        "s.stock",
        "policy = \"columns\"\ncounter = [\"quantity\", \"price\"]\nmax = [\"seen_at\"]\nset_union = [\"tags\"]\n\
         deletes = \"lose\"",
    ) + &policy("s.o*", "policy = \"region-owned\"\nowner_column = \"home\"\ndetect_only = true");
    give(concord, &format!("detect_only = [[\"us\", \"eu\"]]\n{all}"));
    let (said, code) = check(concord);
    assert_eq!(code, Some(0), "{said}");
    let listed = lines(&said, "OK   policies");
    assert!(listed.len() == 1 && listed[0].contains("s.stock: columns (counter quantity,"), "{said}");
    let shadows = lines(&said, "WARN detect_only");
    assert_eq!(shadows.len(), 2, "{said}");
    assert!(
        shadows[0].contains("policy 2 (region-owned), s.o*: conflicts are reported, not resolved"),
        "{said}"
    );
    assert!(shadows[1].contains("between eu and us: conflicts are reported, not resolved"), "{said}");
    let functional = lines(&said, "WARN functional unique keys");
    assert!(functional.len() == 1 && functional[0].contains("s.stock (uq_note)"), "{said}");
}

#[tokio::test]
async fn a_seed_may_bring_the_tables_that_a_policy_is_for() {
    let mut mesh = built().await;
    for name in ["eu", "us"] {
        give(&mesh.region(name).unwrap().concord, &columns("counter", "quantity"));
    }
    let mut us = mesh.root("us").await.unwrap();
    us.run("DROP TABLE s.stock").await.unwrap();
    mesh.root("eu").await.unwrap().run("INSERT INTO s.stock (id, quantity) VALUES (1, 5)").await.unwrap();
    mesh.region("eu").unwrap().concord.spawn().unwrap();
    let region = mesh.region("us").unwrap();
    let said = region.concord.refused(BOUND).await.unwrap();
    assert!(said.contains("pattern s.st* matches no table"), "{said}");
    region.concord.say(&["seed", "--from", "eu", "--yes"]).unwrap();
    mesh.start_concords(&["us"]).await.unwrap();
    mesh.region("eu").unwrap().concord.ready(BOUND).await.unwrap();
    mesh.expect_equal(&["s.stock", "s.orders"], BOUND).await.unwrap();
}
