//! The giving side of a seed: a consistent copy of the carried tables, sent over the link.

use link::Answer;
use tokio::sync::mpsc;
use transaction::RegionName;

use super::control::Parts;

/// Sends the copy.
pub(crate) async fn send(
    _parts: &Parts,
    peer: RegionName,
    _payload: &[u8],
    _sender: &mpsc::Sender<Answer>,
) -> Result<(), String> {
    Err(format!("seeding of {peer}: not yet"))
}
