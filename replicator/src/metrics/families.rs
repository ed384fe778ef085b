//! Which metrics there are: names, help texts, and where in the status each value stands.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{Sample, Writer};
use crate::status::{ApplierState, ExtractorState, LinkState, Origin, Peer, Status, reasons};

/// Writes every family.
pub(super) fn write(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    region(status, writer)?;
    extractor(status, writer)?;
    logs(status, writer)?;
    links(status, writer)?;
    appliers(status, writer)?;
    conflicts(status, writer)?;
    peers(status, writer)
}

fn region(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    writer.facts(
        "build_info",
        "Version of Concord, mesh and fingerprint of its configuration.",
        &[&[("version", &status.version), ("mesh", &status.mesh), ("fingerprint", &status.fingerprint)]],
    )?;
    if !status.server.uuid.is_empty() {
        writer.facts(
            "server_info",
            "Version and UUID of the region's MySQL, once it was seen.",
            &[&[("version", &status.server.version), ("uuid", &status.server.uuid)]],
        )?;
    }
    halts(status, writer)?;
    writer.gauge(
        "stable",
        None,
        "1 if every history of this region is causally stable and nothing waits to be applied.",
        [one(yes(status.stable))],
    )?;
    writer.gauge(
        "stable_everywhere",
        None,
        "1 if all regions say so of themselves, as far as heard.",
        [one(yes(status.stable_everywhere))],
    )
}

fn halts(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    let reasons = reasons(status);
    let labels = reasons
        .iter()
        .filter_map(|reason| Some([("part", &*reason.part), ("code", reason.code.as_deref()?)]));
    let labels: Vec<_> = labels.collect();
    let samples: Vec<_> = labels.iter().map(|labels| &labels[..]).collect();
    writer.facts(
        "halt",
        "1 for each part that is halted, or link that is refused, until a person acts; the code is explained in the runbook.",
        &samples,
    )
}

fn extractor(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    let extractor = &status.extractor;
    writer.gauge(
        "extractor_connected",
        None,
        "1 while the binlog of the region's MySQL is being read.",
        [one(yes(extractor.state == ExtractorState::Running))],
    )?;
    writer.gauge(
        "extractor_halted",
        None,
        "1 if the extractor stands still until a person acts.",
        [one(yes(extractor.state == ExtractorState::Halted))],
    )?;
    writer.gauge(
        "extracted_sequence",
        None,
        "Last sequence number given to a transaction of this region.",
        [one(extractor.sequence.0 as f64)],
    )?;
    writer.gauge(
        "extracted_record",
        None,
        "Last record handed to this region's log.",
        [one(extractor.record.0 as f64)],
    )?;
    writer.gauge(
        "not_durable_elsewhere_transactions",
        None,
        "Own transactions that no peer has made durable yet; lost if this machine is.",
        [one(status.transactions_not_durable_elsewhere as f64)],
    )?;
    writer.gauge(
        "not_durable_elsewhere",
        Some(Unit::Seconds),
        "Age of the oldest own transaction that no peer has made durable yet; 0 if there is none.",
        [one(status.seconds_not_durable_elsewhere)],
    )
}

fn logs(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    let all = |value: fn(&Origin) -> f64| status.origins.iter().map(move |origin| of(origin, value(origin)));
    writer.gauge(
        "log",
        Some(Unit::Bytes),
        "Size of an origin's log on this region's disk.",
        all(|o| o.log_bytes as f64),
    )?;
    writer.gauge(
        "log_quota",
        Some(Unit::Bytes),
        "What an origin's log may take while a region is not at work; twice as much at most.",
        all(|o| o.log_quota_bytes as f64),
    )?;
    writer.gauge(
        "log_first_record",
        None,
        "First record held of an origin's log; 0 if there is none.",
        all(|o| o.first_record.0 as f64),
    )?;
    writer.gauge(
        "received_record",
        None,
        "Last record of an origin's log that has arrived here, durable or not.",
        all(|o| o.received_record.0 as f64),
    )?;
    writer.gauge(
        "durable_record",
        None,
        "Last record of an origin's log that is durable here.",
        all(|o| o.durable_record.0 as f64),
    )?;
    writer.gauge(
        "durable_sequence",
        None,
        "Last sequence number of an origin that is held here.",
        all(|o| o.durable_sequence.0 as f64),
    )
}

fn links(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    let of_links = |state: LinkState| {
        let linked = status.origins.iter().filter_map(|origin| Some((origin, origin.link.as_ref()?)));
        linked.map(move |(origin, link)| of(origin, yes(link.state == state)))
    };
    writer.gauge(
        "link_up",
        None,
        "1 while an origin's log comes from some region.",
        of_links(LinkState::Connected),
    )?;
    writer.gauge(
        "link_refused",
        None,
        "1 if an origin's log is refused until a person acts.",
        of_links(LinkState::Refused),
    )?;
    let offered = others(status).map(|origin| of(origin, origin.offered_record.0 as f64));
    writer.gauge(
        "offered_record",
        None,
        "Last record that the sender of an origin's log holds; 0 before one was asked.",
        offered,
    )
}

fn appliers(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    let all = |value: fn(&Origin) -> f64| others(status).map(move |origin| of(origin, value(origin)));
    let in_state = |state: ApplierState| {
        let applied = status.origins.iter().filter_map(|origin| Some((origin, origin.applier.as_ref()?)));
        applied.map(move |(origin, applier)| of(origin, yes(applier.state == state)))
    };
    writer.gauge(
        "applied_record",
        None,
        "Last record of an origin applied or passed here.",
        all(|o| o.applied_record.0 as f64),
    )?;
    writer.gauge(
        "applied_sequence",
        None,
        "Last sequence number of an origin applied here.",
        all(|o| o.applied_sequence.0 as f64),
    )?;
    writer.gauge(
        "applier_waiting",
        None,
        "1 while an origin waits to be applied and goes on by itself.",
        in_state(ApplierState::Waiting),
    )?;
    writer.gauge(
        "applier_halted",
        None,
        "1 if an origin is not applied until a person acts.",
        in_state(ApplierState::Halted),
    )?;
    writer.gauge("applier_paused", None, "1 if a person paused an origin.", all(|o| yes(o.paused)))?;
    writer.counter(
        "transactions_applied",
        None,
        "Transactions applied.",
        all(|o| o.transactions_applied as f64),
    )?;
    writer.counter(
        "rows_applied",
        None,
        "Row changes sent to the region's MySQL.",
        all(|o| o.rows_applied as f64),
    )?;
    writer.counter(
        "lag",
        Some(Unit::Seconds),
        "Sum of the lags of all transactions applied, from commit at the origin to commit here.",
        all(|o| seconds(o.lag_us_sum)),
    )?;
    writer.gauge(
        "last_lag",
        Some(Unit::Seconds),
        "Lag of the last transaction applied, from commit at the origin to commit here.",
        all(|o| seconds(o.lag_us)),
    )?;
    writer.gauge(
        "oldest_unapplied",
        Some(Unit::Seconds),
        "Age of the oldest transaction that lies here and is not applied; 0 if there is none.",
        all(|o| seconds(o.oldest_unapplied_us)),
    )?;
    let (p50, p99) = (seconds(status.lag_us.p50), seconds(status.lag_us.p99));
    writer.gauge(
        "recent_lag_p50",
        Some(Unit::Seconds),
        "Median lag of the last commits of all origins.",
        [one(p50)],
    )?;
    writer.gauge(
        "recent_lag_p99",
        Some(Unit::Seconds),
        "99th percentile of the lag of the last commits of all origins.",
        [one(p99)],
    )
}

fn conflicts(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    let all = |value: fn(&Origin) -> f64| others(status).map(move |origin| of(origin, value(origin)));
    writer.counter(
        "conflicts",
        None,
        "Conflicts met while an origin was applied.",
        all(|o| o.conflicts as f64),
    )?;
    writer.counter(
        "conflicts_won",
        None,
        "Conflicts that the arriving write won.",
        all(|o| o.conflicts_won as f64),
    )?;
    writer.gauge(
        "tables_suspended",
        None,
        "Tables that are not applied for now.",
        [one(status.suspended_tables.len() as f64)],
    )?;
    let history = &status.history;
    writer.gauge(
        "history_keys",
        None,
        "Rows with writes that are not yet causally stable.",
        [one(history.keys as f64)],
    )?;
    writer.gauge(
        "history_writes",
        None,
        "Writes that are not yet causally stable.",
        [one(history.writes as f64)],
    )?;
    writer.gauge(
        "history_transactions",
        None,
        "Transactions that are not yet causally stable.",
        [one(history.transactions as f64)],
    )?;
    writer.gauge(
        "history",
        Some(Unit::Bytes),
        "Memory held by the history index.",
        [one(history.bytes as f64)],
    )
}

fn peers(status: &Status, writer: &mut Writer<'_>) -> fmt::Result {
    fn of_peer(peer: &Peer, value: f64) -> Sample {
        (Some(("peer", peer.region.to_string())), value)
    }
    let peers = || status.peers.iter();
    writer.gauge(
        "peer_acknowledged_record",
        None,
        "Last record of this region's log that is durable at a peer.",
        peers().map(|peer| of_peer(peer, peer.acknowledged_record.0 as f64)),
    )?;
    writer.gauge(
        "peer_unstable_transactions",
        None,
        "Transactions that are not yet causally stable at a peer, as last heard.",
        peers().map(|peer| of_peer(peer, peer.unstable as f64)),
    )?;
    writer.gauge(
        "peer_clock_difference",
        Some(Unit::Seconds),
        "How far a peer's clock is ahead of this region's.",
        peers().filter_map(|peer| Some(of_peer(peer, peer.clock_difference_us? as f64 / 1e6))),
    )?;
    writer.gauge(
        "peer_round_trip",
        Some(Unit::Seconds),
        "Time to a peer and back.",
        peers().filter_map(|peer| Some(of_peer(peer, seconds(peer.rtt_us?)))),
    )?;
    writer.gauge(
        "peer_last_heard_timestamp",
        Some(Unit::Seconds),
        "When a peer was last heard, since 1970.",
        peers().filter(|peer| peer.heard_us > 0).map(|peer| of_peer(peer, seconds(peer.heard_us))),
    )
}

fn others(status: &Status) -> impl Iterator<Item = &Origin> {
    status.origins.iter().filter(|origin| !origin.own)
}

fn of(origin: &Origin, value: f64) -> Sample {
    (Some(("origin", origin.origin.to_string())), value)
}

fn one(value: f64) -> Sample {
    (None, value)
}

fn yes(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
