//! Histories made up by hand: honest ends pass, and each kind of damage is seen.

#![allow(clippy::unwrap_used)]

use super::super::ledger::{Change, Image, Transaction};
use super::{Tables, Verdict, judge};
use std::collections::BTreeMap;

/// A play of one table: rows at the beginning, then one transaction after the other.
struct Play {
    table: &'static str,
    columns: &'static [&'static str],
    start: Tables,
    ledgers: Vec<Transaction>,
    ticket: u64,
    now: u64,
}

/// How long a COMMIT of a play takes, in microseconds.
const COMMIT_US: u64 = 1_000;
/// What lies between two transactions that are clearly one after the other.
const GAP_US: u64 = 10_000;

impl Play {
    fn of(table: &'static str, columns: &'static [&'static str], rows: &[&str]) -> Self {
        let mut play =
            Self { table, columns, start: Tables::new(), ledgers: Vec::new(), ticket: 0, now: 1_000_000 };
        play.start = play.tables(rows);
        play
    }

    fn plain(rows: &[&str]) -> Self {
        Self::of("plain", &["id", "token"], rows)
    }

    /// `7 a b` is the row 7 with the values a and b in the columns that follow; `-` is NULL.
    fn image(&self, row: &str) -> Image {
        let value = |text: &str| (text != "-").then(|| text.to_owned());
        let values = row.split(' ').map(value);
        self.columns.iter().map(|column| (*column).to_owned()).zip(values).collect()
    }

    fn tables(&self, rows: &[&str]) -> Tables {
        let rows: BTreeMap<String, Image> =
            rows.iter().map(|row| (row.split(' ').next().unwrap().to_owned(), self.image(row))).collect();
        BTreeMap::from([(self.table.to_owned(), rows)])
    }

    /// A write of row `key`: what it found and what it left, after everything before. Empty: no row.
    fn write(&mut self, region: &str, key: &str, before: &str, after: &str) -> &mut Self {
        self.now += GAP_US;
        self.at_once(region, key, before, after)
    }

    /// A write whose COMMIT overlaps the one before.
    fn at_once(&mut self, region: &str, key: &str, before: &str, after: &str) -> &mut Self {
        self.ticket += 1;
        let image = |row: &str| (!row.is_empty()).then(|| self.image(row));
        let change = Change {
            table: self.table.to_owned(),
            key: key.to_owned(),
            ticket: self.ticket,
            before: image(before),
            after: image(after),
        };
        self.ledgers.push(Transaction {
            writer: format!("{region}-0"),
            region: region.to_owned(),
            number: self.ticket,
            sent_us: self.now,
            acknowledged_us: Some(self.now + COMMIT_US),
            changes: vec![change],
        });
        self
    }

    /// The last write got no answer.
    fn in_doubt(&mut self) -> &mut Self {
        self.ledgers.last_mut().unwrap().acknowledged_us = None;
        self
    }

    fn ends(&self, rows: &[&str]) -> Verdict {
        judge(&self.start, &self.ledgers, &self.tables(rows))
    }

    fn passes(&self, rows: &[&str]) {
        let faults = self.ends(rows).faults;
        assert!(faults.is_empty(), "{rows:?} was right: {faults:#?}");
    }

    fn fails(&self, rows: &[&str], words: &str) {
        let faults = self.ends(rows).faults;
        assert!(faults.iter().any(|fault| fault.contains(words)), "{rows:?} was wrong: {faults:#?}");
    }
}

#[test]
fn the_newest_write_must_stand() {
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").write("us", "7", "7 seed", "7 b");
    play.passes(&["7 b"]);
    play.fails(&["7 a"], "overruled");
    play.fails(&["7 seed"], "overruled");
    play.fails(&["7 c"], "no write left");
    play.fails(&[], "no write left");
}

#[test]
fn of_two_writes_at_once_either_may_stand() {
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").at_once("us", "7", "7 seed", "7 b");
    play.passes(&["7 a"]);
    play.passes(&["7 b"]);
    play.fails(&["7 seed"], "overruled");
}

#[test]
fn what_was_found_and_overwritten_cannot_stand() {
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").at_once("us", "7", "7 a", "7 b");
    play.passes(&["7 b"]);
    play.fails(&["7 a"], "overruled");
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").at_once("eu", "7", "7 a", "7 b");
    play.fails(&["7 a"], "overruled");
}

#[test]
fn a_deleted_row_stays_away_and_a_row_that_nobody_deleted_stays() {
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").write("us", "7", "7 a", "");
    play.passes(&[]);
    play.fails(&["7 a"], "overruled");
    play.write("us", "7", "", "7 b");
    play.passes(&["7 b"]);
    play.fails(&[], "overruled");
    play.fails(&["7 b", "8 x"], "no write left");
}

#[test]
fn a_write_in_doubt_may_stand_and_overrules_nothing() {
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").write("us", "7", "7 a", "7 b").in_doubt();
    play.passes(&["7 a"]);
    play.passes(&["7 b"]);
    play.write("eu", "7", "7 a", "7 c");
    play.passes(&["7 c"]);
    // It may have been committed late: nobody can say.
    play.passes(&["7 b"]);
    play.fails(&["7 a"], "overruled");
}

#[test]
fn a_row_that_goes_back_is_seen_by_whoever_finds_it() {
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").write("us", "7", "7 seed", "7 b").write("us", "7", "7 a", "7 c");
    play.fails(&["7 c"], "outdated");
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "7 seed", "7 a").write("us", "7", "7 x", "7 c");
    play.fails(&["7 c"], "unheard-of");
    let mut play = Play::plain(&["7 seed"]);
    play.write("eu", "7", "", "7 a");
    play.fails(&["7 a"], "unheard-of");
}

const PAIR: &[&str] = &["id", "a", "b", "token"];

#[test]
fn a_row_may_make_way_only_for_the_same_value_of_a_newer_row_elsewhere() {
    let mut play = Play::of("pair", PAIR, &[]);
    play.write("eu", "1", "", "1 5 - e").write("us", "2", "", "2 5 - u");
    play.passes(&["2 5 - u"]);
    assert_eq!(play.ends(&["2 5 - u"]).made_way, 1);
    play.fails(&["1 5 - e"], "can have beaten");
    // Two NULLs are not the same value.
    let mut play = Play::of("pair", PAIR, &[]);
    play.write("eu", "1", "", "1 5 - e").write("us", "2", "", "2 6 - u");
    play.passes(&["1 5 - e", "2 6 - u"]);
    play.fails(&["2 6 - u"], "can have beaten");
    // In one region the server keeps them apart.
    let mut play = Play::of("pair", PAIR, &[]);
    play.write("eu", "1", "", "1 5 - e").write("eu", "2", "", "2 5 - f");
    play.fails(&["2 5 - f"], "can have beaten");
    // And a live row must be as it was left.
    play.fails(&["1 6 - e", "2 5 - f"], "no write left");
}

const TALLY: &[&str] = &["id", "n", "price", "high", "low", "tags", "fore", "aft"];

fn tally() -> Play {
    let mut play = Play::of("tally", TALLY, &["1 0 0.00 10 10  s s"]);
    play.write("eu", "1", "1 0 0.00 10 10  s s", "1 100 1.50 20 10 a x s");
    play.at_once("us", "1", "1 0 0.00 10 10  s s", "1 7 0.25 15 5 b,c s y");
    play
}

#[test]
fn a_tally_is_the_sum_the_extreme_and_the_union_of_all_writes() {
    let mut play = tally();
    play.passes(&["1 107 1.75 20 5 a,b,c x y"]);
    play.fails(
        &["1 100 1.75 20 5 a,b,c x y"],
        "n is 100, but the increments sum up to 107 (0 in doubt); #2 is lost",
    );
    play.fails(&["1 207 1.75 20 5 a,b,c x y"], "#1 counts twice");
    play.fails(&["1 107 1.50 20 5 a,b,c x y"], "price");
    play.fails(&["1 107 1.75 15 5 a,b,c x y"], "high");
    play.fails(&["1 107 1.75 21 5 a,b,c x y"], "high");
    play.fails(&["1 107 1.75 20 10 a,b,c x y"], "low");
    play.fails(&["1 107 1.75 20 5 b,c x y"], "lost");
    play.fails(&["1 107 1.75 20 5 a,b,c,d x y"], "were not");
    play.fails(&["1 107 1.75 20 5 a,b,c s y"], "fore");
    play.fails(&["1 107 1.75 20 5 a,b,c x s"], "aft");
    play.fails(&[], "lost");
    // The second column of the last writer, and an increment in doubt.
    play.write("us", "1", "1 107 1.75 20 5 a,b,c x y", "1 108 1.75 30 4 a,b,c,d x z").in_doubt();
    play.passes(&["1 107 1.75 20 5 a,b,c x y"]);
    play.passes(&["1 108 1.75 30 4 a,b,c,d x z"]);
    play.fails(&["1 109 1.75 20 5 a,b,c x y"], "n is 109");
    play.fails(&["1 107 1.75 25 5 a,b,c x y"], "high");
}

#[test]
fn columns_are_judged_one_by_one() {
    let mut play = Play::of("mixed", &["id", "fore", "aft"], &["1 s s"]);
    play.write("eu", "1", "1 s s", "1 x s").at_once("us", "1", "1 s s", "1 s y");
    play.passes(&["1 x y"]);
    play.fails(&["1 s y"], "fore");
    play.fails(&["1 x s"], "aft");
    play.fails(&["1 x z"], "no write brought aft");
    play.fails(&[], "nobody deleted");
    play.write("eu", "1", "1 x y", "1 v y");
    play.passes(&["1 v y"]);
    play.fails(&["1 x y"], "fore");
    play.write("us", "1", "1 v y", "");
    play.passes(&[]);
    play.fails(&["1 v y"], "fore");
    play.write("eu", "1", "", "1 w w");
    play.fails(&[], "certainly followed");
}

#[test]
fn an_update_after_a_delete_elsewhere_may_bring_old_columns_back() {
    let mut play = Play::of("mixed", &["id", "fore", "aft"], &["1 s s"]);
    play.write("eu", "1", "1 s s", "").write("us", "1", "1 s s", "1 s y");
    play.passes(&["1 s y"]);
    play.fails(&[], "certainly followed");
}

#[test]
fn the_owners_last_write_stays_unless_someone_who_saw_it_writes() {
    let mut play = Play::of("owned", &["id", "token"], &["1 s"]);
    play.write("eu", "1", "1 s", "1 e").write("us", "1", "1 s", "1 u");
    play.passes(&["1 e"]);
    play.fails(&["1 u"], "owner");
    play.fails(&["1 s"], "owner");
    play.write("us", "1", "1 e", "1 v");
    play.passes(&["1 v"]);
    // us's last write had seen all that eu wrote.
    play.fails(&["1 e"], "owner");
    play.write("ap", "1", "1 v", "1 w");
    play.passes(&["1 w"]);
    play.fails(&["1 v"], "owner");
    play.write("eu", "1", "1 e", "1 f");
    play.passes(&["1 f"]);
    play.fails(&["1 w"], "owner");
}

#[test]
fn without_the_owner_the_others_are_ordered_as_ever() {
    let mut play = Play::of("owned", &["id", "token"], &["1 s"]);
    play.write("us", "1", "1 s", "1 u").write("ap", "1", "1 s", "1 a");
    play.passes(&["1 a"]);
    play.fails(&["1 u"], "overruled");
    play.write("eu", "1", "1 u", "1 e").in_doubt();
    play.passes(&["1 e"]);
    play.passes(&["1 a"]);
    play.fails(&["1 x"], "no write left");
}

#[test]
fn a_winning_delete_may_be_older_but_not_one_that_was_seen() {
    let mut play = Play::of("fading", &["id", "token"], &["1 s"]);
    play.write("eu", "1", "1 s", "").write("us", "1", "1 s", "1 u");
    play.passes(&[]);
    // It may have come first to all; whether they were concurrent the ledgers do not say.
    play.passes(&["1 u"]);
    play.write("eu", "1", "", "1 e");
    play.passes(&["1 e"]);
    play.fails(&[], "had seen every delete");
    play.fails(&["1 u"], "overruled");
    let mut play = Play::of("fading", &["id", "token"], &["1 s"]);
    play.write("eu", "1", "1 s", "1 e");
    play.fails(&[], "nobody deleted");
}

#[test]
fn a_losing_delete_cannot_stand_against_a_later_write() {
    let mut play = Play::of("keeping", &["id", "token"], &["1 s"]);
    play.write("us", "1", "1 s", "1 u").write("eu", "1", "1 s", "");
    play.passes(&["1 u"]);
    play.passes(&[]);
    play.fails(&["1 s"], "overruled");
    play.write("us", "1", "1 u", "1 v");
    play.passes(&["1 v"]);
    play.fails(&[], "overruled");
    play.fails(&["1 u"], "overruled");
}

/// A play of a child, whose parent somebody in ap deleted at the beginning or nobody did.
fn child(parent_deleted: bool) -> Play {
    let mut play = Play::of("child", &["id", "parent", "token"], &["1 5 s"]);
    if parent_deleted {
        let mut parent = Play::of("parent", &["id", "token"], &["5 p"]);
        parent.write("ap", "5", "5 p", "");
        play.ledgers.append(&mut parent.ledgers);
        play.ticket = parent.ticket;
    }
    play
}

/// The rows, with the parents 5 and 6.
fn with_parents(play: &Play, rows: &[&str]) -> Vec<String> {
    let mut end = play.tables(rows);
    let parents = Play::of("parent", &["id", "token"], &["5 p", "6 p"]);
    end.extend(parents.start.clone());
    let start = play.start.clone().into_iter().chain(parents.start).collect();
    judge(&start, &play.ledgers, &end).faults
}

#[test]
fn a_child_goes_only_with_its_parent_or_by_its_own_delete() {
    let mut play = child(false);
    play.write("us", "1", "1 5 s", "1 6 u");
    assert!(with_parents(&play, &["1 6 u"]).is_empty());
    assert!(with_parents(&play, &["1 5 s"])[0].contains("overruled"));
    assert!(with_parents(&play, &["1 5 x"])[0].contains("no write left"));
    assert!(with_parents(&play, &[])[0].contains("no parent of it was deleted"));
    play.fails(&["1 6 u"], "lost its parent");
    play.write("eu", "1", "1 6 u", "");
    assert!(with_parents(&play, &[]).is_empty());
    play.write("eu", "1", "", "1 6 v");
    assert!(with_parents(&play, &["1 6 v"]).is_empty());
    assert!(!with_parents(&play, &[]).is_empty());

    let mut play = child(true);
    play.write("us", "1", "1 5 s", "1 5 u");
    assert!(with_parents(&play, &[]).is_empty(), "its parent was deleted");
    play.write("us", "1", "1 5 u", "1 6 v");
    assert!(!with_parents(&play, &[]).is_empty(), "it was given to another parent after that");
}

#[test]
fn a_parent_may_be_put_back_until_somebody_writes_it_anew() {
    let mut play = Play::of("parent", &["id", "token"], &["5 p"]);
    play.write("us", "5", "5 p", "5 u");
    play.fails(&["5 p"], "overruled");
    play.fails(&[], "the row is gone");
    play.write("eu", "5", "5 p", "");
    play.passes(&["5 u"]);
    // The region that put it back may not have heard of us's write.
    play.passes(&["5 p"]);
    play.passes(&[]);
    play.write("ap", "5", "", "5 a");
    play.passes(&["5 a"]);
    play.fails(&["5 u"], "overruled");
    play.fails(&[], "after every delete");
}

#[test]
fn rows_of_several_regions_are_counted_as_contested() {
    let mut play = Play::plain(&["7 seed", "8 seed"]);
    play.write("eu", "7", "7 seed", "7 a").write("us", "7", "7 a", "7 b").write("us", "8", "8 seed", "8 c");
    let verdict = play.ends(&["7 b", "8 c"]);
    assert_eq!((verdict.rows, verdict.contested, verdict.writes), (2, 1, 3));
}
