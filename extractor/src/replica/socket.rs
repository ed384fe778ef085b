//! The byte stream under the packets: TCP, bare or under TLS.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::ClientConnection;

/// Bytes of ciphertext asked of the operating system at a time.
const CIPHERTEXT_BUFFER: usize = 64 << 10;

/// Breaks a connection off from another thread: a read that blocks there returns at once.
#[derive(Debug)]
pub struct Interrupt {
    tcp: TcpStream,
    done: Arc<AtomicBool>,
}

impl Interrupt {
    /// Ends the connection. Every call on it, also one that blocks now, fails with `ReplicaError::Interrupted`.
    pub fn interrupt(&self) {
        self.done.store(true, Ordering::Release);
        // A socket that is already gone is what was asked for.
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}

/// A connected stream.
pub(super) struct Socket {
    layer: Layer,
    interrupted: Arc<AtomicBool>,
}

enum Layer {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

struct Tls {
    session: ClientConnection,
    incoming: BufReader<TcpStream>,
}

impl Socket {
    /// Connects to the first address of `host` that answers.
    pub(super) fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the host name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    return Ok(Self { layer: Layer::Plain(tcp), interrupted: Arc::default() });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn tcp(&self) -> &TcpStream {
        match &self.layer {
            Layer::Plain(tcp) => tcp,
            Layer::Tls(tls) => tls.incoming.get_ref(),
        }
    }

    /// Bounds every later read and write.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.tcp().set_read_timeout(Some(timeout))?;
        self.tcp().set_write_timeout(Some(timeout))
    }

    /// A handle that ends this connection from another thread.
    pub(super) fn interrupt(&self) -> io::Result<Interrupt> {
        Ok(Interrupt { tcp: self.tcp().try_clone()?, done: Arc::clone(&self.interrupted) })
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// Whether bytes on this stream are encrypted.
    pub(super) fn encrypted(&self) -> bool {
        matches!(self.layer, Layer::Tls(_))
    }

    /// Runs the TLS handshake over the bare stream. The caller has made sure that it has read nothing ahead.
    pub(super) fn encrypt(self, mut session: ClientConnection) -> io::Result<Self> {
        let Layer::Plain(tcp) = self.layer else {
            return Err(io::Error::other("the connection is encrypted already"));
        };
        let mut incoming = BufReader::with_capacity(CIPHERTEXT_BUFFER, tcp);
        loop {
            flush(&mut session, incoming.get_mut())?;
            if !session.is_handshaking() {
                break;
            }
            receive(&mut session, &mut incoming)?;
        }
        Ok(Self { layer: Layer::Tls(Box::new(Tls { session, incoming })), interrupted: self.interrupted })
    }
}

/// Sends what the session has ready.
fn flush(session: &mut ClientConnection, tcp: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(tcp)?;
    }
    Ok(())
}

/// Takes in ciphertext once; blocks if none is buffered.
fn receive(session: &mut ClientConnection, incoming: &mut BufReader<TcpStream>) -> io::Result<()> {
    if session.read_tls(incoming)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if let Err(error) = session.process_new_packets() {
        // The alert that tells the server why; the error to report is the first one.
        let _ = flush(session, incoming.get_mut());
        return Err(io::Error::new(ErrorKind::InvalidData, error));
    }
    Ok(())
}

impl Read for Tls {
    /// Blocks until there is plaintext, then hands out all that needs no further call of the operating system.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.session.reader().read(&mut out[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if filled > 0 && self.incoming.buffer().is_empty() {
                        break;
                    }
                    receive(&mut self.session, &mut self.incoming)?;
                    // Answers of the TLS layer itself, such as a key update.
                    flush(&mut self.session, self.incoming.get_mut())?;
                }
                // What was read so far is good; the error comes again with the next call.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain(tcp) => tcp.read(out),
            Layer::Tls(tls) => tls.read(out),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Plain(tcp) => tcp.write(bytes),
            Layer::Tls(tls) => {
                let len = tls.session.writer().write(bytes)?;
                flush(&mut tls.session, tls.incoming.get_mut())?;
                Ok(len)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Plain(tcp) => tcp.flush(),
            Layer::Tls(tls) => flush(&mut tls.session, tls.incoming.get_mut()),
        }
    }
}
