//! From a socket to two sides that know each other.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::congestion::Congestion;
use crate::error::LinkError;
use crate::frame::{FrameKind, PREFACE};
use crate::identity::{Claim, Peer, label};
use crate::link::{Link, Options, Target};
use crate::message;
use crate::refusal::{Refusal, RefusalCode};
use crate::socket;
use crate::tls::{self, Security};
use crate::wire::{self, Io, Reader, WireError, Writer};

/// How long a side that has refused waits for the other to read why.
const LINGER: Duration = Duration::from_secs(1);

/// Longest text of a refusal, in bytes, so that it fits its frame.
const TEXT_MAX: usize = 16 << 10;

/// A connection after the handshake.
pub(crate) struct Session {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) peer: Peer,
    pub(crate) congestion: Congestion,
}

/// Connects and, where so configured, secures the connection with TLS.
pub(crate) async fn connect(
    security: &Security,
    options: &Options,
    target: &Target,
) -> Result<Io, LinkError> {
    let peer = target.label();
    let tcp = socket::connect(&target.address, &peer, options.connect_timeout).await?;
    let Security::Mutual(tls) = security else { return Ok(Box::new(tcp)) };
    let name = tls::dns_name(target.region)
        .map_err(|e| LinkError::Lost { peer: peer.clone(), reason: e.to_string() })?;
    match timeout(options.handshake_timeout, tls.in_force().connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(e)) => Err(LinkError::on_wire(&peer, WireError::Io(e))),
        Err(_) => Err(LinkError::Silent { peer, after: options.handshake_timeout }),
    }
}

/// Secures a connection that a peer made, and returns the peer's certificate if it had to show one.
pub(crate) async fn secure(
    security: &Security,
    options: &Options,
    tcp: TcpStream,
    address: SocketAddr,
) -> Result<(Io, Option<CertificateDer<'static>>), LinkError> {
    let Security::Mutual(tls) = security else { return Ok((Box::new(tcp), None)) };
    let peer = address.to_string();
    match timeout(options.handshake_timeout, tls.in_force().acceptor.accept(tcp).into_fallible()).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = shown.map(|c| c.clone().into_owned());
            Ok((Box::new(stream), certificate))
        }
        Ok(Err((error, mut tcp))) => {
            // TLS has sent its alert; a client of TLS 1.3 has by then sent more, and closing on unread bytes would reset
            // the connection before the client has read why.
            let _ = tcp.shutdown().await;
            let mut sink = [0; 4096];
            let drain = async { while matches!(tcp.read(&mut sink).await, Ok(n) if n > 0) {} };
            let _ = timeout(LINGER, drain).await;
            Err(LinkError::on_wire(&peer, WireError::Io(error)))
        }
        Err(_) => Err(LinkError::Silent { peer, after: options.handshake_timeout }),
    }
}

/// The client's side of the handshake.
pub(crate) async fn dial(link: &Link, io: Io, target: &Target) -> Result<Session, LinkError> {
    let label = target.label();
    let options = &link.options;
    let (mut reader, mut writer) = wire::split(io, options.handshake_timeout);
    let claim = {
        let greeting = async {
            // If writing fails the peer has closed, and what it said before that tells why.
            let _ = hello(&mut writer, &link.identity.hello(Some(target.region))).await;
            read_hello(&mut reader, &label).await
        };
        bounded(options.handshake_timeout, &label, greeting).await?
    };
    match claim
        .and_then(|claim| link.identity.judge(&claim, Some(target.region)).map(|protocol| (claim, protocol)))
    {
        Ok((claim, protocol)) => {
            reader.set_patience(options.timeout);
            writer.set_patience(options.timeout);
            let peer = Peer {
                region: claim.region,
                address: target.address.clone(),
                software: claim.software,
                protocol,
            };
            Ok(Session { reader, writer, peer, congestion: Congestion::none() })
        }
        Err(refusal) => {
            refuse(&mut reader, &mut writer, &refusal).await;
            Err(LinkError::Refused { peer: label, refusal })
        }
    }
}

/// The server's side of the handshake. The patience stays that of the handshake until the request has come.
pub(crate) async fn accept(
    link: &Link,
    io: Io,
    address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
) -> Result<Session, LinkError> {
    let mut name = address.to_string();
    let options = &link.options;
    let (mut reader, mut writer) = wire::split(io, options.handshake_timeout);
    let claim = bounded(options.handshake_timeout, &name, read_hello(&mut reader, &name)).await?;
    let verdict = claim.and_then(|claim| {
        name = label(claim.region, &name);
        if let Some(certificate) = &certificate {
            tls::check_name(certificate, claim.region)?;
        }
        let protocol = link.identity.judge(&claim, None)?;
        Ok((claim, protocol))
    });
    match verdict {
        Ok((claim, protocol)) => {
            let sent = hello(&mut writer, &link.identity.hello(None)).await;
            sent.map_err(|e| LinkError::on_wire(&name, e))?;
            let peer = Peer {
                region: claim.region,
                address: address.to_string(),
                software: claim.software,
                protocol,
            };
            Ok(Session { reader, writer, peer, congestion: Congestion::none() })
        }
        Err(refusal) => {
            let _ = writer.preface().await;
            refuse(&mut reader, &mut writer, &refusal).await;
            Err(LinkError::Refused { peer: name, refusal })
        }
    }
}

async fn bounded<T>(
    bound: Duration,
    peer: &str,
    step: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout(bound, step)
        .await
        .unwrap_or_else(|_| Err(LinkError::Silent { peer: peer.to_owned(), after: bound }))
}

async fn hello(writer: &mut Writer, hello: &message::Hello) -> Result<(), WireError> {
    writer.preface().await?;
    writer.message(FrameKind::Hello, hello).await
}

/// The peer's hello; the inner error is for the peer to be told.
async fn read_hello(reader: &mut Reader, peer: &str) -> Result<Result<Claim, Refusal>, LinkError> {
    let preface = reader.preface().await.map_err(|e| LinkError::on_wire(peer, e))?;
    if !PREFACE.starts_with(&preface) {
        return Err(stranger(peer, &preface));
    }
    if preface.len() < PREFACE.len() {
        return Err(LinkError::on_wire(peer, WireError::Cut));
    }
    let frame = reader.next(&[FrameKind::Hello, FrameKind::Refuse]).await;
    let frame = frame.map_err(|e| LinkError::on_wire(peer, e))?;
    if frame.kind == FrameKind::Refuse {
        return Err(refused_by_peer(peer, frame.message().map_err(|e| LinkError::on_frame(peer, e))?));
    }
    let hello = frame.message().map_err(|e| LinkError::on_frame(peer, e))?;
    Ok(Claim::read(hello))
}

/// Something else than Concord, or Concord with another idea of TLS.
fn stranger(peer: &str, preface: &[u8]) -> LinkError {
    let peer = peer.to_owned();
    // A TLS record of any version begins with its type (alert or handshake) and a 3.
    if matches!(preface, [0x15 | 0x16, 3, ..]) {
        let reason = "the peer speaks TLS, this region is configured without".to_owned();
        return LinkError::Tls {
            peer,
            reason,
            remedy: "set region.link.tls the same in both regions".to_owned(),
            code: crate::code::LINK_TLS_MODE,
        };
    }
    LinkError::Stranger { peer, first: preface.escape_ascii().to_string() }
}

/// The error for a refusal that the peer sent.
pub(crate) fn refused_by_peer(peer: &str, refuse: message::Refuse) -> LinkError {
    let message::Refuse { code, text, number } = refuse;
    let refusal = Refusal { code: RefusalCode::from_number(code), text, number };
    LinkError::RefusedByPeer { peer: peer.to_owned(), refusal }
}

/// Tells the peer why this side will not go on, and gives it a moment to read it.
pub(crate) async fn refuse(reader: &mut Reader, writer: &mut Writer, refusal: &Refusal) {
    if writer.send_refusal(refusal).await {
        writer.close().await;
        reader.linger(LINGER).await;
    }
}

impl Writer {
    /// Sends a refusal, unless the stream is inside a frame. Whether it was sent.
    pub(crate) async fn send_refusal(&mut self, refusal: &Refusal) -> bool {
        let Refusal { code, text, number } = refusal;
        let text = clipped(text);
        let message = message::Refuse { code: *code as u32, text, number: *number };
        self.between_frames() && self.message(FrameKind::Refuse, &message).await.is_ok()
    }
}

/// A text that fits a control message.
pub(crate) fn clipped(text: &str) -> String {
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_text_fits_and_ends_at_a_character() {
        assert_eq!(clipped("reason"), "reason");
        let long = format!("a{}", "é".repeat(TEXT_MAX));
        let clipped = clipped(&long);
        assert!(clipped.len() <= TEXT_MAX && long.starts_with(&clipped));
    }
}
