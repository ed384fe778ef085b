//! The rule by which rows that cannot all be there are decided. Pure.
//!
//! Rows are decided in the order of their newest writes, newest first. A row that is there stands if every row that it
//! needs can stand; those that are gone, and not decided yet, are put back for it as they were last. A row that cannot
//! stand goes; one that lacks only a row behind a SET NULL key stays without it. So a row is as strong as the newest row that
//! leans on it, and whatever is decided stays decided: one pass, and it ends. The model of this rule, and what was tried
//! before it, is in `conflict/model/foreign.py`.

use std::collections::{HashMap, HashSet};

use conflict::Place;
use transaction::KeyHash;

/// Which constraint kept a row away or brought it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Constraint {
    Unique(String),
    Foreign(String),
}

/// A value in a unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Hash of the key and the value.
    pub(super) value: KeyHash,
    /// The unique key.
    pub(super) name: String,
    /// Its columns.
    pub(super) columns: Vec<String>,
}

/// A reference to another row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Hash of the foreign key and the value that a parent must offer.
    pub(super) value: KeyHash,
    /// The foreign key.
    pub(super) name: String,
    /// Its columns in the child.
    pub(super) columns: Vec<String>,
    /// Whether the child can stay without a parent.
    pub(super) set_null: bool,
    /// Whether a row offers the value that is there and that nothing here touches.
    pub(super) outside: bool,
}

/// One state of a row: what it holds, offers and refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) claims: Vec<Claim>,
    pub(super) offers: Vec<KeyHash>,
    pub(super) references: Vec<Reference>,
}

/// A row whose fate the batch can reach.
#[derive(Debug, Clone)]
pub(super) struct Concerned {
    pub(super) key: KeyHash,
    /// Its newest write; `None` counts as older than all others.
    pub(super) place: Option<Place>,
    /// What the fold makes of it; `None`: no row.
    pub(super) live: Option<State>,
    /// What it was last, if the fold leaves no row and it may be put back.
    pub(super) ghost: Option<State>,
}

/// What was decided of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// As its fold says, which may be: no row.
    Folded,
    /// There, without these columns, whose parents are gone.
    Without(Vec<String>, Cause),
    /// Put back as it was last, without these columns.
    PutBack(Vec<String>, Cause),
    /// Removed, or kept out.
    Gone(Cause),
}

/// Why a row is not as its fold says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) constraint: Constraint,
    /// The row at the other side of it, if there is one.
    pub(super) other: Option<KeyHash>,
}

/// A row that stands in the present try.
#[derive(Debug, Clone)]
struct Standing {
    state: State,
    fate: Fate,
}

/// Decides every row; the answers are in the order of `rows`.
pub(super) fn settle(rows: &[Concerned]) -> Vec<Fate> {
    let mut decision = Decision {
        rows,
        offering: HashMap::new(),
        decided: vec![None; rows.len()],
        claimed: HashMap::new(),
        offered: HashSet::new(),
    };
    for (at, row) in rows.iter().enumerate() {
        for value in row.live.as_ref().or(row.ghost.as_ref()).iter().flat_map(|state| &state.offers) {
            decision.offering.entry(*value).or_default().push(at);
        }
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse((rows[*at].place, rows[*at].key)));
    for at in order {
        if decision.decided[at].is_some() {
            continue;
        }
        let Some(live) = &rows[at].live else {
            decision.decided[at] = Some(Fate::Folded);
            continue;
        };
        let mut taken = HashMap::new();
        match decision.stand(at, live, Fate::Folded, &mut taken) {
            Ok(()) => {
                for (at, standing) in taken {
                    decision.stands(at, standing);
                }
            }
            Err(cause) => decision.decided[at] = Some(Fate::Gone(cause)),
        }
    }
    decision.decided.into_iter().map(|fate| fate.unwrap_or(Fate::Folded)).collect()
}

struct Decision<'a> {
    rows: &'a [Concerned],
    /// Who offers a value, if it stands.
    offering: HashMap<KeyHash, Vec<usize>>,
    decided: Vec<Option<Fate>>,
    /// Values that decided rows hold, and by whom.
    claimed: HashMap<KeyHash, usize>,
    /// Values that decided rows offer.
    offered: HashSet<KeyHash>,
}

impl Decision<'_> {
    /// The row is there at the end.
    fn stands(&mut self, at: usize, standing: Standing) {
        self.claimed.extend(standing.state.claims.iter().map(|claim| (claim.value, at)));
        self.offered.extend(&standing.state.offers);
        self.decided[at] = Some(standing.fate);
    }

    fn holder(&self, value: KeyHash, taken: &HashMap<usize, Standing>) -> Option<usize> {
        let claims = |state: &State| state.claims.iter().any(|claim| claim.value == value);
        let decided = self.claimed.get(&value).copied();
        decided.or_else(|| taken.iter().find(|(_, other)| claims(&other.state)).map(|(at, _)| *at))
    }

    /// Whether the row at `at` can be `state`; whatever that takes along is added to `taken`, which is only of use if it can.
    fn stand(
        &self,
        at: usize,
        state: &State,
        fate: Fate,
        taken: &mut HashMap<usize, Standing>,
    ) -> Result<(), Cause> {
        for claim in &state.claims {
            if let Some(rival) = self.holder(claim.value, taken).filter(|rival| *rival != at) {
                let other = Some(self.rows[rival].key);
                return Err(Cause { constraint: Constraint::Unique(claim.name.clone()), other });
            }
        }
        taken.insert(at, Standing { state: state.clone(), fate });
        for reference in &state.references {
            let along = |other: &Standing| other.state.offers.contains(&reference.value);
            if reference.outside || self.offered.contains(&reference.value) || taken.values().any(along) {
                continue;
            }
            let constraint = Constraint::Foreign(reference.name.clone());
            if self.bring(at, reference, &constraint, taken) {
                continue;
            }
            let other = self.last_to_offer(reference.value);
            let cause = Cause { constraint, other };
            if !reference.set_null {
                return Err(cause);
            }
            if let Some(standing) = taken.get_mut(&at) {
                standing.lose(&reference.columns, cause);
            }
        }
        Ok(())
    }

    /// Lets a row that is not decided yet stand for the sake of the one at `for_row`. Returns whether one can.
    fn bring(
        &self,
        for_row: usize,
        reference: &Reference,
        constraint: &Constraint,
        taken: &mut HashMap<usize, Standing>,
    ) -> bool {
        for at in self.offering.get(&reference.value).into_iter().flatten().copied() {
            if self.decided[at].is_some() || taken.contains_key(&at) {
                continue;
            }
            let row = &self.rows[at];
            let (state, fate) = match (&row.live, &row.ghost) {
                (Some(live), _) => (live, Fate::Folded),
                (None, Some(ghost)) => {
                    let other = Some(self.rows[for_row].key);
                    (ghost, Fate::PutBack(Vec::new(), Cause { constraint: constraint.clone(), other }))
                }
                (None, None) => continue,
            };
            let mut more = taken.clone();
            if self.stand(at, state, fate, &mut more).is_ok() {
                *taken = more;
                return true;
            }
        }
        false
    }

    /// The row that offered the value, to be named in a report.
    fn last_to_offer(&self, value: KeyHash) -> Option<KeyHash> {
        self.offering.get(&value)?.first().map(|at| self.rows[*at].key)
    }
}

impl Standing {
    /// Stays, with these columns NULL: what it held and offered by them is gone.
    fn lose(&mut self, columns: &[String], cause: Cause) {
        self.state.claims.retain(|claim| claim.columns.iter().all(|column| !columns.contains(column)));
        match &mut self.fate {
            Fate::PutBack(without, _) | Fate::Without(without, _) => without.extend(columns.iter().cloned()),
            Fate::Folded | Fate::Gone(_) => self.fate = Fate::Without(columns.to_vec(), cause),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use conflict::Write;
    use transaction::{Hlc, Sequence, WriteId};

    use super::*;

    /// A row with a newest write at `hlc`.
    fn row(key: u128, hlc: u64, live: Option<State>, ghost: Option<State>) -> Concerned {
        let id = WriteId { hlc: Hlc(hlc), origin: "eu".parse().unwrap(), sequence: Sequence(hlc), index: 0 };
        let place = Some(Write { id, live: live.is_some(), repair: None }.place());
        Concerned { key: KeyHash(key), place, live, ghost }
    }

    fn claim(value: u128) -> Claim {
        Claim { value: KeyHash(value), name: "u".into(), columns: vec!["u".into()] }
    }

    fn refers(value: u128, set_null: bool) -> Reference {
        let (name, columns) = ("fk".to_owned(), vec!["p".to_owned()]);
        Reference { value: KeyHash(value), name, columns, set_null, outside: false }
    }

    fn offering(value: u128) -> State {
        State { offers: vec![KeyHash(value)], ..State::default() }
    }

    fn child(of: u128, set_null: bool) -> State {
        State { references: vec![refers(of, set_null)], ..State::default() }
    }

    fn unique(name: &str, other: u128) -> Cause {
        Cause { constraint: Constraint::Unique(name.into()), other: Some(KeyHash(other)) }
    }

    fn foreign(other: Option<u128>) -> Cause {
        Cause { constraint: Constraint::Foreign("fk".into()), other: other.map(KeyHash) }
    }

    #[test]
    fn of_two_rows_with_one_unique_value_the_newer_stays() {
        let state = State { claims: vec![claim(7)], ..State::default() };
        let rows = [row(1, 10, Some(state.clone()), None), row(2, 20, Some(state), None)];
        assert_eq!(settle(&rows), [Fate::Gone(unique("u", 2)), Fate::Folded]);
    }

    #[test]
    fn a_child_newer_than_its_parents_delete_brings_the_parent_back() {
        let rows = [row(1, 10, None, Some(offering(5))), row(2, 20, Some(child(5, false)), None)];
        assert_eq!(settle(&rows), [Fate::PutBack(Vec::new(), foreign(Some(2))), Fate::Folded]);
    }

    #[test]
    fn a_child_older_than_its_parents_delete_goes_or_loses_its_parent() {
        let parent = row(1, 30, None, Some(offering(5)));
        let rows = [parent.clone(), row(2, 20, Some(child(5, false)), None)];
        assert_eq!(settle(&rows), [Fate::Folded, Fate::Gone(foreign(Some(1)))]);
        let rows = [parent, row(2, 20, Some(child(5, true)), None)];
        let without = Fate::Without(vec!["p".into()], foreign(Some(1)));
        assert_eq!(settle(&rows), [Fate::Folded, without]);
    }

    #[test]
    fn a_row_is_as_strong_as_the_newest_row_that_leans_on_it() {
        // 1 holds a unique value that the newer 2 wants too; but 3, newer still, refers to 1.
        let held = State { claims: vec![claim(7)], offers: vec![KeyHash(5)], ..State::default() };
        let wants = State { claims: vec![claim(7)], ..State::default() };
        let rows = [
            row(1, 10, Some(held), None),
            row(2, 20, Some(wants), None),
            row(3, 30, Some(child(5, false)), None),
        ];
        assert_eq!(settle(&rows), [Fate::Folded, Fate::Gone(unique("u", 1)), Fate::Folded]);
    }

    #[test]
    fn a_grandchild_that_brings_back_its_parent_but_not_its_grandparent_goes() {
        // The schedule in which comparing pairs never ends: delete of 2 < 3 < delete of 1.
        let middle = State { offers: vec![KeyHash(6)], ..child(5, false) };
        let rows = [
            row(1, 30, None, Some(offering(5))),
            row(2, 10, None, Some(middle)),
            row(3, 20, Some(child(6, false)), None),
        ];
        let fates = settle(&rows);
        assert_eq!(fates, [Fate::Folded, Fate::Folded, Fate::Gone(foreign(Some(2)))]);
    }

    #[test]
    fn rows_that_refer_to_each_other_stand_together() {
        let one = State { offers: vec![KeyHash(5)], ..child(6, false) };
        let other = State { offers: vec![KeyHash(6)], ..child(5, false) };
        let rows = [row(1, 10, Some(one), None), row(2, 20, Some(other), None)];
        assert_eq!(settle(&rows), [Fate::Folded, Fate::Folded]);
    }

    #[test]
    fn a_parent_without_a_ghost_is_not_put_back() {
        let rows = [row(1, 10, None, None), row(2, 20, Some(child(5, false)), None)];
        assert_eq!(settle(&rows), [Fate::Folded, Fate::Gone(foreign(None))]);
    }
}
