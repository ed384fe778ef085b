//! Rows that clients wrote on a new primary which lacked what this region had claimed to hold.
//!
//! After a failover, contexts go on from what the log has claimed. So to every peer, what clients wrote on the new primary comes after
//! what that lacked, and is taken as it is. Here, under the row's lock, the lacking write comes at last and meets the newer
//! one, whose writer had not seen it: the policy decides between the two as between any two such writes. If that makes another
//! row than the newer one left, a merge says so everywhere: a repair that stands for itself ([`RepairPlace::level`] 0).

use conflict::{Chapter, Concurrent, Image, Policy, Story, Write};
use transaction::{RegionName, RepairPlace};

use super::Attempt;
use super::decide::halted;
use crate::code;
use crate::contest::{Contest, Desired, Gathered, Here, OwnWrite, Verdict, same_layout, verdict};
use crate::effect::SourceTransaction;
use crate::found::Finding;
use crate::journal::{Found, Winner};
use crate::session::SqlFailure;
use crate::suspension::Decide;
use crate::target::Target;

/// The newest write of this region that was here before the batch's and yet claims to have seen one of them. There is none but
/// after a failover: what a writer has seen is here, and is not applied again.
pub(super) fn forked(story: &Story, region: RegionName) -> Option<usize> {
    let first = story.writes.iter().position(|chapter| chapter.from_batch)?;
    story.writes.iter().enumerate().skip(first + 1).rev().find_map(|(place, chapter)| {
        let own = !chapter.from_batch && chapter.write.id.origin == region;
        (own && !chapter.concurrent.contains(first)).then_some(place)
    })
}

/// The row as clients left it on the new primary, together with the lacking writes so far.
struct Joined {
    row: Option<Image>,
    winner: Winner,
    merged: bool,
}

impl Joined {
    /// With one lacking write more. What was written here since the failover, `newest` last, is taken as one write that began with the row as
    /// the lacking one found it, also if the last of it is itself a merge. `whole`: the server refuses what no one wrote.
    fn with(
        self,
        own: &OwnWrite,
        newest: Write,
        policy: &dyn Policy,
        whole: bool,
        decide: Option<Decide>,
    ) -> Result<Self, SqlFailure> {
        let incoming = Write { id: own.id, live: own.after.is_some(), repair: None };
        let existing = Write { live: self.row.is_some(), repair: None, ..newest };
        let mut images = Gathered::default();
        images.put(incoming.id, own.before.clone(), own.after.clone());
        images.put(existing.id, own.before.clone(), self.row.clone());
        let chapter = |write, from_batch, concurrent| Chapter { write, from_batch, concurrent };
        let first = chapter(incoming, true, Concurrent::default());
        let second = chapter(existing, false, [0].into_iter().collect());
        let two = Story { writes: vec![first, second], start: 0 };
        let decided = verdict(policy, &two, &images)?;
        Ok(match (decided, decide) {
            (Verdict::Merged { image, .. }, _) if !whole => {
                Self { row: Some(image), winner: Winner::Merged, merged: true }
            }
            (Verdict::As(0) | Verdict::Merged { fallback: 0, .. }, _)
            | (Verdict::Halt, Some(Decide::Incoming)) => {
                Self { row: own.after.clone(), winner: Winner::Incoming, merged: false }
            }
            (Verdict::Halt, None) => Self { winner: Winner::Halted, ..self },
            (Verdict::As(_) | Verdict::Merged { .. } | Verdict::Halt, _) => self,
        })
    }
}

impl<T: Target> Attempt<'_, T> {
    /// What the row becomes whose write at `fork` claims what comes only now. `folded`: what every region makes of its history.
    pub(super) async fn rejoin(
        &mut self,
        contest: &Contest,
        story: &Story,
        fork: usize,
        folded: Option<Image>,
        sources: &[SourceTransaction],
    ) -> Result<Option<Desired>, SqlFailure> {
        let (Some(stand_in), Some(last)) = (contest.stand_in().cloned(), contest.writes.last()) else {
            return Ok(None);
        };
        if self.is_fitted(&stand_in.table).await? {
            // Its columns differ here, so no row can be made of both: it stays as clients left it.
            return Ok(None);
        }
        let row = match contest.present {
            true => self.target.row(&stand_in.table, &stand_in.bytes).await?,
            false => None,
        };
        let row = row.map(|bytes| Image { table: stand_in.table.clone(), bytes });

        let (rule, newest) = (self.rule_of(contest), story.writes[fork].write);
        let whole = self.lessons.refused.contains(&contest.key);
        let mut joined = Joined { row: row.clone(), winner: Winner::Existing, merged: false };
        for own in contest.writes.iter().filter(|_| !rule.detect_only) {
            joined = joined.with(own, newest, rule.policy.as_ref(), whole, self.decide)?;
        }
        let Joined { row: wanted, winner, merged } = joined;
        let mut images = Gathered::of(&contest.writes);
        let incoming = Write { id: last.id, live: last.after.is_some(), repair: None };
        // Two images of one event have one layout, and an id of their server's is in it.
        let wanted = match (wanted, &folded) {
            (Some(one), Some(other)) if same_layout(&one, other) => {
                Some(Image { table: other.table.clone(), ..one })
            }
            (wanted, _) => wanted,
        };
        let known_incoming = self.known(&mut images, &incoming, contest.key, sources).await?;
        let known_existing = self.known(&mut Gathered::default(), &newest, contest.key, sources).await?;
        let finding = Finding {
            region: self.setup.region,
            found_us: (self.setup.now_us)(),
            row: &stand_in,
            constraint: None,
            found: Found::UnderLock,
            policy: rule.policy.rule(),
            incoming: (&incoming, &known_incoming),
            existing: (&newest, &known_existing),
            winner,
            result: wanted.as_ref(),
            repairs: u32::from(wanted != folded),
            detect_only: rule.detect_only,
        };
        self.tally.conflicts += 1;
        self.tally.won += u64::from(winner == Winner::Incoming);
        self.entries.push(finding.entry().map_err(code::of_event)?);
        if winner == Winner::Halted {
            self.write_journal()?;
            return Err(halted(contest));
        }
        Ok(Some(Desired {
            key: contest.key,
            table: contest.table.clone(),
            flags: contest.flags,
            timestamp: contest.timestamp,
            session: contest.session.clone(),
            stand_in,
            here: row.map_or(Here::Absent, Here::Known),
            wanted,
            folded,
            newest: story.newest().copied(),
            // A write like a client's: what others write meanwhile adds to it.
            after: Some(RepairPlace { root: incoming.id, level: 0 }),
            merged,
            forced: false,
            outsider: false,
        }))
    }
}
