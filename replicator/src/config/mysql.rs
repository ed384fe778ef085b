//! `[region.mysql]`: how to reach the region's MySQL primary.

use std::path::PathBuf;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::error::Flaw;
use super::{Address, ConfigError, Secret};

/// The variable that may hold the password.
const PASSWORD_VARIABLE: &str = "CONCORD_MYSQL_PASSWORD";

/// The server, the account, and how the connection is protected.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mysql {
    /// Host name or IP address. Default `127.0.0.1`: best is that Concord stands beside the server.
    pub(crate) host: String,
    /// Port. Default 3306.
    pub(crate) port: u16,
    /// Addresses (`host:port`) of the servers that may take its place. Default none: then whatever answers at `host` is the region's. With some,
    /// the one among all of them that takes writes (`read_only = OFF`) is; none or two of them are waited with.
    pub(crate) standbys: Vec<Address>,
    /// Account; `concord grants` prints what it needs. Default `concord`.
    pub(crate) user: String,
    /// File with the password, one line. Without it the environment's CONCORD_MYSQL_PASSWORD counts, else the password
    /// is empty. It is read again at every connection, so that a rotated secret needs no restart.
    pub(crate) password_file: Option<PathBuf>,
    /// How the connection is protected. Default `preferred`.
    pub(crate) tls: TlsMode,
    /// PEM file of the authority that signed the server's certificate; only with `verify`. Without it the public
    /// authorities count.
    pub(crate) ca: Option<PathBuf>,
    /// Id under which the extractor registers as a replica of the server; must differ from every server and replica
    /// around it. Default 0: derived from the names of mesh and region.
    pub(crate) server_id: u32,
}

/// How a connection to MySQL is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TlsMode {
    /// Never TLS.
    Disabled,
    /// TLS when the server offers it, its certificate unchecked: protects from listeners, not from impostors.
    #[default]
    Preferred,
    /// TLS or nothing, the certificate unchecked.
    Required,
    /// TLS, and the certificate must be of a known authority and carry the host's name.
    Verify,
}

/// Whether one connection is to be encrypted; [`TlsMode::Preferred`] tries both, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TLS from the greeting on.
    Tls,
    /// As the server sends it.
    Plain,
}

impl Default for Mysql {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 3306,
            standbys: Vec::new(),
            user: "concord".to_owned(),
            password_file: None,
            tls: TlsMode::default(),
            ca: None,
            server_id: 0,
        }
    }
}

impl Mysql {
    /// `host:port`, for messages.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The region's server as each of its addresses has it.
    fn servers(&self) -> Vec<Mysql> {
        let at = |address: &Address| Mysql {
            host: address.host().to_owned(),
            port: address.port(),
            standbys: Vec::new(),
            ..self.clone()
        };
        let own = Mysql { standbys: Vec::new(), ..self.clone() };
        std::iter::once(own).chain(self.standbys.iter().map(at)).collect()
    }

    /// The password: from the file if one is named, else from the environment, else empty. One newline at the end of
    /// the file is not part of it.
    pub(crate) fn password(&self) -> Result<Secret, ConfigError> {
        match &self.password_file {
            Some(file) => Secret::read("region.mysql.password_file", file),
            None => Ok(Secret(std::env::var(PASSWORD_VARIABLE).unwrap_or_default())),
        }
    }

    pub(super) fn judge(&self) -> Result<(), Flaw> {
        if self.host.is_empty() || self.host.chars().any(char::is_whitespace) {
            return Err(Flaw::new(
                &["region", "mysql", "host"],
                format!("{:?} is no host", self.host),
                "write a host name or an IP address, without the port".to_owned(),
            ));
        }
        if self.port == 0 {
            return Err(Flaw::new(
                &["region", "mysql", "port"],
                "0 is no port".to_owned(),
                "write the server's port, most often 3306".to_owned(),
            ));
        }
        if self.ca.is_some() && self.tls != TlsMode::Verify {
            return Err(Flaw::new(
                &["region", "mysql", "ca"],
                "an authority is named, but only tls = \"verify\" would ask it".to_owned(),
                "set tls = \"verify\", or remove ca".to_owned(),
            ));
        }
        Ok(())
    }
}

/// What `mysql_async` needs to connect once over `transport`. Reads the password anew.
///
/// Always TCP: a driver that moves to the server's socket by itself would go past what `tls` asks for.
pub(crate) fn mysql_options(mysql: &Mysql, transport: Transport) -> Result<Opts, ConfigError> {
    let password = mysql.password()?;
    let tls = match transport {
        Transport::Plain => None,
        Transport::Tls if mysql.tls == TlsMode::Verify => {
            let mut tls = SslOpts::default();
            if let Some(ca) = &mysql.ca {
                let pem = std::fs::read(ca).map_err(|source| ConfigError::Named {
                    key: "region.mysql.ca",
                    file: ca.clone(),
                    source,
                })?;
                tls = tls.with_root_certs(vec![pem.into()]).with_disable_built_in_roots(true);
            }
            Some(tls)
        }
        Transport::Tls => Some(
            SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
    };
    let options = OptsBuilder::default()
        .ip_or_hostname(mysql.host.clone())
        .tcp_port(mysql.port)
        .user(Some(mysql.user.clone()))
        .pass(Some(password.reveal().to_owned()))
        .ssl_opts(tls)
        .prefer_socket(false)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(10)))
        .connect_attribute("program_name", "concord");
    Ok(options.into())
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// A file that the configuration names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server or the network.
    #[error(transparent)]
    Mysql(#[from] mysql_async::Error),
}

/// How long one of several servers may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(3);

/// Connects to the region's server; of several, to the one that takes writes.
pub(crate) async fn connect(mysql: &Mysql) -> Result<(Conn, Transport), ConnectError> {
    if mysql.standbys.is_empty() {
        return connect_to(mysql).await;
    }
    let mut all = JoinSet::new();
    for server in mysql.servers() {
        all.spawn(async move {
            let address = server.address();
            let answer = tokio::time::timeout(ANSWER_BOUND, async {
                let (mut conn, transport) = connect_to(&server).await?;
                let read_only: Option<bool> = conn.query_first("SELECT @@GLOBAL.read_only").await?;
                Ok::<_, ConnectError>((conn, transport, read_only.unwrap_or(true)))
            });
            (address, answer.await)
        });
    }
    let (mut primaries, mut others) = (Vec::new(), Vec::new());
    while let Some(ended) = all.join_next().await {
        match ended {
            Ok((address, Ok(Ok((conn, transport, false))))) => primaries.push((address, conn, transport)),
            Ok((address, Ok(Ok((.., true))))) => others.push(format!("{address} takes no writes")),
            // A file that cannot be read is the same for all.
            Ok((_, Ok(Err(error @ ConnectError::Config(_))))) => return Err(error),
            Ok((address, Ok(Err(error)))) => others.push(format!("{address}: {error}")),
            Ok((address, Err(_))) => others.push(format!("{address} does not answer")),
            Err(error) => others.push(error.to_string()),
        }
    }
    others.sort();
    let reason = match (primaries.pop(), primaries.as_slice()) {
        (Some((_, conn, transport)), []) => return Ok((conn, transport)),
        (None, _) => format!("none of its servers takes writes: {}", others.join("; ")),
        (Some((one, ..)), [(other, ..), ..]) => format!(
            "{one} and {other} both take writes: fence the old primary (SET GLOBAL super_read_only = ON, or stop it)"
        ),
    };
    // Of the kind that is tried again.
    Err(mysql_async::Error::from(std::io::Error::other(reason)).into())
}

/// Connects as `tls` asks: encrypted, plain, or encrypted if the server can. Waits as long as the system does.
async fn connect_to(mysql: &Mysql) -> Result<(Conn, Transport), ConnectError> {
    let used = mysql.password()?;
    match log_in(mysql).await {
        // It was rotated since it was read.
        Err(ConnectError::Mysql(mysql_async::Error::Server(error)))
            if error.code == ACCESS_DENIED && mysql.password()?.reveal() != used.reveal() =>
        {
            log_in(mysql).await
        }
        outcome => outcome,
    }
}

/// What a server says to a wrong password.
const ACCESS_DENIED: u16 = 1045;

async fn log_in(mysql: &Mysql) -> Result<(Conn, Transport), ConnectError> {
    let first = if mysql.tls == TlsMode::Disabled { Transport::Plain } else { Transport::Tls };
    match Conn::new(mysql_options(mysql, first)?).await {
        Ok(conn) => Ok((conn, first)),
        Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer))
            if mysql.tls == TlsMode::Preferred =>
        {
            let conn = Conn::new(mysql_options(mysql, Transport::Plain)?).await?;
            Ok((conn, Transport::Plain))
        }
        Err(error) => Err(error.into()),
    }
}
