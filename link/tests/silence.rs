//! Peers that go silent or talk nonsense, in virtual time over pipes.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use link::{Link, LinkError, Options, Target};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::watch;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(5);

fn link(region: &str) -> Link {
    Link::new(identity(region), link::Security::Plain, Options::default(), Arc::new(Ears(Region::new(1))))
}

fn target() -> Target {
    Target { region: name("us"), address: "pipe".into() }
}

/// Serves one end of a pipe in the background; the other end is returned.
fn serve_pipe(log: &Arc<MemoryLog>) -> (DuplexStream, tokio::task::JoinHandle<Result<(), LinkError>>) {
    let (ours, theirs) = duplex(1 << 16);
    let logs = Arc::new(Logs { held: [(name("us"), log.clone())].into(), ..Logs::default() });
    let (shutdown, flag) = watch::channel(false);
    let task = tokio::spawn(async move {
        let _running = shutdown;
        link("us").serve_on(theirs, "127.0.0.1:1".parse().unwrap(), logs, flag).await
    });
    (ours, task)
}

/// Lets bytes through in both directions until it is told to swallow them, as a dead network does.
fn wire(mut near: DuplexStream) -> (DuplexStream, watch::Sender<bool>) {
    let (ours, mut far) = duplex(1 << 16);
    let cut = watch::Sender::new(false);
    let mut flag = cut.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
            _ = async { flag.wait_for(|cut| *cut).await.is_ok() } => {}
        }
        // Both ends stay open, and nothing passes any more.
        let _held = (near, far);
        std::future::pending::<()>().await;
    });
    (ours, cut)
}

#[tokio::test(start_paused = true)]
async fn an_idle_pull_stays_up_and_a_dead_wire_is_found_by_both_sides_within_the_timeout() {
    let log = MemoryLog::new(1, [10; 10]);
    let (near, serving) = serve_pipe(&log);
    let (near, cut) = wire(near);
    let sink = MemorySink::from(1);
    let pulling = {
        let sink = sink.clone();
        tokio::spawn(async move { link("eu").pull_on(near, &target(), name("us"), sink.as_ref()).await })
    };
    sink.holds(&log.bytes(1)).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    let idle = Instant::now();
    while idle.elapsed() < Duration::from_secs(3600) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(!pulling.is_finished() && !serving.is_finished());
    log.push(10);
    sink.holds(&log.bytes(1)).await;

    let silent = Instant::now();
    cut.send_replace(true);
    let error = pulling.await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Silent { after: TIMEOUT, .. }), "{error}");
    let error = serving.await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Silent { after: TIMEOUT, .. }), "{error}");
    assert!(silent.elapsed() <= TIMEOUT, "{:?}", silent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_connects_and_says_nothing_is_dropped() {
    let (_near, serving) = serve_pipe(&MemoryLog::new(1, []));
    let error = serving.await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Silent { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let (near, _far) = duplex(1 << 16);
    let error = link("eu").pull_on(near, &target(), name("us"), &MemorySink::new(1)).await.unwrap_err();
    assert!(matches!(error, LinkError::Silent { .. }), "{error}");
}

/// Everything that a good client says before its first acknowledgement.
async fn good_client_bytes() -> Vec<u8> {
    let (near, serving) = serve_pipe(&MemoryLog::new(1, []));
    let (client_end, tap) = duplex(1 << 16);
    let pulling = tokio::spawn(async move {
        link("eu").pull_on(client_end, &target(), name("us"), &MemorySink::new(1)).await
    });
    let (mut from_client, mut to_client) = split(tap);
    let (mut from_server, mut to_server) = split(near);
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut said = Vec::new();
    // Hello, Pull, and the first beat; each read is what was flushed at once.
    while said.len() < 200 {
        let mut piece = [0; 4096];
        let n = soon(from_client.read(&mut piece)).await.unwrap();
        said.extend_from_slice(&piece[..n]);
        to_server.write_all(&piece[..n]).await.unwrap();
    }
    pulling.abort();
    serving.abort();
    said
}

#[tokio::test(start_paused = true)]
async fn a_client_stream_cut_or_damaged_anywhere_ends_in_an_error_and_never_a_panic() {
    let good = good_client_bytes().await;
    let log = MemoryLog::new(1, [10; 10]);
    for at in 0..good.len() {
        let (mut near, serving) = serve_pipe(&log);
        near.write_all(&good[..at]).await.unwrap();
        drop(near);
        let error = serving.await.unwrap().unwrap_err();
        assert!(matches!(error, LinkError::Lost { .. }), "cut at {at}: {error}");

        let mut damaged = good.clone();
        damaged[at] ^= 0x55;
        let (mut near, serving) = serve_pipe(&log);
        near.write_all(&damaged).await.unwrap();
        let error = serving.await.unwrap().unwrap_err();
        let named = matches!(
            error,
            LinkError::Protocol { .. } | LinkError::Stranger { .. } | LinkError::Silent { .. }
        );
        assert!(named, "damaged at {at}: {error}");
    }
}
