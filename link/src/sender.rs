//! The sending end of a pull: reads a log as far as it is durable and the receiver's credit goes.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use transaction::{RecordNumber, RegionName};

use crate::beat::Pulse;
use crate::congestion::Congestion;
use crate::contract::{HELD_MAX, HeldRecord, LogProvider, ProviderError, RecordBatch, RecordStream};
use crate::credit::Credit;
use crate::error::LinkError;
use crate::frame::{BULK_MAX, FrameKind};
use crate::handshake::{Session, refuse};
use crate::identity::Peer;
use crate::link::Link;
use crate::message;
use crate::pack::{BATCH_HEAD_LEN, Packer};
use crate::refusal::{Refusal, RefusalCode};
use crate::speaker::{Speaker, Stop, gave_up, hear_common};
use crate::wire::Reader;

/// Credit that one half of a connection takes and the other gives back.
pub(crate) struct Flow {
    credit: Mutex<Credit>,
    given: Notify,
}

impl Flow {
    pub(crate) fn new(window: u64) -> Self {
        Self { credit: Mutex::new(Credit::new(window)), given: Notify::new() }
    }

    pub(crate) fn credit(&self) -> MutexGuard<'_, Credit> {
        self.credit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what the peer has acknowledged.
    pub(crate) fn give(&self, bytes: u64, peer: &str) -> Result<(), LinkError> {
        self.credit()
            .give(bytes)
            .map_err(|e| LinkError::protocol(peer, format!("an acknowledgement by which {e}")))?;
        self.given.notify_one();
        Ok(())
    }

    /// Waits until the receiver has room for `len` bytes, and takes it.
    pub(crate) async fn take(&self, speaker: &mut Speaker<'_>, len: u64, alone: bool) -> Result<(), Stop> {
        loop {
            {
                let mut credit = self.credit();
                if credit.admits(len, alone) {
                    credit.take(len, alone);
                    return Ok(());
                }
            }
            speaker.until(self.given.notified()).await?;
        }
    }

    /// Waits until it is worth fetching a batch, and says how large a one.
    async fn room(&self, speaker: &mut Speaker<'_>, batch_bytes_max: usize) -> Result<usize, Stop> {
        loop {
            let room = self.credit().worth_fetching(batch_bytes_max as u64);
            match room {
                Some(bytes) => return Ok(bytes as usize),
                None => speaker.until(self.given.notified()).await?,
            }
        }
    }
}

struct Sending<'a> {
    link: &'a Link,
    peer: &'a Peer,
    label: String,
    origin: RegionName,
    flow: Flow,
    pulse: &'a Pulse,
}

/// Serves one pull until the receiver goes, something fails, or `shutdown`.
pub(crate) async fn serve(
    link: &Link,
    mut session: Session,
    pull: message::Pull,
    provider: &dyn LogProvider,
    shutdown: watch::Receiver<bool>,
) -> Result<(), LinkError> {
    let peer = session.peer.clone();
    let label = peer.label();
    let origin = match RegionName::new(&pull.origin) {
        Ok(origin) => origin,
        Err(e) => {
            let refusal = Refusal::new(RefusalCode::Malformed, format!("the pull's {e}"));
            refuse(&mut session.reader, &mut session.writer, &refusal).await;
            return Err(LinkError::Refused { peer: label, refusal });
        }
    };
    let from = RecordNumber(pull.from);
    let Some(held) = held_before(from, &pull.held) else {
        let refusal =
            Refusal::new(RefusalCode::Malformed, "the pull tells of records that are not those before it");
        refuse(&mut session.reader, &mut session.writer, &refusal).await;
        return Err(LinkError::Refused { peer: label, refusal });
    };
    let stream = match provider.open(peer.region, origin, from, held).await {
        Ok(stream) => stream,
        Err(error) => {
            let refusal = provider_refusal(link, origin, &error);
            refuse(&mut session.reader, &mut session.writer, &refusal).await;
            return Err(LinkError::provider(label, origin, &error));
        }
    };
    if from > RecordNumber(1) {
        // What the receiver asks for follows on what is durable there.
        provider.acknowledged(peer.region, origin, RecordNumber(from.0 - 1));
    }
    let pulse = Pulse::default();
    let sending = Sending { link, peer: &peer, label, origin, flow: Flow::new(pull.window), pulse: &pulse };
    let mut speaker = Speaker::new(link, &pulse, session.writer).until_shutdown(shutdown);
    let ended = tokio::select! {
        error = sending.hear(&mut session.reader, provider, from) => Ended::Link(error),
        ended = sending.speak(&mut speaker, stream, from, session.congestion) => ended,
    };
    match ended {
        Ended::Link(error) => {
            speaker.farewell(&mut session.reader, &error).await;
            Err(error)
        }
        Ended::Provider(error) => {
            refuse(&mut session.reader, &mut speaker.writer, &provider_refusal(link, origin, &error)).await;
            Err(LinkError::provider(sending.label, origin, &error))
        }
    }
}

/// The records that a pull tells of; `None` if they are not the last ones before its first.
fn held_before(from: RecordNumber, told: &[message::Held]) -> Option<Vec<HeldRecord>> {
    let first = from.0.checked_sub(told.len() as u64)?;
    let dense = told.iter().zip(first..).all(|(held, number)| held.number == number && number > 0);
    let held =
        |held: &message::Held| HeldRecord { number: RecordNumber(held.number), checksum: held.checksum };
    (dense && told.len() <= HELD_MAX).then(|| told.iter().map(held).collect())
}

fn provider_refusal(link: &Link, origin: RegionName, error: &ProviderError) -> Refusal {
    let (code, number) = match error {
        ProviderError::UnknownOrigin => (RefusalCode::UnknownOrigin, 0),
        ProviderError::Gone { first, .. } => (RefusalCode::Gone, first.0),
        ProviderError::Ahead { last, .. } => (RefusalCode::Ahead, last.0),
        ProviderError::Differs { number } => (RefusalCode::Differs, number.0),
        ProviderError::Unavailable(_) => (RefusalCode::Unavailable, 0),
    };
    Refusal { code, text: format!("the log of {origin} in region {}: {error}", link.identity.region), number }
}

impl Sending<'_> {
    /// Hears acknowledgements and beats until something is wrong.
    async fn hear(&self, reader: &mut Reader, provider: &dyn LogProvider, from: RecordNumber) -> LinkError {
        let mut durable = RecordNumber(from.0.saturating_sub(1));
        loop {
            match self.hear_one(reader, provider, &mut durable).await {
                Ok(()) => {}
                Err(error) => return error,
            }
        }
    }

    async fn hear_one(
        &self,
        reader: &mut Reader,
        provider: &dyn LogProvider,
        durable: &mut RecordNumber,
    ) -> Result<(), LinkError> {
        let frame = reader.next(&[FrameKind::Ack, FrameKind::Beat, FrameKind::Refuse]).await;
        let frame = frame.map_err(|e| LinkError::on_wire(&self.label, e))?;
        if frame.kind != FrameKind::Ack {
            return hear_common(self.link, self.peer, self.pulse, &frame);
        }
        let ack: message::Ack = frame.message().map_err(|e| LinkError::on_frame(&self.label, e))?;
        let acknowledged = RecordNumber(ack.durable);
        if acknowledged < *durable {
            let what = format!(
                "an acknowledgement of record {acknowledged} of {} after one of {durable}",
                self.origin
            );
            return Err(LinkError::protocol(&self.label, what));
        }
        *durable = acknowledged;
        self.flow.give(ack.credit, &self.label)?;
        provider.acknowledged(self.peer.region, self.origin, acknowledged);
        Ok(())
    }

    /// Sends batches until something is wrong or the owner stops.
    async fn speak(
        &self,
        speaker: &mut Speaker<'_>,
        stream: Box<dyn RecordStream>,
        from: RecordNumber,
        congestion: Congestion,
    ) -> Ended {
        match self.send_batches(speaker, stream, from, congestion).await {
            Ok(never) => match never {},
            Err(Halt::Stop(stop)) => Ended::Link(gave_up(stop, &self.label).await),
            Err(Halt::Provider(error)) => Ended::Provider(error),
        }
    }

    async fn send_batches(
        &self,
        speaker: &mut Speaker<'_>,
        mut stream: Box<dyn RecordStream>,
        from: RecordNumber,
        mut congestion: Congestion,
    ) -> Result<Infallible, Halt> {
        let options = &self.link.options;
        let mut packer = Packer::new(options.compress);
        let mut next = from;
        let opened = message::Opened { durable: self.durable_here() };
        speaker.message(FrameKind::Opened, &opened).await?;
        loop {
            let bytes_max = self.flow.room(speaker, options.batch_bytes_max).await?;
            let batch = speaker.until(stream.next_batch(bytes_max)).await??;
            check(&batch, next, bytes_max)?;
            self.flow.take(speaker, batch.bytes.len() as u64, batch.count == 1).await?;
            let (head, packed) = packer.batch(&batch);
            speaker.send(FrameKind::Batch, &[&head, packed.as_deref().unwrap_or(&batch.bytes)]).await?;
            congestion.sent(batch.bytes.len() as u64, batch.last >= batch.durable);
            next = batch.last.next();
        }
    }

    fn durable_here(&self) -> u64 {
        let holdings = self.link.control.beat().holdings;
        holdings.iter().find(|held| held.origin == self.origin).map_or(0, |held| held.durable.0)
    }
}

/// How a pull ended.
enum Ended {
    Link(LinkError),
    Provider(ProviderError),
}

/// Why no more batches are sent.
enum Halt {
    Stop(Stop),
    Provider(ProviderError),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<ProviderError> for Halt {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// Whether the provider has kept its promise; a batch that breaks it would only be refused at the other end.
fn check(batch: &RecordBatch, next: RecordNumber, bytes_max: usize) -> Result<(), ProviderError> {
    let RecordBatch { bytes, count, first, last, .. } = batch;
    let kept = !bytes.is_empty()
        && *count > 0
        && first.0 > 0
        && (next.0 == 0 || *first == next)
        && first.0.checked_add(u64::from(*count) - 1) == Some(last.0)
        && (*count == 1 || bytes.len() <= bytes_max)
        && bytes.len() <= BULK_MAX as usize - BATCH_HEAD_LEN;
    if kept {
        return Ok(());
    }
    Err(ProviderError::Unavailable(format!(
        "its reader gave {count} records, {first} to {last}, in {} bytes, where at most {bytes_max} bytes from record {next} on were \
         asked for; this is a bug, please report it",
        bytes.len()
    )))
}
