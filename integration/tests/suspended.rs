//! Suspended tables on real servers: one table stands still in one region, the others go on, and nothing is lost on resume.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::hot::stage::Stage;

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.open (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.careful (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.tally (id INT PRIMARY KEY, n INT);
INSERT INTO s.open VALUES (1, 'old'), (2, 'old'), (3, 'old');
INSERT INTO s.careful VALUES (1, 'old'), (2, 'old'), (3, 'old');
INSERT INTO s.tally VALUES (1, 100), (2, 100);
";
const POLICIES: &str = r#"
[[policy]]
tables = ["s.careful"]
policy = "halt"
[[policy]]
tables = ["s.tally"]
policy = "columns"
counter = ["n"]
"#;

/// The suspended tables of a region, as its status has them.
async fn suspended(stage: &Stage, region: &str) -> Vec<String> {
    let region = stage.mesh.regions.iter().find(|known| known.name == region).unwrap();
    let status: serde_json::Value =
        serde_json::from_str(&region.concord.get("/v1/status").await.unwrap().body).unwrap();
    let tables = status["suspended_tables"].as_array().unwrap();
    tables.iter().map(|table| table["table"].as_str().unwrap().to_owned()).collect()
}

fn say(stage: &Stage, region: &str, arguments: &[&str]) -> String {
    let region = stage.mesh.regions.iter().find(|known| known.name == region).unwrap();
    region.concord.say(arguments).unwrap()
}

/// Lets `region` apply all that is written in the other region by now.
async fn catch_up(stage: &mut Stage, region: &str, origin: &str) {
    let number = stage.written(origin).await.unwrap();
    stage.applied(region, origin, number).await.unwrap();
}

#[tokio::test]
async fn policy_halt_suspends_its_table_alone_until_a_person_decides() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, POLICIES).await.unwrap();
    stage.hold().await.unwrap();
    stage
        .play(&[
            ("eu", "UPDATE s.careful SET v = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.careful SET v = 'us' WHERE id = 1"),
            ("us", "UPDATE s.careful SET v = 'us' WHERE id = 2"),
            ("eu", "UPDATE s.open SET v = 'eu' WHERE id = 1"),
        ])
        .await
        .unwrap();
    stage.release().unwrap();
    catch_up(&mut stage, "us", "eu").await;
    catch_up(&mut stage, "eu", "us").await;
    for region in ["eu", "us"] {
        assert_eq!(suspended(&stage, region).await, ["s.careful"], "{region}");
    }
    let found = stage.conflicts_of("s.careful", "1").unwrap();
    assert!(found.iter().any(|one| one.winner == "halted"), "{found:?}");

    // Both ways, everything else goes on, also in one transaction with the table.
    stage
        .play(&[
            ("us", "UPDATE s.open SET v = 'us' WHERE id = 2"),
            ("eu", "BEGIN; UPDATE s.open SET v = 'more' WHERE id = 3; INSERT INTO s.careful VALUES (9, 'eu'); COMMIT"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "us", "eu").await;
    catch_up(&mut stage, "eu", "us").await;
    assert_eq!(stage.rows("SELECT id, v FROM s.open ORDER BY id").await.unwrap(), ["1,eu", "2,us", "3,more"]);
    let mut here = Vec::new();
    for region in ["eu", "us"] {
        let client = stage.client(region).unwrap();
        here.push(client.column("SELECT CONCAT(id, v) FROM s.careful ORDER BY id").await.unwrap().join(" "));
    }
    assert_eq!(here, ["1eu 2old 3old 9eu", "1us 2us 3old"], "the table stands still in both regions");

    // It outlives a restart, and is not lifted without a decision.
    stage.mesh.region("us").unwrap().concord.kill();
    stage.mesh.start_concords(&["us"]).await.unwrap();
    for region in ["eu", "us"] {
        say(&stage, region, &["resume", "--table", "s.careful", "--decide", "newest"]);
    }
    stage.settle().await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, v FROM s.careful ORDER BY id").await.unwrap(),
        ["1,us", "2,us", "3,old", "9,eu"]
    );
    for region in ["eu", "us"] {
        assert!(suspended(&stage, region).await.is_empty(), "{region}");
    }
}

#[tokio::test]
async fn what_is_held_back_of_a_paused_table_meets_what_was_written_meanwhile() {
    let mut stage = Stage::new(&["eu", "us", "ap"], SCHEMA, POLICIES).await.unwrap();
    say(&stage, "us", &["pause", "--table", "s.tally"]);
    stage
        .play(&[
            ("eu", "UPDATE s.tally SET n = n + 1 WHERE id = 1"),
            ("ap", "UPDATE s.tally SET n = n + 10 WHERE id = 1"),
            ("eu", "UPDATE s.open SET v = 'seen' WHERE id = 1"),
        ])
        .await
        .unwrap();
    // us has applied those transactions, but for this table: its own write has not seen theirs, and says so.
    catch_up(&mut stage, "us", "eu").await;
    catch_up(&mut stage, "us", "ap").await;
    stage
        .play(&[
            ("us", "UPDATE s.tally SET n = n + 100 WHERE id = 1"),
            ("us", "UPDATE s.tally SET n = n + 1000 WHERE id = 2"),
        ])
        .await
        .unwrap();
    catch_up(&mut stage, "eu", "us").await;
    catch_up(&mut stage, "ap", "us").await;
    for region in ["eu", "ap"] {
        let n = stage.client(region).unwrap().column("SELECT n FROM s.tally WHERE id = 1").await.unwrap();
        assert_eq!(n, ["211"], "{region} has added up what none of the three had seen");
    }
    let n = stage.client("us").unwrap().column("SELECT n FROM s.tally WHERE id = 1").await.unwrap();
    assert_eq!(n, ["200"], "us holds the others' back");
    stage.mesh.region("us").unwrap().concord.kill();
    stage.mesh.start_concords(&["us"]).await.unwrap();
    assert_eq!(suspended(&stage, "us").await, ["s.tally"]);
    say(&stage, "us", &["resume", "--table", "s.tally"]);
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT id, n FROM s.tally ORDER BY id").await.unwrap(), ["1,211", "2,1100"]);
}
