//! Clients: transactions on few rows, chosen by chance from what is there.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::locks::{Resource, Txn};
use super::mesh::Mesh;
use super::schema::{Key, Row, Table, int, read_int};
use super::server::{Checks, Refusal, Server};
use super::trace::trace;

/// What clients know to be committed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) committed: usize,
    /// What was added to rows of tally tables: table and key.
    pub(crate) added: BTreeMap<(usize, Key), i64>,
}

const WAIT_MS: u64 = 1_000;

/// Runs one client to its end.
pub(crate) async fn work(mesh: Rc<Mesh>, place: usize) {
    let server = mesh.servers[place].clone();
    for _ in 0..mesh.shape.transactions {
        mesh.dice.pause(mesh.shape.think_ms).await;
        while !mesh.failed() {
            match transaction(&mesh, &server).await {
                Ok(()) => break,
                Err(_) => mesh.dice.pause(50).await,
            }
        }
    }
}

async fn transaction(mesh: &Mesh, server: &Server) -> Result<(), Refusal> {
    let dice = &mesh.dice;
    if server.connect().is_none() {
        return Err(Refusal::Gone);
    }
    let txn = server.begin(true);
    let mut added = Vec::new();
    let count = if dice.percent(5) { 12 } else { 1 + dice.below(3) };
    for _ in 0..count {
        dice.pause(if dice.percent(10) { 30 } else { 2 }).await;
        match operation(mesh, server, txn, &mut added).await {
            Ok(()) => {}
            // Only the statement failed.
            Err(
                Refusal::DuplicatePrimary
                | Refusal::DuplicateUnique
                | Refusal::NoParent
                | Refusal::HasChildren
                | Refusal::Check,
            ) if dice.percent(70) => {}
            Err(refusal) => {
                server.rollback(txn);
                return Err(refusal);
            }
        }
    }
    dice.pause(if dice.percent(10) { 60 } else { 2 }).await;
    if dice.percent(5) {
        server.rollback(txn);
        return Ok(());
    }
    if !server.commit(txn, None) {
        return Err(Refusal::Gone);
    }
    let mut ledger = mesh.ledger.borrow_mut();
    ledger.committed += 1;
    for (table, key, number) in added {
        *ledger.added.entry((table, key)).or_default() += number;
    }
    Ok(())
}

async fn operation(
    mesh: &Mesh,
    server: &Server,
    txn: Txn,
    added: &mut Vec<(usize, Key, i64)>,
) -> Result<(), Refusal> {
    let dice = &mesh.dice;
    let place = *dice.pick(&mesh.shape.tables);
    let table = &mesh.schema.tables[place];
    let id = any_id(mesh, table);
    let key = table.compared(0, id.as_ref().unwrap());
    server.lock(txn, Resource::Row(place, key.clone()), WAIT_MS).await?;
    let here = server.row(place, &key);
    let Some(mut row) = here else {
        let row = any_row(mesh, table, id);
        trace(|| format!("{} client {txn}: {} becomes {row:?}", server.place, table.name));
        server.change(txn, place, None, Some(row), Checks::All, WAIT_MS).await?;
        return Ok(());
    };
    if table.tally {
        let (n, number) = (table.column("n").unwrap(), dice.between(-3, 9));
        row[n] = int(read_int(&row[n]) + number);
        trace(|| format!("{} client {txn}: {} {key:?} becomes {row:?}", server.place, table.name));
        server.change(txn, place, Some(key.clone()), Some(row), Checks::All, WAIT_MS).await?;
        added.push((place, key, number));
        return Ok(());
    }
    let new = if dice.percent(mesh.shape.deletes) {
        None
    } else if dice.percent(10) {
        row[0] = any_id(mesh, table);
        Some(row)
    } else {
        change_columns(mesh, table, &mut row);
        Some(row)
    };
    trace(|| format!("{} client {txn}: {} {key:?} becomes {new:?}", server.place, table.name));
    server.change(txn, place, Some(key), new, Checks::All, WAIT_MS).await?;
    Ok(())
}

fn any_id(mesh: &Mesh, table: &Table) -> Option<Vec<u8>> {
    let number = mesh.dice.below(mesh.shape.keys) as i64;
    if table.map.columns[0].collation == 0 {
        return int(number);
    }
    // Two spellings of one key.
    let text = format!("{}{number}", if mesh.dice.percent(50) { "K" } else { "k" });
    Some(text.into_bytes())
}

fn any_value(mesh: &Mesh, table: &Table, column: usize) -> Option<Vec<u8>> {
    let dice = &mesh.dice;
    let few = table.unique.contains(&column);
    if few && dice.percent(20) {
        return None;
    }
    let refers = mesh
        .schema
        .foreign
        .iter()
        .find(|foreign| foreign.column == column && mesh.schema.tables[foreign.child].name == table.name);
    if refers.is_some() {
        return if dice.percent(10) { None } else { any_id(mesh, table) };
    }
    if table.checked && table.map.columns[column].name == "n" {
        return int(dice.between(0, 6));
    }
    let number = if few { dice.between(0, mesh.shape.keys as i64 + 1) } else { dice.between(0, 99_999) };
    if table.map.columns[column].collation == 0 {
        return int(number);
    }
    Some(format!("{}{number}", if dice.percent(50) { "V" } else { "v" }).into_bytes())
}

fn any_row(mesh: &Mesh, table: &Table, id: Option<Vec<u8>>) -> Row {
    let columns = 1..table.map.columns.len();
    std::iter::once(id).chain(columns.map(|column| any_value(mesh, table, column))).collect()
}

/// Sets some columns; one that counts is added to. Now and then nothing changes at all.
fn change_columns(mesh: &Mesh, table: &Table, row: &mut Row) {
    for (column, value) in row.iter_mut().enumerate().skip(1) {
        if mesh.dice.percent(50) {
            continue;
        }
        *value = match table.map.columns[column].name.as_str() {
            "n" => int(read_int(value) + mesh.dice.between(-3, 9)),
            _ => any_value(mesh, table, column),
        };
    }
}
