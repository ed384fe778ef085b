//! The rules by which a history becomes a row.
//!
//! # How a policy is added
//!
//! One file below `policy/` with one type that implements [`Policy`], and one line here. (To be chosen in a configuration it
//! needs its name there: `replicator/src/config/policies.rs`.) What a step may do:
//!
//! - It decides from its arguments alone: the row so far, the next write, and its rivals, the writes before it that are
//!   concurrent with it. It may not look at a clock, at the order of arrival, or at which region it runs in. The images
//!   of a write are the same everywhere, so they may be read. It is not shown the rest of the history on purpose:
//!   how much of that is still there depends on how far this region has pruned. That is the first law of SEMANTICS.md.
//! - A write that is concurrent with nothing before it never reaches a step: the fold takes it as it is. So a policy cannot
//!   break the second law. Whatever it does within these bounds, regions converge.
//! - [`Row::As`] gives the row one write's whole image, or its absence. [`Row::Merged`] is a row that no one wrote.
//! - A repair ([`crate::Write::repair`]) is a write like any other, and no one's wish: think of what its removal of a row means
//!   to the policy.
//! - [`Policy::newest_decides`] is an optimisation that must agree with the step; leave it out when in doubt.
//!
//! A worked example, the whole file of a policy for rows that are reserved once (a seat, a name): of concurrent inserts the
//! first one stays, and everything else goes by the last writer.
//!
//! ```
//! use conflict::{FoldError, Policy, Rivals, Row, Version};
//!
//! /// Of concurrent inserts, the first in fold order stays.
//! #[derive(Debug)]
//! pub struct FirstInsert;
//!
//! impl Policy for FirstInsert {
//!     fn name(&self) -> &'static str {
//!         "first-insert"
//!     }
//!
//!     // Whether a write is an insert is seen by its lack of a before image.
//!     fn reads_images(&self) -> bool {
//!         true
//!     }
//!
//!     fn step<'a>(
//!         &self,
//!         row: Row<'a>,
//!         next: Version<'a>,
//!         rivals: Rivals<'a>,
//!     ) -> Result<Row<'a>, FoldError> {
//!         let inserts = |version: &Version<'_>| version.live() && version.before().is_none();
//!         if row.live() && inserts(&next) && rivals.iter().any(|rival| inserts(&rival)) {
//!             return Ok(row);
//!         }
//!         Ok(Row::As(next))
//!     }
//! }
//!
//! # use conflict::*; use transaction::*;
//! // Two regions insert the same key, neither having seen the other.
//! # struct Inserts(Image);
//! # impl Images for Inserts {
//! #     fn before(&self, _: &WriteId) -> Option<&Image> { None }
//! #     fn after(&self, _: &WriteId) -> Option<&Image> { Some(&self.0) }
//! # }
//! # let [eu, us] = ["eu", "us"].map(|name| name.parse::<RegionName>().unwrap());
//! # let key = KeyHash(7);
//! let mut index = Index::new(&[eu, us], eu)?;
//! for (origin, hlc) in [(us, 101), (eu, 100)] {
//!     index.insert(origin, Sequence(1), Hlc(hlc), &Context::new(), &[], [(key, 0, true)])?;
//! }
//! let story = index.story(key)?.unwrap();
//! # let table = binlog::TableMap { table_id: 1, schema: String::new(), table: String::new(), columns: vec![],
//! #     primary_key: vec![], present: vec![], body_after_id: vec![] };
//! # let images = Inserts(Image { table: table.into(), bytes: vec![] });
//! let Outcome::As(place) = fold(&FirstInsert, &story, &images)? else { panic!() };
//! assert_eq!(story.writes[place].write.id.origin, eu);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Then its table goes into SEMANTICS.md, a test of the table into `tests/policies.rs`, and the policy a second time, by values,
//! into `tests/simulation/rule.rs`: from there on ten thousand random schedules hold it against that.

mod columns;
mod deletes;
mod halt;
mod last_writer_wins;
mod region_owned;

use std::fmt;

pub use columns::Columns;
pub use deletes::Deletes;
pub use halt::Halt;
pub use last_writer_wins::LastWriterWins;
pub use region_owned::RegionOwned;
use transaction::binlog::Column;

use crate::fold::{FoldError, Rivals, Row, Version};

/// A step function over a history in fold order. See [the module's text](self) for its obligations.
pub trait Policy: Send + Sync + fmt::Debug {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// What a report says that decided: the name, and the modifier if there is one.
    fn rule(&self) -> String {
        self.name().to_owned()
    }

    /// Whether `step` looks at images at all. If not, a fold may be given [`crate::NoImages`].
    fn reads_images(&self) -> bool;

    /// Whether `step` takes every write as it is, whatever came before: the row is then as the newest write left it.
    ///
    /// It saves telling the story of a row that many wrote; it must agree with `step`.
    fn newest_decides(&self) -> bool {
        false
    }

    /// Why the policy cannot be used for a table with these columns, if it cannot: a column and the reason.
    fn check(&self, columns: &[Column]) -> Result<(), String> {
        let _ = columns;
        Ok(())
    }

    /// The row after `next`, which is concurrent with `rivals`, writes before it.
    fn step<'a>(&self, row: Row<'a>, next: Version<'a>, rivals: Rivals<'a>) -> Result<Row<'a>, FoldError>;
}
