//! Pulls over loopback with real TLS.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use link::{HeldRecord, Options, RefusalCode, Trouble};
use support::*;
use transaction::RecordNumber;

/// A mesh of one CA: the security of two regions.
fn mesh() -> (tempfile::TempDir, link::Security, link::Security) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let (us, eu) = (ca.security("us"), ca.security("eu"));
    (folder, us, eu)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_arrives_byte_for_byte_and_goes_on_as_it_grows() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, (0..3000).map(|n| n % 700));
    let served = serve(identity("us"), us, options(), &log).await;
    let sink = MemorySink::from(1);
    let pulling = pull(&client("eu", eu), &served.target, &sink);
    sink.holds(&log.bytes(1)).await;
    for len in [10, 2_000_000, 0] {
        log.push(len);
        sink.holds(&log.bytes(1)).await;
    }
    soon(served.logs.acknowledged.subscribe().wait_for(|durable| *durable == 3003)).await.unwrap();
    let (peer, durable) = sink.connected.borrow().clone().unwrap();
    assert_eq!((peer.region, peer.protocol, durable), (name("us"), 1, 77));
    assert_eq!(*sink.received.borrow(), 3003);
    pulling.abort();
}

#[tokio::test]
async fn a_pull_resumes_from_the_sinks_next_number_and_acknowledges_what_it_holds() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(5, [10; 100]);
    let served = serve(identity("us"), us, options(), &log).await;
    let sink = MemorySink::from(60);
    let pulling = pull(&client("eu", eu), &served.target, &sink);
    sink.holds(&log.bytes(60)).await;
    pulling.abort();
}

#[tokio::test]
async fn an_empty_copy_begins_at_the_earliest_record_held() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(5, [10; 100]);
    let served = serve(identity("us"), us, options(), &log).await;
    let sink = MemorySink::from(0);
    let pulling = pull(&client("eu", eu), &served.target, &sink);
    sink.holds(&log.bytes(5)).await;
    assert_eq!(numbers(&sink.stored.borrow()).first(), Some(&5));
    pulling.abort();
}

#[tokio::test]
async fn records_that_are_not_held_are_refused_with_the_reason() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(5, [10; 100]);
    let served = serve(identity("us"), us, options(), &log).await;
    let link = client("eu", eu);
    for (from, code, number, halt) in
        [(2, RefusalCode::Gone, 5, "link-record-removed"), (106, RefusalCode::Ahead, 104, "link-log-shorter")]
    {
        let error = soon(pull(&link, &served.target, &MemorySink::from(from))).await.unwrap();
        let refusal = error.refusal().unwrap();
        assert_eq!((refusal.code, refusal.number), (code, number), "{error}");
        assert_eq!(error.trouble(), Trouble::NeedsPerson);
        assert_eq!(error.code().unwrap(), halt);
    }
    let error = link.pull(&served.target, name("ap"), &MemorySink::new(0)).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::UnknownOrigin);
    assert!(error.to_string().contains("the log of ap in region us"), "{error}");
}

#[tokio::test]
async fn a_receiver_that_holds_another_record_is_refused_and_one_that_holds_the_same_is_not() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(5, [10; 100]);
    let served = serve(identity("us"), us, options(), &log).await;
    let link = client("eu", eu);
    let telling = |held: Vec<HeldRecord>| Arc::new(MemorySink { held, ..MemorySink::new(60) });
    let sink = telling(vec![log.held(58), log.held(59)]);
    let pulling = pull(&link, &served.target, &sink);
    sink.holds(&log.bytes(60)).await;
    pulling.abort();

    let other = HeldRecord { number: RecordNumber(58), checksum: log.held(59).checksum };
    let error = soon(pull(&link, &served.target, &telling(vec![other, log.held(59)]))).await.unwrap();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code, refusal.number), (RefusalCode::Differs, 58), "{error}");
    assert_eq!(error.code().unwrap(), "link-log-differs");
    let mut told = served.region.server_errors.subscribe();
    let of_us = |told: &Vec<String>| told.iter().any(|error| error.contains("record 58 is another one here"));
    soon(told.wait_for(of_us)).await.unwrap();

    // Those before the first one wanted, and no others.
    for held in [vec![log.held(58)], vec![log.held(59); 2], (43..60).map(|number| log.held(number)).collect()]
    {
        let error = soon(pull(&link, &served.target, &telling(held))).await.unwrap();
        assert_eq!(error.refusal().unwrap().code, RefusalCode::Malformed, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_larger_than_the_window_passes_and_so_do_its_neighbours() {
    let (_folder, us, eu) = mesh();
    let lens = [100, 3_000_000, 100, 20_000_000, 3_000_000, 100, 100];
    let log = MemoryLog::new(1, lens);
    let served = serve(identity("us"), us, options(), &log).await;
    let link = link::Link::new(
        identity("eu"),
        eu,
        Options { window: 100_000, ..options() },
        std::sync::Arc::new(Ears(Region::new(1))),
    );
    let sink = MemorySink::from(1);
    let pulling = pull(&link, &served.target, &sink);
    sink.holds(&log.bytes(1)).await;
    pulling.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_slow_gets_no_more_than_the_window() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, vec![1000; 2000]);
    let served = serve(identity("us"), us, options(), &log).await;
    let window = 300_000;
    let link = link::Link::new(
        identity("eu"),
        eu,
        Options { window, ..options() },
        std::sync::Arc::new(Ears(Region::new(1))),
    );
    let sink = MemorySink::from(1);
    sink.gate.send_replace(false);
    let pulling = pull(&link, &served.target, &sink);
    // The window is used up as far as it is worth while, and then only beats come.
    let record = encoded(1, 1000).len() as u64;
    soon(sink.received.subscribe().wait_for(|last| *last * record > window / 2)).await.unwrap();
    let beats = served.region.heard.borrow().len();
    soon(served.region.heard.subscribe().wait_for(|heard| heard.len() > beats + 3)).await.unwrap();
    let received = *sink.received.borrow() * record;
    assert!(received <= window, "{received} bytes in a window of {window}");
    sink.gate.send_replace(true);
    sink.holds(&log.bytes(1)).await;
    pulling.abort();
}

#[tokio::test]
async fn a_damaged_record_is_refused_and_everything_before_its_batch_is_kept() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, [1000; 100]);
    log.damage(50);
    let small = Options { batch_bytes_max: 5 * encoded(1, 1000).len(), ..options() };
    let served = serve(identity("us"), us, small, &log).await;
    let sink = MemorySink::from(1);
    let error = soon(pull(&client("eu", eu), &served.target, &sink)).await.unwrap();
    assert!(error.to_string().contains("after record 49: record 50 fails its checksum"), "{error}");
    assert!(error.to_string().contains("concord log verify --origin us"), "{error}");
    assert_eq!(numbers(&sink.stored.borrow()), (1..=45).collect::<Vec<_>>());
    assert!(sink.idle());
    let told = served.region.server_error().await;
    assert!(told.contains("record 50 fails its checksum"), "{told}");
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_pull_with_its_reason() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("us"), us, options(), &log).await;
    let sink = std::sync::Arc::new(MemorySink { failing: true, ..MemorySink::new(1) });
    let error = soon(pull(&client("eu", eu), &served.target, &sink)).await.unwrap();
    assert_eq!(error.to_string(), "cannot store records of us: disk full");
    assert_eq!(error.code(), Some(DISK_FULL), "as the sink says");
    assert_eq!(*served.logs.acknowledged.borrow(), 0);
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_is_done_at_once() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("us"), us, options(), &log).await;
    let sink = MemorySink::from(1);
    let pulling = pull(&client("eu", eu), &served.target, &sink);
    sink.holds(&log.bytes(1)).await;
    served.shutdown.send_replace(true);
    let error = soon(pulling).await.unwrap();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::ShuttingDown, "{error}");
    assert_eq!(error.trouble(), Trouble::Away);
    soon(served.task).await.unwrap();
}

#[tokio::test]
async fn a_pull_that_loses_its_peer_returns_only_when_its_store_is_done() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("us"), us, options(), &log).await;
    let sink = MemorySink::from(1);
    sink.gate.send_replace(false);
    let mut pulling = pull(&client("eu", eu), &served.target, &sink);
    soon(sink.received.subscribe().wait_for(|last| *last == 10)).await.unwrap();
    served.shutdown.send_replace(true);
    soon(served.task).await.unwrap();
    assert!(!sink.idle() && !pulling.is_finished());
    sink.gate.send_replace(true);
    soon(&mut pulling).await.unwrap();
    assert!(sink.idle());
    sink.holds(&log.bytes(1)).await;
}

#[tokio::test]
async fn a_peer_that_is_away_is_unreachable_and_heals() {
    let (_folder, _, eu) = mesh();
    // A port that was just free, with nobody behind it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = link::Target { region: name("us"), address: port.to_string() };
    let error = pull(&client("eu", eu), &target, &MemorySink::from(1)).await.unwrap();
    assert_eq!(error.trouble(), Trouble::Away);
    assert!(error.to_string().starts_with(&format!("cannot reach us at {port}")), "{error}");
}

#[tokio::test]
async fn beats_go_both_ways_and_measure_the_clocks() {
    let (_folder, us, eu) = mesh();
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("us"), us, options(), &log).await;
    let ears = Region::new(5_000_400);
    let link = link::Link::new(identity("eu"), eu, options(), std::sync::Arc::new(Ears(ears.clone())));
    let pulling = pull(&link, &served.target, &MemorySink::from(1));
    let mut heard = ears.heard.subscribe();
    let heard = soon(heard.wait_for(|heard| heard.last().is_some_and(|(_, h)| h.measure.is_some())))
        .await
        .unwrap()
        .clone();
    let (peer, last) = heard.last().unwrap();
    // Both clocks stand still, 400 µs apart.
    assert_eq!((*peer, last.measure.unwrap().ahead_us, last.wall_us), (name("us"), -400, 5_000_000));
    assert_eq!(last.beat, served.region.beat);
    served
        .region
        .heard
        .subscribe()
        .wait_for(|heard| heard.iter().any(|(peer, _)| *peer == name("eu")))
        .await
        .unwrap();
    pulling.abort();
}
