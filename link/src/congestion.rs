//! Which congestion control a connection that sends a log uses, and when it changes.
//!
//! BBR keeps a long fat path full despite a little loss, where cubic falls to a fraction. But every few seconds it sends next to nothing for
//! 200 ms, to see the path's shortest round trip (state PROBE_RTT of draft-cardwell-iccrg-bbr-congestion-control), and what a caught-up log
//! has to send then waits. So a backlog goes by BBR, and what comes after it by cubic.

use socket2::SockRef;
use std::os::fd::{AsFd as _, OwnedFd};
use tokio::net::TcpStream;
use tracing::debug;

/// Bytes sent since the end of the log was last reached that make a backlog.
const BACKLOG: u64 = 1 << 20;

/// An algorithm by the name that Linux has for it (tcp(7), TCP_CONGESTION).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Bbr,
    Cubic,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Bbr => "bbr",
            Self::Cubic => "cubic",
        }
    }
}

/// What is in use, and how much was sent since the end of the log was last reached.
#[derive(Debug)]
struct Backlog {
    bytes: u64,
    used: Algorithm,
}

impl Backlog {
    /// Takes note of a batch, and says what to use from now on if that changes.
    fn sent(&mut self, bytes: u64, reaches_end: bool) -> Option<Algorithm> {
        self.bytes = if reaches_end { 0 } else { self.bytes.saturating_add(bytes) };
        let suits = match self.bytes {
            0 => Algorithm::Cubic,
            BACKLOG.. => Algorithm::Bbr,
            _ => self.used,
        };
        (std::mem::replace(&mut self.used, suits) != suits).then_some(suits)
    }
}

/// The congestion control of one connection.
#[derive(Debug)]
pub(crate) struct Congestion {
    /// `None` where there is nothing to set, as between the ends of a pipe.
    socket: Option<OwnedFd>,
    backlog: Backlog,
}

impl Congestion {
    /// Of no connection that could be told.
    pub(crate) fn none() -> Self {
        // As `socket::tune` has left it.
        Self { socket: None, backlog: Backlog { bytes: 0, used: Algorithm::Bbr } }
    }

    /// Of this connection; it holds the socket open until it is dropped.
    pub(crate) fn of(stream: &TcpStream) -> Self {
        let socket = stream.as_fd().try_clone_to_owned();
        Self { socket: socket.ok(), ..Self::none() }
    }

    /// Takes note of a batch that was sent; `reaches_end`: nothing more was durable.
    pub(crate) fn sent(&mut self, bytes: u64, reaches_end: bool) {
        if let (Some(algorithm), Some(socket)) = (self.backlog.sent(bytes, reaches_end), &self.socket) {
            set(&SockRef::from(socket), algorithm);
        }
    }
}

/// Sets what only makes a connection better; a system that lacks it uses its default.
pub(crate) fn set(socket: &SockRef<'_>, algorithm: Algorithm) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_congestion(algorithm.name().as_bytes()) {
        debug!(%error, "congestion control {} is not available", algorithm.name());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn a_mebibyte_without_reaching_the_end_is_a_backlog_until_the_end_is_reached() {
        let mut backlog = Backlog { bytes: 0, used: Algorithm::Bbr };
        assert_eq!(backlog.sent(1000, true), Some(Algorithm::Cubic));
        assert_eq!(backlog.sent(1000, true), None);
        assert_eq!(backlog.sent(BACKLOG - 1, false), None);
        assert_eq!(backlog.sent(1, false), Some(Algorithm::Bbr));
        assert_eq!(backlog.sent(1, false), None);
        assert_eq!(backlog.sent(1, true), Some(Algorithm::Cubic));
        assert_eq!(backlog.sent(BACKLOG - 1, false), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_that_has_reached_the_end_goes_on_by_cubic() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let used = || {
            let name = SockRef::from(&stream).tcp_congestion().unwrap();
            String::from_utf8(name.into_iter().take_while(|byte| *byte != 0).collect()).unwrap()
        };
        set(&SockRef::from(&stream), Algorithm::Bbr);
        // Where there is no BBR, it stays as it was.
        let begun = used();
        let mut congestion = Congestion::of(&stream);
        congestion.sent(10, false);
        assert_eq!(used(), begun);
        congestion.sent(10, true);
        assert_eq!(used(), "cubic");
    }
}
