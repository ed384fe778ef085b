//! The command line: what can be asked of `concord`, and nothing of how it is answered.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use transaction::{RegionName, Sequence};

use crate::config::Address;

/// The variable that names the configuration file.
pub(crate) const CONFIG_VARIABLE: &str = "CONCORD_CONFIG";

/// The configuration file that is read when nothing names one.
pub(crate) const CONFIG_DEFAULT: &str = "concord.toml";

/// Active-active replication for MySQL: every region takes writes, and every region ends with the same rows.
#[derive(Debug, Parser)]
#[command(name = "concord", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Configuration file [default: $CONCORD_CONFIG, else concord.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The configuration file, and whether someone named it: on the command line, or in the environment.
    pub(crate) fn config_file(&self) -> (PathBuf, bool) {
        let named = self.config.clone().or_else(|| std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
        match named {
            Some(file) => (file, true),
            None => (PathBuf::from(CONFIG_DEFAULT), false),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration for one region
    #[command(
        after_help = "Example:\n  concord init --region eu --peer us=us.example:7400 --link eu.example:7400"
    )]
    Init(InitArgs),
    /// Make a certificate authority and a certificate per region, for mutual TLS between regions
    #[command(after_help = "Example:\n  concord certs --out certs eu us ap")]
    Certs(CertsArgs),
    /// Print the SQL that creates the account with the least privileges that Concord needs
    #[command(after_help = "Example:\n  concord grants --host 10.0.0.% | mysql -uroot -p")]
    Grants(GrantsArgs),
    /// Look whether everything is as `run` needs it; one line each, with the statement that fixes it
    #[command(after_help = "Example:\n  concord check --config /etc/concord/concord.toml")]
    Check(CheckArgs),
    /// Run this region until SIGTERM
    #[command(after_help = "Example:\n  CONCORD_LOG=info concord run --config /etc/concord/concord.toml")]
    Run(RunArgs),
    /// Show how far each origin has come, here
    #[command(after_help = "Example:\n  concord status --json")]
    Status(StatusArgs),
    /// Stop applying here, of one origin or all, or one table; logs go on being received
    #[command(after_help = "Example:\n  concord pause --table shop.stock")]
    Pause(PauseArgs),
    /// Go on applying
    #[command(after_help = "Example:\n  concord resume --table shop.stock --decide newest")]
    Resume(ResumeArgs),
    /// Pass over the next transaction of an origin that cannot be applied: its rows stay as they are here, in every region
    #[command(after_help = "Example:\n  concord skip --origin us --sequence 4711 --suspend")]
    Skip(SkipArgs),
    /// Apply what another region wrote while its clock was further ahead than clock_skew_max, in place of waiting
    #[command(after_help = "Example:\n  concord accept-skew us")]
    AcceptSkew(AcceptSkewArgs),
    /// Wait until every write is known everywhere and no conflict can come any more; needed before the mesh section may change
    #[command(after_help = "Example:\n  concord drain --timeout 5m")]
    Drain(DrainArgs),
    /// Make a standby this region's primary, and let clients in once it holds all that the region's log holds
    #[command(
        after_help = "Example:\n  concord promote db2.example:3306 --user admin --password-file admin.password"
    )]
    Promote(PromoteArgs),
    /// Copy the mesh's tables from another region into this one, so that it joins or rejoins
    #[command(after_help = "Example:\n  concord seed --from eu --yes")]
    Seed(SeedArgs),
    /// Read the transaction log
    #[command(subcommand)]
    Log(LogCommand),
    /// Read the conflict journal, and decide a conflict otherwise
    #[command(subcommand)]
    Conflicts(ConflictsCommand),
}

/// `concord init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Name of this region: a-z, 0-9 and _, such as eu or us_east
    #[arg(long)]
    pub(crate) region: RegionName,
    /// Another region and where its link is reached; repeat for each
    #[arg(long = "peer", value_name = "NAME=HOST:PORT", required = true, value_parser = parse_peer)]
    pub(crate) peers: Vec<(RegionName, Address)>,
    /// Name of the mesh, the same in every region
    #[arg(long, default_value = "shop")]
    pub(crate) mesh_name: String,
    /// Where peers reach this region's link [default: REGION.example:7400, to be corrected]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) link: Option<Address>,
    /// File to write; never overwritten
    #[arg(long, value_name = "FILE", default_value = CONFIG_DEFAULT)]
    pub(crate) out: PathBuf,
}

/// `concord certs`.
#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    /// Folder for ca.pem, ca.key, REGION.pem and REGION.key; an authority that lies there is used again
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// For how many days the regions' certificates are valid
    #[arg(long, default_value_t = 1095, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// Names of the regions
    #[arg(required = true, value_name = "REGION")]
    pub(crate) regions: Vec<RegionName>,
}

/// `concord grants`.
#[derive(Debug, Args)]
pub(crate) struct GrantsArgs {
    /// Name of the account [default: the configuration's, else concord]
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Hosts from which the account may log in
    #[arg(long, default_value = "%")]
    pub(crate) host: String,
    /// Leave out what only `concord seed` needs
    #[arg(long)]
    pub(crate) without_seed: bool,
}

/// `concord check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Warn about a server version that was never tested instead of refusing it
    #[arg(long)]
    pub(crate) untested_server: bool,
}

/// `concord run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run although this server version was never tested
    #[arg(long)]
    pub(crate) untested_server: bool,
    /// Apply what REGION wrote up to its transaction N and no further; stop when that is reached, of each REGION that is named
    #[arg(long, value_name = "REGION=N", value_parser = parse_until)]
    pub(crate) until: Vec<(RegionName, Sequence)>,
}

/// `concord status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `concord pause`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// Only what this region wrote [default: every origin]
    #[arg(long, value_name = "REGION", conflicts_with = "table")]
    pub(crate) origin: Option<RegionName>,
    /// Suspend this table: the others go on, also over a restart, and clients may go on writing it
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub(crate) table: Option<String>,
}

/// `concord resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Only what this region wrote [default: every origin]
    #[arg(long, value_name = "REGION", conflicts_with = "table")]
    pub(crate) origin: Option<RegionName>,
    /// Apply what was held back of this suspended table, then go on with it
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub(crate) table: Option<String>,
    /// How rows are decided that policy halt left open: by the newest write, as they are here, or as what comes says
    #[arg(long, value_name = "RULE", requires = "table", value_parser = ["newest", "here", "incoming"])]
    pub(crate) decide: Option<String>,
}

/// `concord skip`.
#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    /// The region that wrote it
    #[arg(long, value_name = "REGION")]
    pub(crate) origin: RegionName,
    /// Its number in that region's log, as `concord status` names it; only the next one can be skipped
    #[arg(long, value_name = "N", required_unless_present = "gtid", conflicts_with = "gtid")]
    pub(crate) sequence: Option<u64>,
    /// Its GTID
    #[arg(long, value_name = "GTID")]
    pub(crate) gtid: Option<String>,
    /// Decide nothing: hold its tables back, until `concord resume --table`; all others go on
    #[arg(long)]
    pub(crate) suspend: bool,
}

/// `concord accept-skew`.
#[derive(Debug, Args)]
pub(crate) struct AcceptSkewArgs {
    /// The region that wrote it; until its stamps are no longer ahead
    #[arg(value_name = "REGION")]
    pub(crate) origin: RegionName,
}

/// `concord drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Give up after this long
    #[arg(long, default_value = "60s")]
    pub(crate) timeout: crate::config::HumanDuration,
}

/// `concord promote`.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The standby, as host:port; the old primary must be fenced already
    #[arg(value_name = "HOST:PORT")]
    pub(crate) to: Address,
    /// Account there that may do all of this: CONNECTION_ADMIN, SYSTEM_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN, and to grant
    #[arg(long)]
    pub(crate) user: String,
    /// File with its password [default: the environment's CONCORD_MYSQL_PASSWORD]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Give up after this long; clients stay out
    #[arg(long, default_value = "5m")]
    pub(crate) timeout: crate::config::HumanDuration,
}

/// `concord seed`.
#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// Region to copy from
    #[arg(long, value_name = "REGION")]
    pub(crate) from: RegionName,
    /// Do not ask before the tables here are replaced
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seed although this server version was never tested
    #[arg(long)]
    pub(crate) untested_server: bool,
}

/// `concord log`.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// List transactions
    #[command(after_help = "Example:\n  concord log list --origin us --since 15m --table shop.orders")]
    List(LogListArgs),
    /// Show one transaction, its rows decoded
    #[command(after_help = "Example:\n  concord log show 4711 --origin us --sql")]
    Show(LogShowArgs),
    /// Read every record and verify it
    #[command(after_help = "Example:\n  concord log verify --origin us")]
    Verify(LogVerifyArgs),
    /// Take damaged records from another region's copy; `concord run` must not be running here
    #[command(after_help = "Example:\n  concord log repair --origin us --from ap")]
    Repair(LogRepairArgs),
}

/// `concord log list`.
#[derive(Debug, Args)]
pub(crate) struct LogListArgs {
    /// Whose log [default: this region's]
    #[arg(long, value_name = "REGION")]
    pub(crate) origin: Option<RegionName>,
    /// First sequence number
    #[arg(long, value_name = "N")]
    pub(crate) from_sequence: Option<u64>,
    /// How many transactions at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u64,
    /// Only transactions that changed this table
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub(crate) table: Option<String>,
    /// Only from this time on: 2026-01-31T12:00:00Z, or a span such as 15m for that long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Print JSON, one transaction a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `concord log show`.
#[derive(Debug, Args)]
pub(crate) struct LogShowArgs {
    /// Sequence number in the origin's log
    #[arg(value_name = "SEQUENCE", required_unless_present = "gtid", conflicts_with = "gtid")]
    pub(crate) sequence: Option<u64>,
    /// GTID under which the origin committed it
    #[arg(long)]
    pub(crate) gtid: Option<String>,
    /// Whose log [default: this region's]
    #[arg(long, value_name = "REGION")]
    pub(crate) origin: Option<RegionName>,
    /// Print the rows as SQL statements
    #[arg(long, conflicts_with = "json")]
    pub(crate) sql: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `concord log verify`.
#[derive(Debug, Args)]
pub(crate) struct LogVerifyArgs {
    /// Whose log [default: all]
    #[arg(long, value_name = "REGION")]
    pub(crate) origin: Option<RegionName>,
}

/// `concord log repair`.
#[derive(Debug, Args)]
pub(crate) struct LogRepairArgs {
    /// Region to take the records from: the origin itself or any other that holds its log
    #[arg(long, value_name = "REGION")]
    pub(crate) from: RegionName,
    /// Whose log [default: all]
    #[arg(long, value_name = "REGION")]
    pub(crate) origin: Option<RegionName>,
}

/// `concord conflicts`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsCommand {
    /// List conflicts that were found in this region
    #[command(after_help = "Example:\n  concord conflicts list --table shop.* --since 1d")]
    List(ConflictsListArgs),
    /// Explain one: who wrote what, who had seen what, what was decided and why
    #[command(after_help = "Example:\n  concord conflicts show 5e1f03")]
    Show(ConflictsShowArgs),
    /// Write the other row, or given values, into this region's MySQL: an ordinary write, which replicates
    #[command(after_help = "Example:\n  concord conflicts override 5e1f03 --with existing --dry-run")]
    Override(ConflictsOverrideArgs),
}

/// `concord conflicts list`.
#[derive(Debug, Args)]
pub(crate) struct ConflictsListArgs {
    /// Only of tables that match: schema.table with * and ?
    #[arg(long, value_name = "PATTERN")]
    pub(crate) table: Option<filters::Pattern>,
    /// Only of this kind, such as update-update, insert-insert, update-delete, unique, foreign-key
    #[arg(long, value_parser = crate::conflicts::parse_kind)]
    pub(crate) kind: Option<applier::journal::Kind>,
    /// Only found at this time or later: 2026-01-31T12:00:00Z, or a span such as 15m for that long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only found before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only with a write of this region
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<RegionName>,
    /// How many at most, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Print JSON, one conflict a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `concord conflicts show`.
#[derive(Debug, Args)]
pub(crate) struct ConflictsShowArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `concord conflicts override`.
#[derive(Debug, Args)]
pub(crate) struct ConflictsOverrideArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Make the row what this one of the two writes made it
    #[arg(long, value_name = "WRITE", required_unless_present = "set")]
    pub(crate) with: Option<Which>,
    /// Give a column this value, beside --with or alone: text as it is, NULL, or a quoted SQL literal; repeat for more columns
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = parse_set)]
    pub(crate) set: Vec<(String, String)>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write although the row has changed since the conflict
    #[arg(long)]
    pub(crate) yes: bool,
}

/// One of the two writes of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    /// The one that arrived
    Incoming,
    /// The one that was here
    Existing,
}

fn parse_set(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.trim().is_empty() => {
            Ok((column.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("{text:?} gives no column a value: write COLUMN=VALUE")),
    }
}

fn parse_peer(text: &str) -> Result<(RegionName, Address), String> {
    let (name, address) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is no peer: write us=us.example:7400"))?;
    Ok((name.parse().map_err(|e| format!("{e}"))?, address.parse().map_err(|e| format!("{e}"))?))
}

fn parse_until(text: &str) -> Result<(RegionName, Sequence), String> {
    let wrong = || format!("{text:?} names no transaction: write us=4711");
    let (name, number) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.parse().map_err(|e| format!("{e}"))?, Sequence(number.parse().map_err(|_| wrong())?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_that_is_taken() {
        fn examples(command: &clap::Command, found: &mut Vec<(String, Option<String>)>) {
            for sub in command.get_subcommands() {
                if sub.has_subcommands() {
                    examples(sub, found);
                } else {
                    found.push((sub.get_name().to_owned(), sub.get_after_help().map(ToString::to_string)));
                }
            }
        }
        let mut found = Vec::new();
        examples(&Cli::command(), &mut found);
        assert!(found.len() > 10);
        for (name, help) in found {
            let help = help.unwrap_or_else(|| panic!("{name} has no example"));
            let line = help.strip_prefix("Example:\n  ").expect("an example line");
            let words = line.split(' ').take_while(|word| *word != "|").skip_while(|word| *word != "concord");
            Cli::try_parse_from(words).expect(line);
        }
    }

    #[test]
    fn every_form_of_the_manual_is_taken() {
        for line in [
            "init --region eu --peer us=us.example:7400 --mesh-name shop --out concord.toml",
            "certs --out DIR eu us ap",
            "grants --user concord --host %",
            "check --json --config x.toml",
            "--config x.toml run",
            "run --until us=4711 --until ap=3",
            "status --json",
            "pause --origin us",
            "pause --table shop.stock",
            "resume",
            "resume --table shop.stock",
            "skip --origin us --sequence 7",
            "skip --origin us --gtid 21eca99d-e6d3-11f1-93a5-02fc00000001:8 --suspend",
            "drain --timeout 60s",
            "promote db2.example:3306 --user admin --timeout 1m",
            "seed --from us --yes",
            "log list --origin us --from-sequence 3 --limit 5 --table s.t --since 15m --json",
            "log show 5 --sql",
            "log show --gtid 21eca99d-e6d3-11f1-93a5-02fc00000001:8 --origin us --json",
            "log verify --origin us",
            "conflicts list --table shop.* --kind update-update --since 1d --until 2026-01-31 --region us --limit 5 --json",
            "conflicts show 5e1f --json",
            "conflicts override 5e1f --with incoming --dry-run",
            "conflicts override 5e1f --set a=1 --set b=x=y --yes",
        ] {
            Cli::try_parse_from(std::iter::once("concord").chain(line.split(' '))).expect(line);
        }
    }

    #[test]
    fn wrong_usage_ends_with_exit_code_2() {
        for line in [
            "",
            "log show",
            "log show 5 --gtid x",
            "init --region EU",
            "init --region eu --peer us",
            "run --until us",
            "run --until us=last",
            "pause --origin us --table shop.stock",
            "resume --decide newest",
            "skip --sequence 7",
            "skip --origin us",
            "skip --origin us --sequence 7 --gtid x",
            "conflicts list --kind quarrel",
            "conflicts list --table stock",
            "conflicts override 5e1f",
            "conflicts override 5e1f --with both",
            "conflicts override 5e1f --set =1",
            "fly",
        ] {
            let words = std::iter::once("concord").chain(line.split(' ').filter(|word| !word.is_empty()));
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
