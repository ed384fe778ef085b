//! A connection on which SQL can still be asked; it becomes a [`BinlogStream`].

use transaction::HaltCode;

use super::auth::{Authentication, Refusal, Step};
use super::channel::Channel;
use super::error::ReplicaError;
use super::handshake::Greeting;
use super::options::{ReplicaOptions, TlsMode};
use super::query::{Row, query};
use super::socket::Interrupt;
use super::stream::BinlogStream;
use super::tls;
use crate::code;

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `@@version`, such as `9.7.4`.
    pub version: String,
    /// `@@global.server_id`.
    pub server_id: u32,
    /// `@@global.server_uuid`, in text form.
    pub uuid: String,
}

/// A connection to a server that can serve as a source.
pub struct ReplicaConnection {
    channel: Channel,
    options: ReplicaOptions,
    server: Server,
}

impl ReplicaConnection {
    /// Connects, logs in, and checks that the server can serve as a source: not MariaDB, `log_bin` and `gtid_mode` on,
    /// another server id and UUID than this reader's.
    pub fn connect(options: &ReplicaOptions) -> Result<Self, ReplicaError> {
        options.check()?;
        let mut channel =
            Channel::connect(&options.host, options.port, options.peer(), options.connect_timeout)?;
        let greeting = Greeting::parse(channel.receive()?).map_err(|reason| channel.protocol(reason))?;
        if greeting.version.contains("MariaDB") {
            let reason = format!(
                "it is {}; MariaDB's binlog is another format, use MySQL 8.0 or later",
                greeting.version
            );
            return Err(unfit(&channel, code::UNSUPPORTED_SERVER, reason));
        }
        let mut channel = encrypt(channel, &greeting, options)?;
        log_in(&mut channel, &greeting, options)?;
        channel.set_timeout(options.read_timeout)?;
        let server = identify(&mut channel, options)?;
        Ok(Self { channel, options: options.clone(), server })
    }

    /// What the server says of itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Whether the connection is encrypted, which in [`TlsMode::Preferred`] is the server's choice.
    pub fn encrypted(&self) -> bool {
        self.channel.encrypted()
    }

    /// A handle with which another thread can end this connection, also after it has become a stream.
    pub fn interrupt(&self) -> Result<Interrupt, ReplicaError> {
        self.channel.interrupt()
    }

    /// Runs one statement; for small results. Columns come as text, NULL as `None`.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, ReplicaError> {
        query(&mut self.channel, sql)
    }

    /// Asks for every transaction that is not in `executed` (from `GtidSet::to_bytes`), in binlog order, for ever.
    ///
    /// Errors of the server, such as purged binlogs, come with the first event.
    pub fn dump(self, executed: &[u8]) -> Result<BinlogStream, ReplicaError> {
        BinlogStream::open(self.channel, &self.options, executed)
    }
}

fn unfit(channel: &Channel, code: HaltCode, reason: impl Into<String>) -> ReplicaError {
    ReplicaError::Unfit { peer: channel.peer().to_owned(), code, reason: reason.into() }
}

/// Switches to TLS if the options and the server want it.
fn encrypt(
    mut channel: Channel,
    greeting: &Greeting,
    options: &ReplicaOptions,
) -> Result<Channel, ReplicaError> {
    let peer = || options.peer();
    match options.tls {
        TlsMode::Disabled => return Ok(channel),
        TlsMode::Preferred if !greeting.offers_tls() => return Ok(channel),
        TlsMode::Preferred => {}
        TlsMode::Required | TlsMode::Verify { .. } if greeting.offers_tls() => {}
        TlsMode::Required | TlsMode::Verify { .. } => {
            let reason =
                "the server offers none; give it a certificate, or set [region.mysql] tls = \"disabled\""
                    .into();
            return Err(ReplicaError::Tls { peer: peer(), reason });
        }
    }
    let session = tls::session(&options.host, &options.tls)
        .map_err(|reason| ReplicaError::Tls { peer: peer(), reason })?;
    channel.send(&greeting.tls_request())?;
    channel.encrypt(session)
}

fn log_in(channel: &mut Channel, greeting: &Greeting, options: &ReplicaOptions) -> Result<(), ReplicaError> {
    if options.user.contains('\0') || options.password.contains('\0') {
        let reason = "user and password cannot hold a zero byte".into();
        return Err(ReplicaError::Option { option: "user", reason });
    }
    let encrypted = channel.encrypted();
    let mut login = Authentication::new(&greeting.plugin, greeting.nonce, &options.password, encrypted);
    channel.send(&greeting.response(encrypted, &options.user, login.plugin(), &login.proof()))?;
    loop {
        match login.handle(channel.receive()?) {
            Ok(Step::Done) => return Ok(()),
            Ok(Step::Read) => {}
            Ok(Step::Send(bytes)) => channel.send(&bytes)?,
            Err(Refusal::Plugin(plugin)) => {
                return Err(ReplicaError::Authentication { peer: options.peer(), plugin });
            }
            Err(Refusal::Protocol(reason)) => return Err(channel.protocol(reason)),
        }
    }
}

/// Asks the server who it is, and refuses one that cannot serve as a source.
fn identify(channel: &mut Channel, options: &ReplicaOptions) -> Result<Server, ReplicaError> {
    let sql =
        "SELECT @@version, @@global.server_id, @@global.server_uuid, @@global.log_bin, @@global.gtid_mode";
    let mut rows = query(channel, sql)?;
    let mut texts = rows.pop().unwrap_or_default().into_iter().map(|value| {
        let bytes = value.unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut next = || texts.next().unwrap_or_default();
    let (version, server_id, uuid, log_bin, gtid_mode) = (next(), next(), next(), next(), next());
    let Ok(server_id) = server_id.parse() else {
        return Err(channel.protocol(format!("the server id {server_id:?}")));
    };
    if log_bin != "1" {
        return Err(unfit(channel, code::BINLOG_DISABLED, "it writes no binlog; start it with log_bin"));
    }
    if gtid_mode != "ON" {
        let reason =
            format!("gtid_mode is {gtid_mode}; set gtid_mode = ON and enforce_gtid_consistency = ON");
        return Err(unfit(channel, code::GTID_MODE_OFF, reason));
    }
    if server_id == options.server_id || uuid.eq_ignore_ascii_case(&options.replica_uuid) {
        let reason = format!(
            "its server id {server_id} and UUID {uuid} must differ from this reader's {} and {}; set another \
             [region.mysql] server_id",
            options.server_id, options.replica_uuid
        );
        return Err(unfit(channel, code::DUPLICATE_SERVER_ID, reason));
    }
    Ok(Server { version, server_id, uuid })
}
