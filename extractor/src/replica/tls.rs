//! The TLS client session, as the options ask for it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::options::TlsMode;

/// A session with `host` in the given mode. The error is a reason in words.
pub(super) fn session(host: &str, mode: &TlsMode) -> Result<ClientConnection, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(&provider, mode)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        format!("{host:?} is neither a host name nor an address that a certificate could name")
    })?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}

fn verifier(provider: &Arc<CryptoProvider>, mode: &TlsMode) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let (roots, hostname) = match mode {
        TlsMode::Disabled | TlsMode::Preferred | TlsMode::Required => {
            return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
        }
        TlsMode::Verify { ca, hostname } => (roots(ca.as_deref())?, *hostname),
    };
    if !hostname {
        return Ok(Arc::new(AnyName { roots, provider: Arc::clone(provider) }));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| error.to_string())?)
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, String> {
    // The set that the SQL driver takes as well, so that all connections to a server trust the same.
    let Some(pem) = pem else { return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the ca is not valid PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("a certificate of the ca is not usable: {error}"))?;
    }
    if roots.is_empty() {
        return Err(
            "the ca holds no certificate; give the PEM file of the authority that signed the server's".into(),
        );
    }
    Ok(roots)
}

/// Takes any certificate. It keeps out listeners, not impostors: that is what the mode says.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // An impostor would sign with a key of its own, so a check of the signature against an unchecked certificate
    // gains nothing, and it would refuse the X.509 version 1 certificates that many servers were set up with.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes a certificate with any name in it, if one of `roots` signed it.
#[derive(Debug)]
struct AnyName {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_without_certificates_is_refused() {
        let mode = TlsMode::Verify { ca: Some(b"no certificate in here".to_vec()), hostname: true };
        assert!(session("localhost", &mode).unwrap_err().contains("holds no certificate"));
        let mode = TlsMode::Verify {
            ca: Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
            hostname: false,
        };
        assert!(session("localhost", &mode).unwrap_err().contains("not usable"));
        assert!(session("127.0.0.1", &TlsMode::Required).is_ok());
    }

    #[test]
    fn without_an_authority_the_public_ones_count() {
        assert!(session("db.example", &TlsMode::Verify { ca: None, hostname: true }).is_ok());
        assert!(roots(None).unwrap().len() > 50);
    }
}
