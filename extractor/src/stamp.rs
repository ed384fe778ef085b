//! Sequence number, HLC and context of each local transaction: a fold over the binlog in commit order.

use transaction::{Context, Hlc, RegionName, Sequence, Suspended};

use crate::error::Place;

/// The state of the fold. Reading the same binlog from the same state gives the same stamps.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamper {
    /// Transactions of other origins that committed here so far.
    pub context: Context,
    /// Tables of which not all of that was applied.
    pub suspended: Suspended,
    /// The newest stamp seen, those carried by markers included.
    pub last_hlc: Hlc,
    /// The last local transaction or repair.
    pub last_sequence: Sequence,
}

/// What the server holds of what contexts claim. The same, but where a primary that was behind took the place of one that had
/// more: then the claims stand, and the server gets the rest from the logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Of other origins.
    pub context: Context,
    /// Of its own origin, while a tail is missing: up to where the server has it, and where it ends.
    pub tail: Option<(Sequence, Sequence)>,
    /// Up to here in the binlog, number of the file and offset in it, the server may have held less than the rest says.
    pub unsure_until: Option<(u64, u64)>,
}

impl Held {
    /// The lost tail is back up to here.
    pub fn tail_applied(&mut self, sequence: Sequence) {
        self.tail = self.tail.and_then(|(applied, end)| {
            let applied = applied.max(sequence);
            (applied < end).then_some((applied, end))
        });
    }

    /// Of what a client committed at `place` after the own transaction `last`, claiming `claim`: the own transaction before which the
    /// server held all, if it did not hold all that is claimed. Never 0, since a context has no such entry.
    pub fn lacks(&self, claim: &Context, last: Sequence, place: &Place) -> Option<Sequence> {
        let unsure = self.unsure_until.is_some_and(|until| (place.number(), place.offset) <= until);
        let applied = claim.iter().all(|(origin, sequence)| self.context.covers(origin, sequence));
        let own = self.tail.map_or(last, |(applied, _)| applied);
        (unsure || !applied || self.tail.is_some()).then_some(own.next())
    }

    /// What holds of a claim.
    pub fn of(&self, claim: &Context) -> Context {
        let held = claim.iter().map(|(origin, sequence)| (origin, sequence.min(self.context.get(origin))));
        held.collect()
    }
}

/// What the fold gives a local transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp {
    /// Its number.
    pub sequence: Sequence,
    /// Its time.
    pub hlc: Hlc,
    /// What it had before it.
    pub context: Context,
    /// Tables of which it had not all of that.
    pub suspended: Suspended,
}

impl Stamper {
    /// Stamps the next local transaction, or the repairs of the applied transaction that was noted last.
    ///
    /// Repairs take their place in the fold order from what they settle. The time of their record says that it covers what is
    /// before it, as for any record.
    pub fn local(&mut self, commit_us: u64) -> Stamp {
        self.last_hlc = self.last_hlc.tick(commit_us);
        self.last_sequence = self.last_sequence.next();
        Stamp {
            sequence: self.last_sequence,
            hlc: self.last_hlc,
            context: self.context.clone(),
            suspended: self.suspended.clone(),
        }
    }

    /// Takes note of applied work: up to `sequence` of `origin` is committed here now.
    pub fn applied(&mut self, origin: RegionName, sequence: Sequence, hlc: Hlc) {
        self.context.raise(origin, sequence);
        self.last_hlc = self.last_hlc.max(hlc);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_any_own_transaction_lacks_something_as_well() {
        let held = Held { tail: Some((Sequence(0), Sequence(3))), ..Held::default() };
        let place = Place { file: "binlog.000001".to_owned(), offset: 4 };
        let entry = held.lacks(&Context::new(), Sequence(3), &place);
        let mut context = Context::new();
        context.set(RegionName::new("eu").unwrap(), entry.unwrap());
        assert_eq!(context.iter().count(), 1);
        assert_eq!(Held::default().lacks(&Context::new(), Sequence(3), &place), None);
    }

    #[test]
    fn a_local_transaction_is_stamped_after_all_applied_before_it() {
        let us = RegionName::new("us").unwrap();
        let mut stamper = Stamper {
            context: Context::new(),
            suspended: Suspended::default(),
            last_hlc: Hlc(0),
            last_sequence: Sequence(0),
        };
        let first = stamper.local(100);
        stamper.applied(us, Sequence(7), Hlc(5_000));
        let second = stamper.local(200);
        assert_eq!((first.hlc, first.context.get(us)), (Hlc(100), Sequence(0)));
        assert_eq!((second.hlc, second.context.get(us)), (Hlc(5_001), Sequence(7)));
        assert_eq!(second.sequence, Sequence(2));
    }
}
