//! `[mesh]`: what every region must have alike.

use std::collections::BTreeMap;
use std::fmt::Write;

use filters::{PatternList, Patterns, PatternsError};
use serde::Deserialize;
use transaction::{Epoch, RegionName, Uuid};

use super::ddl::{DdlRules, WrittenDdl, WrittenDdlRule};
use super::error::Flaw;
use super::policies::{Policies, WrittenRules};
use super::{Address, HumanDuration};

/// The mesh: its regions, and the rules by which all of them must treat the same rows in the same way. Peers compare
/// its [fingerprint](Mesh::fingerprint) before they exchange anything.
#[derive(Debug, Clone)]
pub(crate) struct Mesh {
    /// The mesh's name, in messages, certificates and derived ids. No default: two meshes must not be mistaken for one.
    pub(crate) name: String,
    /// The number of this set of members, policies and filters; every record carries it. Default 1. Raise it by one,
    /// in every region, with each change of `[mesh]`, after `concord drain`.
    pub(crate) epoch: Epoch,
    /// What to do with DDL. Default: halt.
    pub(crate) ddl: DdlRules,
    /// How far a record's stamp may lie ahead of the receiver's clock before it is kept back. Default 5 s: far above
    /// what NTP leaves, far below what would let a wrong clock win every conflict for long. Larger tolerates worse
    /// clocks and lets them win more.
    pub(crate) clock_skew_max: HumanDuration,
    /// Which tables are carried. Default: every table of every schema but the system schemas.
    pub(crate) tables: Patterns,
    /// By which rule each table's conflicts are decided, and which are only reported. Default: last-writer-wins for all.
    pub(crate) policies: Policies,
    /// The regions, by name, which is also the order of the fold.
    pub(crate) regions: BTreeMap<RegionName, MeshRegion>,
}

/// One region, as all others see it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeshRegion {
    /// Where peers reach this region's link. Not part of the fingerprint: an address decides nothing about rows, and
    /// may look different from different networks.
    pub(crate) link: Address,
    /// Whether clients write here. Default true. With false a local write halts the region loudly: that is one-way
    /// replication.
    #[serde(default = "yes")]
    pub(crate) writes: bool,
    /// Whether the region is given up: it is not waited for, what it has not told anyone is never applied, and it must be seeded
    /// before it comes back. Default false. RUNBOOK, "Give a region up", says how it is set and taken back.
    #[serde(default)]
    pub(crate) lost: bool,
}

/// The section as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenMesh {
    name: String,
    #[serde(default = "one")]
    epoch: u32,
    #[serde(default)]
    ddl: WrittenDdl,
    #[serde(default)]
    ddl_policy: Vec<WrittenDdlRule>,
    #[serde(default = "five_seconds")]
    clock_skew_max: HumanDuration,
    #[serde(default = "everything")]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    detect_only: Vec<[RegionName; 2]>,
    #[serde(default)]
    policy: WrittenRules,
    regions: BTreeMap<RegionName, MeshRegion>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn five_seconds() -> HumanDuration {
    HumanDuration::from_secs(5)
}

fn everything() -> Vec<String> {
    vec!["*.*".to_owned()]
}

impl WrittenMesh {
    /// The section, judged.
    pub(super) fn judge(self) -> Result<Mesh, Flaw> {
        let tables = Patterns::new(&self.include, &self.exclude).map_err(|error| {
            let (list, reason) = match &error {
                PatternsError::Invalid { list, source } => (*list, source.to_string()),
                PatternsError::SystemSchema { .. } | PatternsError::NothingIncluded => {
                    (PatternList::Include, error.to_string())
                }
            };
            Flaw::new(&["mesh", &list.to_string()], reason, "correct it in every region's file".to_owned())
        })?;
        let policies = Policies::new(self.policy, self.detect_only, &self.regions)?;
        let mesh = Mesh {
            name: self.name,
            epoch: Epoch(self.epoch),
            ddl: DdlRules::new(self.ddl, self.ddl_policy)?,
            clock_skew_max: self.clock_skew_max,
            tables,
            policies,
            regions: self.regions,
        };
        mesh.judge()?;
        Ok(mesh)
    }
}

impl Mesh {
    /// The regions where clients write, sorted by name.
    pub(crate) fn writers(&self) -> impl Iterator<Item = RegionName> {
        self.regions.iter().filter(|(_, region)| region.writes).map(|(name, _)| *name)
    }

    /// The regions that are given up, sorted by name.
    pub(crate) fn lost(&self) -> impl Iterator<Item = RegionName> {
        self.regions.iter().filter(|(_, region)| region.lost).map(|(name, _)| *name)
    }

    /// A rendering of all that must be equal everywhere, one fact a line, sorted but for the policies, with every default
    /// spelled out. It does not depend on how the file is laid out. Link addresses are not in it.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::from("concord mesh 1\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "name {:?}", self.name);
        let _ = writeln!(text, "epoch {}", self.epoch.0);
        self.ddl.canonical(&mut text);
        let _ = writeln!(text, "clock_skew_max_us {}", self.clock_skew_max.as_micros());
        self.policies.canonical(&mut text);
        for pattern in self.tables.include() {
            let _ = writeln!(text, "include {:?}", pattern.to_string());
        }
        for pattern in self.tables.exclude() {
            let _ = writeln!(text, "exclude {:?}", pattern.to_string());
        }
        for (name, region) in &self.regions {
            let lost = if region.lost { " lost" } else { "" };
            let _ = writeln!(text, "region {name} writes {}{lost}", region.writes);
        }
        text
    }

    /// SHA-256 of [`Mesh::canonical`], as the link's handshake sends it.
    pub(crate) fn fingerprint_bytes(&self) -> [u8; 32] {
        use sha2::Digest;
        sha2::Sha256::digest(self.canonical().as_bytes()).into()
    }

    /// The UUID of the GTIDs under which DDL of `origin` runs in other regions: the same everywhere, for ever.
    pub(crate) fn ddl_source(&self, origin: RegionName) -> Uuid {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(format!("ddl uuid\n{}\n{origin}\n", self.name));
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&digest[..16]);
        Uuid(uuid)
    }

    /// [`Mesh::fingerprint_bytes`] in hexadecimal, 64 characters.
    pub(crate) fn fingerprint(&self) -> String {
        self.fingerprint_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn judge(&self) -> Result<(), Flaw> {
        let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(sane) {
            return Err(Flaw::new(
                &["mesh", "name"],
                format!("{:?} is no name of a mesh", self.name),
                "use 1 to 64 of the characters A-Z, a-z, 0-9, -, _ and .".to_owned(),
            ));
        }
        if self.epoch.0 == 0 {
            return Err(Flaw::new(
                &["mesh", "epoch"],
                "epochs count from 1".to_owned(),
                "write 1".to_owned(),
            ));
        }
        if self.clock_skew_max.0.is_zero() {
            return Err(Flaw::new(
                &["mesh", "clock_skew_max"],
                "no two clocks agree to the microsecond, so nothing could ever be applied".to_owned(),
                "write \"5s\"".to_owned(),
            ));
        }
        if self.writers().next().is_none() {
            return Err(Flaw::new(
                &["mesh", "regions"],
                "no region writes, so there is nothing to replicate".to_owned(),
                "set writes = true in one region at least".to_owned(),
            ));
        }
        let mut by_link: BTreeMap<&Address, RegionName> = BTreeMap::new();
        for (name, region) in &self.regions {
            if let Some(other) = by_link.insert(&region.link, *name) {
                return Err(Flaw::new(
                    &["mesh", "regions", name.as_str(), "link"],
                    format!("regions {other} and {name} have the same link address {}", region.link),
                    "give each region the address of its own link".to_owned(),
                ));
            }
        }
        Ok(())
    }
}
