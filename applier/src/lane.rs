//! A lane: one connection, which takes one batch after another through its target transaction.
//!
//! Batches commit in the order in which they were handed out. A lane whose turn has not come sends what no earlier batch lays hold on
//! ([`crate::claims`]), and waits; in its turn it does the rest as if it were alone.

use std::cell::OnceCell;
use std::rc::Rc;

use tokio::sync::watch;
use transaction::RegionName;

use crate::attempt::{Attempt, Lessons, Tally};
use crate::claims::Claims;
use crate::code;
use crate::definitions::Definitions;
use crate::feed::Reach;
use crate::parts::Parts;
use crate::scheduler::{Setup, note_tables};
use crate::session::{MarkerChange, SqlFailure};
use crate::suspension::CatchUp;
use crate::target::Target;

/// Only what is measured against this is built with it.
const BLIND: bool = cfg!(feature = "blind");

/// One connection.
pub(crate) struct Lane<T> {
    /// Which marker of an origin it changes, from 0 on.
    pub(crate) number: u16,
    pub(crate) target: T,
}

/// What a lane is to apply.
pub(crate) struct Job<'j> {
    pub(crate) setup: &'j Setup,
    pub(crate) definitions: &'j Definitions,
    pub(crate) origin: RegionName,
    pub(crate) parts: &'j Parts<'j>,
    pub(crate) reach: &'j Reach,
    /// The table that is being caught up with.
    pub(crate) catching_up: Option<&'j CatchUp>,
    /// The transaction is passed over: its rows stay as they are.
    pub(crate) skipping: bool,
}

/// When a batch may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Earlier ones have not committed.
    Ahead,
    /// All of them have.
    Come,
    /// An earlier one needs what it holds: it is to roll back.
    LetGo,
}

/// A batch's place among those on their way.
pub(crate) struct Place {
    /// What earlier ones lay hold on.
    pub(crate) before: Vec<Rc<OnceCell<Claims>>>,
    /// What it does, for later ones.
    pub(crate) own: Rc<OnceCell<Claims>>,
    pub(crate) turn: watch::Receiver<Turn>,
}

impl Place {
    pub(crate) fn is_turn(&self) -> bool {
        *self.turn.borrow() == Turn::Come
    }

    /// What earlier ones lay hold on; `None` of one that has only begun.
    pub(crate) fn before(&self) -> Vec<Option<&Claims>> {
        self.before.iter().map(|claims| claims.get()).collect()
    }

    /// Waits until all earlier ones have committed.
    pub(crate) async fn turn(&mut self) -> Result<(), SqlFailure> {
        match self.turn.wait_for(|turn| *turn != Turn::Ahead).await.map(|turn| *turn) {
            Ok(Turn::Come) => Ok(()),
            Ok(_) | Err(_) => Err(SqlFailure::Locked("an earlier batch needs what this one holds".into())),
        }
    }
}

impl<T: Target> Lane<T> {
    /// One try: look, lock what is contested, write the rest, look again, decide, commit.
    pub(crate) async fn attempt(
        &mut self,
        job: &Job<'_>,
        place: Option<&mut Place>,
        lessons: &mut Lessons,
    ) -> Result<Tally, SqlFailure> {
        let &Job { setup, definitions, origin, parts, reach, catching_up, skipping } = job;
        let shared = &setup.shared;
        let version = shared.definitions_version();
        definitions.refresh(&mut self.target, version).await?;
        lessons.all |= skipping;
        if lessons.all {
            parts.fit_in_memory()?;
        }
        self.target.use_tag(origin).await?;
        let marker = match catching_up {
            Some(catch_up) => catch_up.marker(origin, setup.owner)?,
            None => MarkerChange {
                lane: self.number,
                origin,
                sequence: reach.sequence,
                record: reach.record,
                hlc: reach.hlc,
                owner: setup.owner,
            },
        };
        let decide = catching_up.and_then(|catch_up| catch_up.decide);
        let earlier = lessons.journaled.clone();
        let Some(first) = parts.sources().first() else { return Ok(Tally::default()) };
        let mut attempt = Attempt::new(&mut self.target, definitions, setup, marker, first, decide, lessons);
        attempt.skips = skipping;
        let contested = attempt.contested();
        let settled = catching_up.is_some() || skipping;
        for at in 0..parts.count() {
            let part = parts.load(at, setup, attempt.target).await?;
            note_tables(shared, origin, &part, settled)?;
            for effect in &part.effects {
                attempt.definitions.fit(attempt.target, shared, &effect.table).await?;
            }
            if !BLIND {
                attempt.look(&part)?;
            }
        }
        if parts.count() > 1 && attempt.contested() != contested {
            // Of a row that is met contested in a late part, the writes in earlier parts are to be known too.
            return Err(SqlFailure::Contested("of a large transaction, some rows".into()));
        }
        let ahead = place.as_ref().is_some_and(|place| !place.is_turn());
        match (place, parts) {
            (Some(place), Parts::One(part)) => attempt.write_in_place(part, place).await?,
            _ => {
                attempt.lock().await?;
                for at in 0..parts.count() {
                    let part = parts.load(at, setup, attempt.target).await?;
                    attempt.write(&part).await?;
                }
            }
        }
        attempt.look_for_children().await?;

        let looks = !BLIND;
        #[cfg(feature = "canary")]
        let looks = looks && !canary::makes(canary::Mistake::NoSecondLook);
        let clients_wrote = looks && attempt.pass().await?;
        if shared.definitions_version() != version {
            return Err(SqlFailure::Locked("a definition changed meanwhile".into()));
        }
        // Of what earlier batches wrote, the first look of one that ran ahead knew nothing.
        if clients_wrote || (ahead && looks) {
            attempt.look_again()?;
        }
        attempt.settle(parts.sources()).await?;
        attempt.look_for_children().await?;
        let also = catching_up.map(|catch_up| catch_up.statement(origin, reach.sequence));
        let written = attempt.commit(also).await?;
        let tally = attempt.tally;
        let mut overlay = attempt.overlay;
        let mut index = shared.index.lock();
        let committed = match catching_up {
            // Rows of other tables are in the index already.
            Some(_) => overlay.commit_also(&mut index),
            None => overlay.commit(&mut index),
        };
        drop(index);
        committed.map_err(code::of_history)?;
        let gone: Vec<String> = earlier.into_iter().filter(|id| !written.contains(id)).collect();
        if !gone.is_empty() {
            setup.journal.withdraw(&gone)?;
        }
        Ok(tally)
    }
}
