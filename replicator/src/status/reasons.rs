//! Why a region is not simply running, said in sentences for people.

use crate::region::quota::{Quota, Room};

use super::{ApplierState, ExtractorState, LinkState, LostTail, Origin, State, Status};

/// Something that waits, is paused or is halted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Reason {
    /// Which part: `extractor`, `applier of us`, `link of us`, `log of us`, `table shop.stock`.
    pub(crate) part: String,
    /// `halted`, `suspended`, `refused`, `waiting`, `connecting`, `filling`, `lost` or `paused`.
    pub(crate) state: &'static str,
    /// The stable code of what a person must act on, which the runbook explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// What it waits for, or what went wrong and what to do.
    pub(crate) reason: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.part, self.state)?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Everything that keeps the region from simply running; what a person must act on comes first.
pub(crate) fn reasons(status: &Status) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = of_extractor(status)
        .into_iter()
        .chain(of_tail(status))
        .chain(status.origins.iter().flat_map(of_origin))
        .collect();
    reasons.extend(status.suspended_tables.iter().map(|suspended| Reason {
        part: format!("table {}", suspended.table),
        state: "suspended",
        code: None,
        reason: suspended.reason.clone(),
    }));
    reasons.extend(status.lost_regions.iter().map(|lost| Reason {
        part: format!("region {}", lost.region),
        state: "lost",
        code: None,
        reason: match lost.settled {
            true => "by [mesh]: nothing waits for it, and it must be seeded anew before it comes back".to_owned(),
            false => "by [mesh]: it is waited for until every other region was heard, and all that any of them holds of its log is \
                      applied here"
                .to_owned(),
        },
    }));
    reasons.sort_by_key(|reason| match reason.state {
        "halted" => 0,
        "suspended" => 1,
        "refused" => 2,
        "waiting" | "connecting" => 3,
        _ => 4,
    });
    reasons
}

/// What keeps the region from being ready: it reads its binlog, has written a first record, and knows for every
/// origin up to where that is applied. A peer that is away does not count.
pub(crate) fn not_ready(status: &Status) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = of_extractor(status).into_iter().collect();
    if reasons.is_empty() && status.extractor.durable_record.0 == 0 {
        let reason = "its first position record is not durable yet".to_owned();
        reasons.push(Reason { part: "extractor".to_owned(), state: "waiting", code: None, reason });
    }
    reasons.extend(status.origins.iter().filter_map(unready));
    reasons
}

/// Why an applier is not ready. With a marker it may wait for another transaction, or be paused.
fn unready(origin: &Origin) -> Option<Reason> {
    let applier = origin.applier.as_ref()?;
    match applier.state {
        ApplierState::Halted => of_applier(origin),
        _ if applier.has_marker => None,
        ApplierState::Waiting => of_applier(origin),
        ApplierState::Running | ApplierState::Paused => Some(Reason {
            part: format!("applier of {}", origin.origin),
            state: "waiting",
            code: None,
            reason: "its marker, which was not read yet".to_owned(),
        }),
    }
}

/// The worst state among the parts. A refused link waits: the peer's configuration may be about to change as well.
pub(super) fn worst(status: &Status) -> State {
    let of_part = |reason: &Reason| match reason.state {
        "halted" => 2,
        "paused" | "filling" | "lost" => 0,
        _ => 1,
    };
    match reasons(status).iter().map(of_part).max() {
        Some(2) => State::Halted,
        Some(1) => State::Waiting,
        _ => State::Running,
    }
}

fn of_extractor(status: &Status) -> Option<Reason> {
    let extractor = &status.extractor;
    let (state, reason) = match extractor.state {
        ExtractorState::Running => return None,
        ExtractorState::Connecting => ("connecting", extractor.waiting_for.clone()),
        ExtractorState::Halted => ("halted", extractor.error.clone()),
    };
    let code = extractor.code.clone();
    Some(Reason { part: "extractor".to_owned(), state, code, reason: reason.unwrap_or_else(starting) })
}

/// What its MySQL lost in a failover comes back by itself; until then it waits for the regions whose work that has seen.
fn of_tail(status: &Status) -> Option<Reason> {
    let LostTail { applied_sequence, end_sequence, applier } = status.lost_tail.as_ref()?;
    let (state, why) = match applier.state {
        ApplierState::Halted => ("halted", applier.error.as_ref()),
        ApplierState::Paused => ("paused", None),
        ApplierState::Running | ApplierState::Waiting => ("waiting", applier.waiting_for.as_ref()),
    };
    let what = format!(
        "transactions {} to {end_sequence} of this region, which its MySQL lost in a failover, to be applied from its log",
        applied_sequence.next()
    );
    let reason = why.map_or(what.clone(), |why| format!("{what}: {why}"));
    Some(Reason { part: "lost tail".to_owned(), state, code: applier.code.clone(), reason })
}

fn of_origin(origin: &Origin) -> Vec<Reason> {
    let log = origin.log_error.clone().map(|reason| Reason {
        part: format!("log of {}", origin.origin),
        state: "waiting",
        code: None,
        reason,
    });
    of_applier(origin).into_iter().chain(of_link(origin)).chain(log).chain(of_log(origin)).collect()
}

/// A log that takes much of its quota: the rest is for as long as it lasts.
fn of_log(origin: &Origin) -> Option<Reason> {
    let (bytes, quota) = (origin.log_bytes, origin.log_quota_bytes);
    (quota > 0 && Quota(quota).room(bytes) > Room::Ample).then(|| Reason {
        part: format!("log of {}", origin.origin),
        state: "filling",
        code: None,
        reason: format!(
            "it takes {} % of [region.log] quota, {} MiB: a region is away, paused, halted or far behind; beyond it this \
             region extracts and applies nothing unless all regions are at work",
            u128::from(bytes) * 100 / u128::from(quota.max(1)),
            quota >> 20
        ),
    })
}

fn of_applier(origin: &Origin) -> Option<Reason> {
    let applier = origin.applier.as_ref()?;
    let (state, reason) = match applier.state {
        // A pause shows at once, though the lane may be in the middle of a batch.
        ApplierState::Running if origin.paused => ("paused", None),
        ApplierState::Running => return None,
        ApplierState::Waiting => ("waiting", applier.waiting_for.clone()),
        ApplierState::Paused => ("paused", None),
        ApplierState::Halted => ("halted", applier.error.clone()),
    };
    let reason = match state {
        "paused" => format!("someone paused it; go on with: concord resume --origin {}", origin.origin),
        _ => reason.unwrap_or_else(starting),
    };
    let code = applier.code.clone();
    Some(Reason { part: format!("applier of {}", origin.origin), state, code, reason })
}

fn of_link(origin: &Origin) -> Option<Reason> {
    let link = origin.link.as_ref()?;
    let state = match link.state {
        LinkState::Connected => return None,
        LinkState::Connecting => "connecting",
        LinkState::Refused => "refused",
    };
    let reason =
        link.error.clone().unwrap_or_else(|| "no region that holds this log was reached yet".to_owned());
    let code = link.code.clone();
    Some(Reason { part: format!("link of {}", origin.origin), state, code, reason })
}

fn starting() -> String {
    "its start".to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Applier, RecordNumber, sample};
    use super::*;

    #[test]
    fn a_region_without_trouble_is_running_and_ready() {
        let status = sample::status();
        assert_eq!((reasons(&status), not_ready(&status), worst(&status)), (vec![], vec![], State::Running));
    }

    #[test]
    fn what_a_person_must_act_on_is_named_first_and_decides_the_state() {
        let mut status = sample::status();
        status.extractor.state = ExtractorState::Connecting;
        status.extractor.waiting_for = Some("MySQL at 127.0.0.1:3306".to_owned());
        assert_eq!(worst(&status), State::Waiting);
        sample::origin(&mut status, "us").applier = Some(Applier {
            state: ApplierState::Halted,
            has_marker: true,
            waiting_for: None,
            error: Some("table shop.a is missing; create it".to_owned()),
            code: Some("ddl-failed".to_owned()),
        });
        let lines: Vec<String> = reasons(&status).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "applier of us halted [ddl-failed]: table shop.a is missing; create it",
                "extractor connecting: MySQL at 127.0.0.1:3306",
            ]
        );
        assert_eq!(worst(&status), State::Halted);
        assert_eq!(not_ready(&status).len(), 2);
    }

    #[test]
    fn a_peer_that_is_away_makes_the_region_wait_but_not_unready() {
        let mut status = sample::status();
        let link = sample::origin(&mut status, "us").link.as_mut().unwrap();
        (link.state, link.error) = (LinkState::Connecting, Some("connection refused".to_owned()));
        assert_eq!(worst(&status), State::Waiting);
        assert_eq!(not_ready(&status), vec![]);
    }

    #[test]
    fn a_pause_is_a_wish_and_no_trouble() {
        let mut status = sample::status();
        sample::origin(&mut status, "us").paused = true;
        assert_eq!(worst(&status), State::Running);
        assert_eq!(reasons(&status)[0].state, "paused");
        assert!(reasons(&status)[0].reason.contains("concord resume --origin us"));
    }

    #[test]
    fn an_applier_without_a_marker_and_an_extractor_without_a_record_are_not_ready() {
        let mut status = sample::status();
        // A marker may stand before the first record.
        sample::origin(&mut status, "us").applied_record = RecordNumber(0);
        for state in [ApplierState::Running, ApplierState::Waiting, ApplierState::Paused] {
            for has_marker in [true, false] {
                let applier = sample::origin(&mut status, "us").applier.as_mut().unwrap();
                (applier.state, applier.has_marker) = (state, has_marker);
                let parts: Vec<_> = not_ready(&status).into_iter().map(|reason| reason.part).collect();
                let expected: &[_] = if has_marker { &[] } else { &["applier of us"] };
                assert_eq!(parts, expected, "{state:?}, marker {has_marker}");
            }
        }
        sample::origin(&mut status, "us").applier.as_mut().unwrap().has_marker = true;
        status.extractor.durable_record = RecordNumber(0);
        assert!(not_ready(&status)[0].reason.contains("first position record"));
    }
}
