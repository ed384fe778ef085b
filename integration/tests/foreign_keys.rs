//! A parent goes in one region while a child comes in another: what was written last decides, and no region is left with an orphan.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::hot::stage::Stage;

const THREE: [&str; 3] = ["eu", "us", "ap"];

/// Parents 1 to 9 in `s.p` without children, but for 3 and 4, which have the children 30 and 40 in `s.c`; and grandchildren.
fn schema(on_delete: &str) -> String {
    format!(
        "
CREATE DATABASE s;
CREATE TABLE s.p (id INT PRIMARY KEY, v VARCHAR(20));
CREATE TABLE s.c (id INT PRIMARY KEY, p INT, v VARCHAR(20), FOREIGN KEY (p) REFERENCES s.p (id) {on_delete});
CREATE TABLE s.g (id INT PRIMARY KEY, c INT, v VARCHAR(20), FOREIGN KEY (c) REFERENCES s.c (id) {on_delete});
INSERT INTO s.p VALUES (1, 'old'), (2, 'old'), (3, 'old'), (4, 'old'), (5, 'old'), (6, 'old'), (7, 'old'), (8, 'old'), (9, 'old');
INSERT INTO s.c VALUES (30, 3, 'old'), (40, 4, 'old'), (50, 5, 'old'), (80, 8, 'old'), (90, 9, 'old');
"
    )
}

async fn expect(stage: &mut Stage, query: &str, rows: &[&str]) {
    assert_eq!(stage.rows(query).await.unwrap(), rows, "{query}");
}

/// Every child has its parent, in every region.
async fn no_orphans(stage: &mut Stage) {
    for (child, column, parent) in [("s.c", "p", "s.p"), ("s.g", "c", "s.c")] {
        let query = format!(
            "SELECT x.* FROM {child} x LEFT JOIN {parent} y ON x.{column} = y.id WHERE x.{column} IS NOT NULL AND y.id IS NULL"
        );
        expect(stage, &query, &[]).await;
    }
}

/// Plays apart and settles; afterwards there are no orphans.
async fn apart(stage: &mut Stage, plays: &[(&str, &str)]) {
    stage.play_apart(plays).await.unwrap();
    no_orphans(stage).await;
}

const PARENTS: &str = "SELECT id FROM s.p ORDER BY id";
const CHILDREN: &str = "SELECT id, p, v FROM s.c WHERE v <> 'old' ORDER BY id";

#[tokio::test]
async fn under_restrict_the_newer_of_a_deleted_parent_and_its_new_child_decides() {
    let mut stage = Stage::new(&THREE, &schema("ON DELETE RESTRICT"), "").await.unwrap();
    apart(
        &mut stage,
        &[
            // The delete is the newer: the child goes.
            ("us", "INSERT INTO s.c VALUES (10, 1, 'us')"),
            ("eu", "DELETE FROM s.p WHERE id = 1"),
            // The child is the newer: the parent is put back.
            ("eu", "DELETE FROM s.p WHERE id = 2"),
            ("us", "INSERT INTO s.c VALUES (20, 2, 'us')"),
            // A child that was there is given to a parent that goes, and goes with it.
            ("ap", "UPDATE s.c SET p = 6, v = 'ap' WHERE id = 50"),
            ("eu", "DELETE FROM s.p WHERE id = 6"),
            // Put back is the parent as it last was, with what a third region wrote to it.
            ("us", "UPDATE s.p SET v = 'us' WHERE id = 7"),
            ("eu", "DELETE FROM s.p WHERE id = 7"),
            ("ap", "INSERT INTO s.c VALUES (70, 7, 'ap')"),
        ],
    )
    .await;
    expect(&mut stage, PARENTS, &["2", "3", "4", "5", "7", "8", "9"]).await;
    expect(&mut stage, CHILDREN, &["20,2,us", "70,7,ap"]).await;
    expect(&mut stage, "SELECT COUNT(*) FROM s.c WHERE id IN (10, 50)", &["0"]).await;
    expect(&mut stage, "SELECT id, v FROM s.p WHERE id IN (2, 7) ORDER BY id", &["2,old", "7,us"]).await;
    let found = stage.conflicts().unwrap();
    assert!(found.iter().any(|one| one.kind == "foreign-key"), "{found:?}");
}

#[tokio::test]
async fn a_cascade_reaches_the_child_that_its_origin_never_had() {
    let mut stage = Stage::new(&THREE, &schema("ON DELETE CASCADE"), "").await.unwrap();
    apart(
        &mut stage,
        &[
            ("us", "INSERT INTO s.c VALUES (10, 1, 'us')"),
            ("eu", "DELETE FROM s.p WHERE id = 1"),
            ("eu", "DELETE FROM s.p WHERE id = 2"),
            ("us", "INSERT INTO s.c VALUES (20, 2, 'us')"),
            // Parent 3 goes with its child 30, and with 31 too, which eu had not seen.
            ("us", "INSERT INTO s.c VALUES (31, 3, 'us')"),
            ("eu", "DELETE FROM s.p WHERE id = 3"),
            // Parent 4 comes back for 41; its child 40 stays away, since the cascade was a write of that row too.
            ("eu", "DELETE FROM s.p WHERE id = 4"),
            ("us", "INSERT INTO s.c VALUES (41, 4, 'us')"),
        ],
    )
    .await;
    expect(&mut stage, PARENTS, &["2", "4", "5", "6", "7", "8", "9"]).await;
    expect(&mut stage, CHILDREN, &["20,2,us", "41,4,us"]).await;
    expect(&mut stage, "SELECT COUNT(*) FROM s.c WHERE id IN (10, 30, 31, 40)", &["0"]).await;

    // Three levels: a grandchild that is newer than the delete keeps its parent and grandparent, an older one goes with them.
    apart(
        &mut stage,
        &[
            ("eu", "DELETE FROM s.p WHERE id = 8"),
            ("us", "INSERT INTO s.g VALUES (800, 80, 'us')"),
            ("us", "INSERT INTO s.g VALUES (900, 90, 'us')"),
            ("eu", "DELETE FROM s.p WHERE id = 9"),
        ],
    )
    .await;
    expect(&mut stage, PARENTS, &["2", "4", "5", "6", "7", "8"]).await;
    expect(&mut stage, "SELECT id, p FROM s.c WHERE id IN (80, 90)", &["80,8"]).await;
    expect(&mut stage, "SELECT id, c FROM s.g", &["800,80"]).await;
}

#[tokio::test]
async fn with_set_null_the_child_stays_without_its_parent() {
    let mut stage = Stage::new(&THREE, &schema("ON DELETE SET NULL"), "").await.unwrap();
    apart(
        &mut stage,
        &[
            ("us", "INSERT INTO s.c VALUES (10, 1, 'us')"),
            ("eu", "DELETE FROM s.p WHERE id = 1"),
            ("eu", "DELETE FROM s.p WHERE id = 2"),
            ("us", "INSERT INTO s.c VALUES (20, 2, 'us')"),
            ("us", "INSERT INTO s.c VALUES (31, 3, 'us')"),
            ("eu", "DELETE FROM s.p WHERE id = 3"),
            ("eu", "DELETE FROM s.p WHERE id = 4"),
            ("us", "INSERT INTO s.c VALUES (41, 4, 'us')"),
            ("ap", "UPDATE s.c SET p = 6, v = 'ap' WHERE id = 50"),
            ("eu", "DELETE FROM s.p WHERE id = 6"),
        ],
    )
    .await;
    expect(&mut stage, PARENTS, &["2", "4", "5", "7", "8", "9"]).await;
    expect(&mut stage, CHILDREN, &["10,NULL,us", "20,2,us", "31,NULL,us", "41,4,us", "50,NULL,ap"]).await;
    expect(&mut stage, "SELECT id, p FROM s.c WHERE id IN (30, 40) ORDER BY id", &["30,NULL", "40,NULL"])
        .await;
}

#[tokio::test]
async fn the_order_of_arrival_does_not_decide_about_parents_and_children() {
    let mut stage = Stage::new(&THREE, &schema("ON DELETE RESTRICT"), "").await.unwrap();
    // ap hears of the child first in one round and of the delete first in the other; parent 1 loses, parent 2 is put back.
    for (round, order) in [["us", "eu"], ["eu", "us"]].into_iter().enumerate() {
        stage.hold().await.unwrap();
        let (goes, stays) = (1 + 5 * round, 2 + 5 * round);
        let plays = [
            ("us", format!("INSERT INTO s.c VALUES ({goes}, {goes}, 'us')")),
            ("eu", format!("DELETE FROM s.p WHERE id IN ({goes}, {stays})")),
            ("us", format!("INSERT INTO s.c VALUES ({stays}, {stays}, 'us')")),
        ];
        for (name, text) in &plays {
            stage.play(&[(name, text)]).await.unwrap();
        }
        for origin in order {
            stage.apply("ap", origin).await.unwrap();
        }
        stage.release().unwrap();
        stage.settle().await.unwrap();
        no_orphans(&mut stage).await;
    }
    expect(&mut stage, PARENTS, &["2", "3", "4", "5", "7", "8", "9"]).await;
    expect(&mut stage, CHILDREN, &["2,2,us", "7,7,us"]).await;
}

#[tokio::test]
async fn a_parent_and_its_children_of_one_transaction_come_together() {
    let mut stage = Stage::new(&["eu", "us"], &schema("ON DELETE RESTRICT"), "").await.unwrap();
    apart(
        &mut stage,
        &[
            ("eu", "BEGIN; INSERT INTO s.p VALUES (100, 'eu'); INSERT INTO s.c VALUES (100, 100, 'eu'), (101, 100, 'eu'); \
                    INSERT INTO s.g VALUES (100, 101, 'eu'); COMMIT"),
            ("us", "BEGIN; DELETE FROM s.c WHERE id = 30; DELETE FROM s.p WHERE id = 3; COMMIT"),
            // Made anew in one transaction: for a moment there was no parent.
            ("us", "BEGIN; DELETE FROM s.c WHERE id = 40; DELETE FROM s.p WHERE id = 4; \
                    INSERT INTO s.p VALUES (4, 'anew'); INSERT INTO s.c VALUES (40, 4, 'anew'); COMMIT"),
        ],
    )
    .await;
    expect(&mut stage, CHILDREN, &["40,4,anew", "100,100,eu", "101,100,eu"]).await;
    expect(&mut stage, "SELECT id, c FROM s.g", &["100,101"]).await;
    assert_eq!(stage.conflicts_counted().await.unwrap(), 0);
}

/// What one region holds while the others have not heard of it yet.
async fn in_one(stage: &mut Stage, name: &str, query: &str) -> Vec<String> {
    let rows = stage.client(name).unwrap().rows(query).await.unwrap();
    rows.into_iter().map(|row| row.join(",")).collect()
}

#[tokio::test]
async fn no_region_has_an_orphan_even_before_the_others_hear_of_the_child() {
    // Checks are off for a row that was deleted elsewhere; who then looks after its children here?
    let orphans = "SELECT c.id FROM s.c LEFT JOIN s.p ON c.p = p.id WHERE c.p IS NOT NULL AND p.id IS NULL";
    for (on_delete, children) in
        [("CASCADE", vec!["2,2", "4,4"]), ("SET NULL", vec!["1,NULL", "2,2", "3,NULL", "4,4"])]
    {
        let mut stage =
            Stage::new(&["eu", "us"], &schema(&format!("ON DELETE {on_delete}")), "").await.unwrap();
        stage.hold().await.unwrap();
        stage
            .play(&[
                ("us", "INSERT INTO s.c VALUES (1, 1, 'us'), (3, 3, 'us')"),
                ("eu", "DELETE FROM s.p WHERE id IN (1, 3)"),
                ("eu", "DELETE FROM s.p WHERE id IN (2, 4)"),
                ("us", "INSERT INTO s.c VALUES (2, 2, 'us'), (4, 4, 'us')"),
            ])
            .await
            .unwrap();
        stage.apply("us", "eu").await.unwrap();
        assert_eq!(in_one(&mut stage, "us", orphans).await, [""; 0], "{on_delete}");
        let here = in_one(&mut stage, "us", "SELECT id, p FROM s.c WHERE v = 'us' ORDER BY id").await;
        assert_eq!(here, children, "{on_delete}");
        assert_eq!(
            in_one(&mut stage, "us", PARENTS).await,
            ["2", "4", "5", "6", "7", "8", "9"],
            "{on_delete}"
        );
        stage.release().unwrap();
        stage.settle().await.unwrap();
        no_orphans(&mut stage).await;
        expect(&mut stage, "SELECT id, p FROM s.c WHERE v = 'us' ORDER BY id", &children).await;
        expect(&mut stage, PARENTS, &["2", "4", "5", "6", "7", "8", "9"]).await;
    }
}

#[tokio::test]
async fn a_parent_whose_key_changes_takes_the_children_along_that_its_region_knew() {
    let mut stage =
        Stage::new(&["eu", "us"], &schema("ON DELETE RESTRICT ON UPDATE CASCADE"), "").await.unwrap();
    apart(
        &mut stage,
        &[
            // The change of the key is newer than the other region's child of the old key, which goes.
            ("us", "INSERT INTO s.c VALUES (31, 3, 'us')"),
            ("eu", "UPDATE s.p SET id = 300 WHERE id = 3"),
            // It is older: the old parent is put back beside the new one.
            ("eu", "UPDATE s.p SET id = 400 WHERE id = 4"),
            ("us", "INSERT INTO s.c VALUES (41, 4, 'us')"),
        ],
    )
    .await;
    expect(&mut stage, PARENTS, &["1", "2", "4", "5", "6", "7", "8", "9", "300", "400"]).await;
    expect(
        &mut stage,
        "SELECT id, p FROM s.c WHERE id IN (30, 31, 40, 41) ORDER BY id",
        &["30,300", "40,400", "41,4"],
    )
    .await;
}
