//! A region sees the tables of others under other names, with fewer columns and rows, and masked.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use integration::mesh::set;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};

const BOUND: Duration = Duration::from_secs(60);

/// In every region at first; each test makes its region's own tables before Concord starts.
const SCHEMA: &str = "
CREATE DATABASE crm;
CREATE TABLE crm.people (id INT PRIMARY KEY, name VARCHAR(30), mail VARCHAR(80) CHARACTER SET latin1, phone CHAR(12), country CHAR(2) NOT NULL,
    born DATE, credit DECIMAL(9,2), card VARBINARY(20), KEY (country));
CREATE TABLE crm.notes (id INT PRIMARY KEY, v VARCHAR(20));
";

async fn mesh(us_writes: bool, filters: &'static str, us_tables: &str) -> Mesh {
    let mut mesh = MeshPlan::of(&["eu", "us"])
        .schema(SCHEMA)
        .edit(move |name, config| {
            set(config, "mesh.regions.us.writes", us_writes);
            if name == "us" {
                let written: toml::Table = filters.parse().unwrap();
                set(config, "region.filter", written["filter"].clone());
            }
        })
        .build()
        .await
        .unwrap();
    let mut us = mesh.root("us").await.unwrap();
    us.script(&format!("SET sql_log_bin = 0; {us_tables}; SET sql_log_bin = 1")).await.unwrap();
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    mesh
}

async fn catch_up(mesh: &mut Mesh, region: &str, origin: &str) {
    let end = integration::mesh::binlog_end(&mut mesh.root(origin).await.unwrap()).await.unwrap();
    let there = &mesh.region(origin).unwrap().concord;
    let written = wait_for("the extractor", BOUND, async || {
        let status = there.status().await?;
        let read = (status.extractor.file.clone(), status.extractor.offset);
        Ok(Look::when(read >= end, status.extractor.sequence, format!("{read:?} {end:?}")))
    })
    .await
    .unwrap();
    let here = &mesh.region(region).unwrap().concord;
    wait_for(&format!("{region} to apply {written} of {origin}"), BOUND, async || {
        let status = here.status().await?;
        Ok(Look::when(status.applied(origin) >= written, (), status.reasons().join("; ")))
    })
    .await
    .unwrap();
}

async fn column(mesh: &mut Mesh, region: &str, query: &str) -> Vec<String> {
    mesh.root(region).await.unwrap().column(query).await.unwrap()
}

#[tokio::test]
async fn rows_come_and_go_by_their_values_and_columns_are_masked_dropped_and_renamed() {
    let filters = r#"
        [[filter]]
        tables = ["crm.people"]
        schema = "analytics"
        table = "persons"
        rows = ["country IN ('DE', 'FR')", "born >= '1950-01-01'"]
        mask = { mail = "hash", phone = "null", name = { constant = "somebody" } }
        drop = ["card"]
    "#;
    let us_tables = "CREATE DATABASE analytics; \
        CREATE TABLE analytics.persons (id INT PRIMARY KEY, credit DECIMAL(9,2), name VARCHAR(30), mail VARCHAR(80) CHARACTER SET latin1, \
        phone CHAR(12), country CHAR(2) NOT NULL, born DATE); DROP TABLE crm.people";
    let mut mesh = mesh(false, filters, us_tables).await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.script(
        "INSERT INTO crm.people VALUES (1, 'ann', 'ann@x.org', '123', 'DE', '1960-02-03', 1.5, 0x01), (2, 'bob', NULL, '456', 'US', '1970-01-01', 2.5, 0x02),
            (3, 'cis', 'cis@x.org', NULL, 'FR', '1949-12-31', 3.5, NULL), (4, 'dan', 'dan@x.org', '789', 'FR', '1999-01-01', 4.5, 0x04);
         INSERT INTO crm.notes VALUES (1, 'as it is');
         UPDATE crm.people SET credit = credit + 1, name = 'other';
         UPDATE crm.people SET country = 'DE' WHERE id = 2;
         UPDATE crm.people SET country = 'US' WHERE id = 4;
         UPDATE crm.people SET id = 5 WHERE id = 1;
         DELETE FROM crm.people WHERE id = 3",
    )
    .await
    .unwrap();
    catch_up(&mut mesh, "us", "eu").await;
    let query = "SELECT CONCAT_WS('|', id, name, IFNULL(mail, 'NULL'), IFNULL(phone, 'NULL'), country, born, credit) FROM analytics.persons ORDER BY id";
    let hash = column(&mut mesh, "eu", "SELECT SHA2('ann@x.org', 256)").await.remove(0);
    assert_eq!(
        column(&mut mesh, "us", query).await,
        [
            "2|somebody|NULL|NULL|DE|1970-01-01|3.50".to_owned(),
            format!("5|somebody|{hash}|NULL|DE|1960-02-03|2.50")
        ]
    );
    assert_eq!(column(&mut mesh, "us", "SELECT v FROM crm.notes").await, ["as it is"]);
    // The same after a restart, with the history rebuilt.
    mesh.region("us").unwrap().concord.kill();
    mesh.start_concords(&["us"]).await.unwrap();
    // Of which us has nothing to change, and its server nothing to log.
    eu.run("UPDATE crm.people SET card = 0x05 WHERE id = 5").await.unwrap();
    catch_up(&mut mesh, "us", "eu").await;
    eu.run("UPDATE crm.people SET country = 'FR', credit = 0 WHERE id IN (4, 5)").await.unwrap();
    catch_up(&mut mesh, "us", "eu").await;
    assert_eq!(
        column(&mut mesh, "us", "SELECT CONCAT(id, country) FROM analytics.persons ORDER BY id").await,
        ["2DE", "4FR", "5FR"]
    );
}

#[tokio::test]
async fn a_schema_with_another_name_is_written_from_both_sides_and_conflicts_are_found() {
    let filters = "[[filter]]\ntables = [\"crm.*\"]\nschema = \"crm_us\"\n";
    let mut mesh = MeshPlan::of(&["eu", "us"])
        .schema("")
        .edit(move |name, config| {
            let text = match name {
                "us" => filters.to_owned(),
                _ => filters.replace("crm_us", "x").replace("crm.", "crm_us.").replace("\"x\"", "\"crm\""),
            };
            let written: toml::Table = text.parse().unwrap();
            set(config, "region.filter", written["filter"].clone());
        })
        .build()
        .await
        .unwrap();
    for (region, schema) in [("eu", "crm"), ("us", "crm_us")] {
        let mut sql = mesh.root(region).await.unwrap();
        sql.script(&format!(
            "CREATE DATABASE {schema}; CREATE TABLE {schema}.notes (id INT PRIMARY KEY, v VARCHAR(20)); \
             INSERT INTO {schema}.notes VALUES (1, 'one'), (2, 'two')"
        ))
        .await
        .unwrap();
    }
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    let (mut eu, mut us) = (mesh.root("eu").await.unwrap(), mesh.root("us").await.unwrap());
    eu.run("INSERT INTO crm.notes VALUES (3, 'eu')").await.unwrap();
    catch_up(&mut mesh, "us", "eu").await;
    us.run("UPDATE crm_us.notes SET v = 'us' WHERE id = 3").await.unwrap();
    catch_up(&mut mesh, "eu", "us").await;
    let all = |schema: &str| format!("SELECT CONCAT(id, v) FROM {schema}.notes ORDER BY id");
    assert_eq!(column(&mut mesh, "eu", &all("crm")).await, ["1one", "2two", "3us"]);
    // Nothing was concurrent so far; now both write one row.
    for (region, origin) in [("eu", "us"), ("us", "eu")] {
        mesh.region(region).unwrap().concord.say(&["pause", "--origin", origin]).unwrap();
    }
    eu.run("UPDATE crm.notes SET v = 'eu' WHERE id = 1").await.unwrap();
    us.run("UPDATE crm_us.notes SET v = 'us' WHERE id = 1").await.unwrap();
    for (region, origin) in [("eu", "us"), ("us", "eu")] {
        mesh.region(region).unwrap().concord.say(&["resume", "--origin", origin]).unwrap();
    }
    catch_up(&mut mesh, "us", "eu").await;
    catch_up(&mut mesh, "eu", "us").await;
    let (here, there) =
        (column(&mut mesh, "eu", &all("crm")).await, column(&mut mesh, "us", &all("crm_us")).await);
    assert_eq!(here, there);
    let status = mesh.region("eu").unwrap().concord.status().await.unwrap();
    assert_eq!(status.origin("us").unwrap().conflicts, 1);
}

#[tokio::test]
async fn a_filter_that_would_drop_a_key_column_halts_and_one_that_hides_is_refused_where_clients_write() {
    let filters = "[[filter]]\ntables = [\"crm.people\"]\ndrop = [\"id\"]\n";
    let mut mesh = mesh(false, filters, "DO 0").await;
    mesh.root("eu")
        .await
        .unwrap()
        .run("INSERT INTO crm.people (id, country) VALUES (1, 'DE')")
        .await
        .unwrap();
    let us = &mesh.region("us").unwrap().concord;
    let reason = wait_for("us to halt eu", BOUND, async || {
        let status = us.status().await?;
        let halted = status.origin("eu").is_some_and(|origin| origin.applier.state == "halted");
        Ok(Look::when(halted, status.reasons().join("; "), format!("{:?}", status.reasons())))
    })
    .await
    .unwrap();
    assert!(
        reason.contains("crm.people") && reason.contains("drop column `id` of the primary key"),
        "{reason}"
    );
    mesh.stop().await.unwrap();

    let mut mesh = MeshPlan::of(&["eu", "us"])
        .schema(SCHEMA)
        .edit(move |_, config| {
            let written: toml::Table =
                "[[filter]]\ntables = [\"crm.people\"]\ndrop = [\"card\"]\n".parse().unwrap();
            set(config, "region.filter", written["filter"].clone());
        })
        .build()
        .await;
    let refused = match &mut mesh {
        Ok(mesh) => mesh.region("us").unwrap().concord.refused(BOUND).await.unwrap(),
        Err(error) => error.to_string(),
    };
    assert!(refused.contains("clients write in this region"), "{refused}");
}
