//! Cases that cannot be carried: each in a mesh of its own, since it halts.

use super::folder::Stop;
use super::play::{Failure, Play, REGIONS};
use crate::wait::{Look, wait_for};
use crate::{Error, MeshPlan, Result};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);

/// Replays one case in the direction that is written; `None` if it stops and says what `expect` says.
pub async fn replay(play: &Play, stop: &Stop) -> Result<Option<Failure>> {
    let mut mesh = MeshPlan::of(&REGIONS).server_option("--secure-file-priv=").build().await?;
    for region in &mesh.regions {
        play.prepare(region.server.port()).await?;
    }
    let failure = |what| Some(Failure { play: play.to_string(), what });
    if stop.at_start {
        let said = mesh.region(REGIONS[0])?.concord.refused(BOUND).await?;
        return Ok(missing(stop, &said).and_then(failure));
    }
    mesh.start_concords(&REGIONS).await?;
    let ran = play.run(&play.case.eu, mesh.region(REGIONS[0])?.server.port()).await;
    if let Err(error) = ran {
        return Ok(failure(error.to_string()));
    }
    let regions = &mut mesh.regions;
    let halted = wait_for(&format!("{play} to halt"), BOUND, async || {
        let mut all = String::new();
        let mut halted = false;
        for region in regions.iter_mut() {
            region.concord.check_running()?;
            let status = region.concord.status().await?;
            halted |= status.state == "halted";
            all.push_str(&format!("{}: {}\n", region.name, status.reasons().join("; ")));
        }
        Ok(Look::when(halted && missing(stop, &all).is_none(), (), all))
    })
    .await;
    match halted {
        Ok(()) => Ok(None),
        Err(Error::Timeout { last, .. }) => {
            Ok(failure(missing(stop, &last).unwrap_or_else(|| format!("it does not halt: {last}"))))
        }
        Err(error) => Ok(failure(error.to_string())),
    }
}

/// What it should have said and did not.
fn missing(stop: &Stop, said: &str) -> Option<String> {
    let low = said.to_lowercase();
    let word = stop.words.iter().find(|word| !low.contains(*word))?;
    Some(format!("{word:?} is not in what it says:\n{said}"))
}
