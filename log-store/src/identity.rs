//! The file that says whose logs a folder holds.

use std::io;
use std::path::{Path, PathBuf};

use transaction::RegionName;

use crate::Error;
use crate::disk::{self, Disk};

/// Version of everything in a store's folder: identity file, segments, indexes.
pub const FORMAT_VERSION: u32 = 1;

const FIRST_LINE: &str = "concord log store";

/// Whose logs a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the mesh: one line of text.
    pub mesh: String,
    /// The region whose `concord run` writes here; it holds copies of the other regions' logs as well.
    pub region: RegionName,
}

/// Where the identity file lies.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("FORMAT")
}

/// Reads the identity file; `None` if there is none.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Identity>, Error> {
    let path = path(dir);
    let bytes = match disk::read_file(disk, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io("read", &path))?,
    };
    let text = String::from_utf8(bytes).map_err(|_| Error::BadIdentity {
        path: path.clone(),
        reason: "the identity file is not text".into(),
    })?;
    decode(&text, &path).map(Some)
}

/// Writes the identity file, durably.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<(), Error> {
    let path = path(dir);
    if identity.mesh.is_empty() || identity.mesh.contains(|c: char| c.is_control()) {
        let reason = format!("the mesh name {:?} is empty or has control characters in it", identity.mesh);
        return Err(Error::BadIdentity { path, reason });
    }
    let text = format!(
        "{FIRST_LINE}\nformat: {FORMAT_VERSION}\nmesh: {}\nregion: {}\n",
        identity.mesh, identity.region
    );
    disk::create_durable(disk, &path, text.as_bytes()).map_err(Error::io("write", &path))?;
    Ok(())
}

/// Refuses a folder that belongs to another region or mesh.
pub(crate) fn check(dir: &Path, found: &Identity, expected: &Identity) -> Result<(), Error> {
    let wrong = |what, found: String, expected: String| Error::WrongIdentity {
        dir: dir.to_owned(),
        what,
        found,
        expected,
    };
    if found.region != expected.region {
        return Err(wrong("region", found.region.to_string(), expected.region.to_string()));
    }
    if found.mesh != expected.mesh {
        return Err(wrong("mesh", found.mesh.clone(), expected.mesh.clone()));
    }
    Ok(())
}

fn decode(text: &str, path: &Path) -> Result<Identity, Error> {
    let bad = |reason: &str| Error::BadIdentity { path: path.to_owned(), reason: reason.to_owned() };
    let rest = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n'));
    let mut lines = rest.ok_or_else(|| bad("this is no identity file of a concord log store"))?.lines();
    let mut field = |name: &str| {
        let value =
            lines.next().and_then(|line| line.strip_prefix(name)).and_then(|line| line.strip_prefix(": "));
        value.ok_or_else(|| bad(&format!("the line `{name}: …` is missing")))
    };
    // The version comes first and decides alone: what follows it may look different in a later one.
    let found: u32 = field("format")?.parse().map_err(|_| bad("the format version is no number"))?;
    if found > FORMAT_VERSION {
        return Err(Error::NewerFormat { path: path.to_owned(), found, known: FORMAT_VERSION });
    }
    if found == 0 {
        return Err(bad("there is no format version 0"));
    }
    let mesh = field("mesh")?.to_owned();
    let region = RegionName::new(field("region")?).map_err(|error| bad(&error.to_string()))?;
    Ok(Identity { mesh, region })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Identity, Error> {
        decode(text, Path::new("FORMAT"))
    }

    #[test]
    fn a_newer_format_is_refused_by_number_even_if_the_rest_is_unknown() {
        let error = decoded("concord log store\nformat: 2\nwhatever\n").unwrap_err();
        assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
    }

    #[test]
    fn every_cut_of_the_file_is_refused_or_means_the_same() {
        let text = "concord log store\nformat: 1\nmesh: the shop\nregion: eu\n";
        let whole = decoded(text).unwrap();
        assert_eq!(whole, Identity { mesh: "the shop".into(), region: RegionName::new("eu").unwrap() });
        for cut in 0..text.len() - 3 {
            assert!(decoded(&text[..cut]).is_err(), "{cut}");
        }
        assert_eq!(decoded(&text[..text.len() - 1]).unwrap(), whole);
    }
}
