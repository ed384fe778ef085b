//! The referee: are the tables what the ledgers say?
//!
//! It checks, and says with names what is wrong:
//! - a row that one writer owns carries exactly that writer's last token, or is gone if that was the last thing it did;
//! - an owned counter has counted exactly what its writer counted;
//! - a row that all write carries the last token of one of its writers, or is gone if one of them deleted it last;
//! - a row that nobody made is not there, and no key was given out twice.
//!
//! It does **not** check which of several writers of a shared row should have won: that the regions agree is for the
//! comparison of tables.

use super::ledger::{Entry, What};
use super::schema::{PRODUCTS, SEED_TOKEN, STOCK, TABLES, key_expression};
use crate::{Result, Sql};
use std::collections::{BTreeMap, BTreeSet};

type Key = (String, String);

/// What the ledgers say together.
#[derive(Debug, Default)]
pub struct Expectation {
    owned: BTreeMap<Key, Owned>,
    shared: BTreeMap<Key, BTreeMap<String, Option<String>>>,
    faults: Vec<String>,
    changes: u64,
}

#[derive(Debug)]
struct Owned {
    owner: String,
    token: Option<String>,
    count: i64,
}

/// What a comparison with one region's tables found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Rows of writers that are as they were last written.
    pub owned_right: u64,
    /// Rows of all that carry somebody's last write.
    pub shared_right: u64,
    /// Everything that is wrong, in sentences.
    pub faults: Vec<String>,
}

impl Expectation {
    /// What is there before anybody writes, given who will write.
    pub fn seeded(writers: &[String]) -> Self {
        let mut expectation = Self::default();
        for product in 1..=PRODUCTS {
            expectation.shared.insert(("shop.products".to_owned(), product.to_string()), BTreeMap::new());
            let central = ("shop.stock".to_owned(), format!("{product}/central"));
            expectation.shared.insert(central, BTreeMap::new());
            for writer in writers {
                let key = ("shop.stock".to_owned(), format!("{product}/{writer}"));
                let owned = Owned { owner: writer.clone(), token: Some(SEED_TOKEN.to_owned()), count: 0 };
                expectation.owned.insert(key, owned);
            }
        }
        expectation
    }

    /// Adds a writer's ledger.
    pub fn add(&mut self, writer: &str, entries: &[Entry]) {
        for change in entries.iter().flat_map(|entry| &entry.changes) {
            self.changes += 1;
            let key = (change.table.clone(), change.key.clone());
            let (token, count) = match &change.what {
                What::Put(token) => (Some(token.clone()), 0),
                What::Count(by, token) => (Some(token.clone()), *by),
                What::Delete => (None, 0),
            };
            if change.shared {
                self.shared.entry(key).or_default().insert(writer.to_owned(), token);
                continue;
            }
            let owned = self.owned.entry(key).or_insert_with(|| Owned {
                owner: writer.to_owned(),
                token: None,
                count: 0,
            });
            if owned.owner != writer {
                let (table, key) = (&change.table, &change.key);
                self.faults.push(format!("{table} {key}: both {} and {writer} made this row", owned.owner));
            }
            owned.token = token;
            owned.count += count;
        }
    }

    /// How many changes the ledgers hold.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Compares with the tables of one region.
    pub async fn judge(&self, sql: &mut Sql) -> Result<Verdict> {
        let mut verdict = Verdict { faults: self.faults.clone(), ..Verdict::default() };
        let mut found: BTreeMap<Key, String> = BTreeMap::new();
        for table in TABLES {
            let query = format!("SELECT {}, token FROM {table}", key_expression(table));
            for row in sql.rows(query).await? {
                if let [key, token] = row.as_slice() {
                    found.insert((table.to_owned(), key.clone()), token.clone());
                }
            }
        }
        self.judge_owned(&found, &mut verdict);
        self.judge_shared(&found, &mut verdict);
        for (table, key) in found.keys() {
            let known = (table.clone(), key.clone());
            if !self.owned.contains_key(&known) && !self.shared.contains_key(&known) {
                verdict.faults.push(format!("{table} {key}: nobody made this row"));
            }
        }
        self.judge_counters(sql, &mut verdict).await?;
        Ok(verdict)
    }

    fn judge_owned(&self, found: &BTreeMap<Key, String>, verdict: &mut Verdict) {
        for ((table, key), owned) in &self.owned {
            let there = found.get(&(table.clone(), key.clone()));
            if there == owned.token.as_ref() {
                verdict.owned_right += 1;
                continue;
            }
            let fault = match (&owned.token, there) {
                (Some(token), None) => format!("{} wrote {token}, and the row is lost", owned.owner),
                (Some(token), Some(there)) => {
                    format!("{} last wrote {token}, but {there} is there", owned.owner)
                }
                (None, Some(there)) => format!("{} deleted it, but {there} is there", owned.owner),
                (None, None) => continue,
            };
            verdict.faults.push(format!("{table} {key}: {fault}"));
        }
    }

    fn judge_shared(&self, found: &BTreeMap<Key, String>, verdict: &mut Verdict) {
        for ((table, key), writers) in &self.shared {
            let there = found.get(&(table.clone(), key.clone()));
            let mut lasts: BTreeSet<Option<&str>> = writers.values().map(Option::as_deref).collect();
            if writers.is_empty() {
                lasts.insert(Some(SEED_TOKEN));
            }
            if lasts.contains(&there.map(String::as_str)) {
                verdict.shared_right += 1;
            } else {
                let there = there.map_or("no row", String::as_str);
                verdict.faults.push(format!(
                    "{table} {key}: {there} is there, but the last writes of its writers are {lasts:?}"
                ));
            }
        }
    }

    async fn judge_counters(&self, sql: &mut Sql, verdict: &mut Verdict) -> Result<()> {
        let query =
            "SELECT CONCAT(product, '/', warehouse), quantity FROM shop.stock WHERE warehouse <> 'central'";
        for row in sql.rows(query).await? {
            let [key, quantity] = row.as_slice() else { continue };
            let Some(owned) = self.owned.get(&("shop.stock".to_owned(), key.clone())) else { continue };
            let expected = (STOCK + owned.count).to_string();
            if *quantity != expected {
                verdict.faults.push(format!(
                    "shop.stock {key}: {quantity} left, but by {}'s count it must be {expected}",
                    owned.owner
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{Change, Entry, What};
    use super::{Expectation, Verdict};
    use std::collections::BTreeMap;

    fn entry(number: u64, key: &str, shared: bool, what: What) -> Entry {
        let change = Change { table: "shop.orders".to_owned(), key: key.to_owned(), shared, what };
        Entry { number, changes: vec![change] }
    }

    fn faults(expectation: &Expectation, found: &[(&str, &str)]) -> Vec<String> {
        let found: BTreeMap<_, _> = found
            .iter()
            .map(|(key, token)| (("shop.orders".to_owned(), (*key).to_owned()), (*token).to_owned()))
            .collect();
        let mut verdict = Verdict::default();
        expectation.judge_owned(&found, &mut verdict);
        expectation.judge_shared(&found, &mut verdict);
        verdict.faults
    }

    #[test]
    fn an_owned_row_must_carry_its_owners_last_token() {
        let mut expectation = Expectation::default();
        let put = |token: &str| What::Put(token.to_owned());
        expectation.add("eu-0", &[entry(1, "7", false, put("a")), entry(2, "7", false, put("b"))]);
        assert!(faults(&expectation, &[("7", "b")]).is_empty());
        assert_eq!(faults(&expectation, &[("7", "a")]).len(), 1);
        assert_eq!(faults(&expectation, &[]).len(), 1);
    }

    #[test]
    fn a_deleted_row_must_be_gone() {
        let mut expectation = Expectation::default();
        expectation.add(
            "eu-0",
            &[entry(1, "7", false, What::Put("a".to_owned())), entry(2, "7", false, What::Delete)],
        );
        assert!(faults(&expectation, &[]).is_empty());
        assert_eq!(faults(&expectation, &[("7", "a")]).len(), 1);
    }

    #[test]
    fn a_shared_row_must_carry_the_last_token_of_one_of_its_writers() {
        let mut expectation = Expectation::default();
        let put = |token: &str| What::Put(token.to_owned());
        expectation.add("eu-0", &[entry(1, "7", true, put("a")), entry(2, "7", true, put("b"))]);
        expectation.add("us-0", &[entry(1, "7", true, put("c"))]);
        assert!(faults(&expectation, &[("7", "b")]).is_empty());
        assert!(faults(&expectation, &[("7", "c")]).is_empty());
        assert_eq!(faults(&expectation, &[("7", "a")]).len(), 1, "a was overwritten by its own writer");
        assert_eq!(faults(&expectation, &[]).len(), 1, "nobody deleted it");
    }

    #[test]
    fn a_key_given_out_twice_is_a_fault() {
        let mut expectation = Expectation::default();
        expectation.add("eu-0", &[entry(1, "7", false, What::Put("a".to_owned()))]);
        expectation.add("us-0", &[entry(1, "7", false, What::Put("b".to_owned()))]);
        assert_eq!(expectation.faults.len(), 1);
    }
}
