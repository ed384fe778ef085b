//! Each policy on real servers: what becomes of a row that several regions wrote without knowing of each other.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::MeshPlan;
use integration::hot::stage::Stage;
use integration::mesh::set;

const THREE: [&str; 3] = ["eu", "us", "ap"];

const TALLY: &str = "
CREATE DATABASE s;
CREATE TABLE s.tally (
  id INT PRIMARY KEY, n BIGINT, price DECIMAL(12,3), high INT, low DATETIME(6), tags SET('a','b','c','d'), note VARCHAR(20), other VARCHAR(20)
);
CREATE TABLE s.small (id INT PRIMARY KEY, n TINYINT, a INT, b INT, CHECK (n >= -50), CHECK (a < b));
INSERT INTO s.tally VALUES
  (1, 100, 10.000, 5, '2020-01-01 00:00:00', 'a', 'old', 'old'),
  (2, 100, 10.000, 5, '2020-01-01 00:00:00', 'a,b', 'old', 'old'),
  (3, 100, 10.000, 5, '2020-01-01 00:00:00', 'a', 'old', 'old'),
  (4, 100, 10.000, 5, '2020-01-01 00:00:00', 'a', 'old', 'old'),
  (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO s.small VALUES (1, 100, 1, 10), (2, -10, 1, 10), (3, 0, 1, 10), (4, 0, 1, 10);
";
const COLUMNS: &str = r#"
[[policy]]
tables = ["s.tally"]
policy = "columns"
counter = ["n", "price"]
max = ["high"]
min = ["low"]
set_union = ["tags"]
[[policy]]
tables = ["s.small"]
policy = "columns"
counter = ["n"]
"#;

#[tokio::test]
async fn columns_of_three_regions_are_merged_each_in_its_way() {
    let mut stage = Stage::new(&THREE, TALLY, COLUMNS).await.unwrap();
    stage
        .play_apart(&[
            // Three increments; the price goes down in one region; each region gives another column.
            ("eu", "UPDATE s.tally SET n = n + 1, price = price - 0.125, high = 7, note = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.tally SET n = n + 20, high = 9, low = '2019-05-05 00:00:00.000001', tags = 'a,c' WHERE id = 1"),
            ("ap", "UPDATE s.tally SET n = n - 300, price = price + 2.5, high = 8, tags = 'a,d', other = 'ap' WHERE id = 1"),
            ("us", "UPDATE s.tally SET n = n + 5 WHERE id = 1"),
            // Of one column, the last writer's. A member that was taken out is out, what others leave as it was does not count.
            ("us", "UPDATE s.tally SET note = 'us', tags = 'a' WHERE id = 2"),
            ("ap", "UPDATE s.tally SET note = 'ap', other = 'ap', tags = 'a,b,c' WHERE id = 2"),
            ("eu", "UPDATE s.tally SET note = 'eu' WHERE id = 2"),
            // A delete takes the row away, unless a newer write brings it back as it has it.
            ("eu", "UPDATE s.tally SET n = n + 1 WHERE id = 3"),
            ("us", "DELETE FROM s.tally WHERE id = 3"),
            ("us", "DELETE FROM s.tally WHERE id = 4"),
            ("ap", "UPDATE s.tally SET n = n + 7, note = 'ap' WHERE id = 4"),
            // From nothing.
            ("eu", "UPDATE s.tally SET n = 4, high = 3, tags = 'a' WHERE id = 5"),
            ("us", "UPDATE s.tally SET n = 5, high = 2, tags = 'b' WHERE id = 5"),
            // Two inserts are two changes from nothing.
            ("eu", "INSERT INTO s.tally VALUES (6, 30, 0.5, 1, '2022-02-02', 'a', 'eu', 'eu')"),
            ("ap", "INSERT INTO s.tally VALUES (6, 12, 0.25, 2, '2021-01-01', 'b', 'ap', 'ap')"),
        ])
        .await
        .unwrap();
    assert_eq!(
        stage
            .rows("SELECT id, n, price, high, low, tags, note, other FROM s.tally ORDER BY id")
            .await
            .unwrap(),
        [
            "1,-174,12.375,9,2019-05-05 00:00:00.000001,a,c,d,eu,ap",
            "2,100,10.000,5,2020-01-01 00:00:00.000000,a,c,eu,ap",
            "4,107,10.000,5,2020-01-01 00:00:00.000000,a,ap,old",
            "5,9,NULL,3,NULL,a,b,NULL,NULL",
            "6,42,0.750,2,2021-01-01 00:00:00.000000,a,b,ap,ap",
        ]
    );
    let found = stage.conflicts_of("s.tally", "1").unwrap();
    assert!(found.iter().any(|one| one.winner == "merged" && one.policy == "columns"), "{found:?}");
}

#[tokio::test]
async fn a_counter_loses_and_doubles_nothing_over_many_rounds_of_three_regions() {
    let mut stage = Stage::new(&THREE, TALLY, COLUMNS).await.unwrap();
    let mut expected = 100_i64;
    for round in 0..12_i64 {
        stage.hold().await.unwrap();
        for step in 0..6 {
            let name = THREE[usize::try_from((round * 7 + step) % 3).unwrap()];
            let by = (round + 1) * 1000 + step * 37 - 3000;
            expected += by;
            let text = format!("UPDATE s.tally SET n = n + {by} WHERE id = 1");
            stage.play(&[(name, &text)]).await.unwrap();
        }
        // Some arrive before others do, and the next round's writes have seen some and not others.
        for (region, origin) in [("eu", "us"), ("us", "ap"), ("ap", "eu")] {
            if (round + i64::from(region == "us")) % 2 == 0 {
                stage.release_one(region, origin).unwrap();
            }
        }
    }
    stage.release().unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT n FROM s.tally WHERE id = 1").await.unwrap(), [expected.to_string()]);
}

#[tokio::test]
async fn a_merge_that_the_server_would_not_take_falls_back_to_the_newest_whole_row() {
    let mut stage = Stage::new(&THREE, TALLY, COLUMNS).await.unwrap();
    stage
        .play_apart(&[
            // 140 does not fit a TINYINT.
            ("eu", "UPDATE s.small SET n = n + 20 WHERE id = 1"),
            ("us", "UPDATE s.small SET n = n + 25 WHERE id = 1"),
            // -70 breaks the first CHECK.
            ("us", "UPDATE s.small SET n = n - 25 WHERE id = 2"),
            ("ap", "UPDATE s.small SET n = n - 35 WHERE id = 2"),
            // a = 8 and b = 5 break the second.
            ("ap", "UPDATE s.small SET a = 8 WHERE id = 3"),
            ("eu", "UPDATE s.small SET b = 5 WHERE id = 3"),
            // In between the sum does not fit, in the end it does.
            ("eu", "UPDATE s.small SET n = n + 100 WHERE id = 4"),
            ("us", "UPDATE s.small SET n = n + 100 WHERE id = 4"),
            ("ap", "UPDATE s.small SET n = n - 50 WHERE id = 4"),
            ("ap", "UPDATE s.small SET n = n + 0, b = 11 WHERE id = 4"),
            ("us", "UPDATE s.small SET n = n - 60 WHERE id = 4"),
        ])
        .await
        .unwrap();
    assert_eq!(
        stage.rows("SELECT id, n, a, b FROM s.small ORDER BY id").await.unwrap(),
        ["1,125,1,10", "2,-45,1,10", "3,0,1,5", "4,90,1,11"]
    );
    // A merge is possible again as soon as a write has seen all.
    stage
        .play_apart(&[
            ("eu", "UPDATE s.small SET n = n + 1 WHERE id = 2"),
            ("ap", "UPDATE s.small SET n = n + 2 WHERE id = 2"),
        ])
        .await
        .unwrap();
    assert_eq!(stage.rows("SELECT n FROM s.small WHERE id = 2").await.unwrap(), ["-42"]);
}

const OWNED: &str = "
CREATE DATABASE s;
CREATE TABLE s.fixed (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.homed (id INT PRIMARY KEY, home VARCHAR(10), v VARCHAR(20));
INSERT INTO s.fixed VALUES (1, 'old'), (2, 'old'), (3, 'old'), (4, 'old'), (5, 'old'), (6, 'old'), (7, 'old');
INSERT INTO s.homed VALUES (1, 'eu', 'old'), (2, 'us', 'old'), (3, 'us', 'old'), (4, 'us', 'old'), (5, 'us', 'old');
";
const OWNERS: &str = r#"
[[policy]]
tables = ["s.fixed"]
policy = "region-owned"
owner = "eu"
[[policy]]
tables = ["s.homed"]
policy = "region-owned"
owner_column = "home"
"#;

#[tokio::test]
async fn the_owners_write_stays_against_all_that_had_not_seen_it() {
    let mut stage = Stage::new(&THREE, OWNED, OWNERS).await.unwrap();
    stage
        .play_apart(&[
            // The owner comes first, in the middle and last.
            ("eu", "UPDATE s.fixed SET v = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.fixed SET v = 'us' WHERE id = 1"),
            ("ap", "UPDATE s.fixed SET v = 'ap' WHERE id = 1"),
            ("us", "UPDATE s.fixed SET v = 'us' WHERE id = 2"),
            ("eu", "UPDATE s.fixed SET v = 'eu' WHERE id = 2"),
            ("ap", "UPDATE s.fixed SET v = 'ap' WHERE id = 2"),
            ("ap", "UPDATE s.fixed SET v = 'ap' WHERE id = 3"),
            ("us", "UPDATE s.fixed SET v = 'us' WHERE id = 3"),
            ("eu", "UPDATE s.fixed SET v = 'eu' WHERE id = 3"),
            // Without the owner the last of the others wins.
            ("ap", "UPDATE s.fixed SET v = 'ap' WHERE id = 4"),
            ("us", "UPDATE s.fixed SET v = 'us' WHERE id = 4"),
            // The owner's delete and the owner's row stay as well.
            ("eu", "DELETE FROM s.fixed WHERE id = 5"),
            ("us", "UPDATE s.fixed SET v = 'us' WHERE id = 5"),
            ("eu", "UPDATE s.fixed SET v = 'eu' WHERE id = 6"),
            ("ap", "DELETE FROM s.fixed WHERE id = 6"),
            ("eu", "INSERT INTO s.fixed VALUES (8, 'eu')"),
            ("us", "INSERT INTO s.fixed VALUES (8, 'us')"),
        ])
        .await
        .unwrap();
    assert_eq!(
        stage.rows("SELECT id, v FROM s.fixed ORDER BY id").await.unwrap(),
        ["1,eu", "2,eu", "3,eu", "4,us", "6,eu", "7,old", "8,eu"]
    );
    // Who has seen the owner's write may change the row.
    stage.play(&[("us", "UPDATE s.fixed SET v = 'us later' WHERE id = 1")]).await.unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT v FROM s.fixed WHERE id = 1").await.unwrap(), ["us later"]);
    let found = stage.conflicts_of("s.fixed", "1").unwrap();
    assert!(!found.is_empty() && found.iter().all(|one| one.policy == "region-owned"), "{found:?}");
}

#[tokio::test]
async fn three_regions_agree_on_an_owned_row_in_every_order_of_arrival() {
    // A pairwise comparison with the present row ends with ap's in one region and with us's in another.
    let orders: [[(&str, &str); 6]; 3] = [
        [("eu", "us"), ("eu", "ap"), ("us", "ap"), ("us", "eu"), ("ap", "eu"), ("ap", "us")],
        [("ap", "us"), ("us", "ap"), ("eu", "ap"), ("ap", "eu"), ("us", "eu"), ("eu", "us")],
        [("us", "eu"), ("ap", "us"), ("ap", "eu"), ("eu", "us"), ("eu", "ap"), ("us", "ap")],
    ];
    let mut stage = Stage::new(&THREE, OWNED, OWNERS).await.unwrap();
    for (round, order) in orders.iter().enumerate() {
        stage.hold().await.unwrap();
        // The non-owner's write that is the oldest, the owner's, and the newest, which loses to the owner's alone.
        let texts =
            ["us", "eu", "ap"].map(|name| format!("UPDATE s.fixed SET v = '{name} {round}' WHERE id = 1"));
        stage.play(&[("us", &texts[0]), ("eu", &texts[1]), ("ap", &texts[2])]).await.unwrap();
        for (region, origin) in order {
            stage.apply(region, origin).await.unwrap();
        }
        stage.release().unwrap();
        stage.settle().await.unwrap();
        assert_eq!(stage.rows("SELECT v FROM s.fixed WHERE id = 1").await.unwrap(), [format!("eu {round}")]);
    }
}

#[tokio::test]
async fn the_owner_is_read_from_a_column_of_the_row() {
    let mut stage = Stage::new(&THREE, OWNED, OWNERS).await.unwrap();
    stage
        .play_apart(&[
            ("eu", "UPDATE s.homed SET v = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.homed SET v = 'us' WHERE id = 1"),
            ("us", "UPDATE s.homed SET v = 'us' WHERE id = 2"),
            ("eu", "UPDATE s.homed SET v = 'eu' WHERE id = 2"),
            // The owner hands the row over, which is its last word; another takes it, which is not.
            ("us", "UPDATE s.homed SET home = 'ap', v = 'handed over' WHERE id = 3"),
            ("ap", "UPDATE s.homed SET v = 'ap' WHERE id = 3"),
            ("us", "UPDATE s.homed SET v = 'us' WHERE id = 4"),
            ("ap", "UPDATE s.homed SET home = 'ap', v = 'taken' WHERE id = 4"),
            ("us", "DELETE FROM s.homed WHERE id = 5"),
            ("eu", "UPDATE s.homed SET v = 'eu' WHERE id = 5"),
        ])
        .await
        .unwrap();
    assert_eq!(
        stage.rows("SELECT id, home, v FROM s.homed ORDER BY id").await.unwrap(),
        ["1,eu,eu", "2,us,us", "3,ap,handed over", "4,us,us"]
    );
    // From now on the new owner's word counts.
    stage
        .play_apart(&[
            ("ap", "UPDATE s.homed SET v = 'ap' WHERE id = 3"),
            ("us", "UPDATE s.homed SET v = 'us' WHERE id = 3"),
        ])
        .await
        .unwrap();
    assert_eq!(stage.rows("SELECT v FROM s.homed WHERE id = 3").await.unwrap(), ["ap"]);
}

const DELETED: &str = "
CREATE DATABASE s;
CREATE TABLE s.fading (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.keeping (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.fading VALUES (1, 'old'), (2, 'old'), (3, 'old'), (4, 'old');
INSERT INTO s.keeping SELECT * FROM s.fading;
";
const DELETES: &str = r#"
[[policy]]
tables = ["s.fading"]
policy = "last-writer-wins"
deletes = "win"
[[policy]]
tables = ["s.keeping"]
policy = "last-writer-wins"
deletes = "lose"
"#;

#[tokio::test]
async fn a_delete_wins_or_loses_against_updates_older_and_newer() {
    let mut stage = Stage::new(&THREE, DELETED, DELETES).await.unwrap();
    let mut plays: Vec<(&str, String)> = Vec::new();
    for table in ["fading", "keeping"] {
        plays.extend([
            ("eu", format!("DELETE FROM s.{table} WHERE id = 1")),
            ("us", format!("UPDATE s.{table} SET v = 'us' WHERE id = 1")),
            ("us", format!("UPDATE s.{table} SET v = 'us' WHERE id = 2")),
            ("eu", format!("DELETE FROM s.{table} WHERE id = 2")),
            ("eu", format!("DELETE FROM s.{table} WHERE id = 3")),
            ("us", format!("DELETE FROM s.{table} WHERE id = 3")),
            ("us", format!("UPDATE s.{table} SET v = 'us' WHERE id = 4")),
            ("eu", format!("DELETE FROM s.{table} WHERE id = 4")),
            ("ap", format!("UPDATE s.{table} SET v = 'ap' WHERE id = 4")),
        ]);
    }
    let plays: Vec<(&str, &str)> = plays.iter().map(|(name, text)| (*name, text.as_str())).collect();
    stage.play_apart(&plays).await.unwrap();
    assert_eq!(stage.rows("SELECT * FROM s.fading ORDER BY id").await.unwrap(), [""; 0]);
    assert_eq!(stage.rows("SELECT * FROM s.keeping ORDER BY id").await.unwrap(), ["1,us", "2,us", "4,ap"]);
    // Who has seen the delete may make the row anew.
    stage
        .play(&[
            ("ap", "INSERT INTO s.fading VALUES (1, 'anew')"),
            ("ap", "DELETE FROM s.keeping WHERE id = 1"),
        ])
        .await
        .unwrap();
    stage.settle().await.unwrap();
    assert_eq!(stage.rows("SELECT * FROM s.fading ORDER BY id").await.unwrap(), ["1,anew"]);
    assert_eq!(stage.rows("SELECT * FROM s.keeping ORDER BY id").await.unwrap(), ["2,us", "4,ap"]);
    let policies =
        [("s.fading", "last-writer-wins + delete-wins"), ("s.keeping", "last-writer-wins + update-wins")];
    for (table, policy) in policies {
        let found = stage.conflicts_of(table, "1").unwrap();
        assert!(!found.is_empty() && found.iter().all(|one| one.policy == policy), "{found:?}");
    }
}

#[tokio::test]
async fn the_first_policy_that_matches_a_table_counts() {
    let schema = "
CREATE DATABASE s;
CREATE TABLE s.a_count (id INT PRIMARY KEY, n INT);
CREATE TABLE s.b_count (id INT PRIMARY KEY, n INT);
CREATE TABLE s.other (id INT PRIMARY KEY, n INT);
INSERT INTO s.a_count VALUES (1, 0);
INSERT INTO s.b_count VALUES (1, 0);
INSERT INTO s.other VALUES (1, 0);
";
    let policies = r#"
[[policy]]
tables = ["s.a_count"]
policy = "region-owned"
owner = "eu"
[[policy]]
tables = ["s.*_count"]
policy = "columns"
counter = ["n"]
"#;
    let mut stage = Stage::new(&["eu", "us"], schema, policies).await.unwrap();
    let mut plays = Vec::new();
    for table in ["a_count", "b_count", "other"] {
        for (name, by) in [("eu", 1), ("us", 10)] {
            plays.push((name, format!("UPDATE s.{table} SET n = n + {by}")));
        }
    }
    let plays: Vec<(&str, &str)> = plays.iter().map(|(name, text)| (*name, text.as_str())).collect();
    stage.play_apart(&plays).await.unwrap();
    assert_eq!(stage.rows("SELECT n FROM s.a_count").await.unwrap(), ["1"]);
    assert_eq!(stage.rows("SELECT n FROM s.b_count").await.unwrap(), ["11"]);
    assert_eq!(stage.rows("SELECT n FROM s.other").await.unwrap(), ["10"]);
}

const WATCHED: &str = "
CREATE DATABASE s;
CREATE TABLE s.watched (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.decided (id INT PRIMARY KEY, v VARCHAR(20));
INSERT INTO s.watched VALUES (1, 'old'), (2, 'old'), (3, 'old');
INSERT INTO s.decided SELECT * FROM s.watched;
";

#[tokio::test]
async fn a_table_in_shadow_mode_has_its_conflicts_reported_and_nothing_decided() {
    let policies =
        "[[policy]]\ntables = [\"s.watched\"]\npolicy = \"last-writer-wins\"\ndetect_only = true\n";
    let mut stage = Stage::new(&["eu", "us"], WATCHED, policies).await.unwrap();
    stage.hold().await.unwrap();
    for table in ["watched", "decided"] {
        let plays = [
            ("eu", format!("UPDATE s.{table} SET v = 'eu' WHERE id = 1")),
            ("us", format!("UPDATE s.{table} SET v = 'us' WHERE id = 1")),
            ("us", format!("UPDATE s.{table} SET v = 'us' WHERE id = 2")),
        ];
        for (name, text) in &plays {
            stage.play(&[(name, text)]).await.unwrap();
        }
    }
    stage.release().unwrap();
    stage.mesh.quiet(std::time::Duration::from_secs(60)).await.unwrap();
    // Each region took what came, as if there were no conflict: the older write of eu as well.
    for (name, expected) in [("eu", "us"), ("us", "eu")] {
        let found = stage.client(name).unwrap().value("SELECT v FROM s.watched WHERE id = 1").await.unwrap();
        assert_eq!(found, expected, "in {name}");
    }
    assert_eq!(stage.rows("SELECT v FROM s.watched WHERE id = 2").await.unwrap(), ["us"]);
    assert_eq!(stage.rows("SELECT v FROM s.decided WHERE id = 1").await.unwrap(), ["us"]);
    let found = stage.conflicts().unwrap();
    let (watched, decided): (Vec<_>, Vec<_>) = found.iter().partition(|one| one.table == "s.watched");
    assert!(!watched.is_empty() && watched.iter().all(|one| one.detect_only && one.key == "1"), "{found:?}");
    assert!(!decided.is_empty() && decided.iter().all(|one| !one.detect_only), "{found:?}");
}

#[tokio::test]
async fn between_two_regions_in_shadow_mode_nothing_is_decided_and_with_a_third_all_is() {
    let plan = MeshPlan::of(&["ap", "eu", "us"]).edit(|_, config| {
        let pair = toml::Value::from(vec!["eu".to_owned(), "us".to_owned()]);
        set(config, "mesh.detect_only", vec![pair]);
    });
    let mut stage = Stage::with(plan, WATCHED, "").await.unwrap();
    stage.hold().await.unwrap();
    stage
        .play(&[
            ("eu", "UPDATE s.watched SET v = 'eu' WHERE id = 1"),
            ("us", "UPDATE s.watched SET v = 'us' WHERE id = 1"),
            ("eu", "UPDATE s.decided SET v = 'eu' WHERE id = 2"),
            ("ap", "UPDATE s.decided SET v = 'ap' WHERE id = 2"),
        ])
        .await
        .unwrap();
    stage.release().unwrap();
    stage.mesh.quiet(std::time::Duration::from_secs(60)).await.unwrap();
    for (name, expected) in [("eu", "us"), ("us", "eu"), ("ap", "us")] {
        let found = stage.client(name).unwrap().value("SELECT v FROM s.watched WHERE id = 1").await.unwrap();
        assert_eq!(found, expected, "in {name}");
    }
    for name in ["eu", "ap"] {
        let found = stage.client(name).unwrap().value("SELECT v FROM s.decided WHERE id = 2").await.unwrap();
        assert_eq!(found, "ap", "in {name}");
    }
    let found = stage.conflicts().unwrap();
    for region in ["eu", "us"] {
        let one = found.iter().find(|one| one.table == "s.watched" && one.region == region);
        assert!(one.is_some_and(|one| one.detect_only), "{region}: {found:?}");
    }
    let decided: Vec<_> = found.iter().filter(|one| one.region == "ap").collect();
    assert!(!decided.is_empty() && decided.iter().all(|one| !one.detect_only), "{found:?}");
}
