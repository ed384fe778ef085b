//! Conflicts by table, kind, rule and winner, counted as they are written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use applier::journal::{Entry, Kind, Winner};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use transaction::RegionName;

/// How many tables, and how many rules, have a label of their own; those that come later share one.
const VALUES_MAX: usize = 200;

/// The label of what has none of its own.
const OTHER: &str = "other";

/// How many conflicts were written down since the process began. Memory is bounded: so is each label.
#[derive(Debug, Default)]
pub(crate) struct ConflictCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    tables: BTreeSet<String>,
    policies: BTreeSet<String>,
    counts: BTreeMap<Labels, u64>,
}

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    origin: RegionName,
    table: String,
    kind: Kind,
    policy: String,
    winner: Winner,
    detect_only: bool,
}

impl ConflictCounts {
    /// Counts one.
    pub(crate) fn note(&self, entry: &Entry) {
        let mut counts = self.0.lock();
        let table = bounded(&mut counts.tables, format!("{}.{}", entry.schema, entry.table));
        let policy = bounded(&mut counts.policies, entry.policy.clone());
        let labels = Labels {
            origin: entry.incoming.origin,
            table,
            kind: entry.kind,
            policy,
            winner: entry.winner,
            detect_only: entry.detect_only,
        };
        *counts.counts.entry(labels).or_default() += 1;
    }

    /// How many of all.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.0.lock().counts.values().sum()
    }

    /// As metrics: one family.
    pub(super) fn collector(self: &Arc<Self>) -> Box<dyn Collector> {
        Box::new(Family(self.clone()))
    }
}

/// The value itself while there is room for it, or if it has a label already.
fn bounded(known: &mut BTreeSet<String>, value: String) -> String {
    if known.contains(&value) {
        return value;
    }
    if known.len() >= VALUES_MAX {
        return OTHER.to_owned();
    }
    known.insert(value.clone());
    value
}

#[derive(Debug)]
struct Family(Arc<ConflictCounts>);

impl Collector for Family {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.0.lock().counts.clone();
        if counts.is_empty() {
            return Ok(());
        }
        let help = "Conflicts written to the journal since the process began, by origin of the arriving write, table, kind, rule and winner.";
        let mut family = encoder.encode_descriptor("conflicts_found", help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            let labels = [
                ("origin", labels.origin.to_string()),
                ("table", labels.table),
                ("kind", labels.kind.to_string()),
                ("policy", labels.policy),
                ("winner", labels.winner.to_string()),
                ("detect_only", labels.detect_only.to_string()),
            ];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
        }
        Ok(())
    }
}
