//! A native replica of a region's primary, which may take its place.

use crate::Result;
use crate::mesh::Region;
use crate::server::{Server, ServerPlan};
use crate::wait::{Look, wait_for};
use std::path::Path;
use std::time::Duration;

/// An account that may do everything, and its password.
const ADMIN: &str = "admin";
const ADMIN_PASSWORD: &str = "only for tests";

/// How long a replica may take to connect, or to catch up.
const BOUND: Duration = Duration::from_secs(60);

/// A standby: it replicates from a primary and takes no writes.
#[derive(Debug)]
pub struct Standby {
    server: Server,
}

impl Standby {
    /// A new standby of a region's primary, in folder `dir`, that has all the primary has.
    pub async fn of(region: &Region, plan: ServerPlan, dir: &Path) -> Result<Self> {
        let create = format!("CREATE USER IF NOT EXISTS {ADMIN} IDENTIFIED BY '{ADMIN_PASSWORD}'");
        let mut sql = region.server.root().await?;
        sql.run(create).await?;
        sql.run(format!("GRANT ALL ON *.* TO {ADMIN} WITH GRANT OPTION")).await?;
        let standby = Self { server: plan.start(dir).await? };
        follow(&standby.server, region.server.port()).await?;
        connect(&standby.server).await?;
        standby.server.root().await?.run("SET GLOBAL super_read_only = 1").await?;
        standby.catch_up(region).await?;
        Ok(standby)
    }

    /// Waits until it has all that the primary has now.
    pub async fn catch_up(&self, region: &Region) -> Result<()> {
        let wanted = region.server.root().await?.value("SELECT @@GLOBAL.gtid_executed").await?;
        let mut sql = self.server.root().await?;
        wait_for("the standby to catch up", BOUND, async || {
            let executed = sql.value("SELECT @@GLOBAL.gtid_executed").await?;
            let query = format!("SELECT GTID_SUBSET('{wanted}', '{executed}')");
            Ok(Look::when(sql.value(query).await? == "1", (), executed))
        })
        .await
    }

    /// From now on no commit of the primary is answered before this one has it on its disk (`AFTER_SYNC`).
    pub async fn acknowledge(&self, region: &Region) -> Result<()> {
        let mut primary = region.server.root().await?;
        let mut own = self.server.root().await?;
        own.run("SET GLOBAL super_read_only = 0").await?;
        for (sql, role) in [(&mut primary, "source"), (&mut own, "replica")] {
            sql.run(format!("INSTALL PLUGIN rpl_semi_sync_{role} SONAME 'semisync_{role}.so'")).await?;
        }
        own.run("SET GLOBAL super_read_only = 1").await?;
        own.run("SET GLOBAL rpl_semi_sync_replica_enabled = ON").await?;
        own.run("STOP REPLICA IO_THREAD").await?;
        own.run("START REPLICA IO_THREAD").await?;
        // Without an answer a commit waits for ever, as far as any test goes.
        primary.run("SET GLOBAL rpl_semi_sync_source_timeout = 3600000").await?;
        primary.run("SET GLOBAL rpl_semi_sync_source_enabled = ON").await?;
        wait_for("the primary to have a standby that acknowledges", BOUND, async || {
            let query = "SELECT GROUP_CONCAT(variable_value ORDER BY variable_name) FROM performance_schema.global_status \
                         WHERE variable_name IN ('Rpl_semi_sync_source_clients', 'Rpl_semi_sync_source_status')";
            let seen = primary.value(query).await?;
            Ok(Look::when(seen == "1,ON", (), seen))
        })
        .await
    }

    /// From now on it falls behind.
    pub async fn fall_behind(&self) -> Result<()> {
        self.server.root().await?.run("STOP REPLICA").await
    }

    /// The server, for its clients.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The primary dies, and this one takes its place and its address, and takes writes. Returns the dead one.
    pub async fn take_over(mut self, region: &mut Region) -> Result<Server> {
        region.server.kill();
        self.server.stop().await?;
        self.server.take_port_of(&mut region.server);
        // Nobody is to replicate from the address that is its own now.
        self.server.set_options(&["--skip-replica-start"]);
        self.server.start().await?;
        self.promote(region).await
    }

    /// The primary dies, and this one takes its place at an address of its own, and takes writes. Returns the dead one.
    pub async fn take_over_elsewhere(self, region: &mut Region) -> Result<Server> {
        region.server.kill();
        self.server.root().await?.run("STOP REPLICA").await?;
        self.promote(region).await
    }

    /// The primary dies, and `concord promote` makes this one the primary at an address of its own; what the command printed.
    pub async fn take_over_by_command(self, region: &mut Region) -> Result<String> {
        region.server.kill();
        let password = region.concord.config().with_file_name("admin-password");
        crate::config::write_secret(&password, ADMIN_PASSWORD)?;
        let (to, password) = (format!("127.0.0.1:{}", self.server.port()), password.display().to_string());
        let said = region.concord.say(&["promote", &to, "--user", ADMIN, "--password-file", &password])?;
        region.server = self.server;
        Ok(said)
    }

    async fn promote(self, region: &mut Region) -> Result<Server> {
        let mut sql = self.server.root().await?;
        sql.run("RESET REPLICA ALL").await?;
        sql.run("SET GLOBAL super_read_only = 0").await?;
        sql.run("SET GLOBAL read_only = 0").await?;
        Ok(std::mem::replace(&mut region.server, self.server))
    }
}

/// Names this server's source. Its root has no password, and a connection without TLS is what the source's clients have too.
pub async fn follow(server: &Server, port: u16) -> Result<()> {
    let mut sql = server.root().await?;
    sql.run(format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'root', \
         SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
    ))
    .await
}

/// Lets a server fetch and apply what its source has, and waits until it is connected.
pub async fn connect(server: &Server) -> Result<()> {
    let mut sql = server.root().await?;
    sql.run("START REPLICA").await?;
    wait_for("the replica to be connected", BOUND, async || {
        let state =
            sql.value("SELECT service_state FROM performance_schema.replication_connection_status").await?;
        Ok(Look::when(state == "ON", (), state))
    })
    .await
}
