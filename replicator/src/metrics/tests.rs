#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::conflicts::sample::entry;
use crate::status::{ApplierState, ExtractorState, LinkState, sample};

fn metrics() -> Metrics {
    let status = sample::status();
    let counts = Arc::new(ConflictCounts::default());
    counts.note(&entry(1, 3));
    Metrics::new(status.region, move || status.clone()).with_conflicts(&counts)
}

#[test]
fn labels_of_conflicts_are_bounded() {
    let counts = Arc::new(ConflictCounts::default());
    for number in 0..300 {
        let mut entry = entry(1, 3);
        entry.table = format!("t{number}");
        entry.policy = format!("unique key k{number}");
        counts.note(&entry);
        counts.note(&entry);
    }
    let status = sample::status();
    let text = Metrics::new(status.region, move || status.clone()).with_conflicts(&counts).classic().unwrap();
    let samples: Vec<_> = text.lines().filter(|l| l.starts_with("concord_conflicts_found_total{")).collect();
    assert_eq!(samples.len(), 201);
    assert!(samples.iter().any(|l| l.contains("table=\"shop.t199\"") && l.ends_with("} 2")), "{text}");
    let other = samples.iter().find(|l| l.contains("table=\"other\"")).unwrap();
    assert!(other.contains("policy=\"other\"") && other.ends_with("} 200"), "{other}");
}

/// The value of one sample.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
}

#[test]
fn values_stand_under_their_labels_in_base_units() {
    let text = metrics().classic().unwrap();
    for (sample, expected) in [
        ("concord_link_up{region=\"eu\",origin=\"us\"}", 1.0),
        ("concord_extracted_sequence{region=\"eu\"}", 123.0),
        ("concord_durable_record{region=\"eu\",origin=\"eu\"}", 456.0),
        ("concord_log_bytes{region=\"eu\",origin=\"eu\"}", 5242880.0),
        ("concord_transactions_applied_total{region=\"eu\",origin=\"us\"}", 9.0),
        ("concord_last_lag_seconds{region=\"eu\",origin=\"us\"}", 0.001234),
        ("concord_lag_seconds_total{region=\"eu\",origin=\"us\"}", 0.009),
        ("concord_not_durable_elsewhere_seconds{region=\"eu\"}", 0.5),
        ("concord_peer_clock_difference_seconds{region=\"eu\",peer=\"us\"}", 0.000012),
        ("concord_peer_last_heard_timestamp_seconds{region=\"eu\",peer=\"us\"}", 1.7e9),
    ] {
        assert_eq!(value(&text, sample), expected, "{sample}");
    }
    // A region applies nothing of its own.
    assert!(!text.contains("concord_applied_record{region=\"eu\",origin=\"eu\"}"));
}

#[test]
fn whatever_a_person_must_act_on_has_its_code_as_a_label_while_it_lasts() {
    let mut status = sample::status();
    let scraped = |status: &crate::status::Status| {
        let status = status.clone();
        Metrics::new(status.region, move || status.clone()).classic().unwrap()
    };
    assert!(!scraped(&status).contains("concord_halt{"), "nothing is halted");
    (status.extractor.state, status.extractor.code) =
        (ExtractorState::Halted, Some("source-purged-binlogs".to_owned()));
    let us = sample::origin(&mut status, "us");
    let applier = us.applier.as_mut().unwrap();
    (applier.state, applier.code) = (ApplierState::Halted, Some("tables-differ".to_owned()));
    let link = us.link.as_mut().unwrap();
    (link.state, link.code) = (LinkState::Refused, Some("mesh-differs".to_owned()));
    let text = scraped(&status);
    for (part, code) in [
        ("extractor", "source-purged-binlogs"),
        ("applier of us", "tables-differ"),
        ("link of us", "mesh-differs"),
    ] {
        let sample = format!("concord_halt{{region=\"eu\",part=\"{part}\",code=\"{code}\"}}");
        assert_eq!(value(&text, &sample), 1.0);
    }
    assert_eq!(value(&text, "concord_applier_halted{region=\"eu\",origin=\"us\"}"), 1.0);
}

#[test]
fn every_family_has_a_help_and_a_type_of_its_own() {
    let text = metrics().classic().unwrap();
    let named = |keyword: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(keyword));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let (helps, types) = (named("# HELP "), named("# TYPE "));
    assert_eq!(helps, types);
    assert_eq!(helps.iter().collect::<BTreeSet<_>>().len(), helps.len(), "a family twice: {helps:?}");
    let sampled: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('{').next().unwrap())
        .collect();
    assert_eq!(sampled, helps.iter().map(String::as_str).collect());
}

#[test]
fn text_in_a_label_cannot_break_out_of_it() {
    let mut status = sample::status();
    status.mesh = "a\"b\\c".to_owned();
    let text = Metrics::new(status.region, move || status.clone()).classic().unwrap();
    assert!(text.contains(r#"mesh="a\"b\\c""#), "{text}");
}

/// Prometheus' own judgement, where its tool is installed.
#[test]
fn promtool_has_nothing_to_say_where_it_is_installed() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return };
    child.stdin.take().unwrap().write_all(metrics().classic().unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
