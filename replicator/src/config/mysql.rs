//! `[region.mysql]`: how to reach the region's MySQL primary.

use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};
use serde::Deserialize;

use super::error::Flaw;
use super::{ConfigError, Secret};

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

/// Connects as `tls` asks: encrypted, plain, or encrypted if the server can. Waits as long as the system does.
pub(crate) async fn connect(mysql: &Mysql) -> Result<(Conn, Transport), ConnectError> {
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
