//! How large the next batches of an origin may be after one of them failed. Pure.

use transaction::Sequence;

/// By how much the batches after one that failed are smaller.
const PARTS: usize = 16;

/// Stretches of an origin's log that are tried in smaller batches, each inside the one before it.
///
/// In the end the transaction that fails goes alone, so that a halt names it, and only its rows are settled; the others of
/// its batch go on together.
#[derive(Debug, Default)]
pub(super) struct Narrow(Vec<(Sequence, usize)>);

impl Narrow {
    /// A batch of `count` transactions, the last of which is `last`, failed.
    pub(super) fn failed(&mut self, last: Sequence, count: usize) {
        self.0.push((last, (count / PARTS).max(1)));
    }

    /// The most transactions for the next batch after `reach`; `None` if nothing has failed there.
    pub(super) fn transactions_max(&mut self, reach: Sequence) -> Option<usize> {
        while self.0.last().is_some_and(|(last, _)| *last <= reach) {
            self.0.pop();
        }
        self.0.last().map(|(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_fails_is_found_and_all_others_go_together() {
        const LAST: u64 = 1000;
        const FAILING: u64 = 777;
        let (mut narrow, mut reach, mut tries) = (Narrow::default(), 0, 0);
        let mut alone = 0;
        while reach < LAST {
            let count = narrow
                .transactions_max(Sequence(reach))
                .unwrap_or(LAST as usize)
                .min((LAST - reach) as usize);
            let last = reach + count as u64;
            tries += 1;
            if count > 1 && (reach + 1..=last).contains(&FAILING) {
                narrow.failed(Sequence(last), count);
            } else {
                alone += usize::from(count == 1);
                reach = last;
            }
        }
        assert!(tries < 50 && alone < 8, "{tries} {alone}");
        assert_eq!(narrow.transactions_max(Sequence(LAST)), None);
    }
}
