//! `concord certs`: an authority for the mesh and a certificate per region.
//!
//! The region's name stands in its certificate as DNS name. Peers hold it against the name that they dialled, and against
//! the name that a caller claims. Every certificate serves both directions, since regions call each other.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use transaction::RegionName;

use super::{CommandError, Outcome};
use crate::cli::CertsArgs;

/// The authority lasts ten years: replacing it means touching every region at once.
const AUTHORITY_DAYS: u64 = 3653;
/// Validity begins an hour early, so that a peer whose clock is a little behind takes a new certificate.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Makes what is missing, and overwrites nothing.
pub(crate) fn execute(args: &CertsArgs) -> Outcome {
    let made = make(&args.out, &args.regions, args.days)?;
    for line in made {
        println!("{line}");
    }
    println!(
        "Give each region ca.pem and its own .pem and .key. ca.key signs new regions: keep it off the servers."
    );
    Ok(ExitCode::SUCCESS)
}

/// A failure with its file.
fn refused(file: &Path, reason: impl std::fmt::Display, remedy: &str) -> CommandError {
    CommandError::Refused(format!("{}: {reason}; {remedy}", file.display()))
}

/// A failure of the library that signs, which names no file.
fn unsigned(error: rcgen::Error) -> CommandError {
    CommandError::Refused(format!(
        "cannot make a certificate: {error}; check that ca.pem and ca.key are a pair"
    ))
}

/// Writes the files into `folder`; gives one line per file for people to read.
fn make(folder: &Path, regions: &[RegionName], days: u32) -> Result<Vec<String>, CommandError> {
    std::fs::create_dir_all(folder).map_err(|e| refused(folder, e, "choose another --out"))?;
    let file = |name: String| folder.join(name);

    // All names are looked at before the first file is written, so that a refusal leaves the folder as it was.
    let mut wanted: Vec<(RegionName, PathBuf, PathBuf)> = Vec::new();
    for region in regions {
        let (cert, key) = (file(format!("{region}.pem")), file(format!("{region}.key")));
        if region.as_str() == "ca" {
            return Err(refused(
                &cert,
                "belongs to the authority",
                "give region ca a longer name, such as ca_1",
            ));
        }
        for path in [&cert, &key] {
            if path.exists() || wanted.iter().any(|(_, other, _)| other == path) {
                let remedy = "move it away for a new certificate, or leave this region out";
                return Err(refused(path, "is there already and stays as it is", remedy));
            }
        }
        wanted.push((*region, cert, key));
    }

    let (ca_cert, ca_key) = (file("ca.pem".to_owned()), file("ca.key".to_owned()));
    let mut lines = Vec::new();
    let authority = match (ca_cert.exists(), ca_key.exists()) {
        (true, true) => {
            lines.push(format!("kept   {}", ca_cert.display()));
            load_authority(&ca_cert, &ca_key)?
        }
        (false, false) => {
            let (pem, issuer) = new_authority()?;
            write_new(&ca_key, &issuer.key().serialize_pem(), 0o600)?;
            write_new(&ca_cert, &pem, 0o644)?;
            lines.push(format!("made   {}", ca_cert.display()));
            lines.push(format!("made   {}", ca_key.display()));
            issuer
        }
        (true, false) => {
            let remedy = "put the authority's key beside ca.pem, or make a new authority in an empty folder";
            return Err(refused(&ca_key, "is not there, so nothing can be signed", remedy));
        }
        (false, true) => {
            let remedy = "put the authority's certificate beside ca.key, or start in an empty folder";
            return Err(refused(&ca_cert, "is not there, though its key is", remedy));
        }
    };
    for (region, cert, key) in wanted {
        let pair = KeyPair::generate().map_err(unsigned)?;
        let signed = certificate(region, days)?.signed_by(&pair, &authority).map_err(unsigned)?;
        write_new(&key, &pair.serialize_pem(), 0o600)?;
        write_new(&cert, &signed.pem(), 0o644)?;
        super::check::certificates::verify(&ca_cert, &cert, &key, region, SystemTime::now()).map_err(
            |reason| refused(&cert, reason, "check that ca.pem and ca.key are a pair, and remove this file"),
        )?;
        lines.push(format!("made   {}", cert.display()));
        lines.push(format!("made   {}", key.display()));
    }
    Ok(lines)
}

fn new_authority() -> Result<(String, Issuer<'static, KeyPair>), CommandError> {
    let key = KeyPair::generate().map_err(unsigned)?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(AUTHORITY_DAYS);
    // Part of the key's digest stands in the name, so that two authorities can be told apart in messages.
    let id: String = params.key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Concord authority {id}"));
    let pem = params.self_signed(&key).map_err(unsigned)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn load_authority(cert: &Path, key: &Path) -> Result<Issuer<'static, KeyPair>, CommandError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|e| refused(path, e, "let this account read the authority's files"))
    };
    let remedy = "restore the authority from a backup, or start in an empty folder";
    let pair = KeyPair::from_pem(&read(key)?).map_err(|e| refused(key, e, remedy))?;
    Issuer::from_ca_cert_pem(&read(cert)?, pair).map_err(|e| refused(cert, e, remedy))
}

fn certificate(region: RegionName, days: u32) -> Result<CertificateParams, CommandError> {
    let mut params = CertificateParams::new(vec![region.to_string()]).map_err(unsigned)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, region.to_string());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(u64::from(days));
    Ok(params)
}

/// From an hour ago until `days` from now, in whatever type the certificate library counts time.
fn validity<T: From<SystemTime>>(days: u64) -> (T, T) {
    let now = SystemTime::now();
    (T::from(now - BACKDATE), T::from(now + Duration::from_secs(days * 24 * 3600)))
}

/// Writes a file that must not be there yet, readable as `mode` says from its first moment on.
fn write_new(file: &Path, text: &str, mode: u32) -> Result<(), CommandError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()).and_then(|()| open.sync_all()))
        .map_err(|e| {
            let remedy = match e.kind() {
                ErrorKind::AlreadyExists => "another process made it just now; look what it is",
                _ => "make room or choose another --out",
            };
            refused(file, e, remedy)
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::check::certificates::verify;
    use super::*;

    fn regions(names: &[&str]) -> Vec<RegionName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn verified(folder: &Path, ca: &Path, name: &str, claimed: &str) -> Result<(), String> {
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        verify(ca, &cert, &key, claimed.parse().unwrap(), SystemTime::now())
    }

    #[test]
    fn every_name_that_a_region_can_have_gets_a_certificate_that_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let longest = "a".repeat(32);
        let names = ["eu", "us_east_1", "_a", "a_", "a__b", "x0", &longest];
        make(folder.path(), &regions(&names), 30).unwrap();
        let ca = folder.path().join("ca.pem");
        for name in names {
            assert_eq!(verified(folder.path(), &ca, name, name), Ok(()), "{name}");
        }
        assert!(verified(folder.path(), &ca, "eu", "us").is_err());
    }

    #[test]
    fn keys_are_readable_by_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), &regions(&["eu"]), 30).unwrap();
        for name in ["ca.key", "eu.key"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_region_is_added_to_an_authority_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        make(folder.path(), &regions(&["eu"]), 30).unwrap();
        let before = std::fs::read(&ca).unwrap();
        let lines = make(folder.path(), &regions(&["us"]), 30).unwrap();
        assert!(lines[0].starts_with("kept"), "{lines:?}");
        assert_eq!(std::fs::read(&ca).unwrap(), before);
        assert_eq!(verified(folder.path(), &ca, "eu", "eu"), Ok(()));
        assert_eq!(verified(folder.path(), &ca, "us", "us"), Ok(()));
    }

    #[test]
    fn nothing_is_overwritten_and_a_refusal_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), &regions(&["eu"]), 30).unwrap();
        let before = std::fs::read(folder.path().join("eu.key")).unwrap();
        for names in [&["us", "eu"][..], &["us", "us"], &["us", "ca"]] {
            let message = make(folder.path(), &regions(names), 30).unwrap_err().to_string();
            assert!(
                message.contains("is there already") || message.contains("belongs to the authority"),
                "{message}"
            );
            assert!(!folder.path().join("us.pem").exists());
        }
        assert_eq!(std::fs::read(folder.path().join("eu.key")).unwrap(), before);

        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        let message = make(folder.path(), &regions(&["us"]), 30).unwrap_err().to_string();
        assert!(message.contains("ca.key") && message.contains("nothing can be signed"), "{message}");
    }

    #[test]
    fn an_authority_whose_key_is_of_another_one_is_found_out() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(one.path(), &regions(&["eu"]), 30).unwrap();
        make(other.path(), &regions(&["eu"]), 30).unwrap();
        std::fs::copy(other.path().join("ca.key"), one.path().join("ca.key")).unwrap();
        let message = make(one.path(), &regions(&["us"]), 30).unwrap_err().to_string();
        assert!(message.contains("are a pair"), "{message}");
    }
}
