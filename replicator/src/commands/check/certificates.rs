//! Whether the files of mutual TLS fit together.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use transaction::RegionName;

use super::Check;
use crate::config::Link;

const NAME: &str = "link certificates";

/// A certificate that ends within this time is worth a warning.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Judges the files that `[region.link]` names.
pub(super) fn judge(link: &Link, region: RegionName, now: SystemTime) -> Check {
    let Some(files) = link.tls_files() else {
        return Check::warn(
            NAME,
            "tls = false: rows travel readable, and whoever reaches the port can read and write them",
            "concord certs --out certs REGION ..., then tls = true in every region",
        );
    };
    let renew = "concord certs signs a new one with the mesh's ca.pem and ca.key";
    let verify_at = |at| verify(&files.ca, &files.cert, &files.key, region, at);
    match (verify_at(now), verify_at(now + RENEW_BEFORE)) {
        (Err(reason), _) => Check::refuse(NAME, reason, renew),
        (Ok(()), Err(_)) => Check::warn(NAME, format!("{} ends within 30 days", files.cert.display()), renew),
        (Ok(()), Ok(())) => Check::ok(NAME, format!("{} is of {}", files.cert.display(), files.ca.display())),
    }
}

/// Whether `cert` is signed by `ca`, valid at `now` in both directions, names `region`, and fits `key`. The reason names
/// the file.
pub(crate) fn verify(
    ca: &Path,
    cert: &Path,
    key: &Path,
    region: RegionName,
    now: SystemTime,
) -> Result<(), String> {
    let chain = certificates(cert)?;
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(|e| format!("{} is no authority: {e}", ca.display()))?;
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: {e}", key.display()))?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots);
    let text = |e: &dyn std::fmt::Display| format!("{}: {e}", cert.display());
    let server = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|e| format!("{}: {e}", ca.display()))?;
    let client = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|e| format!("{}: {e}", ca.display()))?;
    let at = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).map_err(|e| text(&e))?);
    let name = ServerName::try_from(region.to_string()).map_err(|e| text(&e))?;
    let (leaf, between) = chain.split_first().ok_or_else(|| text(&"holds no certificate"))?;
    server.verify_server_cert(leaf, between, &name, &[], at).map_err(|e| text(&e))?;
    client.verify_client_cert(leaf, between, at).map_err(|e| text(&e))?;
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|e| format!("{} is not the key of {}: {e}", key.display(), cert.display()))?;
    Ok(())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(file) {
        Ok(certificates) => certificates.collect(),
        Err(e) => Err(e),
    };
    match found {
        Ok(found) if found.is_empty() => Err(format!("{} holds no certificate", file.display())),
        Ok(found) => Ok(found),
        Err(e) => Err(format!("{}: {e}", file.display())),
    }
}
