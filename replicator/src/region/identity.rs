//! What a region is to its peers: its own half of every handshake, as the configuration says.

use std::sync::Arc;

use link::{Control, Formats, Link, LinkError, Security};

use crate::config::Config;

/// The link of the region that `config` describes. Opens no port; it fails only if a certificate file cannot be used.
pub(crate) fn link_of(
    config: &Config,
    options: link::Options,
    control: Arc<dyn Control>,
) -> Result<Link, LinkError> {
    let region = config.region.name;
    let security = match config.region.link.tls_files() {
        Some(files) => {
            let files = link::TlsFiles { ca: files.ca, cert: files.cert, key: files.key };
            Security::Mutual(link::Tls::load(&files, region)?)
        }
        None => Security::Plain,
    };
    let identity = link::Identity {
        region,
        regions: config.mesh.regions.keys().copied().collect(),
        mesh: config.mesh.name.clone(),
        mesh_fingerprint: config.mesh.fingerprint_bytes(),
        mesh_description: config.mesh.canonical(),
        epoch: config.mesh.epoch,
        formats: Formats::only(log_store::FORMAT_VERSION),
        software: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(Link::new(identity, security, options, control))
}
