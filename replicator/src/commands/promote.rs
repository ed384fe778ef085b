//! `concord promote`: makes a standby the region's primary, and lets no client in before what it lacks is back.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mysql_async::prelude::*;
use mysql_async::{Conn, Row};

use super::grants::quoted;
use super::running::Running;
use super::{CommandError, Outcome};
use crate::cli::PromoteArgs;
use crate::config::{Config, Mysql, connect};
use crate::status::{ExtractorState, Status};

/// How often server and region are asked.
const PERIOD: Duration = Duration::from_millis(200);

/// Promotes the standby step by step, and says each. Whatever fails leaves clients out, and the message says how they are let in.
pub(crate) async fn execute(args: &PromoteArgs, config: &Config) -> Outcome {
    let running = Running::of(config)?;
    // Who is to apply the tail must be there.
    running.status()?;
    let own = &config.region.mysql;
    let admin = Mysql {
        host: args.to.host().to_owned(),
        port: args.to.port(),
        user: args.user.clone(),
        password_file: args.password_file.clone(),
        standbys: Vec::new(),
        ..own.clone()
    };
    let refused = |e: &dyn std::fmt::Display| CommandError::Refused(format!("MySQL at {}: {e}", args.to));
    let (mut conn, _) = connect(&admin).await.map_err(|e| refused(&e))?;
    let until = Instant::now() + args.timeout.0;
    let account = own.user.clone();
    let done = async {
        let uuid = begin(&mut conn, &account, until).await.map_err(|e| e.to_string())??;
        println!("{} is the primary now, and lets no client in", args.to);
        wait_for_region(&running, &uuid, until).await?;
        end(&mut conn, &account).await.map_err(|e| e.to_string())
    };
    done.await.map_err(|reason| {
        CommandError::Refused(format!(
            "{}: {reason}. Clients are kept off by offline_mode = ON there: run the command again, or let them in with SET GLOBAL offline_mode = OFF",
            args.to
        ))
    })?;
    println!("{} holds all that the log of {} holds; clients are let in", args.to, config.region.name);
    let _ = conn.disconnect().await;
    Ok(ExitCode::SUCCESS)
}

/// Keeps clients off, lets the standby apply what it has received, and makes it take writes. Returns its UUID; the inner error: the time is up.
async fn begin(
    conn: &mut Conn,
    account: &str,
    until: Instant,
) -> Result<Result<String, String>, mysql_async::Error> {
    conn.query_drop("SET GLOBAL offline_mode = ON").await?;
    let channels: Vec<Row> = conn.query("SHOW REPLICA STATUS").await?;
    if !channels.is_empty() {
        conn.query_drop("STOP REPLICA IO_THREAD").await?;
        let waits = "SELECT COUNT(*) FROM performance_schema.replication_connection_status \
                     WHERE NOT GTID_SUBSET(received_transaction_set, @@GLOBAL.gtid_executed)";
        while conn.query_first::<u64, _>(waits).await? != Some(0) {
            if Instant::now() >= until {
                return Ok(Err(
                    "it has not applied all that it has received; see SHOW REPLICA STATUS".to_owned()
                ));
            }
            tokio::time::sleep(PERIOD).await;
        }
        conn.query_drop("STOP REPLICA").await?;
        conn.query_drop("RESET REPLICA ALL").await?;
    }
    // Clients are out: only offline_mode keeps them off from here on.
    conn.query_drop("SET GLOBAL super_read_only = OFF").await?;
    conn.query_drop("SET GLOBAL read_only = OFF").await?;
    for name in accounts(conn, account).await? {
        // The right goes again, and nobody else is to hear of it.
        let grant = format!("GRANT CONNECTION_ADMIN ON *.* TO {name}");
        unlogged(conn, &grant).await?;
    }
    Ok(Ok(conn.query_first("SELECT @@GLOBAL.server_uuid").await?.unwrap_or_default()))
}

/// Takes the right back and lets clients in.
async fn end(conn: &mut Conn, account: &str) -> Result<(), mysql_async::Error> {
    for name in accounts(conn, account).await? {
        unlogged(conn, &format!("REVOKE CONNECTION_ADMIN ON *.* FROM {name}")).await?;
    }
    conn.query_drop("SET GLOBAL offline_mode = OFF").await
}

/// The accounts of this name, as GRANT names them.
async fn accounts(conn: &mut Conn, name: &str) -> Result<Vec<String>, mysql_async::Error> {
    let hosts: Vec<String> = conn.exec("SELECT host FROM mysql.user WHERE user = ?", (name,)).await?;
    Ok(hosts.iter().map(|host| format!("{}@{}", quoted(name), quoted(host))).collect())
}

async fn unlogged(conn: &mut Conn, statement: &str) -> Result<(), mysql_async::Error> {
    conn.query_drop("SET SESSION sql_log_bin = 0").await?;
    let done = conn.query_drop(statement).await;
    conn.query_drop("SET SESSION sql_log_bin = 1").await?;
    done
}

/// Waits until the region works on that server and lacks nothing.
async fn wait_for_region(running: &Running, uuid: &str, until: Instant) -> Result<(), String> {
    let mut told = String::new();
    loop {
        // While it begins anew it does not answer.
        let waits = match running.status() {
            Ok(status) => waits_for(&status, uuid),
            Err(error) => Some(error.to_string()),
        };
        let Some(waits) = waits else { return Ok(()) };
        if waits != told {
            println!("waiting: {waits}");
            told = waits;
        }
        if Instant::now() >= until {
            return Err(format!("the time is up while waiting: {told}"));
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What keeps clients out still.
fn waits_for(status: &Status, uuid: &str) -> Option<String> {
    let region = status.region;
    if status.server.uuid != uuid || status.extractor.state != ExtractorState::Running {
        return Some(format!(
            "region {region} has not begun to work on it; do host or standbys in [region.mysql] name it?"
        ));
    }
    let tail = status.lost_tail.as_ref()?;
    Some(format!("transactions {} to {} of {region}", tail.applied_sequence.next(), tail.end_sequence))
}
