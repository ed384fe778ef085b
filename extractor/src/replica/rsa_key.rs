//! The server's RSA public key, with which a password crosses a connection that is not encrypted.

use num_bigint::BigUint;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::bytes::Bytes;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// Length of a SHA-1 hash, the one that the server pads with.
const HASH_LEN: usize = 20;

/// Encrypts `secret` with the key in `pem`, padded by OAEP with SHA-1 (RFC 8017). The error is a reason in words.
pub(super) fn encrypt(secret: &[u8], pem: &[u8]) -> Result<Vec<u8>, &'static str> {
    let key =
        SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| "a public key that is not valid PEM")?;
    let (modulus, exponent) =
        numbers(&key).ok_or("a public key that is not an RSA key of 1024 to 16384 bits")?;
    let mut seed = [0; HASH_LEN];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| "a public key, but this machine has no randomness for it")?;
    let block = pad(secret, modulus.len(), &seed).ok_or("a public key too short for this password")?;
    let [block, exponent, number] = [&block, exponent, modulus].map(BigUint::from_bytes_be);
    let cipher = block.modpow(&exponent, &number).to_bytes_be();
    let mut out = vec![0; modulus.len() - cipher.len()];
    out.extend_from_slice(&cipher);
    Ok(out)
}

/// The OAEP encoding of `secret` in `len` bytes; none if it does not fit.
fn pad(secret: &[u8], len: usize, seed: &[u8; HASH_LEN]) -> Option<Vec<u8>> {
    let zeros = len.checked_sub(secret.len() + 2 * HASH_LEN + 2)?;
    let mut data = hash(&[]);
    data.resize(HASH_LEN + zeros, 0);
    data.push(1);
    data.extend_from_slice(secret);
    mask(&mut data, seed);
    let mut seed = seed.to_vec();
    mask(&mut seed, &data);
    Some([&[0], &seed[..], &data].concat())
}

/// XORs `bytes` with MGF1 of `seed`.
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0u32..).zip(bytes.chunks_mut(HASH_LEN)) {
        let stream = hash(&[seed, &counter.to_be_bytes()].concat());
        chunk.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

/// Modulus and exponent, big-endian without leading zeros, out of a SubjectPublicKeyInfo (RFC 5280, RFC 8017).
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, rest) = element(der, SEQUENCE)?;
    let (_algorithm, info) = element(info, SEQUENCE)?;
    let (bits, end) = element(info, BIT_STRING)?;
    let (unused, key) = bits.split_first()?;
    let (key, key_end) = element(key, SEQUENCE)?;
    let (modulus, key) = element(key, INTEGER)?;
    let (exponent, last) = element(key, INTEGER)?;
    let (modulus, exponent) = (unsigned(modulus)?, unsigned(exponent)?);
    // Bounds keep a hostile server from making this side compute for long.
    let sane = *unused == 0
        && (128..=2048).contains(&modulus.len())
        && (1..=8).contains(&exponent.len())
        && [rest, end, key_end, last].iter().all(|slice| slice.is_empty());
    sane.then_some((modulus, exponent))
}

/// The digits of a DER INTEGER that is not negative.
fn unsigned(value: &[u8]) -> Option<&[u8]> {
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    value.first().is_some_and(|byte| byte & 0x80 == 0).then(|| &value[zeros..])
}

/// One DER element of the given tag: its content, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let mut input = Bytes(der);
    if input.u8()? != tag {
        return None;
    }
    let len = match input.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(input.u8()?),
        0x82 => input.array().map(u16::from_be_bytes)?.into(),
        _ => return None,
    };
    Some((input.take(len)?, input.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SERVER_KEY: &[u8] = include_bytes!("fixtures/public-key-9.7.4.pem");
    const TEST_KEY: &[u8] = include_bytes!("fixtures/test-key-1024.pem");
    /// The private exponent of `TEST_KEY`, which was made for this test only.
    const TEST_EXPONENT: &[u8] =
        b"57ae50f3e1994d5a3dffa693df80256a6eba174efd7966d752d2f3e6ecbf60fba456f87b027d9b075f033c6f\
        abad91f30bdde054a5abff925e3bbf000a088fe5962b25e1c1811530321f4a278e171d2f4f796cab815accaa\
        d81461c8655aa1916a28704f7ae8b11aa746b9a75719f9020d4c364c204ec1f746f9838681a29921";

    #[test]
    fn what_is_encrypted_decrypts_and_unpads_to_the_secret() {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(TEST_KEY).unwrap();
        let modulus = BigUint::from_bytes_be(numbers(&der).unwrap().0);
        let exponent = BigUint::parse_bytes(TEST_EXPONENT, 16).unwrap();
        let cipher = encrypt(b"secret\0", TEST_KEY).unwrap();
        let block = BigUint::from_bytes_be(&cipher).modpow(&exponent, &modulus).to_bytes_be();
        // The number has lost the leading zero byte, and any that the padding happened to begin with.
        let block = [vec![0; 127 - block.len()], block].concat();
        let (seed, data) = block.split_at(HASH_LEN);
        let (mut seed, mut data) = (seed.to_vec(), data.to_vec());
        mask(&mut seed, &data);
        mask(&mut data, &seed);
        assert_eq!(data[..HASH_LEN], hash(&[]));
        let padding = data[HASH_LEN..].iter().position(|byte| *byte != 0).unwrap();
        assert_eq!(&data[HASH_LEN + padding..], b"\x01secret\0");
    }

    #[test]
    fn the_padding_is_random_and_the_block_as_long_as_the_key() {
        let one = encrypt(b"secret\0", SERVER_KEY).unwrap();
        let two = encrypt(b"secret\0", SERVER_KEY).unwrap();
        assert_eq!((one.len(), two.len()), (256, 256));
        assert_ne!(one, two);
    }

    #[test]
    fn a_password_longer_than_a_block_is_refused() {
        assert!(encrypt(&[b'x'; 214], SERVER_KEY).is_ok());
        assert!(encrypt(&[b'x'; 215], SERVER_KEY).unwrap_err().contains("too short"));
    }

    #[test]
    fn a_damaged_key_is_refused_or_used_but_never_panics() {
        assert!(encrypt(b"x", b"").is_err());
        assert!(encrypt(b"x", b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n").is_err());
        let der = SubjectPublicKeyInfoDer::from_pem_slice(SERVER_KEY).unwrap();
        for at in 0..der.len() {
            assert!(numbers(&der[..at]).is_none());
            for value in [0, 1, 0x7f, 0x80, 0x82, 0xff] {
                let mut bad = der.to_vec();
                bad[at] = value;
                if let Some((modulus, exponent)) = numbers(&bad) {
                    assert!(modulus[0] != 0 && exponent[0] != 0);
                }
            }
        }
    }
}
