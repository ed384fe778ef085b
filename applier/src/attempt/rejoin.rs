//! Rows that clients wrote on a new primary which lacked what this region had claimed to hold.
//!
//! After a failover, contexts go on from what the log has claimed. So to every peer, what clients wrote on the new primary comes after
//! what that lacked, and is taken as it is. Here, under the row's lock, the lacking write comes at last and meets the newer
//! one, whose writer had not seen it: the policy decides between the two as between any two such writes. If that makes another
//! row than the newer one left, a repair says so everywhere.

use conflict::{Chapter, Concurrent, Image, Story, Write};
use transaction::RegionName;

use super::Attempt;
use super::decide::halted;
use crate::contest::{Contest, Desired, Gathered, Here, Verdict, same_row, verdict};
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
        let (Some(stand_in), Some(first), Some(last)) =
            (contest.stand_in().cloned(), contest.writes.first(), contest.writes.last())
        else {
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

        // Both began with the row as the lacking write found it. What was written here since then is taken as one write, also if the
        // last of it is the repair by which an earlier lacking write joined it.
        let incoming = Write { id: last.id, live: last.after.is_some(), repair: None };
        let newest = story.writes[fork].write;
        let existing = Write { live: row.is_some(), repair: None, ..newest };
        let mut images = Gathered::default();
        images.put(incoming.id, first.before.clone(), last.after.clone());
        images.put(existing.id, first.before.clone(), row.clone());
        let chapter = |write, from_batch, concurrent| Chapter { write, from_batch, concurrent };
        let seen_neither = [0].into_iter().collect();
        let two = Story {
            writes: vec![
                chapter(incoming, true, Concurrent::default()),
                chapter(existing, false, seen_neither),
            ],
            start: 0,
        };
        let rule = self.rule_of(contest);
        let decided = match rule.detect_only {
            true => Verdict::As(1),
            false => verdict(rule.policy.as_ref(), &two, &images).map_err(SqlFailure::Halt)?,
        };
        let (wanted, winner, merged) = match (decided, self.decide) {
            (Verdict::Merged { image, .. }, _) if !self.lessons.refused.contains(&contest.key) => {
                (Some(image), Winner::Merged, true)
            }
            (Verdict::As(0) | Verdict::Merged { fallback: 0, .. }, _)
            | (Verdict::Halt, Some(Decide::Incoming)) => (last.after.clone(), Winner::Incoming, false),
            (Verdict::As(_) | Verdict::Merged { .. }, _) | (Verdict::Halt, Some(_)) => {
                (row.clone(), Winner::Existing, false)
            }
            (Verdict::Halt, None) => (row.clone(), Winner::Halted, false),
        };
        // Layouts have an id of their server's in them.
        let alike =
            matches!((&wanted, &folded), (Some(one), Some(other)) if same_row(one, other) == Some(true));
        let wanted = if alike { folded.clone() } else { wanted };
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
        self.entries.push(finding.entry().map_err(|e| SqlFailure::Halt(e.to_string()))?);
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
            after: story.newest().and_then(Write::place_after),
            merged,
            forced: false,
            outsider: false,
        }))
    }
}
