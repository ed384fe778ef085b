//! What `/v1/status` answers: one value that the server gathers from its board and that commands, health and metrics
//! read. Times end in `_us` and are microseconds; fields may be added, none changes its meaning.

mod gather;
mod percentile;
mod reasons;

use serde::{Deserialize, Serialize};
use transaction::{RecordNumber, RegionName, Sequence};

pub(crate) use gather::{at_a_glance, status};
pub(crate) use reasons::{not_ready, reasons};

/// How the region does, as far as it knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The region that answers.
    pub(crate) region: RegionName,
    /// Its mesh.
    pub(crate) mesh: String,
    /// Fingerprint of `[mesh]`, in hexadecimal.
    pub(crate) fingerprint: String,
    /// Version of Concord.
    pub(crate) version: String,
    /// The worst of its parts.
    pub(crate) state: State,
    /// This region's clock when it answered, since 1970.
    #[serde(default)]
    pub(crate) now_us: u64,
    /// Its MySQL.
    pub(crate) server: Server,
    /// The reader of its binlog.
    pub(crate) extractor: Extractor,
    /// One entry per log that it holds, by name, its own among them.
    pub(crate) origins: Vec<Origin>,
    /// Own transactions that its MySQL lacks after a failover, while they come back.
    #[serde(default)]
    pub(crate) lost_tail: Option<LostTail>,
    /// Regions that `[mesh]` declares lost, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lost_regions: Vec<LostRegion>,
    /// Tables that are not applied for now, by name.
    #[serde(default)]
    pub(crate) suspended_tables: Vec<SuspendedTable>,
    /// The history index.
    pub(crate) history: History,
    /// The other regions, by name.
    pub(crate) peers: Vec<Peer>,
    /// From commit at the origin to commit here, over the last commits of all origins.
    pub(crate) lag_us: Lag,
    /// Own transactions that no peer has made durable yet: what would be lost with this machine.
    pub(crate) transactions_not_durable_elsewhere: u64,
    /// Age of the oldest of them, seconds.
    pub(crate) seconds_not_durable_elsewhere: f64,
    /// Whether every history of this region is causally stable, and nothing waits to be applied.
    pub(crate) stable: bool,
    /// Whether that holds in every region, as far as heard.
    pub(crate) stable_everywhere: bool,
}

/// What a primary lacks that took the place of one that had more: applied from the region's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostTail {
    /// The last own transaction that is back.
    pub(crate) applied_sequence: Sequence,
    /// The last one that is to come back.
    pub(crate) end_sequence: Sequence,
    /// How they are applied.
    pub(crate) applier: Applier,
}

/// A region that `[mesh]` declares lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostRegion {
    /// Its name.
    pub(crate) region: RegionName,
    /// Whether all that counts of its log is applied here, so that nothing waits for it.
    pub(crate) settled: bool,
}

/// A table that is not applied for now; the others are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SuspendedTable {
    /// Schema and table.
    pub(crate) table: String,
    /// Why, and what helps.
    pub(crate) reason: String,
    /// Since when, since 1970.
    pub(crate) since_us: u64,
    /// Per origin, the last transaction whose rows in it are applied.
    pub(crate) applied: std::collections::BTreeMap<RegionName, Sequence>,
}

/// The state of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Every part does its work.
    Running,
    /// A part waits, and goes on by itself.
    Waiting,
    /// A part stands still until a person acts.
    Halted,
}

/// The region's MySQL; empty texts until it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    /// Its version.
    pub(crate) version: String,
    /// Its UUID.
    pub(crate) uuid: String,
}

/// The reader of the region's binlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extractor {
    /// What it does.
    pub(crate) state: ExtractorState,
    /// How often this region has begun anew on a primary that did not hold all of its log, from 1; 0 while that is not known.
    #[serde(default)]
    pub(crate) incarnation: u32,
    /// The last sequence number that it gave.
    pub(crate) sequence: Sequence,
    /// The last record that it handed to the log.
    pub(crate) record: RecordNumber,
    /// The last record of the log that is durable.
    pub(crate) durable_record: RecordNumber,
    /// The binlog file that it reads.
    pub(crate) file: String,
    /// Up to which byte of it everything was read.
    pub(crate) offset: u64,
    /// The first binlog file that a restart would need: those before it may be purged. Empty while that is not known.
    #[serde(default)]
    pub(crate) restart_file: String,
    /// How much of the binlog is still to be read, bytes; 0 while that is not known.
    pub(crate) behind_bytes: u64,
    /// Why it halted, and what to do.
    pub(crate) error: Option<String>,
    /// The stable code of that, which the runbook explains.
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// What it waits for, when it is not connected.
    #[serde(default)]
    pub(crate) waiting_for: Option<String>,
}

/// The state of an extractor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExtractorState {
    /// It reads the binlog.
    Running,
    /// It is not connected, and tries.
    Connecting,
    /// A person must act.
    Halted,
}

/// One log, and its application here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Whose log it is.
    pub(crate) origin: RegionName,
    /// Whether it is this region's own. Then what is applied is what was extracted.
    #[serde(rename = "self")]
    pub(crate) own: bool,
    /// The last record received (own log: appended), durable or not.
    pub(crate) received_record: RecordNumber,
    /// The last record that is durable here.
    pub(crate) durable_record: RecordNumber,
    /// The last sequence number held here.
    pub(crate) durable_sequence: Sequence,
    /// The origin's last sequence number, as far as its log has come here.
    pub(crate) origin_sequence: Sequence,
    /// The last sequence number applied here.
    pub(crate) applied_sequence: Sequence,
    /// The last record applied or passed here.
    pub(crate) applied_record: RecordNumber,
    /// From commit at the origin to commit here, of the last transaction applied.
    pub(crate) lag_us: u64,
    /// Whether a person paused it.
    pub(crate) paused: bool,
    /// The connection that brings the log; absent for the own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<Link>,
    /// Who applies it; absent for the own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) applier: Option<Applier>,
    /// Transactions applied since the process started.
    pub(crate) transactions_applied: u64,
    /// Row changes sent since then.
    pub(crate) rows_applied: u64,
    /// Conflicts since then.
    pub(crate) conflicts: u64,
    /// Of these, those that the arriving write won.
    pub(crate) conflicts_won: u64,
    /// The last record that the region which sends the log holds; 0 before one was asked.
    #[serde(default)]
    pub(crate) offered_record: RecordNumber,
    /// Age of the oldest transaction that lies here and is not applied; 0 if there is none.
    #[serde(default)]
    pub(crate) oldest_unapplied_us: u64,
    /// Sum of the lags of all transactions applied since the process started.
    #[serde(default)]
    pub(crate) lag_us_sum: u64,
    /// The first record held; 0 if there is none.
    #[serde(default)]
    pub(crate) first_record: RecordNumber,
    /// Size of the log here.
    #[serde(default)]
    pub(crate) log_bytes: u64,
    /// What it may take.
    #[serde(default)]
    pub(crate) log_quota_bytes: u64,
    /// Why the log could not be looked into for `oldest_unapplied_us` and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log_error: Option<String>,
}

/// The connection that brings a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// How it is.
    pub(crate) state: LinkState,
    /// The region that sends.
    pub(crate) via: Option<RegionName>,
    /// Why it is not connected.
    pub(crate) error: Option<String>,
    /// The stable code of that if a person must act, which the runbook explains.
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// Round trip to that region.
    pub(crate) rtt_us: Option<u64>,
}

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkState {
    /// The log comes.
    Connected,
    /// It is tried again and again.
    Connecting,
    /// It is tried again and again, in vain until a person acts.
    Refused,
}

/// Who applies an origin's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applier {
    /// What it does.
    pub(crate) state: ApplierState,
    /// Whether it knows up to where the origin is applied.
    #[serde(default)]
    pub(crate) has_marker: bool,
    /// What it waits for.
    pub(crate) waiting_for: Option<String>,
    /// Why it halted, and what to do.
    pub(crate) error: Option<String>,
    /// The stable code of that, which the runbook explains.
    #[serde(default)]
    pub(crate) code: Option<String>,
}

/// The state of an applier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApplierState {
    /// It applies what there is.
    Running,
    /// It waits, and goes on by itself.
    Waiting,
    /// A person paused it.
    Paused,
    /// A person must act.
    Halted,
}

/// The history index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    /// Rows with writes that are not yet causally stable.
    pub(crate) keys: u64,
    /// These writes.
    pub(crate) writes: u64,
    /// Their transactions.
    pub(crate) transactions: u64,
    /// Memory held, bytes.
    pub(crate) bytes: u64,
}

/// Another region, as heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) region: RegionName,
    /// The last record of this region's log that is durable there.
    pub(crate) acknowledged_record: RecordNumber,
    /// How far its clock is ahead of ours; absent until it was measured.
    pub(crate) clock_difference_us: Option<i64>,
    /// Its transactions that are not yet causally stable.
    pub(crate) unstable: u64,
    /// Whether it said that all its histories are stable.
    #[serde(default)]
    pub(crate) stable: bool,
    /// When it was last heard, this region's clock, since 1970; 0 for never.
    #[serde(default)]
    pub(crate) heard_us: u64,
    /// Round trip.
    #[serde(default)]
    pub(crate) rtt_us: Option<u64>,
}

/// A distribution of lags, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lag {
    /// Half of the commits took no longer.
    pub(crate) p50: u64,
    /// 99 of 100 took no longer.
    pub(crate) p99: u64,
    /// How many commits were measured.
    pub(crate) count: u64,
}

impl Status {
    /// How many transactions of an origin lie here and are not applied.
    pub(crate) fn behind(origin: &Origin) -> u64 {
        origin.origin_sequence.0.saturating_sub(origin.applied_sequence.0)
    }
}

#[cfg(test)]
pub(crate) mod sample;
