//! Who a region is, and whether two regions fit together. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use transaction::{Epoch, RegionName};

use crate::message::Hello;
use crate::refusal::{Refusal, RefusalCode};

/// Oldest protocol version that this release speaks.
pub const PROTOCOL_OLDEST: u32 = 1;

/// Newest protocol version that this release speaks.
pub const PROTOCOL_NEWEST: u32 = 1;

/// Longer descriptions stay at home.
const DESCRIPTION_MAX: usize = 128 << 10;

/// At most this many differing lines are told.
const DIFFERENCES_MAX: usize = 3;

/// Versions of the log format that a release reads and writes.
///
/// A release that brings a new format reads both and goes on writing the old one, until every region reads the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats {
    /// What it writes.
    pub written: u32,
    /// Oldest that it reads.
    pub oldest: u32,
    /// Newest that it reads.
    pub newest: u32,
}

impl Formats {
    /// Reads and writes one version only.
    pub fn only(version: u32) -> Self {
        Self { written: version, oldest: version, newest: version }
    }

    fn read(self) -> RangeInclusive<u32> {
        self.oldest..=self.newest
    }
}

/// What a region says about itself in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The region.
    pub region: RegionName,
    /// The regions of the mesh, this one included; others are refused by name.
    pub regions: BTreeSet<RegionName>,
    /// The mesh's name.
    pub mesh: String,
    /// Digest of everything in `[mesh]`.
    pub mesh_fingerprint: [u8; 32],
    /// What the digest is made of, one fact a line and without secrets: where fingerprints differ, the differing lines
    /// are named. May be empty.
    pub mesh_description: String,
    /// Epoch in force.
    pub epoch: Epoch,
    /// Versions of the log format.
    pub formats: Formats,
    /// Version of the software, for people.
    pub software: String,
}

/// The other end of a connection, after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The region.
    pub region: RegionName,
    /// Its address, as dialled or as seen.
    pub address: String,
    /// Version of its software, for people.
    pub software: String,
    /// Version of the protocol that both speak.
    pub protocol: u32,
}

impl Peer {
    /// Region and address, as errors name it.
    pub(crate) fn label(&self) -> String {
        label(self.region, &self.address)
    }
}

/// Region and address, as errors name it.
pub(crate) fn label(region: RegionName, address: &str) -> String {
    format!("{region} at {address}")
}

/// A peer's hello, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) region: RegionName,
    wanted: String,
    protocol: RangeInclusive<u32>,
    formats: Formats,
    mesh: String,
    fingerprint: Vec<u8>,
    description: String,
    epoch: u32,
    pub(crate) software: String,
}

impl Claim {
    pub(crate) fn read(hello: Hello) -> Result<Self, Refusal> {
        let region = RegionName::new(&hello.region)
            .map_err(|e| Refusal::new(RefusalCode::Malformed, format!("the hello's {e}")))?;
        Ok(Self {
            region,
            wanted: hello.wanted,
            protocol: hello.protocol_oldest..=hello.protocol_newest,
            formats: Formats {
                written: hello.format_written,
                oldest: hello.format_oldest,
                newest: hello.format_newest,
            },
            mesh: hello.mesh,
            fingerprint: hello.fingerprint,
            description: hello.description,
            epoch: hello.epoch,
            software: hello.software,
        })
    }
}

impl Identity {
    /// The hello to send; a client says which region it wants.
    pub(crate) fn hello(&self, wanted: Option<RegionName>) -> Hello {
        let fits = self.mesh_description.len() <= DESCRIPTION_MAX;
        Hello {
            protocol_oldest: PROTOCOL_OLDEST,
            protocol_newest: PROTOCOL_NEWEST,
            format_written: self.formats.written,
            format_oldest: self.formats.oldest,
            format_newest: self.formats.newest,
            region: self.region.to_string(),
            wanted: wanted.map(|region| region.to_string()).unwrap_or_default(),
            mesh: self.mesh.clone(),
            fingerprint: self.mesh_fingerprint.to_vec(),
            description: if fits { self.mesh_description.clone() } else { String::new() },
            epoch: self.epoch.0,
            software: self.software.clone(),
        }
    }

    /// Whether to go on with a peer, in which version of the protocol. `dialled` is the region that a client wants.
    ///
    /// The order goes from what makes the rest unreadable to the details, so that the first reason is the cause. Texts
    /// name both regions, since each side may read them.
    pub(crate) fn judge(&self, peer: &Claim, dialled: Option<RegionName>) -> Result<u32, Refusal> {
        let protocol = self.judge_protocol(peer)?;
        self.judge_names(peer, dialled)?;
        self.judge_mesh(peer)?;
        self.judge_formats(peer)?;
        Ok(protocol)
    }

    fn judge_protocol(&self, peer: &Claim) -> Result<u32, Refusal> {
        let newest = PROTOCOL_NEWEST.min(*peer.protocol.end());
        if newest < PROTOCOL_OLDEST.max(*peer.protocol.start()) {
            let text = format!(
                "region {} (release {}) speaks link protocol {PROTOCOL_OLDEST} to {PROTOCOL_NEWEST}, region {} (release {}) speaks {} to \
                 {}; upgrade the older one, one release at a time",
                self.region,
                self.software,
                peer.region,
                peer.software,
                peer.protocol.start(),
                peer.protocol.end()
            );
            return Err(Refusal::new(RefusalCode::Protocol, text));
        }
        Ok(newest)
    }

    fn judge_names(&self, peer: &Claim, dialled: Option<RegionName>) -> Result<(), Refusal> {
        let (own, theirs) = (self.region, peer.region);
        let refuse = |code, text| Err(Refusal::new(code, text));
        if self.mesh != peer.mesh {
            let text = format!(
                "region {own} is of mesh {:?}, region {theirs} of mesh {:?}; correct mesh.name, or the address in [mesh.regions]",
                self.mesh, peer.mesh
            );
            return refuse(RefusalCode::Mesh, text);
        }
        if let Some(dialled) = dialled.filter(|dialled| *dialled != theirs) {
            let text = format!(
                "region {own} dialled {dialled} and reached {theirs}; correct the link address of {dialled} in [mesh.regions]"
            );
            return refuse(RefusalCode::WrongRegion, text);
        }
        if !peer.wanted.is_empty() && peer.wanted != own.as_str() {
            let text = format!(
                "region {theirs} dialled {:?} and reached {own}; correct the link address of {:?} in [mesh.regions]",
                peer.wanted, peer.wanted
            );
            return refuse(RefusalCode::WrongRegion, text);
        }
        if own == theirs {
            let text = format!(
                "both ends are region {own}; correct the address in [mesh.regions], or region.name if two regions bear one name"
            );
            return refuse(RefusalCode::UnknownRegion, text);
        }
        if !self.regions.contains(&theirs) {
            let text = format!(
                "region {theirs} is not in the [mesh.regions] of region {own}; add it there, the same in every region"
            );
            return refuse(RefusalCode::UnknownRegion, text);
        }
        Ok(())
    }

    fn judge_mesh(&self, peer: &Claim) -> Result<(), Refusal> {
        let (own, theirs) = (self.region, peer.region);
        if peer.fingerprint != self.mesh_fingerprint {
            let text = format!(
                "the mesh fingerprint of {own} is {}, that of {theirs} is {}{}; diff the [mesh] sections of both configurations and \
                 make them the same",
                hex(&self.mesh_fingerprint),
                hex(&peer.fingerprint),
                differences(own, &self.mesh_description, theirs, &peer.description)
            );
            return Err(Refusal::new(RefusalCode::Fingerprint, text));
        }
        if self.epoch.0 != peer.epoch {
            let text = format!(
                "region {own} is in epoch {}, region {theirs} in epoch {}; the one behind must finish the change of [mesh] first",
                self.epoch, peer.epoch
            );
            return Err(Refusal::new(RefusalCode::Epoch, text));
        }
        Ok(())
    }

    fn judge_formats(&self, peer: &Claim) -> Result<(), Refusal> {
        let ours_is_read = peer.formats.read().contains(&self.formats.written);
        let theirs_is_read = self.formats.read().contains(&peer.formats.written);
        if ours_is_read && theirs_is_read {
            return Ok(());
        }
        let describe = |region: RegionName, software: &str, formats: Formats| {
            let Formats { written, oldest, newest } = formats;
            format!(
                "region {region} (release {software}) writes log format {written} and reads {oldest} to {newest}"
            )
        };
        let text = format!(
            "{}, {}; upgrade the older one, one release at a time",
            describe(self.region, &self.software, self.formats),
            describe(peer.region, &peer.software, peer.formats)
        );
        Err(Refusal::new(RefusalCode::Format, text))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(32).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The first lines that only one of the two descriptions has.
fn differences(own: RegionName, ours: &str, peer: RegionName, theirs: &str) -> String {
    if ours.is_empty() || theirs.is_empty() {
        return String::new();
    }
    let only = |region: RegionName, a: &str, b: &str| -> Vec<String> {
        let known: BTreeSet<&str> = b.lines().collect();
        let lines = a.lines().filter(|line| !known.contains(line)).take(DIFFERENCES_MAX);
        lines
            .map(|line| format!("only {region} has `{}`", line.chars().take(200).collect::<String>()))
            .collect()
    };
    let mut all = only(own, ours, theirs);
    all.extend(only(peer, theirs, ours));
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn name(text: &str) -> RegionName {
        RegionName::new(text).unwrap()
    }

    fn identity(region: &str) -> Identity {
        Identity {
            region: name(region),
            regions: ["eu", "us", "ap"].map(name).into(),
            mesh: "shop".into(),
            mesh_fingerprint: [0xab; 32],
            mesh_description: "epoch = 1\ninclude = shop.*".into(),
            epoch: Epoch(1),
            formats: Formats::only(1),
            software: "0.1.0".into(),
        }
    }

    fn verdict(change: impl FnOnce(&mut Identity)) -> Result<u32, RefusalCode> {
        let mut us = identity("us");
        change(&mut us);
        let claim = Claim::read(us.hello(Some(name("eu")))).unwrap();
        identity("eu").judge(&claim, None).map_err(|refusal| refusal.code)
    }

    #[test]
    fn each_difference_has_its_own_code() {
        assert_eq!(verdict(|_| ()), Ok(1));
        assert_eq!(verdict(|us| us.mesh = "test".into()), Err(RefusalCode::Mesh));
        assert_eq!(verdict(|us| us.region = name("sa")), Err(RefusalCode::UnknownRegion));
        assert_eq!(verdict(|us| us.region = name("eu")), Err(RefusalCode::UnknownRegion));
        assert_eq!(verdict(|us| us.mesh_fingerprint[31] = 0), Err(RefusalCode::Fingerprint));
        assert_eq!(verdict(|us| us.epoch = Epoch(2)), Err(RefusalCode::Epoch));
        assert_eq!(verdict(|us| us.formats = Formats::only(2)), Err(RefusalCode::Format));
        assert_eq!(verdict(|us| us.formats.written = 0), Err(RefusalCode::Format));
        assert_eq!(verdict(|us| us.formats.newest = 2), Ok(1));
    }

    #[test]
    fn a_region_reached_by_mistake_is_refused_by_both() {
        let claim = Claim::read(identity("us").hello(Some(name("ap")))).unwrap();
        let refusal = identity("eu").judge(&claim, None).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::WrongRegion);
        let claim = Claim::read(identity("eu").hello(None)).unwrap();
        let refusal = identity("us").judge(&claim, Some(name("ap"))).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::WrongRegion);
    }

    #[test]
    fn neighbouring_protocol_versions_meet_at_the_newest_common_one() {
        let speaks = |oldest, newest| {
            let mut hello = identity("us").hello(None);
            (hello.protocol_oldest, hello.protocol_newest) = (oldest, newest);
            identity("eu").judge(&Claim::read(hello).unwrap(), None).map_err(|refusal| refusal.code)
        };
        assert_eq!(speaks(1, 2), Ok(1));
        assert_eq!(speaks(0, 1), Ok(1));
        assert_eq!(speaks(2, 3), Err(RefusalCode::Protocol));
        assert_eq!(speaks(0, 0), Err(RefusalCode::Protocol));
        assert_eq!(speaks(5, 1), Err(RefusalCode::Protocol));
    }

    #[test]
    fn differing_fingerprints_are_both_named_with_the_lines_that_differ() {
        let mut us = identity("us");
        us.mesh_fingerprint = [0xcd; 32];
        us.mesh_description = "epoch = 1\ninclude = shop.orders".into();
        let text = identity("eu").judge(&Claim::read(us.hello(None)).unwrap(), None).unwrap_err().text;
        for part in [
            &"ab".repeat(32),
            &"cd".repeat(32),
            "only eu has `include = shop.*`",
            "only us has `include = shop.orders`",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(text.contains("diff the [mesh] sections"), "{text}");
        assert!(!text.contains("epoch = 1"), "{text}");
    }
}
