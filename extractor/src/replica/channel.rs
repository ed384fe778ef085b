//! Packets to and from one server, with failures told apart and the server named in them.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::error::ReplicaError;
use super::packet::{PacketError, Packets};
use super::server_error::ServerError;
use super::socket::{Interrupt, Socket};

/// A conversation with one server.
pub(super) struct Channel {
    packets: Packets<Socket>,
    /// `host:port`.
    peer: String,
    /// How long a read or a write may wait.
    timeout: Duration,
}

impl Channel {
    pub(super) fn connect(
        host: &str,
        port: u16,
        peer: String,
        timeout: Duration,
    ) -> Result<Self, ReplicaError> {
        let opened = Socket::connect(host, port, timeout).and_then(|socket| {
            socket.set_timeout(timeout)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => Ok(Self { packets: Packets::new(socket), peer, timeout }),
            Err(source) => Err(ReplicaError::Unreachable { peer, source }),
        }
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    pub(super) fn encrypted(&self) -> bool {
        self.packets.stream().encrypted()
    }

    pub(super) fn interrupt(&self) -> Result<Interrupt, ReplicaError> {
        self.packets.stream().interrupt().map_err(|error| self.lost(error))
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) -> Result<(), ReplicaError> {
        self.timeout = timeout;
        self.packets.stream().set_timeout(timeout).map_err(|error| self.lost(error))
    }

    /// Goes on under TLS.
    pub(super) fn encrypt(self, session: rustls::ClientConnection) -> Result<Self, ReplicaError> {
        let Self { packets, peer, timeout } = self;
        match packets.map_stream(|socket| socket.encrypt(session)) {
            Ok(packets) => Ok(Self { packets, peer, timeout }),
            Err(None) => {
                let reason = "bytes after its greeting that no one asked for, before encryption began".into();
                Err(ReplicaError::Protocol { peer, reason })
            }
            Err(Some(source)) if source.kind() == ErrorKind::InvalidData => {
                let reason =
                    format!("{source}; check [region.mysql] tls and ca against the server's certificate");
                Err(ReplicaError::Tls { peer, reason })
            }
            Err(Some(source)) if timed_out(&source) => Err(ReplicaError::Silent { peer, after: timeout }),
            Err(Some(source)) => Err(ReplicaError::Lost { peer, source }),
        }
    }

    /// Sends a packet of the present exchange.
    pub(super) fn send(&mut self, payload: &[u8]) -> Result<(), ReplicaError> {
        self.packets.write(payload).map_err(|error| self.lost(error))
    }

    /// Starts an exchange with a command.
    pub(super) fn command(&mut self, payload: &[u8]) -> Result<(), ReplicaError> {
        self.packets.restart_numbers();
        self.send(payload)
    }

    /// Waits for the next packet, whatever is in it.
    pub(super) fn read(&mut self) -> Result<(), ReplicaError> {
        self.packets.read().map_err(|error| match error {
            PacketError::Io(error) => self.lost(error),
            other => self.protocol(other.to_string()),
        })
    }

    /// The packet that was read last.
    pub(super) fn packet(&self) -> &[u8] {
        self.packets.present()
    }

    /// Waits for the next packet and takes ERR packets out as errors.
    pub(super) fn receive(&mut self) -> Result<&[u8], ReplicaError> {
        self.read()?;
        if self.packet().first() == Some(&0xff) {
            return Err(self.server_error());
        }
        Ok(self.packet())
    }

    pub(super) fn has_whole_packet(&self) -> bool {
        self.packets.has_whole_packet()
    }

    /// The present packet, an ERR packet, as an error.
    pub(super) fn server_error(&self) -> ReplicaError {
        match ServerError::parse(self.packet()) {
            Some(error) => ReplicaError::Server { peer: self.peer.clone(), error },
            None => self.protocol("an error packet that ends early"),
        }
    }

    pub(super) fn protocol(&self, reason: impl Into<String>) -> ReplicaError {
        ReplicaError::Protocol { peer: self.peer.clone(), reason: reason.into() }
    }

    fn lost(&self, source: io::Error) -> ReplicaError {
        let peer = self.peer.clone();
        if self.packets.stream().interrupted() {
            ReplicaError::Interrupted
        } else if timed_out(&source) {
            ReplicaError::Silent { peer, after: self.timeout }
        } else {
            ReplicaError::Lost { peer, source }
        }
    }
}

/// Linux reports a socket timeout as WouldBlock, other systems as TimedOut.
fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
