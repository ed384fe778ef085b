//! Whether bytes are the records that they are said to be.

use transaction::RecordNumber;
use transaction::record::{self, RecordError};

use crate::contract::RecordBatch;

/// Why a batch is not handed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the batch is empty")]
    Empty,
    #[error("after record {after}: {source}")]
    Record { after: RecordNumber, source: RecordError },
    #[error("record {found} where record {expected} must come")]
    Number { found: RecordNumber, expected: RecordNumber },
    #[error("{found} records where {claimed} were announced")]
    Count { found: u32, claimed: u32 },
}

/// Checks that the batch is what it claims to be and begins with record `expected`, if that is not 0.
pub(crate) fn verify(batch: &RecordBatch, expected: RecordNumber) -> Result<(), BatchError> {
    let mut number = if expected == RecordNumber(0) { batch.first } else { expected };
    if batch.bytes.is_empty() || number == RecordNumber(0) {
        return Err(BatchError::Empty);
    }
    let mut rest = batch.bytes.as_slice();
    let mut found = 0_u32;
    while !rest.is_empty() {
        let after = RecordNumber(number.0.saturating_sub(1));
        let header = record::verify(rest).map_err(|source| BatchError::Record { after, source })?;
        if header.number != number {
            return Err(BatchError::Number { found: header.number, expected: number });
        }
        rest = rest.get(header.record_len()..).unwrap_or_default();
        found = found.saturating_add(1);
        number = RecordNumber(number.0.saturating_add(1));
    }
    if found != batch.count {
        return Err(BatchError::Count { found, claimed: batch.count });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use transaction::record::{Body, Lineage};
    use transaction::{Epoch, Hlc, Incarnation, Record, Sequence};

    use super::*;

    fn batch(numbers: impl IntoIterator<Item = u64>) -> RecordBatch {
        let mut bytes = Vec::new();
        let mut all = Vec::new();
        for number in numbers {
            all.push(number);
            let record = Record {
                number: RecordNumber(number),
                sequence: Sequence(0),
                hlc: Hlc(number),
                lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
                event_checksums: false,
                body: Body::Chunk { index: 0, events: b"events" },
            };
            record.encode(&mut bytes);
        }
        let (first, last) = (RecordNumber(all[0]), RecordNumber(all[all.len() - 1]));
        RecordBatch { bytes, count: all.len() as u32, first, last, durable: last }
    }

    #[test]
    fn dense_records_pass_from_the_expected_number_or_from_any() {
        assert_eq!(verify(&batch(7..10), RecordNumber(7)), Ok(()));
        assert_eq!(verify(&batch(7..10), RecordNumber(0)), Ok(()));
    }

    #[test]
    fn a_gap_a_wrong_start_and_a_wrong_count_are_refused() {
        let number = |found, expected| {
            Err(BatchError::Number { found: RecordNumber(found), expected: RecordNumber(expected) })
        };
        assert_eq!(verify(&batch([7, 9]), RecordNumber(7)), number(9, 8));
        assert_eq!(verify(&batch([7, 7]), RecordNumber(7)), number(7, 8));
        assert_eq!(verify(&batch(7..10), RecordNumber(6)), number(7, 6));
        let mut short = batch(7..10);
        short.count = 4;
        assert_eq!(verify(&short, RecordNumber(7)), Err(BatchError::Count { found: 3, claimed: 4 }));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_or_a_cut_anywhere_is_refused(at in 0_usize..3 * 58, bit in 0..8_u8) {
            let whole = batch(7..10);
            prop_assert_eq!(whole.bytes.len(), 3 * 58);
            let mut flipped = whole.clone();
            flipped.bytes[at] ^= 1_u8 << bit;
            prop_assert!(verify(&flipped, RecordNumber(7)).is_err());
            let mut cut = whole;
            cut.bytes.truncate(at);
            prop_assert!(verify(&cut, RecordNumber(7)).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), count: u32, first: u64) {
            let (first, last) = (RecordNumber(first), RecordNumber(first));
            let batch = RecordBatch { bytes, count, first, last, durable: last };
            prop_assert!(verify(&batch, first).is_err());
        }
    }
}
