//! Why a replica connection failed, and what is to be done about it.

use std::io;
use std::time::Duration;

use transaction::HaltCode;

use super::server_error::ServerError;
use crate::code;
use crate::error::Place;

/// What the caller does about a [`ReplicaError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Connect anew after a pause: the cause passes by itself (network, restart of the server).
    Retry,
    /// Stop until a person has acted; the code is stable and is what the runbook is sorted by.
    Halt(HaltCode),
    /// Nothing: the owner of the connection broke it off with an [`Interrupt`](super::Interrupt).
    Stopped,
}

/// Everything that can go wrong between this process and the MySQL server whose binlog it reads.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// No connection could be made.
    #[error(
        "cannot reach MySQL at {peer}: {source}; will retry (check host, port and firewall if this lasts)"
    )]
    Unreachable {
        /// `host:port`.
        peer: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to MySQL at {peer}: {source}; will reconnect")]
    Lost {
        /// `host:port`.
        peer: String,
        /// What the operating system or the TLS layer said.
        source: io::Error,
    },
    /// Nothing came within the timeout in force: no answer, no event, not even a heartbeat.
    #[error("MySQL at {peer} has been silent for {} ms; taking it for dead, will reconnect", after.as_millis())]
    Silent {
        /// `host:port`.
        peer: String,
        /// The timeout.
        after: Duration,
    },
    /// The server ended the stream in good order, as it does when it shuts down.
    #[error("MySQL at {peer} ended the binlog stream at {place}; will reconnect")]
    Ended {
        /// `host:port`.
        peer: String,
        /// Where the stream stood; the file is empty before the first event.
        place: Place,
    },
    /// Another thread broke the connection off.
    #[error("the connection to MySQL was broken off on request")]
    Interrupted,
    /// The server answered with an error packet.
    #[error("MySQL at {peer}: {error}")]
    Server {
        /// `host:port`.
        peer: String,
        /// Code, state, text and remedy.
        error: ServerError,
    },
    /// TLS could not be set up as configured.
    #[error("TLS with MySQL at {peer}: {reason}")]
    Tls {
        /// `host:port`.
        peer: String,
        /// What failed, with the remedy.
        reason: String,
    },
    /// The account uses an authentication method that is not spoken here.
    #[error(
        "MySQL at {peer} asks for authentication by {plugin:?}; give the account caching_sha2_password \
         (ALTER USER … IDENTIFIED WITH caching_sha2_password BY …)"
    )]
    Authentication {
        /// `host:port`.
        peer: String,
        /// Name of the plugin.
        plugin: String,
    },
    /// An option that cannot work.
    #[error("replica option {option}: {reason}")]
    Option {
        /// Name of the field of [`ReplicaOptions`](super::ReplicaOptions).
        option: &'static str,
        /// Why, and what to set instead.
        reason: String,
    },
    /// The server cannot serve as a source as it is configured.
    #[error("MySQL at {peer} cannot be replicated from: {reason}")]
    Unfit {
        /// `host:port`.
        peer: String,
        /// Stable code for [`Remedy::Halt`].
        code: HaltCode,
        /// What is missing, with the remedy.
        reason: String,
    },
    /// Bytes that the protocol does not allow.
    #[error(
        "MySQL at {peer} sent what the protocol does not allow: {reason}; is it a MySQL server of version 8.0 or later?"
    )]
    Protocol {
        /// `host:port`.
        peer: String,
        /// What was wrong.
        reason: String,
    },
    /// An event that is damaged.
    #[error(
        "event of type {event_type} after {place} is damaged: {reason}; run mysqlbinlog --verify-binlog-checksum on \
         that file at the source, and see the runbook before going on"
    )]
    Damaged {
        /// Type code of the event, with its name.
        event_type: String,
        /// The end of the event before it.
        place: Place,
        /// What was wrong.
        reason: String,
    },
}

impl ReplicaError {
    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Silent { .. } | Self::Ended { .. } => {
                Remedy::Retry
            }
            Self::Interrupted => Remedy::Stopped,
            Self::Server { error, .. } => error.remedy(),
            Self::Tls { .. } => Remedy::Halt(code::MYSQL_TLS),
            Self::Authentication { .. } => Remedy::Halt(code::MYSQL_AUTHENTICATION),
            Self::Option { .. } => Remedy::Halt(code::MYSQL_OPTION),
            Self::Unfit { code, .. } => Remedy::Halt(*code),
            Self::Protocol { .. } => Remedy::Halt(code::MYSQL_PROTOCOL),
            Self::Damaged { .. } => Remedy::Halt(code::BINLOG_DAMAGED),
        }
    }
}
