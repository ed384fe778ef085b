//! The simulated link: records are pulled in order per origin, from whoever holds them and can be reached.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use transaction::record::{self, Record};
use transaction::{RecordKind, RecordNumber, RegionName};

use super::super::board::Board;
use super::mesh::Mesh;
use super::mistake::Mistake;

/// Pulls the log of `origin` into region `place` until the region stops; returns why it cannot go on.
pub(crate) async fn pull(mesh: &Rc<Mesh>, place: usize, origin: usize, board: &Arc<Board>) -> String {
    let log = board.logs.get(mesh.names[origin]).log.clone();
    loop {
        mesh.dice.pause(mesh.shape.poll_ms).await;
        let next = log.last_appended().next();
        let Some(provider) = provider(mesh, place, origin) else {
            mesh.dice.pause(30).await;
            continue;
        };
        let batch = match offered(mesh, provider, origin, next) {
            Ok(batch) if batch.is_empty() => {
                news(mesh, provider).await;
                continue;
            }
            Ok(batch) => batch,
            Err(reason) => return reason,
        };
        // On the way; a partition swallows it.
        let late = if mesh.dice.percent(2) { 1_000 } else { mesh.shape.latency_ms };
        mesh.dice.pause(late).await;
        if !mesh.linked(place, provider) {
            continue;
        }
        if mesh.mistake == Some(Mistake::PruneAhead)
            && let Err(reason) = observe_ahead(board, mesh.names[origin], &batch)
        {
            return reason;
        }
        if let Err(error) = log.append(&batch) {
            return error.to_string();
        }
        mesh.dice.pause(3).await;
        if let Err(error) = log.sync() {
            return error.to_string();
        }
    }
}

/// Whoever holds the log and can be reached: the origin if possible, mostly.
fn provider(mesh: &Mesh, place: usize, origin: usize) -> Option<usize> {
    let reached: Vec<usize> =
        (0..mesh.names.len()).filter(|other| *other != place && mesh.linked(place, *other)).collect();
    if reached.contains(&origin) && mesh.dice.percent(90) {
        return Some(origin);
    }
    (!reached.is_empty()).then(|| *mesh.dice.pick(&reached))
}

/// Waits until the provider has something new, or for a while.
async fn news(mesh: &Mesh, provider: usize) {
    let wake = mesh.processes.borrow()[provider].as_ref().map(|process| process.wake.clone());
    let wait = Duration::from_millis(500);
    if let Some(wake) = wake {
        let _ = tokio::time::timeout(wait, wake.notified()).await;
    } else {
        tokio::time::sleep(wait).await;
    }
}

/// Durable records from `next` on; no chunk before its chain is whole.
fn offered(mesh: &Mesh, provider: usize, origin: usize, next: RecordNumber) -> Result<Vec<u8>, String> {
    let processes = mesh.processes.borrow();
    let Some(process) = &processes[provider] else { return Ok(Vec::new()) };
    let log = &process.board.logs.get(mesh.names[origin]).log;
    if next > log.durable() {
        return Ok(Vec::new());
    }
    let mut reader = match log.read_from(next) {
        Ok(reader) => reader,
        Err(error) if provider == origin => {
            return Err(format!("the origin does not hold what is still to be pulled: {error}"));
        }
        // A copy may begin later than the origin's log.
        Err(_) => return Ok(Vec::new()),
    };
    let (mut batch, mut whole) = (Vec::new(), 0);
    for _ in 0..=mesh.dice.below(20) {
        match reader.next_record().map_err(|e| e.to_string())? {
            Some(record) => {
                batch.extend_from_slice(record.bytes);
                if record.header.kind != RecordKind::Chunk {
                    whole = batch.len();
                }
            }
            None => break,
        }
    }
    batch.truncate(whole);
    Ok(batch)
}

/// Counts what the origin claims at once.
fn observe_ahead(board: &Board, origin: RegionName, batch: &[u8]) -> Result<(), String> {
    let mut rest = batch;
    while !rest.is_empty() {
        let len = record::verify(rest).map_err(|e| e.to_string())?.record_len();
        let (bytes, after) = rest.split_at(len);
        rest = after;
        let record = Record::decode(bytes).map_err(|e| e.to_string())?;
        if let Some(context) = record.context() {
            let mut index = board.shared.index.lock();
            index.observe(origin, context, record.sequence).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}
