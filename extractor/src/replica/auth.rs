//! Proving the password: which answer each plugin gets, as a machine without a socket.

use super::bytes::Bytes;
use super::handshake::NONCE_LEN;
use super::rsa_key;
use super::scramble;

const CACHING_SHA2: &str = "caching_sha2_password";
const NATIVE: &str = "mysql_native_password";

/// What caching_sha2_password says in an AuthMoreData packet, and is asked.
const FAST_OK: &[u8] = &[3];
const FULL_PROOF: &[u8] = &[4];
const KEY_REQUEST: &[u8] = &[2];

/// The next step of an authentication.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send these bytes and read on.
    Send(Vec<u8>),
    /// Only read on.
    Read,
    /// The server takes the account as proven.
    Done,
}

/// Why an authentication cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A plugin that is not spoken here.
    Plugin(String),
    /// A packet that has no place here.
    Protocol(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plugin {
    CachingSha2,
    Native,
}

impl Plugin {
    fn named(name: &str) -> Option<Self> {
        match name {
            CACHING_SHA2 => Some(Self::CachingSha2),
            NATIVE => Some(Self::Native),
            _ => None,
        }
    }
}

/// An authentication under way.
pub(super) struct Authentication<'a> {
    password: &'a [u8],
    encrypted: bool,
    plugin: Plugin,
    nonce: [u8; NONCE_LEN],
    awaits_key: bool,
}

impl<'a> Authentication<'a> {
    /// `plugin` is the one that the server's greeting named, `encrypted` whether the connection hides the password.
    pub(super) fn new(plugin: &str, nonce: [u8; NONCE_LEN], password: &'a str, encrypted: bool) -> Self {
        // For any other plugin the server answers with a switch request, whatever is sent first.
        let plugin = Plugin::named(plugin).unwrap_or(Plugin::CachingSha2);
        Self { password: password.as_bytes(), encrypted, plugin, nonce, awaits_key: false }
    }

    /// Name of the plugin that [`Authentication::proof`] is for.
    pub(super) fn plugin(&self) -> &'static str {
        match self.plugin {
            Plugin::CachingSha2 => CACHING_SHA2,
            Plugin::Native => NATIVE,
        }
    }

    /// The scrambled password; empty for an empty one.
    pub(super) fn proof(&self) -> Vec<u8> {
        match self.plugin {
            Plugin::CachingSha2 => scramble::caching_sha2(&self.nonce, self.password),
            Plugin::Native => scramble::native(&self.nonce, self.password),
        }
    }

    /// Takes a packet of the server; ERR packets are the caller's.
    pub(super) fn handle(&mut self, packet: &[u8]) -> Result<Step, Refusal> {
        match packet.split_first() {
            Some((0x00, _)) => Ok(Step::Done),
            Some((0x01, data)) => self.more_data(data),
            Some((0xfe, request)) => self.switch(request),
            Some((0x02, _)) => Err(Refusal::Plugin("a second factor".into())),
            _ => Err(Refusal::Protocol("an unknown packet during authentication")),
        }
    }

    fn switch(&mut self, request: &[u8]) -> Result<Step, Refusal> {
        let mut input = Bytes(request);
        let name = String::from_utf8_lossy(input.terminated()).into_owned();
        // A bare 0xfe asks for the method of before 4.1.
        let name = if name.is_empty() { "mysql_old_password".into() } else { name };
        let Some(plugin) = Plugin::named(&name) else { return Err(Refusal::Plugin(name)) };
        self.nonce =
            input.array().ok_or(Refusal::Protocol("a switch of authentication without random bytes"))?;
        self.plugin = plugin;
        self.awaits_key = false;
        Ok(Step::Send(self.proof()))
    }

    fn more_data(&mut self, data: &[u8]) -> Result<Step, Refusal> {
        if self.plugin != Plugin::CachingSha2 {
            return Err(Refusal::Protocol("more authentication data than the plugin has"));
        }
        if self.awaits_key {
            self.awaits_key = false;
            return rsa_key::encrypt(&self.masked_password(), data)
                .map(Step::Send)
                .map_err(Refusal::Protocol);
        }
        match data {
            FAST_OK => Ok(Step::Read),
            FULL_PROOF if self.encrypted => Ok(Step::Send(self.terminated_password())),
            FULL_PROOF => {
                self.awaits_key = true;
                Ok(Step::Send(KEY_REQUEST.to_vec()))
            }
            _ => Err(Refusal::Protocol("unknown authentication data")),
        }
    }

    fn terminated_password(&self) -> Vec<u8> {
        [self.password, &[0]].concat()
    }

    fn masked_password(&self) -> Vec<u8> {
        let mask = self.nonce.iter().cycle();
        self.terminated_password().iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_LEN] = *b"abcdefghijklmnopqrst";
    const KEY: &[u8] = include_bytes!("fixtures/public-key-9.7.4.pem");

    fn start(encrypted: bool) -> Authentication<'static> {
        Authentication::new(CACHING_SHA2, NONCE, "secret", encrypted)
    }

    #[test]
    fn the_fast_path_sends_nothing_more() {
        let mut authentication = start(false);
        assert_eq!(authentication.proof().len(), 32);
        assert_eq!(authentication.handle(&[1, 3]), Ok(Step::Read));
        assert_eq!(authentication.handle(&[0, 0, 0]), Ok(Step::Done));
    }

    #[test]
    fn the_password_itself_is_sent_only_when_the_connection_is_encrypted() {
        assert_eq!(start(true).handle(&[1, 4]), Ok(Step::Send(b"secret\0".to_vec())));
        let mut open = start(false);
        assert_eq!(open.handle(&[1, 4]), Ok(Step::Send(vec![2])));
        let Ok(Step::Send(block)) = open.handle(&[&[1], KEY].concat()) else {
            panic!("no answer to the key")
        };
        assert_eq!(block.len(), 256);
        assert!(!block.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn what_is_encrypted_with_the_key_is_the_password_masked_by_the_random_bytes() {
        assert_eq!(start(false).masked_password(), b"\x12\x07\x00\x16\x00\x12\x67");
    }

    #[test]
    fn a_key_that_was_not_asked_for_is_refused() {
        assert!(matches!(start(false).handle(&[&[1], KEY].concat()), Err(Refusal::Protocol(_))));
        assert!(matches!(start(false).handle(&[1, 9]), Err(Refusal::Protocol(_))));
        assert!(matches!(start(false).handle(&[]), Err(Refusal::Protocol(_))));
    }

    #[test]
    fn a_switch_answers_with_the_new_plugin_and_its_random_bytes() {
        let mut authentication = start(false);
        let nonce = *b"tsrqponmlkjihgfedcba";
        let request = [b"\xfemysql_native_password\0", &nonce[..], &[0]].concat();
        let expected = scramble::native(&nonce, b"secret");
        assert_eq!(authentication.handle(&request), Ok(Step::Send(expected)));
        assert_eq!(authentication.plugin(), NATIVE);
        assert!(matches!(authentication.handle(&[1, 4]), Err(Refusal::Protocol(_))));
    }

    #[test]
    fn a_plugin_that_is_not_spoken_is_named() {
        let refusal = start(true).handle(b"\xfemysql_clear_password\0").unwrap_err();
        assert_eq!(refusal, Refusal::Plugin("mysql_clear_password".into()));
        assert_eq!(start(true).handle(&[0xfe]).unwrap_err(), Refusal::Plugin("mysql_old_password".into()));
        assert!(matches!(start(true).handle(&[2]), Err(Refusal::Plugin(_))));
    }

    #[test]
    fn an_empty_password_has_an_empty_proof() {
        assert!(Authentication::new(NATIVE, NONCE, "", false).proof().is_empty());
        assert!(Authentication::new("unheard_of", NONCE, "", false).proof().is_empty());
    }
}
