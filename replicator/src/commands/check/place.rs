//! The place where Concord runs: its data directory, the disk below it, its ports.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::Check;
use crate::config::{ByteSize, Config};

/// What was found at the place.
#[derive(Debug, Clone)]
pub(super) struct PlaceFacts {
    data_dir: DataDir,
    /// Free bytes for this account on the data directory's disk; or why that is unknown.
    free_bytes: Result<u64, String>,
    /// Each address to listen on, by the name of its check, and what kept us from it.
    ports: Vec<(&'static str, SocketAddr, Option<ErrorKind>)>,
}

/// The data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum DataDir {
    Usable,
    /// The same, but its mode lets other accounts in.
    Open(u32),
    /// Not there, but it can be made in this folder, which exists.
    Absent(PathBuf),
    Refused(String),
}

pub(super) fn gather(config: &Config) -> PlaceFacts {
    let (link, http) = (config.region.link.listen, config.region.http.listen);
    let port = |name, address: SocketAddr| {
        // Closed again at once. Port 0 is whatever the system gives, so it is always free.
        (name, address, TcpListener::bind(address).err().map(|e| e.kind()))
    };
    PlaceFacts {
        data_dir: data_dir(&config.region.data_dir),
        free_bytes: free_bytes(&config.region.data_dir),
        ports: vec![port("link port", link), port("http port", http)],
    }
}

/// The nearest folder above that exists, the path itself included.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p }).find(|p| p.exists())
}

fn data_dir(path: &Path) -> DataDir {
    use nix::unistd::{AccessFlags, access};
    let Some(found) = existing(path) else {
        return DataDir::Refused("no folder of its path exists".to_owned());
    };
    if !found.is_dir() {
        return DataDir::Refused(format!("{} is no folder", found.display()));
    }
    match access(found, AccessFlags::W_OK | AccessFlags::X_OK | AccessFlags::R_OK) {
        Err(e) => DataDir::Refused(format!("{}: {}", found.display(), e.desc())),
        Ok(()) if found == path => judge_mode(found),
        Ok(()) => DataDir::Absent(found.to_owned()),
    }
}

fn judge_mode(dir: &Path) -> DataDir {
    use std::os::unix::fs::MetadataExt;
    match dir.metadata().map(|found| found.mode() & 0o7777) {
        Ok(mode) if mode & 0o077 != 0 => DataDir::Open(mode),
        Ok(_) => DataDir::Usable,
        Err(error) => DataDir::Refused(format!("{}: {error}", dir.display())),
    }
}

fn free_bytes(path: &Path) -> Result<u64, String> {
    let found = existing(path).ok_or_else(|| "no folder of its path exists".to_owned())?;
    let disk = nix::sys::statvfs::statvfs(found).map_err(|e| e.desc().to_owned())?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Judges what was found. Pure.
pub(super) fn judge(facts: &PlaceFacts, config: &Config) -> Vec<Check> {
    let mut checks = vec![judge_data_dir(&facts.data_dir, config), judge_disk(&facts.free_bytes, config)];
    checks.extend(facts.ports.iter().map(|(name, address, error)| judge_port(name, *address, *error)));
    checks
}

fn judge_data_dir(found: &DataDir, config: &Config) -> Check {
    let name = "data directory";
    let path = config.region.data_dir.display();
    match found {
        DataDir::Usable => Check::ok(name, path.to_string()),
        DataDir::Open(mode) => Check::warn(
            name,
            format!("{path} has mode {mode:04o}: other accounts may read the rows in it"),
            format!("chmod 700 {path}; `concord run` does it if the folder is its account's"),
        ),
        DataDir::Absent(_) => Check::ok(name, format!("{path} is not there yet; run makes it")),
        DataDir::Refused(reason) => Check::refuse(
            name,
            format!("{path} cannot be used: {reason}"),
            format!(
                "mkdir -p {path} and chown it to the account that runs concord, or set data_dir in [region]"
            ),
        ),
    }
}

/// Every origin's log needs room for the file in use and the next one. Less than a tenth of what is to be kept is worth
/// a word, since the log grows while a peer is away.
fn judge_disk(free: &Result<u64, String>, config: &Config) -> Check {
    let name = "free disk";
    let origins = config.mesh.regions.len() as u64;
    let least = 2 * config.region.log.segment_size.0 * origins;
    let fair = (config.region.log.keep_bytes.0 / 10).saturating_mul(origins).max(least);
    let fix = "make room, or set data_dir in [region] to a larger disk";
    match free {
        Err(reason) => Check::warn(name, format!("unknown: {reason}"), fix),
        Ok(free) => {
            let found = format!("{} MiB", free >> 20);
            if *free < least {
                Check::refuse(name, format!("{found}, but the logs begin with {}", ByteSize(least)), fix)
            } else if *free < fair {
                Check::warn(name, format!("{found}: little, should a peer be away for long"), fix)
            } else {
                Check::ok(name, found)
            }
        }
    }
}

fn judge_port(name: &'static str, address: SocketAddr, error: Option<ErrorKind>) -> Check {
    let key = if name == "link port" { "[region.link]" } else { "[region.http]" };
    match error {
        None => Check::ok(name, format!("{address} is free")),
        // Most often the one who listens is this region's own `run`, so this alone is no refusal.
        Some(ErrorKind::AddrInUse) => Check::warn(
            name,
            format!("{address} is in use"),
            format!("fine if concord runs here already; else set another listen in {key}"),
        ),
        Some(kind) => Check::refuse(
            name,
            format!("{address} cannot be used: {kind}"),
            format!("set another listen in {key}"),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::config;
    use super::*;

    #[test]
    fn little_space_warns_and_too_little_refuses() {
        // Two regions, segments of 64 MiB, 20 GiB to keep: 256 MiB at least, 4 GiB to be at ease.
        for (free, verdict) in [
            (Ok(255 << 20), Verdict::Refuse),
            (Ok(256 << 20), Verdict::Warn),
            (Ok(4 << 30), Verdict::Ok),
            (Err("x".to_owned()), Verdict::Warn),
        ] {
            assert_eq!(judge_disk(&free, &config()).verdict, verdict, "{free:?}");
        }
    }

    #[test]
    fn a_port_in_use_warns_and_one_that_may_not_be_used_refuses() {
        let address = "127.0.0.1:7400".parse().unwrap();
        for (error, verdict) in [
            (None, Verdict::Ok),
            (Some(ErrorKind::AddrInUse), Verdict::Warn),
            (Some(ErrorKind::PermissionDenied), Verdict::Refuse),
            (Some(ErrorKind::AddrNotAvailable), Verdict::Refuse),
        ] {
            assert_eq!(judge_port("link port", address, error).verdict, verdict, "{error:?}");
        }
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = config();
        config.region.link.listen = held.local_addr().unwrap();
        assert_eq!(gather(&config).ports[0].2, Some(ErrorKind::AddrInUse));
    }

    #[test]
    fn a_data_directory_may_be_absent_but_not_a_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let set_mode = |mode| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode(0o700);
        assert_eq!(data_dir(folder.path()), DataDir::Usable);
        set_mode(0o750);
        assert_eq!(data_dir(folder.path()), DataDir::Open(0o750));
        assert_eq!(judge_data_dir(&DataDir::Open(0o750), &config()).verdict, Verdict::Warn);
        assert_eq!(data_dir(&folder.path().join("a/b")), DataDir::Absent(folder.path().to_owned()));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let found = data_dir(&path);
            assert!(
                matches!(&found, DataDir::Refused(reason) if reason.contains("is no folder")),
                "{found:?}"
            );
            assert_eq!(judge_data_dir(&found, &config()).verdict, Verdict::Refuse);
        }
    }
}
