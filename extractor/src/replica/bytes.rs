//! A cursor over bytes of the MySQL protocol. Every read is checked; `None` means that the bytes end early.

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length-encoded integer (`int<lenenc>`). 0xfb (NULL) and 0xff are none.
    pub(super) fn length(&mut self) -> Option<u64> {
        match self.u8()? {
            small @ 0..=0xfa => Some(small.into()),
            0xfc => self.u16().map(u64::from),
            0xfd => self.array::<3>().map(|[a, b, c]| u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0])),
            0xfe => self.u64(),
            0xfb | 0xff => None,
        }
    }

    /// A length-encoded string (`string<lenenc>`).
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let len = self.length()?;
        self.take(usize::try_from(len).ok()?)
    }

    /// A string that ends with a zero byte, or with the input.
    pub(super) fn terminated(&mut self) -> &'a [u8] {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(len);
        self.0 = rest.get(1..).unwrap_or_default();
        text
    }
}

/// Appends `bytes` as a length-encoded string.
pub(super) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..=0xfa => out.push(len as u8),
        len @ 0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&(len as u16).to_le_bytes());
        }
        len => {
            out.push(0xfe);
            out.extend_from_slice(&(len as u64).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counted_strings_of_every_length_class_come_back() {
        for len in [0, 1, 250, 251, 65_535, 65_536] {
            let mut out = Vec::new();
            put_counted(&mut out, &vec![7; len]);
            let mut input = Bytes(&out);
            assert_eq!(input.counted().unwrap().len(), len);
            assert!(input.0.is_empty());
        }
        assert_eq!(Bytes(b"\x05abc").counted(), None);
        assert_eq!(Bytes(b"\xfd\x00\x00\x01").length(), Some(65_536));
    }

    #[test]
    fn a_terminated_string_may_also_end_with_the_input() {
        let mut input = Bytes(b"one\0two");
        assert_eq!(input.terminated(), b"one");
        assert_eq!(input.terminated(), b"two");
        assert_eq!(input.terminated(), b"");
    }
}
