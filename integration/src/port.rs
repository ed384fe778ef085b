//! Free TCP ports that stay free for whom they were chosen.

use crate::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpSocket;

/// A port on 127.0.0.1. A bound socket that never listens holds it: the kernel gives it to nobody else, neither as a free
/// port nor as the near end of a connection, but lets a server which sets `SO_REUSEADDR` (mysqld and Rust's listeners do)
/// listen there, and listen again after a crash.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _held: TcpSocket,
}

impl Port {
    /// Chooses a free port and holds it.
    pub fn free() -> Result<Self> {
        let hold = || -> std::io::Result<(u16, TcpSocket)> {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            Ok((socket.local_addr()?.port(), socket))
        };
        let (number, held) = hold().map_err(Error::io("choose a free port on 127.0.0.1"))?;
        Ok(Self { number, _held: held })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
