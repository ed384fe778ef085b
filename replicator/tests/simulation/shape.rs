//! What kind of run it is: drawn from the seed.

use super::dice::Dice;
use super::mistake::Mistake;

/// From this table on, tables refer to each other.
const FAMILY: usize = 10;

#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) regions: usize,
    pub(crate) clients: usize,
    /// Transactions of each client.
    pub(crate) transactions: u64,
    /// Most time between two of them.
    pub(crate) think_ms: u64,
    /// Different keys per table.
    pub(crate) keys: u64,
    /// Of a hundred changes of a row that is there, how many delete it.
    pub(crate) deletes: u64,
    /// Which tables clients write, by place.
    pub(crate) tables: Vec<usize>,
    pub(crate) segment_bytes: u64,
    /// Beyond it, histories move to runs.
    pub(crate) history_bytes: usize,
    pub(crate) chunk_len: usize,
    pub(crate) batch_max: usize,
    pub(crate) folds: bool,
    /// Connections over which a region applies.
    pub(crate) lanes: u16,
    pub(crate) latency_ms: u64,
    pub(crate) poll_ms: u64,
    pub(crate) lost_permille: u64,
    /// Most time between two faults; 0 for none.
    pub(crate) fault_ms: u64,
    /// How far clocks may be off, milliseconds.
    pub(crate) skew_ms: i64,
    pub(crate) tags: bool,
    pub(crate) mysqld_crashes: bool,
    /// Tables are suspended and resumed, and transactions passed over.
    pub(crate) suspends: bool,
    /// Primaries are replaced by standbys that were behind.
    pub(crate) failovers: bool,
    /// A disk that loses power may have lost more of a copy than what was not synced.
    pub(crate) disks_lie: bool,
    /// A damaged end of a copy is dropped and sent again.
    pub(crate) forgive_damaged_copies: bool,
}

impl Shape {
    pub(crate) fn new(dice: &Dice, tables: usize) -> Self {
        let mut chosen: Vec<usize> = (0..tables).filter(|_| dice.percent(40)).collect();
        // Parents and children together, or neither.
        let family = dice.percent(40);
        chosen.retain(|place| *place < FAMILY);
        if family {
            chosen.extend(FAMILY..tables);
        }
        if chosen.is_empty() {
            chosen.push(dice.below(tables as u64) as usize);
        }
        Self {
            regions: *dice.pick(&[2, 2, 3, 3, 3, 4]),
            clients: *dice.pick(&[1, 2, 3]),
            transactions: *dice.pick(&[5, 12, 25]),
            think_ms: *dice.pick(&[5, 30, 120, 300]),
            keys: *dice.pick(&[1, 3, 6]),
            deletes: *dice.pick(&[5, 20, 60]),
            tables: chosen,
            segment_bytes: *dice.pick(&[1_000, 4_000, 20_000]),
            history_bytes: *dice.pick(&[2_000, 20_000, 4 << 20]),
            chunk_len: *dice.pick(&[150, 400, 1 << 20, 1 << 20]),
            batch_max: *dice.pick(&[1, 4, 64]),
            folds: dice.percent(75),
            lanes: *dice.pick(&[1, 2, 4]),
            latency_ms: *dice.pick(&[2, 20, 200]),
            poll_ms: *dice.pick(&[3, 20, 100]),
            lost_permille: *dice.pick(&[0, 5, 20]),
            fault_ms: *dice.pick(&[0, 300, 1_000]),
            skew_ms: *dice.pick(&[0, 5, 1_000]),
            tags: dice.percent(50),
            mysqld_crashes: dice.percent(30),
            suspends: dice.percent(40),
            failovers: false,
            disks_lie: false,
            forgive_damaged_copies: true,
        }
    }

    /// In some runs clocks are off by up to an hour, further than a mesh allows. By dice of its own, so that the other seeds play as ever.
    pub(crate) fn perhaps_far_off(&mut self, seed: u64) {
        if Dice::new(seed.wrapping_add(1 << 63)).percent(15) {
            self.skew_ms = 3_600_000;
        }
    }

    /// In some runs standbys take over. By dice of its own, too. What a standby lacks, segments must hold that nobody needs without it; and
    /// tables that were suspended or resumed meanwhile are refused.
    pub(crate) fn perhaps_fails_over(&mut self, seed: u64) {
        self.failovers =
            self.fault_ms > 0 && !self.suspends && Dice::new(seed.wrapping_add(3 << 62)).percent(60);
    }

    /// In some of these runs, disks lie. By dice of its own, and only there, since elsewhere segments that are needed again may be gone.
    pub(crate) fn perhaps_lies(&mut self, seed: u64) {
        self.disks_lie = self.failovers && Dice::new(seed.wrapping_add(5 << 61)).percent(50);
    }

    /// Makes a mistake more likely to matter.
    pub(crate) fn show(&mut self, mistake: Mistake) {
        const DELETES: usize = 3;
        const UNIQUE: usize = 5;
        match mistake {
            Mistake::LostCounts => (self.failovers, self.suspends, self.fault_ms) = (true, false, 500),
            Mistake::ForgottenCopies => {
                (self.failovers, self.suspends, self.fault_ms, self.disks_lie) = (true, false, 300, true);
            }
            Mistake::NoGapLocks => {
                self.tables = vec![DELETES];
                (self.deletes, self.keys, self.clients) = (60, 6, 3);
                // A later write of the row would put it right: there must not always be one.
                (self.transactions, self.think_ms, self.latency_ms) = (6, 10, 100);
                (self.batch_max, self.poll_ms) = (64, 30);
            }
            Mistake::ForgetRepairs => self.tables = vec![UNIQUE],
            _ => {}
        }
    }
}
