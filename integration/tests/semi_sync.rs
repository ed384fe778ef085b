//! A region's primary dies under load while its standby acknowledges every commit, or does not.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::standby::Standby;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan, ServerPlan, Sql};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

const BOUND: Duration = Duration::from_secs(90);
const SCHEMA: &str = "
CREATE DATABASE s;
CREATE TABLE s.counter (id INT PRIMARY KEY, n INT);
CREATE TABLE s.log (client INT, n INT, PRIMARY KEY (client, n));
INSERT INTO s.counter VALUES (0, 0), (1, 0), (2, 0), (3, 0);
";
const TABLES: [&str; 2] = ["s.counter", "s.log"];
/// Clients 0 to 2 write in eu, client 3 in us.
const CLIENTS: u32 = 4;

/// What clients were told to be committed, by client and number.
type Told = Arc<Mutex<BTreeSet<(u32, u32)>>>;

/// Counts up, one transaction after the other, until it is to stop or its server is gone.
fn client(id: u32, mut sql: Sql, told: Told, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        for n in 1.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let statements = [
                "BEGIN".to_owned(),
                format!("UPDATE s.counter SET n = {n} WHERE id = {id}"),
                format!("INSERT INTO s.log VALUES ({id}, {n})"),
                "COMMIT".to_owned(),
            ];
            for statement in statements {
                if sql.run(statement).await.is_err() {
                    return;
                }
            }
            told.lock().unwrap().insert((id, n));
        }
    })
}

/// Two regions, and a standby of eu's primary that eu's Concord knows.
async fn mesh() -> (Mesh, Standby) {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    let dir = mesh.dir().join("standby");
    let plan = ServerPlan::new("standby", 11).auto_increment(2, 1);
    let eu = mesh.region("eu").unwrap();
    let standby = Standby::of(eu, plan, &dir).await.unwrap();
    let listed = format!("127.0.0.1:{}", standby.server().port());
    eu.concord.stop().await.unwrap();
    eu.concord.configure("region.mysql.standbys", vec![toml::Value::from(listed)]).unwrap();
    eu.concord.start().await.unwrap();
    (mesh, standby)
}

/// Kills the primary of eu while clients write in both regions, and has the standby promoted. What clients wrote in eu has been read by
/// Concord as far as `read` says: until the end, or not at all. Returns what clients had been told, and
/// what is there in the end, in both regions.
async fn killed_under_load(
    mut mesh: Mesh,
    standby: Standby,
    read: bool,
) -> (BTreeSet<(u32, u32)>, BTreeSet<(u32, u32)>) {
    let (told, stop) = (Told::default(), Arc::new(AtomicBool::new(false)));
    if !read {
        mesh.region("eu").unwrap().concord.kill();
    }
    let mut clients = Vec::new();
    for id in 0..CLIENTS {
        let sql = mesh.root(if id == 3 { "us" } else { "eu" }).await.unwrap();
        clients.push(client(id, sql, told.clone(), stop.clone()));
    }
    wait_for("all clients to be at work", BOUND, async || {
        let told = told.lock().unwrap();
        let each = (0..CLIENTS).all(|id| told.contains(&(id, 30)));
        Ok(Look::when(each, (), told.len()))
    })
    .await
    .unwrap();
    let eu = mesh.region("eu").unwrap();
    eu.server.kill();
    if !read {
        eu.concord.spawn().unwrap();
        let concord = &eu.concord;
        wait_for("Concord of eu to wait for a server", BOUND, async || {
            Ok(match concord.status().await {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await
        .unwrap();
    }
    standby.take_over_by_command(eu).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    mesh.expect_equal(&TABLES, BOUND).await.unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    let rows = eu.rows("SELECT client, n FROM s.log").await.unwrap();
    let there: BTreeSet<(u32, u32)> =
        rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect();
    // Nothing was done twice or by half: each counter is at the last number of its client, and none before it is missing.
    for id in 0..CLIENTS {
        let counted = eu.number(format!("SELECT n FROM s.counter WHERE id = {id}")).await.unwrap();
        let own: Vec<u32> = there.iter().filter(|(client, _)| *client == id).map(|(_, n)| *n).collect();
        assert_eq!(own, (1..=counted as u32).collect::<Vec<_>>(), "client {id}");
    }
    let told = told.lock().unwrap().clone();
    (told, there)
}

#[tokio::test]
async fn nothing_that_clients_were_told_is_lost_when_the_standby_acknowledges_even_what_concord_had_not_read()
{
    let (mut mesh, standby) = mesh().await;
    standby.acknowledge(mesh.region("eu").unwrap()).await.unwrap();
    let (told, there) = killed_under_load(mesh, standby, false).await;
    let lost: Vec<_> = told.difference(&there).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // At most what each client had not been told yet came along.
    assert!(there.len() - told.len() <= CLIENTS as usize, "{} of {}", told.len(), there.len());
}

#[tokio::test]
async fn of_a_standby_that_is_behind_only_what_concord_had_not_read_is_lost_and_that_in_order() {
    let (mut mesh, standby) = mesh().await;
    standby.catch_up(mesh.region("eu").unwrap()).await.unwrap();
    standby.fall_behind().await.unwrap();
    let (told, there) = killed_under_load(mesh, standby, true).await;
    let lost: Vec<_> = told.difference(&there).collect();
    assert!(lost.iter().all(|(client, _)| *client != 3), "us lost something: {lost:?}");
    assert!(!there.is_empty());
}
