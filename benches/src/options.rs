//! What can be asked of `bench`.

use clap::{Parser, ValueEnum};
use integration::{Error, Result};
use std::path::PathBuf;

/// Concord beside MySQL's own replication: same machine, same data, both durable, rounds in turn.
///
/// Writes report.json and report.md. A missed target is reported and is no failure.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", max_term_width = 100)]
#[command(
    after_help = "Examples:\n  bench --quick\n  bench --only drain,lag --rounds 5\n  bench --only drain --transactions 86000 --rows 100000"
)]
pub struct Options {
    /// Only these groups [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Group>,
    /// A small backlog, fewer rounds and shorter loads, within ten minutes
    #[arg(long)]
    pub quick: bool,
    /// How often each side does the same work [default: 3; 2 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub rounds: Option<u64>,
    /// Transactions of the backlog [default: 86000; 10000 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    pub transactions: Option<u64>,
    /// Rows of each of the eight tables, up to 100000
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
    pub rows: u64,
    /// How long each load of groups lag, source and wan runs, in seconds [default: 30; 10 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(3..=600))]
    pub load_seconds: Option<u64>,
    /// Clients that write the backlog and the loads at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub clients: u64,
    /// Where all randomness begins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder for the report and, while it runs, for the servers [default: `bench` beside the build's output]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A part of the run that can be had alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// A backlog is applied: native replica with 1, 4 and 16 workers, and Concord
    Drain,
    /// The drain beside a blind replay of the same net changes
    Ceiling,
    /// What finding conflicts costs
    Conflict,
    /// What keeping the commit order costs; not with --quick, unless named by --only
    Order,
    /// From commit at the origin to visible at the target, under half of the source's maximum
    Lag,
    /// Reading the binlog into the log, beside mysqlbinlog
    Extract,
    /// Walking over row changes in memory, beside mysql_common and mysql_cdc
    Walk,
    /// The drain again with a backlog of inserts only, where no two transactions change one row
    Insert,
    /// Drains that crowd on few rows, go to few or many tables, or have large or tiny rows; not with --quick, unless named by --only
    Skew,
    /// One transaction of two GiB (a tenth of it with --quick), and the highest memory of all groups of the run
    Memory,
    /// Appending to the log, beside plain writes of the same bytes and beside sled
    Log,
    /// What clients of two writing servers keep of their rate: Concord both ways beside circular replication
    Source,
    /// CPU time and memory of each concord in meshes of 2, 3 and 5 regions; not with --quick, unless named by --only
    Mesh,
    /// What replication adds to the way between two regions 100 ms apart, there and back, without loss and with a little
    Wan,
}

impl Options {
    /// Whether this group is asked for.
    pub fn wants(&self, group: Group) -> bool {
        match self.only.as_slice() {
            [] => !(self.quick && matches!(group, Group::Order | Group::Skew | Group::Mesh)),
            only => only.contains(&group),
        }
    }

    /// Rounds of each measurement.
    pub fn rounds(&self) -> u64 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 3 })
    }

    /// Transactions of the backlog.
    pub fn transactions(&self) -> u64 {
        self.transactions.unwrap_or(if self.quick { 10_000 } else { 86_000 })
    }

    /// Seconds of each load.
    pub fn load_seconds(&self) -> u64 {
        self.load_seconds.unwrap_or(if self.quick { 10 } else { 30 })
    }

    /// The folder of the report, which is made.
    pub fn out(&self) -> Result<PathBuf> {
        let out = match &self.out {
            Some(out) => out.clone(),
            None => {
                let here = std::env::current_exe().map_err(Error::io("find the running program"))?;
                let target = here.ancestors().nth(2);
                target.map_or_else(|| PathBuf::from("bench"), |target| target.join("bench"))
            }
        };
        std::fs::create_dir_all(&out).map_err(Error::io(format!("create {}", out.display())))?;
        out.canonicalize().map_err(Error::io(format!("find {}", out.display())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_help_are_taken() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
        let help = Options::command().render_help().to_string();
        let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  bench ")).collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            Options::try_parse_from(example.split_whitespace()).unwrap();
        }
    }

    #[test]
    fn without_a_choice_every_group_runs() {
        let all = Options::parse_from(["bench"]);
        assert!(Group::value_variants().iter().all(|group| all.wants(*group)));
        let quick = Options::parse_from(["bench", "--quick"]);
        assert!(quick.wants(Group::Drain) && !quick.wants(Group::Skew) && !quick.wants(Group::Mesh));
        let some = Options::parse_from(["bench", "--quick", "--only", "skew"]);
        assert!(some.wants(Group::Skew) && !some.wants(Group::Drain));
        let some = Options::parse_from(["bench", "--quick", "--only", "source,mesh"]);
        assert!(some.wants(Group::Source) && some.wants(Group::Mesh) && !some.wants(Group::Skew));
        let some = Options::parse_from(["bench", "--only", "drain,log"]);
        assert!(some.wants(Group::Drain) && some.wants(Group::Log) && !some.wants(Group::Lag));
    }
}
