//! Several lanes come to what one lane comes to, in the same order.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::hot::stage::Stage;
use integration::mesh::set;
use integration::shop::dice::Dice;
use integration::{MeshPlan, Sql};

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.account (id INT PRIMARY KEY, balance INT NOT NULL, mail VARCHAR(40) UNIQUE, note VARCHAR(60)) ENGINE = InnoDB;
CREATE TABLE s.entry (id INT AUTO_INCREMENT PRIMARY KEY, account INT NOT NULL, amount INT NOT NULL,
  FOREIGN KEY (account) REFERENCES s.account (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE s.hot (id INT PRIMARY KEY, n INT NOT NULL);
INSERT INTO s.hot VALUES (1, 0), (2, 0);
";

/// Ids are few, so that batches which follow each other meet in rows, unique values and parents.
const IDS: u64 = 60;
const TRANSACTIONS: u64 = 3_000;

/// What a client might do next.
fn transaction(dice: &mut Dice) -> Vec<String> {
    let id = dice.below(IDS);
    let other = dice.below(IDS);
    let amount = dice.below(100);
    match dice.below(10) {
        0..=2 => vec![format!(
            "INSERT INTO s.account VALUES ({id}, 0, 'm{other}@x', NULL) ON DUPLICATE KEY UPDATE balance = balance + 1"
        )],
        3 => vec![format!("DELETE FROM s.account WHERE id = {id}")],
        4 => vec![format!("UPDATE IGNORE s.account SET mail = 'm{other}@x' WHERE id = {id}")],
        5 => vec![format!("UPDATE IGNORE s.account SET id = {other} WHERE id = {id}")],
        6 | 7 => vec![
            format!(
                "INSERT INTO s.entry (account, amount) SELECT id, {amount} FROM s.account WHERE id = {id}"
            ),
            format!("UPDATE s.account SET balance = balance + {amount} WHERE id = {id}"),
        ],
        8 => vec![format!("UPDATE s.hot SET n = n + 1 WHERE id = {}", 1 + dice.below(2))],
        _ => vec![
            format!("DELETE FROM s.entry WHERE account = {id} ORDER BY id LIMIT 3"),
            format!("UPDATE s.account SET note = 'seen {amount}' WHERE id = {other}"),
        ],
    }
}

async fn write(client: &mut Sql, dice: &mut Dice) {
    for _ in 0..TRANSACTIONS {
        client.run("BEGIN").await.unwrap();
        for statement in transaction(dice) {
            client.run(&statement).await.unwrap();
        }
        client.run("COMMIT").await.unwrap();
    }
}

#[tokio::test]
async fn eight_lanes_come_to_what_one_comes_to() {
    // Per region: connections, transactions of a batch.
    const LANES: [(&str, i64, i64); 3] = [("eu", 1, 256), ("us", 1, 1), ("ap", 8, 5)];
    let plan = MeshPlan::of(&["eu", "us", "ap"]).edit(|name, config| {
        for (region, lanes, batch) in LANES {
            if region == name {
                set(config, "region.apply.lanes", lanes);
                set(config, "region.apply.batch_transactions_max", batch);
            }
        }
    });
    let mut stage = Stage::with(plan, SCHEMA, "").await.unwrap();
    for name in ["us", "ap"] {
        stage.hold_one(name, "eu").await.unwrap();
    }
    write(stage.client("eu").unwrap(), &mut Dice::new(7)).await;
    stage.release().unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.conflicts_counted().await.unwrap(), 0);
    for (name, lanes, _) in LANES.into_iter().skip(1) {
        let used = stage
            .client(name)
            .unwrap()
            .number("SELECT COUNT(*) FROM concord.marker WHERE origin = 'eu' AND changes > 10")
            .await
            .unwrap();
        assert!(if lanes == 1 { used == 1 } else { used > 1 }, "{name} has applied over {used} lanes");
    }
}
