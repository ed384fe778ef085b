//! How to reach the server, and as whom.

use std::fmt;
use std::time::Duration;

use super::error::ReplicaError;

/// Whether the connection is encrypted, and whose certificate is taken. Mirrors the server's own `--ssl-mode` values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Never encrypted.
    Disabled,
    /// Encrypted if the server offers it; no certificate is checked, so an attacker in the path is not kept out.
    #[default]
    Preferred,
    /// Always encrypted; no certificate is checked, so an attacker in the path is not kept out.
    Required,
    /// Always encrypted, and the server's certificate must be signed by an authority in `ca`.
    Verify {
        /// One or more certificates in PEM form; without it the public authorities count.
        ca: Option<Vec<u8>>,
        /// Whether the certificate must also name the host. MySQL's self-made certificates do not.
        hostname: bool,
    },
}

/// Everything a [`ReplicaConnection`](super::ReplicaConnection) needs to know.
#[derive(Clone)]
pub struct ReplicaOptions {
    /// Host name or address.
    pub host: String,
    /// TCP port; default 3306.
    pub port: u16,
    /// Account; needs REPLICATION SLAVE.
    pub user: String,
    /// Password of the account, empty for none. Not shown by `Debug`.
    pub password: String,
    /// The id under which this reader is known to the server; not 0, and unlike that of any server or other reader.
    pub server_id: u32,
    /// The UUID under which this reader is known to the server, in text form. The server ends the stream of an
    /// earlier reader with the same UUID, which rids it of half-open ones after a reconnect.
    pub replica_uuid: String,
    /// How often the server sends a sign of life while it has no events; default 1 s.
    pub heartbeat: Duration,
    /// Silence after which the server is taken for dead; must exceed `heartbeat`; default 5 s. While the server reads one
    /// event from its disk it sends nothing, so this must also exceed that time for its largest event (up to 1 GiB).
    pub read_timeout: Duration,
    /// Bound for the TCP connection and for each step of the handshake; default 5 s.
    pub connect_timeout: Duration,
    /// Encryption.
    pub tls: TlsMode,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 3306,
            user: String::new(),
            password: String::new(),
            server_id: 0,
            replica_uuid: String::new(),
            heartbeat: Duration::from_secs(1),
            read_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            tls: TlsMode::default(),
        }
    }
}

impl fmt::Debug for ReplicaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaOptions")
            .field("peer", &self.peer())
            .field("user", &self.user)
            .field("server_id", &self.server_id)
            .field("replica_uuid", &self.replica_uuid)
            .field("heartbeat", &self.heartbeat)
            .field("read_timeout", &self.read_timeout)
            .finish_non_exhaustive()
    }
}

impl ReplicaOptions {
    /// `host:port`, for messages.
    pub(super) fn peer(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Refuses what cannot work, before a port is opened.
    pub(super) fn check(&self) -> Result<(), ReplicaError> {
        let refuse = |option, reason: &str| Err(ReplicaError::Option { option, reason: reason.into() });
        if self.server_id == 0 {
            return refuse("server_id", "must not be 0; derive it from the names of mesh and region");
        }
        let uuid: Result<transaction::Uuid, _> = self.replica_uuid.parse();
        if uuid.is_err() {
            return refuse("replica_uuid", "must be a UUID in text form");
        }
        // The server's own range for the period (sql/rpl_replica.h, SLAVE_MAX_HEARTBEAT_PERIOD) ends far beyond an hour.
        if self.heartbeat < Duration::from_millis(1) || self.heartbeat > Duration::from_secs(3600) {
            return refuse("heartbeat", "must lie between 1 ms and 1 h");
        }
        if self.read_timeout <= self.heartbeat {
            return refuse(
                "read_timeout",
                "must exceed the heartbeat period, else an idle server is taken for dead",
            );
        }
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "must not be 0");
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options() -> ReplicaOptions {
        let replica_uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562".into();
        ReplicaOptions { server_id: 7, replica_uuid, password: "hush".into(), ..Default::default() }
    }

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        options().check().unwrap();
        let bad = [
            ("server_id", ReplicaOptions { server_id: 0, ..options() }),
            ("replica_uuid", ReplicaOptions { replica_uuid: "x".into(), ..options() }),
            ("heartbeat", ReplicaOptions { heartbeat: Duration::ZERO, ..options() }),
            ("read_timeout", ReplicaOptions { read_timeout: Duration::from_secs(1), ..options() }),
        ];
        for (name, options) in bad {
            let error = options.check().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", options()).contains("hush"));
    }
}
