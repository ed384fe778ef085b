//! A region is given up while it is away, the others go on without it, and it comes back by a seed.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::mesh::set;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(120);
const TABLES: [&str; 2] = ["s.log", "s.stock"];
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.log (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(20));
CREATE TABLE s.stock (id INT PRIMARY KEY, n INT);
INSERT INTO s.stock VALUES (1, 0), (2, 0);
";

async fn run(mesh: &mut Mesh, name: &str, note: &str, sold: i32) {
    let mut sql = mesh.root(name).await.unwrap();
    sql.run(format!("INSERT INTO s.log (note) VALUES ('{note}')")).await.unwrap();
    sql.run(format!("UPDATE s.stock SET n = n + {sold}")).await.unwrap();
}

/// A change of [mesh] in some regions: each has the same one, the next epoch, and begins anew if it is to.
async fn change(mesh: &mut Mesh, names: &[&str], epoch: i64, lost: bool) {
    for name in names {
        let concord = &mut mesh.region(name).unwrap().concord;
        concord.stop().await.unwrap();
        concord.configure("mesh.epoch", epoch).unwrap();
        concord.configure("mesh.regions.us.lost", lost).unwrap();
    }
}

/// Waits until nothing of these regions waits for us, nor for each other.
async fn forget(mesh: &mut Mesh, names: &[&str]) {
    mesh.quiet(BOUND).await.unwrap();
    for name in names {
        let concord = &mesh.region(name).unwrap().concord;
        wait_for("every history to be stable", BOUND, async || {
            let status = concord.status().await?;
            Ok(Look::when(status.stable_everywhere, (), format!("{status:?}")))
        })
        .await
        .unwrap();
        let said = concord.say(&["status"]).unwrap();
        assert!(said.contains("region us lost: by [mesh]: nothing waits for it"), "{said}");
    }
}

async fn notes(mesh: &mut Mesh, name: &str) -> Vec<String> {
    mesh.root(name).await.unwrap().column("SELECT note FROM s.log ORDER BY note").await.unwrap()
}

#[tokio::test]
async fn the_others_go_on_without_a_lost_region_and_it_comes_back_by_a_seed_and_by_nothing_else() {
    let plan = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA).edit(|_, config| {
        let columns =
            "tables = [\"s.stock\"]\npolicy = \"columns\"\ncounter = [\"n\"]".parse::<toml::Table>().unwrap();
        set(config, "mesh.policy", vec![toml::Value::Table(columns)]);
    });
    let mut mesh = plan.start().await.unwrap();
    for name in ["eu", "us", "ap"] {
        run(&mut mesh, name, name, 1).await;
    }
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    // What us extracts after the others have gone stays in its log, and what its clients write after that in its binlog.
    let stays = ["eu", "ap"];
    for name in stays {
        mesh.region(name).unwrap().concord.stop().await.unwrap();
    }
    run(&mut mesh, "us", "in the log only", 1000).await;
    mesh.quiet(BOUND).await.unwrap();
    mesh.region("us").unwrap().concord.kill();
    run(&mut mesh, "us", "in the binlog only", 1000).await;
    mesh.start_without_the_rest(&stays).await.unwrap();
    for name in stays {
        run(&mut mesh, name, "without us", 10).await;
    }
    mesh.quiet(BOUND).await.unwrap();
    let status = mesh.region("eu").unwrap().concord.status().await.unwrap();
    assert!(!status.stable_everywhere, "us has not seen this");

    change(&mut mesh, &stays, 2, true).await;
    mesh.start_without_the_rest(&stays).await.unwrap();
    forget(&mut mesh, &stays).await;
    // It runs again as if nothing had been: nobody takes anything from it.
    mesh.region("us").unwrap().concord.start().await.unwrap();
    for name in stays {
        run(&mut mesh, name, "without us", 10).await;
    }
    let us = &mut mesh.region("us").unwrap().concord;
    wait_for("us to be refused", BOUND, async || {
        let status = us.status().await?;
        let refused = status.origins.iter().filter(|origin| !origin.own).all(|o| o.link.state == "refused");
        Ok(Look::when(refused, (), format!("{status:?}")))
    })
    .await
    .unwrap();
    us.stop().await.unwrap();
    forget(&mut mesh, &stays).await;

    // Taken back: neither with its own log, nor with the one that the others hold, but its server as it is.
    change(&mut mesh, &stays, 3, false).await;
    mesh.start_without_the_rest(&stays).await.unwrap();
    let us = &mut mesh.region("us").unwrap().concord;
    us.configure("mesh.epoch", 3).unwrap();
    us.configure("mesh.regions.us.lost", false).unwrap();
    for own_log in [true, false] {
        let said = us.refused(BOUND).await.unwrap();
        assert!(said.contains("ends in epoch 1, and [mesh] is in epoch 3"), "{said}");
        // Before anyone could take a record of it.
        assert_eq!(said.contains("is pulled from"), !own_log, "{said}");
        let folder = us.config().with_file_name("concord");
        std::fs::remove_dir_all(folder).unwrap();
    }
    us.say(&["seed", "--from", "eu", "--yes"]).unwrap();
    us.start().await.unwrap();
    for name in ["eu", "us", "ap"] {
        run(&mut mesh, name, "again", 100).await;
    }
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    let mut expected = vec!["again"; 3];
    expected.extend(["ap", "eu", "us"]);
    expected.extend(["without us"; 4]);
    assert_eq!(notes(&mut mesh, "us").await, expected);
    let stock = mesh.root("us").await.unwrap().column("SELECT n FROM s.stock ORDER BY id").await.unwrap();
    assert_eq!(stock, ["343", "343"]);
}
