//! A status as text. Pure.

use std::fmt::Write;

use transaction::binlog::printable;

use crate::status::{ApplierState, ExtractorState, LinkState, Origin, Peer, State, Status, reasons};

/// The whole answer, with a line feed at its end.
pub(super) fn render(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(status, &mut text);
    text
}

fn write_all(status: &Status, text: &mut String) -> std::fmt::Result {
    let state = match status.state {
        State::Running => "running",
        State::Waiting => "waiting",
        State::Halted => "HALTED",
    };
    let server = match (status.server.version.as_str(), status.server.uuid.as_str()) {
        ("", _) => "MySQL not seen yet".to_owned(),
        (version, uuid) => format!("MySQL {version} {uuid}"),
    };
    writeln!(text, "region {} of mesh {}  {state}  {server}", status.region, status.mesh)?;
    writeln!(text, "{}", extractor(status))?;
    writeln!(text)?;

    let mut rows = vec![ORIGIN_HEAD.map(str::to_owned)];
    rows.extend(status.origins.iter().map(origin_row));
    align(&rows, &[1, 2, 3, 4, 5, 6, 7], text);

    if !status.peers.is_empty() {
        writeln!(text)?;
        let mut rows = vec![PEER_HEAD.map(str::to_owned)];
        rows.extend(status.peers.iter().map(|peer| peer_row(peer, status)));
        align(&rows, &[1, 2, 3, 4], text);
    }

    writeln!(text)?;
    writeln!(text, "{}", summary(status))?;
    let reasons = reasons(status);
    if !reasons.is_empty() {
        writeln!(text)?;
    }
    for reason in reasons {
        writeln!(text, "{}", printable(&reason.to_string()))?;
    }
    Ok(())
}

fn extractor(status: &Status) -> String {
    let extractor = &status.extractor;
    let state = match extractor.state {
        ExtractorState::Running => "running",
        ExtractorState::Connecting => "connecting",
        ExtractorState::Halted => "HALTED",
    };
    let mut line = format!("extractor {state}");
    if !extractor.file.is_empty() {
        line += &format!("  at {}:{}", extractor.file, extractor.offset);
    }
    line += &format!(
        "  transaction {}  record {} ({} durable)",
        extractor.sequence, extractor.record, extractor.durable_record
    );
    if extractor.behind_bytes > 0 {
        line += &format!("  {} behind", bytes(extractor.behind_bytes));
    }
    line
}

/// Extracted, applied and behind count transactions; received and durable count records, which are more.
const ORIGIN_HEAD: [&str; 11] = [
    "ORIGIN",
    "EXTRACTED",
    "APPLIED",
    "BEHIND",
    "LAG",
    "RECEIVED",
    "DURABLE",
    "LOG",
    "LINK",
    "APPLIER",
    "CONFLICTS",
];

fn origin_row(origin: &Origin) -> [String; 11] {
    let none = || "-".to_owned();
    if origin.own {
        return [
            format!("{} (here)", origin.origin),
            origin.origin_sequence.to_string(),
            none(),
            none(),
            none(),
            origin.received_record.to_string(),
            origin.durable_record.to_string(),
            bytes(origin.log_bytes),
            none(),
            none(),
            none(),
        ];
    }
    // While something waits, the lag of the last commit says nothing of it.
    let lag = match (origin.oldest_unapplied_us, origin.transactions_applied) {
        (0, 0) => none(),
        (0, _) => span(origin.lag_us),
        (waiting, _) => format!(">{}", span(waiting)),
    };
    let received = match origin.offered_record > origin.received_record {
        true => format!("{} of {}", origin.received_record, origin.offered_record),
        false => origin.received_record.to_string(),
    };
    let conflicts = match origin.conflicts {
        0 => "0".to_owned(),
        conflicts => format!("{conflicts}, {} won", origin.conflicts_won),
    };
    [
        origin.origin.to_string(),
        origin.origin_sequence.to_string(),
        origin.applied_sequence.to_string(),
        Status::behind(origin).to_string(),
        lag,
        received,
        origin.durable_record.to_string(),
        bytes(origin.log_bytes),
        link(origin),
        applier(origin).to_owned(),
        conflicts,
    ]
}

fn link(origin: &Origin) -> String {
    let Some(link) = &origin.link else { return "-".to_owned() };
    match (link.state, link.via) {
        // The usual case needs no name: the origin itself sends.
        (LinkState::Connected, Some(via)) if via != origin.origin => format!("connected via {via}"),
        (LinkState::Connected, _) => "connected".to_owned(),
        (LinkState::Connecting, _) => "connecting".to_owned(),
        (LinkState::Refused, _) => "REFUSED".to_owned(),
    }
}

fn applier(origin: &Origin) -> &'static str {
    match origin.applier.as_ref().map(|applier| applier.state) {
        None => "-",
        Some(ApplierState::Halted) => "HALTED",
        Some(_) if origin.paused => "paused",
        Some(ApplierState::Paused) => "paused",
        Some(ApplierState::Running) => "running",
        Some(ApplierState::Waiting) => "waiting",
    }
}

const PEER_HEAD: [&str; 6] = ["PEER", "ACKNOWLEDGED", "MISSES", "ROUND TRIP", "CLOCK", "HISTORIES"];

fn peer_row(peer: &Peer, status: &Status) -> [String; 6] {
    let none = || "-".to_owned();
    let misses = status.extractor.durable_record.0.saturating_sub(peer.acknowledged_record.0);
    [
        peer.region.to_string(),
        peer.acknowledged_record.to_string(),
        misses.to_string(),
        peer.rtt_us.map_or_else(none, span),
        peer.clock_difference_us.map_or_else(none, |ahead| {
            let sign = if ahead < 0 { '-' } else { '+' };
            format!("{sign}{}", span(ahead.unsigned_abs()))
        }),
        histories(peer, status.now_us),
    ]
}

/// What a peer said of its histories; a peer that is silent may have changed its mind.
fn histories(peer: &Peer, now_us: u64) -> String {
    let said = match (peer.heard_us, peer.stable, peer.unstable) {
        (0, _, _) => return "not heard yet".to_owned(),
        (_, true, _) => "stable".to_owned(),
        (_, false, 0) => "settling".to_owned(),
        (_, false, unstable) => format!("{} unstable", counted(unstable, "transaction")),
    };
    match now_us.saturating_sub(peer.heard_us) {
        0..SILENCE_US => said,
        silent => format!("{said} when last heard, {} ago", span(silent)),
    }
}

/// Peers speak once a second; this is several beats.
const SILENCE_US: u64 = 5_000_000;

/// So many things, in words.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn summary(status: &Status) -> String {
    let mut line = match status.history.keys {
        0 => "no unstable histories".to_owned(),
        keys => format!("{} with unstable histories ({})", counted(keys, "row"), bytes(status.history.bytes)),
    };
    if status.stable_everywhere {
        line += ", stable everywhere";
    }
    let lag = &status.lag_us;
    if lag.count > 0 {
        line += &format!(
            "; lag p50 {}, p99 {} over {}",
            span(lag.p50),
            span(lag.p99),
            counted(lag.count, "commit")
        );
    }
    let lone = status.transactions_not_durable_elsewhere;
    if lone > 0 {
        let age = span((status.seconds_not_durable_elsewhere * 1e6) as u64);
        line += &format!("; {} durable only here, for {age}", counted(lone, "transaction"));
    }
    line
}

/// Columns two spaces apart; those in `right` are flush right, and nothing trails a line.
fn align<const N: usize>(rows: &[[String; N]], right: &[usize], text: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = width(column);
            let _ = match right.contains(&column) {
                true => write!(line, "{gap}{cell:>width$}"),
                false => write!(line, "{gap}{cell:<width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// A span of microseconds in the unit that suits it.
fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1e6),
        60_000_000..3_600_000_000 => format!("{} min {} s", us / 60_000_000, us / 1_000_000 % 60),
        3_600_000_000..86_400_000_000 => format!("{} h {} min", us / 3_600_000_000, us / 60_000_000 % 60),
        _ => format!("{} d {} h", us / 86_400_000_000, us / 3_600_000_000 % 24),
    }
}

/// A number of bytes in the unit that suits it.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1023.95 && units.len() > 0 {
        value /= 1024.0;
        unit = units.next();
    }
    format!("{value:.1} {}", unit.unwrap_or(&"TiB"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::status::{Applier, sample};

    #[test]
    fn a_status_is_a_table_that_people_can_read() {
        let expected = "\
region eu of mesh shop  running  MySQL 9.7.4 21eca99d-e6d3-11f1-93a5-02fc00000001
extractor running  at binlog.000002:1234  transaction 123  record 456 (456 durable)

ORIGIN     EXTRACTED  APPLIED  BEHIND     LAG  RECEIVED  DURABLE      LOG  LINK       APPLIER  CONFLICTS
eu (here)        123        -       -       -       456      456  5.0 MiB  -          -        -
us                 9        9       0  1.2 ms        10       10      0 B  connected  running  1, 0 won

PEER  ACKNOWLEDGED  MISSES  ROUND TRIP   CLOCK  HISTORIES
us             455       1      300 us  +12 us  stable

3 rows with unstable histories (300 B), stable everywhere; lag p50 800 us, p99 3.0 ms over 1000 commits; 1 transaction durable \
only here, for 500 ms
";
        assert_eq!(render(&sample::status()), expected);
    }

    #[test]
    fn whatever_waits_or_is_halted_is_explained_below_the_table() {
        let mut status = sample::status();
        (status.state, status.extractor.state) = (State::Halted, ExtractorState::Halted);
        status.extractor.error = Some("binlog.000001 is purged; re-seed".to_owned());
        status.extractor.code = Some("source-purged-binlogs".to_owned());
        let origin = sample::origin(&mut status, "us");
        (origin.origin_sequence.0, origin.oldest_unapplied_us, origin.offered_record.0) =
            (209, 125_000_000, 300);
        origin.link.as_mut().unwrap().via = Some("ap".parse().unwrap());
        origin.applier = Some(Applier {
            state: ApplierState::Waiting,
            has_marker: true,
            waiting_for: Some("transaction 7 of ap".to_owned()),
            error: None,
            code: None,
        });
        let text = render(&status);
        let row = text.lines().find(|line| line.starts_with("us ")).unwrap();
        let words: Vec<&str> = row.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        assert_eq!(
            words,
            [
                "us",
                "209",
                "9",
                "200",
                ">2 min 5 s",
                "10 of 300",
                "10",
                "0 B",
                "connected via ap",
                "waiting",
                "1, 0 won"
            ]
        );
        assert!(text.starts_with("region eu of mesh shop  HALTED"), "{text}");
        let end = "\n\nextractor halted [source-purged-binlogs]: binlog.000001 is purged; re-seed\n\
                   applier of us waiting: transaction 7 of ap\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_peer_that_fell_silent_is_shown_with_what_it_said_last() {
        let mut status = sample::status();
        for (silent_us, stable, unstable, said) in [
            (1_000_000, true, 0, "stable"),
            (1_000_000, false, 0, "settling"),
            (1_000_000, false, 1, "1 transaction unstable"),
            (61_000_000, false, 2, "2 transactions unstable when last heard, 1 min 1 s ago"),
        ] {
            let peer = &mut status.peers[0];
            (peer.heard_us, peer.stable, peer.unstable) = (status.now_us - silent_us, stable, unstable);
            assert_eq!(histories(peer, status.now_us), said);
        }
        status.peers[0].heard_us = 0;
        assert_eq!(histories(&status.peers[0], status.now_us), "not heard yet");
    }

    #[test]
    fn spans_and_sizes_are_said_in_the_unit_that_suits_them() {
        for (us, said) in [
            (0, "0 us"),
            (999, "999 us"),
            (1_000, "1.0 ms"),
            (123_456, "123 ms"),
            (1_500_000, "1.5 s"),
            (61_000_000, "1 min 1 s"),
            (7_260_000_000, "2 h 1 min"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(us), said);
        }
        for (count, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 << 20, "5.0 MiB"),
            (1 << 40, "1.0 TiB"),
            ((1 << 30) - 1, "1.0 GiB"),
        ] {
            assert_eq!(bytes(count), said);
        }
    }
}
