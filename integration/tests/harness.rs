//! The harness itself: a referee that cannot see a difference would call everything equal.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::process::{Lifetime, Process};
use integration::wait::{Look, wait_for};
use integration::{MeshPlan, ServerPlan, compare_tables};
use nix::sys::signal::Signal;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT PRIMARY KEY, j JSON, d DECIMAL(6,2), e ENUM('a', 'b'), f FLOAT, v VARCHAR(10), b BIT(4));
INSERT INTO s.t VALUES (1, '{\"a\": 1}', 1.50, 'a', 0.1, 'x', 5), (2, NULL, NULL, NULL, NULL, NULL, NULL);
";

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = ServerPlan::new("eu", 10).start(dir.path()).await.unwrap();
    let port = server.port();
    server.root().await.unwrap().script(SCHEMA).await.unwrap();
    server.kill();
    assert!(server.root().await.is_err(), "the server was to be dead");
    server.start().await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.root().await.unwrap().number("SELECT COUNT(*) FROM s.t").await.unwrap(), 2);
    server.wipe().unwrap();
    server.start().await.unwrap();
    let left = server.root().await.unwrap().column("SHOW DATABASES LIKE 's'").await.unwrap();
    assert!(left.is_empty(), "a wiped server still has its rows");
}

#[tokio::test]
async fn the_comparison_sees_each_small_difference() {
    let dir = tempfile::tempdir().unwrap();
    let mut regions = Vec::new();
    let mut servers = Vec::new();
    for (name, id) in [("eu", 10), ("us", 20)] {
        let server = ServerPlan::new(name, id).start(&dir.path().join(name)).await.unwrap();
        let mut sql = server.root().await.unwrap();
        sql.script(SCHEMA).await.unwrap();
        regions.push((name.to_owned(), sql));
        servers.push(server);
    }
    assert_eq!(compare_tables(&mut regions, "s.t").await.unwrap(), []);
    let changes = [
        "j = '{\"a\": 1.0}'",
        "j = '{\"a\": \"1\"}'",
        "d = 1.51",
        "e = 'b'",
        "f = 0.1000001",
        "v = 'X'",
        "v = 'x '",
        "b = 4",
        "v = NULL",
        "v = 'NULL'",
    ];
    for change in changes {
        regions[1].1.run("BEGIN").await.unwrap();
        // By way of NULL, since the server takes JSON 1 and 1.0 for equal and would leave the row as it is.
        let column = &change[..1];
        regions[1].1.run(format!("UPDATE s.t SET {column} = NULL WHERE id = 1")).await.unwrap();
        regions[1].1.run(format!("UPDATE s.t SET {change} WHERE id = 1")).await.unwrap();
        let found = compare_tables(&mut regions, "s.t").await.unwrap();
        assert!(
            found.iter().any(|one| one.sides[0].1.contains(',')),
            "{change} was not seen in the row: {found:?}"
        );
        regions[1].1.run("ROLLBACK").await.unwrap();
    }
    for change in [
        "DELETE FROM s.t WHERE id = 2",
        "INSERT INTO s.t (id) VALUES (3)",
        "ALTER TABLE s.t MODIFY d DECIMAL(7,2)",
    ] {
        regions[1].1.run(change).await.unwrap();
        assert!(!compare_tables(&mut regions, "s.t").await.unwrap().is_empty(), "{change} was not seen");
        regions[1].1.script("DROP DATABASE s;").await.unwrap();
        regions[1].1.script(SCHEMA).await.unwrap();
    }
}

#[tokio::test]
async fn a_process_that_stands_still_is_seen_to() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let shell = "/bin/sh".as_ref();
    let script = ["-c", "echo this is all; read never < /dev/zero"];
    let process = Process::start("the shell", shell, &script, &[], &log, Lifetime::Ours).unwrap();
    process.signal(Signal::SIGSTOP).unwrap();
    wait_for("the shell to be shown as stopped", Duration::from_secs(30), async || {
        let seen = process.look();
        Ok(Look::when(seen.contains("T (stopped)"), (), seen))
    })
    .await
    .unwrap();
    process.signal(Signal::SIGCONT).unwrap();
    wait_for("the shell's words", Duration::from_secs(30), async || {
        let seen = process.look();
        Ok(Look::when(seen.ends_with("this is all") && !seen.contains("stopped"), (), seen))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_is_what_its_server_and_its_concord_read_and_no_other() {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut mesh = MeshPlan::of(&["eu", "us"]).clocks().start().await.unwrap();
    for (ahead, behind, hours) in [(HOUR, Duration::ZERO, 1), (Duration::ZERO, HOUR, -1)] {
        mesh.region("eu").unwrap().clock.as_ref().unwrap().set(ahead, behind).unwrap();
        for (name, expected) in [("eu", hours), ("us", 0)] {
            let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            let server = mesh.root(name).await.unwrap().value("SELECT UNIX_TIMESTAMP(NOW(6))").await.unwrap();
            let answer = mesh.region(name).unwrap().concord.get("/v1/status").await.unwrap().body;
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            let concord = answer["now_us"].as_f64().unwrap() / 1e6;
            for shown in [server.parse::<f64>().unwrap(), concord] {
                assert_eq!(((shown - real) / 3600.0).round(), f64::from(expected), "{name}: {shown}, {real}");
            }
        }
    }
}
