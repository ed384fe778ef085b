//! `[region.apply]`: how work of other regions is written here.

use filters::Pattern;
use serde::Deserialize;

use super::ByteSize;
use super::error::Flaw;
use super::pattern::WrittenPattern;

/// More connections than this only wait for each other.
const LANES_MAX: u16 = 32;

/// `[region.apply]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Apply {
    /// How many source transactions may share one commit under backlog; 1 to 10,000. Default 256, beyond which the
    /// drain gains little. Larger holds row locks longer. When caught up each transaction commits alone, whatever this says.
    pub(crate) batch_transactions_max: u32,
    /// How many bytes of row events may share one commit; 64 KiB to 16 MiB. Default 4 MiB. Larger costs memory.
    pub(crate) batch_bytes_max: ByteSize,
    /// How many connections write at once; 1 to 32. Default 4. They commit in the order of the origin all the same. Under backlog, each
    /// holds one batch in memory, and the locks of its rows.
    pub(crate) lanes: u16,
    /// Whether the changes that transactions sharing a commit make to one row are written as one. Default true, which about
    /// doubles the drain. With false every change is in this region's own binlog, each row's in their order, for a reader of it that counts them.
    pub(crate) net_changes: bool,
    /// What holds for some tables only. The first entry with a pattern that matches decides.
    pub(crate) table: TableRules,
}

/// `[[region.apply.table]]`, in the order of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<WrittenRule>")]
pub(crate) struct TableRules(Vec<(Vec<Pattern>, bool)>);

/// An entry as it stands in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    tables: Vec<WrittenPattern>,
    net_changes: bool,
}

impl TryFrom<Vec<WrittenRule>> for TableRules {
    type Error = String;

    fn try_from(written: Vec<WrittenRule>) -> Result<Self, String> {
        let judge = |rule: WrittenRule| -> Result<_, String> {
            if rule.tables.is_empty() {
                return Err("without a pattern in tables it is for nothing".into());
            }
            Ok((rule.tables.into_iter().map(|written| written.0).collect(), rule.net_changes))
        };
        let rules = written.into_iter().zip(1..);
        let rules =
            rules.map(|(rule, number)| judge(rule).map_err(|reason| format!("entry {number}: {reason}")));
        Ok(Self(rules.collect::<Result<_, _>>()?))
    }
}

impl Default for Apply {
    fn default() -> Self {
        Self {
            batch_transactions_max: 256,
            batch_bytes_max: ByteSize(4 << 20),
            lanes: 4,
            net_changes: true,
            table: TableRules::default(),
        }
    }
}

impl Apply {
    /// Whether the changes of a table's rows are folded.
    pub(crate) fn folds(&self, schema: &str, table: &str) -> bool {
        let mut rules = self.table.0.iter();
        let found = rules.find(|(tables, _)| tables.iter().any(|pattern| pattern.matches(schema, table)));
        found.map_or(self.net_changes, |(_, net_changes)| *net_changes)
    }

    pub(super) fn judge(&self) -> Result<(), Flaw> {
        let refuse = |key: &str, value: String, bounds: String| {
            Err(Flaw::new(
                &["region", "apply", key],
                format!("{value} is out of range"),
                format!("use {bounds}"),
            ))
        };
        let (bytes, low, high) = (self.batch_bytes_max, ByteSize(64 << 10), ByteSize(16 << 20));
        if bytes < low || bytes > high {
            return refuse("batch_bytes_max", bytes.to_string(), format!("{low} to {high}"));
        }
        let batch = self.batch_transactions_max;
        if !(1..=10_000).contains(&batch) {
            return refuse("batch_transactions_max", batch.to_string(), "1 to 10000".to_owned());
        }
        if !(1..=LANES_MAX).contains(&self.lanes) {
            return refuse("lanes", self.lanes.to_string(), format!("1 to {LANES_MAX}"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_matches_a_table_says_whether_its_changes_fold() {
        let apply: Apply = toml::from_str(
            "[[table]]\ntables = [\"shop.audit\", \"log.*\"]\nnet_changes = false\n\
             [[table]]\ntables = [\"shop.*\"]\nnet_changes = true\n",
        )
        .unwrap();
        let folds = |schema, table| apply.folds(schema, table);
        assert_eq!(
            [folds("shop", "audit"), folds("log", "any"), folds("shop", "item"), folds("x", "y")],
            [false, false, true, true]
        );
        let all_off = Apply { net_changes: false, ..apply };
        assert_eq!([all_off.folds("shop", "item"), all_off.folds("x", "y")], [true, false]);
    }

    #[test]
    fn an_entry_without_tables_or_with_an_unknown_key_is_refused() {
        for text in
            ["tables = []\nnet_changes = false", "tables = [\"a.b\"]", "tables = [\"a.b\"]\nnet = true"]
        {
            assert!(toml::from_str::<Apply>(&format!("[[table]]\n{text}\n")).is_err(), "{text}");
        }
    }
}
