//! Runs in place of others: merged, and without what may leave a history.

use smallvec::SmallVec;
use transaction::KeyHash;

use super::input::Input;
use super::{Entry, Part, PartWriter, SpilledCursor};
use crate::history::{Chain, History, Member, Members};
use crate::index::Index;
use crate::regions::Origin;
use crate::slab::NONE;
use crate::suffix::Suffix;
use crate::write::Standing;
use crate::{Error, Pruned};

/// So many runs of about the same length become one.
const MERGED: usize = 4;

/// Beyond so many runs, neighbours are merged whatever their lengths.
const RUNS_MAX: usize = 16;

/// A run that is being written in place of others, key by key. These serve until it is complete.
#[derive(Debug)]
pub(crate) struct Rewrite {
    inputs: Vec<Input>,
    writer: PartWriter,
    /// Whether it leaves out what may leave a history, and takes that out of memory as well.
    drops: bool,
    /// How much was stable when the first history was looked at.
    checked: SmallVec<[u64; 4]>,
    /// Histories that pruning came to when they had been judged already: perhaps only memory has writes of them by now.
    again: Vec<KeyHash>,
}

impl Rewrite {
    /// Whether it judges the histories of this part.
    pub(crate) fn is_dropping(&self, part: u64) -> bool {
        self.drops && self.inputs.iter().any(|input| input.part == part)
    }

    fn next_key(&self) -> Option<KeyHash> {
        self.inputs.iter().filter_map(Input::key).min()
    }

    /// Notes that a history is to be judged, if that is not still to come.
    pub(crate) fn meet(&mut self, key: KeyHash) {
        if self.next_key().is_none_or(|next| key < next) && self.again.last() != Some(&key) {
            self.again.push(key);
        }
    }
}

/// What has to stay of one history.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// Where the oldest write that has to stay stands; `None` if all may go.
    pub(crate) cut: Option<Standing>,
    pub(crate) suffix: Suffix,
    /// Chains with writes before the cut.
    pub(crate) shortened: SmallVec<[Chain; 4]>,
}

impl Index {
    /// Goes on writing runs anew, and begins with it where there is reason to.
    pub(crate) fn rewrite(&mut self, keys_max: usize, drops: bool, done: &mut Pruned) -> Result<(), Error> {
        // What was met, and is not judged then, would be forgotten.
        self.rewrite_some(keys_max, drops, done).inspect_err(|error| self.spill.fail(error))
    }

    fn rewrite_some(&mut self, keys_max: usize, drops: bool, done: &mut Pruned) -> Result<(), Error> {
        if self.spill.parts.is_empty() {
            return Ok(());
        }
        while done.keys < keys_max {
            if self.spill.rewrite.is_none() {
                self.spill.rewrite = self.begin_rewrite(drops)?.map(Box::new);
            }
            if self.spill.rewrite.as_ref().is_some_and(|rewrite| rewrite.drops && !drops) {
                return Ok(());
            }
            let Some(mut rewrite) = self.spill.rewrite.take() else { return Ok(()) };
            while let Some(key) = rewrite.next_key() {
                if done.keys >= keys_max {
                    self.spill.rewrite = Some(rewrite);
                    done.more = true;
                    return Ok(());
                }
                done.keys += 1;
                done.writes += self.rewrite_key(&mut rewrite, key)?;
            }
            done.writes += self.replace_parts(*rewrite)?;
        }
        done.more = true;
        Ok(())
    }

    /// Notes that another call of pruning has left parts as they are.
    pub(crate) fn wait(&mut self) {
        for part in &mut self.spill.parts {
            part.waited = part.waited.saturating_add(part.news(&self.stability) + part.met);
        }
    }

    fn begin_rewrite(&mut self, drops: bool) -> Result<Option<Rewrite>, Error> {
        let due = |part: &Part| drops && part.is_due(&self.stability, self.spill.limits.eager);
        let range = match self.spill.parts.iter().position(due) {
            Some(at) => at..at + 1,
            None => match self.mergeable() {
                Some(range) => range,
                None => return Ok(None),
            },
        };
        let Some(runs) = &self.spill.runs else { return Ok(None) };
        let parts = &mut self.spill.parts[range];
        let writes = parts.iter().map(|part| part.writes).sum();
        let writer = PartWriter::new(runs.begin(writes)?, self.regions.len());
        let mut checked: SmallVec<[u64; 4]> =
            (0..self.regions.len()).map(|origin| self.stability.stable(origin as Origin)).collect();
        let mut inputs = Vec::new();
        for part in parts {
            if drops {
                // From now on it counts what turns up behind the place that is reached.
                part.met = 0;
            } else {
                for (least, checked) in checked.iter_mut().zip(&part.checked) {
                    *least = (*least).min(*checked);
                }
            }
            inputs.push(Input::of(part, self.regions.len())?);
        }
        Ok(Some(Rewrite { inputs, writer, drops, checked, again: Vec::new() }))
    }

    /// Neighbours, by age, that are to be merged: some of about the same length, the newest first.
    fn mergeable(&self) -> Option<std::ops::Range<usize>> {
        let parts = &self.spill.parts;
        let all = |range: &std::ops::Range<usize>| -> u64 {
            parts[range.clone()].iter().map(|part| part.writes).sum()
        };
        let most = self.spill.limits.run_writes_max;
        let windows = |len: usize| (0..(parts.len() + 1).saturating_sub(len)).map(move |at| at..at + len);
        let even = windows(MERGED).rev().find(|range| {
            let longest = parts[range.clone()].iter().map(|part| part.writes).max().unwrap_or(0);
            let all = all(range);
            all <= most && 2 * longest <= all
        });
        if even.is_some() || parts.len() <= RUNS_MAX {
            return even;
        }
        windows(2).filter(|range| all(range) <= most).min_by_key(all)
    }

    /// Judges the history of `key` and writes what stays of it in the inputs; returns how many writes left.
    fn rewrite_key(&mut self, rewrite: &mut Rewrite, key: KeyHash) -> Result<usize, Error> {
        let regions = self.regions.len();
        if let Some(entry) = self.take_only_write(rewrite, key)? {
            let goes = rewrite.drops && entry.place.sequence <= self.stability.stable(entry.place.origin);
            if !goes {
                rewrite.writer.push(key, &entry, &self.stability)?;
            }
            return Ok(usize::from(goes));
        }
        let own: Vec<u64> =
            rewrite.inputs.iter().filter(|input| input.key() == Some(key)).map(|input| input.part).collect();
        let mut spilled = Vec::with_capacity(own.len());
        for part in &self.spill.parts {
            let input = rewrite.inputs.iter().find(|input| input.part == part.number);
            match input {
                Some(input) if input.key() == Some(key) => {
                    spilled.push(SpilledCursor::at(part, key, input.place(), regions)?);
                }
                Some(_) => {}
                None if rewrite.drops => spilled.extend(SpilledCursor::find(part, key, regions)?),
                None => {}
            }
        }
        let mut members = Members { chains: [self.chain(key), self.cursor(NONE)], spilled };
        let judgement = if rewrite.drops { Some(self.judge(members.clone())?) } else { None };
        let shortened: Vec<u64> = judgement
            .iter()
            .flat_map(|judgement| &judgement.shortened)
            .filter_map(|chain| match chain {
                Chain::Spilled(at) => Some(members.spilled[*at].part.number),
                Chain::Memory(_) => None,
            })
            .collect();
        let in_memory = judgement.as_ref().is_some_and(|j| j.shortened.contains(&Chain::Memory(0)));

        // From here on the inputs' writes alone, down to the cut.
        members.chains[0].at = NONE;
        members.spilled.retain(|cursor| own.contains(&cursor.part.number));
        let mut left = 0;
        while let Some(member) = members.next()? {
            if judgement.as_ref().is_some_and(|j| j.cut.is_none_or(|cut| member.place < cut)) {
                left += 1;
            } else {
                rewrite.writer.push(key, &member.into_entry()?, &self.stability)?;
            }
        }
        for cursor in members.spilled {
            let (part, end) = (cursor.part, cursor.end()?);
            if let Some(input) = rewrite.inputs.iter_mut().find(|input| input.part == part.number) {
                input.seek(part, end)?;
            }
        }
        for part in &mut self.spill.parts {
            part.met += u64::from(shortened.contains(&part.number) && !own.contains(&part.number));
        }
        if let Some(judgement) = judgement.filter(|_| in_memory) {
            left += self.drop_before(key, judgement.cut);
        }
        Ok(left)
    }

    /// The write of `key` in the inputs, if its history is, or may be treated as if it was, that write alone.
    fn take_only_write(&self, rewrite: &mut Rewrite, key: KeyHash) -> Result<Option<Entry>, Error> {
        let mut own = rewrite.inputs.iter().enumerate().filter(|(_, input)| input.key() == Some(key));
        let (Some((at, input)), None) = (own.next(), own.next()) else { return Ok(None) };
        if !input.is_only() || (rewrite.drops && self.slot(key).is_some()) {
            return Ok(None);
        }
        for part in &self.spill.parts {
            let elsewhere = || rewrite.inputs.iter().all(|input| input.part != part.number);
            if rewrite.drops && elsewhere() && part.run.find(key)?.is_some() {
                return Ok(None);
            }
        }
        let input = &mut rewrite.inputs[at];
        let part = self.spill.parts.iter().find(|part| part.number == input.part);
        match part {
            Some(part) => input.take(part),
            None => Ok(None),
        }
    }

    /// What has to stay of a history.
    pub(crate) fn judge(&self, mut members: Members<'_>) -> Result<Judgement, Error> {
        let mut judgement =
            Judgement { cut: None, suffix: Suffix::new(self.regions.len()), shortened: SmallVec::new() };
        while let Some(Member { place, seen, chain, .. }) = members.next()? {
            let is_stable = place.sequence <= self.stability.stable(place.origin);
            if judgement.suffix.pass(place.origin, place.sequence, &seen, is_stable) {
                judgement.cut = Some(place);
                judgement.shortened.clear();
            } else if !judgement.shortened.contains(&chain) {
                judgement.shortened.push(chain);
            }
        }
        Ok(judgement)
    }

    /// What has to stay of the history of `key`, wherever its writes are.
    pub(crate) fn judge_key(&self, key: KeyHash) -> Result<Judgement, Error> {
        self.judge(History::of(self, None, key)?.members())
    }

    /// Puts the run that is complete in the place of those it was made of; returns how many writes leave memory thereby.
    fn replace_parts(&mut self, rewrite: Rewrite) -> Result<usize, Error> {
        let Rewrite { inputs, writer, drops, checked, again } = rewrite;
        let numbers: Vec<u64> = inputs.iter().map(|input| input.part).collect();
        let made = writer.finish(self.spill.next_part, checked)?;
        self.spill.next_part += 1;
        let parts = &mut self.spill.parts;
        let met: u64 = parts.iter().filter(|part| numbers.contains(&part.number)).map(|part| part.met).sum();
        let waited: u64 =
            parts.iter().filter(|part| numbers.contains(&part.number)).map(|part| part.waited).sum();
        let at = parts.iter().position(|part| numbers.contains(&part.number)).unwrap_or(parts.len());
        parts.retain(|part| !numbers.contains(&part.number));
        if let Some(mut part) = made {
            part.met = met;
            part.waited = if drops { 0 } else { waited };
            parts.insert(at, part);
        }
        let mut left = 0;
        for key in again {
            left += self.prune_history(key)?;
        }
        Ok(left)
    }

    /// Forgets the numbers of transactions that no run has any more, up to the first that something still has.
    pub(crate) fn settle_known(&mut self) {
        for (origin, _) in self.regions.iter() {
            if self.spill.known[usize::from(origin)].len() == 0 {
                continue;
            }
            let spans = self.spill.parts.iter().map(|part| part.spans[usize::from(origin)].first);
            let first = spans.fold(self.transactions.first_held(origin), u64::min);
            let known = &mut self.spill.known[usize::from(origin)];
            if let Some(last) = known.last_before(first) {
                self.transactions.raise_gone(origin, last);
            }
            known.forget(self.transactions.gone(origin));
        }
    }
}
