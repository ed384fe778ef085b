//! Peers that shake hands well and then break the protocol, and the errors that name what they did.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::duplex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use transaction::record::{Body, Lineage};
use transaction::{Epoch, Hlc, Incarnation, Record, RecordNumber, RegionName, Sequence};

use crate::frame::FrameKind;
use crate::handshake::{Session, accept, dial};
use crate::pack::Packer;
use crate::{
    Answer, Beat, BoxFuture, Control, Formats, Heard, HeldRecord, Identity, Link, LinkError, LogProvider,
    Options, ProviderError, RecordBatch, RecordSink, RecordStream, Security, SinkError, Target, message,
};

fn name(text: &str) -> RegionName {
    RegionName::new(text).unwrap()
}

struct Quiet;

impl Control for Quiet {
    fn wall_us(&self) -> u64 {
        1
    }
    fn beat(&self) -> Beat {
        Beat::default()
    }
    fn on_beat(&self, _: RegionName, _: Heard) {}
    fn ask(&self, _: RegionName, _: String, _: Vec<u8>) -> mpsc::Receiver<Answer> {
        mpsc::channel(1).1
    }
}

/// Stores nothing ever, so that no credit comes back; notes the numbers that were acknowledged.
#[derive(Default)]
struct Stuck(Mutex<Vec<u64>>);

impl RecordSink for Stuck {
    fn next_number(&self) -> RecordNumber {
        RecordNumber(1)
    }
    fn store(&self, batches: Vec<RecordBatch>) -> BoxFuture<'_, Result<RecordNumber, SinkError>> {
        self.0.lock().unwrap().extend(batches.iter().map(|batch| batch.last.0));
        Box::pin(std::future::pending())
    }
}

/// Three small records, then nothing more.
struct Three(bool);

impl LogProvider for Three {
    fn open(
        &self,
        _: RegionName,
        _: RegionName,
        _: RecordNumber,
        _: Vec<HeldRecord>,
    ) -> BoxFuture<'_, Result<Box<dyn RecordStream>, ProviderError>> {
        Box::pin(async { Ok(Box::new(Three(self.0)) as Box<dyn RecordStream>) })
    }
    fn acknowledged(&self, _: RegionName, _: RegionName, _: RecordNumber) {}
}

impl RecordStream for Three {
    fn next_batch(&mut self, _: usize) -> BoxFuture<'_, Result<RecordBatch, ProviderError>> {
        let first = !std::mem::replace(&mut self.0, true);
        Box::pin(async move { if first { Ok(batch(1..=3)) } else { std::future::pending().await } })
    }
}

fn batch(numbers: std::ops::RangeInclusive<u64>) -> RecordBatch {
    let mut bytes = Vec::new();
    for number in numbers.clone() {
        let body = Body::Chunk { index: 0, events: &[7; 48] };
        let lineage = Lineage { incarnation: Incarnation(1), epoch: Epoch(1) };
        let (number, hlc) = (RecordNumber(number), Hlc(number));
        Record { number, sequence: Sequence(0), hlc, lineage, event_checksums: false, body }
            .encode(&mut bytes);
    }
    let (first, last) = (RecordNumber(*numbers.start()), RecordNumber(*numbers.end()));
    RecordBatch { bytes, count: numbers.count() as u32, first, last, durable: last }
}

fn link(region: &str) -> Link {
    let identity = Identity {
        region: name(region),
        regions: ["eu", "us"].map(name).into(),
        mesh: "shop".into(),
        mesh_fingerprint: [1; 32],
        mesh_description: String::new(),
        epoch: Epoch(1),
        formats: Formats::only(1),
        software: "0.1.0".into(),
    };
    let options = Options { window: 1000, heartbeat: Duration::from_secs(1), ..Options::default() };
    Link::new(identity, Security::Plain, options, Arc::new(Quiet))
}

fn target() -> Target {
    Target { region: name("us"), address: "pipe".into() }
}

/// A region that pulls from us, who play the server by hand; the pull has been opened.
async fn pulling() -> (Session, JoinHandle<LinkError>) {
    let (ours, theirs) = duplex(1 << 20);
    let puller = tokio::spawn(async move {
        match link("eu").pull_on(theirs, &target(), name("us"), &Stuck::default()).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    });
    let address = "127.0.0.1:1".parse().unwrap();
    let mut session = accept(&link("us"), Box::new(ours), address, None).await.unwrap();
    session.reader.next(&[FrameKind::Pull]).await.unwrap();
    session.writer.message(FrameKind::Opened, &message::Opened { durable: 9 }).await.unwrap();
    (session, puller)
}

async fn send(session: &mut Session, batch: &RecordBatch) {
    let (head, packed) = Packer::new(false).batch(batch);
    session.writer.send(FrameKind::Batch, &[&head, packed.as_ref().unwrap_or(&batch.bytes)]).await.unwrap();
}

/// What the puller says, and that it has told us the same.
async fn verdict(mut session: Session, puller: JoinHandle<LinkError>) -> String {
    let told = loop {
        let frame = session.reader.next(&[FrameKind::Refuse, FrameKind::Beat, FrameKind::Ack]).await.unwrap();
        if frame.kind == FrameKind::Refuse {
            break frame.message::<message::Refuse>().unwrap();
        }
    };
    drop(session);
    // A store that never ends holds the pull; what it would return is in its refusal.
    puller.abort();
    told.text
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_exceeds_the_window_is_refused() {
    let (mut session, puller) = pulling().await;
    for numbers in [1..=4, 5..=8, 9..=12] {
        send(&mut session, &batch(numbers)).await;
    }
    let error = verdict(session, puller).await;
    assert!(error.contains("400 bytes of records where 200 bytes of credit were left"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn many_records_larger_than_the_window_may_not_pass_together() {
    let (mut session, puller) = pulling().await;
    send(&mut session, &batch(1..=11)).await;
    let error = verdict(session, puller).await;
    assert!(error.contains("1100 bytes of records where 1000 bytes of credit were left"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn records_out_of_their_place_are_refused() {
    for (numbers, found) in [(2..=4, "record 2 where record 1 must come"), (0..=1, "record 0 where record 1")]
    {
        let (mut session, puller) = pulling().await;
        send(&mut session, &batch(numbers)).await;
        let error = verdict(session, puller).await;
        assert!(error.contains(found), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_may_not_come_is_refused_by_kind() {
    let (mut session, puller) = pulling().await;
    session.writer.send(FrameKind::Part, &[&[0; 100]]).await.unwrap();
    let error = verdict(session, puller).await;
    assert!(error.contains("a Part frame where only [Batch, Beat, Refuse] may come"), "{error}");
}

/// What a server says when its puller acknowledges this after having been sent three records of 100 bytes each.
async fn acknowledging(acks: &[(u64, u64)]) -> LinkError {
    let (ours, theirs) = duplex(1 << 20);
    let (shutdown, flag) = watch::channel(false);
    let server = tokio::spawn(async move {
        let _running = shutdown;
        link("us").serve_on(theirs, "127.0.0.1:1".parse().unwrap(), Arc::new(Three(false)), flag).await
    });
    let mut session = dial(&link("eu"), Box::new(ours), &target()).await.unwrap();
    let pull = message::Pull { origin: "us".into(), from: 1, window: 1000, held: Vec::new() };
    session.writer.message(FrameKind::Pull, &pull).await.unwrap();
    let allowed = [FrameKind::Opened, FrameKind::Beat, FrameKind::Batch];
    while session.reader.next(&allowed).await.unwrap().kind != FrameKind::Batch {}
    for (credit, durable) in acks {
        let ack = message::Ack { credit: *credit, durable: *durable };
        session.writer.message(FrameKind::Ack, &ack).await.unwrap();
    }
    let reader = &mut session.reader;
    let allowed = [FrameKind::Refuse, FrameKind::Beat];
    while reader.next(&allowed).await.is_ok_and(|frame| frame.kind != FrameKind::Refuse) {}
    drop(session);
    server.await.unwrap().unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_gives_more_credit_than_it_took_is_refused() {
    let error = acknowledging(&[(200, 2), (101, 3)]).await.to_string();
    assert!(
        error.contains("101 bytes of credit were granted, but only 100 bytes are outstanding"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_an_acknowledgement_back_is_refused() {
    let error = acknowledging(&[(100, 2), (100, 1)]).await.to_string();
    assert!(error.contains("an acknowledgement of record 1 of us after one of 2"), "{error}");
}
