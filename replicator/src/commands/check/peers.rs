//! The peers: whether their links answer, and how far their clocks are from ours.

use std::time::Duration;

use transaction::RegionName;

use super::Check;
use super::server::milliseconds;
use crate::config::{Address, Config, HumanDuration};

/// How long a peer may take to accept a connection before it counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What was found about one peer.
#[derive(Debug, Clone)]
pub(crate) struct PeerFacts {
    /// The peer.
    pub(crate) region: RegionName,
    /// Where its link should be.
    pub(crate) address: Address,
    /// Whether something accepts connections there; else why not.
    pub(crate) reached: Result<(), String>,
    /// Its clock minus ours, in microseconds, if it was asked.
    pub(crate) clock_difference_us: Option<i64>,
}

/// Tries every peer at once.
pub(super) async fn gather(config: &Config) -> Vec<PeerFacts> {
    let tries: Vec<_> = config
        .peers()
        .map(|(region, peer)| {
            let address = peer.link.clone();
            tokio::spawn(async move {
                let reached = reach(&address).await;
                PeerFacts { region, address, reached, clock_difference_us: None }
            })
        })
        .collect();
    let mut facts = Vec::new();
    for attempt in tries {
        // A task ends early only when the runtime does, and then nobody reads the report.
        if let Ok(peer) = attempt.await {
            facts.push(peer);
        }
    }
    facts
}

async fn reach(address: &Address) -> Result<(), String> {
    let connect = tokio::net::TcpStream::connect((address.host(), address.port()));
    match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

/// Judges one peer. Pure. A peer that is away is waited for, so it is never a refusal.
pub(super) fn judge(peer: &PeerFacts, clock_skew_max: HumanDuration) -> Vec<Check> {
    let region = peer.region;
    let link = match &peer.reached {
        Ok(()) => Check::ok("peer link", format!("{region} answers at {}", peer.address)),
        Err(reason) => {
            return vec![Check::warn(
                "peer link",
                format!("{region} is away at {}: {reason}; run would wait for it", peer.address),
                format!("start concord there, open the port, or correct link in [mesh.regions.{region}]"),
            )];
        }
    };
    let clock = peer.clock_difference_us.map(|difference| {
        let name = "peer clock";
        let side = if difference < 0 { "behind" } else { "ahead of" };
        let found = format!("{region} is {} {side} ours", milliseconds(difference));
        if difference.unsigned_abs() > clock_skew_max.as_micros() {
            let detail = format!("{found}, more than clock_skew_max = {clock_skew_max}: work is kept back");
            Check::warn(name, detail, "synchronise both machines by NTP")
        } else {
            Check::ok(name, found)
        }
    });
    std::iter::once(link).chain(clock).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn peer(reached: Result<(), String>, clock_difference_us: Option<i64>) -> PeerFacts {
        PeerFacts {
            region: "us".parse().unwrap(),
            address: "us.example:7400".parse().unwrap(),
            reached,
            clock_difference_us,
        }
    }

    #[test]
    fn a_peer_that_is_away_and_a_clock_that_is_off_are_warnings() {
        let verdicts = |peer: PeerFacts| {
            judge(&peer, HumanDuration::from_secs(5)).iter().map(|check| check.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(peer(Err("refused".to_owned()), None)), [Verdict::Warn]);
        assert_eq!(verdicts(peer(Ok(()), None)), [Verdict::Ok]);
        assert_eq!(verdicts(peer(Ok(()), Some(5_000_000))), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(verdicts(peer(Ok(()), Some(-5_000_001))), [Verdict::Ok, Verdict::Warn]);
    }
}
