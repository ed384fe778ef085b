//! A disk gives back other bytes than were written, and the region goes on with what its peer holds.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::{Mesh, MeshPlan};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v INT);";

/// Two regions, each of which has written fifty rows that both have; eu is stopped.
async fn written() -> Mesh {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    for (name, from) in [("eu", 0), ("us", 50)] {
        let mut sql = mesh.root(name).await.unwrap();
        for id in from..from + 50 {
            sql.run(format!("INSERT INTO s.t VALUES ({id}, 1)")).await.unwrap();
        }
    }
    mesh.quiet(BOUND).await.unwrap();
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    mesh
}

/// The only segment of a region's log of `origin`.
fn segment(mesh: &Mesh, region: &str, origin: &str) -> PathBuf {
    let folder = mesh.dir().join(region).join("concord").join(origin);
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "seg"))
        .collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

/// eu starts, and what is written then in both regions arrives.
async fn expect_to_go_on(mesh: &mut Mesh) {
    mesh.region("eu").unwrap().concord.start().await.unwrap();
    for (name, id) in [("eu", 1000), ("us", 1001)] {
        mesh.root(name).await.unwrap().run(format!("INSERT INTO s.t VALUES ({id}, 2)")).await.unwrap();
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(mesh.root("eu").await.unwrap().number("SELECT COUNT(*) FROM s.t").await.unwrap(), 102);
}

#[tokio::test]
async fn damaged_logs_are_mended_from_a_peer_and_are_then_what_they_were() {
    let mut mesh = written().await;
    let paths = ["eu", "us"].map(|origin| segment(&mesh, "eu", origin));
    let good = paths.clone().map(|path| std::fs::read(path).unwrap());
    for path in &paths {
        flip(path, |len| len / 2);
        flip(path, |len| len / 3);
        flip(path, |_| 20);
    }
    let said = mesh.region("eu").unwrap().concord.refused(BOUND).await.unwrap();
    assert!(said.contains("concord log repair --origin"), "{said}");
    let verify = mesh.region("eu").unwrap().concord.command(&["log", "verify"]).unwrap();
    assert_eq!(verify.status.code(), Some(1));

    let concord = &mesh.region("eu").unwrap().concord;
    let wrong = concord.command(&["log", "repair", "--from", "eu"]).unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("is no peer of eu; its peers are us"));
    let said = concord.say(&["log", "repair", "--from", "us"]).unwrap();
    assert!(said.contains("eu: mended") && said.contains("us: mended"), "{said}");
    assert!(paths.clone().map(|path| std::fs::read(path).unwrap()) == good);
    let said = concord.say(&["log", "repair", "--from", "us"]).unwrap();
    assert!(said.contains("eu: whole") && said.contains("us: whole"), "{said}");

    expect_to_go_on(&mut mesh).await;
    let concord = &mesh.region("eu").unwrap().concord;
    let beside = concord.command(&["log", "repair", "--from", "us"]).unwrap();
    assert!(!beside.status.success());
    assert!(String::from_utf8_lossy(&beside.stderr).contains("is in use by another concord process"));
}

#[tokio::test]
async fn a_damaged_last_record_of_the_own_log_is_taken_back_from_the_peer_that_holds_it() {
    let mut mesh = written().await;
    // What the peer has not is cut off, so that the last record is one that it holds.
    let (own, copy) = (segment(&mesh, "eu", "eu"), segment(&mesh, "us", "eu"));
    let held = std::fs::read(copy).unwrap();
    let all = std::fs::read(&own).unwrap();
    assert!(all.starts_with(&held));
    std::fs::write(&own, &held).unwrap();
    flip(&own, |len| len - 1);
    expect_to_go_on(&mut mesh).await;
    let concord = &mesh.region("eu").unwrap().concord;
    let said = std::fs::read_to_string(concord.log()).unwrap();
    assert!(said.contains("region us holds it: it was taken back from there"), "{said}");
    assert!(std::fs::read(&own).unwrap().starts_with(&held));
}
