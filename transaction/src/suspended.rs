//! Tables that a region has stopped applying, and how far it is with each.

use crate::{Context, RegionName, Sequence};

/// A table that a region does not apply for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspendedTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// For each other region, the highest sequence number up to which its writes on this table are applied.
    pub applied: Context,
}

/// All suspended tables of a region, sorted by schema and table. Nearly always none.
///
/// While a table is suspended, its region's contexts claim transactions whose writes on this table are held back. So every
/// record that carries a context carries these as well, and a reader takes them into account: see [`Suspended::of_table`] and
/// [`Suspended::claim`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspended(Vec<SuspendedTable>);

impl Suspended {
    /// Whether no table is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &SuspendedTable> {
        self.0.iter()
    }

    /// The table, if it is suspended.
    pub fn get(&self, schema: &str, table: &str) -> Option<&SuspendedTable> {
        let at = self.place(schema, table).ok()?;
        Some(&self.0[at])
    }

    fn place(&self, schema: &str, table: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|known| (known.schema.as_str(), known.table.as_str()).cmp(&(schema, table)))
    }

    /// From here on the table is suspended, or applied further: up to `sequence` of `origin`.
    pub fn set(&mut self, schema: &str, table: &str, origin: RegionName, sequence: Sequence) {
        let at = self.place(schema, table).unwrap_or_else(|at| {
            let (schema, table) = (schema.to_owned(), table.to_owned());
            self.0.insert(at, SuspendedTable { schema, table, applied: Context::new() });
            at
        });
        self.0[at].applied.set(origin, sequence);
    }

    /// From here on the table is applied again.
    pub fn remove(&mut self, schema: &str, table: &str) {
        if let Ok(at) = self.place(schema, table) {
            self.0.remove(at);
        }
    }

    /// What a write on the table had seen, of a transaction with `context`: `None` if the context holds as it is.
    pub fn of_table(&self, schema: &str, table: &str, context: &Context) -> Option<Context> {
        self.get(schema, table).map(|known| lower(context, &known.applied))
    }

    /// What a region with `context` claims to have applied of every table: what it may be counted on for in stability.
    pub fn claim(&self, context: &Context) -> Context {
        self.0.iter().fold(context.clone(), |claim, known| lower(&claim, &known.applied))
    }
}

impl FromIterator<SuspendedTable> for Suspended {
    fn from_iter<T: IntoIterator<Item = SuspendedTable>>(tables: T) -> Self {
        let mut all: Vec<SuspendedTable> = tables.into_iter().collect();
        all.sort_by(|one, other| (&one.schema, &one.table).cmp(&(&other.schema, &other.table)));
        all.dedup_by(|one, other| (&one.schema, &one.table) == (&other.schema, &other.table));
        Self(all)
    }
}

/// The lower of both, entry by entry.
fn lower(one: &Context, other: &Context) -> Context {
    one.iter().map(|(origin, sequence)| (origin, sequence.min(other.get(origin)))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn context(entries: &[(&str, u64)]) -> Context {
        entries.iter().map(|(name, sequence)| (name.parse().unwrap(), Sequence(*sequence))).collect()
    }

    #[test]
    fn a_write_on_a_suspended_table_had_seen_what_was_applied_of_it_and_no_more() {
        let mut suspended = Suspended::default();
        suspended.set("shop", "t", "us".parse().unwrap(), Sequence(5));
        suspended.set("shop", "a", "us".parse().unwrap(), Sequence(7));
        suspended.set("shop", "a", "ap".parse().unwrap(), Sequence(2));
        let full = context(&[("ap", 3), ("us", 9)]);
        assert_eq!(suspended.of_table("shop", "t", &full), Some(context(&[("us", 5)])));
        assert_eq!(suspended.of_table("shop", "a", &full), Some(context(&[("ap", 2), ("us", 7)])));
        assert_eq!(suspended.of_table("shop", "b", &full), None);
        assert_eq!(suspended.claim(&full), context(&[("us", 5)]));
        suspended.remove("shop", "t");
        assert_eq!(suspended.claim(&full), context(&[("ap", 2), ("us", 7)]));
        suspended.remove("shop", "a");
        assert!(suspended.is_empty());
        assert_eq!(suspended.claim(&full), full);
    }
}
