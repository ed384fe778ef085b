//! The receiving end of a pull. Three things happen at once: frames are read and verified, what has arrived is stored, and
//! acknowledgements and beats are sent. Reading never waits for storing; the window bounds what lies between them.

use std::convert::Infallible;
use std::pin::pin;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use transaction::{RecordNumber, RegionName};

use crate::beat::Pulse;
use crate::contract::{RecordBatch, RecordSink};
use crate::error::LinkError;
use crate::frame::{Frame, FrameKind};
use crate::handshake::Session;
use crate::identity::Peer;
use crate::link::Link;
use crate::message;
use crate::pack::FoldedBatch;
use crate::records;
use crate::renewal::Term;
use crate::sender::Flow;
use crate::speaker::{Speaker, gave_up, hear_common};
use crate::wire::Reader;

struct Receiving<'a> {
    link: &'a Link,
    peer: &'a Peer,
    label: String,
    origin: RegionName,
    sink: &'a dyn RecordSink,
    flow: Flow,
    pulse: &'a Pulse,
}

/// Pulls until something fails. No store is under way when it returns.
pub(crate) async fn pull(
    link: &Link,
    session: Session,
    mut term: Term,
    origin: RegionName,
    sink: &dyn RecordSink,
) -> Result<Infallible, LinkError> {
    let Session { mut reader, mut writer, peer, .. } = session;
    let label = peer.label();
    let from = sink.next_number();
    let held = sink.held(from).await.map_err(|e| LinkError::Sink { origin, halt: e.0 })?;
    let held = held.iter().map(|held| message::Held { number: held.number.0, checksum: held.checksum });
    let window = link.options.window;
    let request = message::Pull { origin: origin.to_string(), from: from.0, window, held: held.collect() };
    writer.message(FrameKind::Pull, &request).await.map_err(|e| LinkError::on_wire(&label, e))?;

    let pulse = Pulse::default();
    let receiving =
        Receiving { link, peer: &peer, label, origin, sink, flow: Flow::new(window), pulse: &pulse };
    let mut speaker = Speaker::new(link, &pulse, writer);
    let (arrived, to_store) = mpsc::unbounded_channel();
    let (stored, to_acknowledge) = mpsc::unbounded_channel();
    let mut storing = pin!(receiving.store(to_store, stored));
    let error = tokio::select! {
        error = receiving.hear(&mut reader, arrived, from) => error,
        error = receiving.speak(&mut speaker, to_acknowledge) => error,
        () = term.ended() => LinkError::Lost {
            peer: receiving.label.clone(),
            reason: "this region's certificates were renewed".to_owned(),
        },
        outcome = &mut storing => {
            // `hear` holds the sending end, so storing ends only by failing.
            return Err(outcome.err().unwrap_or_else(|| LinkError::Lost {
                peer: receiving.label.clone(),
                reason: "storing ended before reading".to_owned(),
            }));
        }
    };
    speaker.farewell(&mut reader, &error).await;
    // The connection is over; what arrived whole is still good, and the next pull must find the sink at rest.
    storing.await?;
    Err(error)
}

impl Receiving<'_> {
    /// Reads and verifies until something is wrong.
    async fn hear(
        &self,
        reader: &mut Reader,
        arrived: UnboundedSender<RecordBatch>,
        from: RecordNumber,
    ) -> LinkError {
        let opened = self.hear_opened(reader).await;
        match opened {
            Ok(durable) => self.sink.connected(self.peer, durable),
            Err(error) => return error,
        }
        let mut next = from;
        loop {
            match self.hear_one(reader, next).await {
                Ok(Some(batch)) => {
                    next = batch.last.next();
                    self.sink.received(batch.last, batch.durable);
                    // The other end is open as long as nothing has failed to be stored, and then this is not polled.
                    let _ = arrived.send(batch);
                }
                Ok(None) => {}
                Err(error) => return error,
            }
        }
    }

    async fn hear_opened(&self, reader: &mut Reader) -> Result<RecordNumber, LinkError> {
        loop {
            let frame = self.frame(reader, &[FrameKind::Opened, FrameKind::Beat, FrameKind::Refuse]).await?;
            if frame.kind == FrameKind::Opened {
                let opened: message::Opened =
                    frame.message().map_err(|e| LinkError::on_frame(&self.label, e))?;
                return Ok(RecordNumber(opened.durable));
            }
            hear_common(self.link, self.peer, self.pulse, &frame)?;
        }
    }

    async fn hear_one(
        &self,
        reader: &mut Reader,
        next: RecordNumber,
    ) -> Result<Option<RecordBatch>, LinkError> {
        let frame = self.frame(reader, &[FrameKind::Batch, FrameKind::Beat, FrameKind::Refuse]).await?;
        if frame.kind != FrameKind::Batch {
            hear_common(self.link, self.peer, self.pulse, &frame)?;
            return Ok(None);
        }
        let broken = |what: String| LinkError::protocol(&self.label, what);
        let folded = FoldedBatch::read(frame.payload).map_err(|e| broken(e.to_string()))?;
        let (len, alone) = (u64::from(folded.bytes.len), folded.count == 1);
        {
            let mut credit = self.flow.credit();
            if !credit.admits(len, alone) {
                return Err(broken(format!(
                    "{len} bytes of records where {} bytes of credit were left",
                    credit.room()
                )));
            }
            credit.take(len, alone);
        }
        let batch = folded.unfold().map_err(|e| broken(e.to_string()))?;
        records::verify(&batch, next).map_err(|e| LinkError::Records {
            peer: self.label.clone(),
            origin: self.origin,
            reason: e.to_string(),
        })?;
        Ok(Some(batch))
    }

    async fn frame(&self, reader: &mut Reader, allowed: &[FrameKind]) -> Result<Frame, LinkError> {
        reader.next(allowed).await.map_err(|e| LinkError::on_wire(&self.label, e))
    }

    /// Stores what arrives, several batches at a time when they have piled up, until no more can arrive.
    async fn store(
        &self,
        mut arrived: UnboundedReceiver<RecordBatch>,
        stored: UnboundedSender<message::Ack>,
    ) -> Result<(), LinkError> {
        // A quarter of the window at a time: its credit travels back while the next quarter is being stored.
        let share = self.link.options.window / 4;
        while let Some(batch) = arrived.recv().await {
            let mut bytes = batch.bytes.len() as u64;
            let mut batches = vec![batch];
            while bytes < share
                && let Ok(batch) = arrived.try_recv()
            {
                bytes += batch.bytes.len() as u64;
                batches.push(batch);
            }
            let durable = self.sink.store(batches).await;
            let durable = durable.map_err(|e| LinkError::Sink { origin: self.origin, halt: e.0 })?;
            self.flow.give(bytes, &self.label)?;
            // When the connection is over nobody is left to acknowledge to.
            let _ = stored.send(message::Ack { credit: bytes, durable: durable.0 });
        }
        Ok(())
    }

    /// Sends acknowledgements and beats until the connection fails.
    async fn speak(
        &self,
        speaker: &mut Speaker<'_>,
        mut stored: UnboundedReceiver<message::Ack>,
    ) -> LinkError {
        loop {
            let sent = match speaker.until(stored.recv()).await {
                Ok(Some(ack)) => speaker.message(FrameKind::Ack, &ack).await,
                // Storing has ended, which by itself ends the pull.
                Ok(None) => std::future::pending().await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = sent {
                return gave_up(stop, &self.label).await;
            }
        }
    }
}
