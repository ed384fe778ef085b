//! A refusal: the last frame of a side that will not go on, so that the other side can log the reason.

use std::fmt;

use transaction::HaltCode;

use crate::code;

/// Why a side will not go on. The numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum RefusalCode {
    /// The peer sent what the protocol does not allow here.
    Malformed = 1,
    /// No protocol version in common.
    Protocol = 2,
    /// The peer writes a log format that this release does not read.
    Format = 3,
    /// The peer belongs to another mesh.
    Mesh = 4,
    /// The peer's region is not in the mesh, or is this very region.
    UnknownRegion = 5,
    /// The peer dialled another region.
    WrongRegion = 6,
    /// The `[mesh]` sections differ.
    Fingerprint = 7,
    /// The peers are in different epochs.
    Epoch = 8,
    /// The certificate names another region than the hello.
    Certificate = 9,
    /// No log of that origin is held here.
    UnknownOrigin = 10,
    /// Retention has deleted the record asked for; the number is the first record held.
    Gone = 11,
    /// The number asked for is beyond what this log can ever have given out; the number is the last record held.
    Ahead = 12,
    /// The log cannot be read now.
    Unavailable = 13,
    /// This side is being stopped.
    ShuttingDown = 14,
    /// A record before the one asked for is another one than the peer holds; the number is the first such record.
    Differs = 15,
    /// A code of a newer release.
    Other = 0,
}

impl RefusalCode {
    pub(crate) fn from_number(number: u32) -> Self {
        use RefusalCode::*;
        let known = [
            Malformed,
            Protocol,
            Format,
            Mesh,
            UnknownRegion,
            WrongRegion,
            Fingerprint,
            Epoch,
            Certificate,
            UnknownOrigin,
            Gone,
            Ahead,
            Unavailable,
            ShuttingDown,
            Differs,
        ];
        known.into_iter().find(|code| *code as u32 == number).unwrap_or(Other)
    }

    /// What a person is to do about it; `None`: it heals by itself.
    pub fn halt(self) -> Option<HaltCode> {
        match self {
            Self::ShuttingDown | Self::Unavailable => None,
            Self::Malformed | Self::Other => Some(code::LINK_PROTOCOL),
            Self::Protocol | Self::Format => Some(code::LINK_VERSION),
            Self::Mesh | Self::UnknownRegion | Self::WrongRegion | Self::UnknownOrigin => {
                Some(code::LINK_WRONG_REGION)
            }
            Self::Fingerprint => Some(code::MESH_DIFFERS),
            Self::Epoch => Some(code::EPOCH_DIFFERS),
            Self::Certificate => Some(code::LINK_CERTIFICATE_NAME),
            Self::Gone => Some(code::LINK_RECORD_REMOVED),
            Self::Ahead => Some(code::LINK_LOG_SHORTER),
            Self::Differs => Some(code::LINK_LOG_DIFFERS),
        }
    }
}

/// A code for programs and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// Why, with the names, the reason and the remedy.
    pub text: String,
    /// A record number that belongs to the code, or 0.
    pub number: u64,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), number: 0 }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_numbers_and_unknown_ones_become_other() {
        for number in 1..=15 {
            assert_eq!(RefusalCode::from_number(number) as u32, number);
        }
        assert_eq!(RefusalCode::from_number(0), RefusalCode::Other);
        assert_eq!(RefusalCode::from_number(4711), RefusalCode::Other);
    }
}
