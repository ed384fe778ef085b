//! The peers: whether they take this region's handshake, and how far their clocks are from ours.
//!
//! Each is asked the time over the link, exactly as `run` would meet it. What a check says reaches no peer's books: it
//! tells of no logs, so a peer hears nothing in its beats.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{Answer, Beat, Control, Heard, Link, LinkError, Target, Trouble};
use tokio::sync::mpsc;
use transaction::RegionName;

use super::Check;
use super::server::milliseconds;
use crate::config::{Address, Config, HumanDuration};
use crate::region::clock::now_us;
use crate::region::control::ASK_CLOCK;
use crate::region::identity::link_of;

const LINK: &str = "peer link";
const CLOCK: &str = "peer clock";

/// How long a peer may take for each step before it counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// And for all of them: a peer may go on beating and never answer.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A difference of clocks above this deserves a word, in microseconds: NTP leaves a tenth of it.
const CLOCK_DIFFERENCE_US_FAIR: u64 = 100_000;

/// What was found about one peer.
#[derive(Debug)]
struct PeerFacts {
    region: RegionName,
    address: Address,
    met: Result<Met, LinkError>,
}

/// A peer that took the handshake.
#[derive(Debug)]
struct Met {
    /// Its release.
    software: String,
    /// About how long a message takes there and back.
    round_trip: Duration,
    /// How far its clock is ahead of ours, microseconds, give or take half the round trip; or why it did not say.
    ahead_us: Result<i64, String>,
}

/// Asks every peer at once, and judges what comes.
pub(super) async fn check(config: &Config) -> Vec<Check> {
    match gather(config).await {
        Ok(peers) => peers.iter().flat_map(|peer| judge(peer, config.mesh.clock_skew_max)).collect(),
        Err(error) => {
            let (reason, remedy) = parted(&error);
            vec![Check::refuse(LINK, format!("no peer was asked: {reason}"), remedy)]
        }
    }
}

/// Fails if this region cannot even show itself.
async fn gather(config: &Config) -> Result<Vec<PeerFacts>, LinkError> {
    let options = link::Options {
        connect_timeout: CONNECT_TIMEOUT,
        handshake_timeout: HANDSHAKE_TIMEOUT,
        ..link::Options::default()
    };
    let link = link_of(config, options, Arc::new(Nobody))?;
    let trips = round_trips(config.region.link.tls);
    let meetings: Vec<_> = config
        .live_peers()
        .map(|(region, peer)| {
            let (link, address) = (link.clone(), peer.link.clone());
            tokio::spawn(async move {
                let target = Target { region, address: address.to_string() };
                let met = tokio::time::timeout(WHOLE_TIMEOUT, meet(&link, &target, trips)).await;
                let met = met.unwrap_or_else(|_| {
                    Err(LinkError::Silent { peer: region.to_string(), after: WHOLE_TIMEOUT })
                });
                PeerFacts { region, address, met }
            })
        })
        .collect();
    let mut facts = Vec::new();
    for meeting in meetings {
        // A task ends early only when the runtime does, and then nobody reads the report.
        if let Ok(peer) = meeting.await {
            facts.push(peer);
        }
    }
    Ok(facts)
}

/// How often something goes there and back until a question is accepted: TCP, TLS if any, the hellos, the question.
fn round_trips(tls: bool) -> u32 {
    if tls { 4 } else { 3 }
}

async fn meet(link: &Link, target: &Target, trips: u32) -> Result<Met, LinkError> {
    let began = Instant::now();
    let mut answer = link.ask(target, ASK_CLOCK, Vec::new()).await?;
    let (round_trip, accepted_us) = (began.elapsed() / trips, now_us());
    let software = answer.peer().software.clone();
    let ahead_us = match answer.next().await {
        Some(Ok(part)) => match <[u8; 8]>::try_from(part.as_slice()) {
            Ok(bytes) => Ok(ahead_us(u64::from_le_bytes(bytes), accepted_us, round_trip)),
            Err(_) => Err(format!("its answer has {} bytes instead of 8", part.len())),
        },
        Some(Err(error)) => Err(error.to_string()),
        None => Err("its answer is empty".to_owned()),
    };
    Ok(Met { software, round_trip, ahead_us })
}

/// The peer read its clock as it accepted the question, and we heard of that half a round trip later.
fn ahead_us(theirs_us: u64, accepted_us: u64, round_trip: Duration) -> i64 {
    let back_us = i128::try_from(round_trip.as_micros() / 2).unwrap_or(0);
    let ahead = i128::from(theirs_us) - (i128::from(accepted_us) - back_us);
    i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX })
}

/// Judges one peer. Pure. A peer that is away is waited for, so it is never a refusal.
fn judge(peer: &PeerFacts, clock_skew_max: HumanDuration) -> Vec<Check> {
    match &peer.met {
        Ok(met) => {
            let round_trip = i64::try_from(met.round_trip.as_micros()).unwrap_or(i64::MAX);
            let found = format!(
                "{} answers at {}, release {}, round trip about {}",
                peer.region,
                peer.address,
                met.software,
                milliseconds(round_trip)
            );
            vec![Check::ok(LINK, found), judge_clock(peer.region, &met.ahead_us, clock_skew_max)]
        }
        Err(error) if error.trouble() == Trouble::Away => vec![judge_away(peer, error)],
        Err(error) => {
            let (reason, remedy) = parted(error);
            vec![Check::refuse(LINK, reason, remedy)]
        }
    }
}

fn judge_away(peer: &PeerFacts, error: &LinkError) -> Check {
    let PeerFacts { region, address, .. } = peer;
    match error {
        LinkError::Unreachable { reason, .. } => Check::warn(
            LINK,
            format!("{region} is away at {address}: {reason}; run would wait for it"),
            format!("start concord there, open the port, or correct link in [mesh.regions.{region}]"),
        ),
        LinkError::RefusedByPeer { refusal, .. } => {
            Check::warn(LINK, format!("{region} at {address}: {refusal}; run would wait for it"), "")
        }
        // A balancer without a backend does this, and a peer that wants no TLS.
        other => {
            let reason = match other {
                LinkError::Lost { reason, .. } => reason.clone(),
                LinkError::Silent { after, .. } => format!("silent for {} s", after.as_secs()),
                other => other.to_string(),
            };
            Check::warn(
                LINK,
                format!(
                    "{region} takes connections at {address}, but no handshake: {reason}; run would try again"
                ),
                format!(
                    "see the log of concord in {region}; region.link.tls must be the same in all regions"
                ),
            )
        }
    }
}

fn judge_clock(region: RegionName, ahead_us: &Result<i64, String>, clock_skew_max: HumanDuration) -> Check {
    let fix = "synchronise both machines by NTP";
    let difference = match ahead_us {
        Ok(difference) => *difference,
        Err(reason) => {
            let detail = format!("{region} does not tell the time: {reason}");
            return Check::warn(CLOCK, detail, "run the same release of concord in both regions");
        }
    };
    let side = if difference < 0 { "behind" } else { "ahead of" };
    let found = format!("{region} is {} {side} ours", milliseconds(difference));
    if difference.unsigned_abs() > clock_skew_max.as_micros() {
        let detail = format!(
            "{found}, more than clock_skew_max = {clock_skew_max}: the work of the one ahead is not applied by the other"
        );
        Check::refuse(CLOCK, detail, fix)
    } else if difference.unsigned_abs() > CLOCK_DIFFERENCE_US_FAIR {
        let detail = format!("{found}: a region whose clock is ahead wins conflicts it should lose");
        Check::warn(CLOCK, detail, fix)
    } else {
        Check::ok(CLOCK, found)
    }
}

/// Reason and remedy: the link's errors end with the remedy, after the last semicolon.
fn parted(error: &LinkError) -> (String, String) {
    let text = error.to_string();
    match text.rsplit_once("; ") {
        Some((reason, remedy)) => (reason.to_owned(), remedy.to_owned()),
        None => (text, String::new()),
    }
}

/// A region that does not run: it has the time, and nothing else to say or to answer.
pub(crate) struct Nobody;

impl Control for Nobody {
    fn wall_us(&self) -> u64 {
        now_us()
    }

    fn beat(&self) -> Beat {
        Beat::default()
    }

    fn on_beat(&self, _: RegionName, _: Heard) {}

    fn ask(&self, _: RegionName, _: String, _: Vec<u8>) -> mpsc::Receiver<Answer> {
        // Nobody can ask, since no port is served; a closed channel says that the answer broke off.
        mpsc::channel(1).1
    }

    fn on_server_error(&self, _: Option<RegionName>, _: SocketAddr, _: &LinkError) {}
}

#[cfg(test)]
mod tests;
