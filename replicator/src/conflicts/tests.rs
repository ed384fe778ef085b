#![allow(clippy::unwrap_used)]

use std::path::Path;

use applier::journal::{Entry, Journal, Kind};
use log_store::{Identity, Options, Store};
use transaction::Sequence;

use super::sample::{NOON, entry};
use super::*;
use crate::region::journal::ConflictJournal;

fn open(dir: &Path) -> ConflictJournal {
    let identity = Identity { mesh: "shop".to_owned(), region: "eu".parse().unwrap() };
    ConflictJournal::open(&Store::open(dir, identity, Options::default()).unwrap()).unwrap()
}

fn listed(journal: &ConflictJournal, filter: &Filter) -> Vec<u64> {
    let (entries, trouble) = list(journal.read().unwrap(), filter);
    assert!(trouble.is_none());
    entries.iter().map(|entry| (entry.found_us - NOON) / 1_000_000).collect()
}

/// Five conflicts, the fourth an insert against an insert, the fifth in another table.
fn five() -> Vec<Entry> {
    let mut entries: Vec<_> = (1..=5).map(|id| entry(id, 3)).collect();
    entries[3].kind = Kind::InsertInsert;
    entries[3].incoming.origin = "ap".parse().unwrap();
    entries[4].table = "orders".to_owned();
    entries
}

#[test]
fn the_newest_that_match_are_listed_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.write(&five()).unwrap();
    let all = || Filter::last(10);
    assert_eq!(listed(&journal, &all()), [1, 2, 3, 4, 5]);
    assert_eq!(listed(&journal, &Filter::last(2)), [4, 5]);
    assert_eq!(listed(&journal, &Filter { table: Some("shop.s*".parse().unwrap()), ..all() }), [1, 2, 3, 4]);
    assert_eq!(listed(&journal, &Filter { kind: Some(Kind::InsertInsert), ..all() }), [4]);
    assert_eq!(listed(&journal, &Filter { region: Some("ap".parse().unwrap()), ..all() }), [4]);
    assert_eq!(listed(&journal, &Filter { region: Some("eu".parse().unwrap()), ..all() }).len(), 5);
    let between = Filter { since_us: Some(NOON + 2_000_000), until_us: Some(NOON + 4_000_000), ..all() };
    assert_eq!(listed(&journal, &between), [2, 3]);
}

#[test]
fn an_entry_found_before_a_clock_was_set_back_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut entries = five();
    entries[4].found_us = NOON - 60_000_000;
    journal.write(&entries).unwrap();
    assert_eq!(listed(&journal, &Filter { since_us: Some(NOON), ..Filter::last(10) }), [1, 2, 3, 4]);
}

#[test]
fn an_entry_is_found_by_the_beginning_of_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut entries = five();
    for (at, entry) in entries.iter_mut().enumerate() {
        entry.id = format!("{:032x}", 0xabcd_0000_0000_0000_0000_0000_0000_0000u128 + at as u128);
    }
    entries[0].id = format!("{:032x}", 0xabce_u128 << 112);
    journal.write(&entries).unwrap();
    let found = |id: &str| find(journal.read().unwrap(), id).map_err(|error| error.to_string());
    assert_eq!(found("abce"), Ok(entries[0].clone()));
    assert_eq!(found(&entries[2].id.to_uppercase()), Ok(entries[2].clone()));
    assert!(found("abcd").unwrap_err().contains("is the beginning of"));
    assert!(found("abd0").unwrap_err().contains("no conflict abd0"));
    for bad in ["abc", "", "xyzw", &"a".repeat(33)] {
        assert!(found(bad).unwrap_err().contains("32 hexadecimal digits"), "{bad}");
    }
}

#[test]
fn damage_is_told_with_what_is_intact() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    for entry in five() {
        journal.write(&[entry]).unwrap();
    }
    drop(journal);
    let file = dir.path().join("conflict-journal").join("00000000000000000001.journal");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let reader = || Store::open_read_only(dir.path()).unwrap().read_journal().unwrap();
    let (entries, trouble) = list(reader(), &Filter::last(10));
    assert_eq!(entries.len(), 2);
    assert!(trouble.unwrap().to_string().contains("damaged"));
    assert_eq!(find(reader(), &entries[1].id).unwrap(), entries[1]);
    assert!(find(reader(), "0123456789").unwrap_err().to_string().contains("damaged"));
}

#[test]
fn what_was_not_committed_when_the_process_died_is_withdrawn_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut entries: Vec<_> = [(1, 7), (2, 8), (3, 9)].map(|(id, sequence)| entry(id, sequence)).into();
    entries[1].incoming.origin = "ap".parse().unwrap();
    journal.write(&entries).unwrap();
    drop(journal);
    let journal = open(dir.path());
    let us = "us".parse().unwrap();
    assert_eq!(journal.settle(&[(us, Sequence(9))]).unwrap(), 0);
    assert_eq!(journal.settle(&[(us, Sequence(7))]).unwrap(), 1);
    assert_eq!(listed(&journal, &Filter::last(10)), [1, 2], "nothing is known of ap");
    journal.write(&entries).unwrap();
    assert_eq!(listed(&journal, &Filter::last(10)), [1, 2, 3], "met again");
}

#[test]
fn a_long_value_does_not_fill_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut long = entry(1, 3);
    long.result = Some(vec![("note".to_owned(), Some("x".repeat(1 << 20)))]);
    journal.write(&[long.clone()]).unwrap();
    let found = find(journal.read().unwrap(), &long.id).unwrap();
    let note = found.result.unwrap()[0].1.clone().unwrap();
    assert!(note.len() < 20_000 && applier::journal::is_cut(&note));
}

#[test]
fn an_id_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let wrong = Entry { id: "+1234567890123456789012345678901".to_owned(), ..entry(1, 3) };
    assert!(journal.write(&[wrong]).unwrap_err().reason.contains("32 hexadecimal digits"));
    assert!(journal.withdraw(&["12".to_owned()]).is_err());
}

#[test]
fn a_conflict_is_counted_once_however_often_it_is_met() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    journal.write(&five()).unwrap();
    journal.write(&five()).unwrap();
    assert_eq!(journal.counts().total(), 5);
}
