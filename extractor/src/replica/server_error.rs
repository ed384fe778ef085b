//! Errors that the server itself reports, and what each means for a reader of its binlog.

use super::bytes::Bytes;
use super::error::Remedy;
use crate::code;

/// An ERR packet (source: MySQL client protocol, `ERR_Packet`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Error number, such as 1045.
    pub code: u16,
    /// Five characters; empty if the server sent none, as it does before the handshake.
    pub sqlstate: String,
    /// The server's own words.
    pub text: String,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.sqlstate.is_empty() { "before login" } else { &self.sqlstate };
        write!(f, "error {} ({state}): {}", self.code, self.text)?;
        match self.advice().1 {
            "" => Ok(()),
            hint => write!(f, "; {hint}"),
        }
    }
}

const PURGED: &str = "the source no longer has binlogs that are needed: rebuild this region with `concord seed`, then \
                      raise binlog_expire_logs_seconds";
/// What to do about an account that may log in but not read the binlog.
pub(super) const RIGHTS: &str =
    "the account needs REPLICATION SLAVE on *.*: run the statements that `concord grants` prints";
const LOGIN: &str =
    "check user, password and [region.mysql] tls; `concord grants` prints how to create the account";

impl ServerError {
    /// Parses an ERR packet, from its 0xff on. `None` if it is cut short.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let mut input = Bytes(packet);
        if input.u8()? != 0xff {
            return None;
        }
        let code = input.u16()?;
        let sqlstate = match input.0.strip_prefix(b"#") {
            Some(rest) => {
                input.0 = rest;
                String::from_utf8_lossy(input.take(5)?).into_owned()
            }
            None => String::new(),
        };
        Some(Self { code, sqlstate, text: String::from_utf8_lossy(input.0).into_owned() })
    }

    /// What is to be done.
    pub fn remedy(&self) -> Remedy {
        self.advice().0
    }

    /// What is to be done, and in words. An error that is not known here halts: going on might hide a loss.
    fn advice(&self) -> (Remedy, &'static str) {
        use Remedy::{Halt, Retry};
        match self.code {
            // Too many connections, out of memory or threads, shutdown in progress, aborted or timed-out network
            // reads and writes, user limits, killed query or session, offline mode, not available, idle too long.
            1040
            | 1041
            | 1042
            | 1043
            | 1053
            | 1077
            | 1079
            | 1080
            | 1135
            | 1152
            | 1158..=1161
            | 1184
            | 1203
            | 1205
            | 1226
            | 1317
            | 3032
            | 3168
            | 4031 => (Retry, "will retry"),
            1129 => (Retry, "will retry; clear it with TRUNCATE TABLE performance_schema.host_cache"),
            1044 | 1045 | 1698 => (Halt(code::MYSQL_ACCESS_DENIED), LOGIN),
            1130 => (
                Halt(code::MYSQL_ACCESS_DENIED),
                "the account is not allowed from this host; see `concord grants --host`",
            ),
            1820 | 1862 | 3118 => {
                (Halt(code::MYSQL_ACCESS_DENIED), "unlock the account or renew its password")
            }
            1142 | 1143 | 1227 => (Halt(code::MYSQL_MISSING_PRIVILEGE), RIGHTS),
            3159 => (
                Halt(code::MYSQL_TLS),
                "the server takes only encrypted connections: set [region.mysql] tls = \"required\"",
            ),
            1236 | 1789 => self.advice_on_binlog(),
            _ => (Halt(code::MYSQL_ERROR), ""),
        }
    }

    /// 1236 stands for everything that can be wrong with a dump, so only its text tells the cases apart
    /// (texts: `sql/rpl_binlog_sender.cc` and `share/messages_to_clients.txt`, "slave" and "master" up to 8.0.25).
    fn advice_on_binlog(&self) -> (Remedy, &'static str) {
        let text = self.text.to_ascii_lowercase();
        let says = |part: &str| text.contains(part);
        let halt = |code, words| (Remedy::Halt(code), words);
        if says("same server_uuid") {
            let words = "another reader uses this replica UUID or server id: stop it, or set another \
                         [region.mysql] server_id";
            halt(code::DUPLICATE_SERVER_ID, words)
        } else if says("more gtids than") {
            let words = "the source lacks transactions that were read from it before (reset, restored, or a failover \
                         that lost its tail): see the runbook, nothing was skipped";
            halt(code::SOURCE_LOST_TRANSACTIONS, words)
        } else if says("purged") || says("could not find first log file") {
            halt(code::SOURCE_PURGED_BINLOGS, PURGED)
        } else if says("binary log is not open") {
            halt(code::BINLOG_DISABLED, "start the server with log_bin")
        } else if says("anonymous") {
            let words = "a transaction was written without a GTID, so the server sends nothing from there on: set gtid_mode = ON and \
                         enforce_gtid_consistency = ON, then rebuild this region with `concord seed`";
            halt(code::TRANSACTION_WITHOUT_GTID, words)
        } else if says("gtid_mode") {
            halt(code::GTID_MODE_OFF, "set gtid_mode = ON and enforce_gtid_consistency = ON")
        } else if says("max_allowed_packet") {
            halt(code::MAX_ALLOWED_PACKET, "SET PERSIST max_allowed_packet = 1073741824 at the source")
        } else if says("crc") || says("checksum") || says("corrupt") || says("bogus data") {
            halt(code::BINLOG_DAMAGED, "the source cannot read its own binlog: see the runbook")
        } else if says("shutdown") || says("killed") {
            (Remedy::Retry, "will retry")
        } else {
            halt(code::SOURCE_REFUSED_DUMP, "")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use transaction::HaltCode;

    use super::*;

    fn remedy(code: u16, text: &str) -> Remedy {
        ServerError { code, sqlstate: String::new(), text: text.into() }.remedy()
    }

    fn halt(code: &'static str) -> Remedy {
        Remedy::Halt(HaltCode::new(code))
    }

    #[test]
    fn an_err_packet_is_read_with_and_without_an_sqlstate() {
        let with = ServerError::parse(b"\xff\x15\x04#28000Access denied").unwrap();
        assert_eq!((with.code, with.sqlstate.as_str(), with.text.as_str()), (1045, "28000", "Access denied"));
        let without = ServerError::parse(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!((without.code, without.sqlstate.as_str()), (1040, ""));
        for cut in [&b"\xff"[..], b"\xff\x15", b"\xff\x15\x04#280", b"\x00\x00\x00"] {
            assert_eq!(ServerError::parse(cut), None);
        }
    }

    #[test]
    fn what_passes_by_itself_is_retried_and_what_needs_a_person_halts() {
        let cases = [
            (1040, "Too many connections", Remedy::Retry),
            (1053, "Server shutdown in progress", Remedy::Retry),
            (1045, "Access denied for user", halt("mysql-access-denied")),
            (1227, "Access denied; you need REPLICATION SLAVE", halt("mysql-missing-privilege")),
            (3159, "Connections using insecure transport are prohibited", halt("mysql-tls")),
            (
                1236,
                "Cannot replicate because the source purged required binary logs.",
                halt("source-purged-binlogs"),
            ),
            (
                1236,
                "Could not find first log file name in binary log index file",
                halt("source-purged-binlogs"),
            ),
            (
                1236,
                "A replica with the same server_uuid/server_id as this replica has connected to the source",
                halt("duplicate-server-id"),
            ),
            (1236, "Binary log is not open", halt("binlog-disabled")),
            (1236, "Replica has more GTIDs than the source has", halt("source-lost-transactions")),
            (
                1236,
                "Cannot replicate anonymous transaction when AUTO_POSITION = 1, at file ./binlog.000003, position 248",
                halt("transaction-without-gtid"),
            ),
            (1236, "anything new", halt("source-refused-dump")),
            (9999, "anything new", halt("mysql-error")),
        ];
        for (code, text, expected) in cases {
            assert_eq!(remedy(code, text), expected, "{code} {text}");
        }
    }

    #[test]
    fn a_purged_binlog_names_the_command_that_helps() {
        let error = ServerError {
            code: 1236,
            sqlstate: "HY000".into(),
            text: "the source purged required logs".into(),
        };
        assert!(error.to_string().contains("concord seed"), "{error}");
    }
}
