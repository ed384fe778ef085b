//! Why a connection ended, with its remedy.

use std::path::PathBuf;
use std::time::Duration;

use transaction::{Halt, HaltCode, RegionName};

use crate::code;
use crate::contract::ProviderError;
use crate::frame::FrameError;
use crate::refusal::Refusal;
use crate::tls;
use crate::wire::WireError;

/// Why a connection could not be made or came to its end. `peer` is the region, as far as known, and its address.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error("cannot reach {peer}: {reason}; it is tried again until the peer is back")]
    Unreachable {
        /// Who.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The connection broke, or the peer closed it.
    #[error("lost the connection to {peer}: {reason}; it is made again")]
    Lost {
        /// Who.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The peer neither sent nor took anything in time.
    #[error(
        "{peer} has been silent for {:.1} s: the connection is taken for dead and made again; if this repeats, look for a \
         firewall that drops idle connections, or raise the timeout above the network's stalls",
        after.as_secs_f64()
    )]
    Silent {
        /// Who.
        peer: String,
        /// Bound that was exceeded.
        after: Duration,
    },
    /// This side stops, as its owner wants.
    #[error("the connection to {peer} ends because this region is being stopped, or has new certificates")]
    Stopped {
        /// Who.
        peer: String,
    },
    /// A certificate or key file cannot be used.
    #[error("{}: {reason}; {remedy}", path.display())]
    CertificateFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// TLS was not agreed on.
    #[error("no TLS with {peer}: {reason}; {remedy}")]
    Tls {
        /// Who.
        peer: String,
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
        /// What kind of thing that is.
        code: HaltCode,
    },
    /// The other end is not Concord.
    #[error("{peer} is not Concord: it began with \"{first}\"; check the link address in [mesh.regions]")]
    Stranger {
        /// Who.
        peer: String,
        /// First bytes that it sent, escaped.
        first: String,
    },
    /// This side will not go on with the peer.
    #[error("refused {peer}: {refusal}")]
    Refused {
        /// Who.
        peer: String,
        /// Why.
        refusal: Refusal,
    },
    /// The peer will not go on with this side.
    #[error("{peer} refused: {refusal}")]
    RefusedByPeer {
        /// Who.
        peer: String,
        /// Why, in the peer's words.
        refusal: Refusal,
    },
    /// The peer broke the protocol.
    #[error(
        "{peer} sent {what}; if both run released versions this is a bug or damage on the way: the connection is made again"
    )]
    Protocol {
        /// Who.
        peer: String,
        /// What.
        what: String,
    },
    /// The records of a batch are not what they must be. None of the batch was handed on.
    #[error(
        "records of {origin} from {peer} are refused: {reason}; nothing of the batch was stored. Run `concord log verify --origin {origin}` \
         in the peer's region; if it finds damage there, pull {origin} from another region"
    )]
    Records {
        /// Who.
        peer: String,
        /// Whose log.
        origin: RegionName,
        /// Why.
        reason: String,
    },
    /// The sink could not store.
    #[error("cannot store records of {origin}: {halt}")]
    Sink {
        /// Whose log.
        origin: RegionName,
        /// Why, with the remedy, in the sink's words.
        halt: Halt,
    },
    /// The provider could not read.
    #[error("cannot send records of {origin} to {peer}: {reason}")]
    Provider {
        /// Who.
        peer: String,
        /// Whose log.
        origin: RegionName,
        /// Why, with the remedy, in the provider's words.
        reason: String,
        /// What a person is to do about it.
        code: HaltCode,
    },
    /// The peer could not answer a question.
    #[error("{peer} could not answer {kind:?}: {reason}")]
    Answer {
        /// Who.
        peer: String,
        /// Kind of the question.
        kind: String,
        /// Why, in the peer's words.
        reason: String,
    },
    /// The question is longer than a frame for it.
    #[error("a question of {len} bytes is longer than the {max} that fit: ask in parts")]
    QuestionTooLong {
        /// Its length, in bytes.
        len: usize,
        /// Longest possible, in bytes.
        max: usize,
    },
}

/// What an error means for status and alerts. Either way the owner of the connection tries again with a backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The peer is away, or stops: it heals by itself.
    Away,
    /// Somebody must change something: a certificate, a configuration, a damaged or missing log.
    NeedsPerson,
}

impl LinkError {
    /// Whether it heals by itself.
    pub fn trouble(&self) -> Trouble {
        match self.code() {
            None => Trouble::Away,
            Some(_) => Trouble::NeedsPerson,
        }
    }

    /// What a person is to do about it; `None`: it heals by itself.
    pub fn code(&self) -> Option<HaltCode> {
        Some(match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Silent { .. } | Self::Stopped { .. } => {
                return None;
            }
            Self::CertificateFile { .. } => code::LINK_CERTIFICATE_INVALID,
            Self::Tls { code, .. } => *code,
            Self::Stranger { .. } => code::LINK_STRANGER,
            Self::RefusedByPeer { refusal, .. } => return refusal.code.halt(),
            // What this side refuses, it refuses until a person has acted.
            Self::Refused { refusal, .. } => refusal.code.halt().unwrap_or(code::LINK_PROTOCOL),
            Self::Protocol { .. } | Self::Answer { .. } | Self::QuestionTooLong { .. } => code::LINK_PROTOCOL,
            Self::Records { .. } => code::LINK_RECORDS_DAMAGED,
            Self::Sink { halt, .. } => halt.code,
            Self::Provider { code, .. } => *code,
        })
    }

    pub(crate) fn provider(peer: String, origin: RegionName, error: &ProviderError) -> Self {
        let code = match error {
            ProviderError::Differs { .. } => code::LINK_LOG_DIFFERS,
            ProviderError::Ahead { .. } => code::LINK_LOG_SHORTER,
            _ => code::LINK_LOG_UNREADABLE,
        };
        Self::Provider { peer, origin, reason: error.to_string(), code }
    }

    /// The refusal, of either side.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } | Self::RefusedByPeer { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Names the peer of an error on the wire.
    pub(crate) fn on_wire(peer: &str, error: WireError) -> Self {
        let peer = peer.to_owned();
        match error {
            WireError::Closed => Self::Lost { peer, reason: "the peer closed it".into() },
            WireError::Cut => Self::Lost { peer, reason: "it ended in the middle of a frame".into() },
            WireError::Silent(after) => Self::Silent { peer, after },
            WireError::Io(e) => {
                tls::explain(&peer, &e).unwrap_or_else(|| Self::Lost { peer, reason: e.to_string() })
            }
            WireError::Frame(e) => Self::Protocol { peer, what: e.to_string() },
        }
    }

    /// Names the peer of a frame that does not decode.
    pub(crate) fn on_frame(peer: &str, error: FrameError) -> Self {
        Self::Protocol { peer: peer.to_owned(), what: error.to_string() }
    }

    /// Says what the peer did that the protocol does not allow.
    pub(crate) fn protocol(peer: &str, what: impl Into<String>) -> Self {
        Self::Protocol { peer: peer.to_owned(), what: what.into() }
    }
}
