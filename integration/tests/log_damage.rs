//! A disk gives back other bytes than were written, or fewer, and the region goes on with what its peer holds.

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

/// A segment without its last records.
fn cut(path: &Path, records: usize) {
    const SEGMENT_HEADER_LEN: usize = 64;
    let bytes = std::fs::read(path).unwrap();
    let mut begins = vec![SEGMENT_HEADER_LEN];
    while let Some(record) = bytes.get(*begins.last().unwrap()..).filter(|rest| !rest.is_empty()) {
        begins.push(begins.last().unwrap() + transaction::record::verify(record).unwrap().record_len());
    }
    std::fs::write(path, &bytes[..begins[begins.len() - 1 - records]]).unwrap();
}

#[tokio::test]
async fn an_end_of_the_own_log_that_the_disk_lost_is_taken_back_before_its_numbers_are_given_out_again() {
    let mut mesh = written().await;
    let (own, copy) = (segment(&mesh, "eu", "eu"), segment(&mesh, "us", "eu"));
    let held = std::fs::read(copy).unwrap();
    std::fs::write(&own, &held).unwrap();
    cut(&own, 3);
    expect_to_go_on(&mut mesh).await;
    let said = std::fs::read_to_string(mesh.region("eu").unwrap().concord.log()).unwrap();
    assert!(said.contains("the rest is taken back from there"), "{said}");
    assert!(std::fs::read(&own).unwrap().starts_with(&held));
}

/// `cp` for whole folders.
fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// The folders of eu that a copy of the whole machine would have, and where to keep them.
fn folders(mesh: &mut Mesh) -> [(PathBuf, PathBuf); 2] {
    let backup = |name: &str| mesh.dir().join(format!("backup of {name}"));
    let (server, concord) = (backup("server"), backup("concord"));
    let data = mesh.dir().join("eu").join("concord");
    [(data, concord), (mesh.region("eu").unwrap().server.dir().to_owned(), server)]
}

/// eu runs, and writes rows of these numbers.
async fn write(mesh: &mut Mesh, ids: std::ops::Range<u32>) {
    let eu = mesh.region("eu").unwrap();
    if eu.server.pid().is_none() {
        eu.server.start().await.unwrap();
    }
    eu.concord.start().await.unwrap();
    let mut sql = mesh.root("eu").await.unwrap();
    for id in ids {
        sql.run(format!("INSERT INTO s.t VALUES ({id}, 3)")).await.unwrap();
    }
}

async fn stop_both(mesh: &mut Mesh) {
    for name in ["us", "eu"] {
        mesh.region(name).unwrap().concord.stop().await.unwrap();
    }
}

/// us starts, and says that eu's log is another one than it holds.
async fn expect_told(mesh: &mut Mesh) {
    let concord = &mut mesh.region("us").unwrap().concord;
    concord.spawn().unwrap();
    concord.tells(&["link-log-differs"], BOUND).await.unwrap();
}

#[tokio::test]
async fn a_region_put_back_as_it_once_was_while_its_peer_was_away_is_told_by_the_records_that_differ() {
    let mut mesh = written().await;
    mesh.region("eu").unwrap().server.stop().await.unwrap();
    let folders = folders(&mut mesh);
    folders.iter().for_each(|(folder, backup)| copy_folder(folder, backup));
    write(&mut mesh, 2000..2005).await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    stop_both(&mut mesh).await;
    mesh.region("eu").unwrap().server.stop().await.unwrap();
    folders.iter().for_each(|(folder, backup)| copy_folder(backup, folder));
    write(&mut mesh, 3000..3020).await;

    expect_told(&mut mesh).await;
    let applied = "SELECT COUNT(*) FROM s.t WHERE v = 3";
    let applied = mesh.root("us").await.unwrap().number(applied).await.unwrap();
    assert_eq!(applied, 5, "nothing is applied behind a record that differs");

    // What the peer has of it counts.
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    std::fs::remove_dir_all(folders[0].0.join("eu")).unwrap();
    let eu = &mut mesh.region("eu").unwrap().concord;
    eu.say(&["seed", "--from", "us", "--yes"]).unwrap();
    write(&mut mesh, 4000..4003).await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let all =
        mesh.root("us").await.unwrap().column("SELECT id FROM s.t WHERE v = 3 ORDER BY id").await.unwrap();
    assert_eq!(all, ["2000", "2001", "2002", "2003", "2004", "4000", "4001", "4002"]);
}

#[tokio::test]
async fn where_only_the_log_was_put_back_a_new_copy_of_it_lets_the_peer_go_on() {
    let mut mesh = written().await;
    let [(data, backup), _] = folders(&mut mesh);
    copy_folder(&data, &backup);
    write(&mut mesh, 2000..2005).await;
    // A restart leaves its place in the log, and the log that reads all of that in one go has none.
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    write(&mut mesh, 2005..2010).await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    stop_both(&mut mesh).await;
    copy_folder(&backup, &data);
    write(&mut mesh, 3000..3010).await;

    expect_told(&mut mesh).await;
    mesh.region("us").unwrap().concord.stop().await.unwrap();
    std::fs::remove_dir_all(mesh.dir().join("us").join("concord").join("eu")).unwrap();
    mesh.region("us").unwrap().concord.start().await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let rows = mesh.root("us").await.unwrap().number("SELECT COUNT(*) FROM s.t").await.unwrap();
    assert_eq!(rows, 120);
}
