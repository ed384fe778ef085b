//! `concord check`: whether everything is as `run` needs it.
//!
//! Facts are gathered first ([`facts`], [`peers`], [`place`]); judging them is pure, one function per check, so that each
//! rule can be read and tested as a table. `run` asks the same [`preflight`] and refuses what is refused there. Peers are
//! not part of it: one that cannot be talked to must not keep a region from serving the others.

mod binlog;
pub(crate) mod certificates;
mod columns;
mod facts;
pub(crate) mod peers;
mod place;
mod policies;
mod privileges;
mod server;
mod tables;

use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;
use transaction::binlog::printable;

use super::Outcome;
use crate::cli::CheckArgs;
use crate::config::{Config, ConnectError};

pub(crate) use facts::ServerFacts;

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// `run` starts, but someone should look.
    Warn,
    /// `run` would refuse to start; of a peer: nothing would be exchanged with it until a person acts.
    Refuse,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What was found; for a refusal, the reason.
    pub(crate) detail: String,
    /// What to do: a statement, a command or a sentence. Empty when nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) remedy: String,
}

impl Check {
    fn new(
        name: &'static str,
        verdict: Verdict,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, verdict, detail: detail.into(), remedy: remedy.into() }
    }

    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, detail, "")
    }

    fn warn(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, detail, remedy)
    }

    fn refuse(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Verdict::Refuse, detail, remedy)
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "OK",
            Verdict::Warn => "WARN",
            Verdict::Refuse => "NO",
        };
        write!(f, "{verdict:<4} {:<30} {}", self.name, printable(&self.detail))?;
        if !self.remedy.is_empty() {
            write!(f, "  fix: {}", printable(&self.remedy))?;
        }
        Ok(())
    }
}

/// What is to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `concord run`.
    Run,
    /// `concord seed`. It replaces the tables, so that the present ones need not fit the policies yet.
    Seed,
}

/// Everything that was looked at before a start.
#[derive(Debug, Clone)]
pub(crate) struct Preflight {
    /// One entry per check, in the order of the report.
    pub(crate) checks: Vec<Check>,
    /// What the server said; `None` while it is away. A server that is away is no refusal: `run` waits for it and asks
    /// again.
    pub(crate) server: Option<ServerFacts>,
}

impl Preflight {
    /// What keeps a command from starting.
    pub(crate) fn refusals(&self, purpose: Purpose) -> impl Iterator<Item = &Check> {
        let matters = move |check: &&Check| purpose == Purpose::Run || check.name != policies::NAME;
        self.checks.iter().filter(|check| check.verdict == Verdict::Refuse).filter(matters)
    }
}

/// Looks at everything of this region. `untested_server` turns the refusal of an unknown server version into a warning.
pub(crate) async fn preflight(config: &Config, untested_server: bool) -> Preflight {
    let server = facts::gather(&config.region.mysql, policies::name_columns(config)).await;
    let mut checks = Vec::new();
    let server = match server {
        Ok(server) => {
            checks.push(Check::ok(
                REACHABLE,
                format!("{} as {}, {}", config.region.mysql.address(), server.account, server.transport),
            ));
            checks.extend(judge_server(config, &server, untested_server));
            Some(server)
        }
        Err(error) => {
            checks.push(unreachable(config, &error));
            None
        }
    };
    checks.extend(place::judge(&place::gather(config), config));
    checks.push(certificates::judge(&config.region.link, config.region.name, SystemTime::now()));
    Preflight { checks, server }
}

/// Judges what the server said. Pure.
pub(crate) fn judge_server(config: &Config, server: &ServerFacts, untested_server: bool) -> Vec<Check> {
    let mut checks = server::judge(server, config, untested_server);
    checks.extend(binlog::judge(server, &config.mesh.tables));
    checks.extend(privileges::judge(server, &config.mesh.tables, config.mesh.ddl.replicates()));
    checks.extend(tables::judge(server, config));
    checks.extend(policies::judge(server, config));
    checks
}

const REACHABLE: &str = "mysql";

/// A server that is away is waited for; one that answers with a refusal will go on doing so.
fn unreachable(config: &Config, error: &ConnectError) -> Check {
    let mysql = &config.region.mysql;
    let at = mysql.address();
    match error {
        ConnectError::Config(error) => Check::refuse(REACHABLE, error.to_string(), "see the reason"),
        ConnectError::Mysql(mysql_async::Error::Server(error))
            if matches!(error.code, 1044 | 1045 | 1698) =>
        {
            Check::refuse(
                REACHABLE,
                format!("{at} refuses account {}: {}", mysql.user, error.message),
                "correct user and password_file (or CONCORD_MYSQL_PASSWORD); `concord grants` prints how to create it",
            )
        }
        ConnectError::Mysql(mysql_async::Error::Server(error)) if matches!(error.code, 1129 | 1130) => {
            Check::refuse(
                REACHABLE,
                format!("{at} refuses this host: {}", error.message),
                "concord grants --host HOST prints the account for it",
            )
        }
        ConnectError::Mysql(mysql_async::Error::Server(error)) if error.code == 3159 => Check::refuse(
            REACHABLE,
            format!("{at} takes only encrypted connections: {}", error.message),
            "tls = \"required\" in [region.mysql], or \"verify\" with ca",
        ),
        ConnectError::Mysql(mysql_async::Error::Driver(error)) => Check::refuse(
            REACHABLE,
            format!("{at}: {error}"),
            "see tls in [region.mysql]: the server must be MySQL and offer what tls asks for",
        ),
        ConnectError::Mysql(mysql_async::Error::Io(error)) => match tls_reason(error) {
            Some(reason) => Check::refuse(
                REACHABLE,
                format!("{at}: TLS: {reason}"),
                "in [region.mysql], name the server's authority as ca and the host as its certificate does, or choose \
                 another tls",
            ),
            None => away(&at, &inner(error)),
        },
        ConnectError::Mysql(error) => away(&at, error),
    }
}

fn away(at: &str, reason: &dyn std::fmt::Display) -> Check {
    Check::warn(
        REACHABLE,
        format!(
            "{at} is away: {reason}; nothing about the server could be checked, and run would wait for it"
        ),
        "start MySQL, or correct host and port in [region.mysql]",
    )
}

/// What TLS has against the server, if that is what an input or output error is about.
fn tls_reason(error: &mysql_async::IoError) -> Option<String> {
    match error {
        mysql_async::IoError::Tls(error) => Some(error.to_string()),
        mysql_async::IoError::Io(error) => {
            error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).map(ToString::to_string)
        }
    }
}

/// The system's own words, without the driver's prefixes.
fn inner(error: &mysql_async::IoError) -> String {
    match error {
        mysql_async::IoError::Io(error) => error.to_string(),
        mysql_async::IoError::Tls(error) => error.to_string(),
    }
}

/// Answers the command: the report, and exit code 1 if anything was refused, or if the server could not be asked.
pub(crate) async fn execute(args: &CheckArgs, config: &Config) -> Outcome {
    let (Preflight { mut checks, server }, peers) =
        tokio::join!(preflight(config, args.untested_server), peers::check(config));
    let of = |checks: &[Check], verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let own = of(&checks, Verdict::Refuse);
    checks.extend(peers);
    let refused = of(&checks, Verdict::Refuse);
    let passed = refused == 0 && server.is_some();
    if args.json {
        let report = serde_json::json!({
            "region": config.region.name,
            "mesh": config.mesh.name,
            "fingerprint": config.mesh.fingerprint(),
            "passed": passed,
            "checks": checks,
        });
        println!("{report:#}");
    } else {
        for check in &checks {
            println!("{check}");
        }
        let warnings = of(&checks, Verdict::Warn);
        let summary = match (own, &server) {
            (0, None) => "the server could not be checked",
            (0, Some(_)) if passed => "run would start",
            (0, Some(_)) => "run would start, but not get on with every peer",
            _ => "run would refuse to start",
        };
        println!(
            "region {}: {} checks, {refused} refused, {warnings} warnings: {summary}",
            config.region.name,
            checks.len()
        );
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
