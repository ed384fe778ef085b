//! Accepts connections of peers. One that misbehaves ends alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, sleep, timeout};
use tracing::{debug, error, info, warn};
use transaction::RegionName;

use crate::congestion::Congestion;
use crate::contract::LogProvider;
use crate::error::LinkError;
use crate::frame::FrameKind;
use crate::greetings::{Greeting, Greetings};
use crate::handshake::{self, Session};
use crate::link::Link;
use crate::speaker::ended;
use crate::{answer, sender, socket};

/// How long connections have for their goodbyes.
const GOODBYE: Duration = Duration::from_millis(500);

/// Pause after a failed accept, as when the process has no file descriptor left; it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`.
pub(crate) async fn serve(
    link: &Link,
    listener: TcpListener,
    provider: Arc<dyn LogProvider>,
    mut shutdown: watch::Receiver<bool>,
) {
    let (mut connections, greetings) = (JoinSet::new(), Greetings::default());
    let mut pause = None;
    let mut looks = interval(link.options.renew_every);
    let mut term = link.security.term();
    // Connections end with the term in which they were accepted, or with the last one at the shutdown: as its sender goes.
    let mut of_term = watch::Sender::new(false);
    loop {
        let known = connections.len().saturating_sub(greetings.len());
        let full = known >= link.options.connections_max;
        tokio::select! {
            biased;
            () = ended(Some(&mut shutdown)) => break,
            Some(outcome) = connections.join_next(), if !connections.is_empty() => reap(outcome),
            _ = looks.tick() => link.security.renew(),
            () = term.ended() => of_term = watch::Sender::new(false),
            () = async { sleep(pause.unwrap_or_default()).await }, if pause.is_some() => pause = None,
            accepted = listener.accept(), if !full && pause.is_none() => match accepted {
                Ok((tcp, address)) => {
                    let (link, provider, end) = (link.clone(), provider.clone(), of_term.subscribe());
                    let max = link.options.greetings_max;
                    let displaced = greetings.begin(max, |greeting| {
                        connections.spawn(connection(link, tcp, address, provider, greeting, end))
                    });
                    if displaced {
                        debug!(max, "more connections than that have not said who they are; the oldest was ended");
                    }
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection of a peer; is the limit of open files reached?");
                    pause = Some(ACCEPT_PAUSE);
                }
            }
        }
    }
    drop(listener);
    drop(of_term);
    let goodbyes = async {
        while let Some(outcome) = connections.join_next().await {
            reap(outcome);
        }
    };
    // Those that have not finished are ended as the set is dropped.
    let _ = timeout(GOODBYE, goodbyes).await;
}

fn reap(outcome: Result<(), JoinError>) {
    if let Err(error) = outcome
        && error.is_panic()
    {
        error!(%error, "a connection ended by a panic: this is a bug, please report it");
    }
}

async fn connection(
    link: Link,
    tcp: TcpStream,
    address: SocketAddr,
    provider: Arc<dyn LogProvider>,
    under_way: Greeting,
    mut shutdown: watch::Receiver<bool>,
) {
    socket::tune(&tcp);
    let congestion = Congestion::of(&tcp);
    let mut region = None;
    let greeting = async {
        let (io, certificate) = handshake::secure(&link.security, &link.options, tcp, address).await?;
        handshake::accept(&link, io, address, certificate).await
    };
    let greeted = tokio::select! {
        biased;
        () = ended(Some(&mut shutdown)) => return,
        greeted = greeting => greeted,
    };
    drop(under_way);
    let outcome = match greeted {
        Ok(session) => {
            region = Some(session.peer.region);
            let session = Session { congestion, ..session };
            request(&link, session, provider.as_ref(), shutdown).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = outcome
        && !matches!(error, LinkError::Stopped { .. })
    {
        report(region, address, &error);
        link.control.on_server_error(region, address, &error);
    }
}

/// Takes the request of a peer and serves it.
pub(crate) async fn request(
    link: &Link,
    mut session: Session,
    provider: &dyn LogProvider,
    shutdown: watch::Receiver<bool>,
) -> Result<(), LinkError> {
    let label = session.peer.label();
    let frame = session.reader.next(&[FrameKind::Pull, FrameKind::Ask, FrameKind::Refuse]).await;
    let frame = frame.map_err(|e| LinkError::on_wire(&label, e))?;
    let broken = |e| LinkError::on_frame(&label, e);
    session.writer.set_patience(link.options.timeout);
    session.reader.set_patience(link.options.timeout);
    match frame.kind {
        FrameKind::Pull => {
            let pull = frame.message().map_err(broken)?;
            sender::serve(link, session, pull, provider, shutdown).await
        }
        FrameKind::Ask => {
            let ask = frame.message().map_err(broken)?;
            answer::serve(link, session, ask, shutdown).await
        }
        _ => Err(handshake::refused_by_peer(&label, frame.message().map_err(broken)?)),
    }
}

fn report(region: Option<RegionName>, address: SocketAddr, error: &LinkError) {
    let peer = region.map(|region| region.to_string());
    match error.code() {
        Some(code) => warn!(peer, %address, %code, %error, "a connection of a peer was ended"),
        None if region.is_some() => {
            info!(peer, %address, %error, "a connection of a peer has ended")
        }
        // A port probe connects and leaves without a word.
        None => debug!(%address, %error, "a connection has ended before its handshake"),
    }
}
