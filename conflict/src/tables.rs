//! What is known of tables as a whole: who wrote to them last, and which DDL changed them.
//!
//! A statement that drops or converts is a write on every key of its tables, which no list of keys can hold. So concurrency with
//! it is found by table: by the last write of each region there, and by the statements themselves, of which there are few.

use std::collections::{BTreeMap, HashMap};

use transaction::ddl::{DdlStatement, Object, ObjectKind};
use transaction::{Context, RegionName, Sequence};

/// Writes and DDL statements by table, of all regions.
#[derive(Debug, Default)]
pub struct TableHistories {
    written: HashMap<String, HashMap<String, BTreeMap<RegionName, Sequence>>>,
    statements: Vec<DdlWrite>,
}

/// A DDL statement that a region ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlWrite {
    /// Where it first ran.
    pub origin: RegionName,
    /// Its transaction.
    pub sequence: Sequence,
    /// What it changed.
    pub objects: Vec<Object>,
    /// See [`DdlStatement::loses`].
    pub loses: bool,
    /// How it begins, for messages.
    pub start: String,
}

/// What a DDL statement and something else did without having seen each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableClash {
    /// A transaction wrote to the table that the statement drops or converts.
    Write {
        /// The table.
        table: Object,
        /// Where it was written.
        origin: RegionName,
        /// The last transaction there that wrote to it.
        sequence: Sequence,
    },
    /// Another statement changed the same thing.
    Ddl(DdlWrite),
}

impl DdlWrite {
    /// The statement of a transaction.
    pub fn new(origin: RegionName, sequence: Sequence, statement: &DdlStatement) -> Self {
        let (objects, loses, start) = (statement.objects.clone(), statement.loses, statement.start());
        Self { origin, sequence, objects, loses, start }
    }

    fn touches(&self, object: &Object) -> bool {
        self.objects.iter().any(|own| own == object || holds(own, object) || holds(object, own))
    }
}

/// Whether `schema` is the schema of `object`.
fn holds(schema: &Object, object: &Object) -> bool {
    schema.kind == ObjectKind::Schema && schema.schema == object.schema
}

impl TableHistories {
    /// Takes note that a transaction writes to a table.
    pub fn wrote(&mut self, schema: &str, table: &str, origin: RegionName, sequence: Sequence) {
        if let Some(last) = self.written.get_mut(schema).and_then(|tables| tables.get_mut(table)) {
            let last = last.entry(origin).or_default();
            *last = sequence.max(*last);
            return;
        }
        let tables = self.written.entry(schema.to_owned()).or_default();
        tables.entry(table.to_owned()).or_default().insert(origin, sequence);
    }

    /// Takes note of a statement; of one that is known already, once.
    pub fn ran(&mut self, statement: DdlWrite) {
        let is_known =
            |known: &DdlWrite| (known.origin, known.sequence) == (statement.origin, statement.sequence);
        if !self.statements.iter().any(is_known) {
            self.statements.push(statement);
        }
    }

    /// The statement of another region that drops or converts a table, and that a write to it had not seen. `context`: what
    /// the write had seen of this table.
    pub fn clash_of_write(
        &self,
        schema: &str,
        table: &str,
        origin: RegionName,
        context: &Context,
    ) -> Option<&DdlWrite> {
        let losing = self.statements.iter().filter(|statement| statement.loses);
        let mut unseen = losing.filter(|statement| is_unseen(statement, origin, context));
        unseen.find(|statement| {
            statement.objects.iter().any(|own| {
                own.schema == schema
                    && match own.kind {
                        ObjectKind::Schema => true,
                        ObjectKind::Table => own.name == table,
                        _ => false,
                    }
            })
        })
    }

    /// What a statement had not seen of that which it changes.
    pub fn clash_of_ddl(
        &self,
        statement: &DdlStatement,
        origin: RegionName,
        context: &Context,
    ) -> Option<TableClash> {
        let unseen = self.statements.iter().filter(|other| is_unseen(other, origin, context));
        if let Some(other) =
            unseen.clone().find(|other| statement.objects.iter().any(|own| other.touches(own)))
        {
            return Some(TableClash::Ddl(other.clone()));
        }
        statement.objects.iter().filter(|_| statement.loses).find_map(|object| {
            let tables = self.written.get(&object.schema)?;
            let mut concerned = tables.iter().filter(|(name, _)| match object.kind {
                ObjectKind::Schema => true,
                ObjectKind::Table => **name == object.name,
                _ => false,
            });
            concerned.find_map(|(name, last)| {
                let unseen = last
                    .iter()
                    .find(|(other, sequence)| **other != origin && !context.covers(**other, **sequence));
                let (schema, name) = (object.schema.clone(), name.clone());
                let table = Object { kind: ObjectKind::Table, schema, name };
                unseen.map(|(origin, sequence)| TableClash::Write {
                    table,
                    origin: *origin,
                    sequence: *sequence,
                })
            })
        })
    }
}

fn is_unseen(statement: &DdlWrite, origin: RegionName, context: &Context) -> bool {
    statement.origin != origin && !context.covers(statement.origin, statement.sequence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn region(name: &str) -> RegionName {
        RegionName::new(name).unwrap()
    }

    fn table(name: &str) -> Object {
        Object { kind: ObjectKind::Table, schema: "d".into(), name: name.into() }
    }

    fn statement(objects: Vec<Object>, loses: bool) -> DdlStatement {
        DdlStatement {
            schema: "d".into(),
            text: b"...".to_vec(),
            session: Default::default(),
            timestamp: 0,
            objects,
            if_exists: false,
            loses,
        }
    }

    fn seen(origin: &str, sequence: u64) -> Context {
        let mut context = Context::new();
        context.set(region(origin), Sequence(sequence));
        context
    }

    #[test]
    fn a_losing_statement_clashes_with_a_write_that_it_had_not_seen() {
        let mut known = TableHistories::default();
        known.wrote("d", "t", region("us"), Sequence(7));
        known.wrote("d", "t", region("us"), Sequence(3));
        let clash = |statement: &DdlStatement, context: &Context| {
            known.clash_of_ddl(statement, region("eu"), context)
        };
        let losing = statement(vec![table("t")], true);
        let write = TableClash::Write { table: table("t"), origin: region("us"), sequence: Sequence(7) };
        assert_eq!(clash(&losing, &seen("us", 6)), Some(write.clone()));
        assert_eq!(clash(&losing, &seen("us", 7)), None);
        assert_eq!(clash(&statement(vec![table("t")], false), &seen("us", 6)), None);
        assert_eq!(clash(&statement(vec![table("u")], true), &seen("us", 6)), None);
        let schema = Object { kind: ObjectKind::Schema, schema: "d".into(), name: String::new() };
        assert_eq!(clash(&statement(vec![schema], true), &seen("us", 6)), Some(write));
        // A region's own writes come before its statement.
        assert_eq!(known.clash_of_ddl(&losing, region("us"), &Context::new()), None);
    }

    #[test]
    fn a_write_clashes_with_a_losing_statement_that_it_had_not_seen() {
        let mut known = TableHistories::default();
        known.ran(DdlWrite::new(region("us"), Sequence(5), &statement(vec![table("t"), table("u")], true)));
        known.ran(DdlWrite::new(region("us"), Sequence(8), &statement(vec![table("v")], false)));
        let clash = |name: &str, origin: &str, context: &Context| {
            known.clash_of_write("d", name, region(origin), context).map(|statement| statement.sequence.0)
        };
        assert_eq!(clash("u", "eu", &seen("us", 4)), Some(5));
        assert_eq!(clash("u", "eu", &seen("us", 5)), None);
        assert_eq!(clash("u", "us", &Context::new()), None);
        assert_eq!(clash("v", "eu", &Context::new()), None);
        assert_eq!(clash("w", "eu", &Context::new()), None);
    }

    #[test]
    fn two_statements_clash_if_neither_had_seen_the_other_whatever_they_do() {
        let mut known = TableHistories::default();
        let first = DdlWrite::new(region("us"), Sequence(5), &statement(vec![table("t")], false));
        known.ran(first.clone());
        known.ran(first.clone());
        assert_eq!(known.statements.len(), 1);
        let other = statement(vec![table("t")], false);
        assert_eq!(known.clash_of_ddl(&other, region("eu"), &seen("us", 4)), Some(TableClash::Ddl(first)));
        assert_eq!(known.clash_of_ddl(&other, region("eu"), &seen("us", 5)), None);
        assert_eq!(
            known.clash_of_ddl(&statement(vec![table("u")], true), region("eu"), &seen("us", 4)),
            None
        );
    }
}
