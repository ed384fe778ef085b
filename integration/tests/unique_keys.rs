//! Two regions give one value of a unique secondary key to two rows: the row that was written last keeps it, in every region.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::MeshPlan;
use integration::hot::stage::Stage;
use integration::mesh::set;

const THREE: [&str; 3] = ["eu", "us", "ap"];
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.person (
  id INT PRIMARY KEY, email VARCHAR(40) COLLATE utf8mb4_0900_ai_ci, phone VARCHAR(20), v VARCHAR(20),
  UNIQUE KEY uq_email (email), UNIQUE KEY uq_phone (phone)
);
CREATE TABLE s.seat (id INT PRIMARY KEY, hall INT, place INT, UNIQUE KEY uq_seat (hall, place));
INSERT INTO s.person VALUES (10, 'ten', NULL, 'old'), (11, 'eleven', NULL, 'old'), (12, 'twelve', '12', 'old'),
  (13, 'thirteen', '13', 'old'), (14, 'fourteen', '14', 'old'), (15, 'fifteen', '15', 'old'), (16, 'sixteen', '16', 'old');
";

async fn rows(stage: &mut Stage) -> Vec<String> {
    stage.rows("SELECT id, email, phone, v FROM s.person WHERE v <> 'old' ORDER BY id").await.unwrap()
}

async fn count(stage: &mut Stage, ids: &str) -> String {
    stage.rows(&format!("SELECT COUNT(*) FROM s.person WHERE id IN ({ids})")).await.unwrap().remove(0)
}

#[tokio::test]
async fn of_two_rows_with_one_value_the_one_that_was_written_last_stays() {
    let mut stage = Stage::new(&THREE, SCHEMA, "").await.unwrap();
    stage
        .play_apart(&[
            ("eu", "INSERT INTO s.person VALUES (1, 'a', NULL, 'eu')"),
            ("us", "INSERT INTO s.person VALUES (2, 'a', NULL, 'us')"),
            ("us", "INSERT INTO s.person VALUES (3, 'b', NULL, 'us')"),
            ("eu", "INSERT INTO s.person VALUES (4, 'b', NULL, 'eu')"),
            // Three at once.
            ("ap", "INSERT INTO s.person VALUES (5, 'c', NULL, 'ap')"),
            ("eu", "INSERT INTO s.person VALUES (6, 'c', NULL, 'eu')"),
            ("us", "INSERT INTO s.person VALUES (7, 'c', NULL, 'us')"),
            // Rows that were there get one value.
            ("eu", "UPDATE s.person SET email = 'd', v = 'eu' WHERE id = 10"),
            ("us", "UPDATE s.person SET email = 'd', v = 'us' WHERE id = 11"),
            // Values that the collation takes for one.
            ("us", "INSERT INTO s.person VALUES (20, 'Änn', NULL, 'us')"),
            ("ap", "INSERT INTO s.person VALUES (21, 'ANN', NULL, 'ap')"),
            // One row meets two others, by one key each.
            ("ap", "INSERT INTO s.person VALUES (30, 'e', '1', 'ap')"),
            ("us", "INSERT INTO s.person VALUES (31, 'f', '2', 'us')"),
            ("eu", "INSERT INTO s.person VALUES (32, 'e', '2', 'eu')"),
            // A row that is kept out takes nothing else of its transaction with it.
            ("eu", "BEGIN; INSERT INTO s.person VALUES (40, 'g', NULL, 'eu'); INSERT INTO s.person VALUES (41, 'h', NULL, 'eu'); COMMIT"),
            ("us", "INSERT INTO s.person VALUES (42, 'g', NULL, 'us')"),
        ])
        .await
        .unwrap();
    assert_eq!(
        rows(&mut stage).await,
        [
            "2,a,NULL,us",
            "4,b,NULL,eu",
            "7,c,NULL,us",
            "11,d,NULL,us",
            "21,ANN,NULL,ap",
            "32,e,2,eu",
            "41,h,NULL,eu",
            "42,g,NULL,us"
        ]
    );
    assert_eq!(count(&mut stage, "1, 3, 5, 6, 10, 20, 30, 31, 40").await, "0");
    let found = stage.conflicts().unwrap();
    let named = |key: &str| found.iter().any(|one| one.kind == "unique" && one.policy.contains(key));
    assert!(named("uq_email") && named("uq_phone"), "{found:?}");

    // Whoever was removed may come back with a value of its own.
    stage.play(&[("ap", "INSERT INTO s.person VALUES (1, 'own', NULL, 'ap')")]).await.unwrap();
    stage.settle().await.unwrap();
    assert_eq!(count(&mut stage, "1, 2").await, "2");
}

#[tokio::test]
async fn a_value_that_comes_and_goes_and_comes_again_is_not_lost_by_both_rows() {
    // With fresh stamps for repairs, each region would remove the other's winner, and nobody would hold the value.
    let plan =
        MeshPlan::of(&["eu", "us"]).edit(|_, table| set(table, "region.apply.batch_transactions_max", 1));
    let mut stage = Stage::with(plan, SCHEMA, "").await.unwrap();
    stage.hold().await.unwrap();
    stage
        .play(&[
            ("eu", "INSERT INTO s.person VALUES (1, 'x', NULL, 'eu')"),
            ("us", "INSERT INTO s.person VALUES (2, 'x', NULL, 'us')"),
            ("eu", "UPDATE s.person SET email = 'y' WHERE id = 1"),
            ("eu", "UPDATE s.person SET email = 'x' WHERE id = 1"),
        ])
        .await
        .unwrap();
    // eu's last write is newer than us's row, which goes in eu. In us each of eu's writes comes by itself: the first is older than
    // us's row, so that eu's row goes there, and comes back with the second.
    stage.apply("eu", "us").await.unwrap();
    stage.apply("us", "eu").await.unwrap();
    stage.release().unwrap();
    stage.settle().await.unwrap();
    assert_eq!(rows(&mut stage).await, ["1,x,NULL,eu"]);
    // Each region did remove a row: that is the schedule which was meant.
    let found = stage.conflicts().unwrap();
    for region in ["eu", "us"] {
        assert!(found.iter().any(|one| one.region == region && one.kind == "unique"), "{region}: {found:?}");
    }
}

#[tokio::test]
async fn rows_may_swap_and_hand_on_their_values_inside_one_transaction() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    let swap = |one: u32, a: &str, other: u32, b: &str| {
        format!(
            "BEGIN; UPDATE s.person SET email = NULL WHERE id = {one}; \
             UPDATE s.person SET email = '{a}', v = 'swap' WHERE id = {other}; \
             UPDATE s.person SET email = '{b}', v = 'swap' WHERE id = {one}; COMMIT"
        )
    };
    // Nobody else writes: no conflict, and the order of the statements is no obstacle.
    let apart = swap(10, "ten", 11, "eleven");
    stage
        .play_apart(&[
            ("eu", &apart),
            ("eu", "BEGIN; DELETE FROM s.person WHERE id = 12; INSERT INTO s.person VALUES (50, 'twelve', '12', 'heir'); COMMIT"),
            ("eu", "BEGIN; UPDATE s.person SET phone = NULL WHERE id = 13; UPDATE s.person SET phone = '13', v = 'ring' WHERE id = 14; COMMIT"),
            ("eu", "UPDATE s.person SET phone = '14', v = 'ring' WHERE id = 13"),
            ("us", "UPDATE s.person SET id = 51, v = 'moved' WHERE id = 15"),
        ])
        .await
        .unwrap();
    assert_eq!(
        rows(&mut stage).await,
        [
            "10,eleven,NULL,swap",
            "11,ten,NULL,swap",
            "13,thirteen,14,ring",
            "14,fourteen,13,ring",
            "50,twelve,12,heir",
            "51,fifteen,15,moved"
        ]
    );
    assert_eq!(stage.conflicts_counted().await.unwrap(), 0);

    // A row of the swap is changed elsewhere, later: it keeps the value that it had there, and the other row makes way.
    let back = swap(10, "eleven", 11, "ten");
    stage.play_apart(&[("eu", &back), ("us", "UPDATE s.person SET v = 'us' WHERE id = 10")]).await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, email, v FROM s.person WHERE id IN (10, 11)").await.unwrap(),
        ["10,eleven,us"]
    );

    // Earlier: the swap is the last word on both.
    let third = swap(13, "thirteen", 14, "fourteen");
    stage.play_apart(&[("us", "UPDATE s.person SET v = 'us' WHERE id = 13"), ("eu", &third)]).await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, email, v FROM s.person WHERE id IN (13, 14) ORDER BY id").await.unwrap(),
        ["13,fourteen,swap", "14,thirteen,swap"]
    );
}

#[tokio::test]
async fn nulls_in_unique_keys_never_clash() {
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, "").await.unwrap();
    stage
        .play_apart(&[
            ("eu", "INSERT INTO s.person VALUES (1, NULL, NULL, 'eu')"),
            ("us", "INSERT INTO s.person VALUES (2, NULL, NULL, 'us')"),
            ("eu", "UPDATE s.person SET email = NULL, v = 'eu' WHERE id = 10"),
            ("us", "UPDATE s.person SET email = NULL, v = 'us' WHERE id = 11"),
            ("eu", "INSERT INTO s.seat VALUES (1, 7, NULL), (3, NULL, 7), (5, 7, 7)"),
            ("us", "INSERT INTO s.seat VALUES (2, 7, NULL), (4, NULL, 7), (6, 7, 7)"),
        ])
        .await
        .unwrap();
    assert_eq!(
        rows(&mut stage).await,
        ["1,NULL,NULL,eu", "2,NULL,NULL,us", "10,NULL,NULL,eu", "11,NULL,NULL,us"]
    );
    assert_eq!(
        stage.rows("SELECT id, hall, place FROM s.seat ORDER BY id").await.unwrap(),
        ["1,7,NULL", "2,7,NULL", "3,NULL,7", "4,NULL,7", "6,7,7"]
    );
}

#[tokio::test]
async fn a_row_that_makes_way_makes_way_whatever_arrives_first_and_whoever_restarts() {
    let mut stage = Stage::new(&THREE, SCHEMA, "").await.unwrap();
    for (round, order) in [["us", "ap"], ["ap", "us"]].into_iter().enumerate() {
        stage.hold().await.unwrap();
        let (first, value) = (60 + 10 * round, format!("v{round}"));
        for (number, name) in ["us", "eu", "ap"].into_iter().enumerate() {
            let id = first + number;
            let text = format!("INSERT INTO s.person VALUES ({id}, '{value}', NULL, '{name}')");
            stage.play(&[(name, &text)]).await.unwrap();
        }
        for origin in order {
            stage.apply("eu", origin).await.unwrap();
        }
        // eu's repairs are in its log and nowhere else when its process dies.
        let concord = &mut stage.mesh.region("eu").unwrap().concord;
        concord.kill();
        concord.start().await.unwrap();
        stage.release().unwrap();
        stage.settle().await.unwrap();
        let left = stage.rows(&format!("SELECT id FROM s.person WHERE email = '{value}'")).await.unwrap();
        assert_eq!(left, [(first + 2).to_string()], "round {round}");
        let ids = format!("{first}, {}", first + 1);
        assert_eq!(count(&mut stage, &ids).await, "0");
    }
}

#[tokio::test]
async fn a_unique_column_under_merged_columns_is_settled_like_any_other() {
    let policies = "[[policy]]\ntables = [\"s.person\"]\npolicy = \"columns\"\n";
    let mut stage = Stage::new(&["eu", "us"], SCHEMA, policies).await.unwrap();
    stage
        .play_apart(&[
            // Each region changes one column of row 12; merged, its phone is the one that us has given to row 13 meanwhile.
            ("eu", "UPDATE s.person SET phone = 'new', v = 'eu' WHERE id = 12"),
            ("us", "UPDATE s.person SET email = 'mail' WHERE id = 12"),
            ("us", "UPDATE s.person SET phone = 'new', v = 'us' WHERE id = 13"),
        ])
        .await
        .unwrap();
    // Row 13's newest write is newer than row 12's.
    assert_eq!(rows(&mut stage).await, ["13,thirteen,new,us"]);
    assert_eq!(count(&mut stage, "12").await, "0");
}
