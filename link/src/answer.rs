//! The answering end of a question.

use tokio::sync::{mpsc, watch};

use crate::beat::Pulse;
use crate::contract::Answer;
use crate::error::LinkError;
use crate::frame::{BULK_MAX, FrameKind};
use crate::handshake::{Session, clipped};
use crate::identity::Peer;
use crate::link::Link;
use crate::message;
use crate::pack::{PART_HEAD_LEN, Packer};
use crate::sender::Flow;
use crate::speaker::{Speaker, Stop, gave_up, hear_common};
use crate::wire::Reader;

/// A good size for the channel through which [`Control::ask`](crate::Control::ask) answers: the producer can be a few parts
/// ahead of the network, and memory stays bounded.
pub const ANSWER_QUEUE: usize = 8;

/// What a part costs beside its bytes, so that empty ones are not free.
const PART_COST: u64 = 64;

/// Credit that a part of `len` bytes takes.
pub(crate) fn part_cost(len: usize) -> u64 {
    len as u64 + PART_COST
}

/// Answers one question.
pub(crate) async fn serve(
    link: &Link,
    session: Session,
    ask: message::Ask,
    shutdown: watch::Receiver<bool>,
) -> Result<(), LinkError> {
    let Session { mut reader, writer, peer, .. } = session;
    let label = peer.label();
    let (pulse, flow) = (Pulse::default(), Flow::new(ask.window));
    let mut speaker = Speaker::new(link, &pulse, writer).until_shutdown(shutdown);
    let answers = link.control.ask(peer.region, ask.kind, ask.payload);
    let outcome = tokio::select! {
        error = hear(link, &peer, &label, &pulse, &flow, &mut reader) => Err(error),
        said = async {
            match speak(&mut speaker, &flow, answers, link.options.compress).await {
                Ok(()) => Ok(()),
                Err(stop) => Err(gave_up(stop, &label).await),
            }
        } => said,
    };
    match &outcome {
        Ok(()) => {
            speaker.writer.close().await;
            reader.linger(link.options.timeout).await;
        }
        Err(error) => speaker.farewell(&mut reader, error).await,
    }
    outcome
}

async fn hear(
    link: &Link,
    peer: &Peer,
    label: &str,
    pulse: &Pulse,
    flow: &Flow,
    reader: &mut Reader,
) -> LinkError {
    loop {
        let heard = async {
            let frame = reader.next(&[FrameKind::Ack, FrameKind::Beat, FrameKind::Refuse]).await;
            let frame = frame.map_err(|e| LinkError::on_wire(label, e))?;
            if frame.kind != FrameKind::Ack {
                return hear_common(link, peer, pulse, &frame);
            }
            let ack: message::Ack = frame.message().map_err(|e| LinkError::on_frame(label, e))?;
            flow.give(ack.credit, label)
        };
        if let Err(error) = heard.await {
            return error;
        }
    }
}

async fn speak(
    speaker: &mut Speaker<'_>,
    flow: &Flow,
    mut answers: mpsc::Receiver<Answer>,
    compress: bool,
) -> Result<(), Stop> {
    let mut packer = Packer::new(compress);
    speaker.message(FrameKind::Opened, &message::Opened { durable: 0 }).await?;
    loop {
        let failure = match speaker.until(answers.recv()).await? {
            Some(Answer::Part(part)) if part.len() <= BULK_MAX as usize - PART_HEAD_LEN => {
                flow.take(speaker, part_cost(part.len()), true).await?;
                let (head, packed) = packer.part(&part);
                speaker.send(FrameKind::Part, &[&head, packed.as_deref().unwrap_or(&part)]).await?;
                continue;
            }
            Some(Answer::Part(part)) => Some(format!(
                "a part of {} bytes is longer than a frame; this is a bug, please report it",
                part.len()
            )),
            Some(Answer::End) => None,
            Some(Answer::Failed(reason)) => Some(clipped(&reason)),
            None => Some("the answer broke off; the log of the answering region says why".to_owned()),
        };
        let end = message::End { failed: failure.is_some(), text: failure.unwrap_or_default() };
        return speaker.message(FrameKind::End, &end).await;
    }
}
