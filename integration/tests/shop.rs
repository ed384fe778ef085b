//! The shop's referee on one server, without any replication: honest tables pass, and each kind of damage is seen.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::ServerPlan;
use integration::shop::checker::Expectation;
use integration::shop::ledger::{self, Ledger};
use integration::shop::schema;
use integration::shop::writer::{Control, Writer, WriterPlan};
use integration::wait::{Look, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[tokio::test]
async fn the_ledgers_agree_with_honest_tables_and_see_each_kind_of_damage() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerPlan::new("eu", 10).start(dir.path()).await.unwrap();
    let mut sql = server.root().await.unwrap();
    let names = vec!["eu-0".to_owned(), "eu-1".to_owned()];
    sql.script(&schema::script(&names)).await.unwrap();

    let control = Arc::new(Control::default());
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for (seed, name) in names.iter().enumerate() {
        let plan = WriterPlan { name: name.clone(), seed: seed as u64, rate: 0, shared_percent: 30 };
        let ledger = Ledger::create(&dir.path().join(format!("{name}.jsonl"))).unwrap();
        let writer = Writer::new(plan, server.root().await.unwrap(), ledger, count.clone());
        tasks.push(tokio::spawn(writer.run(control.clone())));
    }
    wait_for("five hundred transactions", Duration::from_secs(60), async || {
        let now = count.load(Ordering::Relaxed);
        Ok(Look::when(now >= 500, (), now))
    })
    .await
    .unwrap();
    control.stop.store(true, Ordering::Relaxed);
    let mut expectation = Expectation::seeded(&names);
    for task in tasks {
        let done = task.await.unwrap().unwrap();
        expectation.add(&done.name, &ledger::read(&done.ledger).unwrap());
    }
    let verdict = expectation.judge(&mut sql).await.unwrap();
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert!(verdict.owned_right > 500 && verdict.shared_right == 2 * schema::PRODUCTS);

    let damages = [
        ("DELETE FROM shop.order_lines ORDER BY order_id, line LIMIT 1", "is lost"),
        ("UPDATE shop.orders SET token = 'eu-0-0' ORDER BY id LIMIT 1", "is there"),
        ("UPDATE shop.stock SET quantity = quantity - 1 WHERE warehouse = 'eu-1' AND product = 3", "count"),
        ("UPDATE shop.stock SET token = 'eu-0-0' WHERE warehouse = 'central' AND product = 3", "last writes"),
        (
            "INSERT INTO shop.products SELECT 99, name, price, attributes, state, changed, token FROM shop.products LIMIT 1",
            "nobody made",
        ),
    ];
    for (damage, words) in damages {
        sql.run("BEGIN").await.unwrap();
        sql.run(damage).await.unwrap();
        assert!(sql.affected_rows() > 0, "{damage} changed nothing");
        let faults = expectation.judge(&mut sql).await.unwrap().faults;
        assert!(faults.iter().any(|fault| fault.contains(words)), "{damage} was not seen: {faults:?}");
        sql.run("ROLLBACK").await.unwrap();
    }
}
