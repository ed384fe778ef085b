//! Packets: payloads of up to 1 GiB, framed in pieces of less than 16 MiB (MySQL client protocol, "Packets").

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;

/// Payload length of a frame that is followed by another frame of the same packet.
const FRAME_MAX: usize = 0xff_ffff;
/// Largest packet taken: the largest `max_allowed_packet`, and room for headers and checksum around it.
const PACKET_MAX: usize = (1 << 30) + (1 << 20);
/// Size of the read buffer in normal times.
const BUFFER: usize = 256 << 10;
/// A buffer grown beyond this is given back when its packet has been used.
const BUFFER_KEPT: usize = 4 << 20;

/// Why no packet came.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacketError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("packet number {found} where {expected} was due")]
    OutOfOrder { found: u8, expected: u8 },
    #[error("a packet of more than 1 GiB")]
    TooLarge,
}

/// Reads and writes packets on a byte stream.
pub(super) struct Packets<S> {
    stream: S,
    /// Bytes `filled` of it came from the stream and are not used up.
    buffer: Vec<u8>,
    filled: Range<usize>,
    /// The payload of a packet of several frames, joined.
    joined: Vec<u8>,
    /// Where the present packet lies.
    present: Present,
    /// Number that the next frame must carry.
    number: u8,
}

enum Present {
    Nothing,
    Buffer(Range<usize>),
    Joined,
}

impl<S: Read + Write> Packets<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: vec![0; BUFFER],
            filled: 0..0,
            joined: Vec::new(),
            present: Present::Nothing,
            number: 0,
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// The same conversation over another stream, as after the switch to TLS.
    ///
    /// Bytes that came before the switch are not authentic, so there must be none left over.
    pub(super) fn map_stream<T: Read + Write, E>(
        self,
        map: impl FnOnce(S) -> Result<T, E>,
    ) -> Result<Packets<T>, Option<E>> {
        if !self.filled.is_empty() {
            return Err(None);
        }
        let stream = map(self.stream).map_err(Some)?;
        Ok(Packets { number: self.number, ..Packets::new(stream) })
    }

    /// Starts a new exchange of command and answer.
    pub(super) fn restart_numbers(&mut self) {
        self.number = 0;
    }

    /// Sends `payload` as one packet.
    pub(super) fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut out = Vec::with_capacity(payload.len() + 4);
        // A payload that is a multiple of FRAME_MAX ends with an empty frame.
        let frames = payload.len() / FRAME_MAX + 1;
        for index in 0..frames {
            let frame = &payload[index * FRAME_MAX..payload.len().min((index + 1) * FRAME_MAX)];
            out.extend_from_slice(&(frame.len() as u32).to_le_bytes()[..3]);
            out.push(self.number);
            out.extend_from_slice(frame);
            self.number = self.number.wrapping_add(1);
        }
        self.stream.write_all(&out)?;
        self.stream.flush()
    }

    /// Waits for the next packet; [`Packets::present`] is then its payload.
    pub(super) fn read(&mut self) -> Result<(), PacketError> {
        self.release();
        let len = self.frame_header()?;
        if len < FRAME_MAX {
            self.fill(len)?;
            let start = self.filled.start;
            self.filled.start += len;
            self.present = Present::Buffer(start..start + len);
            return Ok(());
        }
        let mut frame = len;
        loop {
            self.append_frame(frame)?;
            if frame < FRAME_MAX {
                break;
            }
            frame = self.frame_header()?;
        }
        self.present = Present::Joined;
        Ok(())
    }

    /// The payload that the last [`Packets::read`] got.
    pub(super) fn present(&self) -> &[u8] {
        match &self.present {
            Present::Nothing => &[],
            Present::Buffer(range) => &self.buffer[range.clone()],
            Present::Joined => &self.joined,
        }
    }

    /// Whether the next packet lies in the buffer whole, so that reading it will not wait.
    pub(super) fn has_whole_packet(&self) -> bool {
        let Some((header, rest)) = self.buffer[self.filled.clone()].split_first_chunk::<4>() else {
            return false;
        };
        rest.len() >= frame_len(header)
    }

    /// Forgets the present packet, and gives memory back that only a giant needed.
    fn release(&mut self) {
        self.present = Present::Nothing;
        self.joined.clear();
        if self.joined.capacity() > BUFFER_KEPT {
            self.joined = Vec::new();
        }
        if self.buffer.len() > BUFFER_KEPT && self.filled.len() < BUFFER {
            let mut small = vec![0; BUFFER];
            small[..self.filled.len()].copy_from_slice(&self.buffer[self.filled.clone()]);
            self.filled = 0..self.filled.len();
            self.buffer = small;
        }
    }

    /// Takes a frame header: returns the length of what follows.
    fn frame_header(&mut self) -> Result<usize, PacketError> {
        self.fill(4)?;
        let at = self.filled.start;
        let header = [self.buffer[at], self.buffer[at + 1], self.buffer[at + 2], self.buffer[at + 3]];
        self.filled.start += 4;
        if header[3] != self.number {
            return Err(PacketError::OutOfOrder { found: header[3], expected: self.number });
        }
        self.number = self.number.wrapping_add(1);
        Ok(frame_len(&header))
    }

    /// Reads until `len` bytes are in the buffer, which grows as bytes arrive, not as a header promises.
    fn fill(&mut self, len: usize) -> io::Result<()> {
        while self.filled.len() < len {
            if self.filled.start + len > self.buffer.len() {
                self.buffer.copy_within(self.filled.clone(), 0);
                self.filled = 0..self.filled.len();
            }
            if self.filled.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let got = read_some(&mut self.stream, &mut self.buffer[self.filled.end..])?;
            self.filled.end += got;
        }
        Ok(())
    }

    /// Appends the payload of one frame to `joined`: first what is in the buffer, the rest straight from the stream.
    fn append_frame(&mut self, len: usize) -> Result<(), PacketError> {
        if self.joined.len() + len > PACKET_MAX {
            return Err(PacketError::TooLarge);
        }
        let buffered = len.min(self.filled.len());
        let from = self.filled.start;
        self.joined.extend_from_slice(&self.buffer[from..from + buffered]);
        self.filled.start += buffered;
        let end = self.joined.len() + len - buffered;
        while self.joined.len() < end {
            let at = self.joined.len();
            // Steps of the buffer's size keep what a lying header can allocate small.
            let step = (end - at).min(BUFFER);
            if self.joined.capacity() < at + step {
                self.joined.reserve_exact((at / 4).max(FRAME_MAX + 1));
            }
            self.joined.resize(at + step, 0);
            match read_some(&mut self.stream, &mut self.joined[at..]) {
                Ok(got) => self.joined.truncate(at + got),
                Err(error) => {
                    self.joined.truncate(at);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }
}

fn frame_len(header: &[u8; 4]) -> usize {
    u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize
}

/// At least one byte; the end of the stream is an error, since it always comes amid something.
fn read_some(stream: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(out) {
            Ok(0) => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            Ok(len) => return Ok(len),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Hands out its input in pieces of the given sizes, over and over; keeps what is written.
    struct Script {
        input: VecDeque<u8>,
        pieces: Vec<usize>,
        turn: usize,
        written: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let piece = self.pieces[self.turn % self.pieces.len()];
            self.turn += 1;
            let len = piece.min(out.len());
            self.input.read(&mut out[..len])
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn script(input: Vec<u8>, pieces: Vec<usize>) -> Packets<Script> {
        Packets::new(Script { input: input.into(), pieces, turn: 0, written: Vec::new() })
    }

    fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = script(Vec::new(), vec![1]);
        for payload in payloads {
            writer.write(payload).unwrap();
        }
        writer.stream.written
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn payloads_around_every_frame_limit_come_back_whole_and_memory_is_given_back() {
        let lens =
            [0, 1, FRAME_MAX - 1, FRAME_MAX, FRAME_MAX + 1, 3, 2 * FRAME_MAX, 5, BUFFER, BUFFER * 3, 7];
        let payloads: Vec<_> = lens.iter().map(|len| pattern(*len)).collect();
        let mut reader = script(framed(&payloads), vec![70_000, 1, 400_000]);
        for payload in &payloads {
            reader.read().unwrap();
            assert!(reader.present() == payload, "payload of {} bytes", payload.len());
        }
        assert!(
            matches!(reader.read(), Err(PacketError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof)
        );
        assert!(reader.joined.capacity() <= BUFFER_KEPT && reader.buffer.len() <= BUFFER_KEPT);
    }

    #[test]
    fn a_packet_out_of_order_is_refused() {
        let mut bytes = framed(&[vec![1], vec![2]]);
        bytes[5 + 3] = 7;
        let mut reader = script(bytes, vec![100]);
        reader.read().unwrap();
        assert!(matches!(reader.read(), Err(PacketError::OutOfOrder { found: 7, expected: 1 })));
    }

    #[test]
    fn a_header_that_promises_much_allocates_little() {
        let mut reader = script(vec![0xfe, 0xff, 0xff, 0, 1, 2, 3], vec![3]);
        assert!(reader.read().is_err());
        assert_eq!(reader.buffer.len(), BUFFER);
    }

    #[test]
    fn a_packet_beyond_the_limit_is_refused_before_it_is_read() {
        let mut reader = script(Vec::new(), vec![1]);
        assert!(matches!(reader.append_frame(PACKET_MAX + 1), Err(PacketError::TooLarge)));
    }

    #[test]
    fn only_a_whole_packet_counts_as_buffered() {
        let mut bytes = framed(&[vec![1; 10], vec![2; 10], vec![3; 10]]);
        bytes.truncate(bytes.len() - 1);
        let mut reader = script(bytes, vec![1_000]);
        assert!(!reader.has_whole_packet());
        reader.read().unwrap();
        assert!(reader.has_whole_packet());
        reader.read().unwrap();
        assert!(!reader.has_whole_packet());
    }

    proptest! {
        #[test]
        fn packets_survive_any_fragmentation(
            lens in prop::collection::vec(0usize..150_000, 1..6),
            pieces in prop::collection::vec(500usize..100_000, 1..6),
        ) {
            let payloads: Vec<_> = lens.iter().map(|len| pattern(*len)).collect();
            let mut reader = script(framed(&payloads), pieces);
            for payload in &payloads {
                reader.read().unwrap();
                prop_assert!(reader.present() == payload);
            }
        }
    }
}
