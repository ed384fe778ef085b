//! Frames on a byte stream. Every wait is bounded: a peer that neither sends nor takes a byte in time is taken for dead.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::time::timeout;

use crate::frame::{FRAME_HEADER_LEN, Frame, FrameError, FrameHeader, FrameKind, PREFACE};

/// A payload's memory grows by this much, or to twice what has arrived, whichever is more.
const GROWTH_MIN: usize = 256 << 10;

/// A write of this many bytes must end within the timeout.
const WRITE_PIECE: usize = 64 << 10;

/// Any byte stream.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, with or without TLS.
pub(crate) type Io = Box<dyn Duplex>;

pub(crate) type Reader = FrameReader<tokio::io::ReadHalf<Io>>;
pub(crate) type Writer = FrameWriter<tokio::io::WriteHalf<Io>>;

/// Why no frame came or went.
#[derive(Debug)]
pub(crate) enum WireError {
    /// The stream ended between two frames.
    Closed,
    /// The stream ended inside a frame.
    Cut,
    /// Nothing moved in time.
    Silent(Duration),
    Io(io::Error),
    Frame(FrameError),
}

impl From<FrameError> for WireError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// Splits a connection into its two directions.
pub(crate) fn split(io: Io, patience: Duration) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(io);
    (FrameReader::new(read, patience), FrameWriter::new(write, patience))
}

/// Reads frames. A future of it that is dropped half-way leaves the stream inside a frame: drop the reader as well.
pub(crate) struct FrameReader<R> {
    io: BufReader<R>,
    patience: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(io: R, patience: Duration) -> Self {
        Self { io: BufReader::with_capacity(32 << 10, io), patience }
    }

    /// Changes how long to wait for the next byte.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Reads the eight bytes that come before the first frame; fewer if the stream ends among them.
    pub(crate) async fn preface(&mut self) -> Result<Vec<u8>, WireError> {
        let mut bytes = [0; PREFACE.len()];
        let have = self.fill(&mut bytes).await?;
        Ok(bytes[..have].to_vec())
    }

    /// Reads the next frame, which must be of an allowed kind.
    pub(crate) async fn next(&mut self, allowed: &[FrameKind]) -> Result<Frame, WireError> {
        let mut header = [0; FRAME_HEADER_LEN];
        if self.fill(&mut header).await? < header.len() {
            return Err(WireError::Cut);
        }
        let header = FrameHeader::decode(&header, allowed)?;
        let len = header.payload_len as usize;
        let mut payload = Vec::new();
        while payload.len() < len {
            // The length is only a claim: memory follows the bytes that really came.
            let rest = len - payload.len();
            if payload.len() == payload.capacity() {
                payload.reserve_exact(payload.len().max(GROWTH_MIN).min(rest));
            }
            let mut limited = (&mut self.io).take(rest as u64);
            match timeout(self.patience, limited.read_buf(&mut payload)).await {
                Ok(Ok(0)) => return Err(WireError::Cut),
                Ok(Ok(_)) => {}
                Ok(Err(e)) => return Err(ended(e, true)),
                Err(_) => return Err(WireError::Silent(self.patience)),
            }
        }
        if !header.matches(&payload) {
            return Err(FrameError::Checksum(header.kind).into());
        }
        Ok(Frame { kind: header.kind, payload })
    }

    /// Fills `bytes`, at least with one byte, and as far as the stream goes.
    async fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, WireError> {
        let mut have = 0;
        while have < bytes.len() {
            match timeout(self.patience, self.io.read(&mut bytes[have..])).await {
                Ok(Ok(0)) if have == 0 => return Err(WireError::Closed),
                Ok(Ok(0)) => break,
                Ok(Ok(n)) => have += n,
                Ok(Err(e)) => return Err(ended(e, have > 0)),
                Err(_) => return Err(WireError::Silent(self.patience)),
            }
        }
        Ok(have)
    }

    /// Reads and forgets what still comes, until the peer closes or `bound` is over.
    ///
    /// Closing a socket with unread bytes resets the connection, and the peer might lose the refusal sent before.
    pub(crate) async fn linger(&mut self, bound: Duration) {
        let mut sink = [0; 4096];
        let drain = async { while matches!(self.io.read(&mut sink).await, Ok(n) if n > 0) {} };
        let _ = timeout(bound, drain).await;
    }
}

/// A stream that ends without TLS's farewell is only a stream that ends: frames have lengths, so nothing can be cut unseen.
fn ended(error: io::Error, inside: bool) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if inside => WireError::Cut,
        io::ErrorKind::UnexpectedEof => WireError::Closed,
        _ => WireError::Io(error),
    }
}

/// Writes frames, each flushed.
pub(crate) struct FrameWriter<W> {
    io: BufWriter<W>,
    patience: Duration,
    /// A write was begun and did not end, be it for an error or because its future was dropped.
    inside: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(crate) fn new(io: W, patience: Duration) -> Self {
        Self { io: BufWriter::with_capacity(16 << 10, io), patience, inside: false }
    }

    /// Changes how long to wait until the peer takes something.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether another frame may begin.
    pub(crate) fn between_frames(&self) -> bool {
        !self.inside
    }

    /// Writes the bytes that come before the first frame; they leave with it.
    pub(crate) async fn preface(&mut self) -> Result<(), WireError> {
        self.put(&PREFACE).await
    }

    /// Sends a frame whose payload is the concatenation of `pieces`.
    pub(crate) async fn send(&mut self, kind: FrameKind, pieces: &[&[u8]]) -> Result<(), WireError> {
        self.inside = true;
        self.put(&FrameHeader::encode(kind, pieces)).await?;
        for piece in pieces {
            self.put(piece).await?;
        }
        timeout(self.patience, self.io.flush())
            .await
            .map_err(|_| WireError::Silent(self.patience))?
            .map_err(WireError::Io)?;
        self.inside = false;
        Ok(())
    }

    /// Sends a control message.
    pub(crate) async fn message(
        &mut self,
        kind: FrameKind,
        message: &impl prost::Message,
    ) -> Result<(), WireError> {
        self.send(kind, &[&message.encode_to_vec()]).await
    }

    /// Tells the peer that nothing more will come.
    pub(crate) async fn close(&mut self) {
        let _ = timeout(self.patience, self.io.shutdown()).await;
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        for piece in bytes.chunks(WRITE_PIECE) {
            timeout(self.patience, self.io.write_all(piece))
                .await
                .map_err(|_| WireError::Silent(self.patience))?
                .map_err(WireError::Io)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use tokio::runtime::Builder;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);
    const BULK: [FrameKind; 2] = [FrameKind::Batch, FrameKind::Beat];

    fn read_all(bytes: &[u8]) -> (Vec<Frame>, WireError) {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut reader = FrameReader::new(bytes, PATIENCE);
            let mut frames = Vec::new();
            loop {
                match reader.next(&BULK).await {
                    Ok(frame) => frames.push(frame),
                    Err(error) => return (frames, error),
                }
            }
        })
    }

    fn written(payload: &[u8]) -> Vec<u8> {
        [&FrameHeader::encode(FrameKind::Batch, &[payload]), payload].concat()
    }

    proptest! {
        #[test]
        fn frames_come_back_and_a_cut_anywhere_is_an_error(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 1..5),
            cut: proptest::sample::Index,
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| written(payload)).collect();
            let (frames, end) = read_all(&bytes);
            prop_assert!(matches!(end, WireError::Closed));
            prop_assert!(frames.iter().map(|frame| &frame.payload).eq(&payloads));
            let cut = cut.index(bytes.len());
            let (fewer, end) = read_all(&bytes[..cut]);
            prop_assert!(fewer.len() < payloads.len());
            prop_assert!(matches!(end, WireError::Closed | WireError::Cut));
        }

        #[test]
        fn garbage_ends_in_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let (frames, _) = read_all(&bytes);
            prop_assert!(frames.is_empty());
        }
    }

    /// Counts the bytes of the largest buffer that a reader offered, which is the memory it holds for a payload.
    struct Offered<'a>(&'a [u8], &'a mut usize);

    impl AsyncRead for Offered<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            *self.1 = (*self.1).max(buffer.remaining());
            let (now, rest) = self.0.split_at(self.0.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.0 = rest;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_claim_of_a_gibibyte_allocates_only_what_arrives() {
        let mut header = FrameHeader::encode(FrameKind::Batch, &[b""]);
        header[..4].copy_from_slice(&crate::frame::BULK_MAX.to_le_bytes());
        let bytes = [&header[..], &[7; 100_000]].concat();
        let mut offered = 0;
        let mut reader = FrameReader::new(Offered(&bytes, &mut offered), PATIENCE);
        assert!(matches!(reader.next(&BULK).await, Err(WireError::Cut)));
        drop(reader);
        assert!(offered <= GROWTH_MIN, "{offered}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_inside_a_frame_is_silent_after_the_timeout() {
        let (mut theirs, ours) = tokio::io::duplex(1000);
        theirs.write_all(&written(b"whole")[..20]).await.unwrap();
        let mut reader = FrameReader::new(ours, PATIENCE);
        let start = tokio::time::Instant::now();
        assert!(matches!(reader.next(&BULK).await, Err(WireError::Silent(PATIENCE))));
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_silent_after_the_timeout() {
        let (_theirs, ours) = tokio::io::duplex(1000);
        let mut writer = FrameWriter::new(ours, PATIENCE);
        assert!(matches!(
            writer.send(FrameKind::Batch, &[&[0; 100_000]]).await,
            Err(WireError::Silent(PATIENCE))
        ));
    }
}
