//! TCP as the link wants it.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::congestion::{self, Algorithm};
use crate::error::LinkError;

/// Connects to `address` (host and port), trying each address that the name has, all within `bound`.
pub(crate) async fn connect(address: &str, peer: &str, bound: Duration) -> Result<TcpStream, LinkError> {
    let reason = match timeout(bound, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            tune(&stream);
            return Ok(stream);
        }
        Ok(Err(e)) => e.to_string(),
        Err(_) => format!("no answer within {:.1} s", bound.as_secs_f64()),
    };
    Err(LinkError::Unreachable { peer: peer.to_owned(), reason })
}

/// Sets what only makes a connection better; a system that refuses one of these is used as it is.
pub(crate) fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // A single transaction must not wait for the acknowledgement of the one before.
    let nodelay = socket.set_tcp_nodelay(true);
    // Heartbeats find a dead peer first; keepalive frees the socket should the process itself be stopped.
    let keepalive = socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)),
    );
    for (what, result) in [("TCP_NODELAY", nodelay), ("keepalive", keepalive)] {
        if let Err(error) = result {
            debug!(%error, "{what} is not available");
        }
    }
    // Who sends a log to its end says so later.
    congestion::set(&socket, Algorithm::Bbr);
}
