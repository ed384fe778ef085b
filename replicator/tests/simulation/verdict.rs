//! What must hold when all is quiet.

use std::collections::{BTreeMap, BTreeSet};

use transaction::record::{Body, Record};
use transaction::{Gtid, RecordNumber, RegionName, Sequence};

use super::mesh::Mesh;
use super::oracle::Oracle;
use super::schema::read_int;
use super::server::Rows;

/// Everything that is wrong with a run.
pub(crate) fn of(mesh: &Mesh) -> Vec<String> {
    let mut wrong = Vec::new();
    mesh.archive();
    logs_are_equal(mesh, &mut wrong);
    transactions_are_logged_once(mesh, &mut wrong);
    transactions_are_applied_once(mesh, &mut wrong);
    let rows: Vec<Rows> = mesh.servers.iter().map(|server| server.rows()).collect();
    rows_are_the_fold(mesh, &rows, &mut wrong);
    rows_are_equal(mesh, &rows, &mut wrong);
    values_are_unique(mesh, &rows, &mut wrong);
    children_have_parents(mesh, &rows, &mut wrong);
    // What clients added on a new primary before a tail was back counts twice where a third write meets both (SEMANTICS.md, "Failover").
    if mesh.failovers.get() == 0 {
        sums_are_exact(mesh, &rows, &mut wrong);
    }
    wrong
}

fn oracle(mesh: &Mesh) -> Oracle {
    Oracle::new(&mesh.schema, &mesh.names, &mesh.archives.borrow())
}

/// Repairs that were logged.
pub(crate) fn repairs(mesh: &Mesh) -> usize {
    oracle(mesh).repairs
}

fn logs_are_equal(mesh: &Mesh, wrong: &mut Vec<String>) {
    let mut archives = mesh.archives.borrow_mut();
    for (place, archive) in archives.iter_mut().enumerate() {
        if !archive.is_dense() {
            wrong.push(format!("the log of {} has a hole", mesh.names[place]));
        }
        let held = archive.records.len();
        for process in mesh.processes.borrow().iter().flatten() {
            let taken = archive.compare(&process.board.logs.get(mesh.names[place]).log, RecordNumber(1));
            wrong.extend(taken.err());
        }
        if archive.records.len() != held {
            wrong.push(format!("a copy of the log of {} is longer than the log", mesh.names[place]));
        }
    }
}

fn transactions_are_logged_once(mesh: &Mesh, wrong: &mut Vec<String>) {
    for (place, archive) in mesh.archives.borrow().iter().enumerate() {
        let records = archive.records.values().map(|bytes| Record::decode(bytes).unwrap());
        let logged: Vec<Gtid> = records
            .filter_map(|record| match record.body {
                Body::Transaction(body) => Some(body.gtid),
                _ => None,
            })
            .collect();
        let committed = mesh.servers[place].clients();
        if logged != committed {
            let (name, logged, committed) = (mesh.names[place], logged.len(), committed.len());
            wrong.push(format!("{name} logged {logged} transactions of {committed} that clients committed"));
        }
    }
}

fn transactions_are_applied_once(mesh: &Mesh, wrong: &mut Vec<String>) {
    for (server, name) in mesh.servers.iter().zip(&mesh.names) {
        let mut last: BTreeMap<RegionName, Sequence> = BTreeMap::new();
        for (origin, sequence) in server.applied() {
            let before = last.insert(origin, sequence).unwrap_or_default();
            if before >= sequence {
                wrong.push(format!("{name} applied {origin} up to {before} and then up to {sequence} again"));
            }
        }
    }
}

fn rows_are_the_fold(mesh: &Mesh, rows: &[Rows], wrong: &mut Vec<String>) {
    let oracle = oracle(mesh);
    for ((table, key), folded) in oracle.rows(&mesh.schema, mesh.names[0]) {
        for (rows, name) in rows.iter().zip(&mesh.names) {
            let here = rows[table].get(&key);
            if here != folded.as_ref() {
                wrong.push(format!(
                    "row {key:?} of {} is {here:?} in {name}, its fold is {folded:?}; its newest writes:{}",
                    mesh.schema.tables[table].name,
                    oracle.tell(table, &key)
                ));
            }
        }
    }
}

fn rows_are_equal(mesh: &Mesh, rows: &[Rows], wrong: &mut Vec<String>) {
    for (other, name) in rows.iter().zip(&mesh.names).skip(1) {
        for (table, layout) in mesh.schema.tables.iter().enumerate() {
            if rows[0][table] != other[table] {
                wrong.push(format!("{} differs between {} and {name}", layout.name, mesh.names[0]));
            }
        }
    }
}

fn values_are_unique(mesh: &Mesh, rows: &[Rows], wrong: &mut Vec<String>) {
    for (rows, name) in rows.iter().zip(&mesh.names) {
        for (table, layout) in mesh.schema.tables.iter().enumerate() {
            for column in &layout.unique {
                let mut seen = BTreeSet::new();
                let values = rows[table].values().filter_map(|row| row[*column].as_ref());
                for value in values.map(|value| layout.compared(*column, value)) {
                    if !seen.insert(value) {
                        wrong.push(format!("{} in {name} holds a unique value twice", layout.name));
                    }
                }
            }
        }
    }
}

fn children_have_parents(mesh: &Mesh, rows: &[Rows], wrong: &mut Vec<String>) {
    for (rows, name) in rows.iter().zip(&mesh.names) {
        for foreign in &mesh.schema.foreign {
            for (key, row) in &rows[foreign.child] {
                if row[foreign.column]
                    .as_ref()
                    .is_some_and(|parent| !rows[foreign.parent].contains_key(parent))
                {
                    wrong.push(format!("row {key:?} breaks {} in {name}", foreign.name));
                }
            }
        }
    }
}

fn sums_are_exact(mesh: &Mesh, rows: &[Rows], wrong: &mut Vec<String>) {
    for ((table, key), sum) in &mesh.ledger.borrow().added {
        for (rows, name) in rows.iter().zip(&mesh.names) {
            let n = rows[*table].get(key).map(|row| read_int(&row[1]));
            if n != Some(*sum) {
                let told = oracle(mesh).tell(*table, key);
                wrong.push(format!(
                    "tally {key:?} is {n:?} in {name}, clients added {sum}; its newest writes:{told}"
                ));
            }
        }
    }
}
