//! The first packets of a connection: the server's greeting and the client's response (protocol 4.1).

use super::bytes::{Bytes, put_counted};

/// Capability flags (source: MySQL client protocol, "Capabilities Flags").
pub(super) mod capability {
    pub(crate) const LONG_PASSWORD: u32 = 1;
    pub(crate) const LONG_FLAG: u32 = 1 << 2;
    pub(crate) const PROTOCOL_41: u32 = 1 << 9;
    pub(crate) const SSL: u32 = 1 << 11;
    pub(crate) const TRANSACTIONS: u32 = 1 << 13;
    pub(crate) const SECURE_CONNECTION: u32 = 1 << 15;
    pub(crate) const PLUGIN_AUTH: u32 = 1 << 19;
    pub(crate) const CONNECT_ATTRS: u32 = 1 << 20;
    pub(crate) const PLUGIN_AUTH_LENENC_DATA: u32 = 1 << 21;
}

/// What a server must be able to do.
const REQUIRED: u32 = capability::PROTOCOL_41 | capability::SECURE_CONNECTION | capability::PLUGIN_AUTH;
/// What is asked for if the server has it. Neither compression nor the short form of end-of-rows is among it.
const WANTED: u32 = REQUIRED
    | capability::LONG_PASSWORD
    | capability::LONG_FLAG
    | capability::TRANSACTIONS
    | capability::CONNECT_ATTRS
    | capability::PLUGIN_AUTH_LENENC_DATA;
/// utf8mb4_general_ci, which every version knows.
const CHARACTER_SET: u8 = 45;
/// Length of the random bytes that a password is scrambled with.
pub(super) const NONCE_LEN: usize = 20;

/// The server's greeting (`HandshakeV10`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Version as text, such as `9.7.4`.
    pub(super) version: String,
    pub(super) capabilities: u32,
    /// Random bytes for the scramble.
    pub(super) nonce: [u8; NONCE_LEN],
    /// Name of the authentication plugin that the server would like.
    pub(super) plugin: String,
}

impl Greeting {
    /// Parses a greeting; the error is a reason in words.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "a greeting that ends early";
        let mut input = Bytes(packet);
        if input.u8().ok_or(SHORT)? != 10 {
            return Err("a greeting of another protocol version than 10");
        }
        let version = String::from_utf8_lossy(input.terminated()).into_owned();
        input.u32().ok_or(SHORT)?;
        let first: [u8; 8] = input.array().ok_or(SHORT)?;
        input.u8().ok_or(SHORT)?;
        let low = input.u16().ok_or(SHORT)?;
        // Character set and status flags.
        input.take(3).ok_or(SHORT)?;
        let high = input.u16().ok_or(SHORT)?;
        let capabilities = u32::from(high) << 16 | u32::from(low);
        if capabilities & REQUIRED != REQUIRED {
            return Err("a greeting without protocol 4.1 and authentication plugins");
        }
        let nonce_len = usize::from(input.u8().ok_or(SHORT)?);
        input.take(10).ok_or(SHORT)?;
        let rest = input.take(nonce_len.saturating_sub(8).max(13)).ok_or(SHORT)?;
        let (rest, _) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&first);
        nonce[8..].copy_from_slice(rest);
        let plugin = String::from_utf8_lossy(input.terminated()).into_owned();
        Ok(Self { version, capabilities, nonce, plugin })
    }

    pub(super) fn offers_tls(&self) -> bool {
        self.capabilities & capability::SSL != 0
    }

    fn agreed(&self, tls: bool) -> u32 {
        let tls = if tls { capability::SSL } else { 0 };
        self.capabilities & (WANTED | tls)
    }

    fn response_head(&self, tls: bool) -> Vec<u8> {
        let mut out = self.agreed(tls).to_le_bytes().to_vec();
        // Largest packet that this side will send or take, as the server's own clients announce it.
        out.extend_from_slice(&(1u32 << 30).to_le_bytes());
        out.push(CHARACTER_SET);
        out.extend_from_slice(&[0; 23]);
        out
    }

    /// The request to go on under TLS (`SSLRequest`).
    pub(super) fn tls_request(&self) -> Vec<u8> {
        self.response_head(true)
    }

    /// The response (`HandshakeResponse41`) with the first `proof` for `plugin`.
    pub(super) fn response(&self, tls: bool, user: &str, plugin: &str, proof: &[u8]) -> Vec<u8> {
        let agreed = self.agreed(tls);
        let mut out = self.response_head(tls);
        out.extend_from_slice(user.as_bytes());
        out.push(0);
        // A proof has at most 32 bytes, so both forms of its length are one byte.
        put_counted(&mut out, proof);
        out.extend_from_slice(plugin.as_bytes());
        out.push(0);
        if agreed & capability::CONNECT_ATTRS != 0 {
            let mut attributes = Vec::new();
            for text in ["program_name", "concord", "_client_version", env!("CARGO_PKG_VERSION")] {
                put_counted(&mut attributes, text.as_bytes());
            }
            put_counted(&mut out, &attributes);
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As recorded from a server of version 9.7.4, the payload of its first packet.
    const GREETING: &[u8] = include_bytes!("fixtures/greeting-9.7.4.bin");

    #[test]
    fn the_greeting_of_a_real_server_is_read() {
        let greeting = Greeting::parse(GREETING).unwrap();
        assert!(greeting.version.starts_with("9.7.4"), "{}", greeting.version);
        assert_eq!(greeting.plugin, "caching_sha2_password");
        assert!(greeting.offers_tls());
        assert!(greeting.nonce.iter().all(|byte| *byte != 0));
    }

    #[test]
    fn every_cut_of_a_greeting_within_its_fixed_part_is_refused() {
        let fixed = GREETING.len() - "caching_sha2_password\0".len();
        for len in 0..fixed {
            assert!(Greeting::parse(&GREETING[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn the_response_asks_for_nothing_that_the_server_lacks() {
        let mut greeting = Greeting::parse(GREETING).unwrap();
        greeting.capabilities &= !(capability::CONNECT_ATTRS | capability::SSL);
        let response = greeting.response(true, "user", "plugin", &[1, 2, 3]);
        let asked = u32::from_le_bytes(*response.first_chunk().unwrap());
        assert_eq!(asked & !greeting.capabilities, 0);
        assert_eq!(&response[32..], b"user\0\x03\x01\x02\x03plugin\0");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Greeting::parse(&bytes);
        }
    }
}
