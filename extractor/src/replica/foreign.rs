//! What a server's bytes go through before anything of them is believed, without a server: the entrance of `fuzz/`.
//!
//! **Invariant.** Whatever the bytes are, the answer is a count; memory follows the bytes that came, but for the room of one frame
//! of 16 MiB that a header announces.

use std::io::{Read, Write};

use super::auth::Authentication;
use super::bytes::Bytes;
use super::handshake::Greeting;
use super::packet::Packets;
use super::query;
use super::server_error::ServerError;

/// Longest list of columns that a row is read with.
const COLUMNS_MAX: u64 = 64;

/// A server that has said all it will ever say, and does not listen.
struct Said<'a>(&'a [u8]);

impl Read for Said<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(out)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads `bytes` as packets: a greeting first, and each later one as everything that a packet can be before the binlog comes.
/// Returns how many there were.
pub fn packets(bytes: &[u8]) -> usize {
    let mut packets = Packets::new(Said(bytes));
    let mut login = None;
    let mut count = 0;
    while packets.read().is_ok() {
        let packet = packets.present();
        count += 1;
        let Some(login) = &mut login else {
            let Ok(greeting) = Greeting::parse(packet) else { return count };
            let _ = (greeting.offers_tls(), greeting.tls_request());
            login = Some(Authentication::new(&greeting.plugin, greeting.nonce, "a secret", false));
            continue;
        };
        let _ = login.handle(packet);
        let _ = ServerError::parse(packet).map(|error| error.remedy());
        let columns = Bytes(packet).length().unwrap_or(1).min(COLUMNS_MAX);
        let _ = (query::is_end(packet), query::row(packet, columns));
    }
    count
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_and_what_follows_it_are_counted_up_to_the_first_packet_out_of_order() {
        let greeting = include_bytes!("fixtures/greeting-9.7.4.bin");
        let mut bytes = Vec::new();
        for (number, packet) in [greeting.as_slice(), b"\x01\x03", b"\xff\x15\x04#28000no"].iter().enumerate()
        {
            bytes.extend([packet.len() as u8, 0, 0, number as u8]);
            bytes.extend(*packet);
        }
        assert_eq!(packets(&bytes), 3);
        assert_eq!(packets(&bytes[..bytes.len() - 1]), 2);
        bytes[3] = 9;
        assert_eq!(packets(&bytes), 0);
    }
}
