//! DDL of other origins: which statements are run here, and the GTID under which each is.
//!
//! DDL commits by itself, so no marker can commit with it. Its GTID takes the marker's place: each statement runs under a
//! GTID made of its origin and sequence number, and the server itself passes over a GTID that it has executed, and waits while
//! another session has it (both seen). So a statement runs once, whatever dies when; the marker follows in a transaction of its own.

use std::sync::Arc;

use transaction::binlog::{QueryEvent, Statement};
use transaction::ddl::{Object, ObjectKind};
use transaction::{DdlStatement, Gtid, RegionName, Sequence, Source, Tag, Uuid};

use crate::effect::Carries;

/// What to do with a DDL statement in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DdlPolicy {
    /// The origin halts there, until a person has dealt with it.
    Halt,
    /// It is passed over: each region changes its own definitions.
    Ignore,
    /// It is run here too, in its origin's order.
    Replicate,
}

/// The policy of each object: schema and name in, `*` as the name of a whole schema.
pub type DdlPolicies = Arc<dyn Fn(&str, &str) -> DdlPolicy + Send + Sync>;

/// The same policy for everything.
pub fn always(policy: DdlPolicy) -> DdlPolicies {
    Arc::new(move |_, _| policy)
}

/// What is to be done with one statement.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing.
    Ignore,
    /// A person must act; why, and how.
    Halt(String),
    /// It is run.
    Replicate(DdlStatement),
}

/// Judges a statement that is not transaction control. `timestamp`: its event's.
///
/// What is not carried is not run. A statement that is to be run for one of its objects and not for another halts: half of it
/// cannot be run.
pub fn judge(query: &QueryEvent<'_>, timestamp: u32, carries: &Carries, policies: &DdlPolicies) -> Verdict {
    if query.classify() == Statement::Maintenance {
        // Each region does its own.
        return Verdict::Ignore;
    }
    let statement = match DdlStatement::read(query, timestamp) {
        Ok(statement) => statement,
        Err(_) if policies(query.schema, "*") == DdlPolicy::Ignore => return Verdict::Ignore,
        Err(unreadable) => {
            return Verdict::Halt(format!(
                "DDL of which it cannot be told what it changes: {unreadable}. Run it in every region that needs it, then pass \
                 over it here with `concord skip`"
            ));
        }
    };
    let policy = |object: &Object| {
        let name = if object.kind == ObjectKind::Schema { "*" } else { object.name.as_str() };
        match carries(&object.schema, name) {
            true => policies(&object.schema, name),
            false => DdlPolicy::Ignore,
        }
    };
    let has = |wanted| statement.objects.iter().find(|object| policy(object) == wanted);
    match (has(DdlPolicy::Halt), has(DdlPolicy::Replicate), has(DdlPolicy::Ignore)) {
        (Some(object), ..) => Verdict::Halt(format!(
            "DDL on {object}, which halts by [mesh] ddl: {:?}. Run it in every region that needs it, then pass over it here \
             with `concord skip`; or let DDL be replicated: ddl = \"replicate\"",
            statement.start()
        )),
        (None, Some(run), Some(left)) => Verdict::Halt(format!(
            "DDL on {run}, which is replicated, and {left}, which is not (excluded, suspended, or ddl = \"ignore\"): {:?}. \
             Run it in every region that needs it, then pass over it here with `concord skip`",
            statement.start()
        )),
        (None, Some(_), None) => Verdict::Replicate(statement),
        (None, None, _) => Verdict::Ignore,
    }
}

/// The UUIDs under which DDL of other origins runs, by origin: the same in every region of a mesh.
pub type DdlSources = Arc<dyn Fn(RegionName) -> Uuid + Send + Sync>;

/// The GTID under which the statement of a transaction runs. `tags`: whether the server has GTID tags.
pub fn gtid(sources: &DdlSources, origin: RegionName, sequence: Sequence, tags: bool) -> Gtid {
    // A region's name is a tag.
    let tag = if tags { Tag::new(origin.as_str()).unwrap_or_default() } else { Tag::default() };
    Gtid { source: Source { uuid: sources(origin), tag }, number: sequence.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The body of a Query event without session variables.
    fn body(statement: &str) -> Vec<u8> {
        [&[0; 8][..], &[1, 0, 0, 0, 0], b"d\0", statement.as_bytes()].concat()
    }

    fn verdict(statement: &str) -> String {
        let carries: Carries = Arc::new(|_, name| !name.starts_with("tmp"));
        let policies: DdlPolicies = Arc::new(|_, name| match name {
            name if name.starts_with("own") => DdlPolicy::Ignore,
            "stop" => DdlPolicy::Halt,
            _ => DdlPolicy::Replicate,
        });
        match judge(&QueryEvent::decode(&body(statement)).unwrap(), 0, &carries, &policies) {
            Verdict::Ignore => "ignore".into(),
            Verdict::Halt(reason) => reason,
            Verdict::Replicate(statement) => statement.start(),
        }
    }

    #[test]
    fn a_statement_runs_if_everything_that_it_changes_is_replicated() {
        assert_eq!(verdict("DROP TABLE a, b"), "DROP TABLE a, b");
        assert_eq!(verdict("CREATE DATABASE x"), "CREATE DATABASE x");
        assert_eq!(verdict("DROP TABLE own1, tmp2"), "ignore");
        assert_eq!(verdict("OPTIMIZE TABLE a"), "ignore");
        assert!(verdict("DROP TABLE a, own").contains("table d.a, which is replicated, and table d.own"));
        assert!(verdict("DROP TABLE a, own, stop").contains("DDL on table d.stop, which halts"));
        assert!(verdict("ALTER INSTANCE ROTATE INNODB MASTER KEY").contains("cannot be told"));
    }

    #[test]
    fn the_gtid_of_a_statement_names_its_origin_and_number() {
        let sources: DdlSources = Arc::new(|_| Uuid([0x11; 16]));
        let eu = RegionName::new("eu").unwrap();
        let uuid = "11111111-1111-1111-1111-111111111111";
        assert_eq!(gtid(&sources, eu, Sequence(7), true).to_string(), format!("{uuid}:eu:7"));
        assert_eq!(gtid(&sources, eu, Sequence(7), false).to_string(), format!("{uuid}:7"));
    }
}
