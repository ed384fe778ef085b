//! Clients of three regions fight over fifty rows while `concord` is killed at random, and a referee reads what they wrote.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::hot::checker::{self, Tables};
use integration::hot::ledger::{self, Ledger};
use integration::hot::run::{HotPlan, Report, run};
use integration::hot::schema;
use integration::hot::writer::{Control, Writer, WriterPlan};
use integration::wait::{Look, wait_for};
use integration::{ServerPlan, Sql};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The plan, changed by what the environment says, to play other runs or to look into one that failed: `CONCORD_HOT_SEED`,
/// `CONCORD_HOT_SECONDS`, `CONCORD_HOT_KILLS`, `CONCORD_HOT_WRITERS`, `CONCORD_HOT_RATE`, and `CONCORD_HOT_DIR`, a folder that is left there.
fn as_asked(plan: HotPlan) -> HotPlan {
    let number =
        |name: &str| std::env::var(format!("CONCORD_HOT_{name}")).ok().and_then(|text| text.parse().ok());
    HotPlan {
        writers: number("WRITERS").unwrap_or(plan.writers),
        duration: number("SECONDS").map_or(plan.duration, Duration::from_secs),
        kills: number("KILLS").and_then(|kills| u32::try_from(kills).ok()).unwrap_or(plan.kills),
        rate: number("RATE").unwrap_or(plan.rate),
        seed: number("SEED").unwrap_or(plan.seed),
        dir: std::env::var_os("CONCORD_HOT_DIR").map(PathBuf::from),
        ..plan
    }
}

/// Runs the plan; the rows must be as the policies allow, and the run must have been the fight that it is meant to be.
async fn fight(plan: HotPlan, kinds_wanted: &[&str]) {
    let plan = as_asked(plan);
    println!("{plan:?}");
    let report = run(&plan).await.unwrap_or_else(|error| panic!("seed {}: {error}", plan.seed));
    let Report { verdict, acknowledged, in_doubt, given_up, kills, kinds, found, quiet_after } = report;
    println!(
        "{acknowledged} transactions acknowledged, {in_doubt} in doubt, {given_up} gave way; {kills} kills; quiet after \
         {quiet_after:.1?}; {} rows with {} writes judged, {} of them contested, {} made way\nconflicts on record: {kinds:?} {found:?}",
        verdict.rows, verdict.writes, verdict.contested, verdict.made_way
    );
    let faults = &verdict.faults;
    let shown = faults.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} faults, seed {}:\n{shown}", faults.len(), plan.seed);
    assert!(verdict.contested >= 40, "only {} rows were written in several regions", verdict.contested);
    for kind in kinds_wanted.iter().copied() {
        assert!(kinds.contains_key(kind), "no conflict {kind} was found, so that was not tested: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_hot_rows_end_as_their_policies_allow() {
    let plan = HotPlan {
        regions: vec!["eu", "us", "ap"],
        writers: 4,
        duration: Duration::from_secs(12),
        kills: 3,
        rate: 30,
        thinks: Duration::ZERO,
        seed: 3,
        servers_die: false,
        clocks_jump: false,
        dir: None,
        canary: None,
    };
    fight(plan, &["insert-insert", "update-update", "update-delete"]).await;
}

#[cfg(feature = "long")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_in_each_of_three_regions_for_a_minute() {
    let plan = HotPlan {
        regions: vec!["eu", "us", "ap"],
        writers: 8,
        duration: Duration::from_secs(60),
        kills: 12,
        rate: 30,
        thinks: Duration::ZERO,
        seed: 60,
        servers_die: false,
        clocks_jump: false,
        dir: None,
        canary: None,
    };
    let kinds = [
        "insert-insert",
        "update-update",
        "update-delete",
        "delete-update",
        "delete-delete",
        "unique",
        "foreign-key",
    ];
    fight(plan, &kinds).await;
}

async fn tables(sql: &mut Sql) -> Tables {
    let mut tables = Tables::new();
    for table in &schema::TABLES {
        tables.insert(table.name.to_owned(), table.read(sql).await.unwrap());
    }
    tables
}

/// The writers and the referee by themselves: without any replication, nothing is wrong, and what is then bent is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_referee_passes_an_honest_server_and_sees_each_kind_of_damage() {
    let dir = tempfile::tempdir().unwrap();
    let server = ServerPlan::new("eu", 10).start(dir.path()).await.unwrap();
    let mut sql = server.root().await.unwrap();
    sql.script(&schema::script()).await.unwrap();
    let start = tables(&mut sql).await;

    let control = Arc::new(Control::default());
    let mut tasks = Vec::new();
    for number in 0..6 {
        let plan = WriterPlan {
            region: "eu".to_owned(),
            number,
            seed: number,
            rate: 0,
            thinks: Duration::ZERO,
            hang_ups: 5,
            port: server.port(),
            server_may_die: false,
        };
        let ledger = Ledger::create(&dir.path().join(format!("{number}.jsonl"))).unwrap();
        tasks.push(tokio::spawn(Writer::connect(plan, ledger, control.clone()).await.unwrap().run()));
    }
    wait_for("two thousand transactions", Duration::from_secs(90), async || {
        let now = control.committed.load(Ordering::Relaxed);
        Ok(Look::when(now >= 2000, (), now))
    })
    .await
    .unwrap();
    control.stop.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    let mut in_doubt = 0;
    for task in tasks {
        let done = task.await.unwrap().unwrap();
        in_doubt += done.in_doubt;
        all.extend(ledger::read(&done.ledger).unwrap());
    }
    let verdict = checker::judge(&start, &all, &tables(&mut sql).await);
    assert!(verdict.faults.is_empty(), "{}", verdict.faults.join("\n"));
    assert_eq!(verdict.made_way, 0, "one server lets no row make way");
    assert!(in_doubt > 0, "nobody hung up");

    let damages = [
        "UPDATE hot.plain SET v = CONCAT(v, '!') LIMIT 1",
        "UPDATE hot.plain SET token = 'nobody-1' LIMIT 1",
        "INSERT INTO hot.plain VALUES (77, 'nobody-1', '')",
        "DELETE FROM hot.plain LIMIT 1",
        "DELETE FROM hot.pair LIMIT 1",
        "UPDATE hot.pair SET a = 1000 LIMIT 1",
        "UPDATE hot.spelled SET name = CONCAT(UPPER(LEFT(name, 1)), LOWER(SUBSTRING(name, 2))) WHERE BINARY LEFT(name, 1) = 'r' LIMIT 1",
        "UPDATE hot.tally SET n = n + 1 LIMIT 1",
        "UPDATE hot.tally SET price = price - 0.01 LIMIT 1",
        "UPDATE hot.tally SET high = high - 1 LIMIT 1",
        "UPDATE hot.tally SET low = low + 1 LIMIT 1",
        "UPDATE hot.tally SET tags = '' LIMIT 1",
        "UPDATE hot.tally SET fore = 'seed-fore-1' LIMIT 1",
        "DELETE FROM hot.tally LIMIT 1",
        "UPDATE hot.mixed SET aft = 'seed-aft-1' LIMIT 1",
        "UPDATE hot.owned SET token = 'seed-1' LIMIT 1",
        "DELETE FROM hot.fading LIMIT 1",
        // One alone may have had a parent whose deletion is in doubt.
        "DELETE FROM hot.child",
        "UPDATE hot.child SET token = 'seed-1' LIMIT 1",
        "UPDATE hot.parent SET token = 'nobody-1' LIMIT 1",
        "UPDATE hot.keeping SET token = 'seed-1' LIMIT 1",
    ];
    let mut done = 0;
    for damage in damages {
        sql.run("BEGIN").await.unwrap();
        sql.run(damage).await.unwrap();
        // A small table may have no row left to be bent.
        if sql.affected_rows() > 0 {
            done += 1;
            let faults = checker::judge(&start, &all, &tables(&mut sql).await).faults;
            assert!(!faults.is_empty(), "{damage} was not seen");
        }
        sql.run("ROLLBACK").await.unwrap();
    }
    assert!(done >= damages.len() - 4, "only {done} damages changed anything");
}
