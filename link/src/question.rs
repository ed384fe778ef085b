//! The asking end of a question.

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::answer::part_cost;
use crate::beat::Pulse;
use crate::error::LinkError;
use crate::frame::{ASK_MAX, FrameKind};
use crate::handshake::Session;
use crate::identity::Peer;
use crate::link::Link;
use crate::message;
use crate::pack::read_part;
use crate::sender::Flow;
use crate::speaker::{Speaker, gave_up, hear_common};
use crate::wire::{Reader, Writer};

/// An answer, part by part. Dropping it ends the connection, and the peer stops producing.
#[derive(Debug)]
pub struct AnswerStream {
    peer: Peer,
    items: UnboundedReceiver<Item>,
    taken: UnboundedSender<u64>,
    ended: bool,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Item {
    Part(Vec<u8>),
    End,
    Failed(LinkError),
}

impl AnswerStream {
    /// The next part. None only after the peer has said that the answer is complete; an answer that breaks off ends
    /// with an error.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, LinkError>> {
        if self.ended {
            return None;
        }
        match self.items.recv().await {
            Some(Item::Part(part)) => {
                // The task may have ended with the answer; then nobody needs the credit.
                let _ = self.taken.send(part_cost(part.len()));
                return Some(Ok(part));
            }
            Some(Item::End) => self.ended = true,
            Some(Item::Failed(error)) => {
                self.ended = true;
                return Some(Err(error));
            }
            None => {
                self.ended = true;
                let reason = "its connection was dropped before the answer was complete".to_owned();
                return Some(Err(LinkError::Lost { peer: self.peer.label(), reason }));
            }
        }
        None
    }

    /// Who answers.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks, and waits until the peer has accepted the question.
pub(crate) async fn ask(
    link: &Link,
    session: Session,
    kind: &str,
    payload: Vec<u8>,
) -> Result<AnswerStream, LinkError> {
    let len = kind.len() + payload.len();
    if len > ASK_MAX as usize {
        return Err(LinkError::QuestionTooLong { len, max: ASK_MAX as usize });
    }
    let Session { mut reader, mut writer, peer, .. } = session;
    let label = peer.label();
    let window = link.options.window;
    let request = message::Ask { kind: kind.to_owned(), payload, window };
    writer.message(FrameKind::Ask, &request).await.map_err(|e| LinkError::on_wire(&label, e))?;

    let pulse = Pulse::default();
    loop {
        let frame = reader.next(&[FrameKind::Opened, FrameKind::Beat, FrameKind::Refuse]).await;
        let frame = frame.map_err(|e| LinkError::on_wire(&label, e))?;
        if frame.kind == FrameKind::Opened {
            break;
        }
        hear_common(link, &peer, &pulse, &frame)?;
    }

    let (found, items) = mpsc::unbounded_channel();
    let (taken, credits) = mpsc::unbounded_channel();
    let asking = Asking {
        link: link.clone(),
        peer: peer.clone(),
        label,
        kind: kind.to_owned(),
        flow: Flow::new(window),
        pulse,
    };
    // A task of its own, since beats must go on while the reader of the answer is busy with a part.
    let task = tokio::spawn(async move {
        let last = asking.run(reader, writer, &found, credits).await;
        let _ = found.send(last.map_or_else(Item::Failed, |()| Item::End));
    });
    Ok(AnswerStream { peer, items, taken, ended: false, task })
}

struct Asking {
    link: Link,
    peer: Peer,
    label: String,
    kind: String,
    flow: Flow,
    pulse: Pulse,
}

impl Asking {
    async fn run(
        &self,
        mut reader: Reader,
        writer: Writer,
        found: &UnboundedSender<Item>,
        credits: UnboundedReceiver<u64>,
    ) -> Result<(), LinkError> {
        let mut speaker = Speaker::new(&self.link, &self.pulse, writer);
        let outcome = tokio::select! {
            outcome = self.hear(&mut reader, found) => outcome,
            error = self.speak(&mut speaker, credits) => Err(error),
        };
        if let Err(error) = &outcome {
            speaker.farewell(&mut reader, error).await;
        }
        outcome
    }

    async fn hear(&self, reader: &mut Reader, found: &UnboundedSender<Item>) -> Result<(), LinkError> {
        let broken = |what: String| LinkError::protocol(&self.label, what);
        loop {
            let allowed = [FrameKind::Part, FrameKind::End, FrameKind::Beat, FrameKind::Refuse];
            let frame = reader.next(&allowed).await.map_err(|e| LinkError::on_wire(&self.label, e))?;
            match frame.kind {
                FrameKind::Part => {
                    let folded = read_part(frame.payload).map_err(|e| broken(e.to_string()))?;
                    let cost = part_cost(folded.len as usize);
                    {
                        let mut credit = self.flow.credit();
                        if !credit.admits(cost, true) {
                            return Err(broken(format!(
                                "a part of {cost} where {} bytes of credit were left",
                                credit.room()
                            )));
                        }
                        credit.take(cost, true);
                    }
                    let _ = found.send(Item::Part(folded.unfold().map_err(|e| broken(e.to_string()))?));
                }
                FrameKind::End => {
                    let end: message::End =
                        frame.message().map_err(|e| LinkError::on_frame(&self.label, e))?;
                    if !end.failed {
                        return Ok(());
                    }
                    let (peer, kind) = (self.label.clone(), self.kind.clone());
                    return Err(LinkError::Answer { peer, kind, reason: end.text });
                }
                _ => hear_common(&self.link, &self.peer, &self.pulse, &frame)?,
            }
        }
    }

    /// Gives back the credit of parts that were taken, and beats.
    async fn speak(&self, speaker: &mut Speaker<'_>, mut credits: UnboundedReceiver<u64>) -> LinkError {
        loop {
            let sent = match speaker.until(credits.recv()).await {
                Ok(Some(mut credit)) => {
                    while let Ok(more) = credits.try_recv() {
                        credit += more;
                    }
                    if let Err(error) = self.flow.give(credit, &self.label) {
                        return error;
                    }
                    speaker.message(FrameKind::Ack, &message::Ack { credit, durable: 0 }).await
                }
                // The reader of the answer is gone, and with it, in a moment, this task.
                Ok(None) => std::future::pending().await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = sent {
                return gave_up(stop, &self.label).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reading_task_that_is_gone_before_the_end_is_an_error() {
        let (found, items) = mpsc::unbounded_channel();
        let (taken, _credits) = mpsc::unbounded_channel();
        let (region, address) = (transaction::RegionName::new("us"), "pipe".to_owned());
        let Ok(region) = region else { unreachable!("us is a region name") };
        let peer = Peer { region, address, software: String::new(), protocol: 1 };
        let task = tokio::spawn(async {});
        let mut answer = AnswerStream { peer, items, taken, ended: false, task };
        let _ = found.send(Item::Part(b"a part".to_vec()));
        drop(found);
        assert!(matches!(answer.next().await, Some(Ok(part)) if part == b"a part"));
        assert!(matches!(answer.next().await, Some(Err(LinkError::Lost { .. }))));
        assert!(answer.next().await.is_none());
    }
}
