//! Rows that cannot all be there: unique secondary keys and foreign keys.
//!
//! Works on what all contested rows are to become, before anything of it is sent: finds every row whose fate the batch can
//! reach, locked; lets [`settle()`] decide; and reports each row that becomes another than its history makes it. Each of those
//! takes one repair.

mod settle;
mod state;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use conflict::{Image, Place, Write};
use transaction::KeyHash;
use transaction::binlog::{TableMap, row_image, row_values};

use crate::attempt::Attempt;
use crate::code;
use crate::contest::{Desired, Gathered, Here};
use crate::effect::SourceTransaction;
use crate::found::{self, Finding, Known};
use crate::journal::{Entry, Found, Kind, Winner};
use crate::locks::misfit;
use crate::relations::{ForeignKey, UniqueKey};
use crate::session::SqlFailure;
use crate::target::Target;
use crate::text::NO_FOREIGN_KEY_CHECKS;
use settle::{Cause, Concerned, Constraint, Fate, Reference, State, settle};
use state::{absent_parent, claim, hash_key, offer, refer};

/// Most rows that one clash may reach; beyond it, something else is wrong.
const ROWS_MAX: usize = 200_000;

/// Settles every unique key and foreign key that the rows touch. Returns what the journal is told.
pub(crate) async fn settle_constraints<T: Target>(
    attempt: &mut Attempt<'_, T>,
    desired: &mut Vec<Desired>,
    sources: &[SourceTransaction],
) -> Result<Vec<Entry>, SqlFailure> {
    let mut reach = Reach::of(std::mem::take(desired));
    reach.gather(attempt).await?;
    let concerned = reach.concerned();
    let mut entries = Vec::new();
    for (at, fate) in settle(&concerned).into_iter().enumerate() {
        let cause = match &fate {
            Fate::Folded => continue,
            Fate::Without(_, cause) | Fate::PutBack(_, cause) | Fate::Gone(cause) => cause.clone(),
        };
        let row = &mut reach.rows[at];
        // A row that goes is named by its key; one that changes must be known whole.
        let known_by_key = row.desired.outsider && row.desired.here == Here::OneOf(Vec::new());
        if known_by_key && matches!(fate, Fate::Without(..)) {
            return Err(unknown(&row.desired, &cause));
        }
        let image = match fate {
            Fate::Without(columns, _) => {
                row.desired.wanted.as_ref().map(|image| without(image, &columns)).transpose()?
            }
            Fate::PutBack(columns, _) => {
                row.desired.merged = row.ghost_merged;
                row.ghost.as_ref().map(|image| without(image, &columns)).transpose()?
            }
            Fate::Folded | Fate::Gone(_) => None,
        };
        row.desired.wanted = image;
        entries.extend(reach.report(attempt, at, &cause, sources).await?);
    }
    *desired = reach.rows.into_iter().map(|row| row.desired).collect();
    Ok(entries)
}

/// A row in reach.
struct Row {
    desired: Desired,
    place: Option<Place>,
    live: Option<State>,
    /// What it was last, if it is absent and was asked for.
    ghost: Option<Image>,
    ghost_merged: bool,
    ghost_state: Option<State>,
    /// Its children count, and theirs.
    leans: bool,
    /// A row that is there refers to it, though it is not.
    wanted: bool,
    /// How much of it was followed: live, leaning, wanted.
    followed: (bool, bool, bool),
}

/// All rows whose fate the batch can reach.
struct Reach {
    rows: Vec<Row>,
    places: HashMap<KeyHash, usize>,
    /// Unique values that were looked up.
    claims: HashMap<KeyHash, usize>,
    /// Values whose children were looked up.
    children: HashSet<KeyHash>,
    /// Values that a row offers that is there and that was not in reach, with its key; `None`: of a table that is not carried.
    outside: HashMap<KeyHash, Option<KeyHash>>,
    /// Those keys.
    outsiders: HashSet<KeyHash>,
}

impl Reach {
    fn of(desired: Vec<Desired>) -> Self {
        let mut reach = Self {
            rows: Vec::new(),
            places: HashMap::new(),
            claims: HashMap::new(),
            children: HashSet::new(),
            outside: HashMap::new(),
            outsiders: HashSet::new(),
        };
        for row in desired {
            reach.add(row);
        }
        reach
    }

    fn add(&mut self, desired: Desired) -> usize {
        let place = desired.newest.as_ref().map(Write::place);
        self.places.insert(desired.key, self.rows.len());
        // Whoever counted on it from outside asks for it now, if it goes.
        let wanted = desired.wanted.is_none() && self.outsiders.contains(&desired.key);
        self.rows.push(Row {
            desired,
            place,
            live: None,
            ghost: None,
            ghost_merged: false,
            ghost_state: None,
            leans: false,
            wanted,
            followed: (false, false, false),
        });
        self.rows.len() - 1
    }

    /// Takes in a row that the server holds, locked by now. Returns its place here.
    async fn admit<T: Target>(
        &mut self,
        attempt: &mut Attempt<'_, T>,
        layout: &Arc<TableMap>,
        image: Vec<u8>,
    ) -> Result<usize, SqlFailure> {
        let image = Image { table: layout.clone(), bytes: image };
        let key = hash_key(attempt, &image).await?;
        match self.places.get(&key) {
            Some(place) => Ok(*place),
            None => Ok(self.add(attempt.outsider(key, image).await?)),
        }
    }

    /// Follows every row until nothing is added.
    async fn gather<T: Target>(&mut self, attempt: &mut Attempt<'_, T>) -> Result<(), SqlFailure> {
        loop {
            let mut grown = false;
            let mut at = 0;
            while at < self.rows.len() {
                grown |= self.follow(attempt, at).await?;
                at += 1;
                if self.rows.len() > ROWS_MAX {
                    let wide = code::CONSTRAINT_CLASH.halt(format_args!(
                        "a clash at a unique key or foreign key reaches more than {ROWS_MAX} rows; remove the rows that are \
                         in its way in this region, then resume"
                    ));
                    return Err(wide.into());
                }
            }
            if !grown {
                return Ok(());
            }
        }
    }

    /// Follows one row as far as it is not followed yet. Returns whether it was.
    async fn follow<T: Target>(
        &mut self,
        attempt: &mut Attempt<'_, T>,
        at: usize,
    ) -> Result<bool, SqlFailure> {
        let relations = attempt.relations.clone();
        let row = &self.rows[at];
        let (schema, table) = (&row.desired.table.schema, &row.desired.table.table);
        let due = (true, row.leans, row.wanted);
        if row.followed == due {
            return Ok(false);
        }
        let Some(related) = relations.of(schema, table).cloned() else {
            self.rows[at].followed = due;
            return Ok(false);
        };
        let before = std::mem::replace(&mut self.rows[at].followed, due);
        let here = match &self.rows[at].desired.here {
            Here::Absent => None,
            Here::Known(image) => Some(image.clone()),
            Here::OneOf(images) => {
                images.first().cloned().or_else(|| Some(self.rows[at].desired.stand_in.clone()))
            }
        };
        let becomes = self.rows[at].desired.wanted.clone();
        if !before.0 {
            if let Some(image) = &becomes {
                let state =
                    self.state(attempt, &related.unique, &related.parents, &related.children, image).await?;
                self.rows[at].live = Some(state);
                self.follow_references(attempt, at, image, &related.parents).await?;
                self.follow_claims(attempt, at, image, &related.unique).await?;
            }
            // What it no longer offers.
            for foreign in &related.children {
                let Some(here) = &here else { continue };
                let Some(old) = offer(attempt, foreign, here).await? else { continue };
                let still = self.rows[at].live.as_ref().is_some_and(|live| live.offers.contains(&old));
                if !still && self.follow_children(attempt, foreign, here, old).await? && becomes.is_none() {
                    self.rows[at].wanted = true;
                }
            }
        }
        if self.rows[at].leans && !before.1 {
            for foreign in &related.children {
                let Some(image) = becomes.as_ref().or(here.as_ref()) else { continue };
                let Some(value) = offer(attempt, foreign, image).await? else { continue };
                self.follow_children(attempt, foreign, image, value).await?;
            }
        }
        if self.rows[at].wanted && !before.2 && becomes.is_none() {
            let key = self.rows[at].desired.key;
            if let Some((ghost, merged)) = attempt.ghost(key).await? {
                // Only a child that tells its parent's primary key can have it put back: other regions must find the same row.
                let telling: Vec<_> = related
                    .children
                    .iter()
                    .filter(|foreign| tells_key(foreign, &ghost.table))
                    .cloned()
                    .collect();
                let state = self.state(attempt, &related.unique, &related.parents, &telling, &ghost).await?;
                self.rows[at].ghost_state = Some(state);
                self.rows[at].ghost = Some(ghost.clone());
                self.rows[at].ghost_merged = merged;
                self.follow_references(attempt, at, &ghost, &related.parents).await?;
                self.follow_claims(attempt, at, &ghost, &related.unique).await?;
            }
        }
        Ok(true)
    }

    async fn state<T: Target>(
        &self,
        attempt: &mut Attempt<'_, T>,
        unique: &[UniqueKey],
        parents: &[Arc<ForeignKey>],
        children: &[Arc<ForeignKey>],
        image: &Image,
    ) -> Result<State, SqlFailure> {
        let mut state = State::default();
        for key in unique.iter().filter(|key| !key.functional) {
            state.claims.extend(claim(attempt, key, image).await?);
        }
        for foreign in children {
            state.offers.extend(offer(attempt, foreign, image).await?);
        }
        for foreign in parents {
            state.references.extend(refer(attempt, foreign, image).await?);
        }
        Ok(state)
    }

    /// Who holds the unique values of a row: both sides count with all that leans on them.
    async fn follow_claims<T: Target>(
        &mut self,
        attempt: &mut Attempt<'_, T>,
        at: usize,
        image: &Image,
        unique: &[UniqueKey],
    ) -> Result<(), SqlFailure> {
        for key in unique.iter().filter(|key| !key.functional) {
            let Some(claim) = claim(attempt, key, image).await? else { continue };
            let mut rivals: Vec<usize> = Vec::new();
            match self.claims.get(&claim.value) {
                Some(first) => rivals.push(*first),
                None => {
                    self.claims.insert(claim.value, at);
                    if let Some(holder) = attempt.target.holder(&image.table, key, &image.bytes).await? {
                        rivals.push(self.admit(attempt, &image.table, holder).await?);
                    }
                }
            }
            for rival in rivals.into_iter().filter(|rival| *rival != at) {
                self.rows[rival].leans = true;
                self.rows[at].leans = true;
            }
        }
        Ok(())
    }

    /// The parents of a row: one that is not there is asked for.
    async fn follow_references<T: Target>(
        &mut self,
        attempt: &mut Attempt<'_, T>,
        at: usize,
        image: &Image,
        parents: &[Arc<ForeignKey>],
    ) -> Result<(), SqlFailure> {
        // The origin looked after no foreign key either.
        if self.rows[at].desired.flags & NO_FOREIGN_KEY_CHECKS != 0 {
            return Ok(());
        }
        for foreign in parents {
            let Some(reference) = refer(attempt, foreign, image).await? else { continue };
            let Some(layout) = attempt.layout(&foreign.parent).await? else {
                self.outside.insert(reference.value, None);
                continue;
            };
            let found = attempt.target.parent(foreign, &layout, &image.table, &image.bytes).await?;
            if let Some(found) = found {
                let found = Image { table: layout.clone(), bytes: found };
                let key = hash_key(attempt, &found).await?;
                match self.places.get(&key) {
                    None => {
                        self.outside.insert(reference.value, Some(key));
                        self.outsiders.insert(key);
                    }
                    // It may go, and is asked for if it does.
                    Some(place) if self.rows[*place].desired.wanted.is_none() => {
                        self.rows[*place].wanted = true;
                    }
                    Some(_) => {}
                }
                continue;
            }
            let Some(absent) = absent_parent(foreign, &layout, image)? else { continue };
            let key = hash_key(attempt, &absent).await?;
            let place = match self.places.get(&key) {
                Some(place) => *place,
                None => {
                    let row = attempt.outsider_absent(key, absent).await?;
                    self.add(row)
                }
            };
            self.rows[place].wanted |= self.rows[place].desired.wanted.is_none();
        }
        Ok(())
    }

    /// The rows that refer to a value; they count with all that leans on them. Returns whether there are any.
    async fn follow_children<T: Target>(
        &mut self,
        attempt: &mut Attempt<'_, T>,
        foreign: &ForeignKey,
        parent: &Image,
        value: KeyHash,
    ) -> Result<bool, SqlFailure> {
        if !self.children.insert(value) {
            return Ok(false);
        }
        let Some(layout) = attempt.layout(&foreign.child).await? else { return Ok(false) };
        let found =
            attempt.target.children(foreign, &layout, &parent.table, &parent.bytes, ROWS_MAX + 1).await?;
        let any = !found.is_empty();
        for image in found {
            let place = self.admit(attempt, &layout, image).await?;
            self.rows[place].leans = true;
        }
        Ok(any)
    }

    /// What the rule is given.
    fn concerned(&self) -> Vec<Concerned> {
        let outside = |reference: &mut Reference| {
            // It may have come into reach since, and go.
            let outside = self.outside.get(&reference.value);
            reference.outside =
                outside.is_some_and(|key| key.is_none_or(|key| !self.places.contains_key(&key)));
        };
        let marked = |state: &Option<State>, unchecked: bool| {
            state.clone().map(|mut state| {
                state.references.iter_mut().for_each(outside);
                if unchecked {
                    state.references.clear();
                }
                state
            })
        };
        self.rows
            .iter()
            .map(|row| {
                let unchecked = row.desired.flags & NO_FOREIGN_KEY_CHECKS != 0;
                Concerned {
                    key: row.desired.key,
                    place: row.place,
                    // A row without constraints stands whatever comes.
                    live: row
                        .desired
                        .wanted
                        .as_ref()
                        .map(|_| marked(&row.live, unchecked).unwrap_or_default()),
                    ghost: marked(&row.ghost_state, false),
                }
            })
            .collect()
    }

    /// What the journal is told of a row; nothing if one side has no unstable write to tell of.
    async fn report<T: Target>(
        &self,
        attempt: &mut Attempt<'_, T>,
        at: usize,
        cause: &Cause,
        sources: &[SourceTransaction],
    ) -> Result<Option<Entry>, SqlFailure> {
        let row = &self.rows[at].desired;
        let other = cause.other.and_then(|other| self.places.get(&other));
        let Some(other) = other.map(|other| &self.rows[*other].desired) else { return Ok(None) };
        let (Some(lost), Some(won)) = (row.newest, other.newest) else { return Ok(None) };
        let lost_known = self.known(attempt, &lost, row.key, sources).await?;
        let won_known = self.known(attempt, &won, other.key, sources).await?;
        // The side that came is told first.
        let winner_came = won.id.origin == attempt.origin();
        let (incoming, existing, winner) = if winner_came {
            ((&won, &won_known), (&lost, &lost_known), Winner::Incoming)
        } else {
            ((&lost, &lost_known), (&won, &won_known), Winner::Existing)
        };
        let (kind, policy) = match &cause.constraint {
            Constraint::Unique(name) => (Kind::Unique, format!("unique key {name}")),
            Constraint::Foreign(name) => (Kind::ForeignKey, format!("foreign key {name}")),
        };
        let finding = Finding {
            region: attempt.setup.region,
            found_us: (attempt.setup.now_us)(),
            row: &row.stand_in,
            constraint: Some(kind),
            found: Found::Constraint,
            policy,
            incoming,
            existing,
            winner,
            result: row.wanted.as_ref(),
            repairs: u32::from(row.wanted != row.folded),
            detect_only: false,
        };
        Ok(Some(finding.entry().map_err(code::of_event)?))
    }

    async fn known<T: Target>(
        &self,
        attempt: &mut Attempt<'_, T>,
        write: &Write,
        key: KeyHash,
        sources: &[SourceTransaction],
    ) -> Result<Known, SqlFailure> {
        attempt.known(&mut Gathered::default(), write, key, sources).await
    }
}

/// Whether a foreign key refers to the whole primary key of its parent.
fn tells_key(foreign: &ForeignKey, parent: &TableMap) -> bool {
    let mut key = parent.primary_key.iter().map(|(place, _)| &parent.columns[*place].name);
    key.all(|name| foreign.parent_columns.contains(name))
}

/// A row would have to change of which only the key is known: nothing of it is in the logs any more, and it has a JSON column, whose
/// text does not tell all of it.
fn unknown(row: &Desired, cause: &Cause) -> SqlFailure {
    let key = match &cause.constraint {
        Constraint::Unique(name) => format!("unique key {name}"),
        Constraint::Foreign(name) => format!("foreign key {name}"),
    };
    let table = row.table.full_name();
    let which = found::key_text(&row.stand_in).unwrap_or_else(|error| error.to_string());
    let unrecorded = code::CONSTRAINT_CLASH.halt(format_args!(
        "row {which} of {table} has to make way at {key}, and the logs no longer hold an image of it, so that it cannot be \
         recorded; delete or change it in this region with an ordinary statement, then resume"
    ));
    unrecorded.into()
}

/// The row with some columns set to NULL.
fn without(image: &Image, columns: &[String]) -> Result<Image, SqlFailure> {
    let mut values = row_values(&image.table, &image.bytes).map_err(code::of_event)?;
    for (column, value) in image.table.columns.iter().zip(&mut values) {
        if columns.contains(&column.name) {
            *value = None;
        }
    }
    let bytes = row_image(&image.table, &values).ok_or_else(|| misfit(&image.table))?;
    Ok(Image { table: image.table.clone(), bytes })
}
