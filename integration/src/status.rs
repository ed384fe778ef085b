//! What `/v1/status` answers, as far as the harness reads it.

use serde::Deserialize;

/// The status of one region.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The region that answered.
    pub region: String,
    /// `running`, `waiting` or `halted`.
    pub state: String,
    /// The reader of this region's binlog.
    pub extractor: Extractor,
    /// One entry per log, this region's own among them.
    pub origins: Vec<Origin>,
    /// The delay of the transactions applied here, in microseconds.
    pub lag_us: Lag,
    /// Whether every history is stable in every region.
    pub stable_everywhere: bool,
}

/// The reader of this region's binlog.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Extractor {
    /// `running`, `connecting` or `halted`.
    pub state: String,
    /// How often the region has begun anew, from 1.
    pub incarnation: u32,
    /// The last sequence number given.
    pub sequence: u64,
    /// The last record number written.
    pub record: u64,
    /// The binlog file being read.
    pub file: String,
    /// Up to which byte of it everything was read.
    pub offset: u64,
    /// The first binlog file that a restart would need; empty while that is not known.
    pub restart_file: String,
    /// How much of the binlog is not read yet, in bytes.
    pub behind_bytes: u64,
    /// Why it halted.
    pub error: Option<String>,
    /// What it waits for.
    pub waiting_for: Option<String>,
}

/// One log as this region sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Whose log it is.
    pub origin: String,
    /// Whether it is this region's own.
    #[serde(rename = "self")]
    pub own: bool,
    /// The last record that is durable here.
    pub durable_record: u64,
    /// The last sequence number applied here.
    pub applied_sequence: u64,
    /// The origin's last sequence number, as far as it is known here.
    pub origin_sequence: u64,
    /// Whether a person paused it.
    pub paused: bool,
    /// The connection that brings it.
    pub link: Link,
    /// The applier of it.
    pub applier: Applier,
    /// Transactions applied since the process started.
    pub transactions_applied: u64,
    /// Conflicts since the process started.
    pub conflicts: u64,
    /// Those in which the arriving write won.
    pub conflicts_won: u64,
}

/// The connection that brings a log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Link {
    /// `connected`, `connecting` or `refused`.
    pub state: String,
    /// Why not connected.
    pub error: Option<String>,
}

/// The applier of one log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Applier {
    /// `running`, `waiting`, `paused` or `halted`.
    pub state: String,
    /// What it waits for.
    pub waiting_for: Option<String>,
    /// Why it halted.
    pub error: Option<String>,
    /// The stable code of that.
    pub code: Option<String>,
}

/// A distribution of delays, in microseconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Lag {
    /// The median.
    pub p50: u64,
    /// Of a hundred, the second longest.
    pub p99: u64,
    /// How many were measured.
    pub count: u64,
}

impl Status {
    /// The log of `origin` as this region sees it.
    pub fn origin(&self, origin: &str) -> Option<&Origin> {
        self.origins.iter().find(|entry| entry.origin == origin)
    }

    /// Up to which sequence number of `origin` this region has applied; 0 if nothing is known.
    pub fn applied(&self, origin: &str) -> u64 {
        self.origin(origin).map_or(0, |entry| entry.applied_sequence)
    }

    /// Everything that says why something is halted or waits.
    pub fn reasons(&self) -> Vec<String> {
        let origins = self.origins.iter().flat_map(|entry| {
            [entry.link.error.clone(), entry.applier.error.clone(), entry.applier.waiting_for.clone()]
        });
        [self.extractor.error.clone(), self.extractor.waiting_for.clone()]
            .into_iter()
            .chain(origins)
            .flatten()
            .collect()
    }
}
