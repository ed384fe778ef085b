//! What the unit tests of the modules under test ask of the rest of the binary.

pub(crate) mod sample {
    use transaction::record::{Body, Lineage, Record, TransactionBody};
    use transaction::{Context, Epoch, Gtid, Hlc, Incarnation, RecordNumber, Sequence};

    /// A transaction as the log keeps it, committed at `hlc`.
    pub(crate) fn transaction(number: u64, sequence: u64, hlc: u64) -> Vec<u8> {
        let body = TransactionBody {
            context: Context::new(),
            suspended: Default::default(),
            gtid: Gtid::default(),
            commit_us: hlc,
            chunks: 0,
            events: &[],
        };
        let record = Record {
            number: RecordNumber(number),
            sequence: Sequence(sequence),
            hlc: Hlc(hlc),
            lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
            event_checksums: false,
            body: Body::Transaction(body),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes
    }
}
