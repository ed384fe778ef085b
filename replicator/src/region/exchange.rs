//! The pull of every other origin's log: from the origin itself, or from whoever else has it while the origin is away.

use std::sync::Arc;
use std::time::Duration;

use link::{Backoff, Link, LinkError, Target};
use tokio::sync::watch;
use transaction::{RecordNumber, RegionName};

use super::board::Board;
use super::clock::now_us;
use super::sink::Sink;

/// After so long the origin itself is tried again, while its log is pulled from another region.
const DETOUR: Duration = Duration::from_secs(15);
/// How often it is looked whether another region has more of a log that its origin does not send.
const LOOK: Duration = Duration::from_secs(1);

/// Pulls `origin`'s log until shutdown. `targets`: every other region and where its link is.
pub(crate) async fn pull(
    link: Link,
    origin: RegionName,
    targets: Vec<Target>,
    board: Arc<Board>,
    mut shutdown: watch::Receiver<bool>,
) {
    // None of a region that is lost: others have what counts of its log.
    let direct = targets.iter().find(|target| target.region == origin).cloned();
    let backoff = Backoff::default();
    let mut attempt = 0;
    while !*shutdown.borrow() {
        let detour = if attempt == 0 { None } else { detour(&board, origin, &targets) };
        let Some(target) = detour.clone().or_else(|| direct.clone()) else {
            attempt = 1;
            tokio::select! {
                _ = shutdown.changed() => break,
                () = tokio::time::sleep(LOOK) => continue,
            }
        };
        let sink = sink(&board, origin);
        let outcome = tokio::select! {
            _ = shutdown.changed() => break,
            // Only a detour ends by itself: the direct way runs until it breaks.
            () = tokio::time::sleep(DETOUR), if detour.is_some() => None,
            result = link.pull(&target, origin, &sink) => Some(result),
        };
        let refused = outcome.as_ref().and_then(|result| result.as_ref().err()).and_then(LinkError::code);
        let connected = board.pulls.lock().get(&origin).is_some_and(|pull| pull.connected_via.is_some());
        // What a person must mend, a full disk for instance, may show only once there is a connection.
        if connected && refused.is_none() {
            attempt = 0;
        }
        if let Some(Err(error)) = outcome {
            let text = error.to_string();
            {
                let mut pulls = board.pulls.lock();
                let pull = pulls.entry(origin).or_default();
                if pull.error.as_deref() != Some(&text) {
                    match refused {
                        Some(code) => {
                            tracing::error!("link to {} is refused [{code}]: {text}", target.region)
                        }
                        None => tracing::warn!("link to {}: {text}", target.region),
                    }
                }
                pull.connected_via = None;
                pull.error = Some(text);
                pull.refused = refused;
            }
            // The clock's low digits are jitter enough to keep regions from knocking in step.
            let jitter = (now_us() % 1000) as f64 / 1000.0;
            let delay = backoff.delay(attempt, jitter);
            attempt += 1;
            tokio::select! {
                _ = shutdown.changed() => break,
                () = tokio::time::sleep(delay) => {}
            }
        } else if let Some(pull) = board.pulls.lock().get_mut(&origin) {
            pull.connected_via = None;
            attempt = 0;
        }
    }
}

/// Another region that holds more of the origin's log than we do, as far as its beats say.
fn detour(board: &Board, origin: RegionName, targets: &[Target]) -> Option<Target> {
    let held = board.logs.get(origin).log.durable();
    let heard = board.heard.lock();
    targets
        .iter()
        .filter(|target| target.region != origin)
        .filter_map(|target| {
            let state = heard.get(&target.region)?;
            let durable = state.holds(origin);
            (state.is_heard() && durable > held).then_some((durable, target))
        })
        .max_by_key(|(durable, _)| *durable)
        .map(|(_, target)| target.clone())
}

fn sink(board: &Arc<Board>, origin: RegionName) -> Sink {
    let entry = board.logs.get(origin).clone();
    let (on_connect, on_receive) = (board.clone(), board.clone());
    Sink::new(
        entry,
        board.quota,
        move |via, durable| {
            tracing::info!("the log of {origin} is pulled from {via}");
            let mut pulls = on_connect.pulls.lock();
            let pull = pulls.entry(origin).or_default();
            pull.connected_via = Some(via);
            pull.error = None;
            pull.refused = None;
            pull.offered = pull.offered.max(durable);
        },
        move |last, durable| {
            let mut pulls = on_receive.pulls.lock();
            let pull = pulls.entry(origin).or_default();
            pull.received = pull.received.max(last);
            pull.offered = RecordNumber(pull.offered.0.max(durable.0));
        },
    )
}
