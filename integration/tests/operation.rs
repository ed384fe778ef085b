//! What a person on duty sees and does: status, pause, drain, the log, HTTP.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(30));\nCREATE TABLE s.u (id INT PRIMARY KEY);";

async fn pair() -> Mesh {
    MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap()
}

#[tokio::test]
async fn check_is_content_with_a_server_that_the_manual_describes() {
    let mut mesh = pair().await;
    let check = mesh.region("eu").unwrap().concord.command(&["check"]).unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "check said:\n{said}{}", String::from_utf8_lossy(&check.stderr));
    let json = mesh.region("eu").unwrap().concord.say(&["check", "--json"]).unwrap();
    serde_json::from_str::<serde_json::Value>(&json).unwrap();
}

#[tokio::test]
async fn a_paused_origin_is_received_but_not_applied_until_it_is_resumed() {
    let mut mesh = pair().await;
    mesh.region("us").unwrap().concord.say(&["pause", "--origin", "eu"]).unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (1, 'x')").await.unwrap();
    let sequence = {
        let region = mesh.region("eu").unwrap();
        wait_for("eu to have read it", BOUND, async || {
            let status = region.concord.status().await?;
            Ok(Look::when(
                status.extractor.sequence > 0,
                status.extractor.sequence,
                status.extractor.sequence,
            ))
        })
        .await
        .unwrap()
    };
    let region = mesh.region("us").unwrap();
    wait_for("us to have received it", BOUND, async || {
        let status = region.concord.status().await?;
        let origin = status.origin("eu").cloned().unwrap_or_default();
        assert!(origin.paused && origin.applier.state == "paused", "{origin:?}");
        Ok(Look::when(origin.origin_sequence >= sequence, (), format!("{origin:?}")))
    })
    .await
    .unwrap();
    let mut us = mesh.root("us").await.unwrap();
    assert_eq!(us.number("SELECT COUNT(*) FROM s.t").await.unwrap(), 0);
    let text = mesh.region("us").unwrap().concord.say(&["status"]).unwrap();
    assert!(text.contains("paused"), "status does not show it:\n{text}");
    mesh.region("us").unwrap().concord.say(&["resume", "--origin", "eu"]).unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(us.number("SELECT COUNT(*) FROM s.t").await.unwrap(), 1);
}

#[tokio::test]
async fn drain_ends_when_every_history_is_stable_everywhere() {
    let mut mesh = pair().await;
    for id in 0..20 {
        mesh.root(if id % 2 == 0 { "eu" } else { "us" })
            .await
            .unwrap()
            .run(format!("INSERT INTO s.t VALUES ({id}, '')"))
            .await
            .unwrap();
    }
    mesh.region("eu").unwrap().concord.say(&["drain", "--timeout", "60s"]).unwrap();
    assert!(mesh.region("eu").unwrap().concord.status().await.unwrap().stable_everywhere);
    mesh.region("us").unwrap().concord.kill();
    mesh.root("eu").await.unwrap().run("INSERT INTO s.t VALUES (100, '')").await.unwrap();
    let drain = mesh.region("eu").unwrap().concord.command(&["drain", "--timeout", "2s"]).unwrap();
    assert_eq!(drain.status.code(), Some(1), "with a peer away nothing can be stable everywhere");
}

#[tokio::test]
async fn the_log_can_be_read_as_people_want_to_read_it() {
    let mut mesh = pair().await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (1, 'O''Hara')").await.unwrap();
    eu.run("UPDATE s.t SET v = 'Zoë' WHERE id = 1").await.unwrap();
    eu.run("INSERT INTO s.u VALUES (5)").await.unwrap();
    eu.run("DELETE FROM s.t WHERE id = 1").await.unwrap();
    mesh.quiet(BOUND).await.unwrap();
    let status = mesh.region("eu").unwrap().concord.status().await.unwrap();
    let last = status.extractor.sequence;
    // Read in the other region: it holds a copy.
    for reader in ["eu", "us"] {
        let concord = &mesh.region(reader).unwrap().concord;
        let list = concord
            .say(&["log", "list", "--origin", "eu", "--from-sequence", &(last - 3).to_string()])
            .unwrap();
        assert!(list.contains("s.t") && list.contains("s.u"), "{list}");
        let only = concord.say(&["log", "list", "--origin", "eu", "--table", "s.u"]).unwrap();
        assert!(only.contains("s.u") && !only.contains("s.t"), "{only}");
        let json = concord.say(&["log", "list", "--origin", "eu", "--json"]).unwrap();
        for line in json.lines().filter(|line| !line.trim().is_empty()) {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        let sql = concord.say(&["log", "show", &(last - 3).to_string(), "--origin", "eu", "--sql"]).unwrap();
        assert!(
            sql.contains("INSERT INTO") && (sql.contains("O''Hara") || sql.contains("O\\'Hara")),
            "{sql}"
        );
        let sql = concord.say(&["log", "show", &(last - 2).to_string(), "--origin", "eu", "--sql"]).unwrap();
        assert!(sql.contains("UPDATE") && sql.contains("Zoë"), "{sql}");
        concord.say(&["log", "verify", "--origin", "eu"]).unwrap();
    }
    // The printed SQL does what the transactions did.
    let mut us = mesh.root("us").await.unwrap();
    let concord = &mesh.region("eu").unwrap().concord;
    for sequence in [last - 3, last - 2] {
        let printed =
            concord.say(&["log", "show", &sequence.to_string(), "--origin", "eu", "--sql"]).unwrap();
        us.script(&printed).await.unwrap();
    }
    assert_eq!(us.value("SELECT v FROM s.t WHERE id = 1").await.unwrap(), "Zoë");
}

#[tokio::test]
async fn metrics_are_in_base_units_and_have_help() {
    let mut mesh = pair().await;
    mesh.root("eu").await.unwrap().run("INSERT INTO s.t VALUES (1, 'x')").await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let answer = mesh.region("us").unwrap().concord.get("/metrics").await.unwrap();
    assert_eq!(answer.code, 200);
    let mut helped = std::collections::BTreeSet::new();
    for line in answer.body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped.insert(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with("concord_") || name.starts_with("process_"), "{line}");
            for unit in ["_ms", "_us", "_mib", "_kib", "_milliseconds", "_microseconds"] {
                assert!(!name.contains(unit), "{line} is in no base unit");
            }
        }
    }
    assert!(helped.len() > 5, "{}", answer.body);
}

#[tokio::test]
async fn every_metric_that_an_alert_rule_asks_for_exists() {
    let mut mesh = pair().await;
    mesh.root("eu").await.unwrap().run("INSERT INTO s.t VALUES (1, 'x')").await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let rules = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/alerts.yaml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: Vec<&str> = words.filter(|word| word.starts_with("concord_")).collect();
    assert!(asked.len() > 10, "the rules were not read: {asked:?}");
    // Some are there only once a peer was heard, or a transaction applied.
    let region = mesh.region("us").unwrap();
    wait_for("the metrics that deploy/alerts.yaml asks for", BOUND, async || {
        let metrics = region.concord.get("/metrics").await?.body;
        let there = |name: &&str| metrics.lines().any(|line| line.starts_with(&format!("{name}{{")));
        let missing: Vec<&&str> = asked.iter().filter(|name| !there(name)).collect();
        Ok(Look::when(missing.is_empty(), (), format!("no {missing:?} in\n{metrics}")))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn ready_and_healthy_say_what_they_mean() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).build().await.unwrap();
    let eu = mesh.region("eu").unwrap();
    eu.concord.spawn().unwrap();
    // Alone it cannot be ready for long questions, but it is healthy.
    wait_for("eu to be healthy", BOUND, async || {
        eu.concord.check_running()?;
        Ok(match eu.concord.get("/healthz").await {
            Ok(answer) => Look::when(answer.code == 200, (), answer.code),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
    mesh.region("us").unwrap().concord.spawn().unwrap();
    for region in &mut mesh.regions {
        region.concord.ready(BOUND).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_until_a_transaction_applies_that_one_and_none_after_it_and_stops() {
    let mut mesh = pair().await;
    mesh.region("us").unwrap().concord.stop().await.unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    for id in 1..=9 {
        eu.run(format!("INSERT INTO s.t VALUES ({id}, 'x')")).await.unwrap();
    }
    let us = &mesh.region("us").unwrap().concord;
    let unknown = us.command(&["run", "--until", "ap=4"]).unwrap();
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("--until names ap"));
    // Nine transactions wait, and are one batch if nothing bounds it.
    us.say(&["run", "--until", "eu=4"]).unwrap();
    let mut us = mesh.root("us").await.unwrap();
    assert_eq!(us.column("SELECT id FROM s.t ORDER BY id").await.unwrap(), ["1", "2", "3", "4"]);
    let again = mesh.region("us").unwrap().concord.say(&["run", "--until", "eu=4"]);
    assert!(again.is_ok(), "it is there already: {again:?}");
    assert_eq!(us.column("SELECT id FROM s.t ORDER BY id").await.unwrap(), ["1", "2", "3", "4"]);
    mesh.start_concords(&["us"]).await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_waited_for_at_the_start_too() {
    let mut mesh = pair().await;
    mesh.region("us").unwrap().concord.stop().await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    us.run("SET GLOBAL super_read_only = ON").await.unwrap();
    mesh.root("eu").await.unwrap().run("INSERT INTO s.t VALUES (1, 'x')").await.unwrap();
    let region = mesh.region("us").unwrap();
    region.concord.spawn().unwrap();
    wait_for("us to say that it waits", BOUND, async || {
        region.concord.check_running()?;
        Ok(match region.concord.status().await {
            Ok(status) => {
                let said = status.extractor.waiting_for.unwrap_or_default();
                Look::when(said.contains("takes no writes") && said.contains("read-only"), (), said)
            }
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
    us.run("SET GLOBAL super_read_only = OFF").await.unwrap();
    us.run("SET GLOBAL read_only = OFF").await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
}
