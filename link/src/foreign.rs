//! What a peer's bytes go through before anything is done for it, without a peer: the entrance of `fuzz/`.
//!
//! **Invariant.** Whatever the bytes are, the answer is a count or a yes or no; memory follows the bytes that came, but for one
//! compressed bulk frame, which may unfold to 16 MiB.

use std::collections::BTreeSet;
use std::time::Duration;

use transaction::{Epoch, RecordNumber, RegionName};

use crate::beat::Pulse;
use crate::frame::{Frame, FrameKind, PREFACE};
use crate::handshake::refused_by_peer;
use crate::identity::Claim;
use crate::pack::{FoldedBatch, read_part};
use crate::wire::FrameReader;
use crate::{Formats, Identity, PROTOCOL_NEWEST, message, records};

/// Reads `bytes` as everything that a peer ever sends; returns how many frames of it were good, up to the first bad one.
pub async fn frames(bytes: &[u8]) -> usize {
    let mut reader = FrameReader::new(bytes, Duration::from_secs(1));
    let mut good = 0;
    if !reader.preface().await.is_ok_and(|preface| preface == PREFACE) {
        return good;
    }
    while let Ok(frame) = reader.next(&FrameKind::ALL).await {
        if !takes(frame) {
            break;
        }
        good += 1;
    }
    good
}

/// Whether `payload` would be taken in a frame of the kind with number `kind`, its checksum being right.
pub fn payload(kind: u8, payload: Vec<u8>) -> bool {
    FrameKind::from_byte(kind).is_some_and(|kind| takes(Frame { kind, payload }))
}

fn takes(frame: Frame) -> bool {
    match frame.kind {
        FrameKind::Hello => frame.message().is_ok_and(|hello: message::Hello| match Claim::read(hello) {
            Ok(claim) => own_identity().is_some_and(|own| own.judge(&claim, None).is_ok()),
            Err(_) => false,
        }),
        FrameKind::Refuse => frame
            .message()
            .is_ok_and(|refuse: message::Refuse| !refused_by_peer("a peer", refuse).to_string().is_empty()),
        FrameKind::Pull => {
            frame.message().is_ok_and(|pull: message::Pull| RegionName::new(&pull.origin).is_ok())
        }
        FrameKind::Ask => frame.message::<message::Ask>().is_ok(),
        FrameKind::Opened => frame.message::<message::Opened>().is_ok(),
        FrameKind::Ack => frame.message::<message::Ack>().is_ok(),
        FrameKind::End => frame.message::<message::End>().is_ok(),
        FrameKind::Beat => frame
            .message()
            .is_ok_and(|beat: message::Beat| Pulse::default().hear(beat, 1_700_000_000_000_000).is_ok()),
        FrameKind::Batch => FoldedBatch::read(frame.payload)
            .and_then(FoldedBatch::unfold)
            .is_ok_and(|batch| records::verify(&batch, RecordNumber(0)).is_ok()),
        FrameKind::Part => read_part(frame.payload).and_then(|part| part.unfold()).is_ok(),
    }
}

/// A region that a stranger may try to reach.
fn own_identity() -> Option<Identity> {
    let regions: BTreeSet<RegionName> =
        ["eu", "us"].into_iter().filter_map(|name| RegionName::new(name).ok()).collect();
    Some(Identity {
        region: regions.first().copied()?,
        regions,
        mesh: "shop".to_owned(),
        mesh_fingerprint: [7; 32],
        mesh_description: "a fact\nanother fact".to_owned(),
        epoch: Epoch(1),
        formats: Formats::only(PROTOCOL_NEWEST),
        software: "0.1.0".to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::frame::FrameHeader;

    fn own_hello() -> Vec<u8> {
        let own = own_identity().unwrap();
        let mut hello = Identity { region: RegionName::new("us").unwrap(), ..own }.hello(None);
        hello.wanted = "eu".to_owned();
        hello.encode_to_vec()
    }

    #[tokio::test]
    async fn what_a_peer_may_send_is_taken_up_to_the_first_byte_that_is_wrong() {
        let hello = own_hello();
        assert!(payload(1, hello.clone()));
        let mut bytes = PREFACE.to_vec();
        let frame = |kind, payload: &[u8]| [&FrameHeader::encode(kind, &[payload]), payload].concat();
        bytes.extend(frame(FrameKind::Hello, &hello));
        bytes.extend(frame(FrameKind::Opened, &[]));
        bytes.extend(frame(FrameKind::Beat, &[]));
        assert_eq!(frames(&bytes).await, 3);
        bytes.extend(frame(FrameKind::Batch, &[0; 32]));
        bytes.extend(frame(FrameKind::Beat, &[]));
        assert_eq!(frames(&bytes).await, 3, "an empty batch ends it");
        bytes[PREFACE.len() + 20] ^= 1;
        assert_eq!(frames(&bytes).await, 0);
        assert!(!payload(0, Vec::new()) && !payload(11, Vec::new()));
    }
}
