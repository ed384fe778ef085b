//! Conflicts are found exactly: by what each region had seen, whatever the values, the locks, the order of arrival and the spelling.

#![allow(clippy::unwrap_used, missing_docs)]

mod exactness {
    //! What takes more than a few lines.
    pub(crate) mod relay;
    mod restart;
}

use exactness::relay::Relay;
use integration::MeshPlan;
use integration::hot::stage::Stage;
use integration::mesh::set;
use integration::wait::{Look, wait_for};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(90);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.t VALUES (1, '1'), (2, '1'), (3, 'old'), (4, 'old'), (5, 'old'), (6, 'old'), (7, 'old'), (8, 'old');
";
const ALL: &str = "SELECT id, v FROM s.t ORDER BY id";

async fn pair() -> Stage {
    Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap()
}

#[tokio::test]
async fn a_value_that_was_changed_and_changed_back_is_found_as_a_conflict() {
    let mut stage = pair().await;
    let there_and_back = ["UPDATE s.t SET v = '3' WHERE id = 1", "UPDATE s.t SET v = '1' WHERE id = 1"];
    stage
        .play_apart(&[
            // In row 1 the other region's change is older, in row 2 it is newer. By value, neither would be noticed in us.
            ("us", "UPDATE s.t SET v = '2' WHERE id = 1"),
            ("eu", there_and_back[0]),
            ("eu", there_and_back[1]),
            ("eu", "UPDATE s.t SET v = '3' WHERE id = 2"),
            ("eu", "UPDATE s.t SET v = '1' WHERE id = 2"),
            ("us", "UPDATE s.t SET v = '2' WHERE id = 2"),
        ])
        .await
        .unwrap();
    assert_eq!(stage.rows("SELECT id, v FROM s.t WHERE id < 3 ORDER BY id").await.unwrap(), ["1,1", "2,2"]);
    for key in ["1", "2"] {
        let found = stage.conflicts_of("s.t", key).unwrap();
        assert!(!found.is_empty(), "row {key} has no conflict on record");
        assert!(found.iter().all(|conflict| conflict.kind == "update-update"), "{found:?}");
        assert!(found.iter().all(|conflict| conflict.policy == "last-writer-wins"), "{found:?}");
    }
    let regions: Vec<String> =
        stage.conflicts().unwrap().into_iter().map(|conflict| conflict.origins.0).collect();
    assert!(regions.contains(&"eu".to_owned()) && regions.contains(&"us".to_owned()), "{regions:?}");
}

#[tokio::test]
async fn deletes_updates_and_inserts_meet_in_every_order() {
    let mut stage = pair().await;
    stage
        .play_apart(&[
            ("eu", "DELETE FROM s.t WHERE id = 3"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 3"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 4"),
            ("eu", "DELETE FROM s.t WHERE id = 4"),
            ("us", "DELETE FROM s.t WHERE id = 5"),
            ("eu", "DELETE FROM s.t WHERE id = 5"),
            ("eu", "INSERT INTO s.t VALUES (11, 'eu')"),
            ("us", "INSERT INTO s.t VALUES (11, 'us')"),
            ("us", "INSERT INTO s.t VALUES (12, 'us')"),
            ("eu", "INSERT INTO s.t VALUES (12, 'eu')"),
            // Made anew in one region, changed in the other.
            ("eu", "DELETE FROM s.t WHERE id = 6"),
            ("eu", "INSERT INTO s.t VALUES (6, 'anew')"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 6"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 7"),
            ("eu", "DELETE FROM s.t WHERE id = 7"),
            ("eu", "INSERT INTO s.t VALUES (7, 'anew')"),
        ])
        .await
        .unwrap();
    assert_eq!(
        stage.rows(ALL).await.unwrap(),
        ["1,1", "2,1", "3,us", "6,us", "7,anew", "8,old", "11,us", "12,eu"]
    );
    for (key, kinds) in [
        ("3", ["update-delete", "delete-update"]),
        ("4", ["update-delete", "delete-update"]),
        ("5", ["delete-delete", "delete-delete"]),
        ("11", ["insert-insert", "insert-insert"]),
    ] {
        let found = stage.conflicts_of("s.t", key).unwrap();
        assert!(!found.is_empty(), "row {key} has no conflict on record");
        assert!(found.iter().all(|one| kinds.contains(&one.kind.as_str())), "row {key}: {found:?}");
    }
}

#[tokio::test]
async fn an_update_waits_for_the_insert_of_another_origin_that_it_saw() {
    let mut stage = Stage::new(&["eu", "us", "ap"], SCHEMA, "").await.unwrap();
    stage.hold_one("ap", "eu").await.unwrap();
    stage.play(&[("eu", "INSERT INTO s.t VALUES (20, 'eu')")]).await.unwrap();
    let inserted = stage.written("eu").await.unwrap();
    stage.applied("us", "eu", inserted).await.unwrap();
    stage.play(&[("us", "UPDATE s.t SET v = 'us' WHERE id = 20")]).await.unwrap();
    let updated = stage.written("us").await.unwrap();
    // ap has the update and not the insert, and says what it waits for.
    let ap = &stage.mesh.region("ap").unwrap().concord;
    wait_for("ap to wait for eu's insert", BOUND, async || {
        let status = ap.status().await?;
        let origin = status.origin("us").cloned().unwrap_or_default();
        let waits = origin.origin_sequence >= updated && origin.applier.waiting_for.is_some();
        Ok(Look::when(waits, (), format!("{origin:?}")))
    })
    .await
    .unwrap();
    let applied = ap.status().await.unwrap().applied("us");
    assert!(applied < updated, "ap has applied the update of a row that it does not have");
    assert_eq!(
        stage.client("ap").unwrap().number("SELECT COUNT(*) FROM s.t WHERE id = 20").await.unwrap(),
        0
    );
    stage.release().unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT v FROM s.t WHERE id = 20").await.unwrap(), ["us"]);
    assert_eq!(
        stage.conflicts_counted().await.unwrap(),
        0,
        "who had seen the insert is in no conflict with it"
    );
}

/// Two concurrent writes of which the one that arrives in eu is the older: the fold changes nothing there.
async fn older_write_arrives(stage: &mut Stage, older: &str, newer: &str) {
    stage.hold().await.unwrap();
    stage.play(&[("us", older), ("eu", newer)]).await.unwrap();
}

/// `statement` by a client of eu, who holds the row while the lane comes to it and then does as `end` says.
async fn hold_the_row(stage: &mut Stage, statement: &str, end: &str) {
    stage.play(&[("eu", "BEGIN"), ("eu", statement)]).await.unwrap();
    let written = stage.written("us").await.unwrap();
    stage.release_one("eu", "us").unwrap();
    stage.lane_waits("eu").await.unwrap();
    stage.play(&[("eu", end)]).await.unwrap();
    stage.applied("eu", "us", written).await.unwrap();
    stage.release().unwrap();
    stage.settle().await.unwrap();
}

#[tokio::test]
async fn a_fold_that_changes_nothing_locks_the_row_and_sees_what_a_client_wrote_to_it() {
    let mut stage = pair().await;
    let older = "UPDATE s.t SET v = 'older' WHERE id = 3";
    older_write_arrives(&mut stage, older, "UPDATE s.t SET v = 'newer' WHERE id = 3").await;
    hold_the_row(&mut stage, "UPDATE s.t SET v = 'client' WHERE id = 3", "COMMIT").await;
    assert_eq!(stage.rows("SELECT v FROM s.t WHERE id = 3").await.unwrap(), ["client"]);

    let older = "UPDATE s.t SET v = 'older' WHERE id = 4";
    older_write_arrives(&mut stage, older, "UPDATE s.t SET v = 'newer' WHERE id = 4").await;
    hold_the_row(&mut stage, "DELETE FROM s.t WHERE id = 4", "ROLLBACK").await;
    assert_eq!(stage.rows("SELECT v FROM s.t WHERE id = 4").await.unwrap(), ["newer"]);

    older_write_arrives(
        &mut stage,
        "UPDATE s.t SET v = 'older' WHERE id = 5",
        "DELETE FROM s.t WHERE id = 5",
    )
    .await;
    hold_the_row(&mut stage, "INSERT INTO s.t VALUES (5, 'client')", "COMMIT").await;
    assert_eq!(stage.rows("SELECT v FROM s.t WHERE id = 5").await.unwrap(), ["client"]);

    older_write_arrives(
        &mut stage,
        "UPDATE s.t SET v = 'older' WHERE id = 6",
        "DELETE FROM s.t WHERE id = 6",
    )
    .await;
    hold_the_row(&mut stage, "INSERT INTO s.t VALUES (6, 'client')", "ROLLBACK").await;
    assert_eq!(stage.rows("SELECT COUNT(*) FROM s.t WHERE id = 6").await.unwrap(), ["0"]);
}

#[tokio::test]
async fn a_client_who_wrote_just_before_the_lane_came_is_found_under_the_lock() {
    let made = Arc::new(OnceLock::new());
    let kept = made.clone();
    let plan = MeshPlan::of(&["eu", "us"]).edit(move |name, table| {
        if name == "eu" {
            let server = table["region"]["mysql"]["port"].as_integer().unwrap();
            let (relay, port) = Relay::start(server.try_into().unwrap());
            set(table, "region.mysql.port", i64::from(port));
            set(table, "region.mysql.tls", "disabled");
            kept.set(relay).unwrap();
        }
    });
    let mut stage = Stage::with(plan, SCHEMA, "").await.unwrap();
    let relay: &Arc<Relay> = made.get().unwrap();
    // In row 1 the client's write is the newer one, in row 3 the older, row 9 both make, row 4 the client deletes.
    for (here, there, id, first) in [
        ("UPDATE s.t SET v = 'eu' WHERE id = 1", "UPDATE s.t SET v = 'us' WHERE id = 1", 1, "us"),
        ("UPDATE s.t SET v = 'eu' WHERE id = 3", "UPDATE s.t SET v = 'us' WHERE id = 3", 3, "eu"),
        ("INSERT INTO s.t VALUES (9, 'eu')", "INSERT INTO s.t VALUES (9, 'us')", 9, "eu"),
        ("DELETE FROM s.t WHERE id = 4", "UPDATE s.t SET v = 'us' WHERE id = 4", 4, "us"),
    ] {
        let before = stage.conflicts_counted().await.unwrap();
        stage.hold().await.unwrap();
        relay.hold_binlog(true);
        let statements =
            if first == "eu" { [("eu", here), ("us", there)] } else { [("us", there), ("eu", here)] };
        stage.play(&statements).await.unwrap();
        let written = stage.written("us").await.unwrap();
        // The extractor of eu has not seen the client's write, so the first look finds nothing; the lane then waits for it.
        stage.release_one("eu", "us").unwrap();
        lane_has_locked(&mut stage, id).await;
        relay.hold_binlog(false);
        stage.applied("eu", "us", written).await.unwrap();
        stage.release().unwrap();
        stage.settle().await.unwrap();
        assert!(stage.conflicts_counted().await.unwrap() > before, "nobody noticed the conflict in row {id}");
        let found = stage.conflicts_of("s.t", &id.to_string()).unwrap();
        // An insert or update that does not find the row as it was is refused before the lane waits, and tried anew.
        let refused = id == 9 || id == 4;
        assert!(found.iter().any(|one| refused || one.found == "under-lock"), "row {id}: {found:?}");
    }
    assert_eq!(
        stage.rows("SELECT id, v FROM s.t WHERE id IN (1, 3, 4, 9) ORDER BY id").await.unwrap(),
        ["1,eu", "3,us", "9,us"]
    );
}

/// Waits until a lane of eu holds a lock of table s.t.
async fn lane_has_locked(stage: &mut Stage, id: u32) {
    let mut sql = stage.mesh.root("eu").await.unwrap();
    wait_for(&format!("the lane of eu to have locked row {id}"), BOUND, async || {
        let locks = sql
            .number(
                "SELECT COUNT(*) FROM performance_schema.data_locks WHERE object_schema = 's' AND object_name = 't' \
                 AND lock_status = 'GRANTED' AND lock_type = 'RECORD'",
            )
            .await?;
        Ok(Look::when(locks > 0, (), locks))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lane_makes_progress_on_a_row_that_eight_clients_write_all_the_time() {
    let mut stage = pair().await;
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for number in 0..8 {
        let mut sql = stage.mesh.root("eu").await.unwrap();
        let (stop, count) = (stop.clone(), count.clone());
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let text = format!(
                    "UPDATE s.t SET v = 'eu {number} {}' WHERE id = 1",
                    count.load(Ordering::Relaxed)
                );
                match sql.run(text).await {
                    Ok(()) => count.fetch_add(1, Ordering::Relaxed),
                    // A deadlock with the lane: the server chose the client.
                    Err(error) if error.server_code() == Some(1213) => 0,
                    Err(error) => panic!("{error}"),
                };
            }
        }));
    }
    for round in 0..40 {
        let text = format!("UPDATE s.t SET v = 'us {round}' WHERE id = 1");
        stage.play(&[("us", &text)]).await.unwrap();
    }
    // The clients go on until eu has applied all of us's writes to their row.
    let written = stage.written("us").await.unwrap();
    stage.applied("eu", "us", written).await.unwrap();
    let meanwhile = count.load(Ordering::Relaxed);
    wait_for("the clients to write on", BOUND, async || {
        let now = count.load(Ordering::Relaxed);
        Ok(Look::when(now > meanwhile, (), now))
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    stage.settle().await.unwrap();
    assert!(stage.rows("SELECT v FROM s.t WHERE id = 1").await.unwrap()[0].starts_with("eu"));
}

#[tokio::test]
async fn a_primary_key_change_meets_an_update_of_the_row() {
    let mut stage = pair().await;
    stage
        .play_apart(&[
            // The update is newer: the old key is put back, and the new one is there as well.
            ("eu", "UPDATE s.t SET id = 31 WHERE id = 3"),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 3"),
            // The update is older: the row is where the change moved it, as it was there.
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 4"),
            ("eu", "UPDATE s.t SET id = 41 WHERE id = 4"),
            // Both move a row to the same place.
            ("eu", "UPDATE s.t SET id = 50, v = 'eu' WHERE id = 5"),
            ("us", "UPDATE s.t SET id = 50, v = 'us' WHERE id = 6"),
            // Both move the same row.
            ("us", "UPDATE s.t SET id = 71 WHERE id = 7"),
            ("eu", "UPDATE s.t SET id = 72 WHERE id = 7"),
            // Two rows change places in one region, one of them is changed in the other.
            (
                "eu",
                "BEGIN; UPDATE s.t SET id = 99 WHERE id = 1; UPDATE s.t SET id = 1, v = '2' WHERE id = 2; \
                    UPDATE s.t SET id = 2 WHERE id = 99; COMMIT",
            ),
            ("us", "UPDATE s.t SET v = 'us' WHERE id = 2"),
        ])
        .await
        .unwrap();
    assert_eq!(
        stage.rows(ALL).await.unwrap(),
        ["1,2", "2,us", "3,us", "8,old", "31,old", "41,old", "50,us", "71,old", "72,old"]
    );
}

const SPELLED: &str = "
CREATE DATABASE s;
CREATE TABLE s.ci (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v VARCHAR(10));
CREATE TABLE s.padded (k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v VARCHAR(10));
CREATE TABLE s.cs (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs PRIMARY KEY, v VARCHAR(10));
CREATE TABLE s.two (a VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, b INT, v VARCHAR(10), PRIMARY KEY (a, b));
INSERT INTO s.ci VALUES ('Row', 'old'), ('other', 'old');
";

#[tokio::test]
async fn keys_that_differ_only_in_case_are_one_row() {
    let mut stage = Stage::new(&["eu", "us"], SPELLED, "").await.unwrap();
    stage
        .play_apart(&[
            ("eu", "INSERT INTO s.ci VALUES ('abc', 'eu')"),
            ("us", "INSERT INTO s.ci VALUES ('ABC', 'us')"),
            ("us", "INSERT INTO s.ci VALUES ('straße', 'us')"),
            ("eu", "INSERT INTO s.ci VALUES ('STRASSE', 'eu')"),
            ("eu", "INSERT INTO s.ci VALUES ('①', 'eu')"),
            ("us", "INSERT INTO s.ci VALUES ('1', 'us')"),
            // The spelling itself is changed here, the value there.
            ("eu", "UPDATE s.ci SET k = 'ROW' WHERE k = 'row'"),
            ("us", "UPDATE s.ci SET v = 'us' WHERE k = 'row'"),
            ("us", "UPDATE s.ci SET v = 'us' WHERE k = 'OTHER'"),
            ("eu", "UPDATE s.ci SET k = 'Other' WHERE k = 'other'"),
            // Padding does not count here …
            ("eu", "INSERT INTO s.padded VALUES ('Ä', 'eu')"),
            ("us", "INSERT INTO s.padded VALUES ('ä  ', 'us')"),
            // … and case does count here.
            ("eu", "INSERT INTO s.cs VALUES ('abc', 'eu')"),
            ("us", "INSERT INTO s.cs VALUES ('ABC', 'us')"),
            ("eu", "INSERT INTO s.two VALUES ('x', 1, 'eu')"),
            ("us", "INSERT INTO s.two VALUES ('X', 1, 'us')"),
            ("us", "INSERT INTO s.two VALUES ('X', 2, 'us')"),
        ])
        .await
        .unwrap();
    let query = "SELECT k, v FROM s.ci ORDER BY HEX(k)";
    let mut rows = stage.rows(query).await.unwrap();
    rows.sort();
    let mut expected = ["ABC,us", "STRASSE,eu", "1,us", "Row,us", "Other,old"].map(str::to_owned);
    expected.sort();
    assert_eq!(rows, expected);
    assert_eq!(stage.rows("SELECT CONCAT('[', k, ']'), v FROM s.padded").await.unwrap(), ["[ä  ],us"]);
    assert_eq!(stage.rows("SELECT k, v FROM s.cs ORDER BY v").await.unwrap(), ["abc,eu", "ABC,us"]);
    assert_eq!(stage.rows("SELECT a, b, v FROM s.two ORDER BY b").await.unwrap(), ["X,1,us", "X,2,us"]);
    let found = stage.conflicts().unwrap();
    assert!(found.iter().all(|conflict| conflict.table != "s.cs"), "{found:?}");
}
