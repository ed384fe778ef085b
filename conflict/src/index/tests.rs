#![allow(clippy::unwrap_used)]

use super::*;
use crate::regions::OWN_ORDER;

fn index() -> Index {
    let names = ["eu", "us", "ap"].map(|name| name.parse().unwrap());
    Index::new(&names, names[0]).unwrap()
}

/// Fills an index with single writes to different keys, `per_transaction` to each transaction.
fn filled(keys: usize, per_transaction: usize) -> Index {
    let mut index = index();
    let key = |number: usize| KeyHash::of(&number.to_le_bytes());
    for (at, first) in (0..keys).step_by(per_transaction).enumerate() {
        let last = (first + per_transaction).min(keys);
        let writes = (first..last).map(|number| (key(number), (number - first) as u32, true));
        let sequence = at as u64 + 1;
        let seen = [at as u64 / 64, OWN_ORDER, 0];
        index.insert_seen(1, sequence, 1_000 + sequence, &seen, &[], writes).unwrap();
    }
    index
}

#[test]
fn a_key_of_an_unstable_write_costs_at_most_64_bytes() {
    // The table is at its loosest right after it has grown: one more than 7/8 of a power of two.
    for keys in [2_000, 114_689, 180_000, 229_377] {
        let index = filled(keys, 4);
        assert_eq!(index.keys.len(), keys);
        let per_key = (index.keys.allocation_size() + index.nodes.bytes()) as f64 / keys as f64;
        let with_transactions = index.stats().bytes as f64 / keys as f64;
        println!(
            "{keys} keys: {per_key:.1} bytes each, {with_transactions:.1} with transactions of 4 writes"
        );
        assert!(per_key <= 64.0, "{per_key} bytes per key at {keys} keys");
        assert!(with_transactions <= 90.0, "{with_transactions} bytes per key at {keys} keys");
    }
}

#[test]
fn an_index_that_has_forgotten_everything_gives_its_memory_back() {
    let mut index = filled(50_000, 4);
    let full = index.stats().bytes;
    for region in 0..3 {
        index.stability.observe(region, &[12_500; 3], 12_500);
    }
    while index.prune(1_000).unwrap().more {}
    assert_eq!((index.nodes.len(), index.transactions.len(), index.keys.len()), (0, 0, 0));
    assert!(index.stats().bytes < full / 20, "{} of {full}", index.stats().bytes);
}

#[test]
fn writes_that_go_before_their_turn_leave_no_node_behind() {
    // The visit of the first transaction takes the second one's write along; that one's own visit frees it.
    let mut index = index();
    for sequence in 1..=2 {
        let writes = [(KeyHash(7), 0, true), (KeyHash(7), 1, true), (KeyHash(8), 2, true)];
        index.insert_seen(1, sequence, 100 + sequence, &[0, OWN_ORDER, 0], &[], writes).unwrap();
    }
    for region in 0..3 {
        index.stability.observe(region, &[2; 3], 2);
    }
    while index.prune(1).unwrap().more {}
    assert_eq!((index.writes, index.nodes.len(), index.transactions.len()), (0, 0, 0));
}
