//! Deciding contested rows, each under its lock and with its whole history.

use conflict::{Image, Policy, Story, Write};

use transaction::{Hlc, Sequence, WriteId};

use super::Attempt;
use super::rejoin::forked;
use crate::clash;
use crate::code;
use crate::contest::{Contest, Desired, Gathered, Here, Verdict, images_needed, pair_of, same_row, verdict};
use crate::effect::SourceTransaction;
use crate::found::{Finding, Known};
use crate::journal::{Found, Kind, Winner};
use crate::policies::TablePolicy;
use crate::session::SqlFailure;
use crate::suspension::Decide;
use crate::target::Target;

impl<T: Target> Attempt<'_, T> {
    /// Decides the contested rows, each under its lock and with its whole history, and makes them what they become.
    pub(crate) async fn settle(&mut self, sources: &[SourceTransaction]) -> Result<(), SqlFailure> {
        let contests = std::mem::take(&mut self.contests);
        let stories: Vec<(Option<Story>, Option<Story>)> = {
            let index = self.setup.shared.index.lock();
            contests
                .all
                .iter()
                .map(|contest| Ok((self.overlay.story(&index, contest.key)?, index.story(contest.key)?)))
                .collect::<Result<_, conflict::Error>>()
                .map_err(code::of_history)?
        };
        let mut desired = Vec::with_capacity(contests.all.len());
        for (contest, (story, existing)) in contests.all.iter().zip(stories) {
            let story = story.ok_or_else(|| {
                code::INTERNAL_ERROR.halt("a row of the batch has no history: a bug, please report it")
            })?;
            let row = match self.skips {
                true => self.leave(contest, &story, sources).await?,
                false => self.decide(contest, &story, existing.as_ref(), sources).await?,
            };
            desired.extend(row);
        }
        self.contests = contests;
        // What turned up for these keys meanwhile is decided with them.
        if self.lessons.constraints {
            let entries = clash::settle_constraints(self, &mut desired, sources).await?;
            self.entries.extend(entries);
        }
        self.put(&desired).await?;
        self.repair(&desired).await
    }

    /// What one contested row is, and what it becomes.
    async fn decide(
        &mut self,
        contest: &Contest,
        story: &Story,
        existing: Option<&Story>,
        sources: &[SourceTransaction],
    ) -> Result<Option<Desired>, SqlFailure> {
        let Some(stand_in) = contest.stand_in().cloned() else { return Ok(None) };
        let rule = self.rule_of(contest);
        let policy: &dyn Policy = rule.policy.as_ref();
        let mut images = self.images_of(contest, story, existing, policy).await?;
        let decision = self.decision(contest, story, &rule, &mut images).await?;
        if decision.winner != Winner::Halted
            && let Some(fork) = forked(story, self.setup.region)
        {
            return self.rejoin(contest, story, fork, decision.folded, sources).await;
        }
        self.report(contest, story, &decision, &rule, &mut images, sources).await?;
        if decision.winner == Winner::Halted {
            self.write_journal()?;
            return Err(halted(contest));
        }
        let here = self.here(contest, existing, pair_of(story).is_some(), policy, &mut images).await?;
        Ok(Some(Desired {
            key: contest.key,
            table: contest.table.clone(),
            flags: contest.flags,
            timestamp: contest.timestamp,
            session: contest.session.clone(),
            stand_in,
            here,
            wanted: decision.folded.clone(),
            folded: decision.folded,
            newest: story.newest().copied(),
            after: story.newest().and_then(Write::place_after),
            merged: decision.merged,
            forced: decision.forced,
            outsider: false,
        }))
    }

    /// How conflicts of the row are decided, or whether they are only reported.
    pub(super) fn rule_of(&self, contest: &Contest) -> TablePolicy {
        let mut rule = (self.setup.policies)(&contest.table.schema, &contest.table.table);
        rule.detect_only |= self.setup.detect_only.contains(&self.origin);
        rule
    }

    /// The images that it takes to fold the row's history, and what is here of it.
    async fn images_of(
        &mut self,
        contest: &Contest,
        story: &Story,
        existing: Option<&Story>,
        policy: &dyn Policy,
    ) -> Result<Gathered, SqlFailure> {
        let mut images = Gathered::of(&contest.writes);
        let mut needed = images_needed(policy, story);
        needed.extend(existing.map(|existing| images_needed(policy, existing)).unwrap_or_default());
        for id in needed {
            self.gather(&mut images, id, contest.key).await?;
        }
        Ok(images)
    }

    /// What the row's history makes of it.
    async fn decision(
        &mut self,
        contest: &Contest,
        story: &Story,
        rule: &TablePolicy,
        images: &mut Gathered,
    ) -> Result<Decision, SqlFailure> {
        let newest_own = story.writes.iter().rposition(|chapter| chapter.from_batch).unwrap_or_default();
        let decided = if rule.detect_only {
            Verdict::As(newest_own)
        } else {
            verdict(rule.policy.as_ref(), story, images)?
        };
        let (place, forced) = match (decided, self.decide) {
            (Verdict::As(place), _) => (place, false),
            (Verdict::Merged { fallback, .. }, _) if self.lessons.refused.contains(&contest.key) => {
                (fallback, false)
            }
            (Verdict::Merged { image, .. }, _) => {
                let (folded, winner) = (Some(image), Winner::Merged);
                return Ok(Decision { folded, winner, merged: true, forced: false });
            }
            (Verdict::Halt, None) => {
                return Ok(Decision { folded: None, winner: Winner::Halted, merged: false, forced: false });
            }
            // A person's word: it takes a repair, which every region then takes for decided.
            (Verdict::Halt, Some(decide)) => {
                let place = match decide {
                    Decide::Newest => story.writes.len() - 1,
                    Decide::Incoming => newest_own,
                    Decide::Here => {
                        story.writes.iter().rposition(|chapter| !chapter.from_batch).unwrap_or(newest_own)
                    }
                };
                (place, true)
            }
        };
        let folded = self.image_of(images, story, place, contest.key).await?;
        let winner = if story.writes[place].from_batch { Winner::Incoming } else { Winner::Existing };
        Ok(Decision { folded, winner, merged: false, forced })
    }

    /// Counts a conflict, if there is one, and prepares its journal entry.
    async fn report(
        &mut self,
        contest: &Contest,
        story: &Story,
        decision: &Decision,
        rule: &TablePolicy,
        images: &mut Gathered,
        sources: &[SourceTransaction],
    ) -> Result<(), SqlFailure> {
        let (Some(row), Some(pair)) = (contest.stand_in(), pair_of(story)) else { return Ok(()) };
        let (incoming, existing) = (story.writes[pair.incoming].write, story.writes[pair.existing].write);
        let known_incoming = self.known(images, &incoming, contest.key, sources).await?;
        let known_existing = self.known(images, &existing, contest.key, sources).await?;
        // Two regions that settled one clash alike disagree in nothing.
        let repairs = incoming.repair.is_some() && existing.repair.is_some();
        let alike = match (&known_incoming.after, &known_existing.after) {
            (Some(one), Some(other)) => same_row(one, other) == Some(true),
            (one, other) => one.is_none() && other.is_none(),
        };
        if repairs && alike {
            return Ok(());
        }
        let finding = Finding {
            region: self.setup.region,
            found_us: (self.setup.now_us)(),
            row,
            constraint: None,
            found: if contest.foreseen { Found::FirstLook } else { Found::UnderLock },
            policy: rule.policy.rule(),
            incoming: (&incoming, &known_incoming),
            existing: (&existing, &known_existing),
            winner: decision.winner,
            result: decision.folded.as_ref(),
            repairs: 0,
            detect_only: rule.detect_only,
        };
        self.tally.conflicts += 1;
        self.tally.won += u64::from(decision.winner == Winner::Incoming);
        self.entries.push(finding.entry().map_err(code::of_event)?);
        Ok(())
    }

    /// A row of a transaction that a person passes over: it stays as it is here, whatever its history says, and a repair tells
    /// the other regions so.
    async fn leave(
        &mut self,
        contest: &Contest,
        story: &Story,
        sources: &[SourceTransaction],
    ) -> Result<Option<Desired>, SqlFailure> {
        let Some(stand_in) = contest.stand_in().cloned() else { return Ok(None) };
        if self.is_fitted(&stand_in.table).await? {
            let unfit = code::TABLE_UNFIT.halt(format_args!(
                "table {} differs between the regions, so a row of it cannot be left as it is: skip with --suspend",
                stand_in.table.full_name()
            ));
            return Err(unfit.into());
        }
        let row = match contest.present {
            true => self.target.row(&stand_in.table, &stand_in.bytes).await?,
            false => None,
        };
        let row = row.map(|bytes| Image { table: stand_in.table.clone(), bytes });
        let rule = self.rule_of(contest);
        let mut images = self.images_of(contest, story, None, rule.policy.as_ref()).await?;
        // What every region has, or will have, before it hears of the repair.
        let decision = self.decision(contest, story, &rule, &mut images).await?;
        let forced = decision.winner == Winner::Halted;
        let folded = if forced { row.clone() } else { decision.folded };
        let repaired = forced || folded != row;
        let newest = |from_batch| {
            let chapter = story.writes.iter().rev().find(|chapter| chapter.from_batch == from_batch);
            chapter.map(|chapter| chapter.write)
        };
        if let Some(incoming) = newest(true) {
            let known_incoming = self.known(&mut images, &incoming, contest.key, sources).await?;
            let (existing, known_existing) = match newest(false) {
                Some(existing) => (existing, self.known(&mut images, &existing, contest.key, sources).await?),
                // No unstable write tells of the row: it stands for itself.
                None => {
                    let (origin, sequence) = (self.setup.region, Sequence(0));
                    let id = WriteId { hlc: Hlc(0), origin, sequence, index: 0 };
                    let known = Known { before: row.clone(), after: row.clone(), ..Known::default() };
                    (Write { id, live: row.is_some(), repair: None }, known)
                }
            };
            let finding = Finding {
                region: self.setup.region,
                found_us: (self.setup.now_us)(),
                row: &stand_in,
                constraint: Some(Kind::Skipped),
                found: Found::UnderLock,
                policy: "concord skip".to_owned(),
                incoming: (&incoming, &known_incoming),
                existing: (&existing, &known_existing),
                winner: Winner::Existing,
                result: row.as_ref(),
                repairs: u32::from(repaired),
                detect_only: false,
            };
            self.entries.push(finding.entry().map_err(code::of_event)?);
        }
        self.tally.skipped += 1;
        Ok(Some(Desired {
            key: contest.key,
            table: contest.table.clone(),
            flags: contest.flags,
            timestamp: contest.timestamp,
            session: contest.session.clone(),
            stand_in,
            here: row.clone().map_or(Here::Absent, Here::Known),
            wanted: row,
            folded,
            newest: story.newest().copied(),
            after: story.newest().and_then(Write::place_after),
            merged: false,
            forced,
            outsider: false,
        }))
    }

    /// The row as it is now. With a conflict, as the fold of what is here says; without one, as the first write of the
    /// batch found it, since its writer had seen all that is here (SEMANTICS.md).
    async fn here(
        &mut self,
        contest: &Contest,
        existing: Option<&Story>,
        conflict: bool,
        policy: &dyn Policy,
        images: &mut Gathered,
    ) -> Result<Here, SqlFailure> {
        if !contest.present {
            return Ok(Here::Absent);
        }
        if contest.unaware {
            let Some(stand_in) = contest.stand_in() else { return Ok(Here::OneOf(Vec::new())) };
            if self.is_fitted(&stand_in.table).await? {
                return Ok(Here::OneOf(Vec::new()));
            }
            let bytes = self.target.row(&stand_in.table, &stand_in.bytes).await?;
            return Ok(bytes
                .map_or(Here::Absent, |bytes| Here::Known(Image { table: stand_in.table.clone(), bytes })));
        }
        let known = match existing.filter(|_| conflict) {
            None => {
                contest.writes.first().filter(|own| !own.is_decision()).and_then(|own| own.before.clone())
            }
            Some(existing) => match verdict(policy, existing, images)? {
                Verdict::As(place) => self.image_of(images, existing, place, contest.key).await?,
                Verdict::Merged { image, fallback } => {
                    let fallback = self.image_of(images, existing, fallback, contest.key).await?;
                    return Ok(Here::OneOf([Some(image), fallback].into_iter().flatten().collect()));
                }
                Verdict::Halt => None,
            },
        };
        // A row that is there against what its history says is none that Concord or a client wrote into the binlog.
        Ok(known.map_or(Here::OneOf(Vec::new()), Here::Known))
    }
}

/// What a row becomes, and by whom.
struct Decision {
    folded: Option<Image>,
    winner: Winner,
    /// No region wrote this image: the server may refuse it.
    merged: bool,
    /// A person decided.
    forced: bool,
}

pub(super) fn halted(contest: &Contest) -> SqlFailure {
    let name = contest.table.full_name();
    SqlFailure::Table {
        schema: contest.table.schema.clone(),
        table: contest.table.table.clone(),
        reason: format!(
            "a row of {name} was written in two regions at once, and its policy is halt: look at `concord conflicts \
             list --table {name}`, then `concord resume --table {name} --decide newest|here|incoming`"
        ),
    }
}
