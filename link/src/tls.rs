//! Mutual TLS. Each region has a certificate of the mesh's own CA whose DNS name is the region's name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore, ServerConfig,
    client::verify_server_name,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use transaction::{HaltCode, RegionName};

use crate::code;
use crate::error::LinkError;
use crate::refusal::{Refusal, RefusalCode};
use crate::renewal::Tls;

/// How connections are secured; the same in every region.
#[derive(Clone)]
pub enum Security {
    /// In the clear: whoever can reach the port can read and write. Only where the configuration says so plainly.
    Plain,
    /// Both sides show a certificate.
    Mutual(Tls),
}

/// Where the certificates lie, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The mesh's CA; several certificates may stand in it while one CA succeeds another.
    pub ca: PathBuf,
    /// The region's certificate, and intermediate ones after it.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// Acceptor and connector made of one state of the files, known to be good for the region.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
}

impl Loaded {
    /// Loads the files and checks, as a peer would, that they are good for `region`: signed by the CA, valid now, with
    /// the region's name, for both directions. So a wrong file is told here and not by each peer.
    pub(crate) fn read(files: &TlsFiles, region: RegionName) -> Result<Self, LinkError> {
        let bad = |path: &Path, reason: String, remedy: &str| LinkError::CertificateFile {
            path: path.to_owned(),
            reason,
            remedy: remedy.to_owned(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate).map_err(|e| {
                bad(
                    &files.ca,
                    format!("holds a certificate that is no CA: {e}"),
                    "name the ca.pem that `concord certs` wrote",
                )
            })?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| {
            bad(
                &files.key,
                format!("cannot be read as a private key: {e}"),
                "name the region's .key file, readable by this user",
            )
        })?;

        let provider = Arc::new(ring::default_provider());
        let servers = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|e| bad(&files.ca, e.to_string(), REISSUE.remedy))?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|e| bad(&files.ca, e.to_string(), REISSUE.remedy))?;
        check_own(&chain, region, servers.as_ref(), clients.as_ref()).map_err(|e| {
            let (reason, Advice { remedy, .. }) = describe(&e);
            bad(&files.cert, format!("is not good for region {region}: {reason}"), remedy)
        })?;

        let pair = |e: Error| {
            bad(&files.key, format!("does not go with {}: {e}", files.cert.display()), REISSUE.remedy)
        };
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(pair)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(pair)?;
        let client = client_config(provider, roots, chain, key).map_err(pair)?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }
}

fn client_config(
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let bad = |reason: String| LinkError::CertificateFile {
        path: path.to_owned(),
        reason,
        remedy: "name a PEM file of certificates, readable by this user".to_owned(),
    };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| bad(format!("cannot be read as certificates: {e}")))?;
    if found.is_empty() {
        return Err(bad("holds no certificate".to_owned()));
    }
    Ok(found)
}

fn check_own(
    chain: &[CertificateDer<'_>],
    region: RegionName,
    servers: &dyn ServerCertVerifier,
    clients: &dyn ClientCertVerifier,
) -> Result<(), Error> {
    let Some((own, intermediates)) = chain.split_first() else { return Err(Error::NoCertificatesPresented) };
    let now = UnixTime::now();
    servers.verify_server_cert(own, intermediates, &dns_name(region)?, &[], now)?;
    clients.verify_client_cert(own, intermediates, now)?;
    Ok(())
}

/// The name that a region's certificate bears.
pub(crate) fn dns_name(region: RegionName) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(region.to_string())
        .map_err(|_| Error::General(format!("{region} cannot stand in a certificate as a DNS name")))
}

/// Whether a certificate, whose signature TLS has verified, is `region`'s.
pub(crate) fn check_name(certificate: &CertificateDer<'_>, region: RegionName) -> Result<(), Refusal> {
    let verdict =
        ParsedCertificate::try_from(certificate).and_then(|c| verify_server_name(&c, &dns_name(region)?));
    verdict.map_err(|e| {
        let text = format!(
            "the hello says region {region}, the certificate does not: {}; name the .pem and .key files of region {region} in \
             its [region.link]",
            describe(&e).0
        );
        Refusal::new(RefusalCode::Certificate, text)
    })
}

/// The error of a connection that TLS ended, if it did.
pub(crate) fn explain(peer: &str, error: &io::Error) -> Option<LinkError> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let (reason, Advice { code, remedy }) = describe(error);
    Some(LinkError::Tls { peer: peer.to_owned(), reason, remedy: remedy.to_owned(), code })
}

/// What a person is to do about a TLS error: its code, and in words.
struct Advice {
    code: HaltCode,
    remedy: &'static str,
}

const ONE_CA: Advice = Advice {
    code: code::LINK_CERTIFICATE_AUTHORITY,
    remedy: "give both regions certificates of the same CA (`concord certs` with the mesh's ca.pem and ca.key)",
};
const NAMES: Advice = Advice {
    code: code::LINK_CERTIFICATE_NAME,
    remedy: "the certificate must bear the name of the region: check the address of the region in [mesh.regions] and \
             the files in its [region.link]",
};
const CLOCK: Advice = Advice {
    code: code::LINK_CERTIFICATE_TIME,
    remedy: "compare the clocks of both machines, and make the certificate again with `concord certs` if it has expired",
};
const BOTH: Advice =
    Advice { code: code::LINK_TLS_MODE, remedy: "set region.link.tls the same in both regions" };
const REISSUE: Advice = Advice {
    code: code::LINK_CERTIFICATE_INVALID,
    remedy: "make the certificate again with `concord certs`",
};

/// Reason of a TLS error, and what to do.
fn describe(error: &Error) -> (String, Advice) {
    use AlertDescription as Alert;
    use CertificateError as Cert;
    let text = error.to_string();
    match error {
        Error::InvalidCertificate(e) => match e {
            Cert::UnknownIssuer | Cert::BadSignature => {
                (format!("the certificate is not from the CA that this region trusts ({text})"), ONE_CA)
            }
            Cert::NotValidForName | Cert::NotValidForNameContext { .. } => {
                (format!("the certificate bears another name ({text})"), NAMES)
            }
            Cert::Expired
            | Cert::ExpiredContext { .. }
            | Cert::NotValidYet
            | Cert::NotValidYetContext { .. } => {
                (format!("the certificate is not valid at this time ({text})"), CLOCK)
            }
            _ => (text, REISSUE),
        },
        Error::AlertReceived(alert) => match alert {
            Alert::UnknownCA | Alert::DecryptError => {
                ("the peer does not trust the CA of this region's certificate".to_owned(), ONE_CA)
            }
            Alert::BadCertificate => {
                ("the peer rejects this region's certificate or its name".to_owned(), NAMES)
            }
            Alert::CertificateExpired => {
                ("for the peer, this region's certificate is not valid now".to_owned(), CLOCK)
            }
            Alert::CertificateRequired => ("the peer wants a certificate of this region".to_owned(), BOTH),
            _ => (text, REISSUE),
        },
        Error::NoCertificatesPresented => ("the peer showed no certificate".to_owned(), BOTH),
        Error::InvalidMessage(_) => (format!("the peer does not speak TLS ({text})"), BOTH),
        _ => (text, REISSUE),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_region_name_can_stand_in_a_certificate() {
        for name in
            ["eu", "a", "_a", "_", "a_", "us_east_1", "a2345678901234567890123456789012", "x__y", "______"]
        {
            assert!(dns_name(RegionName::new(name).unwrap()).is_ok(), "{name}");
        }
    }
}
