//! What the four ends of pulls and questions have in common: they speak while they wait, and hear beats and refusals.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::beat::Pulse;
use crate::error::LinkError;
use crate::frame::{Frame, FrameKind};
use crate::handshake::{refuse, refused_by_peer};
use crate::identity::Peer;
use crate::link::Link;
use crate::refusal::{Refusal, RefusalCode};
use crate::wire::{Reader, WireError, Writer};

/// How long the reading half has to find out why writing failed.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The outgoing direction of a connection. It sends a beat whenever one is due, whatever else it waits for.
pub(crate) struct Speaker<'a> {
    link: &'a Link,
    pulse: &'a Pulse,
    pub(crate) writer: Writer,
    beats: Interval,
    shutdown: Option<watch::Receiver<bool>>,
}

/// Why a speaker stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    Wire(WireError),
    /// The owner wants it.
    Shutdown,
}

impl<'a> Speaker<'a> {
    pub(crate) fn new(link: &'a Link, pulse: &'a Pulse, writer: Writer) -> Self {
        let mut beats = interval(link.options.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { link, pulse, writer, beats, shutdown: None }
    }

    /// Stops when `shutdown` becomes true or its sender is gone.
    pub(crate) fn until_shutdown(mut self, shutdown: watch::Receiver<bool>) -> Self {
        self.shutdown = Some(shutdown);
        self
    }

    /// Waits for `future`, speaking meanwhile.
    pub(crate) async fn until<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stop> {
        let mut future = pin!(future);
        loop {
            // Beats come first: a future that is always ready must not silence them.
            tokio::select! {
                biased;
                () = ended(self.shutdown.as_mut()) => return Err(Stop::Shutdown),
                _ = self.beats.tick() => {
                    let beat = self.pulse.speak(self.link.control.as_ref());
                    self.writer.message(FrameKind::Beat, &beat).await.map_err(Stop::Wire)?;
                }
                value = &mut future => return Ok(value),
            }
        }
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, kind: FrameKind, pieces: &[&[u8]]) -> Result<(), Stop> {
        self.writer.send(kind, pieces).await.map_err(Stop::Wire)
    }

    /// Sends a control message.
    pub(crate) async fn message(
        &mut self,
        kind: FrameKind,
        message: &impl prost::Message,
    ) -> Result<(), Stop> {
        self.writer.message(kind, message).await.map_err(Stop::Wire)
    }

    /// Ends a connection whose two halves have come to rest: tells the peer what it must know, and lets it read that.
    pub(crate) async fn farewell(&mut self, reader: &mut Reader, error: &LinkError) {
        let region = self.link.identity.region;
        let refusal = match error {
            LinkError::Stopped { .. } => {
                let text = format!("region {region} is being stopped, or has new certificates");
                Refusal::new(RefusalCode::ShuttingDown, text)
            }
            LinkError::Protocol { .. } | LinkError::Records { .. } => {
                Refusal::new(RefusalCode::Malformed, format!("region {region}: {error}"))
            }
            _ => return,
        };
        refuse(reader, &mut self.writer, &refusal).await;
    }
}

/// The error for a speaker that stopped.
///
/// A peer that closes has often said why, and the reading half is about to find it: it gets a moment to end the
/// connection with the better reason.
pub(crate) async fn gave_up(stop: Stop, peer: &str) -> LinkError {
    if let Stop::Wire(WireError::Io(_)) = stop {
        sleep(LAST_WORD).await;
    }
    match stop {
        Stop::Wire(error) => LinkError::on_wire(peer, error),
        Stop::Shutdown => LinkError::Stopped { peer: peer.to_owned() },
    }
}

/// Waits until the flag is true or nobody can set it any more; forever if there is no flag.
pub(crate) async fn ended(shutdown: Option<&mut watch::Receiver<bool>>) {
    match shutdown {
        // The error says that the sender is gone, which also means the end.
        Some(flag) => drop(flag.wait_for(|stop| *stop).await),
        None => std::future::pending().await,
    }
}

/// Takes a frame that may come in any state: a beat, or a refusal, which is an error.
pub(crate) fn hear_common(link: &Link, peer: &Peer, pulse: &Pulse, frame: &Frame) -> Result<(), LinkError> {
    let label = peer.label();
    let broken = |e| LinkError::on_frame(&label, e);
    if frame.kind == FrameKind::Refuse {
        return Err(refused_by_peer(&label, frame.message().map_err(broken)?));
    }
    let beat = frame.message().map_err(broken)?;
    let heard = pulse.hear(beat, link.control.wall_us()).map_err(|what| LinkError::protocol(&label, what))?;
    link.control.on_beat(peer.region, heard);
    Ok(())
}
