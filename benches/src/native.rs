//! MySQL's own replica, which is what a user would otherwise take.

use crate::folder;
use crate::scene::{Backlog, PATIENCE, SERVER_OPTIONS};
use integration::wait::{Look, wait_for};
use integration::{Error, Result, Server, ServerPlan, standby};
use std::path::Path;

/// A server that begins as a copy of the source's data.
#[derive(Debug)]
pub struct Replica {
    /// Its server.
    pub server: Server,
}

/// Options of the replica in every run: nothing begins by itself, and transactions commit in the source's order.
pub(crate) const OPTIONS: [&str; 2] = ["--skip-replica-start=ON", "--replica-preserve-commit-order=ON"];

impl Replica {
    /// Prepares the server; it does not run afterwards and has no data yet.
    pub async fn begin(dir: &Path) -> Result<Self> {
        let mut server = ServerPlan::new("replica", 30).start(dir).await?;
        server.kill();
        Ok(Self { server })
    }

    /// Takes over a data folder: the source's, or one of its own that was kept.
    pub fn take(&mut self, data: &Path) -> Result<()> {
        self.server.kill();
        folder::replace(data, &self.server.dir().join("data"))?;
        folder::settle()
    }

    /// Gives up the identity that came with a copy of the source's data.
    pub fn become_another(&self) -> Result<()> {
        let identity = self.server.dir().join("data/auto.cnf");
        std::fs::remove_file(&identity).map_err(Error::io(format!("remove {}", identity.display())))
    }

    /// Starts the server with these options more.
    pub async fn start(&mut self, more: &[&str]) -> Result<()> {
        self.server.set_options(&[&SERVER_OPTIONS, &OPTIONS[..], more].concat());
        self.server.start().await
    }

    /// Names the source.
    pub async fn follow(&self, port: u16) -> Result<()> {
        standby::follow(&self.server, port).await
    }

    /// Fetches the backlog into the relay log, applies nothing of it, stops, and keeps its data at `kept`.
    pub async fn fetch(&mut self, port: u16, backlog: &Backlog, kept: &Path) -> Result<()> {
        self.start(&[]).await?;
        self.follow(port).await?;
        let mut sql = self.server.root().await?;
        sql.run("START REPLICA IO_THREAD").await?;
        let wanted = &backlog.gtid_set;
        wait_for("the replica to fetch the backlog", PATIENCE, async || {
            let query = format!(
                "SELECT GTID_SUBSET('{wanted}', CONCAT(@@GLOBAL.gtid_executed, ',', received_transaction_set)), \
                 received_transaction_set, last_error_message FROM performance_schema.replication_connection_status"
            );
            let rows = sql.rows(query).await?;
            let row = rows.into_iter().next().unwrap_or_default();
            Ok(Look::when(row.first().is_some_and(|done| done == "1"), (), row.join(" ")))
        })
        .await?;
        sql.run("STOP REPLICA IO_THREAD").await?;
        drop(sql);
        self.server.stop().await?;
        folder::replace(&self.server.dir().join("data"), kept)
    }

    /// What stopped the replica, if something did.
    pub async fn troubles(&self) -> Result<Vec<String>> {
        troubles(&self.server).await
    }
}

/// What stopped this server's replication, if something did.
pub(crate) async fn troubles(server: &Server) -> Result<Vec<String>> {
    let mut sql = server.root().await?;
    sql.column(
        "SELECT last_error_message FROM performance_schema.replication_applier_status_by_worker \
         WHERE last_error_number <> 0 UNION SELECT last_error_message \
         FROM performance_schema.replication_connection_status WHERE last_error_number <> 0",
    )
    .await
}
