//! Random schemas and random statements: each seed is a case, replayed on real servers in both directions and judged like
//! those of `cases/`.
//!
//! A [`Case`] is a function of its seed alone, so `CONCORD_SEED=` plays it again. The server may refuse statements (a
//! value out of range, a key that is taken): which it refuses is no matter as long as both servers hold the same in the end;
//! [`Counts`] tells how many. To add a kind of statement, add a line to the table in `statement.rs`; to add a block of several, one
//! to the table in `client.rs`.
//!
//! Start at [`case()`]; [`run()`] plays seeds until a time is over.

mod client;
mod column;
mod counts;
mod ddl;
mod key;
mod letters;
mod literal;
mod run;
mod statement;
mod table;

pub use counts::Counts;
pub use run::{Report, run};

use crate::case::script::{Outcome, Step};
use crate::case::{Case, Script};
use crate::shop::dice::Dice;
use client::Client;
use std::sync::Arc;
use table::Table;

/// The group of all random cases.
pub const GROUP: &str = "random";

/// How many statements or blocks of statements each region's client runs.
const BLOCKS: [usize; 2] = [90, 60];

/// A table that always exists, into which each client writes at its end: so no case compares nothing.
const WITNESS: &str = "CREATE TABLE witness (id INT AUTO_INCREMENT PRIMARY KEY, said VARCHAR(20))";

/// The name of the case of a seed.
pub fn name(seed: u64) -> String {
    format!("seed_{seed}")
}

/// The case of a seed. What its clients meet is added to `counts`.
pub fn case(seed: u64, counts: &Arc<Counts>) -> Case {
    let mut dice = Dice::new(seed);
    // Neighbouring seeds begin far apart.
    let mut dice = Dice::new(dice.throw());
    let tables = table::some(&mut dice);
    let either = || Outcome::Either(Some(Arc::clone(counts)));
    let mut schema: Vec<Step> =
        tables.iter().flat_map(Table::definition).map(|statement| Step::new(statement, either())).collect();
    schema.push(Step::new(WITNESS.to_owned(), Outcome::Succeeds));
    let [eu, us] = BLOCKS.map(|blocks| {
        let mut client = Client::new(&mut dice, &tables, counts);
        for _ in 0..blocks {
            client.block();
        }
        let mut steps = client.steps();
        steps.push(Step::new(
            "INSERT INTO witness VALUES (NULL, 'was here')".to_owned(),
            Outcome::Either(None),
        ));
        Script { steps }
    });
    Case {
        group: GROUP.to_owned(),
        name: name(seed),
        schema: Script { steps: schema },
        eu,
        us,
        holds: Script::default(),
        stop: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_case_again_and_another_seed_another() {
        let text = |seed| {
            let case = case(seed, &Arc::default());
            case.schema.steps.into_iter().chain(case.eu.steps).map(|step| step.statement).collect::<Vec<_>>()
        };
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }
}
