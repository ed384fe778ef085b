//! The ways between the processes: answers that get lost, links that lead elsewhere, segments that go.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::mesh::set;
use integration::port::Port;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan, Region, Sql};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BOUND: Duration = Duration::from_secs(120);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.counter (id INT PRIMARY KEY, n INT);
CREATE TABLE s.log (id INT AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(4), v LONGBLOB);
INSERT INTO s.counter VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);
";
const TABLES: [&str; 2] = ["s.counter", "s.log"];

/// Stands between a Concord and its server, and can lose the answer to a COMMIT that took effect.
#[derive(Debug, Default)]
struct Relay {
    /// Of how many commits to come the answer is to be lost.
    to_lose: AtomicU32,
    /// Of how many it was.
    lost: AtomicU32,
}

impl Relay {
    /// A relay to a server's port, and its own port. It lives as long as the test's runtime.
    fn start(server: u16) -> (Arc<Self>, u16) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Arc::new(Self::default());
        let started = relay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let relay = started.clone();
                tokio::spawn(async move {
                    relay.carry(client, TcpStream::connect(("127.0.0.1", server)).await?).await
                });
            }
        });
        (relay, port)
    }

    /// Carries one connection until either side ends it, or an answer is lost.
    async fn carry(&self, mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                read = client.read_buf(&mut asked) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    while let Some(packet) = take_packet(&mut asked) {
                        server.write_all(&packet).await?;
                        // Only the lane says COMMIT; and whoever asks has read all earlier answers.
                        if packet.ends_with(b"COMMIT") && self.is_to_lose() {
                            return self.lose(&mut server).await;
                        }
                    }
                }
                read = server.read_buf(&mut answered) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    client.write_all(&answered).await?;
                    answered.clear();
                }
            }
        }
    }

    fn is_to_lose(&self) -> bool {
        self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// Reads the answer to its end. Both connections are closed when this has returned.
    async fn lose(&self, server: &mut TcpStream) -> io::Result<()> {
        const MORE_RESULTS: u8 = 8;
        let mut answered = Vec::new();
        while server.read_buf(&mut answered).await? > 0 {
            while let Some(packet) = take_packet(&mut answered) {
                // OK, affected rows and insert id of a byte each, the status; or an error, which undid the transaction.
                let counter = match packet[4..] {
                    [0, _, _, status, ..] if status & MORE_RESULTS != 0 => continue,
                    [0, ..] => &self.lost,
                    _ => &self.to_lose,
                };
                counter.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
        }
        Ok(())
    }

    /// From here on, loses the answers to so many commits.
    fn lose_next(&self, count: u32) {
        self.to_lose.fetch_add(count, Ordering::SeqCst);
    }

    async fn has_lost(&self, all: u32) {
        wait_for("the answers to commits to be lost", BOUND, async || {
            let lost = self.lost.load(Ordering::SeqCst);
            Ok(Look::when(lost == all, (), format!("{lost} of {all}")))
        })
        .await
        .unwrap();
    }
}

/// Takes a whole packet, header included, off the front.
fn take_packet(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let [a, b, c, _, ..] = bytes[..] else { return None };
    let end = 4 + u32::from_le_bytes([a, b, c, 0]) as usize;
    (bytes.len() >= end).then(|| bytes.drain(..end).collect())
}

/// One transaction in eu: counts row 1 once, writes `n` into the row `id`, and appends rows of a kilobyte each.
async fn count(mesh: &mut Mesh, id: u32, n: u32, appended: u32) {
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("BEGIN").await.unwrap();
    eu.run("UPDATE s.counter SET n = n + 1 WHERE id = 1").await.unwrap();
    eu.run(format!("UPDATE s.counter SET n = {n} WHERE id = {id}")).await.unwrap();
    eu.run(format!(
        "INSERT INTO s.log (origin, v) WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {appended}) \
         SELECT 'eu', RANDOM_BYTES(1024) FROM r"
    ))
    .await
    .unwrap();
    eu.run("COMMIT").await.unwrap();
}

/// How often clients said COMMIT to a server.
async fn commits(sql: &mut Sql) -> u64 {
    let rows = sql.rows("SHOW GLOBAL STATUS LIKE 'Com_commit'").await.unwrap();
    rows[0][1].parse().unwrap()
}

/// Beyond this many rows of `count`, a transaction lies in several records.
const MANY: u32 = 3000;

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_neither_repeated_nor_forgotten() {
    let made = Arc::new(OnceLock::new());
    let kept = made.clone();
    let plan = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA);
    let plan = plan.server_option("--cte-max-recursion-depth=100000").edit(move |name, table| {
        if name == "us" {
            let server = table["region"]["mysql"]["port"].as_integer().unwrap();
            let (relay, port) = Relay::start(server.try_into().unwrap());
            set(table, "region.mysql.port", i64::from(port));
            set(table, "region.mysql.tls", "disabled");
            kept.set(relay).unwrap();
        }
    });
    let mut mesh = plan.start().await.unwrap();
    let relay: &Arc<Relay> = made.get().unwrap();

    let mut us = mesh.root("us").await.unwrap();
    let before = commits(&mut us).await;
    // One by one, a large one among them.
    for n in 1..=6 {
        relay.lose_next(1);
        count(&mut mesh, 2, n, if n == 4 { MANY } else { 1 }).await;
        relay.has_lost(n).await;
    }
    mesh.quiet(BOUND).await.unwrap();
    assert_eq!(commits(&mut us).await - before, 6, "applied again, which the rows do not show");
    // And one that commits many transactions together, since they have come while nothing was applied.
    mesh.region("us").unwrap().concord.say(&["pause", "--origin", "eu"]).unwrap();
    for n in 7..=40 {
        count(&mut mesh, 2, n, 1).await;
    }
    relay.lose_next(1);
    mesh.region("us").unwrap().concord.say(&["resume", "--origin", "eu"]).unwrap();
    relay.has_lost(7).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(us.column("SELECT n FROM s.counter ORDER BY id").await.unwrap(), ["40", "40", "0", "0", "0"]);
    assert_eq!(us.number("SELECT COUNT(*) FROM s.log").await.unwrap(), u64::from(39 + MANY));

    // An older write of ap comes to us after a newer one of eu that was in doubt. Whoever does not know that the row was
    // written by eu lets ap's write through.
    for (id, appended) in [(3, 1), (4, MANY)] {
        for name in ["eu", "us"] {
            mesh.region(name).unwrap().concord.say(&["pause", "--origin", "ap"]).unwrap();
        }
        let mut ap = mesh.root("ap").await.unwrap();
        ap.run(format!("UPDATE s.counter SET n = 1000 WHERE id = {id}")).await.unwrap();
        ap.run("UPDATE s.counter SET n = n + 1 WHERE id = 5").await.unwrap();
        relay.lose_next(1);
        count(&mut mesh, id, 2000, appended).await;
        relay.has_lost(5 + id).await;
        for name in ["eu", "us"] {
            mesh.region(name).unwrap().concord.say(&["resume", "--origin", "ap"]).unwrap();
        }
        mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    }
    assert_eq!(
        us.column("SELECT n FROM s.counter ORDER BY id").await.unwrap(),
        ["42", "40", "2000", "2000", "2"]
    );
    let us = mesh.region("us").unwrap().concord.status().await.unwrap();
    assert_eq!(us.origin("ap").unwrap().conflicts, 2, "{us:?}");
}

async fn append(mesh: &mut Mesh, name: &str, rows: u32) {
    let mut sql = mesh.root(name).await.unwrap();
    for _ in 0..rows {
        sql.run(format!("INSERT INTO s.log (origin, v) VALUES ('{name}', REPEAT('x', 100))")).await.unwrap();
    }
}

#[tokio::test]
async fn a_region_that_cannot_reach_an_origin_takes_its_log_from_another() {
    let mut mesh = MeshPlan::of(&["eu", "us", "ap"]).schema(SCHEMA).start().await.unwrap();
    let ap = &mut mesh.region("ap").unwrap().concord;
    ap.stop().await.unwrap();
    let closed = Port::free().unwrap();
    ap.configure("mesh.regions.eu.link", format!("127.0.0.1:{}", closed.number())).unwrap();
    append(&mut mesh, "eu", 20).await;
    mesh.start_concords(&["ap"]).await.unwrap();
    for _ in 0..3 {
        append(&mut mesh, "us", 10).await;
        append(&mut mesh, "ap", 10).await;
        wait_for("the status of ap to say that eu's log comes from us", BOUND, async || {
            // The way by us is taken only while us holds more of it.
            append(&mut mesh, "eu", 1).await;
            let answer = mesh.region("ap")?.concord.get("/v1/status").await?;
            let status: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            let origins = status["origins"].as_array().unwrap();
            let link = &origins.iter().find(|origin| origin["origin"] == "eu").unwrap()["link"];
            assert_ne!(link["via"], "eu");
            Ok(Look::when(link["state"] == "connected" && link["via"] == "us", (), link))
        })
        .await
        .unwrap();
        mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    }
}

/// Two regions whose segments hold one transaction of `fill` each, and may go at once.
async fn pair_with_short_logs() -> Mesh {
    let plan = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).edit(|_, table| {
        set(table, "region.log.segment_size", "1MiB");
        set(table, "region.log.keep_age", "1ms");
    });
    plan.start().await.unwrap()
}

/// Transactions of eu of which no two fit into a segment.
async fn fill(mesh: &mut Mesh, transactions: u32) {
    let mut eu = mesh.root("eu").await.unwrap();
    for _ in 0..transactions {
        eu.run("INSERT INTO s.log (origin, v) VALUES ('eu', REPEAT(RANDOM_BYTES(1000), 700))").await.unwrap();
    }
}

/// The segments of eu's log that a region holds.
fn segments(config: &Path) -> integration::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(config.with_file_name("concord").join("eu"))
        .map_err(integration::Error::io("read the folder of eu's log"))?;
    let paths = entries.map(|entry| entry.unwrap().path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect())
}

/// Waits until each region holds only the `last` segments of eu's log; they never become fewer.
async fn only_the_last_segments_stay(mesh: &mut Mesh, last: usize) {
    for Region { name, concord, .. } in &mut mesh.regions {
        wait_for(&format!("all segments in {name} to go but {last}"), BOUND, async || {
            concord.check_running()?;
            let held = segments(concord.config())?;
            assert!(held.len() >= last, "{name} holds only {held:?}");
            Ok(Look::when(held.len() == last, (), format!("{held:?}")))
        })
        .await
        .unwrap();
    }
}

/// Pauses eu in us, writes so many segments in eu that us receives and does not apply, and waits until retention has been
/// at work after that: the segment before them could not go before they came.
async fn fill_while_paused(mesh: &mut Mesh, transactions: u32) {
    let us = &mesh.region("us").unwrap().concord;
    us.say(&["pause", "--origin", "eu"]).unwrap();
    wait_for("the applier to pause", BOUND, async || {
        let state = us.status().await?.origin("eu").map(|origin| origin.applier.state.clone());
        Ok(Look::when(state.as_deref() == Some("paused"), (), format!("{state:?}")))
    })
    .await
    .unwrap();
    let applied = us.status().await.unwrap().applied("eu");
    fill(mesh, transactions).await;
    let us = &mesh.region("us").unwrap().concord;
    wait_for("us to have received everything", BOUND, async || {
        let seen = us.status().await?.origin("eu").map_or(0, |origin| origin.origin_sequence);
        Ok(Look::when(seen == applied + u64::from(transactions), (), seen))
    })
    .await
    .unwrap();
    only_the_last_segments_stay(mesh, transactions as usize).await;
    let us = &mesh.region("us").unwrap().concord;
    assert_eq!(us.status().await.unwrap().applied("eu"), applied, "us has applied what it was not to");
}

#[tokio::test]
async fn segments_go_only_when_every_region_has_applied_them() {
    let mut mesh = pair_with_short_logs().await;
    fill(&mut mesh, 8).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    only_the_last_segments_stay(&mut mesh, 1).await;
    fill_while_paused(&mut mesh, 6).await;
    mesh.region("us").unwrap().concord.say(&["resume", "--origin", "eu"]).unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    only_the_last_segments_stay(&mut mesh, 1).await;
    for region in &mut mesh.regions {
        region.concord.stop().await.unwrap();
    }
    append(&mut mesh, "eu", 10).await;
    append(&mut mesh, "us", 10).await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    fill(&mut mesh, 2).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(mesh.root("us").await.unwrap().number("SELECT COUNT(*) FROM s.log").await.unwrap(), 36);
}

#[tokio::test]
async fn a_restart_finds_what_retention_left_of_a_log_that_is_not_applied() {
    let mut mesh = pair_with_short_logs().await;
    fill(&mut mesh, 3).await;
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    only_the_last_segments_stay(&mut mesh, 1).await;
    fill_while_paused(&mut mesh, 3).await;
    mesh.regions.iter_mut().for_each(|region| region.concord.kill());
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    assert_eq!(mesh.root("us").await.unwrap().number("SELECT COUNT(*) FROM s.log").await.unwrap(), 6);
}
