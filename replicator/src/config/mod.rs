//! The configuration of one region: a TOML file with `[mesh]`, identical in every region, and `[region]`, local.
//!
//! Unknown keys are refused with their line. Every error names file, line and key where it has them, the reason and
//! the remedy. Relative paths are relative to the file. No secret ever stands in the file: a password comes from a
//! file of its own or from the environment.

mod address;
mod apply;
mod ddl;
mod error;
mod filter;
mod mesh;
mod mysql;
mod pattern;
mod policies;
mod quantity;
mod region;
mod secret;

use std::path::{Path, PathBuf};

use transaction::RegionName;

pub(crate) use address::Address;
pub(crate) use error::{ConfigError, nearest};
pub(crate) use mesh::{Mesh, MeshRegion};
pub(crate) use mysql::{ConnectError, Mysql, TlsMode, Transport, connect};
pub(crate) use policies::{Decision, Rule, column_lists};
pub(crate) use quantity::{ByteSize, HumanDuration};
pub(crate) use region::{Http, Link, Region};
pub(crate) use secret::Secret;

/// A whole configuration, parsed and judged.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What all regions share; see [`Mesh::fingerprint`].
    pub(crate) mesh: Mesh,
    /// What is this region's own.
    pub(crate) region: Region,
}

/// The file as it stands.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    mesh: mesh::WrittenMesh,
    region: Region,
}

impl Written {
    fn judge(self) -> Result<Config, error::Flaw> {
        let config = Config { mesh: self.mesh.judge()?, region: self.region };
        config.judge()?;
        Ok(config)
    }
}

impl Config {
    /// Reads and judges the file. Files that it names are opened later, at their use.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// Judges a text; `file` serves the messages, and its folder is where relative paths start.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let written: Written = toml::from_str(text).map_err(|e| ConfigError::from_toml(file, text, &e))?;
        let mut config = written.judge().map_err(|flaw| flaw.at(file, text))?;
        config.region.resolve_paths(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The own region's entry in the mesh. [`Config::parse`] has made sure that it is there.
    pub(crate) fn own(&self) -> &MeshRegion {
        &self.mesh.regions[&self.region.name]
    }

    /// The other regions of the mesh, by name.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (RegionName, &MeshRegion)> {
        let own = self.region.name;
        self.mesh.regions.iter().filter(move |(name, _)| **name != own).map(|(name, region)| (*name, region))
    }

    /// Those of them that are not lost.
    pub(crate) fn live_peers(&self) -> impl Iterator<Item = (RegionName, &MeshRegion)> {
        self.peers().filter(|(_, region)| !region.lost)
    }

    /// The id under which the extractor registers as a replica: the configured one, or one derived from the names of
    /// mesh and region, so that it stays the same over restarts and differs between regions. Never 0.
    pub(crate) fn server_id(&self) -> u32 {
        if self.region.mysql.server_id != 0 {
            return self.region.mysql.server_id;
        }
        use sha2::Digest;
        let digest = sha2::Sha256::digest(format!("server id\n{}\n{}\n", self.mesh.name, self.region.name));
        u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1)
    }

    fn judge(&self) -> Result<(), error::Flaw> {
        if !self.mesh.regions.contains_key(&self.region.name) {
            let known: Vec<_> = self.mesh.regions.keys().map(RegionName::as_str).collect();
            return Err(error::Flaw::new(
                &["region", "name"],
                format!("region {} is not in the mesh, which has {}", self.region.name, known.join(", ")),
                format!(
                    "add [mesh.regions.{}] in every region's file, or correct the name",
                    self.region.name
                ),
            ));
        }
        self.region.filter.judge(self.own().writes)?;
        self.region.judge()
    }
}

/// `path` as seen from `base`, unless it is absolute.
fn resolve(base: &Path, path: &mut PathBuf) {
    if path.is_relative() {
        *path = base.join(&path);
    }
}

#[cfg(test)]
mod tests;
