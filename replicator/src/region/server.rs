//! Which server this region works on. Another one at the same address is another state of the region's rows.

use std::sync::OnceLock;

use mysql_async::Conn;
use mysql_async::prelude::*;
use tokio::sync::watch;

/// The server that the running parts have begun with: every connection of theirs must be to that one.
///
/// A primary that failed over answers at the address of the old one, perhaps with fewer transactions. A lane that went on there
/// would apply what comes next without what comes before, so nobody goes on: the region begins anew.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    uuid: OnceLock<String>,
    /// Host and port.
    address: OnceLock<(String, u16)>,
    replaced: watch::Sender<bool>,
}

impl Claimed {
    /// From now on it is the server that `conn` is connected to, and has this UUID.
    pub(crate) fn claim(&self, conn: &Conn, uuid: String) {
        let _ = self.address.set((conn.opts().ip_or_hostname().to_owned(), conn.opts().tcp_port()));
        let _ = self.uuid.set(uuid);
    }

    /// Where it is, host and port, once it is claimed.
    pub(crate) fn address(&self) -> Option<&(String, u16)> {
        self.address.get()
    }

    /// Whether a server with this UUID is the claimed one, or none is claimed yet; the error says that it was replaced.
    pub(crate) fn check(&self, uuid: &str) -> Result<(), String> {
        match self.uuid.get() {
            Some(claimed) if claimed != uuid => {
                self.replaced.send_replace(true);
                Err(format!(
                    "another server ({uuid}) answers where {claimed} did: the region begins anew with it"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The same of a new connection. Asks the server only once one is claimed.
    pub(crate) async fn check_connection(&self, conn: &mut Conn) -> Result<(), mysql_async::Error> {
        if self.uuid.get().is_none() {
            return Ok(());
        }
        let uuid: Option<String> = conn.query_first("SELECT @@GLOBAL.server_uuid").await?;
        // Of the kind that is tried again: the process is about to begin anew.
        self.check(&uuid.unwrap_or_default()).map_err(|reason| std::io::Error::other(reason).into())
    }

    /// Waits until another server was met.
    pub(crate) async fn replaced(&self) {
        // The sender is ours, so it is not gone.
        let _ = self.replaced.subscribe().wait_for(|replaced| *replaced).await;
    }
}
