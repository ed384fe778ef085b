//! Stands between a Concord and its server, and can hold the binlog back while everything else passes.

use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The command by which a replica asks for the binlog from a GTID set on (COM_BINLOG_DUMP_GTID), and the older one.
const DUMP: [u8; 2] = [0x1e, 0x12];

/// The relay of one server. It lives as long as the test's runtime.
#[derive(Debug)]
pub(crate) struct Relay {
    held: watch::Sender<bool>,
}

impl Relay {
    /// A relay to a server's port, and its own port.
    pub(crate) fn start(server: u16) -> (Arc<Self>, u16) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Arc::new(Self { held: watch::Sender::new(false) });
        let started = relay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let held = started.held.subscribe();
                tokio::spawn(async move {
                    carry(client, TcpStream::connect(("127.0.0.1", server)).await?, held).await
                });
            }
        });
        (relay, port)
    }

    /// Holds the binlog back, or lets it flow again. What was held back then comes.
    pub(crate) fn hold_binlog(&self, held: bool) {
        self.held.send_replace(held);
    }
}

/// Carries one connection until either side ends it.
async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    mut held: watch::Receiver<bool>,
) -> io::Result<()> {
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let mut is_dump = false;
    loop {
        let flows = !(is_dump && *held.borrow_and_update());
        tokio::select! {
            read = client.read_buf(&mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                // A command is a packet of its own, and a client waits for the answer before the next.
                is_dump |= asked.len() > 4 && asked[3] == 0 && DUMP.contains(&asked[4]);
                server.write_all(&asked).await?;
                asked.clear();
            }
            read = server.read_buf(&mut answered), if flows => {
                if read? == 0 {
                    return Ok(());
                }
                client.write_all(&answered).await?;
                answered.clear();
            }
            changed = held.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
