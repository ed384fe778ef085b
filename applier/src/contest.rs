//! Rows that are locked before they are decided: their writes in the batch, and what the fold makes of them.

use std::collections::HashMap;
use std::sync::Arc;

use conflict::{Image, Images, Outcome, Policy, Story, Write, fold};
use transaction::binlog::{SessionState, TableMap};
use transaction::{Halt, KeyHash, RepairPlace, WriteId};

use crate::code;
use crate::effect::{Effect, Part};

/// A write of the batch.
#[derive(Debug, Clone)]
pub(crate) struct OwnWrite {
    pub(crate) id: WriteId,
    pub(crate) before: Option<Image>,
    pub(crate) after: Option<Image>,
}

impl OwnWrite {
    /// See [`Effect::is_decision`]; what clients do to a row, servers log only if it changes the row.
    pub(crate) fn is_decision(&self) -> bool {
        self.before.is_some() && self.before == self.after
    }
}

/// One row whose history a write of the batch may be concurrent with.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) key: KeyHash,
    pub(crate) table: Arc<TableMap>,
    /// Flags and time of the source's last rows event for it.
    pub(crate) flags: u16,
    pub(crate) timestamp: u32,
    /// The session of that.
    pub(crate) session: Option<Arc<SessionState>>,
    /// Its writes in the batch, oldest first.
    pub(crate) writes: Vec<OwnWrite>,
    /// Whether it was in the table when it was locked.
    pub(crate) present: bool,
    /// Whether the conflict was known before the row was locked.
    pub(crate) foreseen: bool,
    /// Whether a writer of it lacked what it claims to have seen, so that the row here may be another than the one that it found.
    pub(crate) unaware: bool,
}

impl Contest {
    /// An image of the row, whose primary key is right.
    pub(crate) fn stand_in(&self) -> Option<&Image> {
        self.writes.iter().find_map(|own| own.after.as_ref().or(own.before.as_ref()))
    }
}

/// The contested rows of a target transaction, in the order in which they were met.
#[derive(Debug, Default)]
pub(crate) struct Contests {
    places: HashMap<KeyHash, usize>,
    pub(crate) all: Vec<Contest>,
}

impl Contests {
    pub(crate) fn contains(&self, key: KeyHash) -> bool {
        self.places.contains_key(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a write of the batch in.
    pub(crate) fn add(&mut self, part: &Part, effect: &Effect, id: WriteId, foreseen: bool) {
        let image = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| Image { table: effect.table.clone(), bytes: bytes.to_vec() })
        };
        let own = OwnWrite { id, before: image(part.before(effect)), after: image(part.after(effect)) };
        let place = *self.places.entry(effect.key).or_insert_with(|| {
            self.all.push(Contest {
                key: effect.key,
                table: effect.table.clone(),
                flags: effect.flags,
                timestamp: effect.timestamp,
                session: None,
                writes: Vec::new(),
                present: false,
                foreseen,
                unaware: false,
            });
            self.all.len() - 1
        });
        let contest = &mut self.all[place];
        contest.unaware |=
            part.transactions.get(effect.transaction).is_some_and(|source| source.unaware(id.origin));
        contest.table = effect.table.clone();
        contest.flags = effect.flags;
        contest.timestamp = effect.timestamp;
        contest.session = part.transactions.get(effect.transaction).and_then(|source| source.session.clone());
        contest.writes.push(own);
    }
}

/// The images of a history's writes, as far as they are needed.
#[derive(Debug, Default)]
pub(crate) struct Gathered(HashMap<WriteId, (Option<Image>, Option<Image>)>);

impl Gathered {
    /// With the batch's own writes.
    pub(crate) fn of(writes: &[OwnWrite]) -> Self {
        Self(writes.iter().map(|own| (own.id, (own.before.clone(), own.after.clone()))).collect())
    }

    pub(crate) fn has(&self, id: &WriteId) -> bool {
        self.0.contains_key(id)
    }

    /// The layout of its images.
    pub(crate) fn table(&self, id: &WriteId) -> Option<Arc<TableMap>> {
        let (before, after) = self.0.get(id)?;
        after.as_ref().or(before.as_ref()).map(|image| image.table.clone())
    }

    pub(crate) fn put(&mut self, id: WriteId, before: Option<Image>, after: Option<Image>) {
        self.0.insert(id, (before, after));
    }
}

impl Images for Gathered {
    fn before(&self, write: &WriteId) -> Option<&Image> {
        self.0.get(write)?.0.as_ref()
    }

    fn after(&self, write: &WriteId) -> Option<&Image> {
        self.0.get(write)?.1.as_ref()
    }
}

/// The row as it is now, under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Here {
    Absent,
    /// It is there, with this image.
    Known(Image),
    /// It is there; its image is one of these, or, if there are none, not known at all.
    OneOf(Vec<Image>),
}

/// What a row is, and what it is to become.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) key: KeyHash,
    pub(crate) table: Arc<TableMap>,
    pub(crate) flags: u16,
    pub(crate) timestamp: u32,
    /// The session of the source's last write of it.
    pub(crate) session: Option<Arc<SessionState>>,
    /// An image with the row's primary key.
    pub(crate) stand_in: Image,
    pub(crate) here: Here,
    /// What the fold makes of it: this is what every region with the same history arrives at.
    pub(crate) folded: Option<Image>,
    /// What it becomes: another row than the fold's takes a repair.
    pub(crate) wanted: Option<Image>,
    /// Its newest write in fold order; `None` if the history does not tell which one that is.
    pub(crate) newest: Option<Write>,
    /// Where a repair of it stands.
    pub(crate) after: Option<RepairPlace>,
    /// Whether `wanted` is a merge, which may break a constraint that no writer's image breaks.
    pub(crate) merged: bool,
    /// Whether it takes a repair even if it is as its history makes it, since a person decided so.
    pub(crate) forced: bool,
    /// Whether no write of the batch is about it: it was found by a unique key or foreign key.
    pub(crate) outsider: bool,
}

impl Desired {
    /// A row that no write of the batch is about, and that is to stay: `now`. `stand_in` has its primary key. Of its history it says
    /// nothing.
    pub(crate) fn outsider(key: KeyHash, stand_in: Image, here: Here, now: Option<Image>) -> Self {
        Self {
            key,
            table: stand_in.table.clone(),
            flags: 0,
            timestamp: 0,
            session: None,
            stand_in,
            here,
            folded: now.clone(),
            wanted: now,
            newest: None,
            after: None,
            merged: false,
            forced: false,
            outsider: true,
        }
    }
}

/// Whether two images have one layout, so that their bytes can be compared and share an event. Table ids differ from server
/// to server and say nothing.
pub(crate) fn same_layout(one: &Image, other: &Image) -> bool {
    Arc::ptr_eq(&one.table, &other.table)
        || (&one.table.columns, &one.table.present) == (&other.table.columns, &other.table.present)
}

/// Whether two images are one row; `None` if their layouts differ, so that it cannot be told.
pub(crate) fn same_row(one: &Image, other: &Image) -> Option<bool> {
    same_layout(one, other).then(|| one.bytes == other.bytes)
}

/// The pair of writes that a conflict is told by: of those that met without having seen each other, the newest of the batch
/// and the newest that was here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Place of the batch's write in the story.
    pub(crate) incoming: usize,
    /// Place of the other one.
    pub(crate) existing: usize,
}

/// Finds the conflict of a story; `None` if each write of the batch has seen all that were here. Two repairs that
/// both remove the row are no conflict.
pub(crate) fn pair_of(story: &Story) -> Option<Pair> {
    let removes = |write: &Write| write.repair.is_some() && !write.live;
    let writes = &story.writes;
    let own = (0..writes.len()).rev().filter(|place| writes[*place].from_batch);
    for incoming in own {
        let disagrees = |other: usize| {
            let (one, other) = (&writes[incoming].write, &writes[other]);
            let alike = removes(one) && removes(&other.write);
            !(other.from_batch || alike)
        };
        let later = (incoming + 1..writes.len())
            .rev()
            .find(|later| disagrees(*later) && writes[*later].concurrent.contains(incoming));
        let earlier = || writes[incoming].concurrent.iter().copied().filter(|other| disagrees(*other)).max();
        if let Some(existing) = later.or_else(earlier) {
            return Some(Pair { incoming, existing });
        }
    }
    None
}

/// Writes of a story whose images its decision needs.
pub(crate) fn images_needed(policy: &dyn Policy, story: &Story) -> Vec<WriteId> {
    if !policy.reads_images() {
        return Vec::new();
    }
    let mut needed = vec![false; story.writes.len()];
    for place in story.start..story.writes.len() {
        needed[place] = true;
        for other in &story.writes[place].concurrent {
            needed[*other] = true;
        }
    }
    let chosen = story.writes.iter().zip(needed).filter(|(_, needed)| *needed);
    chosen.map(|(chapter, _)| chapter.write.id).collect()
}

/// What a fold says, with the images that it needs to be said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// The row is as this write of the story left it.
    As(usize),
    /// A merge, and the place of the write whose whole image stands in for it if a constraint refuses it.
    Merged { image: Image, fallback: usize },
    /// The policy leaves it to a person.
    Halt,
}

/// Folds a story.
pub(crate) fn verdict(policy: &dyn Policy, story: &Story, images: &Gathered) -> Result<Verdict, Halt> {
    Ok(match fold(policy, story, images).map_err(code::of_fold)? {
        Outcome::As(place) => Verdict::As(place),
        Outcome::Merged { image, fallback } => Verdict::Merged { image, fallback },
        Outcome::Halt => Verdict::Halt,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use conflict::Chapter;
    use transaction::{Hlc, Sequence};

    use super::*;

    /// Writes in fold order: whether it is of the batch, whether it is a repair that removes the row, and which earlier ones
    /// it is concurrent with.
    fn story(writes: &[(bool, bool, &[usize])]) -> Story {
        let chapter = |(place, (from_batch, removes, concurrent)): (usize, &(bool, bool, &[usize]))| {
            let hlc = Hlc(place as u64 + 1);
            let id = WriteId { hlc, origin: "eu".parse().unwrap(), sequence: Sequence(1), index: 0 };
            let repair = removes.then_some(RepairPlace { root: id, level: 1 });
            let write = Write { id, live: !removes, repair };
            Chapter { write, from_batch: *from_batch, concurrent: concurrent.iter().copied().collect() }
        };
        Story { writes: writes.iter().enumerate().map(chapter).collect(), start: 0 }
    }

    fn pair(incoming: usize, existing: usize) -> Option<Pair> {
        Some(Pair { incoming, existing })
    }

    #[test]
    fn a_conflict_is_told_by_the_newest_two_writes_that_had_not_seen_each_other() {
        let (here, batch) = (false, true);
        let seen = story(&[(here, false, &[]), (batch, false, &[])]);
        assert_eq!(pair_of(&seen), None);
        let older = story(&[(here, false, &[]), (here, false, &[]), (batch, false, &[0, 1])]);
        assert_eq!(pair_of(&older), pair(2, 1));
        let newer = story(&[(batch, false, &[]), (here, false, &[0]), (here, false, &[0])]);
        assert_eq!(pair_of(&newer), pair(0, 2));
        let both =
            story(&[(here, false, &[]), (batch, false, &[0]), (batch, false, &[]), (here, false, &[1])]);
        assert_eq!(pair_of(&both), pair(1, 3), "the newest of the batch has seen all");
        let own = story(&[(batch, false, &[]), (batch, false, &[0])]);
        assert_eq!(pair_of(&own), None, "of one batch");
        let alike = story(&[(here, true, &[]), (batch, true, &[0])]);
        assert_eq!(pair_of(&alike), None, "two regions removed the row for one reason");
    }
}
