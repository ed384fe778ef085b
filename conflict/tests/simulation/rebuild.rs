//! A restart that reads no more of the logs than its histories ask for.

use transaction::Hlc;

use super::change::name;
use super::region::{Logs, Region};
use super::rng::Rng;

impl Region {
    /// The process dies and comes back: what is not stable is read again, and then what histories lack, until nothing is.
    pub(crate) fn restart_frugally(&mut self, logs: &Logs, rng: &mut Rng) {
        self.index = self.empty();
        let ends: Vec<u64> = (0..self.regions)
            .map(|origin| if origin == self.me { self.extracted as u64 } else { self.applied[origin] })
            .collect();
        for (origin, end) in ends.iter().enumerate() {
            if *end > 0 && rng.percent(90) {
                let last = &logs[origin][*end as usize - 1];
                self.observe(origin, &last.seen.clone(), *end);
            }
        }
        // The first that is not read yet, going down.
        let mut from: Vec<u64> = ends.iter().map(|end| end + 1).collect();
        let mut asked: Vec<u64> =
            (0..self.regions).map(|origin| self.index.stable(name(origin)).unwrap().0 + 1).collect();
        loop {
            let mut any = false;
            for origin in 0..self.regions {
                let lower = asked[origin].max(self.kept_from[origin]).min(from[origin]);
                for sequence in lower..from[origin] {
                    any = true;
                    assert!(self.insert(&logs[origin][sequence as usize - 1]));
                }
                from[origin] = lower;
            }
            let Some(lacks) = self.index.lacks().filter(|_| any) else { break };
            for (origin, log) in logs.iter().enumerate() {
                let since = log.iter().find(|commit| Hlc(commit.hlc) >= lacks.hlc);
                let since = since.map_or(u64::MAX, |commit| commit.sequence);
                asked[origin] = lacks.sequence(name(origin)).0.min(since);
            }
        }
        self.read_from[..self.regions].copy_from_slice(&from);
        let all: u64 = (0..self.regions).map(|origin| ends[origin] + 1 - self.kept_from[origin]).sum();
        let read: u64 = (0..self.regions).map(|origin| ends[origin] + 1 - from[origin]).sum();
        self.counts.spared += all - read;
    }
}
